"""The file in which stands what clients changed: the lines of the log about it, each synced to the disk."""

from __future__ import annotations

import os

from dropmill.errors import ConfigurationError
from dropmill.observe.facts_http import Audited
from dropmill.observe.render import as_json
from dropmill.observe.sink import File, Sink
from dropmill.observe.wording import Wording
from dropmill.ports import Clock


class AuditFile:
    """A subscriber of ``Audited``. A disk that is full or slow costs lines, which the next one tells, and delays nobody."""

    def __init__(self, path: str, clock: Clock) -> None:
        """Raises ``ConfigurationError`` where the file cannot be opened."""
        file = _Synced(path)
        try:
            file.open()
        except OSError as error:
            raise ConfigurationError(
                f"http.audit_file: {path} cannot be opened: {error.strerror}",
                hint="make its folder and let the daemon's user write there, or leave http.audit_file out",
            ) from error
        self._clock = clock
        self._wording = Wording({})
        self._sink = Sink(
            file, lambda count: self._line("warning", "lines were lost; the disk did not take them", lines=count)
        )

    def __call__(self, fact: Audited) -> None:
        line = self._wording(fact)
        self._sink.put(self._line(line.level, line.event, **line.fields))

    def close(self) -> None:
        """Write out what waits."""
        self._sink.close()

    def _line(self, level: str, event: str, **fields: object) -> str:
        told = {"timestamp_ms": self._clock.now_ms(), "level": level, "event": event, **fields}
        return as_json(None, level, told)


class _Synced(File):
    def write(self, line: object) -> None:
        super().write(line)
        os.fsync(self._fd)
