"""Where lines go. A destination that is full, slow or closed costs lines, never the daemon's time (S14)."""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import threading
from collections.abc import Callable
from typing import Final, Protocol

# So many lines wait for a destination that does not take them; then the newest are dropped and counted.
MOST_WAITING: Final = 10_000
FLUSH_SECONDS: Final = 2.0


class Destination(Protocol):
    """Takes encoded lines, in a thread of its own. May block; may raise ``OSError``."""

    def write(self, line: object) -> None: ...

    def close(self) -> None: ...


class Sink:
    """A thread between the event loop and a destination: putting a line never blocks and never raises."""

    def __init__(self, destination: Destination, lost_line: Callable[[int], object]) -> None:
        """``lost_line(n)`` words the line that says, once there is room again, that ``n`` lines were lost."""
        self._destination = destination
        self._lost_line = lost_line
        self._lines: queue.Queue[object] = queue.Queue(MOST_WAITING)
        self._end = object()
        self._counting = threading.Lock()
        self._lost = 0
        self.lost_total = 0
        self._thread = threading.Thread(target=self._work, name="log", daemon=True)
        self._thread.start()

    def put(self, line: object) -> None:
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self._lose()

    def close(self, patience_seconds: float = FLUSH_SECONDS) -> int:
        """Write what waits, for a moment at most. How many lines were not written, of all that are not told of yet."""
        try:
            self._lines.put(self._end, timeout=patience_seconds)
        except queue.Full:
            return self._lost + MOST_WAITING  # The destination is stuck; the thread dies with the process.
        self._thread.join(patience_seconds)
        # The mark of the end is no line; the one that is being written is.
        return self._lost + (self._lines.qsize() if self._thread.is_alive() else 0)

    def _lose(self) -> None:
        with self._counting:
            self._lost += 1
            self.lost_total += 1

    def _work(self) -> None:
        while (line := self._lines.get()) is not self._end:
            with self._counting:
                lost = self._lost
            try:
                if lost:
                    self._destination.write(self._lost_line(lost))
                    with self._counting:
                        self._lost -= lost
                self._destination.write(line)
            except (OSError, ValueError):  # A full disk, a closed pipe or descriptor: the next line is tried again.
                self._lose()
        with contextlib.suppress(OSError):  # Somebody else closed it before.
            self._destination.close()


class Stream:
    """An open descriptor, as a rule that of standard error."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def write(self, line: object) -> None:
        _write_all(self._fd, str(line))

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)


class File:
    """A file by its path, opened anew once log rotation has moved it away or where opening failed before."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = -1

    def open(self) -> None:
        """Raises ``OSError``."""
        self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)

    def write(self, line: object) -> None:
        if self._fd >= 0 and self._moved():
            os.close(self._fd)
            self._fd = -1
        if self._fd < 0:
            self.open()
        _write_all(self._fd, str(line))

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)

    def _moved(self) -> bool:
        try:
            named, opened = os.stat(self._path), os.fstat(self._fd)
        except OSError:
            return True
        return (named.st_dev, named.st_ino) != (opened.st_dev, opened.st_ino)


def _write_all(fd: int, text: str) -> None:
    data = text.encode("utf-8", "backslashreplace") + b"\n"
    while data:
        data = data[os.write(fd, data) :]


def stderr() -> Stream:
    """Standard error, by a descriptor that nobody else closes."""
    try:
        return Stream(os.dup(sys.__stderr__.fileno() if sys.__stderr__ is not None else 2))
    except (OSError, ValueError):
        return Stream(-1)  # Closed from the start: each line is lost, and the daemon runs.
