"""Renditions of another picture that a resembling one can be given as its own."""

from __future__ import annotations

from collections.abc import Sequence

from dropmill.model.inbox import Inbox
from dropmill.model.publication import Standing
from dropmill.model.work import Rendered
from dropmill.store.connection import Session


def standing(session: Session, inbox: Inbox, image_id: int, rendered: Sequence[Rendered]) -> tuple[Standing, ...]:
    """Of the same recipe, one for each of ``rendered``, those of the inbox's own output first; empty where one lacks."""
    rows = [
        row for row in session.all("publications_of_image", image_id=image_id) if row["recipe"] == inbox.recipe_digest
    ]
    rows.sort(key=lambda row: (row["output_id"] != inbox.output.id, row["id"]))
    found: dict[tuple[str, int], Standing] = {}
    for row in rows:
        one = Standing(
            rendition=row["rendition"],
            page=row["page"],
            output=row["output_path"],
            final_name=row["final_name"],
            staged_name=row["staged_name"],
            sha256=row["sha256"],
            size_bytes=row["size_bytes"],
            width=row["width"],
            height=row["height"],
            format=row["format"],
        )
        found.setdefault((one.rendition, one.page), one)
    wanted = [(one.name, one.page) for one in rendered]
    return tuple(found[key] for key in wanted) if set(wanted) == found.keys() else ()
