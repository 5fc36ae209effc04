"""Catalogs of images of which nothing is known but their hashes, put in by SQL alone."""

from __future__ import annotations

from collections.abc import Iterable

import apsw

from dropmill.model.fingerprint import Looks, to_int64

Hashed = tuple[int, int, int]
"""Image id, phash, dhash; hashes unsigned."""


def put_images(connection: apsw.Connection, images: Iterable[Hashed], texture: float = 50.0) -> None:
    """In one transaction."""
    with connection:
        connection.executemany(
            "INSERT INTO images (id, sha256, coded_sha256, fingerprint_version, phash, dhash, ahash, phash256, texture, "
            "format, width, height, mode, frames, pages_dropped, orientation, icc, captured_at, copyright, camera, "
            "size_bytes, created_at_ms) VALUES (?1, printf('%064x', ?1), printf('%064x', ?1), 1, ?2, ?3, 0, "
            "printf('%064x', ?1), ?4, 'jpeg', 1, 1, 'RGB', 1, 0, 1, '', '', '', '', 1, 0)",
            ((image_id, to_int64(phash), to_int64(dhash), texture) for image_id, phash, dhash in images),
        )


def looks(phash: int, dhash: int) -> Looks:
    return Looks(phash, dhash, 0, f"{0:064x}", 50.0)
