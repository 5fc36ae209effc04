"""What each picture's bytes are and look like, once per SHA-256."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dropmill.model.fingerprint import Content, Looks, from_int64, to_int64
from dropmill.model.image import Picture
from dropmill.store import windows
from dropmill.store.connection import Session


def put(session: Session, content: Content, looks: Looks, picture: Picture, size_bytes: int, now_ms: int) -> int:
    """The id of an image that is new, or known and hashed anew."""
    image_id: int = session.value(
        "image_put",
        sha256=content.sha256,
        coded_sha256=content.coded_sha256,
        fingerprint_version=looks.version,
        phash=to_int64(looks.phash),
        dhash=to_int64(looks.dhash),
        ahash=to_int64(looks.ahash),
        phash256=looks.phash256,
        texture=looks.texture,
        pages_dropped=picture.pages_dropped,
        icc=picture.icc,
        **_described(picture, size_bytes),
        now_ms=now_ms,
    )
    windows.put(session, image_id, looks)
    return image_id


def looks_of(session: Session, image_id: int) -> Looks:
    """Of a catalogued image, and so of whatever is coded like it."""
    row = session.one("image_get", id=image_id)
    if row is None:
        raise LookupError(image_id)
    phash, dhash, ahash = (from_int64(row[name]) for name in ("phash", "dhash", "ahash"))
    parts = windows.of_images(session, [image_id]).get(image_id)
    return Looks(phash, dhash, ahash, row["phash256"], row["texture"], row["fingerprint_version"], parts)


def at_paths(session: Session, places: Sequence[tuple[int, bytes]], before: int, limit: int) -> list[int]:
    """Ids below ``before`` of what is, or was, at any of these (root, path), the newest first."""
    found: set[int] = set()
    for root_id, rel in places:
        rows = session.all("images_at_path", root_id=root_id, rel=rel, before=before, limit=limit)
        found |= {row["image_id"] for row in rows}
    return sorted(found, reverse=True)[:limit]


def of_url(session: Session, canonical: str, before: int, limit: int) -> list[int]:
    """The same of what came of a URL."""
    return [row["image_id"] for row in session.all("images_of_url", canonical=canonical, before=before, limit=limit)]


def _described(picture: Picture, size_bytes: int) -> dict[str, Any]:
    return {
        "format": picture.format,
        "width": picture.width,
        "height": picture.height,
        "mode": picture.mode,
        "frames": picture.frames,
        "orientation": picture.orientation,
        "captured_at": picture.captured_at,
        "copyright": picture.copyright,
        "camera": picture.camera,
        "size_bytes": size_bytes,
    }
