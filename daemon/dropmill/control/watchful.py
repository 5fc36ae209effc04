"""What the desk remembers between two questions: facts that health asks for, and looks at folders that may hang."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from dropmill.files.lane import Lane
from dropmill.observe.facts import Claimed, Completed, Enqueued, Fact, Scanned, StateTrouble
from dropmill.ports import Clock

# Trouble with the catalog is believed to last that long after it was last met.
TROUBLE_SECONDS: Final = 15.0
PROBE_SECONDS: Final = 1.0
# A look at a folder serves everybody who asks within this time.
PROBE_AGE_SECONDS: Final = 2.0


@dataclass(slots=True)
class Chronicle:
    """A subscriber to facts that keeps the latest of those that status and health tell of."""

    clock: Clock
    scans: dict[str, tuple[int, Scanned]] = field(default_factory=dict)
    """By inbox: when (wall milliseconds) the last scan ended, and what it found."""
    _trouble: tuple[float, StateTrouble] | None = None

    def __call__(self, fact: Fact) -> None:
        match fact:
            case Scanned(inbox=inbox):
                self.scans[inbox] = (self.clock.now_ms(), fact)
            case StateTrouble():
                self._trouble = (self.clock.monotonic(), fact)
            case Enqueued() | Claimed() | Completed():
                self._trouble = None  # Something was written after all.

    @property
    def trouble(self) -> StateTrouble | None:
        if self._trouble is None or self.clock.monotonic() - self._trouble[0] > TROUBLE_SECONDS:
            return None
        return self._trouble[1]


@dataclass(slots=True)
class _Probe:
    lane: Lane
    asked_at: float = 0.0
    look: asyncio.Task[str] | None = None


class Probes:
    """Looks at folders, each in a thread of its own with one look at a time, so that one that hangs stays alone (W40)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._probes: dict[bytes, _Probe] = {}

    async def look(self, path: bytes, function: Callable[[bytes], str]) -> str:
        """What ``function(path)`` says is wrong with the folder, or empty; also when it does not answer in time."""
        probe = self._probes.get(path)
        if probe is None:
            probe = self._probes[path] = _Probe(Lane("probe"))
        now = self._clock.monotonic()
        if probe.look is None or (probe.look.done() and now - probe.asked_at > PROBE_AGE_SECONDS):
            probe.asked_at = now
            probe.look = asyncio.ensure_future(probe.lane.call(function, path))
        look = probe.look
        await asyncio.wait([look], timeout=max(0.0, probe.asked_at + PROBE_SECONDS - now))
        if not look.done():
            return f"has not answered for {self._clock.monotonic() - probe.asked_at:.0f} s"
        return look.result()

    def close(self) -> None:
        for probe in self._probes.values():
            probe.lane.close()
