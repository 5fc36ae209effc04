"""libvips, the optional library that reads pictures in rows (extra ``vips``)."""

from __future__ import annotations

import importlib.util
import os
from functools import cache
from typing import Any, Final

_CLASSES: Final = ("VipsForeignLoadJpeg", "VipsForeignLoadPng", "VipsForeignLoadTiff")


@cache
def library() -> Any:
    """libvips, limited to one thread's work and to three decoders; None where it is not installed or cannot be loaded.

    To be called in the zygote, before confinement. It starts no thread, which a fork would not survive: that comes with the
    first picture.
    """
    if importlib.util.find_spec("pyvips") is None:
        return None
    os.environ["VIPS_CONCURRENCY"] = "1"  # Read once, as the library starts.
    try:
        import pyvips
    except Exception:  # noqa: BLE001  # Without the native library this is an OSError, an Exception, or else; all mean "not here".
        return None
    if not pyvips.at_least_libvips(8, 13):
        return None  # Older ones cannot be kept to some of their decoders.
    pyvips.cache_set_max(0)
    pyvips.block_untrusted_set(True)
    pyvips.operation_block_set("VipsForeignLoad", True)
    for name in _CLASSES:
        pyvips.operation_block_set(name, False)
    return pyvips


def version() -> str | None:
    """Of libvips."""
    loaded = library()
    return ".".join(str(loaded.version(part)) for part in range(3)) if loaded else None
