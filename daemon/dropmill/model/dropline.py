"""One line of a drop-file: what it asks for, or why it cannot be taken (U17). Pure.

    URL
    URL<TAB>label
    URL<TAB>key=value<TAB>key=value…
    # a comment

Text is UTF-8. Whatever the bytes are, nothing is raised: a bad line is a value.
"""

from __future__ import annotations

import difflib
import os
import re
from dataclasses import dataclass, field, replace
from typing import Final

from dropmill.model.download import Wanted
from dropmill.model.file import shown
from dropmill.model.outcome import Reason
from dropmill.model.tailing import LINE_BYTES, Kind, Piece
from dropmill.model.url import UrlRefused, parse_url, redact

BOM: Final = b"\xef\xbb\xbf"
LABEL_CHARS: Final = 1000
NAME_BYTES: Final = 255
FORMATS: Final = ("jpeg", "png", "webp", "gif", "tiff", "bmp", "avif", "heif")
# Of a bad line so much is told.
_TOLD_CHARS: Final = 200
_ALIASES: Final = {"jpg": "jpeg", "tif": "tiff", "heic": "heif"}
_PAIR = re.compile(r"([A-Za-z0-9_-]+)=(.*)", re.DOTALL)
_RESERVED: Final = frozenset({".", "..", ".dropmill"})


