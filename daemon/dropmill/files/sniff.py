"""What a file is, judged by its first bytes and never by a decoder; and whether it is ours by content or name (I01)."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

from dropmill.files import ifd
from dropmill.model.extensions import IMAGE_EXTENSIONS, RAW_EXTENSIONS
from dropmill.model.outcome import Ignored, Reason

HEAD_BYTES: Final = 64 << 10
"""How much of a file ``sniff`` wants to see."""


class Kind(StrEnum):
    JPEG = "jpeg"
    PNG = "png"
    WEBP = "webp"
    GIF = "gif"
    TIFF = "tiff"
    BMP = "bmp"
    AVIF = "avif"
    HEIF = "heif"
    # Recognised, and outside the allow-list: none of our decoders ever sees these.
    RAW = "camera RAW"
    PSD = "PSD"
    SVG = "SVG"
    PDF = "PDF"
    EPS = "EPS"
    VIDEO = "video"
    JXL = "JPEG XL"
    JP2 = "JPEG 2000"
    ICO = "icon"
    EXR = "OpenEXR"
    UNKNOWN = "unknown"


DECODED: Final = frozenset(
    {Kind.JPEG, Kind.PNG, Kind.WEBP, Kind.GIF, Kind.TIFF, Kind.BMP, Kind.AVIF, Kind.HEIF},
)
"""The allow-list. HEIF needs the extra ``heif``."""

_OTHER_EXTENSIONS: Final = {
    Kind.PSD: b".psd .psb",
    Kind.SVG: b".svg .svgz",
    Kind.PDF: b".pdf .ai",
    Kind.EPS: b".eps .ps",
    Kind.VIDEO: b".mp4 .m4v .mov .avi .mkv .webm .mts .m2ts .mpg .mpeg .wmv .3gp",
    Kind.JXL: b".jxl",
    Kind.JP2: b".jp2 .j2k .jpx .jpf",
    Kind.ICO: b".ico .cur",
    Kind.EXR: b".exr",
}
_KIND_OF_EXTENSION: Final = {
    extension: kind for kind, extensions in _OTHER_EXTENSIONS.items() for extension in extensions.split()
} | dict.fromkeys(RAW_EXTENSIONS, Kind.RAW)

_MAGIC: Final[tuple[tuple[bytes, Kind], ...]] = (
    (b"\xff\xd8\xff", Kind.JPEG),
    (b"\x89PNG\r\n\x1a\n", Kind.PNG),
    (b"GIF87a", Kind.GIF),
    (b"GIF89a", Kind.GIF),
    (b"FUJIFILMCCD-RAW", Kind.RAW),
    (b"IIRO", Kind.RAW),  # Olympus ORF, three spellings
    (b"IIRS", Kind.RAW),
    (b"MMOR", Kind.RAW),
    (b"IIU\0", Kind.RAW),  # Panasonic RW2
    (b"FOVb", Kind.RAW),  # Sigma X3F
    (b"\0MRM", Kind.RAW),  # Minolta MRW
    (b"II\x1a\0\0\0HEAPCCDR", Kind.RAW),  # Canon CRW
    (b"8BPS", Kind.PSD),
    (b"%PDF-", Kind.PDF),
    (b"%!PS", Kind.EPS),
    (b"\xc5\xd0\xd3\xc6", Kind.EPS),
    (b"\x1aE\xdf\xa3", Kind.VIDEO),  # Matroska, WebM
    (b"\0\0\x01\xba", Kind.VIDEO),
    (b"\0\0\x01\xb3", Kind.VIDEO),
    (b"0&\xb2u\x8ef\xcf\x11", Kind.VIDEO),  # ASF, WMV
    (b"\xff\x0a", Kind.JXL),
    (b"\0\0\0\x0cJXL \r\n\x87\n", Kind.JXL),
    (b"\0\0\0\x0cjP  \r\n\x87\n", Kind.JP2),
    (b"\xff\x4f\xff\x51", Kind.JP2),
    (b"\0\0\x01\0", Kind.ICO),
    (b"\0\0\x02\0", Kind.ICO),
    (b"v/1\x01", Kind.EXR),
)
_AVIF_BRANDS: Final = frozenset({b"avif", b"avis"})
_HEIF_BRANDS: Final = frozenset(b"heic heix heim heis hevc hevx hevm hevs mif1 mif2 msf1 miaf".split())

_CFA_PHOTOMETRIC: Final = frozenset({32803, 34892})  # Colour filter array, LinearRaw (DNG specification)
# Nikon, Sony, packed raw, Samsung, Pentax, Kodak; none is used by a TIFF that ordinary programs write.
_RAW_COMPRESSION: Final = frozenset({34713, 32767, 32769, 32770, 32772, 65000, 65535})
_SVG = re.compile(
    rb"\s*(?:<\?xml[^>]{0,500}\?>|<!--.{0,2000}?-->|<!DOCTYPE\s+svg.{0,2000}?>|\s)*<(?:svg:)?svg[\s>]", re.DOTALL
)


def sniff(head: bytes) -> Kind:
    """The kind of a file from its first ``HEAD_BYTES`` (or all of it; a RAW whose directories lie late needs more)."""
    if ifd.is_tiff(head):
        return Kind.RAW if _is_tiff_raw(head) else Kind.TIFF
    if head[4:8] == b"ftyp":
        return _iso_kind(head)
    if head[:4] == b"RIFF":
        return {b"WEBP": Kind.WEBP, b"AVI ": Kind.VIDEO}.get(head[8:12], Kind.UNKNOWN)
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if head[:2] == b"BM" and _is_bmp(head):
        return Kind.BMP
    if head[4:8] in {b"moov", b"mdat", b"wide", b"free", b"skip"} and head[:2] == b"\0\0":
        return Kind.VIDEO  # QuickTime from before ftyp.
    if _SVG.match(head.removeprefix(b"\xef\xbb\xbf")[:8192]):
        return Kind.SVG
    return Kind.UNKNOWN


def kind_of(name: bytes, head: bytes) -> Kind:
    """``sniff``, helped by the name where content cannot tell: a TIFF called ``.nef`` is RAW and stays untouched."""
    kind = sniff(head)
    if kind is Kind.TIFF and extension_of(name) in RAW_EXTENSIONS:
        return Kind.RAW
    if kind is Kind.UNKNOWN:
        return _KIND_OF_EXTENSION.get(extension_of(name), Kind.UNKNOWN)
    return kind


def extension_of(name: bytes) -> bytes:
    """``.jpg`` of ``a/B.JPG``; empty where there is none or only a dotfile's name."""
    stem, dot, extension = name.rpartition(b"/")[2].rpartition(b".")
    return dot + extension.lower() if stem else b""


