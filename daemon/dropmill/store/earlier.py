"""What earlier versions of a path have put out, and what becomes of it (PROTOCOL 9)."""

from __future__ import annotations

from dropmill.model.inbox import Inbox
from dropmill.model.job import Job
from dropmill.store.connection import Row, Session


def retire_earlier(session: Session, job: Job, inbox: Inbox, image_id: int) -> dict[str, int]:
    """Mark what earlier versions of this path put out as to be replaced; returns their ids by collision key.

    On request (reprocess) the renditions of the same image; else, where originals are kept and the policy says
    "replace", those of other images that no other path leans on (PROTOCOL 9).
    """
    rows = _to_redo(session, job, inbox, image_id) if job.reprocess_of is not None else []
    if job.reprocess_of is None:
        replaced = own_images(session, job, inbox) - {image_id}
        if not replaced:
            return {}
        standing = session.all("publications_standing", output_id=inbox.output.id, root_id=inbox.root.id, rel=job.rel)
        rows = [row for row in standing if row["image_id"] in replaced]
    for row in rows:
        session.run("publication_retire", id=row["id"], retired_by=job.id)
    return {row["final_key"]: row["id"] for row in rows}


def _to_redo(session: Session, job: Job, inbox: Inbox, image_id: int) -> list[Row]:
    return session.all(
        "publications_to_redo",
        output_id=inbox.output.id,
        image_id=image_id,
        job_id=job.reprocess_of,
        root_id=inbox.root.id,
        rel=job.rel,
    )


def own_images(session: Session, job: Job, inbox: Inbox) -> set[int]:
    """Images that only this path has held, whose renditions a new version of it replaces; none by other policies."""
    if not (inbox.keeps_originals and inbox.on_source_changed == "replace"):
        return set()
    return {
        image_id
        for image_id in images_at(session, job, inbox)
        if not session.value("versions_of_image", image_id=image_id, root_id=inbox.root.id, rel=job.rel)
    }


def images_at(session: Session, job: Job, inbox: Inbox) -> set[int]:
    """Images that this path has held, or leaned on as a duplicate."""
    return {row["image_id"] for row in session.all("versions_at", root_id=inbox.root.id, rel=job.rel)}
