"""The hashes that a picture would have, turned or mirrored: bits of its own, moved and flipped.

Of the DCT's coefficients, mirroring a picture left to right changes the sign of every odd column, top to bottom of every
odd row, and reflecting it at its diagonal swaps rows and columns. Where a hash's bits are those signs, its turns are
exact. A phash compares with the median of the coefficients instead (``imagehash.phash``, which counts the first, the mean,
among them), which lies near zero but not on it: there they are some bits off. A dhash says which of two neighbours in a row
is lighter, so what mirrors it is exact but for neighbours that are alike, and quarter turns cannot be had from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_ALL: Final = (1 << 64) - 1
_ODD_COLUMNS: Final = 0x5555_5555_5555_5555
_ODD_ROWS: Final = 0x00FF_00FF_00FF_00FF
_REVERSED: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True, slots=True)
class Turn:
    """Applied in this order: reflected at the diagonal, mirrored left to right, top to bottom."""

    diagonal: bool
    across: bool
    down: bool


TURNS: Final = tuple(
    Turn(diagonal, across, down)
    for diagonal in (False, True)
    for across in (False, True)
    for down in (False, True)
    if diagonal or across or down
)
"""The seven ways in which a picture can lie otherwise than upright."""


def turned_phash(phash: int, turn: Turn) -> int:
    """The phash of the turned picture (8 x 8 bits, row by row, the first in the highest bit)."""
    if turn.diagonal:
        phash = _transposed(phash)
    if turn.across:
        phash ^= _ODD_COLUMNS
    if turn.down:
        phash ^= _ODD_ROWS
    return phash


def turned_dhash(dhash: int, turn: Turn) -> int | None:
    """The dhash of the turned picture; None where it cannot be told from this one."""
    if turn.diagonal:
        return None
    rows = dhash.to_bytes(8, "big")
    if turn.down:
        rows = rows[::-1]
    if turn.across:
        return int.from_bytes(rows.translate(_REVERSED), "big") ^ _ALL
    return int.from_bytes(rows, "big")


def turned_phash256(phash256: str, turn: Turn) -> str:
    """As ``turned_phash``, of the 16 x 16 phash in hex."""
    rows = [int(phash256[at : at + 4], 16) for at in range(0, 64, 4)]
    if turn.diagonal:
        bits = [f"{row:016b}" for row in rows]
        rows = [int("".join(column), 2) for column in zip(*bits, strict=True)]
    if turn.across:
        rows = [row ^ 0x5555 for row in rows]
    if turn.down:
        rows = [row ^ (0xFFFF if at % 2 else 0) for at, row in enumerate(rows)]
    return "".join(f"{row:04x}" for row in rows)


def turned(phash: int, dhash: int) -> Iterator[tuple[int, int | None]]:
    """Both hashes in each of the seven turns."""
    for turn in TURNS:
        yield turned_phash(phash, turn), turned_dhash(dhash, turn)


def _transposed(bits: int) -> int:
    """Rows and columns of 8 x 8 bits swapped (Warren, Hacker's Delight, 7-3)."""
    for shift, mask in ((7, 0x00AA00AA00AA00AA), (14, 0x0000CCCC0000CCCC), (28, 0x00000000F0F0F0F0)):
        swapped = (bits ^ bits >> shift) & mask
        bits ^= swapped ^ swapped << shift
    return bits
