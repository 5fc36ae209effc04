"""Trials of folders, for `dropmill check`: whether what the daemon will do there works. Blocking."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator
from typing import Final, Literal

from dropmill.errors import DropmillError
from dropmill.files.roots import STAGING, make_staging

Severity = Literal["error", "warning", "note"]
Found = tuple[Severity, str, str, str]
"""Severity, key, message, remedy."""

LOW_BYTES: Final = 1 << 30


def writable(key: str, folder: str) -> Iterator[Found]:
    """Write, sync and rename really work there, or could where the folder is still to be made; and there is room."""
    quoted = shlex.quote(folder)
    standing = folder
    while not os.path.exists(standing):
        standing = os.path.dirname(standing) or "/"
    if not os.path.isdir(standing):
        yield "error", key, f"{standing} is no folder", "name another path"
        return
    if standing != folder:
        trouble = try_making(standing)
        if trouble:
            text = f"{folder} does not exist and cannot be made: {trouble}"
            yield "error", key, text, f"mkdir -p {quoted}, then chown it"
        return
    trouble = try_writing(folder)
    if trouble:
        remedy = f"give the daemon's user write access: chown or chmod {quoted}"
        if os.statvfs(folder).f_flag & os.ST_RDONLY:
            remedy = "mount its disk for writing; one that the system itself has made read-only is failing: see dmesg"
        yield "error", key, f"{folder} cannot be written: {trouble}", remedy
        return
    disk = os.statvfs(folder)
    free_bytes = disk.f_bavail * disk.f_frsize
    if disk.f_blocks and free_bytes < LOW_BYTES:
        yield (
            "warning",
            key,
            f"{folder} has {free_bytes >> 20} MiB free",
            "free space, or name a folder on another disk",
        )


def try_making(parent: str) -> str:
    """Make and remove a folder; what went wrong, or nothing."""
    path = os.path.join(parent, f".dropmill-check-{os.getpid()}")
    try:
        os.mkdir(path)
        os.rmdir(path)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def try_writing(folder: str, also: Callable[[str], str] = lambda _name: "") -> str:
    """Make, sync, rename and remove a file; what went wrong, or what ``also`` (given the name) says, or nothing."""
    first, second = (os.path.join(folder, f".dropmill-check-{os.getpid()}-{word}") for word in ("a", "b"))
    try:
        with open(first, "xb") as file:
            file.write(b"dropmill check\n")
            file.flush()
            os.fsync(file.fileno())
        os.rename(first, second)
        return also(os.path.basename(second))
    except OSError as error:
        return error.strerror or str(error)
    finally:
        for path in (first, second):
            try:
                os.unlink(path)
            except OSError:
                continue  # Never made, or renamed.


def device(folder: str) -> int:
    return os.stat(folder).st_dev


def staging(key: str, output: str) -> Iterator[Found]:
    # Made here, it would say that a folder is meant in whose place a disk is to be mounted.
    if not os.path.isdir(os.path.join(output, os.fsdecode(STAGING))):
        return
    try:
        make_staging(os.fsencode(output))
    except DropmillError as error:
        yield "error", key, error.public_message, error.hint
    except OSError:
        return  # Told already: the output cannot be written.
