"""Bodies that a host compressed although nobody asked for it: unpacked in pieces of a bounded size (U09)."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final, Protocol

from dropmill.fetch.failing import failed
from dropmill.model.outcome import Reason

PIECE_BYTES: Final = 64 << 10
# zlib's own codes for what stands around the deflate stream: gzip, zlib, nothing.
_GZIP, _ZLIB, _RAW = 31, 15, -15


class Decoder(Protocol):
    def feed(self, data: bytes) -> Iterator[bytes]:
        """The plain bytes of what arrived, in pieces. Raises ``Stopped``."""
        ...

    def end(self) -> None:
        """No more arrives. Raises ``Stopped`` where something is missing."""
        ...


def decoder_for(content_encoding: str) -> Decoder | None:
    """None: the body is what it is. Raises ``Stopped`` (``unsupported-encoding``) for what is not unpacked here."""
    match content_encoding.strip().lower():
        case "" | "identity":
            return None
        case "gzip" | "x-gzip":
            return _Inflating(_GZIP)
        case "deflate":
            return _Inflating(0)
        case other:
            raise failed(Reason.UNSUPPORTED_ENCODING, f"Content-Encoding: {other[:100]}", permanent=True)


class _Inflating:
    """``wbits`` 0: zlib's format, or the bare stream that some send under that name; the first two bytes tell."""

    def __init__(self, wbits: int) -> None:
        self._wbits = wbits
        self._begun = b""
        self._stream = zlib.decompressobj(wbits) if wbits else None

    def feed(self, data: bytes) -> Iterator[bytes]:
        if self._stream is None:
            data = self._begun + data
            if len(data) < 2:
                self._begun = data
                return
            zlibs = data[0] & 0x0F == 8 and int.from_bytes(data[:2], "big") % 31 == 0  # RFC 1950, 2.2
            self._stream = zlib.decompressobj(_ZLIB if zlibs else _RAW)
        try:
            while data:
                if self._stream.eof:
                    # A gzip file may have several members, one behind the other (RFC 1952, 2.2).
                    self._stream = zlib.decompressobj(self._wbits or _ZLIB)
                if piece := self._stream.decompress(data, PIECE_BYTES):
                    yield piece
                data = self._stream.unused_data if self._stream.eof else self._stream.unconsumed_tail
        except zlib.error as error:
            raise failed(Reason.PROTOCOL_ERROR, f"the compressed body is damaged: {error}") from error

    def end(self) -> None:
        if self._stream is None or not self._stream.eof:
            raise failed(Reason.CONNECTION_LOST, "the compressed body ends too early")
