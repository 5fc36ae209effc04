"""Taking one deed back: the file gets its name again, with the bytes, times, mode, owner and hard links that it had.

``take_back`` may be interrupted at any system call and called again until it returns. It never overwrites: what is in
the way stays, and is told.
"""

from __future__ import annotations

import os
import stat as stat_module
from dataclasses import dataclass
from typing import Final

from dropmill.files.access import NotRegularFile, closing, look, open_dir_beneath, open_regular, open_root
from dropmill.files.batch import is_ours, is_rest
from dropmill.files.compared import holding_dir
from dropmill.files.durable import make_dirs, sha256_of, sync
from dropmill.files.moving import Goal, Target, forget_copy, move, opened_to_read
from dropmill.files.rename import exchange, finish_exchange, rename_noreplace
from dropmill.files.standing import disk_is_away
from dropmill.files.trash import (
    UNMOUNTED,
    Place,
    Refused,
    aside_dir,
    disk_is_gone,
    made_aside_dir,
    refused,
    tidy,
)
from dropmill.model.batch import Action
from dropmill.model.file import Signature

_IN_THE_WAY: Final = Refused(
    "another file has its name now", "rename or move that one, then undo again; the file is safe meanwhile"
)
_UNMOUNTED: Final = Refused(UNMOUNTED, "mount it, then undo again")
UNMOUNTED_TARGET: Final = Refused("the disk that it was moved to seems not to be mounted", _UNMOUNTED.hint)
_CHANGED: Final = Refused("it was changed since", "what stands there now is left alone; move it by hand")


@dataclass(frozen=True, slots=True)
class Back:
    """One deed that was done. ``ino``: the file, where it is kept; ``link_ino``: the link that took its place.

    ``recorded`` and ``target_recorded``: the ``identity`` of what stood at the file's root and at the target's.
    """

    action: Action
    file: Place
    size_bytes: int
    sha256: str
    ino: int
    link_ino: int
    aside: bytes
    target: Target | None = None
    recorded: str = ""
    target_recorded: str = ""


def take_back(back: Back) -> Signature | Refused:
    """Blocking. The signature that the file has under its name again. Raises nothing that a person could not be told."""
    try:
        if disk_is_gone(back.file.root, back.aside, back.recorded):
            return _UNMOUNTED
        if back.target is not None and disk_is_away(back.target.root, back.target_recorded):
            return UNMOUNTED_TARGET
        with closing(open_root(back.file.root)) as root_fd:
            answer = _taken_back(back, root_fd)
            tidy(root_fd, back.aside)
            return answer
    except OSError as error:
        return refused(error)


def _taken_back(back: Back, root_fd: int) -> Signature | Refused:
    if back.action is Action.LINK:
        return _unlink(back, root_fd)
    if back.target is not None:
        return _move_back(back, root_fd, back.target)
    return _out_of_the_trash(back, root_fd)


def _seen(back: Back) -> Signature | Refused:
    with holding_dir(back.file) as (dir_fd, name):
        seen = look(dir_fd, name) if dir_fd is not None else None
    return Signature.of(seen) if seen is not None else Refused("it is gone again", "nothing is left to be done")


def _is_back(back: Back, dir_fd: int, name: bytes) -> bool:
    """Whether the file has its name again, by its inode, or where that cannot be, by its bytes."""
    here = look(dir_fd, name)
    if here is None or not stat_module.S_ISREG(here.st_mode) or here.st_size != back.size_bytes:
        return False
    if here.st_ino == back.ino:
        return True
    with closing(open_regular(dir_fd, name)) as fd:
        return sha256_of(fd) == back.sha256


def _out_of_the_trash(back: Back, root_fd: int) -> Signature | Refused:
    with aside_dir(root_fd, back.aside) as (aside_fd, aside), holding_dir(back.file) as (dir_fd, name):
        if aside_fd is None or look(aside_fd, aside) is None:
            if dir_fd is not None and _is_back(back, dir_fd, name):
                return _seen(back)
            return Refused("it is not in the trash any more", "restore it from a backup")
        if not _is_back(back, aside_fd, aside):
            return Refused("what is in the trash has other bytes", f"look at {os.fsdecode(back.aside)} by hand")
    return _rename_back(back, root_fd)


def _rename_back(back: Back, root_fd: int) -> Signature | Refused:
    folder, _, name = back.file.rel.rpartition(b"/")
    with (
        made_aside_dir(root_fd, back.aside) as (aside_fd, aside),
        closing(make_dirs(root_fd, folder)) as dir_fd,
    ):
        try:
            rename_noreplace(aside_fd, aside, dir_fd, name)
        except FileExistsError:
            if not is_rest(aside_fd, aside, dir_fd, name):
                return _IN_THE_WAY
            sync(dir_fd)
            os.unlink(aside, dir_fd=aside_fd)
        sync(dir_fd)
        sync(aside_fd)
    return _seen(back)


def _move_back(back: Back, root_fd: int, target: Target) -> Signature | Refused:
    folder, _, name = back.file.rel.rpartition(b"/")
    away_folder, _, away = target.name.rpartition(b"/")
    try:
        away_fd = open_dir_beneath(target.root, away_folder)
    except (FileNotFoundError, NotADirectoryError, NotRegularFile):
        away_fd = open_root(target.root)
        away = b".dropmill-missing"
    with closing(away_fd), closing(make_dirs(root_fd, folder)) as dir_fd:
        goal = Goal(dir_fd, name)
        if look(away_fd, away) is None:
            if _is_back(back, dir_fd, name):
                return _seen(back)
            return Refused("it is not where it was moved to any more", "move it by hand")
        with opened_to_read(away_fd, away) as fd:
            if fd is None or os.fstat(fd).st_size != back.size_bytes or sha256_of(fd) != back.sha256:
                return _CHANGED
            forget_copy(away_fd, away, goal)
            if look(dir_fd, name) is not None and not is_ours(away_fd, away, goal):
                return _IN_THE_WAY
            if not move(away_fd, away, fd, goal, back.sha256):
                return _IN_THE_WAY
    return _seen(back)


def _unlink(back: Back, root_fd: int) -> Signature | Refused:
    """The file and the link that took its place change places again, and the link goes."""
    with aside_dir(root_fd, back.aside) as (aside_fd, aside), holding_dir(back.file) as (dir_fd, name):
        if aside_fd is not None and dir_fd is not None:
            finish_exchange(aside_fd, aside, dir_fd, name)
        there = look(aside_fd, aside) if aside_fd is not None else None
        here = look(dir_fd, name) if dir_fd is not None else None
        if aside_fd is None or there is None:
            if here is not None and here.st_ino == back.ino:
                return _seen(back)
            return Refused("it is not in the trash any more", "its bytes are those of the link that took its place")
        if here is not None and dir_fd is not None and there.st_ino == back.ino:
            if here.st_ino != back.link_ino:
                return _IN_THE_WAY
            if here.st_nlink == 1 and not _holds(back, dir_fd, name):
                return _CHANGED  # Its last name: what is in it would be lost.
            exchange(aside_fd, aside, dir_fd, name)
            sync(dir_fd)
            there = look(aside_fd, aside)
        if there is not None and there.st_ino == back.link_ino:
            os.unlink(aside, dir_fd=aside_fd)
            sync(aside_fd)
            return _seen(back)
        return _rename_back(back, root_fd)  # The link was taken away, so its name is free.


def _holds(back: Back, dir_fd: int, name: bytes) -> bool:
    with closing(open_regular(dir_fd, name)) as fd:
        return sha256_of(fd) == back.sha256
