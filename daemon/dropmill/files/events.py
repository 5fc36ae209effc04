"""Filesystem events of one tree, on watchdog's inotify reader.

watchdog's observer would route each event through three threads and a delay queue that pairs renames, decode names,
and tell nobody of an overflow. Hints need none of that, so this stands directly on its reader thread
(``InotifyFD``) as a callback of its own: docs/decisions/002.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from watchdog.observers.inotify_c import (
    CallbackId,
    InotifyConstants,
    InotifyEvent,
    InotifyFD,
    Mask,
    WatchDescriptor,
)

from dropmill.files.bell import Bell
from dropmill.files.canary import CANARY
from dropmill.files.fstype import delivers_no_events
from dropmill.model.names import junk, junk_directory

# So many paths are remembered between two looks; beyond, a scan finds what the hints would have told (W33).
MOST_PENDING: Final = 10_000
READER_SECONDS: Final = 10.0

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
_NO_WATCH: Final = WatchDescriptor(-1)
# The one callback of its reader.
_ID: Final = CallbackId(0)


@dataclass(slots=True)
class Happened:
    """What was gathered between two looks."""

    paths: dict[bytes, None] = field(default_factory=dict)
    directories: dict[bytes, None] = field(default_factory=dict)
    """Directories that came into the tree and are to be watched, by ``EventTree.extend``."""
    overflowed: bool = False
    """Hints were lost, by the kernel or because there were too many to remember."""
    lost: bool = False
    """The root is gone."""

    @property
    def nothing(self) -> bool:
        return not (self.paths or self.directories or self.overflowed or self.lost)


class Pending:
    """What happened since the last ``take``, gathered by the reader thread. A path that changes a thousand times counts once."""

    def __init__(self, wake: Callable[[], None], most: int = MOST_PENDING) -> None:
        self._wake = wake
        self._most = most
        self._lock = threading.Lock()
        self._happened = Happened()

    def add(self, rel: bytes, *, directory: bool = False) -> None:
        with self._lock:
            first = self._happened.nothing
            known = self._happened.directories if directory else self._happened.paths
            if rel in known or len(known) < self._most:
                known[rel] = None
            else:
                self._happened.overflowed = True
        if first:
            self._wake()

    def overflow(self) -> None:
        with self._lock:
            self._happened.overflowed = True
        self._wake()

    def lose_root(self) -> None:
        with self._lock:
            self._happened.lost = True
        self._wake()

    @property
    def empty(self) -> bool:
        return self._happened.nothing

    def take(self) -> Happened:
        with self._lock:
            taken, self._happened = self._happened, Happened()
        return taken


class EventTree:
    """Watches on every directory of an inbox that is not junk, and the thread that reads what they tell.

    ``on_…`` are called by that thread, everything else by one thread of the inbox, since it may hang on a disk; watchdog
    holds a lock meanwhile that its reader needs too, so a reader is for one inbox only.
    """

    def __init__(self, root: bytes, pending: Pending, *, recursive: bool, ignore: Sequence[str]) -> None:
        """Raises OSError (EMFILE) where the limit of inotify instances, or of open files, is reached."""
        self._root = root
        self._pending = pending
        self._recursive = recursive
        self._ignore = tuple(ignore)
        self._lock = threading.Lock()
        self._directories: dict[WatchDescriptor, bytes] = {}
        self._watches: dict[bytes, WatchDescriptor] = {}
        self._polled: dict[bytes, bool] = {}
        self._dev = 0
        self.told = False
        """Whether the kernel has told of the canary, or of anything that may have come instead of it."""
        # watchdog would leave the instance behind if it failed half-way, at the pipe that it makes after it.
        for descriptor in os.pipe():
            os.close(descriptor)
        self._reader = InotifyFD()
        self._bell: Bell | None = None
        self._reader.start()

    def arm(self) -> None:
        """Watch the tree, once. Raises OSError (ENOSPC: the limit of watches; ENOENT) if the root cannot be watched."""
        try:
            self._dev = os.stat(self._root).st_dev
            self._watch(b"", hint=False)
        except OSError:
            self.disarm()
            raise
        self._bell = Bell(self._reader)

    def extend(self, directories: Sequence[bytes]) -> None:
        """Watch directories that came into the tree; what is in them already is hinted at."""
        for directory in directories:
            if any(directory.startswith(top + b"/") for top in list(self._polled)):
                continue
            # One of that name may have been removed while somebody still has it open: its end has not been told yet.
            self._forget(directory)
            self._watch(directory, hint=True)

    def heal(self) -> None:
        """Try the directories again that have no watch."""
        for directory, limited in list(self._polled.items()):
            self._polled.pop(directory, None)
            self._watch(directory, hint=True)
            if limited and self._polled.get(directory):
                return  # The limit still stands.

    def watches(self, directory: bytes) -> bool:
        return directory in self._watches

    @property
    def polled(self) -> dict[bytes, bool]:
        """Tops of subtrees that are to be polled: True where a limit kept them from being watched (W14), False where
        their file system tells of nothing (W16)."""
        return dict(self._polled)

    @property
    def alive(self) -> bool:
        """Whether somebody still reads the events (W17)."""
        return self._reader.is_alive()

    def ask(self) -> bool:
        """Ask the reader for a sign of life; whether it has given the one that it was asked for before. At once.

        One that has ended is known by that, and asked nothing.
        """
        bell = self._bell
        return bell is None or not self.alive or bell.ring()

    def disarm(self) -> None:
        """No more events: the watches go with the instance of inotify, and this tree is of no more use."""
        with self._lock:
            self._directories.clear()
            self._watches.clear()
            self._polled.clear()
        self._reader.stop()
        self._reader.join(READER_SECONDS)  # One that stands still is left to itself, and to the daemon's signs of life.
        if self._reader._is_reading and not self.alive:
            # watchdog leaves it to the thread to close what it reads from. One that died of it, or had yet to begin, has
            # not, and the instance would count for ever.
            self._reader._close_resources()
        if self._bell is not None:
            self._bell.close()

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
        if rel == CANARY:
            self.told = True
        elif event.mask & _DIRECTORY:
            self._directory_event(event, rel)
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
        self.told = True
        self._pending.overflow()

    def _directory_event(self, event: InotifyEvent, rel: bytes) -> None:
        if event.is_moved_from:
            self._forget(rel)
        elif (event.is_create or event.is_moved_to) and self._recursive and not junk_directory(rel, self._ignore):
            self._pending.add(rel, directory=True)

    def _watch(self, top: bytes, *, hint: bool) -> None:
        """Watch a directory and those below; files met on the way are hinted at, since they may predate the watch (W13)."""
        todo = [top]
        silent = {self._dev: False}  # By device. That of the root is for who asks for events of it to judge.
        while todo:
            directory = todo.pop()
            if directory not in self._watches and not self._add(directory, silent):
                continue
            try:
                with os.scandir(self._path(directory)) as entries:
                    for entry in entries:
                        rel = directory + b"/" + entry.name if directory else entry.name
                        if entry.is_dir(follow_symlinks=False):
                            if self._recursive and not junk_directory(rel, self._ignore):
                                todo.append(rel)
                        elif hint and not junk(rel, self._ignore):
                            self._pending.add(rel)
            except OSError:
                continue  # Gone again, or not ours to list: the scan reports what it cannot read.

    def _path(self, directory: bytes) -> bytes:
        return self._root + b"/" + directory if directory else self._root

    def _add(self, directory: bytes, silent: dict[int, bool]) -> bool:
        path = self._path(directory)
        try:
            if directory:
                dev = os.lstat(path).st_dev
                if dev not in silent:
                    silent[dev] = delivers_no_events(path)
                if silent[dev]:
                    self._polled[directory] = False
                    return False
            watch = self._reader.add_callback(path, _MASK, self, _ID)
            if watch == _NO_WATCH:  # watchdog keeps silent about EACCES.
                self._reader.remove_callbacks([(watch, _ID)])
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except OSError as error:
            if directory == b"":
                raise
            if error.errno in {errno.ENOSPC, errno.ENOMEM}:
                self._polled[directory] = True
            return False  # Gone again, or not ours to see.
        with self._lock:
            self._directories[watch] = directory
            self._watches[directory] = watch
        return True

    def _forget(self, directory: bytes) -> None:
        """A directory was moved away: what happens there is no longer ours to see."""
        prefix = directory + b"/"
        with self._lock:
            gone = [rel for rel in self._watches if rel == directory or rel.startswith(prefix)]
            watches = [(self._watches.pop(rel), _ID) for rel in gone]
            for watch, _ in watches:
                self._directories.pop(watch, None)
            for rel in [rel for rel in list(self._polled) if rel == directory or rel.startswith(prefix)]:
                self._polled.pop(rel, None)
        self._reader.remove_callbacks(watches)
