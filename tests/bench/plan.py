"""How one run of the benchmark is to go, and where it may write."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Plan:
    quick: bool
    scratch: Path
    """An empty folder of the figure's own, removed after it."""

    @property
    def rounds(self) -> int:
        return 3

    @property
    def idle_seconds(self) -> float:
        return 10.0 if self.quick else 30.0


def tell(text: str) -> None:
    """Progress goes to standard error, the table alone to standard output."""
    print(f"  {text}", file=sys.stderr, flush=True)
