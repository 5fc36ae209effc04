"""A question that only a reader of events can answer, so that one which stands still is told from one with nothing to tell."""

from __future__ import annotations

import os
import threading
from typing import Final

from watchdog.observers.inotify_c import CallbackId, InotifyConstants, InotifyEvent, InotifyFD, Mask, WatchDescriptor

_ID: Final = CallbackId(0)
_NO_FILE: Final = -1
_NO_WATCH: Final = WatchDescriptor(-1)


class Bell:
    """A file in memory that is watched beside the folders: to change it is the question, the event of that the answer.

    No disk takes part in it. It takes one of the user's watches; where there is none left, or none allowed, nobody is
    asked. ``on_…`` are called by the reader.
    """

    def __init__(self, reader: InotifyFD) -> None:
        self._lock = threading.Lock()
        self._answered = True
        self._fd = _NO_FILE
        try:
            self._fd = os.memfd_create("dropmill-bell", os.MFD_CLOEXEC)
            path = b"/proc/self/fd/%d" % self._fd
            if reader.add_callback(path, Mask(InotifyConstants.IN_ATTRIB), self, _ID) == _NO_WATCH:
                # watchdog keeps silent about EACCES, as of a security policy.
                reader.remove_callbacks([(_NO_WATCH, _ID)])
                self.close()
        except OSError:
            self.close()  # The limit of watches, or of open files, is reached, or there is no /proc.

    def ring(self) -> bool:
        """Ask again if the question before was answered; whether it was. Returns at once."""
        with self._lock:
            answered = self._answered
            if answered and self._fd != _NO_FILE:
                self._answered = False
                # What is written to a file in memory makes no event (Linux 6.18), what changes its attributes does.
                os.utime(self._fd)
        return answered

    def close(self) -> None:
        with self._lock:
            fd, self._fd = self._fd, _NO_FILE
            self._answered = True
        if fd != _NO_FILE:
            os.close(fd)

    def on_event(self, _event: InotifyEvent) -> None:
        self._answered = True

    def on_watch_deleted(self, _wd: WatchDescriptor) -> None:
        """The reader ends."""

    def on_queue_overflow(self) -> None:
        self._answered = True  # The event may have been among those lost; whoever tells of that reads.
