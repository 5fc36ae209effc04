"""How the last day went, minute by minute, for charts: counted from facts, kept in memory only."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from dropmill.control.describe import iso
from dropmill.observe import facts
from dropmill.observe.facts import Fact
from dropmill.ports import Clock

Json = dict[str, Any]

STEP_MS: Final = 60_000
MOST_MINUTES: Final = 24 * 60
_OWN: Final = ("published", "duplicate", "unchanged")
_DEPTHS: Final = ("waiting", "executing", "discarded_total")


@dataclass(slots=True)
class _Minute:
    number: int
    """Minutes since 1970 UTC."""
    counts: Counter[str] = field(default_factory=Counter)
    depth: dict[str, int] = field(default_factory=dict)
    """How the queue was when it was last looked at."""


class History:
    """A subscriber of facts. Minutes in which nothing happened take no room."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._started_ms = clock.now_ms()
        self._minutes: deque[_Minute] = deque()

    def __call__(self, fact: Fact) -> None:
        match fact:
            case facts.Completed():
                outcome = fact.outcome.value
                self._count(outcome if outcome in _OWN else "other")
                self._count("source_bytes", fact.size_bytes)
            case facts.Discarded():
                self._count("discarded")
            case facts.Rescheduled():
                self._count("retried")
            case facts.Downloaded():
                self._count("downloaded")

    async def run(self, status: Callable[[], Awaitable[Json]]) -> None:
        """Look at the queue once in every minute, until cancelled. ``status``: as of the desk."""
        while True:
            # A minute may go without its depth; whoever asks for the status is told why.
            with suppress(Exception):
                self.note((await status())["queue"])
            await self._clock.sleep((STEP_MS - self._clock.now_ms() % STEP_MS) / 1000)

    def note(self, queue: Json) -> None:
        """How the queue is now."""
        self._now().depth = {
            "waiting": queue["available"] + queue["scheduled"],
            "executing": queue["executing"],
            "discarded_total": queue["discarded"],
        }

    def told(self) -> Json:
        """``{started_at, step_seconds, minutes}``, oldest first and without gaps."""
        last = self._clock.now_ms() // STEP_MS
        first = max(min(self._started_ms // STEP_MS, last), last - MOST_MINUTES + 1)
        known = {minute.number: minute for minute in self._minutes}
        return {
            "started_at": iso(self._started_ms),
            "step_seconds": STEP_MS // 1000,
            "minutes": [_told(number, known.get(number)) for number in range(first, last + 1)],
        }

    def _count(self, name: str, amount: int = 1) -> None:
        self._now().counts[name] += amount

    def _now(self) -> _Minute:
        number = self._clock.now_ms() // STEP_MS
        # A clock that was set back goes on counting in the latest minute.
        if not self._minutes or self._minutes[-1].number < number:
            self._minutes.append(_Minute(number))
            while self._minutes[0].number <= number - MOST_MINUTES:
                self._minutes.popleft()
        return self._minutes[-1]


def _told(number: int, minute: _Minute | None) -> Json:
    counts = minute.counts if minute is not None else Counter[str]()
    depth = minute.depth if minute is not None else {}
    return {
        "at": iso(number * STEP_MS),
        **{name: counts[name] for name in (*_OWN, "discarded", "other", "retried", "downloaded", "source_bytes")},
        **{name: depth.get(name) for name in _DEPTHS},
    }
