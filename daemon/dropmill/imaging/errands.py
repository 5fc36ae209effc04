"""What a worker does besides jobs: measure a picture, compare two, make a preview."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from PIL import Image

from dropmill.files.previews import staged_name
from dropmill.imaging import codecs, colour, compare, decode, dissect, header, inspect, source, stage, upright
from dropmill.imaging.attempt import Attempt, Stop, reject
from dropmill.imaging.recipe import where
from dropmill.model.bearing import Bearing
from dropmill.model.errand import (
    EXAMINED_SIDE,
    Compare,
    Compared,
    ErrandRequest,
    ErrandResult,
    Inspect,
    Inspected,
    MakePreview,
    NoPreview,
    Previewed,
    preview_name,
    staging_of,
)
from dropmill.model.file import NO_SIGNATURE, Signature
from dropmill.model.image import Recipe, RenditionSpec
from dropmill.model.outcome import Reason
from dropmill.model.work import Question, Superseded, Troubled, WorkRequest

_QUALITY: Final = 88
_FULL_SIZE: Final = Recipe((RenditionSpec("whole", "scale", scale=1.0),))


def run(request: ErrandRequest, wanted: Callable[[Question], bool | Bearing]) -> ErrandResult:
    """Carry out one errand. Never raises."""
    codecs.set_up()
    errand = request.errand
    try:
        if isinstance(errand, Compare):
            return _compare(errand)
        if isinstance(errand, Inspect):
            return _inspect(errand, request.serial, wanted)
        return _make_preview(errand, request.serial, wanted)
    except Stop as stop:
        return stop.result  # type: ignore[return-value]  # These steps stop with a failure or with Superseded alone.
    except MemoryError:
        return Troubled(Reason.MEMORY_LIMIT, "out of memory")
    except Exception as error:  # noqa: BLE001  # The last resort: a defect of ours costs this errand, not the worker.
        return Troubled(Reason.UNEXPECTED, where(error))


def _inspect(errand: Inspect, serial: int, wanted: Callable[[Question], bool | Bearing]) -> ErrandResult:
    attempt = _attempt(errand, serial, _FULL_SIZE, wanted)
    image = _decoded(attempt)
    evidence = inspect.measure(attempt, image)
    _stage(fitted(image, EXAMINED_SIDE), errand, serial)
    return Inspected(evidence)


def _make_preview(errand: MakePreview, serial: int, wanted: Callable[[Question], bool | Bearing]) -> ErrandResult:
    side = errand.side
    attempt = _attempt(errand, serial, Recipe((RenditionSpec("preview", "fit", side, side),)), wanted)
    image = fitted(_decoded(attempt), side)
    _stage(image, errand, serial)
    return Previewed(*image.size)


def _compare(errand: Compare) -> ErrandResult:
    previews = []
    for known in (errand.one, errand.other):
        try:
            with Image.open(os.path.join(errand.previews, preview_name(known.sha256)), formats=("JPEG",)) as image:
                previews.append(image.convert("RGB"))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
            return NoPreview(known.sha256)
    found: Compared = compare.relation_of(errand.one, errand.other, *previews)
    return found


def _attempt(
    errand: Inspect | MakePreview, serial: int, recipe: Recipe, wanted: Callable[[Question], bool | Bearing]
) -> Attempt:
    """The file, read in full. Raises ``Stop``: superseded where its bytes are others."""
    request = WorkRequest(0, serial, errand.root, errand.rel, NO_SIGNATURE, staging_of(errand), recipe, errand.limits)
    descriptor = source.open_source(request)
    try:
        signature = Signature.of(os.fstat(descriptor))
    finally:
        os.close(descriptor)
    attempt = Attempt(replace(request, signature=signature), wanted)
    source.read(attempt)
    if attempt.sha256 != errand.sha256:
        raise Stop(Superseded())
    return attempt


def _decoded(attempt: Attempt) -> Image.Image:
    """The first frame of the first page, upright, in sRGB: mode L, RGB or RGBA."""
    for step in (
        dissect.dissect,
        header.within_declared_limits,
        header.inspect,
        header.ask,
        decode.decode,
        upright.turn,
        colour.to_srgb,
    ):
        step(attempt)
    frame = next(attempt.frames, None)
    if frame is None:
        raise reject(Reason.CORRUPT, "no frame could be decoded")
    return frame.image


def fitted(image: Image.Image, side: int) -> Image.Image:
    """On white, no larger than ``side``."""
    if image.mode == "RGBA":
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image.getchannel("A"))
        image = white
    longest = max(image.size)
    if longest <= side:
        return image
    size = (max(1, round(image.width * side / longest)), max(1, round(image.height * side / longest)))
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _stage(image: Image.Image, errand: Inspect | MakePreview, serial: int) -> None:
    coded = io.BytesIO()
    image.save(coded, "JPEG", quality=_QUALITY, subsampling="4:4:4", optimize=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(os.path.join(staging_of(errand), staged_name(serial)), flags, 0o600)
        try:
            stage.write_all(descriptor, coded.getvalue())
        finally:
            os.close(descriptor)
    except OSError as error:
        raise Stop(stage.trouble(error, "a preview")) from error
