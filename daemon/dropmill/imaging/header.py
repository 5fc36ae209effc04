"""Steps: what the header declares, held against the limits before any pixel is allocated (I02, I10); then the question
whether renditions are wanted."""

from __future__ import annotations

import hashlib
from typing import Final

from PIL import ImageFile, TiffImagePlugin

from dropmill.files.sniff import Kind
from dropmill.imaging import codecs, metadata, streaming
from dropmill.imaging.appetite import needs_bytes, streamed_needs_bytes
from dropmill.imaging.attempt import Attempt, Stop, decoding, reject
from dropmill.model.fingerprint import Content
from dropmill.model.image import Picture
from dropmill.model.outcome import Reason
from dropmill.model.work import Preview, Recognised

# Containers whose own lengths tell that bytes are missing, even where the first frame still decodes. A JPEG without
# its end marker may be whole, so there the decoder decides.
_LENGTHS_DECIDE: Final = frozenset({Kind.PNG, Kind.GIF, Kind.WEBP, Kind.AVIF, Kind.HEIF})
_MOVING: Final = frozenset({Kind.PNG, Kind.GIF, Kind.WEBP})


def within_declared_limits(attempt: Attempt) -> None:
    """Judge by our own reading of the segments, because some decoders allocate or expand when they open a file."""
    anatomy = attempt.anatomy
    if anatomy.bomb:
        raise reject(Reason.TOO_LARGE, anatomy.bomb)
    if anatomy.size:
        _check_pixels(attempt, *anatomy.size)
    _check_frames(attempt, anatomy.frames)
    if anatomy.truncated and attempt.kind in _LENGTHS_DECIDE:
        raise reject(Reason.TRUNCATED, "the file ends before its own declared end")


def inspect(attempt: Attempt) -> None:
    """Open the decoder on the header alone, check the limits again with what it says, and describe the picture."""
    anatomy = attempt.anatomy
    with decoding(attempt):
        attempt.decoder = image = codecs.open_image(attempt.kind, anatomy.without_metadata or attempt.data)
        width, height = image.size
        frames = _frames(attempt, image)
        told = _told(attempt, image)
        icc = anatomy.icc or image.info.get("icc_profile")
    _check_pixels(attempt, width, height)
    _check_frames(attempt, frames)
    _plan_pages(attempt, frames)
    attempt.turned_by_decoder = attempt.kind in {Kind.TIFF, Kind.HEIF}
    attempt.icc = icc if isinstance(icc, bytes) and icc and not anatomy.icc_broken else None
    attempt.orientation = 1 if attempt.turned_by_decoder else told.orientation
    if attempt.orientation >= 5:
        width, height = height, width
    attempt.rights = (told.copyright, told.artist)
    taken = frames if attempt.animated else len(attempt.pages)
    attempt.picture = Picture(
        format=attempt.kind.value,
        width=width,
        height=height,
        mode=image.mode,
        frames=frames,
        pages_dropped=max(frames - taken, 0),
        orientation=told.orientation,
        icc="broken" if anatomy.icc_broken else "none",
        captured_at=told.captured_at,
        copyright=told.copyright or told.artist,
        camera=told.camera,
    )


def ask(attempt: Attempt) -> None:
    """Tell what the content is, and go on only if renditions of it are wanted."""
    coded = attempt.anatomy.coded_sha256 or attempt.sha256
    icc = hashlib.sha256(attempt.icc).hexdigest() if attempt.icc else "-"
    effective = hashlib.sha256(f"{coded} {attempt.orientation} {icc}".encode()).hexdigest()
    attempt.content = Content(sha256=attempt.sha256, coded_sha256=effective)
    pixels = _decoded_pixels(attempt, attempt.described().frames)
    needs = needs_bytes(attempt)
    attempt.stream_scale = streaming.plan(attempt, needs)
    streams = attempt.stream_scale > 0
    if streams:
        needs = streamed_needs_bytes(attempt, attempt.stream_scale)
    if not attempt.wanted(Preview(attempt.content, pixels, len(attempt.pages), needs, streams)):
        raise Stop(Recognised(attempt.content, attempt.described()))


def _check_pixels(attempt: Attempt, width: int, height: int) -> None:
    allowed = attempt.request.limits.max_pixels
    if width * height > allowed:
        raise reject(Reason.TOO_LARGE, f"{width}x{height} is more than {allowed} pixels")


def _check_frames(attempt: Attempt, frames: int) -> None:
    if frames > attempt.request.limits.max_frames:
        raise reject(
            Reason.TOO_MANY_FRAMES, f"{frames} frames; at most {attempt.request.limits.max_frames} are allowed"
        )


def _plan_pages(attempt: Attempt, frames: int) -> None:
    """Decide which frames are rendered, and hold all that will be decoded against ``max_pixels`` together."""
    recipe, anatomy = attempt.request.recipe, attempt.anatomy
    attempt.animated = recipe.animation == "keep" and frames > 1 and attempt.kind in _MOVING
    if recipe.pages == "all" and attempt.kind is Kind.TIFF:
        attempt.pages = anatomy.pages
    if _decoded_pixels(attempt, frames) > attempt.request.limits.max_pixels:
        width, height = attempt.opened().size
        raise reject(
            Reason.TOO_LARGE,
            f"{frames} frames of {width}x{height}: more than {attempt.request.limits.max_pixels} pixels",
        )


def _decoded_pixels(attempt: Attempt, frames: int) -> int:
    """Of all frames or pages together. What a decoder may leave out by scaling while it decodes is counted."""
    width, height = attempt.opened().size
    if attempt.animated:
        return width * height * frames
    return attempt.anatomy.frame_pixels if len(attempt.pages) > 1 else width * height


def _frames(attempt: Attempt, image: ImageFile.ImageFile) -> int:
    """Cheap for every kind: GIF and TIFF were counted by our own walk, because Pillow's count reads every frame."""
    if attempt.kind in {Kind.GIF, Kind.TIFF, Kind.PNG, Kind.WEBP}:
        return attempt.anatomy.frames
    if attempt.kind is Kind.JPEG:
        return _mpo_pictures(image)
    return int(getattr(image, "n_frames", 1))


def _mpo_pictures(image: ImageFile.ImageFile) -> int:
    """Pictures of a multi-picture JPEG (CIPA DC-007), of which only the first is ever decoded."""
    if "mp" not in image.info:
        return 1
    try:
        entries = image._getmp()  # type: ignore[attr-defined]  # Pillow gives no public way short of the MPO plugin.
        return max(int(entries[0xB001]), 1)
    except Exception:  # noqa: BLE001  # A damaged index raises nearly anything, and the first picture needs none.
        return 1


def _told(attempt: Attempt, image: ImageFile.ImageFile) -> metadata.Told:
    anatomy = attempt.anatomy
    if attempt.kind in {Kind.JPEG, Kind.PNG, Kind.WEBP}:
        return metadata.read(anatomy.exif, anatomy.xmp, anatomy.iptc)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return metadata.of_tags(image.tag_v2, image.getexif().get_ifd(metadata.EXIF_IFD))
    exif, xmp = image.info.get("exif"), image.info.get("xmp")
    return metadata.read(
        exif.removeprefix(b"Exif\0\0") if isinstance(exif, bytes) else b"", xmp if isinstance(xmp, bytes) else b"", b""
    )
