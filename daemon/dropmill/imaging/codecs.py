"""The decoders of the allow-list, the settings of the imaging libraries, and their versions."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import io
import logging
import re
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

# All that libavif can be built with; which are in a wheel of Pillow's changes.
_AVIF_CODECS: Final = ("dav1d", "libgav1", "aom", "rav1e", "svt")
_VERSION: Final = re.compile(r"\d+\.\d[\w.+-]*")


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
    """Versions of the libraries that decide pixels and hashes, by name, as they tell them themselves.

    ``missing`` where one is not built in; what works inside the libraries for AVIF and HEIC is named only where it is there.
    """
    found = {
        "Pillow": importlib.metadata.version("pillow"),
        "libjpeg-turbo": features.version_feature("libjpeg_turbo"),
        "libwebp": features.version_module("webp"),
        "libavif": features.version_module("avif"),
        "libtiff": features.version_codec("libtiff"),
        "openjpeg": features.version_codec("jpg_2000"),
        "zlib": features.version_feature("zlib_ng") or features.version_codec("zlib"),
        "lcms2": features.version_module("littlecms2"),
        "libheif": None,
        "libvips": vips.version(),
        "imagehash": importlib.metadata.version("imagehash"),
        "numpy": importlib.metadata.version("numpy"),
        "scipy": importlib.metadata.version("scipy"),
    }
    for name in _AVIF_CODECS:
        version = AvifImagePlugin.get_codec_version(name)
        if version:
            found[name] = version
    return {name: version or "missing" for name, version in (found | _of_heif()).items()}


def _of_heif() -> dict[str, str | None]:
    """libheif and what it decodes and encodes HEVC with, which it describes as in "libde265 HEVC decoder, version 1.1.3"."""
    if not heif_available():
        return {}
    import pillow_heif

    told = pillow_heif.libheif_info()
    found: dict[str, str | None] = {
        "pillow-heif": importlib.metadata.version("pillow-heif"),
        "libheif": told["libheif"],
    }
    for name, words in {**told["decoders"], **told["encoders"]}.items():
        version = _VERSION.search(words)
        if version:
            found[name] = version[0]
    return found