@dataclass(frozen=True, slots=True)
class Bad:
    """``url`` is what stands where the URL should be, safe to be shown."""

    reason: Reason
    detail: str
    url: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line that says something. ``offset_bytes``: where it begins in the file, which tells it from all others there."""

    offset_bytes: int
    number: int
    said: Wanted | Bad


@dataclass(slots=True)
class _Fields:
    values: dict[str, str] = field(default_factory=dict)
    wrong: str = ""


def read_piece(piece: Piece) -> Line | None:
    """None for a blank line or a comment."""
    said: Wanted | Bad | None
    text = piece.text.removeprefix(BOM) if piece.offset_bytes == 0 else piece.text
    match piece.kind:
        case Kind.WHOLE:
            said = parse(text)
        case Kind.OVERLONG:
            said = Bad(Reason.BAD_LINE, f"the line is longer than {LINE_BYTES} bytes", _told(text))
        case Kind.REST:
            detail = (
                "it stands behind a last line that had no newline and was taken when nothing was written for a while: "
                "write each line at once, with its newline"
            )
            said = Bad(Reason.BAD_LINE, detail, _told(text))
    return None if said is None else Line(piece.offset_bytes, piece.line, said)


def parse(text: bytes) -> Wanted | Bad | None:
    """One line without its newline. None where it is blank or a comment."""
    stripped = text.strip(b" \t\r")
    if not stripped or stripped.startswith(b"#"):
        return None
    if b"\0" in stripped:
        return Bad(Reason.BAD_LINE, "there are zero bytes in it: is the file UTF-16? Save it as UTF-8", _told(stripped))
    try:
        line = stripped.decode("utf-8")
    except UnicodeDecodeError as error:
        return Bad(Reason.BAD_LINE, f"its byte {error.start + 1} is not UTF-8", _told(stripped))
    if "\r" in line:
        return Bad(Reason.BAD_LINE, "there is a carriage return within it; end lines with a newline", _told(stripped))
    parts = line.split("\t")
    address = parts[0].strip(" ")
    fields = _fields([part.strip(" ") for part in parts[1:]])
    try:
        url = parse_url(address)
    except UrlRefused as error:
        if _is_url(address.partition(" ")[0]):
            detail = (
                "there is a blank behind the URL: put a tab between it and a label or fields (%20 is a blank within)"
            )
            return Bad(error.reason, detail, _shown_url(address))
        return Bad(error.reason, error.detail, _shown_url(address))
    if fields.wrong:
        return Bad(Reason.BAD_LINE, fields.wrong, _shown_url(address))
    return _wanted(Wanted(url.given, url.canonical, url.origin), fields.values)


def wanted(address: str, **values: str) -> Wanted | Bad:
    """As a line with these fields, empty ones left out: for URLs that come from elsewhere, such as a table, whose labels
    may have several lines."""
    try:
        url = parse_url(address.strip())
    except UrlRefused as error:
        return Bad(error.reason, error.detail, _shown_url(address))
    fields = _Fields()
    for key, value in values.items():
        if value:
            _put(fields, key, " ".join(value.split()) if key == "label" else value)
    if fields.wrong:
        return Bad(Reason.BAD_LINE, fields.wrong, _shown_url(address))
    return _wanted(Wanted(url.given, url.canonical, url.origin), fields.values)


def _is_url(text: str) -> bool:
    try:
        parse_url(text)
    except UrlRefused:
        return False
    return True


def _fields(parts: list[str]) -> _Fields:
    fields = _Fields()
    for position, part in enumerate(parts):
        if not part:
            continue
        pair = _PAIR.fullmatch(part)
        if pair is not None:
            _put(fields, pair[1].lower(), pair[2].strip(" "))
        elif position == 0 and "=" not in part:
            _put(fields, "label", part)
        else:
            _wrong(fields, f"{_quoted(part)} is no key=value field")
    return fields


def _put(fields: _Fields, key: str, value: str) -> None:
    if key not in _CHECKS:
        near = difflib.get_close_matches(key, _CHECKS, n=1, cutoff=0.6)
        hint = f"did you mean {near[0]}?" if near else f"valid are {', '.join(_CHECKS)}"
        _wrong(fields, f"{_quoted(key)} is no field; {hint}")
    elif key in fields.values:
        _wrong(fields, f"{key} is there twice")
    else:
        problem = _CHECKS[key](value)
        if problem:
            _wrong(fields, f"{key}={_quoted(value)}: {problem}")
        fields.values[key] = value


def _wrong(fields: _Fields, detail: str) -> None:
    fields.wrong = fields.wrong or detail


def _wanted(asked: Wanted, values: dict[str, str]) -> Wanted:
    priority, size = values.get("priority"), values.get("size")
    return replace(
        asked,
        label=values.get("label", ""),
        priority=int(priority) if priority else None,
        hint=_last_part(values.get("name", "")),
        directory=values.get("dir", "").rstrip("/"),
        expected_size_bytes=int(size) if size else None,
        expected_type=_format(values.get("type", "")),
        expected_sha256=values.get("sha256", "").lower(),
    )


def _label_problem(value: str) -> str:
    return f"longer than {LABEL_CHARS} characters" if len(value) > LABEL_CHARS else _control_problem(value)


def _priority_problem(value: str) -> str:
    return "" if value in {"1", "2", "3", "4", "5"} else "1 to 5, 5 is most urgent"


def _name_problem(value: str) -> str:
    last = _last_part(value)
    if not last.strip(". "):
        return "no file name"
    return _control_problem(last) or _length_problem(last)


def _dir_problem(value: str) -> str:
    parts = value.rstrip("/").split("/")
    if value.startswith("/") or "\\" in value or not all(parts) or not _RESERVED.isdisjoint(parts):
        return "a folder below the output is meant, without .., as in cats/siamese"
    return _control_problem(value) or next(filter(None, map(_length_problem, parts)), "")


def _size_problem(value: str) -> str:
    return "" if re.fullmatch(r"[0-9]{1,15}", value) else "a number of bytes is meant"


def _type_problem(value: str) -> str:
    return "" if _format(value) in FORMATS else f"valid are {', '.join(FORMATS)}"


def _sha256_problem(value: str) -> str:
    return "" if re.fullmatch(r"[0-9A-Fa-f]{64}", value) else "64 hexadecimal digits are meant"


def _length_problem(name: str) -> str:
    return f"longer than {NAME_BYTES} bytes" if len(name.encode()) > NAME_BYTES else ""


def _control_problem(value: str) -> str:
    return "" if value.isprintable() else "there is a control character in it"


_CHECKS: Final = {
    "label": _label_problem,
    "priority": _priority_problem,
    "name": _name_problem,
    "dir": _dir_problem,
    "size": _size_problem,
    "type": _type_problem,
    "sha256": _sha256_problem,
}
KEYS: Final = tuple(_CHECKS)


def _last_part(value: str) -> str:
    """A hint is a name, never a path (U13)."""
    return re.split(r"[/\\]", value)[-1]


def _format(value: str) -> str:
    word = value.lower().removeprefix("image/")
    return _ALIASES.get(word, word)


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:39] + "…")


def _told(text: bytes) -> str:
    """The first field of a line that could not be read, without credentials."""
    return _shown_url(os.fsdecode(text[: 4 * _TOLD_CHARS].split(b"\t")[0]))


def _shown_url(text: str) -> str:
    return shown(redact(text))[:_TOLD_CHARS]
