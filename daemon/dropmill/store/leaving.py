"""What becomes of originals, and of downloads: recorded where the job is decided, done by the stage dispose."""

from __future__ import annotations

from typing import Final

from dropmill.model.download import stored_name
from dropmill.model.file import NO_SIGNATURE
from dropmill.model.inbox import Inbox, Root
from dropmill.model.job import Job
from dropmill.model.publication import Disposition
from dropmill.store import downloads
from dropmill.store.connection import Session
from dropmill.store.rows import signature_values

# Of formats as the decoder names them.
ORIGINAL_EXTENSIONS: Final = {"jpeg": "jpg", "tiff": "tif", "heif": "heic"}


def owe_rejection(session: Session, job: Job, inbox: Inbox, detail: str, *, move: bool = True) -> None:
    """What was refused goes to the quarantine, where there is one; a download is not left behind in any case."""
    if move and inbox.quarantine is not None:
        asked = downloads.asked(session, job.id) if inbox.urls else None
        name = asked.name if asked else None
        owe_disposal(session, job, inbox, Disposition.QUARANTINE, inbox.quarantine, None, None, detail, name)
    elif inbox.urls:
        owe_disposal(session, job, inbox, Disposition.DELETE, None, None, None)


def owe_disposal(
    session: Session,
    job: Job,
    inbox: Inbox,
    disposition: Disposition | None,
    target: Root | None,
    sha256: str | None,
    anchor_image_id: int | None,
    detail: str = "",
    target_name: bytes | None = None,
) -> bool:
    """Record that the original has to go; False where nothing names a folder for it, or it has left the inbox before.

    ``target_name``: where its path says nothing, as with a download's.
    """
    if disposition is None or job.read_root_id is not None or job.signature == NO_SIGNATURE:
        return False
    if disposition is not Disposition.DELETE and target is None:
        return False
    session.run(
        "disposal_put",
        job_id=job.id,
        root_id=inbox.root.id,
        rel=stored_name(job.id) if inbox.urls else job.rel,
        sha256=sha256,
        disposition=disposition,
        anchor_image_id=anchor_image_id,
        target_root_id=target.id if target else None,
        target_name=target_name if target else None,
        detail=detail,
        **signature_values(job.signature),
    )
    return True


def original_name(sha256: str, format_: str) -> bytes:
    """Where a download is kept below the folder for originals: by its content, so that each is there once."""
    extension = ORIGINAL_EXTENSIONS.get(format_.lower(), format_.lower())
    return f"{sha256[:2]}/{sha256}.{extension}".encode()


def original_name_of(session: Session, image_id: int, sha256: str) -> bytes:
    image = session.one("image_get", id=image_id)
    return original_name(sha256, image["format"] if image else "bin")
