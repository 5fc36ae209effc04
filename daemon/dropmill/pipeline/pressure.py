"""Back-pressure on discovery: what was not looked for yet waits in its folder, where it costs nothing (W33)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from dropmill.ports import Clock

# Files of one inbox that are on their way to being complete; each takes about 1 KB.
HIGH_WATER_FILES: Final = 10_000
LOW_WATER_FILES: Final = 5_000
# The catalog is not asked anew for every lot of files.
COUNT_SECONDS: Final = 1.0
_LOW_SHARE: Final = 0.9


class HighWater:
    """Whether discovery in one inbox has to wait. Once it does, it waits until there is room to speak of."""

    def __init__(
        self,
        waiting_files: Callable[[], int],
        queue_holds: Callable[[int], Awaitable[bool]],
        high_water_jobs: int,
        clock: Clock,
    ) -> None:
        """``queue_holds(n)``: whether the queue has that many jobs of the inbox, or more, that nobody has begun.

        Each inbox has a mark of its own, so that one which is paused or held keeps no other waiting.
        """
        self._waiting_files = waiting_files
        self._queue_holds = queue_holds
        self._high_water_jobs = high_water_jobs
        self._clock = clock
        self._files_full = False
        self._jobs_full = False
        self._counted_at: float | None = None

    @property
    def said(self) -> str:
        """What discovery waits for, or empty."""
        if self._jobs_full:
            return f"discovery waits: the queue holds {self._high_water_jobs:,} jobs of it (queue.high_water_jobs)"
        if self._files_full:
            return f"discovery waits: {self._waiting_files():,} files are not known to be complete yet"
        return ""

    async def full(self) -> bool:
        files = self._waiting_files()
        self._files_full = files > (LOW_WATER_FILES if self._files_full else HIGH_WATER_FILES)
        now = self._clock.monotonic()
        if self._counted_at is None or now - self._counted_at >= COUNT_SECONDS:
            mark = int(self._high_water_jobs * _LOW_SHARE) if self._jobs_full else self._high_water_jobs
            self._jobs_full = await self._queue_holds(max(1, mark))
            self._counted_at = now
        return self._files_full or self._jobs_full
