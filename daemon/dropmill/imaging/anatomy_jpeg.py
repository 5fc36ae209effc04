"""The segments of a JPEG file (ITU-T T.81, Annex B)."""

from __future__ import annotations

import hashlib
import re
from typing import Final, Literal

from dropmill.imaging.anatomy import MAX_ICC_BYTES, MAX_METADATA_BYTES, Anatomy, ends_in_zeros

# In entropy-coded data 0xFF is followed by 0x00 (stuffing) or a restart marker; anything else ends the scan.
_END_OF_SCAN: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_SOF: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_EOI, _SOS, _APP1, _APP2, _APP13, _APP14, _COM = 0xD9, 0xDA, 0xE1, 0xE2, 0xED, 0xEE, 0xFE
_BASELINE, _EXTENDED, _PROGRESSIVE = 0xC0, 0xC1, 0xC2
_STANDALONE: Final = frozenset({0x01, *range(0xD0, 0xD9)})


def dissect(data: bytes) -> Anatomy:
    """Everything from SOI to EOI but APPn (APP14 stays: it says how colours are coded) and COM is the coded image.

    What follows EOI (a phone's video, a second picture, a hidden archive) is not part of it.
    """
    return _Walk(data).result()


class _Walk:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.view = memoryview(data)
        self.digest = hashlib.sha256()
        self.size: tuple[int, int] | None = None
        self.exif = self.xmp = self.iptc = b""
        self.icc_parts: dict[int, bytes] = {}
        self.icc_count = 0
        self.frame = self.scans = self.coded_end = 0

    def result(self) -> Anatomy:
        whole, truncated = self.segments()
        icc, icc_broken = self.icc()
        return Anatomy(
            coded_sha256=self.digest.hexdigest() if whole else "",
            size=self.size,
            exif=self.exif,
            xmp=self.xmp,
            iptc=self.iptc,
            icc=icc,
            icc_broken=icc_broken,
            truncated=truncated,
            scan=self.scan(),
            coded_end=self.coded_end,
            zeros_at_end=not whole and ends_in_zeros(self.data),
        )

    def segments(self) -> tuple[bool, bool]:
        """Walk to EOI; returns whether it was reached, and whether the data ended before it."""
        at = 2
        while True:
            start = at
            while self.data[at : at + 1] == b"\xff":  # Any number of fill bytes may stand before a marker.
                at += 1
            if at >= len(self.data):
                return False, True
            marker = self.data[at]
            if at == start:
                return False, False
            at += 1
            if marker == _EOI:
                self.coded_end = start
                return True, False
            if marker in _STANDALONE:
                continue
            length = int.from_bytes(self.data[at : at + 2], "big")
            if at + max(length, 2) > len(self.data):
                return False, True
            if length < 2:
                return False, False
            at = self.segment(marker, at, at + length)
            if at < 0:
                return False, True

    def segment(self, marker: int, start: int, end: int) -> int:
        """One segment of which ``start`` is its length field; returns where the next marker is, -1 if none is."""
        if marker == _COM or (0xE0 <= marker <= 0xEF and marker != _APP14):
            self.metadata(marker, self.data[start + 2 : end])
            return end
        if marker in _SOF and end - start >= 8:
            height, width = (int.from_bytes(self.data[at : at + 2], "big") for at in (start + 3, start + 5))
            self.size = (max(width, (self.size or (0, 0))[0]), max(height, (self.size or (0, 0))[1]))
            self.frame = marker
        if marker == _SOS:
            self.scans += 1
            found = _END_OF_SCAN.search(self.data, end)
            end = found.start() if found else -1
        self.digest.update(bytes((0xFF, marker)))
        self.digest.update(self.view[start : end if end >= 0 else len(self.data)])
        return end

    def scan(self) -> Literal["one", "first-of-many", "several"]:
        if self.scans == 1 and self.frame in {_BASELINE, _EXTENDED}:
            return "one"
        return "first-of-many" if self.scans == 1 and self.frame == _PROGRESSIVE else "several"

    def metadata(self, marker: int, payload: bytes) -> None:
        if marker == _APP1 and payload.startswith(b"Exif\0") and not self.exif:
            self.exif = payload[6:]
        elif marker == _APP1 and payload.startswith(b"http://ns.adobe.com/xap/1.0/\0") and not self.xmp:
            self.xmp = payload[29:]
        elif marker == _APP13 and payload.startswith(b"Photoshop 3.0\0") and len(self.iptc) < MAX_METADATA_BYTES:
            self.iptc += payload[14:]
        elif marker == _APP2 and payload.startswith(b"ICC_PROFILE\0") and len(payload) > 14:
            self.icc_count = payload[13]
            self.icc_parts.setdefault(payload[12], payload[14:])

    def icc(self) -> tuple[bytes | None, bool]:
        if not self.icc_parts:
            return None, False
        if sorted(self.icc_parts) != list(range(1, self.icc_count + 1)):
            return None, True
        profile = b"".join(self.icc_parts[index] for index in sorted(self.icc_parts))
        return (profile, False) if len(profile) <= MAX_ICC_BYTES else (None, True)
