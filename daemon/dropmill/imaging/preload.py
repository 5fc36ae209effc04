"""What a zygote loads once, so that the workers forked from it start in milliseconds."""

from __future__ import annotations

import io

from PIL import Image, ImageColor, ImageFilter, ImagePalette, MpoImagePlugin

from dropmill.imaging import codecs, colour, fingerprint, vips
from dropmill.imaging.sizes import FINGERPRINT_SIDE as SIDE

# What Pillow would import in the middle of some pictures; a confined worker reaches no library any more.
_AT_FIRST_USE = (ImageColor, ImageFilter, ImagePalette, MpoImagePlugin)


def preload() -> None:
    """Load and warm everything that a worker will need; starts no threads and leaves no state of any file.

    The steps import all modules by themselves except those that libraries load at first use (scipy's transforms,
    pillow_heif, the encoders' tables), so one small picture goes through each.
    """
    codecs.set_up()
    if codecs.heif_available():
        codecs.heif_decoder()
    vips.library()
    colour.warm()
    # In full size, because BLAS maps its buffers at its first product.
    fingerprint.looks_of(Image.new("RGB", (SIDE, SIDE), "gray"))
    for name in ("JPEG", "PNG", "WEBP", "AVIF"):
        Image.new("RGB", (16, 16)).save(io.BytesIO(), name)
