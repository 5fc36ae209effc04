"""One content: what it is, which files hold it, and what it says of itself."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any, Final

from dropmill.control import describe, places
from dropmill.control.groups import file
from dropmill.control.house import House
from dropmill.errors import NotFound
from dropmill.model.file import shown
from dropmill.model.fingerprint import from_int64, to_hex
from dropmill.model.url import UrlRefused, is_url, parse_url, redact
from dropmill.store import drawing, groups, images, views
from dropmill.store.connection import Row, Session

Json = dict[str, Any]
MOST_FILES: Final = 1000


async def one(house: House, image_id: int) -> Json:
    """As ``Desk.image``."""

    return await house.catalog.read(lambda session: _whole(session, image_id))


def _whole(session: Session, image_id: int) -> Json:
    row = _image(session, image_id)
    files = groups.holdings_of(session, image_id, MOST_FILES)
    return {
        "id": row["id"],
        "sha256": row["sha256"],
        "phash": to_hex(from_int64(row["phash"])),
        "dhash": to_hex(from_int64(row["dhash"])),
        "ahash": to_hex(from_int64(row["ahash"])),
        "phash256": row["phash256"],
        "texture": row["texture"],
        "fingerprint_version": row["fingerprint_version"],
        "format": row["format"],
        "width": row["width"],
        "height": row["height"],
        "size_bytes": row["size_bytes"],
        "catalogued_at": describe.iso(row["created_at_ms"]),
        "files": [{"id": holding["id"], **file(holding)} for holding in files],
        "groups": list(groups.of_image(session, image_id)),
    }


async def of_source(house: House, source: str | bytes, cursor: str | None, limit: int) -> Json:
    """As ``Desk.images``."""
    before = _before(cursor)
    text = os.fsdecode(source) if isinstance(source, bytes) else source
    if is_url(os.fsencode(text)):
        try:
            canonical = parse_url(text).canonical
        except UrlRefused as error:
            raise NotFound(
                f"{redact(text)} is no URL that could be asked for: {error.detail}", hint="correct it"
            ) from None
        return await _page(house, limit, lambda session: images.of_url(session, canonical, before, limit + 1))
    wanted = await _places_of(house, os.fsencode(text))
    return await _page(house, limit, lambda session: images.at_paths(session, wanted, before, limit + 1))


async def _page(house: House, limit: int, find: Callable[[Session], list[int]]) -> Json:
    def read(session: Session) -> Json:
        found = find(session)
        ids = found[:limit]
        return {
            "images": [_whole(session, image_id) for image_id in ids],
            "next": str(ids[-1]) if len(found) > limit else None,
        }

    return await house.catalog.read(read)


async def _places_of(house: House, path: bytes) -> list[tuple[int, bytes]]:
    """Root and relative path, in every folder of ours that the path lies in: where it was dropped, and where it is now."""
    if not path.startswith(b"/"):
        raise NotFound(f"{shown(path)} is no absolute path and no URL", hint="give the whole path, from /")
    roots = await places.known_roots(house)
    lying = await house.blocking("*", places.places_of, os.path.normpath(path), roots)
    return [(place.root.id, place.rel) for place in lying if place.root.id is not None]


def _before(cursor: str | None) -> int:
    if cursor is None:
        return views.LAST_ID
    if not (cursor.isascii() and cursor.isdecimal() and 0 < int(cursor[:20]) < views.LAST_ID):
        raise NotFound(f"{cursor!r} is no cursor", hint="take `next` of the page before")
    return int(cursor)


async def metadata(house: House, image_id: int) -> Json:
    """As ``Desk.image_metadata``."""

    def read(session: Session) -> Json:
        row = _image(session, image_id)
        measured = drawing.evidence_of(session, [image_id]).get(image_id)
        return {
            "id": row["id"],
            "mode": row["mode"],
            "frames": row["frames"],
            "pages_dropped": row["pages_dropped"],
            "orientation": row["orientation"],
            "icc": row["icc"],
            "captured_at": row["captured_at"] or None,
            "camera": row["camera"] or None,
            "copyright": row["copyright"] or None,
            "measured": json.loads(measured["evidence"]) if measured is not None and measured["evidence"] else None,
            "unmeasured_reason": (measured["reason"] or None) if measured is not None else None,
        }

    return await house.catalog.read(read)


def _image(session: Session, image_id: int) -> Row:
    row = groups.image(session, image_id) if 0 < image_id < 1 << 63 else None
    if row is None:
        raise NotFound(f"there is no image {image_id}", hint="it may have been forgotten; look at its group anew")
    return row
