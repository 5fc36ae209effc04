"""Carrying out what a person decided about one file: into the trash, to another folder, or replaced by a hard link.

``perform`` may be interrupted at any system call and called again with the same arguments until it returns. Nothing is
ever overwritten. The keeper's bytes and the file's own are compared before anything is changed, and what was renamed is
compared with what was read. OSErrors are answered with ``Refused`` once everything is as it was; where even that fails
they propagate, and the next call goes on from there.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Container
from dataclasses import dataclass
from typing import Final

from dropmill.files.access import closing, look, open_regular, open_root
from dropmill.files.compared import (
    AGAIN,
    Checked,
    Task,
    compared,
    holding_dir,
    keeper_outlives,
    look_at,
    same_file,
)
from dropmill.files.durable import sha256_of, sync
from dropmill.files.fstype import MAY_LACK_LINKS, magic_of
from dropmill.files.moving import Goal, Target, forget_copy, goal_of, move, opened_goal, opened_to_read
from dropmill.files.rename import complete_torn_copy, exchange, finish_exchange, rename_noreplace, same_bytes
from dropmill.files.trash import (
    UNMOUNTED,
    Place,
    Refused,
    aside_dir,
    asides,
    disk_is_gone,
    is_taken,
    made_aside_dir,
    refused,
    tidy,
)
from dropmill.model.batch import Action
from dropmill.model.file import Signature
from dropmill.model.names import with_suffix

_NO_LINK: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
_EXCHANGED: Final = Refused("it or its keeper was exchanged at that moment; nothing was changed", AGAIN)


@dataclass(frozen=True, slots=True)
class Done:
    """``ino``: of the file where it is now, aside or at its target, 0 where it is gone for good. ``stands``: what has
    the target's name now, or, as the link, the file's."""

    ino: int
    stands: Signature | None = None


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Nothing can be renamed to this place aside, or something has it already; nothing was changed."""


@dataclass(frozen=True, slots=True)
class TargetTaken:
    """Another file has the target's name, and ours waits aside. Record another name and call again, resumed."""


Performed = Done | Refused | Elsewhere | TargetTaken


@dataclass(frozen=True, slots=True)
class Prospect:
    """Of a file that is about to be dealt with: its inode, and where it may be put aside, best first."""

    ino: int
    asides: tuple[bytes, ...]


def prospect(file: Place, batch_id: int, deed_id: int) -> Prospect | Refused:
    """Blocking. What has to be recorded before anything is done."""
    try:
        seen = look_at(file)
        if seen is None:
            return Refused("it is not there any more", AGAIN)
        return Prospect(seen.st_ino, tuple(asides(file, batch_id, deed_id)))
    except OSError as error:
        return refused(error)


def free_name(root: bytes, folder: bytes, name: bytes, sha256: str, given: Container[bytes] = ()) -> bytes:
    """A path below ``root`` in ``folder``, which is made, that nothing has: ``name``, or with a suffix of the content.

    ``given``: whole paths that others are about to be moved to. Blocking. Raises OSError, a missing root included.
    """
    base = folder + b"/" + name if folder else name
    with opened_goal(Target(root, base)) as goal:
        for number in range(1000):
            suffix = sha256[:8] + (f"-{number}" if number > 1 else "")
            candidate = with_suffix(base, suffix) if number else base
            if Place(root, candidate).path not in given and look(goal.dir_fd, candidate.rpartition(b"/")[2]) is None:
                return candidate
    raise FileExistsError(errno.EEXIST, "no free name in the target folder", base)


