"""What happens, for pages that listen: the latest events in a ring, so that a page that comes back gets what it missed."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import anyio

from dropmill.control.tidings import TIDINGS
from dropmill.observe.facts import Fact

Json = dict[str, Any]

# A page that was away for longer than these begin anew; at some hundred bytes each they take a few megabytes at most.
MOST_EVENTS: Final = 4096


@dataclass(frozen=True, slots=True)
class Event:
    """``kind``: job, queue, downloads, scan, groups, batch, health or configuration."""

    number: int
    kind: str
    data: Json


class Hub:
    """A subscriber of facts. Listeners have no queues of their own, so a slow one costs nothing: it misses events."""

    def __init__(self, mark: str, most: int = MOST_EVENTS) -> None:
        """``mark`` tells this run from others, whose events have the same numbers."""
        self.mark = mark
        self._ring: deque[Event] = deque(maxlen=most)
        self._number = 0
        self._bell = anyio.Event()
        self._closed = False
        self.stale = anyio.Event()
        """Set by facts: how things stand may be another way now."""

    def __call__(self, fact: Fact) -> None:
        self.stale.set()
        worded = TIDINGS.get(type(fact))
        if worded is not None:
            self.tell(*worded(fact))

    def tell(self, kind: str, data: Json) -> None:
        self._number += 1
        self._ring.append(Event(self._number, kind, data))
        self._bell.set()

    @property
    def latest(self) -> int:
        """Number of the latest event; 0 before the first."""
        return self._number

    @property
    def closed(self) -> bool:
        return self._closed

    def after(self, number: int) -> Sequence[Event] | None:
        """All events after that one; None where some of them are gone, or it is none of ours."""
        first = self._ring[0].number if self._ring else self._number + 1
        if not first - 1 <= number <= self._number:
            return None
        return list(islice(self._ring, number - first + 1, None))

    async def news(self, number: int) -> None:
        """Return once there is an event after that one, or it is over."""
        while self._number <= number and not self._closed:
            if self._bell.is_set():
                self._bell = anyio.Event()
            await self._bell.wait()

    def open(self) -> None:
        """Another set of parts serves now."""
        self._closed = False

    def close(self) -> None:
        """Whoever listens goes, so that nobody holds up the end of the server."""
        self._closed = True
        self._bell.set()
