"""Versions of files: what tells one from another, and how their names are shown."""

from __future__ import annotations

import os
import unicodedata
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Signature:
    """The five numbers of ``stat`` that change when a file's bytes may have changed.

    Equal signatures mean "already seen"; a difference means only "hash again" (PROTOCOL 1).
    """

    dev: int
    ino: int
    size_bytes: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, stat: os.stat_result) -> Signature:
        return cls(stat.st_dev, stat.st_ino, stat.st_size, _in_64_bits(stat.st_mtime_ns), _in_64_bits(stat.st_ctime_ns))

    def same_bytes_expected(self, other: Signature) -> bool:
        """Compare what our own ``link`` and ``rename`` leave alone: (ino, size, mtime), not ctime (PROTOCOL 11)."""
        return (self.ino, self.size_bytes, self.mtime_ns) == (other.ino, other.size_bytes, other.mtime_ns)


NO_SIGNATURE: Final = Signature(0, 0, 0, 0, 0)
"""Of what is still to be downloaded."""


def _in_64_bits(nanoseconds: int) -> int:
    """A time after the year 2262 has more nanoseconds than a database integer holds; all such times are one."""
    return max(-(1 << 63), min(nanoseconds, (1 << 63) - 1))


def shown(name: bytes | str) -> str:
    """A file name as printable text: undecodable bytes, controls, line breaks and bidi marks are escaped.

    >>> shown(b"a\\xff\\nb")
    'a\\\\xff\\\\nb'
    """
    text = os.fsdecode(name) if isinstance(name, bytes) else name
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown_char(char) for char in text)


def _shown_char(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # A byte that is not UTF-8, as os.fsdecode carries it.
        return f"\\x{code - 0xDC00:02x}"
    if char == "\n":
        return "\\n"
    # Cc and Cf are controls and invisible format marks (bidi among them); Zl, Zp break lines; Cs, Co, Cn have no glyph.
    if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}:
        return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    return char
