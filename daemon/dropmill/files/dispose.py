"""Taking an original out of the inbox: PROTOCOL 10 to 12.

``dispose`` may be interrupted at any system call and called again with the same arguments until it returns. OSErrors
propagate after the original was put back under its name (W25), so the caller tries again later.
"""

from __future__ import annotations

import errno
import os
import stat as stat_module
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from dropmill.files.access import (
    NotRegularFile,
    closing,
    look,
    open_beneath,
    open_dir_beneath,
    open_regular,
    open_root,
    signature,
)
from dropmill.files.companions import move_companions
from dropmill.files.copying import ChangedWhileCopied
from dropmill.files.durable import sha256_of, sync
from dropmill.files.moving import Goal, Target, forget_copy, goal_of, move, opened_to_read, written_by_others
from dropmill.files.private import private_name, put_back_at
from dropmill.files.rename import same_bytes
from dropmill.model.file import Signature


@dataclass(frozen=True, slots=True)
class Moved:
    """The original is at its target, durably. ``name`` is the target's; ``left``: another version stands there now."""

    name: bytes
    left: bytes | None = None


@dataclass(frozen=True, slots=True)
class AlreadyDone:
    """An earlier call, interrupted before it could say so, had moved it. ``left``: another version stands there now."""

    name: bytes
    left: bytes | None = None


@dataclass(frozen=True, slots=True)
class Deleted:
    """The original is removed, durably."""


@dataclass(frozen=True, slots=True)
class NotOurs:
    """Another version has the name, and stays as ``rel``: enqueue that. The version to dispose of is no more."""

    rel: bytes


@dataclass(frozen=True, slots=True)
class Busy:
    """Somebody has it, or a companion of it, open for writing: it stays where it was, try later."""


@dataclass(frozen=True, slots=True)
class Gone:
    """Nothing has the name, and the target does not hold these bytes: its user took it away."""


@dataclass(frozen=True, slots=True)
class TargetTaken:
    """Other bytes have the target's name: record another (``names.with_suffix``), then call again with that."""


DisposeResult = Moved | AlreadyDone | Deleted | NotOurs | Busy | Gone | TargetTaken


@dataclass(frozen=True, slots=True)
class _Original:
    """The arguments of ``dispose`` with both directories open."""

    dir_fd: int
    rel: bytes
    name: bytes
    tag: str
    expected: Signature
    sha256: str | None
    goal: Goal | None
    target: Target | None
    lease_believed: bool

    @property
    def private(self) -> bytes:
        return private_name(self.tag)

    def is_expected(self, seen: os.stat_result) -> bool:
        """By (ino, size, mtime), which our own renames leave alone."""
        return stat_module.S_ISREG(seen.st_mode) and self.expected.same_bytes_expected(Signature.of(seen))

    def put_back(self) -> bytes:
        """Undo the private name; the path below the root that the file has now."""
        directory, slash, _ = self.rel.rpartition(b"/")
        return directory + slash + put_back_at(self.dir_fd, self.private, self.name, self.tag)

    def at_goal(self, left: bytes | None = None) -> AlreadyDone | None:
        held = self.target is not None and _holds(self.goal, self.expected, self.sha256)
        return AlreadyDone(self.target.name, left) if self.target and held else None

    def refuse(self) -> DisposeResult:
        """Another version has the private name. What it took the place of may be at its goal by an earlier call."""
        left = self.put_back()
        return self.at_goal(left) or NotOurs(left)


def dispose(
    root: bytes,
    rel: bytes,
    private_tag: str,
    expected: Signature,
    sha256: str | None,
    target: Target | None,
    *,
    delete: bool = False,
    lease_believed: bool = True,
    companions: Sequence[str] = (),
) -> DisposeResult:
    """Move the original ``rel`` below ``root`` to its recorded ``target``, or ``delete`` it; nothing is overwritten.

    ``private_tag``: the job's number. ``expected`` and ``sha256``: the version that was processed; before deleting, or
    on a copy to another file system, the bytes themselves are compared. ``companions``: extensions of files that move
    along; they stay when the original is deleted. Where leases are ``lease_believed``, one is held meanwhile.
    Raises OSError, also for a missing root, and ``ValueError`` unless exactly one of target and delete is given.
    """
    if delete == (target is not None):
        raise ValueError("either a target or delete")
    parent, _, name = rel.rpartition(b"/")
    with closing(open_root(root)) as root_fd, goal_of(target) as goal, _directory(root_fd, parent) as dir_fd:
        if dir_fd is None:
            return AlreadyDone(target.name) if target and _holds(goal, expected, sha256) else Gone()
        original = _Original(dir_fd, rel, name, private_tag, expected, sha256, goal, target, lease_believed)
        resumed = look(dir_fd, original.private) is not None
        result = _take_out(original)
        if goal is not None and isinstance(result, AlreadyDone | Gone | NotOurs):
            # An earlier call, put back by a failing disk, may not have been able to remove its copy; none comes after.
            forget_copy(dir_fd, original.private, goal)
        if goal is None or not isinstance(result, Moved | AlreadyDone) or not companions:
            return result
        resumed = resumed or isinstance(result, AlreadyDone)
        followed = move_companions(
            dir_fd, name, private_tag, goal, companions, resumed=resumed, lease_believed=lease_believed
        )
        return result if followed else Busy()


