"""Whether the file system tells of what happens: doubt that only grows, and ends in polling. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

# What events owe us is waited for by so many looks, each a while after the one before: time alone would also pass while
# the daemon is stopped and nobody can have read anything.
PATIENCE_LOOKS: Final = 4
LOOK_SECONDS: Final = 1.5
MOST_SUSPECTS: Final = 100


@dataclass(slots=True)
class Doubt:
    """What events have not told of so far, though they should have: the self-test, and files that a scan brought."""

    _looks: int = 0
    _looked_at: float | None = None
    _canary_by: int | None = None
    _suspects: dict[bytes, int] = field(default_factory=dict)

    def begin(self, *, canary: bool) -> None:
        """The folder was armed anew; ``canary``: the self-test was let out."""
        self._suspects.clear()
        self._canary_by = self._looks + PATIENCE_LOOKS if canary else None

    def suspect(self, rel: bytes) -> None:
        """A scan brought the file, which became a job, before any event did."""
        if len(self._suspects) < MOST_SUSPECTS:
            self._suspects[rel] = self._looks + PATIENCE_LOOKS

    def told(self, rel: bytes) -> None:
        """An event came for it after all."""
        self._suspects.pop(rel, None)

    def look(self, now: float) -> bool:
        """Whether this is one of the looks that count; ``now`` in seconds of a clock that never jumps."""
        if self._looked_at is not None and now - self._looked_at < LOOK_SECONDS:
            return False
        self._looked_at = now
        self._looks += 1
        return True

    def canary_is_dead(self, *, told: bool) -> bool:
        """Whether the self-test is lost; ``told`` if it was answered by now."""
        if self._canary_by is None or not (told or self._looks >= self._canary_by):
            return False
        self._canary_by = None
        return not told

    def due(self) -> list[bytes]:
        """Files of which no event will tell any more."""
        due = [rel for rel, by in self._suspects.items() if self._looks >= by]
        for rel in due:
            del self._suspects[rel]
        return due
