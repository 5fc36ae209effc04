"""What keeps files from being put into a folder, and how much room there is. Blocking, and it may hang with its disk."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

from dropmill.errors import DropmillError
from dropmill.files.roots import read_identity, staging_of
from dropmill.files.standing import disk_is_away

MOUNT_IT: Final = (
    "mount it, or bring the folder back, and work resumes by itself; to use what is there now instead, "
    "make a folder .dropmill in it, then: dropmill reload"
)


@dataclass(frozen=True, slots=True)
class Room:
    """``counted``: whether the file system counts its room at all; overlays and some shares do not."""

    free_bytes: int = 0
    free_inodes: int | None = None
    counted: bool = False
    trouble: str = ""
    remedy: str = ""
    """Where there is a better one for this trouble than for any."""
    size_bytes: int = 0


def room_of(path: bytes) -> Room:
    """Of a folder that takes files. What stands in the way is told as ``trouble`` and never raised."""
    try:
        disk = os.statvfs(path)
    except OSError as error:
        return Room(trouble=error.strerror or str(error))
    trouble = ""
    if disk.f_flag & os.ST_RDONLY:
        trouble = "its disk is mounted read-only"
    elif not os.access(path, os.W_OK | os.X_OK):
        trouble = "it is not writable"
    free_bytes, size_bytes = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
    inodes = disk.f_favail if disk.f_files else None
    return Room(free_bytes, inodes, disk.f_blocks > 0, trouble, size_bytes=size_bytes)


def room_of_output(path: bytes, identity: str) -> Room:
    """Of an output, if it still is the one that was recorded with this identity."""
    try:
        if read_identity(path) != identity:
            return Room(trouble="it is not the folder that was recorded; its disk may not be mounted", remedy=MOUNT_IT)
    except DropmillError as error:
        return Room(trouble=error.hint)
    except OSError as error:
        return Room(trouble=error.strerror or str(error))
    return room_of(staging_of(path))


def room_of_target(path: bytes, recorded: str) -> Room:
    """Of a folder that originals go to, if it is more than the place of the disk that it was ``recorded`` on."""
    try:
        if disk_is_away(path, recorded):
            return Room(trouble="its disk is not mounted", remedy=MOUNT_IT)
    except OSError as error:
        return Room(trouble=error.strerror or str(error))
    return room_of(path)


def answers(path: bytes) -> Room:
    """Only whether the folder's disk answers at all; whether it is there is somebody else's question."""
    try:
        os.stat(path)
    except OSError:
        pass  # An answer too.
    return Room()
