"""Step: the renditions as bytes: sRGB without a profile, no metadata but whose picture it is (I08, I09, I11)."""

from __future__ import annotations

import io
from typing import Any, Final

from PIL import Image

from dropmill.files.sniff import Kind
from dropmill.imaging import metadata
from dropmill.imaging.attempt import Attempt, Canvas, Encoded

# Formats that can move. "auto" becomes WebP, because every browser plays it and it keeps soft transparency;
# JPEG shows the first frame.
_MOVING: Final = frozenset({"png", "webp", "avif"})
_PILLOW_NAME: Final = {"jpeg": "JPEG", "png": "PNG", "webp": "WEBP", "avif": "AVIF"}


def encode(attempt: Attempt) -> None:
    keep = attempt.request.recipe.metadata == "copyright"
    exif = metadata.to_exif(*attempt.rights) if keep else b""
    attempt.encoded = tuple(_encoded(attempt, canvas, exif) for canvas in attempt.canvases)
    attempt.canvases = ()


def _encoded(attempt: Attempt, canvas: Canvas, exif: bytes) -> Encoded:
    first = canvas.frames[0].image
    name = _format(attempt, canvas)
    options = _options(canvas, name)
    if exif:
        options["exif"] = exif
    moving = len(canvas.frames) > 1 and name in _MOVING
    with_alpha = moving and any(frame.image.mode == "RGBA" for frame in canvas.frames)
    if name == "jpeg":
        first = on_matte(first, attempt.request.recipe.matte)
    elif moving:
        options |= _moving(attempt, canvas, with_alpha)
        first = first.convert("RGBA") if with_alpha else first
    out = io.BytesIO()
    first.save(out, _PILLOW_NAME[name], **options)
    data = _transparent_webp(out.getvalue()) if with_alpha and name == "webp" else out.getvalue()
    return Encoded(canvas.spec, data, name, first.width, first.height)


def _format(attempt: Attempt, canvas: Canvas) -> str:
    """What "auto" means: JPEG for opaque pictures, PNG for transparent ones and for screenshots."""
    wanted = canvas.spec.format
    if wanted != "auto":
        return wanted
    if len(canvas.frames) > 1:
        return "webp"
    return "png" if canvas.frames[0].image.mode == "RGBA" or attempt.screenshot else "jpeg"


def _options(canvas: Canvas, name: str) -> dict[str, Any]:
    quality = canvas.spec.quality
    if name == "jpeg":
        return {"quality": quality, "progressive": canvas.spec.progressive, "optimize": True}
    if name == "webp":
        return {"quality": quality, "method": 4}
    if name == "avif":
        return {"quality": quality, "speed": 7, "max_threads": 1}
    return {}


def _moving(attempt: Attempt, canvas: Canvas, with_alpha: bool) -> dict[str, Any]:
    """All frames must be of one mode, or encoders draw the odd ones wrongly."""
    rest = [frame.image.convert("RGBA") if with_alpha else frame.image for frame in canvas.frames[1:]]
    loops = attempt.opened().info.get("loop", 1 if attempt.kind is Kind.GIF else 0)
    return {
        "save_all": True,
        "append_images": rest,
        "duration": [frame.duration_ms for frame in canvas.frames],
        "loop": int(loops),
    }


def _transparent_webp(data: bytes) -> bytes:
    """Set the alpha flag of VP8X: libwebp leaves it out where it could cut every frame down to its opaque part, and
    decoders then paint the rest of the canvas."""
    if data[12:16] != b"VP8X":
        return data
    return data[:20] + bytes((data[20] | 0x10,)) + data[21:]


def on_matte(image: Image.Image, matte: str) -> Image.Image:
    """An opaque picture: what shows through is ``matte`` (a colour as ``#rrggbb``)."""
    if image.mode != "RGBA":
        return image
    ground = Image.new("RGB", image.size, matte)
    ground.paste(image, mask=image.getchannel("A"))
    return ground
