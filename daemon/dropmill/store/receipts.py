"""What a receipt says of a published job."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from dropmill.model.fingerprint import from_int64, to_hex
from dropmill.store import likeness
from dropmill.store.connection import Row, Session


@dataclass(frozen=True, slots=True)
class ToldRendition:
    name: str
    page: int
    final_name: bytes
    format: str
    width: int
    height: int
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Told:
    job_id: int
    inbox: str
    rel: bytes
    label: str
    sha256: str
    image: dict[str, Any]
    renditions: tuple[ToldRendition, ...]
    download: dict[str, Any] | None = None
    """Where a URL's bytes came from."""
    likeness: dict[str, Any] = field(default_factory=dict)
    """What it resembles and what was done about it, as ``store/likeness.py`` keeps it; empty for nothing."""


def told(session: Session, job_id: int) -> Told | None:
    """None where the job is gone or published nothing."""
    job = session.one("job_get", id=job_id)
    image = session.one("image_get", id=job["image_id"]) if job and job["image_id"] is not None else None
    if job is None or image is None:
        return None
    rows = session.all("publications_of_job", job_id=job_id)
    return Told(
        job_id=job_id,
        inbox=job["inbox"],
        rel=job["rel"],
        label=job["label"],
        sha256=job["sha256"],
        image=image_document(image),
        renditions=tuple(_rendition(row) for row in rows if row["state"] == "visible"),
        download=download_document(session.one("download_get", job_id=job_id)),
        likeness=likeness.from_json(job["resemblance"]),
    )


def download_document(row: Row | None) -> dict[str, Any] | None:
    """The provenance of a download, without the credentials that its URL may hold; None for a file."""
    if row is None:
        return None
    return {
        "url": row["canonical"],
        "final_url": row["final_url"],
        "redirects": json.loads(row["chain"]),
        "address": row["address"],
        "status": row["status"],
        "etag": row["etag"],
        "last_modified": row["last_modified"],
        "content_type": row["content_type"],
        "fetched_at_ms": row["ended_at_ms"],
    }


def image_document(image: Row) -> dict[str, Any]:
    """What is known of an image, in the form that receipts and the API show."""
    return {
        "coded_sha256": image["coded_sha256"],
        "phash": to_hex(from_int64(image["phash"])),
        "dhash": to_hex(from_int64(image["dhash"])),
        "ahash": to_hex(from_int64(image["ahash"])),
        "format": image["format"],
        "width": image["width"],
        "height": image["height"],
        "frames": image["frames"],
        "pages_dropped": image["pages_dropped"],
        "captured_at": image["captured_at"],
        "copyright": image["copyright"],
        "camera": image["camera"],
        "icc": image["icc"],
    }


def _rendition(row: Row) -> ToldRendition:
    return ToldRendition(
        row["rendition"],
        row["page"],
        row["final_name"],
        row["format"],
        row["width"],
        row["height"],
        row["size_bytes"],
        row["sha256"],
    )
