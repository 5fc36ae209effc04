"""The little of EXIF, XMP and IPTC that is wanted: when, by whose camera, whose picture, which way up (I05, I08)."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import Final, Protocol

from PIL import Image

from dropmill.imaging.anatomy import MAX_METADATA_BYTES

EXIF_IFD: Final = 0x8769
_GPS_IFD: Final = 0x8825
_MAKE, _MODEL, _ORIENTATION, _DATE_TIME, _ARTIST, _COPYRIGHT = _WANTED = (271, 272, 274, 306, 315, 33432)
_ORIGINAL: Final = 36867
_DATE: Final = re.compile(r"\d{4}:\d\d:\d\d \d\d:\d\d:\d\d")
_XMP_RIGHTS: Final = re.compile(rb"<dc:rights>.{0,200}?<rdf:li[^>]{0,200}>(.{1,2000}?)</rdf:li>", re.DOTALL)
_IPTC_RIGHTS: Final = b"\x1c\x02\x74"  # IPTC IIM record 2, data set 116: copyright notice
_MOST_CHARACTERS: Final = 400


class Tags(Protocol):
    """A directory of EXIF tags, as Pillow gives it in several classes."""

    def get(self, tag: int, /) -> object: ...


@dataclass(frozen=True, slots=True)
class Told:
    """What metadata says; empty texts where it says nothing. ``orientation`` is 1 unless it is one of 1 to 8."""

    orientation: int = 1
    captured_at: str = ""
    camera: str = ""
    copyright: str = ""
    artist: str = ""


def read(exif: bytes, xmp: bytes, iptc: bytes) -> Told:
    """From the raw blocks of a file. Never raises: metadata that cannot be read says nothing."""
    if not exif or len(exif) > MAX_METADATA_BYTES:
        return of_tags({}, {}, xmp, iptc)
    parsed = Image.Exif()
    try:
        parsed.load(exif)
        tags = {tag: parsed.get(tag) for tag in _WANTED}
    except Exception:  # noqa: BLE001  # Damaged EXIF raises nearly anything; it must not cost the picture.
        return of_tags({}, {}, xmp, iptc)
    try:
        inner = {_ORIGINAL: parsed.get_ifd(EXIF_IFD).get(_ORIGINAL)}
    except Exception:  # noqa: BLE001  # The same, one level deeper; the main directory is still good.
        inner = {}
    return of_tags(tags, inner, xmp, iptc)


def of_tags(tags: Tags, inner: Tags, xmp: bytes = b"", iptc: bytes = b"") -> Told:
    """From the main EXIF directory and the one below it."""
    make, model = _text(tags.get(_MAKE)), _text(tags.get(_MODEL))
    date = _text(inner.get(_ORIGINAL)) or _text(tags.get(_DATE_TIME))
    return Told(
        orientation=orientation(tags.get(_ORIENTATION)),
        captured_at=date if _DATE.fullmatch(date) else "",
        camera=model if model.startswith(make) else f"{make} {model}".strip(),
        copyright=_text(tags.get(_COPYRIGHT)) or _rights(xmp, iptc),
        artist=_text(tags.get(_ARTIST)),
    )


def count_fields(exif: bytes, image: Image.Image) -> int:
    """How many fields of EXIF there are, in all its directories but that of the thumbnail. Never raises."""
    tags = Image.Exif()
    try:
        if exif and len(exif) <= MAX_METADATA_BYTES:
            tags.load(exif)
        elif not exif:
            tags = image.getexif()
        return len(tags) + sum(len(tags.get_ifd(inner)) for inner in (EXIF_IFD, _GPS_IFD))
    except Exception:  # noqa: BLE001  # Damaged EXIF raises nearly anything; it counts as none.
        return 0


def orientation(value: object) -> int:
    """1 to 8, and 1 for everything else that files contain there: 0, 9, text, lists."""
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def to_exif(copyright_text: str, artist: str) -> bytes:
    """An EXIF block that holds nothing but whose picture it is; empty if there is nothing to say."""
    exif = Image.Exif()
    if copyright_text:
        exif[_COPYRIGHT] = copyright_text.encode()
    if artist:
        exif[_ARTIST] = artist.encode()
    return exif.tobytes() if copyright_text or artist else b""


def _text(value: object) -> str:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str):
        return ""
    try:  # Pillow reads EXIF text as Latin-1; most programs write UTF-8.
        value = value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        pass
    text = " ".join(value.partition("\0")[0].split())
    return "".join(char for char in text if char.isprintable())[:_MOST_CHARACTERS]


def _rights(xmp: bytes, iptc: bytes) -> str:
    found = _XMP_RIGHTS.search(xmp[:MAX_METADATA_BYTES])
    if found:
        return _text(html.unescape(found[1].decode("utf-8", "replace")))
    at = iptc.find(_IPTC_RIGHTS)
    if at >= 0:
        return _text(iptc[at + 5 : at + 5 + int.from_bytes(iptc[at + 3 : at + 5], "big")])
    return ""
