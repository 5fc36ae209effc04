"""Damage in the write-ahead log, which SQLite itself passes over in silence.

SQLite takes the first frame with a wrong checksum for the end of the log, as it is after a power cut. But where two
commits follow it, the first of them was synced before the second was begun, so the frame was whole once and committed
work would be lost. Source of the format: https://sqlite.org/walformat.html.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO, Final

_HEADER: Final = struct.Struct(">8I")
_FRAME: Final = struct.Struct(">6I")
_MAGIC: Final = 0x377F0682
_WORD: Final = 0xFFFFFFFF
# What was committed is proven by so many commits after the damage.
_COMMITS_OF_PROOF: Final = 2


@dataclass(frozen=True, slots=True)
class _Frame:
    commit: bool
    salts: tuple[int, int]
    checksum: tuple[int, int]
    at: int
    """Offset in the log."""


def committed_frames_are_lost(path: str) -> bool:
    """Whether the log beside the catalog goes on, with committed work, behind the frame at which SQLite stops reading.

    To be asked while a reader holds the catalog open, which has built the index of the log. Reads little: frames of an
    earlier round of the log are told by their salt.
    """
    try:
        log = open(f"{path}-wal", "rb")  # noqa: SIM115  # Closed below; a missing log is no damage.
    except FileNotFoundError:
        return False
    with log:
        header = log.read(_HEADER.size)
        if len(header) < _HEADER.size:
            return False
        magic, _version, page_bytes, _round, salt1, salt2, sum1, sum2 = _HEADER.unpack(header)
        big = bool(magic & 1)
        if magic & ~1 != _MAGIC or _checksum(header[:24], (0, 0), big) != (sum1, sum2):
            return _goes_on_without_header(log)
        return _goes_on(log, page_bytes, _frames_read(path), (salt1, salt2), big)


def _frames_read(path: str) -> int:
    """How many frames SQLite has found valid, from the index of the log (``mxFrame`` at offset 16, native order)."""
    with open(f"{path}-shm", "rb") as index:
        head = index.read(20)
    return int(struct.unpack_from("=I", head, 16)[0]) if len(head) == 20 else 0


def _goes_on_without_header(log: BinaryIO) -> bool:
    """The header is garbage, and SQLite ignores the whole log. Its first frame says what the others look like."""
    for page_bytes in (4096, 1024, 8192, 16384, 32768, 65536):
        first = next(_frames(log, page_bytes, 0), None)
        if first is None:
            continue
        if any(_goes_on(log, page_bytes, 0, first.salts, big) for big in (False, True)):
            return True
    return False


def _goes_on(log: BinaryIO, page_bytes: int, after: int, salts: tuple[int, int], big: bool) -> bool:
    before: tuple[int, int] | None = None
    commits = 0
    for frame in _frames(log, page_bytes, after):
        if frame.salts != salts:
            before, commits = None, 0
            continue
        if before is not None:
            if _sum_of(log, frame, page_bytes, before, big) == frame.checksum:
                commits += frame.commit
            else:
                commits = 0
        if commits >= _COMMITS_OF_PROOF:
            return True
        before = frame.checksum
    return False


def _frames(log: BinaryIO, page_bytes: int, after: int) -> Iterator[_Frame]:
    size = os.fstat(log.fileno()).st_size
    step = _FRAME.size + page_bytes
    for at in islice(range(_HEADER.size, size - step + 1, step), after, None):
        log.seek(at)
        _page, pages, salt1, salt2, sum1, sum2 = _FRAME.unpack(log.read(_FRAME.size))
        yield _Frame(pages != 0, (salt1, salt2), (sum1, sum2), at)


def _sum_of(log: BinaryIO, frame: _Frame, page_bytes: int, before: tuple[int, int], big: bool) -> tuple[int, int]:
    log.seek(frame.at)
    data = log.read(_FRAME.size + page_bytes)
    return _checksum(data[_FRAME.size :], _checksum(data[:8], before, big), big)


def _checksum(data: bytes, start: tuple[int, int], big: bool) -> tuple[int, int]:
    first, second = start
    words = struct.unpack(f"{'>' if big else '<'}{len(data) // 4}I", data)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & _WORD
        second = (second + odd + first) & _WORD
    return first, second
