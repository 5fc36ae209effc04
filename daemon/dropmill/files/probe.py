"""Trying what a folder allows, with a file that is there for a moment: made, synced, renamed, linked, removed. Blocking.

The file carries a name that is ours and begins with a dot, so no daemon takes it for a picture or for a file of a job.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

PREFIX: Final = ".dropmill-check-"
# Odd, so that FAT, which keeps every other second, cannot hold it; and with a fraction.
_ODD_NS: Final = 1_700_000_001_123_456_789
_MODE: Final = 0o640

_under_way: Final[set[str]] = set()
_guard: Final = threading.Lock()


@dataclass(slots=True)
class Tried:
    """``error``: what went wrong at ``step``, None where all went well; the rest is known only then.

    ``links``: hard links can be made. ``keeps_case``: names that differ in case alone are two. ``fine_times``: times of less
    than two seconds are kept. ``keeps_modes``: permission bits are. ``group_error``: giving a file to the wanted group failed.
    ``also``: what the caller's own trial said.
    """

    error: OSError | None = None
    step: str = ""
    links: bool = True
    keeps_case: bool = True
    fine_times: bool = True
    keeps_modes: bool = True
    group_error: OSError | None = None
    also: str = ""


def try_folder(folder: str, *, gid: int = -1, also: Callable[[str], str] | None = None) -> Tried:
    """``gid``: the group that files are to be given to, -1 for none. ``also`` is called with the path of the file."""
    tried = Tried()
    first, second = _new(folder), _new(folder)
    try:
        tried.step = "making a file"
        with open(
            os.open(first, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), "wb"
        ) as file:
            tried.step = "writing"
            file.write(b"dropmill check\n")
            file.flush()
            tried.step = "syncing"
            os.fsync(file.fileno())
        tried.step = "renaming"
        os.rename(first, second)
        _learn(tried, first, second, gid)
        tried.also = also(second) if also is not None else ""
        tried.step = "removing"
        os.unlink(second)
    except OSError as error:
        tried.error = error
    finally:
        _forget(first, second)
    return tried


def _learn(tried: Tried, free: str, taken: str, gid: int) -> None:
    """What the file system keeps of a file; none of it is needed, so nothing of it is an error."""
    try:
        os.link(taken, free)
        os.unlink(free)
    except OSError:
        tried.links = False
    folder, name = os.path.split(taken)
    try:
        tried.keeps_case = not os.path.samefile(os.path.join(folder, name.upper()), taken)
    except OSError:
        tried.keeps_case = True  # Nothing has that name, as it should be.
    try:
        os.utime(taken, ns=(_ODD_NS, _ODD_NS))
        tried.fine_times = abs(os.stat(taken).st_mtime_ns - _ODD_NS) < 1_000_000_000
        os.chmod(taken, _MODE)
        tried.keeps_modes = stat.S_IMODE(os.stat(taken).st_mode) == _MODE
    except OSError:
        tried.keeps_modes = False  # FAT, and shares that act as somebody else.
    if gid >= 0:
        try:
            os.chown(taken, -1, gid)
        except OSError as error:
            tried.group_error = error


def try_making(parent: str) -> OSError | None:
    """Make and remove a folder; what went wrong, or None."""
    path = _new(parent)
    try:
        os.mkdir(path)
        os.rmdir(path)
    except OSError as error:
        return error
    finally:
        _forget(path)
    return None


def try_moving(source: str, target: str) -> OSError | None:
    """Rename a file from one folder into another; what went wrong (EXDEV: they are on two file systems), or None."""
    here = _new(source)
    there = _new(target)
    try:
        os.close(os.open(here, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        os.rename(here, there)
        os.unlink(there)
    except OSError as error:
        return error
    finally:
        _forget(here, there)
    return None


def sweep() -> None:
    """Remove what trials have left that were cut short: to be called once nobody waits for them any more."""
    with _guard:
        left = sorted(_under_way)
    _forget(*left)


def _new(folder: str) -> str:
    path = os.path.join(folder, f"{PREFIX}{os.getpid()}-{os.urandom(4).hex()}")
    with _guard:
        _under_way.add(path)
    return path


def _forget(*paths: str) -> None:
    for path in paths:
        try:
            if stat.S_ISDIR(os.lstat(path).st_mode):
                os.rmdir(path)
            else:
                os.unlink(path)
        except OSError:
            pass  # Never made, renamed, or as it should be: removed.
        with _guard:
            _under_way.discard(path)
