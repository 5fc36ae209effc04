"""When a download may be taken up where it broke off, and what a 206 has to say for it. Pure (U11, RFC 9110)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from typing import Final

# A Last-Modified is strong only if what it names had that long to stay as it is (RFC 9110, 8.8.2.2; 60 s: RFC 7232, 2.2.2).
STEADY_SECONDS: Final = 60.0

# Others than ASCII may stand in one, and are spelled in as many ways as there are programs on the way.
_STRONG_ETAG = re.compile(r'"[\x21\x23-\x7e]*"')
_SENDABLE = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})", re.IGNORECASE)
_LENGTH = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Version:
    """The version of a file whose first bytes are here. ``validator`` is what If-Range names it by."""

    validator: str
    total_bytes: int


class Splice(Enum):
    """What a 206 is to the bytes that are here."""

    FITS = auto()
    CHANGED = auto()
    """It is of another version."""
    WRONG = auto()
    """It is not the range that was asked for, or does not say which it is."""


def version_of(headers: Mapping[str, str]) -> Version | None:
    """What a 200 with these headers (lower-case names) is the beginning of; None where it could not be taken up again.

    That needs a length, no coding, and a validator that changes with every byte: a strong ETag, or a Last-Modified that
    was at least a minute old when the answer was made.
    """
    total_bytes = length_of(headers)
    if total_bytes is None or headers.get("accept-ranges", "").strip().lower() == "none":
        return None
    if headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}:
        return None
    validator = _validator(headers)
    return Version(validator, total_bytes) if validator else None


def can_be_sent(validator: str) -> bool:
    """Whether what a host sent as ETag or Last-Modified can be sent back to it as it was."""
    return _SENDABLE.fullmatch(validator) is not None


def length_of(headers: Mapping[str, str]) -> int | None:
    """Content-Length in bytes, or None where there is none that can be believed."""
    text = headers.get("content-length", "").strip()
    return int(text) if _LENGTH.fullmatch(text) and "transfer-encoding" not in headers else None


def judge_partial(here: Version, offset: int, headers: Mapping[str, str]) -> Splice:
    """Whether the body of a 206 goes on at ``offset`` of the very version that is ``here``, to its end."""
    if headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}:
        return Splice.WRONG
    span = _CONTENT_RANGE.fullmatch(headers.get("content-range", "").strip())
    if span is None:
        return Splice.WRONG
    first, last, total_bytes = (int(number) for number in span.groups())
    name = "etag" if here.validator.startswith('"') else "last-modified"
    if total_bytes != here.total_bytes or headers.get(name, "").strip() != here.validator:
        return Splice.CHANGED
    if first != offset or last != total_bytes - 1 or offset > last:
        return Splice.WRONG
    length_bytes = length_of(headers)
    if length_bytes is not None and length_bytes != total_bytes - offset:
        return Splice.WRONG
    return Splice.FITS


def _validator(headers: Mapping[str, str]) -> str:
    etag = headers.get("etag", "").strip()
    if etag:
        # Where there is a weak one, its owner says that the bytes may differ; the date would know even less.
        return etag if _STRONG_ETAG.fullmatch(etag) else ""
    modified = headers.get("last-modified", "").strip()
    try:
        age = parsedate_to_datetime(headers.get("date", "")) - parsedate_to_datetime(modified)
    except (TypeError, ValueError):  # No date, or one with a time zone and one without.
        return ""
    return modified if age.total_seconds() >= STEADY_SECONDS and can_be_sent(modified) else ""
