"""How long a file of an inbox must stay as it is, learned from the pauses that its writers make (W01). Pure.

A scanner that adds a page every four seconds to the file it wrote before makes every version look finished to an inbox
that waits one second. Each such pause, seen as a change to a version that had stayed as it is for ``settle_seconds``, is
remembered for ten minutes; from the third on the inbox waits half as long again as the third longest of them. One file
that its user touched again slows nothing, an import that writes every file once makes no pauses at all, and never is
``longest_seconds`` exceeded.

A file that is written for ever, as the latest picture of a webcam, would never be taken then: one that has waited for five
times ``longest_seconds`` needs to stay for ``settle_seconds`` only.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Final

from dropmill.model.file import Signature

# How many pauses must have been seen before they count: one or two are chance.
EVIDENCE: Final = 3
MARGIN: Final = 1.5
PATIENCE: Final = 5
"""A file waits for the writers' pauses so many times the longest settle time."""
MEMORY_SECONDS: Final = 600.0
_MOST_PAUSES: Final = 32
_MOST_PATHS: Final = 4096


class Pace:
    """Of one inbox. ``settle_seconds`` and ``longest_seconds`` bound what it answers; times are of a steady clock."""

    def __init__(self, settle_seconds: float, longest_seconds: float) -> None:
        self.shortest_seconds = settle_seconds
        self.longest_seconds = max(longest_seconds, settle_seconds)
        self._pauses: deque[tuple[float, float]] = deque(maxlen=_MOST_PAUSES)
        """(when it ended, its seconds), in order."""
        self._latest: OrderedDict[bytes, tuple[Signature, float]] = OrderedDict()
        """By path: the version seen last and when it was seen first, for the paths met most recently."""

    def seen(self, rel: bytes, signature: Signature, now: float) -> None:
        """A version of a path, whether it is new or was seen before."""
        before = self._latest.get(rel)
        if before is not None and before[0].same_bytes_expected(signature):
            return
        self._latest[rel] = (signature, now)
        self._latest.move_to_end(rel)
        if len(self._latest) > _MOST_PATHS:
            self._latest.popitem(last=False)
        if before is not None and self.shortest_seconds < now - before[1] <= self.longest_seconds:
            self._pauses.append((now, now - before[1]))

    def settle_seconds(self, now: float, waited_seconds: float = 0.0) -> float:
        """How long a file has to stay as it is at present, between the two bounds.

        ``waited_seconds``: how long that file has been waited for.
        """
        if waited_seconds >= PATIENCE * self.longest_seconds:
            return self.shortest_seconds
        while self._pauses and self._pauses[0][0] < now - MEMORY_SECONDS:
            self._pauses.popleft()
        if len(self._pauses) < EVIDENCE:
            return self.shortest_seconds
        third_longest = sorted(seconds for _, seconds in self._pauses)[-EVIDENCE]
        return min(max(third_longest * MARGIN, self.shortest_seconds), self.longest_seconds)
