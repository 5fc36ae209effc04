"""Previews of pictures in the state directory: staged in a folder of their own, which workers may write to, then renamed.

What is there can be made again, so nothing of it is synced.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

FOLDER: Final = b"previews"
"""Its name in the state directory."""


def folder_in(state_dir: str | os.PathLike[str]) -> bytes:
    return os.path.join(os.fsencode(state_dir), FOLDER)


def staged_name(serial: int) -> bytes:
    return b"%d" % serial


def prepare(staging: bytes, serial: int) -> None:
    """Have an empty place for what ``serial`` will stage. Raises OSErrors."""
    os.makedirs(staging, mode=0o700, exist_ok=True)
    drop(staging, serial)  # A run that was killed may have left one of that number.


def publish(staging: bytes, serial: int, folder: bytes, name: bytes) -> None:
    """Give it its name, in the place of an earlier one. Raises OSErrors; ``FileNotFoundError`` where nothing was staged."""
    staged = os.path.join(staging, staged_name(serial))
    if not stat.S_ISREG(os.lstat(staged).st_mode):
        raise FileNotFoundError(f"not a file: {staged!r}")
    os.replace(staged, os.path.join(folder, name))


def drop(staging: bytes, serial: int) -> None:
    """Remove what was staged, if anything was."""
    with suppress(FileNotFoundError):
        os.unlink(os.path.join(staging, staged_name(serial)))


def forget(folder: bytes, sha256: str) -> None:
    """Remove all previews of a picture. Raises OSErrors."""
    with suppress(FileNotFoundError):
        for name in os.listdir(folder):
            if name.startswith(sha256.encode()):
                os.unlink(os.path.join(folder, name))


@dataclass(frozen=True, slots=True)
class Kept:
    """A preview that is there. ``used_ns``: when somebody looked at it last, or it was made."""

    name: bytes
    sha256: str
    size_bytes: int
    used_ns: int


def kept(folder: bytes) -> list[Kept]:
    """All of them. Raises OSErrors, but for a folder that is not there."""
    found = []
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.endswith(b".jpg"):
                continue
            with suppress(FileNotFoundError):  # It was replaced or removed meanwhile.
                seen = entry.stat(follow_symlinks=False)
                sha256 = entry.name[:64].decode("ascii", "replace")
                found.append(Kept(entry.name, sha256, seen.st_size, seen.st_mtime_ns))
    return found


def use(folder: bytes, name: bytes) -> bool:
    """Note that somebody looks at it; False where it is not there. Raises other OSErrors."""
    try:
        os.utime(os.path.join(folder, name))
    except FileNotFoundError:
        return False
    return True


def remove(folder: bytes, names: Iterable[bytes]) -> None:
    """Raises OSErrors."""
    for name in names:
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(folder, name))