def perform(task: Task, checked: Checked) -> Performed:
    """Blocking. Carry out one deed. Raises OSError where it can neither be done nor be undone now."""
    with closing(open_root(task.file.root)) as root_fd:
        if task.resumed and disk_is_gone(task.file.root, task.aside, task.recorded):
            raise OSError(errno.ENODEV, UNMOUNTED, task.file.path)
        if not task.resumed and is_taken(root_fd, task.aside):
            return Elsewhere()  # The trash of an earlier catalog is none of ours.
        try:
            answer = (_replace if task.action is Action.LINK else _take_out)(task, root_fd, checked)
            tidy(root_fd, task.aside)
            return answer
        except OSError as error:
            _put_back(task, root_fd)
            tidy(root_fd, task.aside)
            if task.resumed and look_at(task.file) is None:
                raise  # It may be at a target that cannot be reached now.
            return refused(error)


# Into the trash, for good, or to another folder.


def _take_out(task: Task, root_fd: int, checked: Checked) -> Performed:
    answer: Performed | None = None
    if not _waits_aside(task, root_fd):
        answer = _ended_before(task) if task.resumed else None
        if answer is not None:
            return answer
        answer = _take_away(task, root_fd, checked)
    if answer is None:
        with made_aside_dir(root_fd, task.aside) as (aside_fd, aside):
            return _bring_on(task, aside_fd, aside)
    return answer


def _waits_aside(task: Task, root_fd: int) -> bool:
    """Whether an earlier call put it aside. Where a rename is none, but a link or a copy, that may have been cut short."""
    with aside_dir(root_fd, task.aside) as (aside_fd, aside), holding_dir(task.file) as (dir_fd, name):
        there = look(aside_fd, aside) if aside_fd is not None else None
        here = look(dir_fd, name) if dir_fd is not None else None
        if aside_fd is None or there is None:
            return False
        if dir_fd is not None and here is not None and is_rest(dir_fd, name, aside_fd, aside):
            sync(aside_fd)
            os.unlink(name, dir_fd=dir_fd)
            sync(dir_fd)
    return True


def is_rest(src_fd: int, src: bytes, dst_fd: int, dst: bytes) -> bool:
    """Whether ``src`` is what a rename to ``dst`` by way of a link or a copy has left; a torn copy is completed."""
    if same_file(look(src_fd, src), look(dst_fd, dst)):
        return True
    if magic_of(dst_fd) not in MAY_LACK_LINKS:
        return False
    return complete_torn_copy(src_fd, src, dst_fd, dst, empty_too=True) or is_copy(src_fd, src, Goal(dst_fd, dst))


def _ended_before(task: Task) -> Done | None:
    """What an earlier call brought to its end and only could not say any more."""
    if look_at(task.file) is not None:
        return None
    if task.permanent:
        return Done(0)
    with goal_of(task.target) as goal:
        seen = look(goal.dir_fd, goal.name) if goal else None
        if goal is None or seen is None or seen.st_size != task.size_bytes:
            return None
        with closing(open_regular(goal.dir_fd, goal.name)) as fd:
            return Done(seen.st_ino, Signature.of(seen)) if sha256_of(fd) == task.sha256 else None


def _take_away(task: Task, root_fd: int, checked: Checked) -> Performed | None:
    """From its name to the place aside; None where it is there now, durably."""
    with compared(task, checked) as found:
        if isinstance(found, Refused):
            return found
        target = task.target
        if target is not None and found.seen.st_nlink > 1 and os.stat(target.root).st_dev != found.seen.st_dev:
            return Refused("it has further hard links, which a move to another disk would cut", "delete it instead")
        with made_aside_dir(root_fd, task.aside) as (aside_fd, aside):
            if os.fstat(aside_fd).st_dev != found.seen.st_dev or not _renamed(
                found.dir_fd, found.name, aside_fd, aside
            ):
                return Elsewhere()
            if not (found.is_at(aside_fd, aside) and found.keeper_stands):
                _return(aside_fd, aside, found.dir_fd, found.name)
                return _EXCHANGED
            sync(aside_fd)
            sync(found.dir_fd)
    return None


def _renamed(dir_fd: int, name: bytes, aside_fd: int, aside: bytes) -> bool:
    try:
        rename_noreplace(dir_fd, name, aside_fd, aside)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return False
    return True


