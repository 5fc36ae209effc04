"""The trash: a folder with a dot in its name, which no scan enters, beside the files that a person had taken away.

It is on the file system of the file, so that the way into it and back is a rename, which keeps bytes, times, mode, owner
and hard links as they are: ``<root>/.dropmill-trash/<batch>/<deed>-<name>``, or the same in the topmost folder on the way
to the file that is on the file's own mount.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from dropmill.files.access import (
    NotRegularFile,
    closing,
    components,
    look,
    open_dir_beneath,
    open_regular,
    open_root,
)
from dropmill.files.durable import make_dirs, sha256_of, sync
from dropmill.files.rename import aside_name
from dropmill.files.standing import disk_is_away, is_bare
from dropmill.model.names import shorten_component

TRASH: Final = b".dropmill-trash"

# What people throw away is for the daemon's user alone.
_MODE: Final = 0o700
_MOST_NAMES: Final = 1000


@dataclass(frozen=True, slots=True)
class Place:
    """A file ``rel`` below the folder ``root``."""

    root: bytes
    rel: bytes

    @property
    def path(self) -> bytes:
        return self.root.rstrip(b"/") + b"/" + self.rel


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing was changed. ``hint``: what a person can do about it."""

    detail: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Kept:
    """What a file that waits aside is known by."""

    size_bytes: int
    ino: int
    sha256: str

    def is_it(self, aside_fd: int, name: bytes, seen: os.stat_result) -> bool:
        """By its inode, or where a remount has changed that, by its bytes: another disk may have a trash of its own."""
        if seen.st_size != self.size_bytes:
            return False
        if seen.st_ino == self.ino:
            return True
        with closing(open_regular(aside_fd, name)) as fd:
            return sha256_of(fd) == self.sha256


def asides(file: Place, batch_id: int, deed_id: int) -> list[bytes]:
    """Where below its root a file may be put aside, best first: names that nothing has. Blocking.

    Only folders on the file's own file system count; whether one can be renamed into, a bind mount tells when it is
    tried. Raises OSError where the root cannot be opened.
    """
    *parents, name = components(file.rel)
    devices = []
    fd = open_root(file.root)
    for part in [*parents, b""]:
        with closing(fd):
            devices.append(os.fstat(fd).st_dev)
            if not part:
                break
            try:
                fd = open_dir_beneath(fd, part)
            except (FileNotFoundError, NotADirectoryError, NotRegularFile):
                break  # So is the file, as whoever looks for it finds.
    above = [b"/".join(parents[:depth]) for depth in range(len(devices))]
    with closing(open_root(file.root)) as root_fd:
        return [
            _free_aside(root_fd, folder + b"/" if folder else b"", batch_id, deed_id, name)
            for folder, device in zip(above, devices, strict=True)
            if device == devices[-1]
        ]


def _free_aside(root_fd: int, above: bytes, batch_id: int, deed_id: int, name: bytes) -> bytes:
    """Numbers of batches begin anew with a new catalog, and the trash of an earlier one may still be there."""
    for number in range(1, _MOST_NAMES):
        told = b"%d-%s" % (deed_id, name) if number == 1 else b"%d-%d-%s" % (deed_id, number, name)
        aside = b"%s%s/%d/%s" % (above, TRASH, batch_id, shorten_component(told))
        if not is_taken(root_fd, aside):
            return aside
    raise FileExistsError(errno.EEXIST, "no free name in the trash", name)


def is_taken(root_fd: int, aside: bytes) -> bool:
    """Whether something has the place, or the one that an exchange passes through."""
    with aside_dir(root_fd, aside) as (aside_fd, name):
        return aside_fd is not None and any(look(aside_fd, one) for one in (name, aside_name(name)))


UNMOUNTED: Final = "its disk seems not to be mounted"


def disk_is_gone(root: bytes, aside: bytes, recorded: str) -> bool:
    """Blocking. Whether the disk that a file was on is not mounted: that of its root, or one below that. Raises OSError.

    ``recorded``: the ``identity`` of what stood at the root. The trash of a file is in the topmost folder on the file's
    own disk, so ``aside`` tells where a disk below the root was mounted.
    """
    if disk_is_away(root, recorded):
        return True
    top = b"/".join(components(aside)[:-3])
    if not top:
        return False
    return is_bare(os.path.join(root, top))


@contextmanager
def aside_dir(root_fd: int, aside: bytes) -> Iterator[tuple[int | None, bytes]]:
    """The open directory that ``aside`` is in, None where it is missing, and the name in it."""
    folder, _, name = aside.rpartition(b"/")
    try:
        fd = open_dir_beneath(root_fd, folder)
    except FileNotFoundError:
        yield None, name
        return
    with closing(fd):
        yield fd, name


@contextmanager
def made_aside_dir(root_fd: int, aside: bytes) -> Iterator[tuple[int, bytes]]:
    """The same, made where it is missing."""
    folder, _, name = aside.rpartition(b"/")
    with closing(make_dirs(root_fd, folder, _MODE)) as fd:
        yield fd, name


def tidy(root_fd: int, aside: bytes) -> None:
    """Remove the folders of the trash that ``aside`` was in, as far as nothing else is in them."""
    folder = aside.rpartition(b"/")[0]
    for _ in range(2):
        above, _, name = folder.rpartition(b"/")
        try:
            with closing(open_dir_beneath(root_fd, above)) as above_fd:
                os.rmdir(name, dir_fd=above_fd)
                sync(above_fd)
        except FileNotFoundError:
            pass  # By an earlier call, which perhaps came no further.
        except OSError:
            return  # Something is in it, and if not, an empty folder harms nobody.
        folder = above


def purge(root: bytes, aside: bytes, kept: Kept, recorded: str) -> bool:
    """Delete for good what is kept aside. False where it cannot be told whether that is there: a disk may be missing.

    ``recorded`` as for ``disk_is_gone``. Blocking. Raises OSError, also where something else is in its place.
    """
    with closing(open_root(root)) as root_fd, aside_dir(root_fd, aside) as (aside_fd, name):
        seen = look(aside_fd, name) if aside_fd is not None else None
        if aside_fd is None or seen is None:
            return not disk_is_gone(root, aside, recorded) and (bool(recorded) or _has_anything(root_fd))
        if not kept.is_it(aside_fd, name, seen):
            raise OSError(errno.ESTALE, "what is in the trash has other bytes")
        os.unlink(name, dir_fd=aside_fd)
        sync(aside_fd)
        tidy(root_fd, aside)
    return True


def _has_anything(root_fd: int) -> bool:
    """An empty folder may be the place of a disk that is not mounted."""
    with os.scandir(root_fd) as found:
        return next(found, None) is not None


_REMEDIES: Final = {
    errno.EACCES: "give the daemon's user the right to write the file's folder",
    errno.EPERM: "the file or its folder is protected (chattr, or another owner): change that, or leave it",
    errno.EROFS: "the disk is mounted read-only, or the unit does not let the daemon write there (ReadWritePaths=)",
    errno.ENOSPC: "free space on the disk",
    errno.EDQUOT: "free space within the quota",
    errno.ENODEV: "mount it, then try again",
    errno.EAGAIN: "look at the group again, after the next scan of its inbox, or dropmill index DIR of its library",
    errno.EXDEV: "it lies on a mount of its own that takes no trash; move it by hand",
}


def refused(error: OSError) -> Refused:
    """What the system said, with a remedy."""
    told = error.strerror or str(error)
    return Refused(told, _REMEDIES.get(error.errno or 0, "look at the disk (dmesg) and its mount, then try again"))
