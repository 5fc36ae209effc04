"""What is told of images, and of libraries that are catalogued."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from dropmill.web.api.common import Told
from dropmill.web.api.shapes import Bytes, Digest, Format, Hash, Instant, Pixels, Place, PlaceKind, Shown


class Scan(Told):
    """One run over libraries."""

    id: int = Field(description="Larger than those of earlier ones.")
    folders: list[Shown] = Field(description="None where all that is catalogued is hashed anew.")
    state: Literal["running", "done", "cancelled", "failed"] = Field(description="failed: `detail` says why.")
    files: int = Field(description="Looked at so far.")
    total_files: int = Field(description="As far as they are counted; 0 while they are not.")
    unchanged: int = Field(description="Known, and not read again.")
    indexed: int = Field(description="Read and catalogued.")
    ignored: int = Field(description="No pictures, or of a kind that is not taken.")
    refused: int = Field(description="That should be pictures and cannot be catalogued.")
    vanished: int = Field(description="That were catalogued, and are gone.")
    read_bytes: Bytes
    total_bytes: Bytes
    files_per_second: float | None = Field(default=None, description="Over its whole time; null at its beginning.")
    eta_seconds: float | None = Field(default=None, description="How long it will take; null where that is not known.")
    started_at: Instant
    ended_at: str | None = Field(description="Null while it runs.")
    detail: str = Field(description="What it ended with, where that needs a word.")


class RefusedFile(Told):
    """A file of a library that should be a picture, and is not catalogued."""

    path: Shown
    size_bytes: Bytes
    reason: str = Field(description="Stable code.")
    detail: str = Field(description="What is the matter with it.")
    remedy: str = Field(description="What can be done about it.")
    seen_at: Instant


class RefusedPage(Told):
    files: list[RefusedFile] = Field(description="In the order of their libraries and paths.")
    next: str | None = Field(description="`cursor` of the following page; null on the last one.")
    total: int = Field(description="On all pages.")


class Begun(Told):
    id: int = Field(description="Ask `/index/{id}` how far it is.")


class Forgotten(Told):
    """What was taken from the catalog. The files stay."""

    image: int = Field(description="The id that it had.")
    sha256: Digest
    files: list[Shown] = Field(description="That hold it.")
    renditions: list[Shown] = Field(description="That were made of it.")
    notes: list[str] = Field(description="What somebody may want to know about it.")


class File(Told):
    id: int = Field(description="As that of a member of a group.")
    path: Shown
    inbox: Place
    kind: PlaceKind
    size_bytes: Bytes
    modified_at: Instant


class Image(Told):
    """A content: one SHA-256, whichever files hold it."""

    id: int = Field(description="The same for all files of these bytes.")
    sha256: Digest
    phash: Hash
    dhash: Hash
    ahash: Hash
    phash256: Hash
    texture: float = Field(description="How much there is to tell it from others by; flat pictures have little.")
    fingerprint_version: int = Field(description="The recipe of the hashes.")
    format: Format
    width: Pixels
    height: Pixels
    size_bytes: Bytes
    catalogued_at: Instant
    files: list[File] = Field(description="That hold it, as far as they are known; at most 1000.")
    groups: list[int] = Field(description="Ids of those in which it is.")


class ImagePage(Told):
    images: list[Image] = Field(description="The newest first; none where nothing is known of that source.")
    next: str | None = Field(description="`cursor` of the following page; null on the last one.")


class Metadata(Told):
    """What the picture says of itself, and what was measured on its pixels."""

    id: int = Field(description="Of the image.")
    mode: str = Field(description="Its channels as Pillow calls them: RGB, L, CMYK, …")
    frames: int = Field(description="Of an animation, or pages of a document.")
    pages_dropped: int = Field(description="Pages that got no rendition.")
    orientation: int = Field(description="EXIF orientation, 1 to 8.")
    icc: str = Field(description="Its colour profile, or none.")
    captured_at: str | None = Field(description="As the camera wrote it: local time.")
    camera: str | None = Field(description="Maker and model.")
    copyright: str | None = Field(description="As it says itself.")
    measured: dict[str, Any] | None = Field(description="Null until it was in a group.")
    unmeasured_reason: str | None = Field(description="Why it could not be measured.")
