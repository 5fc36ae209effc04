"""File and keeper of a deed, open and compared byte by byte before anything is changed, and again afterwards by name."""

from __future__ import annotations

import os
from collections.abc import Iterator, MutableMapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from dropmill.files.access import NotRegularFile, closing, look, open_regular, parent_of
from dropmill.files.durable import sha256_of, sync_file
from dropmill.files.lease import believed
from dropmill.files.moving import Target, written_by_others
from dropmill.files.standing import disk_is_away
from dropmill.files.trash import Place, Refused
from dropmill.model.batch import Action
from dropmill.model.file import Signature, shown

Checked = MutableMapping[Place, tuple[str, Signature]]
"""Keepers whose bytes were compared: their SHA-256 and the signature that they had, by which they are known again."""

AGAIN: Final = "look at the group again, after the next scan of its inbox, or dropmill index DIR of its library"
_SAME_FILE: Final = Refused(
    "it is another name of its keeper's own file (a hard link), so deleting it would free nothing",
    "leave it, or remove that name by hand",
)
_GONE: Final = (FileNotFoundError, NotADirectoryError, NotRegularFile)


@dataclass(frozen=True, slots=True)
class Task:
    """One deed. ``aside`` is below the file's root; ``target`` is where a move goes, and ``None`` otherwise.

    ``ino``: what the file was when the deed was begun. ``resumed``: an earlier call may have done a part of it.
    ``permanent``: deleted for good. ``recorded``: the ``identity`` of what stood at the file's root by then;
    ``keeper_recorded``: at the keeper's.
    """

    action: Action
    file: Place
    size_bytes: int
    sha256: str
    ino: int
    keeper: Place
    keeper_sha256: str
    aside: bytes
    target: Target | None = None
    permanent: bool = False
    resumed: bool = False
    recorded: str = ""
    keeper_recorded: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """File and keeper, open and compared."""

    dir_fd: int
    name: bytes
    seen: os.stat_result
    keeper: Place
    keeper_fd: int
    keeper_seen: os.stat_result

    def is_at(self, dir_fd: int, name: bytes) -> bool:
        """Whether that name has the very file that was compared, unchanged."""
        now = look(dir_fd, name)
        return now is not None and Signature.of(self.seen).same_bytes_expected(Signature.of(now))

    @property
    def keeper_stands(self) -> bool:
        """Whether the keeper's name still has the file that was compared, unchanged.

        Opened anew: shares answer questions about names from memory, and where two mounts show one file it has gone with
        the copy.
        """
        try:
            with (
                parent_of(self.keeper.root, self.keeper.rel) as (dir_fd, name),
                closing(open_regular(dir_fd, name)) as fd,
            ):
                return Signature.of(self.keeper_seen).same_bytes_expected(Signature.of(os.fstat(fd)))
        except _GONE:
            return False


@contextmanager
def compared(task: Task, checked: Checked) -> Iterator[Found | Refused]:
    """Both files with the bytes that the person saw, and a lease on the one that goes where leases count.

    Raises OSErrors other than those that say that one of them is gone.
    """
    with ExitStack() as opened:
        yield _compare(task, checked, opened)


def _compare(task: Task, checked: Checked, opened: ExitStack) -> Found | Refused:
    keeper_path = shown(task.keeper.path)
    try:
        keeper_at = opened.enter_context(parent_of(task.keeper.root, task.keeper.rel))
        keeper_fd = opened.enter_context(closing(open_regular(*keeper_at)))
    except _GONE:
        if disk_is_away(task.keeper.root, task.keeper_recorded):
            return Refused(f"the disk of its keeper {keeper_path} is away", "mount it, then look at the group again")
        return Refused(f"its keeper {keeper_path} is not there any more", AGAIN)
    if not _keeper_is_whole(task, keeper_fd, checked):
        return Refused(f"its keeper {keeper_path} has other bytes than before", AGAIN)
    try:
        file_at = opened.enter_context(parent_of(task.file.root, task.file.rel))
        fd = opened.enter_context(closing(open_regular(*file_at)))
    except _GONE:
        return Refused("it is not there any more", AGAIN)
    seen, keeper = os.fstat(fd), os.fstat(keeper_fd)
    if same_file(seen, keeper):
        if seen.st_nlink == 1 or (
            same_file(os.fstat(file_at[0]), os.fstat(keeper_at[0])) and file_at[1] == keeper_at[1]
        ):
            return Refused("this is the keeper itself, reached by another folder", "nothing is to be done")
        if task.action is Action.LINK:
            return Refused("it is the same file as the keeper already", "nothing is to be done")
        if task.action is Action.DELETE:
            return _SAME_FILE
    if written_by_others(fd, believed(task.file.root, task.file.rel.rpartition(b"/")[0])):
        return Refused("somebody has it open for writing", "try again once it is closed")
    if (seen.st_ino, seen.st_size) != (task.ino, task.size_bytes) or sha256_of(fd) != task.sha256:
        return Refused("it has other bytes than before", AGAIN)
    return Found(*file_at, seen, task.keeper, keeper_fd, keeper)


def keeper_outlives(task: Task, gone: os.stat_result) -> bool:
    """Whether the keeper's bytes, read anew, will be on the disk still when the last name of ``gone`` is taken away."""
    try:
        with (
            parent_of(task.keeper.root, task.keeper.rel) as (dir_fd, name),
            closing(open_regular(dir_fd, name)) as fd,
        ):
            if same_file(os.fstat(fd), gone) and os.fstat(fd).st_nlink == 1:
                return False
            if sha256_of(fd) != task.keeper_sha256:
                return False
            sync_file(fd)
            return True
    except _GONE:
        return False


def _keeper_is_whole(task: Task, keeper_fd: int, checked: Checked) -> bool:
    """By its bytes, which are read again whenever anything about it is different from the last time."""
    now = Signature.of(os.fstat(keeper_fd))
    if checked.get(task.keeper) == (task.keeper_sha256, now):
        return True
    if sha256_of(keeper_fd) != task.keeper_sha256:
        return False
    if task.permanent:
        sync_file(keeper_fd)  # It is about to be all that is left, and may have been written by somebody else just now.
    checked[task.keeper] = (task.keeper_sha256, now)
    return True


def look_at(place: Place) -> os.stat_result | None:
    """``lstat`` of a file below a root; None where it, or a folder on the way to it, is gone or leads elsewhere."""
    with holding_dir(place) as (dir_fd, name):
        return None if dir_fd is None else look(dir_fd, name)


@contextmanager
def holding_dir(place: Place) -> Iterator[tuple[int | None, bytes]]:
    """The open directory of a file, None where that is gone or leads elsewhere, and the file's name in it."""
    with ExitStack() as opened:
        dir_fd: int | None
        try:
            dir_fd, _ = opened.enter_context(parent_of(place.root, place.rel))
        except _GONE:
            dir_fd = None
        yield dir_fd, place.rel.rpartition(b"/")[2]


def same_file(one: os.stat_result | None, other: os.stat_result | None) -> bool:
    """Whether both are there and are one inode."""
    return one is not None and other is not None and (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
