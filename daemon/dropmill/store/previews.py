"""What the catalog says of previews: which files one can be made from, and whose are wanted at all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from dropmill.store.connection import Session


@dataclass(frozen=True, slots=True)
class Sources:
    sha256: str
    places: tuple[tuple[bytes, bytes], ...]
    """Root and path below it of files that hold the image, the one seen last first."""


def sources(session: Session, image_id: int, limit: int) -> Sources | None:
    """None for an image that is not known."""
    rows = session.all("preview_sources", image_id=image_id, limit=limit)
    if not rows:
        return None
    places = tuple((row["root_path"], row["rel"]) for row in rows if row["rel"] is not None)
    return Sources(rows[0]["sha256"], places)


def known(session: Session, sha256s: Sequence[str]) -> set[str]:
    """Those that are catalogued."""
    return {row["sha256"] for row in session.all("images_known", sha256s=json.dumps(list(sha256s)))}
