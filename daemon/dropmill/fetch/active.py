"""A download that runs: how far it is, and how fast."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import anyio

from dropmill.fetch.line import Queued
from dropmill.model.download import Fetch

# Bytes per second are told of about the last so many seconds.
RATE_SECONDS: Final = 2.0


@dataclass(slots=True, eq=False)
class Active:
    """``began``: on the monotonic clock. ``cut``: it was cancelled by us and has to be given back."""

    fetch: Fetch
    queued: Queued
    began: float
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    cut: bool = False
    size_bytes: int = 0
    total_bytes: int | None = None
    _first_bytes: int | None = None
    _rate: float | None = None
    _marked_at: float = 0.0
    _marked_bytes: int = 0

    @property
    def path(self) -> bytes:
        """The URL, as facts name it."""
        return self.fetch.wanted.canonical.encode()

    @property
    def received_bytes(self) -> int:
        """By this attempt."""
        return self.size_bytes - (self._first_bytes or 0)

    def note(self, size_bytes: int, total_bytes: int | None, now: float) -> None:
        """So many bytes are there, those of earlier attempts included."""
        if self._first_bytes is None:
            self._first_bytes = self._marked_bytes = size_bytes
            self._marked_at = now
        self.size_bytes, self.total_bytes = size_bytes, total_bytes
        if now - self._marked_at >= RATE_SECONDS:
            self._rate = max(0, size_bytes - self._marked_bytes) / (now - self._marked_at)
            self._marked_at, self._marked_bytes = now, size_bytes

    def told(self, now: float) -> dict[str, Any]:
        """As status and page show it. Until the first measurement, the rate is the one since the beginning."""
        seconds = now - self.began
        stalled = self._first_bytes is not None and now - self._marked_at >= 2 * RATE_SECONDS
        rate = self._rate if self._rate is not None else self.received_bytes / max(seconds, 0.001)
        if stalled:
            rate = (self.size_bytes - self._marked_bytes) / (now - self._marked_at)
        return {
            "job_id": self.fetch.job.id,
            "inbox": self.fetch.job.inbox,
            "url": self.fetch.wanted.canonical,
            "host": self.fetch.wanted.origin,
            "size_bytes": self.size_bytes,
            "total_bytes": self.total_bytes,
            "bytes_per_second": round(rate),
            "seconds": round(seconds, 3),
        }