def _bring_on(task: Task, aside_fd: int, aside: bytes) -> Performed:
    """The file is aside: that is the end of it, or it goes for good, or on to its target."""
    seen = look(aside_fd, aside)
    if seen is None:
        raise FileNotFoundError(errno.ENOENT, "somebody took it out of the trash at that moment", aside)
    if task.permanent:
        # For good: so once more by its bytes, now that nobody else has a name for them.
        with closing(open_regular(aside_fd, aside)) as fd:
            if sha256_of(fd) != task.sha256:
                raise OSError(errno.EAGAIN, "it was changed while it was deleted")
        if not keeper_outlives(task, seen):
            raise OSError(errno.EAGAIN, "its keeper is gone, or has other bytes than before")
        os.unlink(aside, dir_fd=aside_fd)
        sync(aside_fd)
        return Done(0)
    if task.target is None:
        return Done(seen.st_ino)
    with opened_goal(task.target) as goal, opened_to_read(aside_fd, aside) as fd:
        forget_copy(aside_fd, aside, goal)
        there = look(goal.dir_fd, goal.name)
        ours = task.resumed and there is not None and is_ours(aside_fd, aside, goal)
        if (there is not None and not ours) or not move(aside_fd, aside, fd, goal, task.sha256):
            return TargetTaken()
        there = look(goal.dir_fd, goal.name)
        if there is None:
            raise FileNotFoundError(errno.ENOENT, "somebody took it out of its new folder at that moment", goal.name)
        return Done(there.st_ino, Signature.of(there))


def is_ours(dir_fd: int, name: bytes, goal: Goal) -> bool:
    """Whether the goal is what an interrupted call has linked there, or, where links cannot be made, copied."""
    if same_file(look(dir_fd, name), look(goal.dir_fd, goal.name)):
        return True
    apart = os.fstat(dir_fd).st_dev != os.fstat(goal.dir_fd).st_dev or mount_of(dir_fd) != mount_of(goal.dir_fd)
    return (apart or magic_of(goal.dir_fd) in MAY_LACK_LINKS) and is_copy(dir_fd, name, goal)


def mount_of(fd: int) -> bytes:
    """The mount that a file was opened on, by its number (proc(5), fdinfo); two may show one file system."""
    with open(f"/proc/self/fdinfo/{fd}", "rb") as told:
        return next((line for line in told if line.startswith(b"mnt_id:")), b"")


def is_copy(dir_fd: int, name: bytes, goal: Goal) -> bool:
    """Whether the goal has the same bytes and time: copies keep the times."""
    here, there = look(dir_fd, name), look(goal.dir_fd, goal.name)
    same_time = here is not None and there is not None and here.st_mtime_ns == there.st_mtime_ns
    return same_time and same_bytes(dir_fd, name, goal.dir_fd, goal.name)


# Replaced by a hard link.


def _replace(task: Task, root_fd: int, checked: Checked) -> Performed:
    """A link to the keeper is made at the place aside and exchanged with the file, so that its name is never free."""
    with made_aside_dir(root_fd, task.aside) as (aside_fd, aside), holding_dir(task.file) as (dir_fd, name):
        if dir_fd is not None:
            finish_exchange(aside_fd, aside, dir_fd, name)
        there = look(aside_fd, aside)
        if there is not None and there.st_ino == task.ino:
            # An earlier call came that far. What stands now is the link, or what somebody has made of it since.
            sync(aside_fd)
            here = look(dir_fd, name) if dir_fd is not None else None
            return Done(task.ino, Signature.of(here) if here is not None else None)
        if there is not None:
            _drop_link(task, aside_fd, aside, dir_fd, name)
        return _linked(task, checked, aside_fd, aside)


