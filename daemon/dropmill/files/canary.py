"""The self-test of events: a file that is there for an instant, of which the kernel has to tell.

It can only show that events do *not* work: a share tells of what this machine does and of nothing else, so an event that
comes proves little, and one that does not come proves that waiting for others is vain.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from typing import Final

# A dotfile, so nobody takes it for a picture; always the same, so that what a killed daemon left is found.
CANARY: Final = b".dropmill-canary"

# What Dropbox, OneDrive, Syncthing, Resilio Sync, ownCloud, Nextcloud, Google Drive, MEGA and Synology Drive leave in, or
# call, the folders that they keep in step with other machines.
_MARK: Final = re.compile(
    rb"\.dropbox(\.cache)?|\.stfolder|\.stignore|\.sync|\.owncloudsync\.log|\.nextcloudsync\.log|\.?_?sync_[0-9a-f]+\.db"
    rb"|\.tmp\.drive(down|up)load|\.mega(sync|ignore)|\.SynologyWorkingDirectory|\.onedrive.*",
    re.IGNORECASE,
)
_NAMED: Final = re.compile(rb"(dropbox|onedrive)( .*| - .*)?", re.IGNORECASE)


def release(root: bytes) -> bool:
    """Blocking. Make the file and remove it at once; False where it is better left undone, or cannot be done.

    That is: in a folder that is synchronised, or that the daemon may not write. Whatever an earlier daemon left of it is
    removed in any case.
    """
    path = root + b"/" + CANARY
    if not _removed(path) or is_synced(root):
        return False
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    except OSError:
        return False  # Read-only, full, or not ours to write: then there is no test.
    return _removed(path)


def is_synced(root: bytes) -> bool:
    """Blocking. Whether a folder, or one above it, carries the mark of a program that synchronises it."""
    folder = os.path.realpath(root)
    while folder != b"/":
        if _NAMED.fullmatch(os.path.basename(folder)) or any(_MARK.fullmatch(name) for name in _names(folder)):
            return True
        folder = os.path.dirname(folder)
    return False


def _names(folder: bytes) -> Iterator[bytes]:
    try:
        with os.scandir(folder) as found:
            yield from (entry.name for entry in found)
    except OSError:
        return  # Not ours to list, so nothing is known of it; where it is not ours to write either, there is no test.


def _removed(path: bytes) -> bool:
    """Whether nothing of that name is there any more. A file with something in it is not ours."""
    try:
        seen = os.lstat(path)
        if not stat.S_ISREG(seen.st_mode) or seen.st_size:
            return False
        os.unlink(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
