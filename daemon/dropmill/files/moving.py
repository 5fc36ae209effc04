"""The last step of an original: from its private name to the place that was recorded for it (PROTOCOL 12)."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dropmill.files.access import closing, look, open_regular
from dropmill.files.copying import copy_verified
from dropmill.files.durable import make_dirs, sync, sync_file
from dropmill.files.lease import Lease, hold
from dropmill.files.rename import rename_noreplace, same_bytes
from dropmill.model.file import Signature


@dataclass(frozen=True, slots=True)
class Target:
    """Where an original goes: ``name`` (a path) below ``root``, an existing directory such as the archive.

    Directories that are missing between them get ``dir_mode`` and group ``gid`` (-1: as the system gives it).
    """

    root: bytes
    name: bytes
    dir_mode: int = 0o755
    gid: int = -1


@dataclass(frozen=True, slots=True)
class Goal:
    """A target with its directory open. ``name`` is the last component."""

    dir_fd: int
    name: bytes


@contextmanager
def goal_of(target: Target | None) -> Iterator[Goal | None]:
    """As ``opened_goal``, where there is a target."""
    if target is None:
        yield None
        return
    with opened_goal(target) as goal:
        yield goal


@contextmanager
def opened_goal(target: Target) -> Iterator[Goal]:
    """Open, and where needed make, the directory of a target. Raises OSError, a missing root included."""
    parent, _, name = target.name.rpartition(b"/")
    with closing(make_dirs(target.root, parent, target.dir_mode, target.gid)) as dir_fd:
        yield Goal(dir_fd, name)


@contextmanager
def opened_to_read(dir_fd: int, name: bytes) -> Iterator[int | None]:
    """A descriptor of a plain file; None where this user may not read it, which alone does not prevent a rename."""
    try:
        fd = open_regular(dir_fd, name)
    except PermissionError:
        yield None
        return
    with closing(fd):
        yield fd


def written_by_others(fd: int | None, lease_believed: bool) -> bool:
    """Whether somebody has the file open for writing. If not, a lease is held as long as ``fd`` stays open."""
    return fd is not None and lease_believed and hold(fd) is Lease.BUSY


def passing_name(dir_fd: int, private: bytes) -> bytes:
    """What a copy is called in its target directory until it is complete: of this source directory and name alone."""
    place = os.fstat(dir_fd)
    told = b"%d %d %s" % (place.st_dev, place.st_ino, private)
    return b".dropmill-copy-" + hashlib.sha256(told).hexdigest()[:24].encode()


def forget_copy(dir_fd: int, private: bytes, goal: Goal) -> None:
    """Remove what an interrupted copy left in the target directory."""
    try:
        os.unlink(passing_name(dir_fd, private), dir_fd=goal.dir_fd)
    except FileNotFoundError:
        pass  # The usual case.


def move(dir_fd: int, private: bytes, fd: int | None, goal: Goal, sha256: str | None) -> bool:
    """Bring the private file to its goal, durably. False where other bytes have that name; then nothing has changed.

    A file with the same bytes at the goal is taken for what it is: ours from an interrupted call, or adopted.
    On another file system it is copied and compared, with ``sha256`` too where it is known.
    Raises ``ChangedWhileCopied`` and OSErrors.
    """
    try:
        rename_noreplace(dir_fd, private, goal.dir_fd, goal.name)
    except FileExistsError:
        if not same_bytes(dir_fd, private, goal.dir_fd, goal.name):
            return False
        _sync_file(goal)
        _remove(dir_fd, private)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return _copy_over(dir_fd, private, fd, goal, sha256)
    sync(goal.dir_fd)
    sync(dir_fd)
    return True


def _sync_file(goal: Goal) -> None:
    """A foreign file may not be on the disk yet; it is about to be the only copy."""
    with closing(open_regular(goal.dir_fd, goal.name)) as fd:
        sync_file(fd)
    sync(goal.dir_fd)


def _copy_over(dir_fd: int, private: bytes, fd: int | None, goal: Goal, sha256: str | None) -> bool:
    if fd is None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), private)
    before = Signature.of(os.fstat(fd))
    try:
        copy_verified(fd, goal.dir_fd, passing_name(dir_fd, private), goal.name, sha256)
    except FileExistsError:
        if not same_bytes(dir_fd, private, goal.dir_fd, goal.name):
            return False
        _sync_file(goal)
    now = look(dir_fd, private)
    # What was changed meanwhile stays: the caller finds it and puts it back.
    if now is not None and before.same_bytes_expected(Signature.of(now)):
        _remove(dir_fd, private)
        sync(dir_fd)
    return True


def _remove(dir_fd: int, private: bytes) -> None:
    try:
        os.unlink(private, dir_fd=dir_fd)
    except FileNotFoundError:
        pass  # Gone meanwhile is as good as removed by us (W29): its bytes are safe at the goal.
