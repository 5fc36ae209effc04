"""Bytes of a file by their position, read in pages through one descriptor, and never more than a budget allows."""

from __future__ import annotations

import errno
import os
from typing import Final

_PAGE_BYTES: Final = 4096
_MOST_READS: Final = 25_000
_MOST_BYTES: Final = 64 << 20


class Enough(Exception):
    """The budget of reading is spent."""


class ByteSource:
    """``size_bytes`` is what the file had when it was looked at; nothing beyond is read.

    ``head``: its first bytes, if they are known already. Not to be used after the descriptor is closed.
    """

    def __init__(self, descriptor: int, size_bytes: int, head: bytes = b"") -> None:
        self.size_bytes = size_bytes
        self._descriptor = descriptor
        self._page, self._page_at = head[:size_bytes], 0
        self._reads = self._bytes = 0

    @classmethod
    def of(cls, data: bytes) -> ByteSource:
        """All of a file that is in memory already."""
        return cls(-1, len(data), data)

    def at(self, offset: int, length: int) -> bytes:
        """What is there, cut off at the end of the file.

        Raises ``Enough``, and OSError as the system gives it, or for a file that has become shorter meanwhile.
        """
        end = min(offset + length, self.size_bytes)
        if offset < 0 or offset >= end:
            return b""
        if not self._page_at <= offset <= end <= self._page_at + len(self._page):
            wanted = max(end - offset, min(_PAGE_BYTES, self.size_bytes - offset))
            self._reads += 1
            self._bytes += wanted
            if self._reads > _MOST_READS or self._bytes > _MOST_BYTES:
                raise Enough
            self._page, self._page_at = self._read(wanted, offset), offset
        return self._page[offset - self._page_at : end - self._page_at]

    def _read(self, wanted: int, offset: int) -> bytes:
        """All that ``size_bytes`` promises of it; some file systems give less in one call."""
        data = b""
        wanted = min(wanted, self.size_bytes - offset)
        while len(data) < wanted:
            more = os.pread(self._descriptor, wanted - len(data), offset + len(data))
            if not more:
                raise OSError(errno.ESTALE, "it became shorter while it was looked at")
            data += more
        return data
