"""How far a run over libraries is, and how long it will still take."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any, Final

from dropmill.model.file import shown

# Over how much of the latest past the speed is taken.
WINDOW_SECONDS: Final = 30.0
MOST_NOTES: Final = 20
MOST_EXAMPLES: Final = 50


@dataclass(slots=True)
class Counts:
    """What is shown of a scan, and stored with it. Bytes are of the files that were passed, and of those that were read."""

    files: int = 0
    total_files: int = 0
    unchanged: int = 0
    indexed: int = 0
    ignored: int = 0
    refused: int = 0
    vanished: int = 0
    read_bytes: int = 0
    total_bytes: int = 0
    passed_bytes: int = 0
    counted: bool = False
    """Whether the totals are whole."""
    reasons: Counter[str] = field(default_factory=Counter)
    examples: list[dict[str, str]] = field(default_factory=list)
    """The first of those that are refused: ``{path, reason, detail}``."""
    notes: list[str] = field(default_factory=list)
    silent: str = ""
    """The folder that does not answer at the moment, as people are shown it."""
    samples: deque[tuple[float, int, int]] = field(default_factory=deque)
    """Seconds of the clock that never jumps, files and bytes that were passed by then."""

    def columns(self) -> dict[str, int]:
        names = ("files", "total_files", "unchanged", "indexed", "ignored", "refused", "vanished", "read_bytes")
        return {name: getattr(self, name) for name in (*names, "total_bytes")}

    def told(self) -> dict[str, Any]:
        return {"reasons": dict(self.reasons), "examples": self.examples, "notes": self.notes}

    def refuse(self, path: bytes, reason: str, detail: str) -> None:
        self.refused += 1
        self.reasons[reason] += 1
        if len(self.examples) < MOST_EXAMPLES:
            self.examples.append({"path": shown(path), "reason": reason, "detail": detail})

    def note(self, text: str) -> None:
        if text not in self.notes and len(self.notes) < MOST_NOTES:
            self.notes.append(text)

    def sample(self, now: float) -> None:
        self.samples.append((now, self.files, self.passed_bytes))
        while len(self.samples) > 2 and now - self.samples[0][0] > WINDOW_SECONDS:
            self.samples.popleft()

    def files_per_second(self) -> float:
        if len(self.samples) < 2 or self.samples[-1][0] <= self.samples[0][0]:
            return 0.0
        return (self.samples[-1][1] - self.samples[0][1]) / (self.samples[-1][0] - self.samples[0][0])

    def eta_seconds(self) -> int | None:
        """By bytes, since pictures differ in size more than in what a byte of them costs."""
        if not self.counted or len(self.samples) < 2:
            return None
        seconds = self.samples[-1][0] - self.samples[0][0]
        passed_bytes = self.samples[-1][2] - self.samples[0][2]
        if seconds <= 0 or passed_bytes <= 0:
            return None
        return round(max(self.total_bytes - self.passed_bytes, 0) * seconds / passed_bytes)
