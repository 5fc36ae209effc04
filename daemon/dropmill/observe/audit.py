"""The file in which stands what clients changed: the lines of the log about it, each synced to the disk."""

from __future__ import annotations

import os
from typing import Final, Self

import anyio

from dropmill.errors import ConfigurationError
from dropmill.files.lane import Lane
from dropmill.observe.facts_http import Audited
from dropmill.observe.render import as_json
from dropmill.observe.sink import File, Sink
from dropmill.observe.wording import Wording
from dropmill.ports import Clock

# A disk that has not opened a file by then hangs.
OPEN_SECONDS: Final = 10.0
# At the end a disk that is merely slow gets its lines; one that hangs is not waited for until somebody kills us.
CLOSE_SECONDS: Final = 10.0


class AuditFile:
    """A subscriber of ``Audited``. A disk that is full or slow costs lines, which the next one tells, and delays nobody."""

    def __init__(self, file: _Synced, lane: Lane, clock: Clock) -> None:
        """``file`` is open; ``lane`` is its own."""
        self._lane = lane
        self._clock = clock
        self._wording = Wording({})
        self._sink = Sink(
            file, lambda count: self._line("warning", "lines were lost; the disk did not take them", lines=count)
        )

    @classmethod
    async def opened(cls, path: str, clock: Clock) -> Self:
        """Raises ``ConfigurationError`` where the file cannot be opened, or its disk does not answer."""
        file, lane = _Synced(path), Lane("audit")
        try:
            await lane.call_within(OPEN_SECONDS, file.open)
        except OSError as error:
            lane.close()
            raise ConfigurationError(
                f"http.audit_file: {path} cannot be opened: {error.strerror}",
                hint="make its folder and let the daemon's user write there, or leave http.audit_file out",
            ) from error
        return cls(file, lane, clock)

    def __call__(self, fact: Audited) -> None:
        line = self._wording(fact)
        self._sink.put(self._line(line.level, line.event, **line.fields))

    async def close(self) -> int:
        """Write out what waits, for ``CLOSE_SECONDS`` at most, also where the caller is cancelled. Lines that were lost."""
        with anyio.CancelScope(shield=True):
            lost = await self._lane.call(self._sink.close, CLOSE_SECONDS)
        self._lane.close()
        return lost

    def _line(self, level: str, event: str, **fields: object) -> str:
        told = {"timestamp_ms": self._clock.now_ms(), "level": level, "event": event, **fields}
        return as_json(None, level, told)


class _Synced(File):
    def write(self, line: object) -> None:
        super().write(line)
        os.fsync(self._fd)