def judge(name: bytes, head: bytes, size_bytes: int, allow_heif: bool) -> Ignored | None:
    """Whether a settled file becomes a job (None), or is not ours and why.

    ``head`` is the first ``HEAD_BYTES`` of the file. What becomes a job may still be rejected by the worker, as is
    text that is called ``.jpg``: it claims to be a picture, so its user should hear of it.
    """
    kind = kind_of(name, head) if size_bytes else Kind.UNKNOWN
    if kind is Kind.HEIF and not allow_heif:
        return Ignored(Reason.CODEC_MISSING, "HEIF")
    if kind in DECODED:
        return None
    if kind is not Kind.UNKNOWN:
        return Ignored(Reason.UNSUPPORTED_FORMAT, kind.value)
    if extension_of(name) in IMAGE_EXTENSIONS:
        return None
    return Ignored(Reason.NOT_AN_IMAGE)


def _is_tiff_raw(head: bytes) -> bool:
    if head[8:10] == b"CR" or head[8:12] in {b"IIII", b"MMMM"}:  # Canon CR2, Phase One IIQ
        return True
    for directory in ifd.chain(head, limit=8):
        if ifd.DNG_VERSION in directory.tags or _holds_sensor_data(directory):
            return True
        if ifd.SUB_IFDS in directory.tags and ifd.MAKE in directory.tags and directory.reduced:
            return True
        if any(_holds_sensor_data(child) for child in ifd.children(head, directory)):
            return True
    return False


def _holds_sensor_data(directory: ifd.Directory) -> bool:
    return directory.first(ifd.PHOTOMETRIC) in _CFA_PHOTOMETRIC or directory.first(ifd.COMPRESSION) in _RAW_COMPRESSION


def _iso_kind(head: bytes) -> Kind:
    """ISO base media by its brands; ``mif1`` alone says "some still image", which the compatible brands narrow."""
    size_bytes = min(max(int.from_bytes(head[:4], "big"), 16), 512)
    major = head[8:12]
    brands = {major} | {head[at : at + 4] for at in range(16, min(size_bytes, len(head) - 3), 4)}
    if major == b"crx ":
        return Kind.RAW
    if major in _AVIF_BRANDS:
        return Kind.AVIF
    if major in _HEIF_BRANDS:
        general = {b"mif1", b"mif2", b"msf1", b"miaf"}
        return Kind.AVIF if major in general and brands & _AVIF_BRANDS else Kind.HEIF
    if major == b"jxl ":
        return Kind.JXL
    if major in {b"jp2 ", b"jpx ", b"jpm "}:
        return Kind.JP2
    return Kind.VIDEO


def _is_bmp(head: bytes) -> bool:
    """Two letters are not enough: the size of the information header must be one that exists."""
    return int.from_bytes(head[14:18], "little") in {12, 16, 40, 52, 56, 64, 108, 124}
