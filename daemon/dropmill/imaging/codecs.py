"""The decoders of the allow-list, the settings of the imaging libraries, and their versions."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import io
import logging
import warnings
from collections.abc import Callable
from functools import cache
from typing import Final

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
    features,
)

from dropmill.files.sniff import Kind
from dropmill.imaging import vips

# Plugins are called by class, so no other decoder of Pillow's can ever be chosen, whatever the content pretends.
_DECODERS: Final[dict[Kind, Callable[[io.BytesIO], ImageFile.ImageFile]]] = {
    Kind.JPEG: JpegImagePlugin.JpegImageFile,
    Kind.PNG: PngImagePlugin.PngImageFile,
    Kind.WEBP: WebPImagePlugin.WebPImageFile,
    Kind.GIF: GifImagePlugin.GifImageFile,
    Kind.TIFF: TiffImagePlugin.TiffImageFile,
    Kind.BMP: BmpImagePlugin.BmpImageFile,
    Kind.AVIF: AvifImagePlugin.AvifImageFile,
}


def open_image(kind: Kind, data: bytes) -> ImageFile.ImageFile:
    """Parse the header with the one decoder of ``kind``; raises whatever that decoder raises."""
    if kind is Kind.HEIF:
        return heif_decoder()(io.BytesIO(data))
    return _DECODERS[kind](io.BytesIO(data))


@cache
def heif_available() -> bool:
    return importlib.util.find_spec("pillow_heif") is not None


@cache
def heif_decoder() -> Callable[[io.BytesIO], ImageFile.ImageFile]:
    import pillow_heif

    pillow_heif.options.DECODE_THREADS = 1
    pillow_heif.options.THUMBNAILS = False
    decoder: Callable[[io.BytesIO], ImageFile.ImageFile] = pillow_heif.as_plugin.HeifImageFile
    return decoder


@cache
def set_up() -> None:
    """Process-wide settings of the libraries; done once, before the first picture."""
    # Our limits are checked from the header, sooner and with a reason; Pillow's would warn or raise in between.
    Image.MAX_IMAGE_PIXELS = None
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # Workers are the parallelism; threads of codecs would multiply them.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    logging.getLogger("PIL").setLevel(logging.CRITICAL)


def components() -> dict[str, str]:
    """Versions of the libraries that decide pixels and hashes, by name; ``missing`` where one is not built in."""
    found = {
        "Pillow": importlib.metadata.version("pillow"),
        "libjpeg-turbo": features.version_feature("libjpeg_turbo"),
        "libwebp": features.version_module("webp"),
        "libavif": features.version_module("avif"),
        "libtiff": features.version_codec("libtiff"),
        "zlib": features.version_feature("zlib_ng") or features.version_codec("zlib"),
        "lcms2": features.version_module("littlecms2"),
        "libheif": _libheif_version(),
        "libvips": vips.version(),
        "imagehash": importlib.metadata.version("imagehash"),
        "numpy": importlib.metadata.version("numpy"),
        "scipy": importlib.metadata.version("scipy"),
    }
    return {name: version or "missing" for name, version in found.items()}


def _libheif_version() -> str | None:
    if not heif_available():
        return None
    import pillow_heif

    return str(pillow_heif.libheif_version())
