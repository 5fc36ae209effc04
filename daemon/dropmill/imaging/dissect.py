"""Step: what the file is, and what its segments say, before any decoder sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from dropmill.files.sniff import DECODED, Kind, kind_of
from dropmill.imaging import anatomy_jpeg, anatomy_other, anatomy_png, anatomy_riff
from dropmill.imaging.anatomy import Anatomy
from dropmill.imaging.attempt import Attempt, Stop, reject
from dropmill.imaging.codecs import heif_available
from dropmill.model.outcome import Reason
from dropmill.model.work import NotOurs

_DISSECT: Final[dict[Kind, Callable[[bytes], Anatomy]]] = {
    Kind.JPEG: anatomy_jpeg.dissect,
    Kind.PNG: anatomy_png.dissect,
    Kind.WEBP: anatomy_riff.dissect,
    Kind.GIF: anatomy_other.dissect_gif,
    Kind.TIFF: anatomy_other.dissect_tiff,
    Kind.AVIF: anatomy_other.dissect_iso,
    Kind.HEIF: anatomy_other.dissect_iso,
}


def dissect(attempt: Attempt) -> None:
    """Raises ``Stop``: not an image, a kind outside the allow-list, a codec that is missing, or a dead tail."""
    attempt.kind = kind = kind_of(attempt.request.rel, attempt.data)
    if kind is Kind.UNKNOWN:
        raise reject(Reason.NOT_AN_IMAGE)
    if kind not in DECODED:
        raise Stop(NotOurs(Reason.UNSUPPORTED_FORMAT, kind.value))
    if kind is Kind.HEIF and not heif_available():
        raise Stop(NotOurs(Reason.CODEC_MISSING, "HEIF"))
    if kind in _DISSECT:
        attempt.anatomy = _DISSECT[kind](attempt.data)
    if attempt.anatomy.zeros_at_end:
        raise reject(Reason.TRUNCATED, "the end of the file was never written (zeros)")
