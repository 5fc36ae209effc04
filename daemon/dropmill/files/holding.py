"""Who reads a drop-file: one daemon at a time, whichever state directories they have.

The lock is on the results file, which is ours: on the drop-file it would block programs that lock it themselves to append.
"""

from __future__ import annotations

import os
import threading
from typing import Final

from dropmill.errors import AlreadyRunning
from dropmill.files.access import closing
from dropmill.files.dropfile import open_results
from dropmill.files.roots import DirectoryLock, lock_opened
from dropmill.model.tailing import FileId

_OPEN: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY


class ResultsLock:
    """The lock of a drop-file, which goes with whatever results file is at its place, also after that was rotated."""

    def __init__(self, root: bytes, rel: bytes, mode: int, gid: int) -> None:
        """``rel``: the results file, below ``root``, of which no part is a symlink; ``mode`` and ``gid`` of a new one."""
        self._place = (root, rel, mode, gid)
        self._path = root.rstrip(b"/") + b"/" + rel
        self._held: tuple[FileId, DirectoryLock] | None = None
        self._theirs: int | None = None
        self._closed = False
        self._guard = threading.Lock()

    def take(self) -> None:
        """Blocking. Raises ``AlreadyRunning`` where another daemon reads the drop-file.

        Where there can be no results file, or no lock, nothing keeps two daemons apart, and none of them from reading.
        """
        try:
            self._wait_for_theirs()
            found = open_results(*self._place).file
            if self._held is None or self._held[0] != found:
                self._take(os.open(self._path, _OPEN))
        except OSError:
            return

    def _wait_for_theirs(self) -> None:
        """Whoever had the results file that was met before has the next one too, however soon after a rotation it is met."""
        with self._guard:
            theirs = None if self._theirs is None else os.dup(self._theirs)
        if theirs is not None:
            lock_opened(theirs, self._path).release()
            self._forget_theirs()

    def _take(self, fd: int) -> None:
        seen = os.fstat(fd)
        with closing(os.dup(fd)) as same:
            try:
                lock = lock_opened(fd, self._path)
            except AlreadyRunning:
                with self._guard:
                    self._theirs = os.dup(same)
                raise
        with self._guard:
            earlier, self._held = self._held, (FileId(seen.st_dev, seen.st_ino), lock)
        if earlier is not None:
            earlier[1].release()
        if self._closed:
            self.close()

    def _forget_theirs(self) -> None:
        with self._guard:
            theirs, self._theirs = self._theirs, None
        if theirs is not None:
            os.close(theirs)

    def close(self) -> None:
        """From any thread: let go for good, so that what comes after us can have it."""
        self._closed = True
        with self._guard:
            held, self._held = self._held, None
        if held is not None:
            held[1].release()
        self._forget_theirs()
