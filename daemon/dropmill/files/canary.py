"""The self-test of events: a file that is there for an instant, of which the kernel has to tell.

It can only show that events do *not* work: a share tells of what this machine does and of nothing else, so an event that
comes proves little, and one that does not come proves that waiting for others is vain.
"""

from __future__ import annotations

import os
import stat
from typing import Final

# A dotfile, so nobody takes it for a picture; always the same, so that what a killed daemon left is found.
CANARY: Final = b".dropmill-canary"

# Programs that carry every change to other machines leave these in the folders that they keep in step.
_SYNCED: Final = (
    b".dropbox", b".dropbox.cache", b".stfolder", b".stignore", b".sync", b".owncloudsync.log", b".nextcloudsync.log",
    b"._sync_*.db", b".sync_*.db", b".tmp.drivedownload", b".tmp.driveupload", b".849C9593-D756-4E56-8D6E-42412F2A707B",
    b".SynologyWorkingDirectory", b".MEGAsync", b".megaignore", b".pcloud", b".bzvol",
)  # fmt: skip


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
    from fnmatch import fnmatchcase

    folder = os.path.abspath(root)
    while folder != b"/":
        try:
            names = os.listdir(folder) if folder == os.path.abspath(root) else _marks(folder)
        except OSError:
            return True  # What cannot be listed is not to be written to either.
        if any(fnmatchcase(name, mark) for name in names if name.startswith(b".") for mark in _SYNCED):
            return True
        folder = os.path.dirname(folder)
    return False


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
