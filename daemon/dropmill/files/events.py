"""Filesystem events of one tree, on watchdog's inotify reader.

watchdog's observer would route each event through three threads and a delay queue that pairs renames, decode names,
and tell nobody of an overflow. Hints need none of that, so this stands directly on its reader thread
(``InotifyFD``) as a callback of its own: docs/decisions/002.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from typing import Final

from watchdog.observers.inotify_c import (
    CallbackId,
    InotifyConstants,
    InotifyEvent,
    InotifyFD,
    Mask,
    WatchDescriptor,
)

from dropmill.model.names import junk, junk_directory

# Reading and our own renames out of the inbox are not among them, so the daemon's work makes no events (W32).
_MASK: Final = Mask(
    InotifyConstants.IN_CREATE
    | InotifyConstants.IN_MODIFY
    | InotifyConstants.IN_CLOSE_WRITE
    | InotifyConstants.IN_MOVED_TO
    | InotifyConstants.IN_MOVED_FROM
    | InotifyConstants.IN_DELETE_SELF
    | InotifyConstants.IN_MOVE_SELF
    | InotifyConstants.IN_ONLYDIR
    | InotifyConstants.IN_DONT_FOLLOW
    | InotifyConstants.IN_EXCL_UNLINK
)
_DIRECTORY: Final = InotifyConstants.IN_ISDIR
_SELF: Final = InotifyConstants.IN_DELETE_SELF | InotifyConstants.IN_MOVE_SELF | InotifyConstants.IN_UNMOUNT


class Pending:
    """What happened since the last ``take``, gathered by the reader thread. A path that changes a thousand times counts once."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._paths: dict[bytes, None] = {}
        self._overflowed = False
        self._lost = False
        self._unwatched: dict[bytes, int] = {}

    def add(self, rel: bytes) -> None:
        with self._lock:
            first = not self._paths
            self._paths[rel] = None
        if first:
            self._wake()

    def overflow(self) -> None:
        with self._lock:
            self._overflowed = True
        self._wake()

    def lose_root(self) -> None:
        with self._lock:
            self._lost = True
        self._wake()

    def unwatched(self, rel: bytes, error: int) -> None:
        with self._lock:
            self._unwatched[rel] = error
        self._wake()

    @property
    def empty(self) -> bool:
        return not (self._paths or self._overflowed or self._lost or self._unwatched)

    def take(self) -> tuple[list[bytes], bool, bool, dict[bytes, int]]:
        """(paths hinted at, whether events were lost, whether the root is gone, directories without a watch → errno)."""
        with self._lock:
            taken = (list(self._paths), self._overflowed, self._lost, self._unwatched)
            self._paths, self._overflowed, self._lost, self._unwatched = {}, False, False, {}
        return taken


class EventTree:
    """Watches on every directory of an inbox that is not junk. Calls come from the reader thread."""

    def __init__(
        self, reader: InotifyFD, root: bytes, pending: Pending, *, recursive: bool, ignore: Sequence[str]
    ) -> None:
        self._reader = reader
        self._root = root
        self._pending = pending
        self._recursive = recursive
        self._ignore = tuple(ignore)
        self._id = CallbackId(id(self))
        self._lock = threading.Lock()
        self._directories: dict[WatchDescriptor, bytes] = {}
        self._watches: dict[bytes, WatchDescriptor] = {}

    def arm(self) -> None:
        """Watch the tree. Raises OSError (ENOSPC, EMFILE: the limits of inotify; ENOENT) if the root cannot be watched."""
        self._watch(b"", hint=False)

    def rearm(self) -> None:
        """Watch the tree anew after events were lost, since directories may have come and gone unseen."""
        self.disarm()
        self.arm()

    def disarm(self) -> None:
        with self._lock:
            watches = [(watch, self._id) for watch in self._directories]
            self._directories.clear()
            self._watches.clear()
        try:
            self._reader.remove_callbacks(watches)
        except OSError:
            return  # The reader is closed: there is nothing left to remove.

    @property
    def size(self) -> int:
        """How many directories are watched."""
        return len(self._directories)

    def on_event(self, event: InotifyEvent) -> None:
        with self._lock:
            directory = self._directories.get(event.wd)
        if directory is None:
            return
        if event.mask & _SELF:
            if directory == b"":
                self._pending.lose_root()
            return
        name = event.name
        if not name:
            return
        rel = directory + b"/" + name if directory else name
        if event.mask & _DIRECTORY:
            self._directory_event(event, name, rel)
        elif not event.is_moved_from and not junk(rel, self._ignore):
            self._pending.add(rel)

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        with self._lock:
            directory = self._directories.pop(wd, None)
            if directory is not None and self._watches.get(directory) == wd:
                del self._watches[directory]
        if directory == b"":
            self._pending.lose_root()

    def on_queue_overflow(self) -> None:
        self._pending.overflow()

    def _directory_event(self, event: InotifyEvent, name: bytes, rel: bytes) -> None:
        if event.is_moved_from:
            self._forget(rel)
        elif (event.is_create or event.is_moved_to) and self._recursive and not junk_directory(rel, self._ignore):
            # One of that name may have been removed while somebody still has it open: its end has not been told yet.
            self._forget(rel)
            self._watch(rel, hint=True)

    def _watch(self, top: bytes, *, hint: bool) -> None:
        """Watch a directory and those below; files met on the way are hinted at, since they may predate the watch (W13)."""
        todo = [top]
        while todo:
            directory = todo.pop()
            if directory not in self._watches and not self._add(directory):
                continue
            try:
                with os.scandir(self._root + b"/" + directory if directory else self._root) as entries:
                    for entry in entries:
                        rel = directory + b"/" + entry.name if directory else entry.name
                        if entry.is_dir(follow_symlinks=False):
                            if self._recursive and not junk_directory(rel, self._ignore):
                                todo.append(rel)
                        elif hint and not junk(rel, self._ignore):
                            self._pending.add(rel)
            except OSError:
                continue  # Gone again, or not ours to list: the scan reports what it cannot read.

    def _add(self, directory: bytes) -> bool:
        path = self._root + b"/" + directory if directory else self._root
        try:
            watch = self._reader.add_callback(path, _MASK, self, self._id)
        except OSError as error:
            if directory == b"":
                raise
            if os.path.isdir(path):
                self._pending.unwatched(directory, error.errno or 0)
            return False
        with self._lock:
            self._directories[watch] = directory
            self._watches[directory] = watch
        return True

    def _forget(self, directory: bytes) -> None:
        """A directory was moved away: what happens there is no longer ours to see."""
        prefix = directory + b"/"
        with self._lock:
            gone = [rel for rel in self._watches if rel == directory or rel.startswith(prefix)]
            watches = [(self._watches.pop(rel), self._id) for rel in gone]
            for watch, _ in watches:
                self._directories.pop(watch, None)
        self._reader.remove_callbacks(watches)
