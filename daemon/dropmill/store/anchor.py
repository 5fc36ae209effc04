"""What a duplicate leans on: the picture whose renditions stand for it."""

from __future__ import annotations

from dropmill.model.inbox import Inbox
from dropmill.store.connection import Row, Session


def anchor_of(session: Session, inbox: Inbox, image_id: int) -> Row | None:
    """The publication of an image that a duplicate found in ``inbox`` leans on; a row of ``anchor_of_image``."""
    return session.one(
        "anchor_of_image",
        image_id=image_id,
        scope=inbox.dedupe_scope,
        output_id=inbox.output.id,
        recipe=inbox.recipe_digest,
        root_id=inbox.root.id,
    )


def source_of(anchor: Row) -> bytes | None:
    """The whole path, or the URL, that such a publication was made from; None where its job is forgotten."""
    if anchor["source_url"] is not None:
        return str(anchor["source_url"]).encode()
    return None if anchor["source_root"] is None else bytes(anchor["source_root"] + b"/" + anchor["source_rel"])
