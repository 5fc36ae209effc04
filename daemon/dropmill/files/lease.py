"""Asking the kernel whether anybody has a file open for writing, by taking a read lease on it (fcntl(2), F_SETLEASE).

A lease says nothing on file systems that grant it without looking (sshfs, overlay), so it is believed on four only.
"""

from __future__ import annotations

import errno
import fcntl
import signal
from enum import StrEnum
from typing import Final

from dropmill.files.access import NotRegularFile, Root, closing, open_beneath, open_dir_beneath
from dropmill.files.fstype import BTRFS, EXT4, TMPFS, XFS, magic_of

_BELIEVED: Final = frozenset({EXT4, XFS, BTRFS, TMPFS})


class Lease(StrEnum):
    FREE = "free"
    """At this instant nobody has the file open for writing."""
    BUSY = "busy"
    """Somebody has it open for writing."""
    UNKNOWN = "unknown"
    """Not to be told here: another file system, another owner, no right to read."""


def ignore_sigio() -> None:
    """Ignore SIGIO, by which the kernel announces that a lease is to be given up; by default it kills the process.

    To be called in the main thread, before any other thread starts.
    """
    signal.signal(signal.SIGIO, signal.SIG_IGN)


def believed(root: Root, rel_dir: bytes = b"") -> bool:
    """Whether leases mean anything in this directory. Raises OSError where it cannot be opened."""
    with closing(open_dir_beneath(root, rel_dir)) as fd:
        return magic_of(fd) in _BELIEVED


def hold(fd: int) -> Lease:
    """Take a read lease on a file opened read-only; after FREE it is held until ``release`` or the last close.

    While it is held, an open for writing waits (or fails with EWOULDBLOCK), up to /proc/sys/fs/lease-break-time.
    """
    try:
        if magic_of(fd) not in _BELIEVED:
            return Lease.UNKNOWN
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return Lease.BUSY if error.errno == errno.EAGAIN else Lease.UNKNOWN
    return Lease.FREE


def release(fd: int) -> None:
    """Give the lease back; nothing happens where none is held."""
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError:
        pass  # The kernel took it away already, or never granted one.


def probe(root: Root, rel: bytes) -> Lease:
    """Ask about ``rel`` below ``root``: a lease is taken and released at once.

    UNKNOWN too for a file that may not be opened. Raises ``FileNotFoundError`` where nothing has that name.
    """
    try:
        fd = open_beneath(root, rel)
    except FileNotFoundError:
        raise
    except (NotRegularFile, OSError):
        return Lease.UNKNOWN
    with closing(fd):
        found = hold(fd)
        if found is Lease.FREE:
            release(fd)
        return found
