"""The clock adapters: the only place where time is read."""

from __future__ import annotations

import time

import anyio


class SystemClock:
    """The clock of the machine, as it is set."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)


class SteadyClock(SystemClock):
    """Wall time that only passes: where somebody sets the clock, it goes on as before until it is told to follow (W34)."""

    def __init__(self) -> None:
        self._ahead_ms = super().now_ms() - _passed_ms()

    def now_ms(self) -> int:
        return _passed_ms() + self._ahead_ms

    def astray_ms(self) -> int:
        """By how much the machine's clock was set forward since; negative for back."""
        return super().now_ms() - self.now_ms()

    def follow(self, by_ms: int) -> None:
        self._ahead_ms += by_ms


def _passed_ms() -> int:
    """Since the machine started, its sleep included: waking up is not a clock that was set."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