def stands(root: bytes, rel: bytes, size_bytes: int, sha256: str) -> bool:
    """Whether the plain file ``rel`` below ``root`` holds exactly these bytes. Raises OSError where nobody can tell."""
    seen = signature(root, rel)
    if not isinstance(seen, Signature) or seen.size_bytes != size_bytes:
        return False
    try:
        with closing(open_beneath(root, rel)) as fd:
            return sha256_of(fd) == sha256
    except (FileNotFoundError, NotRegularFile):
        return False


def already_moved(
    root: bytes, rel: bytes, private_tag: str, expected: Signature, sha256: str | None, target: Target
) -> bool:
    """Whether an interrupted ``dispose`` had brought the original to its target and only could not say so any more.

    Raises OSError.
    """
    parent, _, name = rel.rpartition(b"/")
    with closing(open_root(root)) as root_fd, goal_of(target) as goal, _directory(root_fd, parent) as dir_fd:
        if dir_fd is not None:
            public = look(dir_fd, name)
            if look(dir_fd, private_name(private_tag)) is not None:
                return False
            if public is not None and expected.same_bytes_expected(Signature.of(public)):
                return False
        return _holds(goal, expected, sha256)


@contextmanager
def _directory(root_fd: int, rel_dir: bytes) -> Iterator[int | None]:
    """The directory of the original; None where it is gone, or has become a file or a symlink, which is not followed."""
    try:
        dir_fd = open_dir_beneath(root_fd, rel_dir)
    except (FileNotFoundError, NotADirectoryError, NotRegularFile):
        yield None
        return
    with closing(dir_fd):
        yield dir_fd


def _holds(goal: Goal | None, expected: Signature, sha256: str | None) -> bool:
    """Whether the goal is this very version: by its SHA-256, or where none is known by size and time, which we keep."""
    seen = look(goal.dir_fd, goal.name) if goal else None
    if goal is None or seen is None or not stat_module.S_ISREG(seen.st_mode):
        return False
    if seen.st_size != expected.size_bytes:
        return False
    if sha256 is None:
        return seen.st_mtime_ns == expected.mtime_ns
    with closing(open_regular(goal.dir_fd, goal.name)) as fd:
        return sha256_of(fd) == sha256


def _take_out(original: _Original) -> DisposeResult:
    """From whatever an earlier call left to an end."""
    if look(original.dir_fd, original.private) is None:
        refusal = _before_taking(original)
        if refusal is not None:
            return refusal
        # The one step that a new arrival under the public name cannot slip into. A plain rename is atomic everywhere,
        # and nobody else uses the private name.
        try:
            os.rename(original.name, original.private, src_dir_fd=original.dir_fd, dst_dir_fd=original.dir_fd)
        except FileNotFoundError:
            return original.at_goal() or Gone()
    elif original.goal is not None:
        forget_copy(original.dir_fd, original.private, original.goal)
    try:
        return _judge(original)
    except OSError:
        _try_to_put_back(original)
        raise


def _before_taking(original: _Original) -> DisposeResult | None:
    """What can be told while the original still has its public name; None if it is to be taken."""
    public = look(original.dir_fd, original.name)
    if public is None:
        return original.at_goal() or Gone()
    if not original.is_expected(public):
        return original.at_goal(original.rel) or NotOurs(original.rel)
    goal = original.goal
    if goal is None or look(goal.dir_fd, goal.name) is None:
        return None
    return None if same_bytes(original.dir_fd, original.name, goal.dir_fd, goal.name) else TargetTaken()


def _judge(original: _Original) -> DisposeResult:
    """The original has its private name: make sure that it is the version meant and complete, then let it go."""
    seen = look(original.dir_fd, original.private)
    if seen is None:
        return original.at_goal() or Gone()
    if not stat_module.S_ISREG(seen.st_mode):
        return original.refuse()
    with opened_to_read(original.dir_fd, original.private) as fd:
        if written_by_others(fd, original.lease_believed):
            rel = original.put_back()
            return Busy() if rel == original.rel else original.at_goal(rel) or NotOurs(rel)
        # Compared only now: with the lease held, nothing can change it any more.
        seen = look(original.dir_fd, original.private)
        if seen is None or not original.is_expected(seen):
            return original.refuse()
        if original.goal is None:
            return _delete(original, fd)
        return _move(original, original.goal, fd)


def _delete(original: _Original, fd: int | None) -> DisposeResult:
    if original.sha256 is not None:
        if fd is None:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), original.rel)
        # Size and time can stay the same while the bytes change (a tool that restores times), and this is for good.
        if sha256_of(fd) != original.sha256:
            return NotOurs(original.put_back())
    os.unlink(original.private, dir_fd=original.dir_fd)
    sync(original.dir_fd)
    return Deleted()


def _move(original: _Original, goal: Goal, fd: int | None) -> DisposeResult:
    try:
        moved = move(original.dir_fd, original.private, fd, goal, original.sha256)
    except ChangedWhileCopied:
        # A disk that reads back what was not written is no new version: then the bytes are still ours.
        if fd is not None and original.sha256 is not None and sha256_of(fd) == original.sha256:
            raise
        return NotOurs(original.put_back())
    if not moved:
        return TargetTaken()  # It keeps its private name, from which the next call goes on.
    left = None
    if look(original.dir_fd, original.private) is not None:
        left = original.put_back()  # Written to while our version was copied: what it is now is a version of its own.
    return Moved(original.target.name if original.target else goal.name, left)


def _try_to_put_back(original: _Original) -> None:
    try:
        original.put_back()
    except OSError:
        pass  # The error that brought us here is the one to tell; the next call goes on from the private name.
