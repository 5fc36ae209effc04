"""One content: what it is, which files hold it, and what it says of itself."""

from __future__ import annotations

import json
from typing import Any, Final

from dropmill.control import describe
from dropmill.control.groups import file
from dropmill.control.house import House
from dropmill.errors import NotFound
from dropmill.model.fingerprint import from_int64, to_hex
from dropmill.store import drawing, groups
from dropmill.store.connection import Row, Session

Json = dict[str, Any]
MOST_FILES: Final = 1000


async def one(house: House, image_id: int) -> Json:
    """As ``Desk.image``."""

    def read(session: Session) -> Json:
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

    return await house.catalog.read(read)


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
