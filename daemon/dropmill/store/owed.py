"""What decided jobs still owe: renditions to publish or retire, originals to dispose of, notices to send."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from dropmill.model.fingerprint import from_int64, to_int64
from dropmill.model.publication import Disposal, Disposition, Publication, Retirement, collision_key
from dropmill.store.connection import Row
from dropmill.store.connection import Session as Session  # Callers name it with these functions.
from dropmill.store.rows import signature_of

LOT = 200
# A picture whose finished renditions are lost again and again is left to a person.
MOST_RENDERINGS = 3


def due_publications(session: Session, output_ids: Collection[int], now_ms: int) -> list[Publication]:
    """Owed renditions of the given outputs, those of one job beside each other."""
    outputs = json.dumps(list(output_ids))
    return [_publication(row) for row in session.all("publications_due", outputs=outputs, now_ms=now_ms, limit=LOT)]


def _publication(row: Row) -> Publication:
    replaces = row["replaces_ino"]
    return Publication(
        id=row["id"],
        job_id=row["job_id"],
        inbox=row["inbox"] or "",
        rendition=row["rendition"],
        page=row["page"],
        output_id=row["output_id"],
        output=row["output_path"],
        staged_name=row["staged_name"],
        ino=from_int64(row["ino"]),
        sha256=row["sha256"],
        size_bytes=row["size_bytes"],
        format=row["format"],
        final_name=row["final_name"],
        attempts=row["attempts"],
        replaces_ino=None if replaces is None else from_int64(replaces),
        replaces_sha256=row["replaces_sha256"],
    )


def visible(session: Session, publication: Publication, ino: int, *, adopted: bool, now_ms: int) -> None:
    session.run(
        "publication_visible",
        id=publication.id,
        ino=to_int64(ino),
        ownership="adopted" if adopted else "owned",
        now_ms=now_ms,
    )


def failed(session: Session, publication: Publication, detail: str) -> None:
    """A rendition that cannot be published; what leaned on it as a duplicate is judged again (PROTOCOL 10)."""
    session.run("publication_failed", id=publication.id, detail=detail)
    row = session.one("job_get", id=publication.job_id)
    if row is not None and not session.all("publications_of_image", image_id=row["image_id"]):
        for duplicate in session.all("duplicates_of_image", image_id=row["image_id"]):
            reopen_duplicate(session, duplicate["id"])


def render_again(session: Session, job_id: int, lost: Collection[int], detail: str) -> bool:
    """Publications of a job are lost before they became visible: it goes back into the queue with all that it decided.

    False, with nothing changed, where that was tried often enough, or another job for the same version is in the queue.
    """
    job = session.one("job_get", id=job_id)
    if job is None or session.value("attempts_published", job_id=job_id) >= MOST_RENDERINGS:
        return False
    if job["state"] == "completed":
        rows = session.all("publications_of_job", job_id=job_id)
        standing = any(row["state"] in {"owed", "visible"} and row["id"] not in lost for row in rows)
        if not session.run("job_render_again", id=job_id, detail=detail, standing=int(standing)):
            return False
        session.run("disposals_remove", job_id=job_id)
        session.run("versions_of_job_remove", job_id=job_id)
        session.run("notices_remove", job_id=job_id)
    elif job["state"] not in {"scheduled", "available", "executing"}:
        return False
    for publication_id in lost:
        session.run("publication_lost", id=publication_id, detail=detail)
    return True


def hurry(session: Session, inboxes: Collection[str], output_ids: Collection[int], now_ms: int) -> None:
    """Their folders are well again: what waited for that need not wait longer."""
    names, outputs = json.dumps(sorted(inboxes)), json.dumps(sorted(output_ids))
    session.run("jobs_hurry", inboxes=names, now_ms=now_ms)
    session.run("publications_hurry", outputs=outputs, now_ms=now_ms)
    session.run("disposals_hurry", inboxes=names, now_ms=now_ms)
    session.run("notices_hurry", inboxes=names, now_ms=now_ms)


def given_up(session: Session) -> int:
    """How many renditions were lost and are not made again by themselves."""
    count: int = session.value("publications_given_up")
    return count


def publication_later(session: Session, publication_id: int, at_ms: int, detail: str) -> None:
    session.run("publication_later", id=publication_id, next_attempt_at_ms=at_ms, detail=detail)


def rename(session: Session, names: Sequence[tuple[int, bytes]]) -> bool:
    """Give owed renditions new final names before the next attempt (PROTOCOL 7); False if one of them is taken."""
    for publication_id, final_name in names:
        if not session.run(
            "publication_rename", id=publication_id, final_name=final_name, final_key=collision_key(final_name)
        ):
            return False
    return True


def source_sha256(session: Session, job_id: int) -> str:
    row = session.one("job_get", id=job_id)
    return row["sha256"] if row else ""


def due_retirements(session: Session, output_ids: Collection[int], now_ms: int) -> list[Retirement]:
    outputs = json.dumps(list(output_ids))
    return [
        Retirement(
            id=row["id"],
            output=row["output_path"],
            staged_name=row["staged_name"],
            final_name=row["final_name"],
            ino=from_int64(row["ino"]),
            sha256=row["sha256"],
            removable=row["ownership"] == "owned" and not row["succeeded"],
            attempts=row["attempts"],
        )
        for row in session.all("publications_retiring", outputs=outputs, now_ms=now_ms, limit=LOT)
    ]


def retired(session: Session, publication_id: int) -> None:
    session.run("publication_retired", id=publication_id)


def keep_unreplaced(session: Session, job_id: int, now_ms: int) -> None:
    """A job that was rendered again ended without renditions: what it was to replace stands, and its path leans on it."""
    session.run("versions_stand_again", job_id=job_id, now_ms=now_ms)
    session.run("publications_stand_again", job_id=job_id)
    session.run("publications_stay_retired", job_id=job_id)


def staged_names(session: Session, output_id: int) -> set[str]:
    """Staged files of an output that are still owed; all others in its staging directory are strays."""
    return {row["staged_name"] for row in session.all("staged_owed", output_id=output_id)}


def staged_by(session: Session, job_id: int) -> set[str]:
    """Staged files of a job that are still owed."""
    return {row["staged_name"] for row in session.all("staged_by", job_id=job_id)}


def due_disposals(session: Session, inboxes: Collection[str], now_ms: int) -> list[Disposal]:
    """Originals of the given inboxes that may go now: all their job's renditions are visible, and so are their anchor's (PROTOCOL 10)."""
    return [
        Disposal(
            id=row["id"],
            job_id=row["job_id"],
            inbox=row["inbox"],
            disposition=Disposition(row["disposition"]),
            root=row["root_path"],
            rel=row["rel"],
            signature=signature_of(row),
            sha256=row["sha256"],
            anchor_image_id=row["anchor_image_id"],
            target=row["target_path"],
            target_name=row["target_name"],
            attempts=row["attempts"],
            reason=row["job_reason"] or "",
            detail=row["job_detail"],
            source=row["source"],
        )
        for row in session.all("disposals_due", inboxes=json.dumps(list(inboxes)), now_ms=now_ms, limit=LOT)
    ]


def standing_files(session: Session, image_id: int) -> list[tuple[bytes, bytes, int, str]]:
    """Visible renditions of an image as (output, name, size in bytes, SHA-256), for re-verifying an anchor (PROTOCOL 10).

    Small ones first: one that stands is enough, and it is read.
    """
    rows = session.all("publications_of_image", image_id=image_id)
    return sorted(
        (
            (row["output_path"], row["final_name"], row["size_bytes"], row["sha256"])
            for row in rows
            if row["state"] == "visible"
        ),
        key=lambda file: file[2],
    )


def record_target(session: Session, disposal_id: int, target_name: bytes) -> None:
    session.run("disposal_target", id=disposal_id, target_name=target_name)


def disposed(session: Session, disposal_id: int, result: str, target_name: bytes | None, now_ms: int) -> None:
    session.run("disposal_done", id=disposal_id, result=result, target_name=target_name, now_ms=now_ms)


def disposal_later(session: Session, disposal_id: int, at_ms: int, detail: str) -> None:
    session.run("disposal_later", id=disposal_id, next_attempt_at_ms=at_ms, detail=detail)


def reopen_duplicate(session: Session, job_id: int, missing_image_id: int | None = None) -> bool:
    """A duplicate whose anchor has nothing to show becomes available again (PROTOCOL 10).

    ``missing_image_id``: the anchor, if its renditions were looked for and are gone; they count as failed from now on.
    """
    if missing_image_id is not None:
        session.run("publications_missing", image_id=missing_image_id)
    session.run("disposals_remove", job_id=job_id)
    session.run("versions_of_job_remove", job_id=job_id)
    return session.run("job_reopen", id=job_id) == 1


@dataclass(frozen=True, slots=True)
class Notice:
    id: int
    kind: str
    job_id: int
    attempts: int


def due_notices(session: Session, inboxes: Collection[str], now_ms: int) -> list[Notice]:
    names = json.dumps(list(inboxes))
    return [
        Notice(row["id"], row["kind"], row["job_id"], row["attempts"])
        for row in session.all("notices_due", inboxes=names, now_ms=now_ms, limit=LOT)
    ]


def notified(session: Session, notice_id: int) -> None:
    session.run("notice_done", id=notice_id)


def notice_later(session: Session, notice_id: int, at_ms: int, detail: str) -> None:
    session.run("notice_later", id=notice_id, next_attempt_at_ms=at_ms, detail=detail)


@dataclass(frozen=True, slots=True)
class Owed:
    publications: int
    retirements: int
    disposals: int
    notices: int
    tried_in_vain: int


def counts(session: Session) -> Owed:
    row = session.one("owed_counts") or {}
    return Owed(
        row["publications"], row["retiring"], row["disposals"], row["notices"], session.value("owed_later") or 0
    )


def oldest_later(session: Session) -> tuple[int, str] | None:
    """The oldest job of which something was tried in vain, and what stood in its way."""
    row = session.one("owed_oldest_later")
    return (row["job_id"], row["detail"]) if row else None
