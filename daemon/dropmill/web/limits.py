"""How often a client may ask, and how often it may guess. Nothing here reads a clock; ``now`` is in seconds of one that
never jumps. What is remembered is bounded: of too many clients, those are forgotten that were not heard of for longest."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, TypeVar

T = TypeVar("T")

MOST_CLIENTS: Final = 4096
# So much at once: a page with all its pictures.
BURST_SECONDS: Final = 10.0
# A client that is refused a thousand times is told of once in this time.
TELL_SECONDS: Final = 60.0

# People mistype; a program that goes on is no person.
FREE_FAILURES: Final = 5
LONGEST_PAUSE_SECONDS: Final = 60.0
FORGET_FAILURES_SECONDS: Final = 900.0
# Of all clients together, so that many addresses guess no faster than a few.
FAILURES_PER_SECOND: Final = 2.0
FAILURES_AT_ONCE: Final = 100.0


@dataclass(slots=True)
class Bucket:
    """Fills up at ``rate`` a second to at most ``size``, and is emptied one by one."""

    rate: float
    size: float
    level: float
    at: float

    def take(self, now: float) -> float:
        """Seconds until there would be one; 0 where there was one, and it is taken."""
        self.fill(now)
        if self.level < 1:
            return (1 - self.level) / self.rate
        self.level -= 1
        return 0.0

    def fill(self, now: float) -> None:
        self.level = min(self.size, self.level + max(0.0, now - self.at) * self.rate)
        self.at = now


class Rates:
    """``per_second`` requests of each client, and ``BURST_SECONDS`` worth of them at once. 0: as many as it likes."""

    def __init__(self, per_second: float, most: int = MOST_CLIENTS) -> None:
        self._per_second = per_second
        self._most = most
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()
        self._told: OrderedDict[str, float] = OrderedDict()

    def wait(self, client: str, now: float) -> float:
        """Count a request. Seconds until the client may ask again; 0 where it may now."""
        if not self._per_second:
            return 0.0
        size = max(1.0, self._per_second * BURST_SECONDS)
        bucket = self._buckets.pop(client, None) or Bucket(self._per_second, size, size, now)
        _remember(self._buckets, client, bucket, self._most)
        return bucket.take(now)

    def is_news(self, client: str, now: float) -> bool:
        """Whether nobody was told of this client's haste for a while."""
        before = self._told.get(client)
        if before is not None and now - before < TELL_SECONDS:
            return False
        self._told.pop(client, None)
        _remember(self._told, client, now, self._most)
        return True

    def __len__(self) -> int:
        return len(self._buckets)


@dataclass(slots=True)
class _Failures:
    count: int
    at: float


class Attempts:
    """Wrong tokens. A client's pauses double; who has never failed waits for nobody else's failures.

    A right token that comes during a pause is not looked at, or guessing would cost nothing; one that is too long to be
    guessed is let through before anybody asks here.
    """

    def __init__(self, now: float, most: int = MOST_CLIENTS) -> None:
        self._most = most
        self._failures: OrderedDict[str, _Failures] = OrderedDict()
        self._of_all = Bucket(FAILURES_PER_SECOND, FAILURES_AT_ONCE, FAILURES_AT_ONCE, now)

    def wait(self, client: str, now: float) -> float:
        """Seconds until this client's token is looked at again; 0 for now."""
        known = self._failures.get(client)
        if known is None or now - known.at >= FORGET_FAILURES_SECONDS:
            return 0.0
        self._of_all.fill(now)
        for_all = max(0.0, 1 - self._of_all.level) / FAILURES_PER_SECOND
        return max(0.0, known.at + pause_seconds(known.count) - now, for_all)

    def failed(self, client: str, now: float) -> None:
        known = self._failures.pop(client, None)
        if known is None or now - known.at >= FORGET_FAILURES_SECONDS:
            known = _Failures(0, now)
        _remember(self._failures, client, _Failures(known.count + 1, now), self._most)
        self._of_all.take(now)

    def __len__(self) -> int:
        return len(self._failures)


class Crowd:
    """Requests of each client that are being answered, streams of events among them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._present: dict[str, int] = {}

    def enter(self, client: str) -> bool:
        """False where so many of it are in already; otherwise it has to ``leave``."""
        count = self._present.get(client, 0)
        if count >= self._most:
            return False
        self._present[client] = count + 1
        return True

    def leave(self, client: str) -> None:
        count = self._present.pop(client) - 1
        if count:
            self._present[client] = count


def pause_seconds(failures: int) -> float:
    """1, 2, 4, … after the first few."""
    if failures < FREE_FAILURES:
        return 0.0
    return float(min(LONGEST_PAUSE_SECONDS, 2 ** min(failures - FREE_FAILURES, 16)))


def _remember(known: OrderedDict[str, T], client: str, what: T, most: int) -> None:
    known[client] = what
    if len(known) > most:
        known.popitem(last=False)