def _drop_link(task: Task, aside_fd: int, aside: bytes, dir_fd: int | None, name: bytes) -> None:
    """The link of an earlier call that came no further goes, unless it is the last name of what people threw away."""
    there = look(aside_fd, aside)
    here = look(dir_fd, name) if dir_fd is not None else None
    if there is not None and there.st_nlink == 1 and here is None and dir_fd is not None:
        _return(aside_fd, aside, dir_fd, name)
    elif there is not None and (there.st_nlink > 1 or here is not None):
        os.unlink(aside, dir_fd=aside_fd)


def _linked(task: Task, checked: Checked, aside_fd: int, aside: bytes) -> Performed:
    with compared(task, checked) as found, holding_dir(task.keeper) as (keeper_dir, keeper_name):
        if isinstance(found, Refused):
            return found
        if keeper_dir is None:
            return _EXCHANGED
        if found.seen.st_dev != found.keeper_seen.st_dev:
            return Refused("it is on another disk than the keeper", "delete or move it instead")
        if os.fstat(aside_fd).st_dev != found.seen.st_dev:
            return Elsewhere()
        try:
            os.link(keeper_name, aside, src_dir_fd=keeper_dir, dst_dir_fd=aside_fd, follow_symlinks=False)
        except OSError as error:
            if error.errno == errno.EXDEV:
                return Elsewhere()
            if error.errno not in _NO_LINK:
                raise
            return Refused(f"no hard link can be made there: {error.strerror}", "delete or move it instead")
        if not (same_file(look(aside_fd, aside), found.keeper_seen) and found.is_at(found.dir_fd, found.name)):
            os.unlink(aside, dir_fd=aside_fd)
            return _EXCHANGED
        sync(aside_fd)
        exchange(aside_fd, aside, found.dir_fd, found.name)
        if not found.is_at(aside_fd, aside):
            exchange(aside_fd, aside, found.dir_fd, found.name)
            os.unlink(aside, dir_fd=aside_fd)
            return _EXCHANGED
        sync(aside_fd)
        sync(found.dir_fd)
        stands = Signature.of(os.fstat(found.keeper_fd))
        checked[task.keeper] = (task.keeper_sha256, stands)  # One link more is no reason to read it again.
        return Done(task.ino, stands)


# Taking back what was begun.


def _return(aside_fd: int, aside: bytes, dir_fd: int, name: bytes) -> None:
    """Give it its name again, or one beside what has taken that."""
    try:
        rename_noreplace(aside_fd, aside, dir_fd, name)
    except FileExistsError:
        deed_id = aside.partition(b"-")[0].decode("ascii", "replace")
        rename_noreplace(aside_fd, aside, dir_fd, with_suffix(name, f"returned-{deed_id}"))
    sync(dir_fd)
    sync(aside_fd)


def _put_back(task: Task, root_fd: int) -> None:
    """After an error: everything as it was. Raises OSError where that fails too."""
    with aside_dir(root_fd, task.aside) as (aside_fd, aside), holding_dir(task.file) as (dir_fd, name):
        if aside_fd is None or look(aside_fd, aside) is None:
            return
        if dir_fd is None:
            raise FileNotFoundError(errno.ENOENT, "its folder is gone, and it waits in the trash", task.aside)
        if task.action is Action.LINK:
            _exchange_back(task, aside_fd, aside, dir_fd, name)
        elif not same_file(look(aside_fd, aside), look(dir_fd, name)):
            _return(aside_fd, aside, dir_fd, name)
        else:
            os.unlink(aside, dir_fd=aside_fd)


def _exchange_back(task: Task, aside_fd: int, aside: bytes, dir_fd: int, name: bytes) -> None:
    finish_exchange(aside_fd, aside, dir_fd, name)
    there = look(aside_fd, aside)
    if there is not None and there.st_ino == task.ino:
        exchange(aside_fd, aside, dir_fd, name)
    _drop_link(task, aside_fd, aside, dir_fd, name)
    sync(dir_fd)
