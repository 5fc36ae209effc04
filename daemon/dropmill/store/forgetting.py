"""An image is taken out of the catalog with all that leans on it: what comes again afterwards is new."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from dropmill.errors import Conflict
from dropmill.store.connection import Row, Session

# In this order: what refers to others goes first.
_STEPS: Final = (
    "forget_mates",
    "forget_groups",
    "forget_shrink",
    "forget_members",
    "forget_versions",
    "forget_holdings",
    "image_pairs_remove",
    "image_candidates_remove",
    "forget_replaced",
    "forget_publications",
    "forget_anchors",
    "forget_disposals",
    "forget_jobs",
    "forget_image",
)


@dataclass(frozen=True, slots=True)
class Known:
    """``files``: rows of ``forget_files``; ``renditions``: root and path below it of those that are visible."""

    image_id: int
    sha256: str
    files: tuple[Row, ...]
    renditions: tuple[tuple[bytes, bytes], ...]


def beginning(session: Session, prefix: str, limit: int) -> list[tuple[int, str]]:
    """Ids and digests of images whose SHA-256 begins so."""
    rows = session.all("images_beginning", first=prefix, beyond=prefix + "g", limit=limit)
    return [(row["id"], row["sha256"]) for row in rows]


def at_path(session: Session, root_id: int, rel: bytes) -> int | None:
    """The image that a path holds, or else the one that it held last."""
    holding = session.one("library_holding_get", root_id=root_id, rel=rel)
    if holding is not None:
        return int(holding["image_id"])
    held = session.all("versions_at", root_id=root_id, rel=rel)
    return int(max(held, key=lambda row: row["decided_at_ms"])["image_id"]) if held else None


def known(session: Session, image_id: int) -> Known | None:
    image = session.one("image_get", id=image_id)
    if image is None:
        return None
    renditions = session.all("forget_renditions", image_id=image_id)
    return Known(
        image_id,
        image["sha256"],
        tuple(session.all("forget_files", image_id=image_id)),
        tuple((row["root_path"], row["final_name"]) for row in renditions),
    )


def forget(session: Session, image_id: int, gone: Iterable[tuple[int, bytes]]) -> bool:
    """Take it out. False where it was not known any more.

    ``gone``: root and path of sources at which nothing stands, which are new if they come back. A file that does stand in
    an inbox stays seen, so that it is not taken in again by itself. Raises ``Conflict`` while anything is owed.
    """
    image = session.one("image_get", id=image_id)
    if image is None:
        return False
    owed = session.one("forget_owed", image_id=image_id)
    if owed is not None:
        raise Conflict(
            f"{owed['what']} is still on its way", hint="try again in a moment; dropmill status tells what waits",
            retryable=True,
        )  # fmt: skip
    for root_id, rel in gone:
        session.run("source_forget", root_id=root_id, rel=rel)
    for step in _STEPS:
        session.run(step, image_id=image_id)
    session.run("forget_judgements", sha256=image["sha256"])
    return True
