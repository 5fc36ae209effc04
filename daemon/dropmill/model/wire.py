"""Plain JSON from a worker, taken apart value by value: each function refuses, with ``ValueError``, what does not fit."""

from __future__ import annotations

import math
import re
from typing import Any, Final, cast

Wire = dict[str, Any]

_HEX256: Final = re.compile(r"[0-9a-f]{64}")


def hex256(value: object) -> str:
    if isinstance(value, str) and _HEX256.fullmatch(value):
        return value
    raise ValueError("not a SHA-256 in hex")


def uint64(value: object) -> int:
    if type(value) is int and 0 <= value < 1 << 64:  # Not isinstance: JSON's true is no number.
        return value
    raise ValueError("not an unsigned 64-bit number")


def count(value: object) -> int:
    if type(value) is int and 0 <= value < 1 << 63:  # What SQLite can hold.
        return value
    raise ValueError("not a count")


def finite(value: object) -> float:
    if type(value) in {int, float} and math.isfinite(number := float(cast(float, value))):
        return number
    raise ValueError("not a finite number")


def text(value: object, limit: int) -> str:
    if isinstance(value, str):  # Lone surrogates, as from the name of a file, cannot be stored as UTF-8.
        return value[:limit].encode("utf-8", "replace").decode()
    raise ValueError("not a text")
