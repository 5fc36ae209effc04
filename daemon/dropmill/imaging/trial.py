"""Does each format really work? A tiny picture is written and read again by the very decoders that jobs use."""

from __future__ import annotations

import base64
import io
import json
from typing import Any, Final

from PIL import AvifImagePlugin, Image

from dropmill.files.sniff import Kind
from dropmill.imaging.codecs import components, heif_available, open_image, set_up

_COLOUR: Final = (200, 80, 40)
_SIZE: Final = (16, 16)
# Lossy ones come near; of chroma that is halved, nearer than this.
_NEAR: Final = 24
_WRITTEN: Final = {
    Kind.JPEG: "JPEG",
    Kind.PNG: "PNG",
    Kind.WEBP: "WebP",
    Kind.GIF: "GIF",
    Kind.TIFF: "TIFF",
    Kind.BMP: "BMP",
    Kind.AVIF: "AVIF",
}
# libtiff is asked for compressed ones only.
_OPTIONS: Final[dict[Kind, dict[str, Any]]] = {Kind.TIFF: {"compression": "tiff_lzw"}, Kind.WEBP: {"lossless": True}}
# The encoder of HEIC is not always there, nor needed: one that pillow-heif wrote, of the same picture.
_HEIC: Final = (
    "0000SW^{RQXk}?*00000ZE0pPXk}?*ZE0a<0004eZDn*}000000000XXk=`10000000000aA{+700000000000000000000B57=IV*mgE07O6l"
    "0RRC200001pa1~?00000001@s001LtX>Mi!000000RR916=`l}WdZ;I000310BCk&F#rGn01j|zbZr0t000010002|X>f9I0002oX>en20001W"
    "Xm(>m0RwOV0058x000009`FGC{rLC*01pFT0096PKmiN^|NjGU00093kN^M!000939=ZZRVE_RDDMA4O18@KU0|1Z!00RI30{|YNAb|yz>aLpR"
    ";31&EfB*mtfB*mk0EA)y0RRR>0l{;@i2wiq6Ju{|a&BX6cmM$a4FCp!0000KX>)L8000000000$0000$0000eV{Bn?0000G000010000G00001|"
    "NsBc00002|NsBc000020000GaA|mH000000|*ER0000OX>e^}0000000001009Mo0s{qv0000!ZDe6|0000oC;_hqG8Shvi6HR57*GHIU4Pkr"
    "MiR4IC$16tW5?vTkddDBUwar*<vesC^qf<<&42"
)


def told() -> str:
    """JSON with ``components`` (versions by name, ``missing`` where one is not built in) and ``formats`` (by name, what is
    wrong with it, or nothing)."""
    set_up()
    formats = {name: _trouble(kind) for kind, name in _WRITTEN.items()}
    if heif_available():
        formats["HEIC"] = _trouble(Kind.HEIF)
    return json.dumps({"components": {**components(), **_parts()}, "formats": formats})


def _trouble(kind: Kind) -> str:
    try:
        data = base64.b85decode(_HEIC) if kind is Kind.HEIF else _made(kind)
        with open_image(kind, data) as picture:
            seen = picture.convert("RGB").getpixel((8, 8))
    except Exception as error:  # noqa: BLE001  # Decoders raise whatever they like; each of them means that it does not work.
        return str(error) or type(error).__name__
    if not isinstance(seen, tuple) or any(abs(a - b) > _NEAR for a, b in zip(seen, _COLOUR, strict=True)):
        return f"{_COLOUR} comes back as {seen}"
    return ""


def _made(kind: Kind) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", _SIZE, _COLOUR).save(out, _WRITTEN[kind].upper(), **_OPTIONS.get(kind, {}))
    return out.getvalue()


def _parts() -> dict[str, str]:
    """Versions of the decoders within the decoders of AVIF and HEIC, as far as they are told."""
    found = {}
    # As in "dav1d [dec]:1.5.3-0-gb546257, aom [enc]:3.14.1"; Pillow has no public name for it.
    codecs = getattr(getattr(AvifImagePlugin, "_avif", None), "codec_versions", str)()
    for part in codecs.split(", "):
        name, _, version = part.partition(":")
        if name.endswith(" [dec]"):
            found[name.removesuffix(" [dec]")] = version
    if heif_available():
        import pillow_heif

        for name, words in pillow_heif.libheif_info().get("decoders", {}).items():
            # As in "libde265 HEVC decoder, version 1.1.3".
            found[name] = str(words).rpartition("version ")[2]
    return found
