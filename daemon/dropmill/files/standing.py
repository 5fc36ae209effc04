"""Which directory stands at an inbox's path, on which mount, and whether it is the one that was known (W26)."""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote_from_bytes, unquote_to_bytes

from dropmill.files.fstype import magic_of

# The machine, not the folder, is what fails then.
EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
# What an output has in it, and what a person makes in a folder that is to be used without the disk that was there.
MEANT: Final = b"/.dropmill"
_MOUNTS: Final = "/proc/self/mountinfo"
_FSTAB: Final = "/etc/fstab"
# Where by custom (hier(7)) each folder, or each folder of a user's, is the place of a disk.
_CUSTOMARY: Final = (b"/mnt", b"/media", b"/run/media")
_ESCAPED: Final = re.compile(rb"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Standing:
    """``dev`` and ``ino`` tell a directory from another while the system is up; ``identity`` outlives a remount.

    ``mount`` is the mount point that the directory lies under.
    """

    dev: int
    ino: int
    identity: str
    mount: bytes

    def same(self, other: Standing | None) -> bool:
        return other is not None and (self.dev, self.ino) == (other.dev, other.ino)


def standing(path: bytes) -> Standing | None:
    """Blocking. What stands at ``path``; None where no directory is, or none can be reached.

    Raises OSError where files can be opened nowhere (EMFILE, ENFILE, ENOMEM), which says nothing about the path.
    """
    try:
        fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            seen = os.fstat(fd)
            # The id of a file system is made from its uuid where it has one (statfs(2)), so it is that of its next mount.
            file_system = f"{magic_of(fd):x}:{os.statvfs(fd).f_fsid:x}"
        finally:
            os.close(fd)
        mount = _mount_of(path)
    except OSError as error:
        if error.errno in EXHAUSTED:
            raise
        return None
    return Standing(seen.st_dev, seen.st_ino, f"{file_system}:{seen.st_ino}@{quote_from_bytes(mount)}", mount)


def disk_is_missing(recorded: str, seen: Standing, *, empty: bool) -> bool:
    """Whether an empty folder is only the place where the recorded one's disk is mounted: it lay on a deeper mount.

    ``recorded``: the ``identity`` of an earlier standing of the same path, or anything else, which tells nothing.
    """
    met, at, quoted = recorded.partition("@")
    if met == seen.identity.partition("@")[0]:
        return False  # That folder itself, whatever was mounted above it.
    # Mount points above one path are beginnings of each other, so the longer one is the deeper one.
    return bool(at) and empty and len(unquote_to_bytes(quoted)) > len(seen.mount)


def disk_is_away(path: bytes, recorded: str) -> bool:
    """Blocking. Whether ``path`` is no more than the place where the disk of the ``recorded`` folder is to be mounted.

    A folder called ``.dropmill`` in it says that it is meant as it is. Raises OSError where files can be opened nowhere.
    """
    if mount_recorded(recorded) in {b"", b"/"}:
        return False
    above, seen = path, standing(path)
    empty = seen is None or (not os.path.lexists(path + MEANT) and _looks_empty(path))
    while seen is None and above.strip(b"/"):
        above = os.path.dirname(above) or b"/"
        seen = standing(above)
    return seen is not None and disk_is_missing(recorded, seen, empty=empty)


def bare_place(path: bytes) -> bytes | None:
    """Blocking. The place of a disk, by fstab(5) or by custom, at ``path`` or above it, where none is mounted now.

    What holds anything, be it a folder called ``.dropmill``, is used as it is. Raises OSError where files can be opened
    nowhere.
    """
    above = [os.path.realpath(path)]
    while above[-1].strip(b"/"):
        above.append(os.path.dirname(above[-1]))
    stands = next((seen for folder in above if (seen := standing(folder)) is not None), None)
    if stands is None:
        return None
    declared = declared_places()
    # What lies on a disk that somebody has mounted there is no place of another one by custom.
    by_custom = stands.mount not in _CUSTOMARY and not _is_customary(stands.mount)
    for place in above[: above.index(stands.mount)] if stands.mount in above else above:
        if place in declared or (by_custom and _is_customary(place) and os.path.lexists(place)):
            return None if os.path.lexists(place + MEANT) or not _looks_empty(place) else place
    return None


def _is_customary(place: bytes) -> bool:
    """Disks are mounted at /mnt/NAME, /media/NAME and, by udisks, /media/USER/NAME."""
    above = os.path.dirname(place)
    return above in _CUSTOMARY or os.path.dirname(above) in _CUSTOMARY[1:]


def declared_places() -> set[bytes]:
    """Blocking. The mount points of fstab(5)."""
    try:
        with open(_FSTAB, "rb") as lines:
            fields = [line.split() for line in lines if not line.lstrip().startswith(b"#")]
    except OSError:
        return set()  # Containers often have none.
    return {_unescaped(one[1]).rstrip(b"/") for one in fields if len(one) > 2 and one[1].startswith(b"/")} - {b""}


def mounts_below(root: bytes, folder: bytes) -> list[bytes]:
    """Blocking. Of the folders on the way from ``root`` to ``folder`` below it, those where another disk is mounted."""
    found = []
    above = standing(root)
    parts = [part for part in folder.split(b"/") if part]
    for depth in range(1, len(parts) + 1):
        rel = b"/".join(parts[:depth])
        seen = standing(os.path.join(root, rel))
        if seen is None or above is None:
            break
        if seen.dev != above.dev or seen.mount != above.mount:
            found.append(rel)
        above = seen
    return found


def mount_recorded(recorded: str) -> bytes:
    """The mount point in an ``identity``; empty where it has none."""
    return unquote_to_bytes(recorded.partition("@")[2])


def holds_nothing(path: bytes) -> bool:
    """Blocking. Whether a directory has no entries but dotfiles, which systems leave in a mount point. Raises OSError."""
    with os.scandir(path) as found:
        return all(entry.name.startswith(b".") for entry in found)


def is_bare(path: bytes) -> bool:
    """Blocking. Whether what was a mount point is none now, and holds nothing or is not there. Raises OSError."""
    seen, above = standing(path), standing(os.path.dirname(path))
    if seen is None or above is None:
        return True
    # Subvolumes have devices of their own and are no mounts, and bind mounts the other way round.
    return seen.dev == above.dev and seen.mount == above.mount and holds_nothing(path)


def _looks_empty(path: bytes) -> bool:
    try:
        return holds_nothing(path)
    except OSError:
        return True  # Places for disks are often made unreadable, so that nothing gets into them.


def _mount_of(path: bytes) -> bytes:
    """The deepest mount above, but for those that show a folder where it is anyway.

    The sandbox of a service mounts each folder that it lets through onto itself (systemd.exec(5), ReadWritePaths), be it the
    bare place of a disk.
    """
    whole = os.path.realpath(path) + b"/"
    deepest = b"/"
    met: set[tuple[bytes, bytes]] = set()  # Of each mount the device, and where in its file system the path is.
    with open(_MOUNTS, "rb") as mounts:
        for line in mounts:
            device, root, point = line.split(b" ", 5)[2:5]
            place = _unescaped(point).rstrip(b"/") + b"/"
            if not whole.startswith(place):
                continue
            shown = (device, _unescaped(root).rstrip(b"/") + b"/" + whole[len(place) :])
            if shown not in met and len(place) > len(deepest):
                deepest = place[:-1]
            met.add(shown)
    return deepest


def _unescaped(field: bytes) -> bytes:
    return _ESCAPED.sub(lambda found: bytes([int(found[1], 8)]), field)
