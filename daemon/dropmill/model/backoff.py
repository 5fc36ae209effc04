"""Waiting between attempts."""

from __future__ import annotations

import random
from typing import Final

# What is owed to the file system is tried for ever; a disk that is back is noticed within these.
OWED_BASE_SECONDS: Final = 2.0
OWED_CAP_SECONDS: Final = 300.0


def backoff_seconds(attempt: int, base_seconds: float, cap_seconds: float, chance: random.Random) -> float:
    """Exponential backoff with equal jitter: half the step is certain, half is drawn, never above the cap.

    ``attempt`` is 1 after the first failure. Source: M. Brooker, "Exponential Backoff And Jitter", AWS, 2015.
    """
    step = min(cap_seconds, base_seconds * 2.0 ** min(attempt - 1, 32))
    return step / 2 + chance.random() * step / 2


def owed_wait_seconds(attempts: int, chance: random.Random) -> float:
    """How long to wait before trying again what is owed; ``attempts`` counts those before the one that failed."""
    return backoff_seconds(attempts + 1, OWED_BASE_SECONDS, OWED_CAP_SECONDS, chance)
