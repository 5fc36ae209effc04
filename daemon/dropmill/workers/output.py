"""What a process of the pool writes to stdout and stderr: always drained, kept in bounds, told with its job."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from dropmill.model.file import shown

MAX_LINE_BYTES: Final = 1_000
MAX_LINES_PER_JOB: Final = 100
_LAST_WORDS_BYTES: Final = 4_096
_READ_BYTES: Final = 64 << 10
# One pipe holds 64 KiB; a thread of the worker that goes on writing must not keep the daemon at it.
_READS_AT_A_JOBS_END: Final = 4


@dataclass(frozen=True, slots=True)
class WorkerOutput:
    """One printable line of at most ``MAX_LINE_BYTES`` bytes; ``job_id`` and ``epoch`` are None outside of a job.

    After ``MAX_LINES_PER_JOB`` lines the rest of a job's output is only counted: ``dropped_bytes`` in a last line.
    """

    pid: int
    job_id: int | None
    epoch: int | None
    text: str
    dropped_bytes: int = 0


class Drain:
    """Reads one process's pipe on the asyncio loop, whether or not anybody wants the words."""

    def __init__(self, fd: int, on_output: Callable[[WorkerOutput], None]) -> None:
        os.set_blocking(fd, False)
        self.pid = 0
        self._fd = fd
        self._on_output = on_output
        self._loop = asyncio.get_running_loop()
        self._job: tuple[int | None, int | None] = (None, None)
        self._line = bytearray()
        self._lines = 0
        self._dropped_bytes = 0
        self._last_words = b""
        self._open = True
        self._loop.add_reader(fd, self._read)

    def latest_words(self) -> bytes:
        """The last bytes (at most 4,096) written since the job in hand began."""
        self._catch_up()
        return self._last_words

    def begin(self, job_id: int, epoch: int) -> None:
        """What comes from here on belongs to this job."""
        self.end()
        self._job = (job_id, epoch)

    def end(self) -> None:
        """Tell what the job has written so far; what comes from here on belongs to none."""
        self._catch_up()
        self._end_line()
        if self._dropped_bytes:
            text = f"{self._dropped_bytes} more bytes of output left out"
            self._on_output(WorkerOutput(self.pid, *self._job, text, self._dropped_bytes))
        self._job = (None, None)
        self._lines = self._dropped_bytes = 0
        self._last_words = b""

    def close(self) -> None:
        if self._open:
            self.end()
            self._shut()

    def _catch_up(self) -> None:
        for _ in range(_READS_AT_A_JOBS_END):
            if not self._open or not self._read():
                return

    def _shut(self) -> None:
        if self._open:
            self._open = False
            self._loop.remove_reader(self._fd)
            os.close(self._fd)

    def _read(self) -> bool:
        try:
            data = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return False
        if not data:
            self._end_line()
            self._shut()
            return False
        self._last_words = (self._last_words + data)[-_LAST_WORDS_BYTES:]
        self._take(data)
        return True

    def _take(self, data: bytes) -> None:
        start = 0
        while start < len(data):
            if self._lines >= MAX_LINES_PER_JOB:
                self._dropped_bytes += len(data) - start
                return
            newline = data.find(b"\n", start)
            end = len(data) if newline < 0 else newline
            end = min(end, start + MAX_LINE_BYTES - len(self._line))
            self._line += data[start:end]
            start = end
            if start == newline:
                start += 1
                self._end_line()
            elif len(self._line) >= MAX_LINE_BYTES:
                self._end_line()

    def _end_line(self) -> None:
        if self._line:
            text = shown(bytes(self._line).decode("utf-8", "surrogateescape"))
            self._line.clear()
            self._lines += 1
            self._on_output(WorkerOutput(self.pid, *self._job, text))
