"""What the desk remembers between two questions: the facts that health asks for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from dropmill.observe.facts import Claimed, Completed, Enqueued, Fact, Scanned, StateTrouble
from dropmill.ports import Clock

# Trouble with the catalog is believed to last that long after it was last met.
TROUBLE_SECONDS: Final = 15.0


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
