"""Exact search of 64-bit hashes by Hamming distance, in memory.

A hash is four bands of 16 bits. Two hashes that differ in ``r`` bits or fewer differ by at most ``t`` bits in one of their
bands, for any four ``t`` with ``sum(t + 1) > r`` (the generalised pigeonhole principle: were each band ``t + 1`` or more
away, so would be the whole). So all band values within ``t`` of a query's are looked up: rows are kept sorted by each band
with the start of each value (compressed sparse rows), and what is found is compared in full. Nothing is approximate.

An image takes 36 bytes: 8 for each hash, 4 for its id, 4 in each band.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray

BANDS: Final = 4
BAND_BITS: Final = 16
_VALUES: Final = 1 << BAND_BITS
# New rows are compared one by one up to so many, or a hundredth of all; then everything is sorted anew.
LEAST_TAIL: Final = 16_384
_TAIL_SHARE: Final = 100

Numbers = NDArray[np.int64]
Hashes = NDArray[np.uint64]
Rows = NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Match:
    image_id: int
    phash_distance: int
    dhash_distance: int


class Index:
    """Images by phash, each with its dhash. ``add`` and ``remove`` are seen by the next ``search``; ``settle`` keeps it quick."""

    def __init__(self) -> None:
        self._ids: Rows = np.empty(0, np.uint32)
        self._phash: Hashes = np.empty(0, np.uint64)
        self._dhash: Hashes = np.empty(0, np.uint64)
        self._used = 0
        self._sorted = 0
        """Rows below are in the bands, those from there to ``_used`` are the tail."""
        self._gone: set[int] = set()
        """Rows of images that were removed, until everything is sorted anew."""
        self._starts: NDArray[np.int64] = np.zeros(BANDS * _VALUES + 1, np.int64)
        self._rows: Rows = np.empty(0, np.uint32)

    def __len__(self) -> int:
        return self._used - len(self._gone)

    @property
    def size_bytes(self) -> int:
        """Of the arrays, the tail's spare room included."""
        arrays = (self._ids, self._phash, self._dhash, self._starts, self._rows)
        return sum(array.nbytes for array in arrays)

    def add(self, ids: Numbers, phash: Hashes, dhash: Hashes) -> None:
        """Rows side by side; no id may be there already. Ids are below 2**32."""
        count = len(ids)
        if not count:
            return
        if int(ids.max()) >= 1 << 32:
            raise OverflowError("an image's number is beyond 32 bits")
        self._reserve(self._used + count)
        room = slice(self._used, self._used + count)
        self._ids[room], self._phash[room], self._dhash[room] = ids, phash, dhash
        self._used += count

    def remove(self, ids: Numbers) -> None:
        """Those that are not there are passed over."""
        if not len(ids):
            return
        rows = np.flatnonzero(np.isin(self._ids[: self._used], ids.astype(np.uint32)))
        self._gone.update(rows.tolist())

    def settle(self) -> None:
        """Sort anew what was added and removed, where that has become much. To be called after every change."""
        if self._used - self._sorted > _tail(self._used) or len(self._gone) > LEAST_TAIL:
            self._drop_gone()
            self._resize(self._used + _tail(self._used))
            self._sort()

    def search(self, phash: int, dhash: int, phash_radius: int, dhash_radius: int, most: int) -> list[Match]:
        """All within both radii, nearest first (phash, dhash, id); of more than ``most`` the nearest.

        Takes the longer the larger the radius of the phash is, and beyond 16 bits longer than comparing with everything.
        """
        rows = np.concatenate((self._in_bands(phash, phash_radius), self._in_tail(phash, phash_radius)))
        if not len(rows):
            return []
        away = np.bitwise_count(self._dhash[rows] ^ np.uint64(dhash))
        near = away <= dhash_radius
        rows, away = rows[near], away[near]
        if self._gone:
            there = np.fromiter((row not in self._gone for row in rows.tolist()), np.bool_, len(rows))
            rows, away = rows[there], away[there]
        if not len(rows):
            return []
        distance = np.bitwise_count(self._phash[rows] ^ np.uint64(phash))
        ids = self._ids[rows]
        order = np.lexsort((ids, away, distance))[:most]
        found = zip(ids[order].tolist(), distance[order].tolist(), away[order].tolist(), strict=True)
        return [Match(*each) for each in found]

    def _in_bands(self, phash: int, radius: int) -> Rows:
        """Sorted rows within ``radius`` of ``phash``, each once."""
        if not self._sorted:
            return np.empty(0, np.uint32)
        flips, bands = _walk(radius)
        values = np.array([phash >> shift & 0xFFFF for shift in range(0, BANDS * BAND_BITS, BAND_BITS)], np.uint32)
        keys = flips ^ values[bands]
        starts = self._starts[keys]
        counts = self._starts[keys + 1] - starts
        ends = np.cumsum(counts)
        total = int(ends[-1])
        # Where each of the ranges begins, and one further from there: the ranges one after another.
        places = np.arange(total) + np.repeat(starts - (ends - counts), counts)
        rows = self._rows[places]
        near = rows[np.bitwise_count(self._phash[rows] ^ np.uint64(phash)) <= radius]
        return np.unique(near) if len(near) > 1 else near

    def _in_tail(self, phash: int, radius: int) -> Rows:
        away = np.bitwise_count(self._phash[self._sorted : self._used] ^ np.uint64(phash))
        return (np.flatnonzero(away <= radius) + self._sorted).astype(np.uint32)

    def _reserve(self, rows: int) -> None:
        """Room that grows by an eighth at a time, so that nothing is copied often."""
        if rows > len(self._ids):
            self._resize(max(rows, len(self._ids) * 9 // 8) + LEAST_TAIL)

    def _resize(self, room: int) -> None:
        for name in ("_ids", "_phash", "_dhash"):
            old = getattr(self, name)
            new = np.empty(room, old.dtype)
            new[: self._used] = old[: self._used]
            setattr(self, name, new)

    def _drop_gone(self) -> None:
        keep = np.ones(self._used, np.bool_)
        keep[list(self._gone)] = False
        self._used = int(np.count_nonzero(keep))
        for name in ("_ids", "_phash", "_dhash"):
            array = getattr(self, name)
            array[: self._used] = array[: len(keep)][keep]
        self._gone.clear()

    def _sort(self) -> None:
        self._rows = np.empty(BANDS * self._used, np.uint32)
        for band in range(BANDS):
            values = (self._phash[: self._used] >> np.uint64(band * BAND_BITS)).astype(np.uint16)
            part = slice(band * self._used, (band + 1) * self._used)
            self._rows[part] = np.argsort(values, kind="stable")
            starts = self._starts[band * _VALUES + 1 : (band + 1) * _VALUES + 1]
            np.cumsum(np.bincount(values, minlength=_VALUES), out=starts)
            starts += band * self._used
        self._sorted = self._used


def _tail(rows: int) -> int:
    return max(LEAST_TAIL, rows // _TAIL_SHARE)


@cache
def _walk(radius: int) -> tuple[NDArray[np.uint32], NDArray[np.intp]]:
    """Which bits to flip in which band, as keys into ``_starts``, so that nothing within ``radius`` is missed."""
    flips: list[int] = []
    bands: list[int] = []
    for band, reach in enumerate(reaches(radius)):
        for flip in _flips(reach):
            flips.append(band * _VALUES + flip)
            bands.append(band)
    return np.array(flips, np.uint32), np.array(bands, np.intp)


def reaches(radius: int) -> Sequence[int]:
    """How far each band has to be looked up: the smallest for which ``sum(reach + 1) > radius``; -1 for not at all."""
    each, more = divmod(radius + 1, BANDS)
    return [each - (0 if band < more else 1) for band in range(BANDS)]


def _flips(reach: int) -> Iterator[int]:
    for bits in range(reach + 1):
        for places in combinations(range(BAND_BITS), bits):
            yield sum(1 << place for place in places)
