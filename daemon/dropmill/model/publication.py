"""Publications and disposals: what a decided job still owes to the file system."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from dropmill.model.file import Signature


class PublicationState(StrEnum):
    OWED = "owed"
    VISIBLE = "visible"
    FAILED = "failed"
    RETIRING = "retiring"
    """To be replaced by a new version, or removed because its source was deleted."""
    RETIRED = "retired"


PUBLICATION_TRANSITIONS: Final[frozenset[tuple[PublicationState, PublicationState]]] = frozenset(
    {
        (PublicationState.OWED, PublicationState.VISIBLE),
        (PublicationState.OWED, PublicationState.FAILED),
        (PublicationState.OWED, PublicationState.RETIRING),
        (PublicationState.OWED, PublicationState.RETIRED),
        (PublicationState.VISIBLE, PublicationState.FAILED),
        (PublicationState.FAILED, PublicationState.RETIRING),
        (PublicationState.VISIBLE, PublicationState.RETIRING),
        (PublicationState.RETIRING, PublicationState.RETIRED),
    }
)


class Disposition(StrEnum):
    """What becomes of an original."""

    ARCHIVE = "archive"
    DUPLICATES = "duplicates"
    QUARANTINE = "quarantine"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Publication:
    """A rendition on its way from ``<output>/.dropmill/<staged_name>`` to ``<output>/<final_name>``."""

    id: int
    job_id: int
    inbox: str
    rendition: str
    page: int
    output_id: int
    output: bytes
    staged_name: str
    ino: int
    sha256: str
    size_bytes: int
    format: str
    final_name: bytes
    attempts: int
    replaces_ino: int | None
    replaces_sha256: str | None
    """Inode and digest of our own earlier rendition at ``final_name`` that may be swapped out (PROTOCOL 9)."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A rendition of another picture, under its final name or still staged, that can be linked to."""

    rendition: str
    page: int
    output: bytes
    final_name: bytes
    staged_name: str
    sha256: str
    size_bytes: int
    width: int
    height: int
    format: str


@dataclass(frozen=True, slots=True)
class Retirement:
    """An earlier rendition to be taken away; not ``removable`` where its name has a successor, or was never ours."""

    id: int
    output: bytes
    staged_name: str
    final_name: bytes
    ino: int
    sha256: str
    removable: bool
    attempts: int


@dataclass(frozen=True, slots=True)
class Disposal:
    """An original on its way out of the inbox. ``target_name`` is None until it is recorded (PROTOCOL 12)."""

    id: int
    job_id: int
    inbox: str
    disposition: Disposition
    root: bytes
    rel: bytes
    signature: Signature
    sha256: str | None
    anchor_image_id: int | None
    target: bytes | None
    target_name: bytes | None
    attempts: int
    reason: str
    detail: str
    source: bytes = b""
    """The job's path: ``rel``, or for a download its URL."""


def suffixes(sha256: str, job_id: int) -> Iterator[str]:
    """Collision suffixes in the order in which they are tried; the last is the job's own and cannot be taken."""
    yield ""
    for length in (8, 16, 64):
        yield sha256[:length]
    yield f"{sha256[:8]}-{job_id}"


def collision_key(name: bytes) -> str:
    """Two names with the same key are the same file on a case-insensitive or normalising file system (S04)."""
    text = name.decode("utf-8", "backslashreplace")  # Lone surrogates could not be stored as text.
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
