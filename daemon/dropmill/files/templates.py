"""Names of outputs from templates such as ``{dir}/{stem}-{rendition}.{ext}``. Pure.

Whatever the values are, the result stays below the output directory and outside ``.dropmill``.
"""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass, replace
from typing import Final

from dropmill.model.names import shorten, split_extension, with_suffix
from dropmill.settings.template import UNDATED, Piece, Template

_DATE_DIRECTIVE: Final = re.compile(r"%(.)")
_EXIF_DATE: Final = re.compile(r"(\d{4})[:\-](\d\d)[:\-](\d\d)(?:[ T](\d\d):(\d\d):(\d\d))?")
# What follows the last of these in a name (rendition, extension) is kept when the name must be shortened.
_LONG: Final = frozenset({"dir", "stem", "inbox", "label"})


@dataclass(frozen=True, slots=True)
class NameFields:
    """The values of a template. ``dir`` and ``stem`` are of the source, as bytes; ``ext`` has no dot; ``label`` may hold folders.

    ``date``: EXIF local time as written, ``YYYY:MM:DD HH:MM:SS``, or empty. ``line``: of the drop-file, counted from 1.
    """

    dir: bytes = b""
    stem: bytes = b""
    rendition: str = ""
    ext: str = ""
    sha256: str = ""
    inbox: str = ""
    label: str = ""
    line: int = 0
    date: str = ""


def render_name(template: str, fields: NameFields, collision: str = "") -> bytes:
    """The name of an output, relative to the output directory, each component within 255 bytes.

    ``collision`` (8 hex digits of the source's sha256) follows the stem as ``~collision``, in all renditions alike;
    in a template without ``{stem}`` it precedes what follows the last name-like field.
    Raises ``settings.findings.Wrong`` for a template that the settings would refuse.
    """
    pieces = Template.parse(template).pieces
    has_stem = any(piece.field == "stem" for piece in pieces)
    if collision and has_stem:
        fields = replace(fields, stem=fields.stem + b"~" + collision.encode())
    rendered, kept_from = b"", 0
    for piece in pieces:
        rendered += _encoded(piece.text) if not piece.field else _value(piece, fields)
        if piece.field in _LONG:
            kept_from = len(rendered)
    keep = rendered[kept_from:].rpartition(b"/")[2] if kept_from else None
    parts = [_harmless(part) for part in rendered.split(b"/") if part]
    name = b"/".join(parts) or b"_"
    if collision and not has_stem:
        return shorten(with_suffix(name, collision, keep))
    return shorten(name, keep or None)


def _value(piece: Piece, fields: NameFields) -> bytes:
    match piece.field:
        case "dir":
            return fields.dir.replace(b"\0", b"_")
        case "label":  # By default the folders inside the inbox.
            return _encoded(fields.label).replace(b"\0", b"_")
        case "stem":
            return _flat(fields.stem)
        case "sha256":
            return _flat(fields.sha256.encode())[: int(piece.text or 64)]
        case "line":
            return b"%d" % fields.line
        case "date":
            return _date(fields.date, piece.text or "%Y-%m-%d")
        case field:
            return _flat(_encoded(str(getattr(fields, field))))


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _flat(value: bytes) -> bytes:
    """A value that may hold anything as part of one component."""
    return value.replace(b"/", b"_").replace(b"\0", b"_")


def _harmless(component: bytes) -> bytes:
    """A component that neither climbs out of the output nor reaches into its staging directory."""
    if component in {b".", b".."} or component.lower().startswith(b".dropmill"):
        return b"_" + component.lstrip(b".")
    return component


def _date(date: str, format_: str) -> bytes:
    found = _EXIF_DATE.match(date)
    if found is None:
        return UNDATED.encode()
    year, month, day, hour, minute, second = (int(number or 0) for number in found.groups())
    try:
        # Only checks the numbers: a camera writes its local time and no zone.
        datetime.datetime(year, month, day, hour, minute, min(second, 59), tzinfo=datetime.UTC)
    except ValueError:
        return UNDATED.encode()
    values = {"Y": f"{year:04}", "m": f"{month:02}", "d": f"{day:02}"}
    values |= {"H": f"{hour:02}", "M": f"{minute:02}", "S": f"{second:02}"}
    return _encoded(_DATE_DIRECTIVE.sub(lambda match: values[match[1]], format_))


def stem_of(name: bytes) -> bytes:
    """The stem of the last component of a path, for ``NameFields.stem``."""
    return split_extension(name.rpartition(b"/")[2])[0]
