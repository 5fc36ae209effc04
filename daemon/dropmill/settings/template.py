"""Names of outputs: a template with a closed set of fields, checked when it is read; ``files.templates`` fills it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from dropmill.settings.findings import Wrong, suggestion

FIELDS: Final = frozenset({"dir", "stem", "rendition", "ext", "sha256", "inbox", "label", "line", "date"})
DEFAULT_NAMES: Final = "{dir}/{stem}-{rendition}.{ext}"
UNDATED: Final = "undated"

_DIRECTIVES: Final = "YmdHMS"


@dataclass(frozen=True, slots=True)
class Piece:
    """Literal text (``field`` empty), or a field with what stands behind its colon."""

    text: str
    field: str = ""


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed name template."""

    pieces: tuple[Piece, ...]

    @property
    def fields(self) -> frozenset[str]:
        return frozenset(piece.field for piece in self.pieces if piece.field)

    @classmethod
    def parse(cls, text: str) -> Template:
        """Raises ``Wrong`` for unknown fields, unbalanced braces, paths that leave the output, a missing ``{ext}``."""
        pieces = []
        for literal, field, rest in re.findall(r"([^{}]+)|\{([^{}]*)\}|(.)", text, re.DOTALL):
            if rest:
                raise Wrong(f"there is a single {rest!r}", "a field is written {stem}; braces have no other use here")
            pieces.append(Piece(literal) if literal else _field(field))
        template = cls(tuple(pieces))
        _check_shape(text, template)
        return template


def _field(inside: str) -> Piece:
    name, colon, spec = inside.partition(":")
    if name not in FIELDS:
        raise Wrong(f"{{{inside}}} is no field", suggestion(name, FIELDS))
    if name == "date":
        _check_date(spec)
    elif name == "sha256" and colon:
        if not spec.isdecimal() or not 1 <= int(spec) <= 64:
            raise Wrong(f"{{{inside}}} has no valid length", "write {sha256:2} for the first two of its 64 characters")
    elif colon:
        raise Wrong(f"{{{inside}}}: {name} takes nothing behind a colon", f"write {{{name}}}")
    return Piece(spec, name)


def _check_date(spec: str) -> None:
    for directive in re.findall(r"%(.?)", spec):
        if directive not in _DIRECTIVES:
            known = ", ".join(f"%{letter}" for letter in _DIRECTIVES)
            raise Wrong(f"%{directive} is not understood in a date", f"valid are {known}, as in {{date:%Y/%m}}")


def _check_shape(text: str, template: Template) -> None:
    if "ext" not in template.fields:
        raise Wrong("there is no {ext}", "without it nobody can tell the format; end the name with .{ext}")
    if text.startswith("/"):
        raise Wrong("the name is absolute", "names are relative to the inbox's output; drop the slash in front")
    parts = text.split("/")
    if ".." in parts or "." in parts or ".dropmill" in parts:
        raise Wrong("a part of the name is '.', '..' or '.dropmill'", "names stay below the output")
    if any(ord(char) < 32 or ord(char) == 127 for char in text):
        raise Wrong("there is a control character", "take it out")
