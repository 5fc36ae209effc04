"""The commit: one fenced transaction that decides a job and records everything it then owes (PROTOCOL 5, 6)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dropmill.model.file import Signature
from dropmill.model.fingerprint import Content, from_int64, to_int64
from dropmill.model.inbox import Inbox
from dropmill.model.job import Job
from dropmill.model.outcome import Outcome, Reason
from dropmill.model.publication import Disposition, collision_key, suffixes
from dropmill.model.verdict import (
    Decided,
    Duplicate,
    Evidence,
    Home,
    LookFirst,
    Moved,
    Presence,
    Publish,
    Twin,
    Unchanged,
    Verdict,
    decide,
)
from dropmill.model.work import Processed, Recognised, Rendered
from dropmill.store import owed, queue
from dropmill.store.anchor import anchor_of, source_of
from dropmill.store.connection import Row, Session
from dropmill.store.leaving import original_name, original_name_of, owe_disposal, owe_rejection
from dropmill.store.rows import signature_of

NameFor = Callable[[Rendered, str], bytes]
"""The final name of a rendition, given a collision suffix (empty for none)."""
FETCHED_AGAIN: Final = "the download is gone; it is fetched again"
"""Detail of the attempt that ends so."""


@dataclass(frozen=True, slots=True)
class KnownHome:
    """Another path of these bytes and what the ledger remembers of it, to be looked at before the transaction."""

    rel: bytes
    ino: int
    size_bytes: int
    mtime_ns: int


def weigh(session: Session, job: Job, inbox: Inbox, content: Content, presences: Mapping[bytes, Presence]) -> Verdict:
    """Gather the evidence and decide; inside the transaction for the commit, or on a snapshot to spare a rendering."""
    place = {"root_id": inbox.root.id, "rel": job.rel, "sha256": content.sha256, "output_id": inbox.output.id}
    here = session.one("version_get", **place)
    homes = [
        Home(row["rel"], row["image_id"], bool(row["standing"]), presences.get(row["rel"], Presence.UNKNOWN))
        for row in session.all("version_homes", **place)
    ]
    twins = [
        Twin(row["id"], "bytes" if row["same_bytes"] else "coded")
        for row in session.all(
            "twins",
            sha256=content.sha256,
            coded_sha256=content.coded_sha256,
            scope=inbox.dedupe_scope,
            output_id=inbox.output.id,
            recipe=inbox.recipe_digest,
            root_id=inbox.root.id,
        )
    ]
    if any(twin.tier == "coded" for twin in twins):
        # A version of this very path that is about to be replaced is nothing to be a duplicate of.
        own = own_images(session, job, inbox)
        twins = [twin for twin in twins if twin.tier == "bytes" or twin.image_id not in own]
    return decide(
        Evidence(
            known_here=here["image_id"] if here and here["standing"] else None,
            homes=homes,
            twins=twins,
            exact=inbox.dedupe_exact,
            forced=job.reprocess_of is not None,
        )
    )


def homes_of(session: Session, job: Job, inbox: Inbox, sha256: str) -> list[KnownHome]:
    rows = session.all("version_homes", root_id=inbox.root.id, rel=job.rel, sha256=sha256, output_id=inbox.output.id)
    return [
        KnownHome(row["rel"], from_int64(row["ino"]), row["size_bytes"], row["mtime_ns"])
        for row in rows
        if row["standing"]
    ]


def conclude(
    session: Session,
    job: Job,
    inbox: Inbox,
    result: Processed | Recognised,
    presences: Mapping[bytes, Presence],
    name_for: NameFor,
    now_ms: int,
) -> Decided | LookFirst | None:
    """Decide ``job`` and record image, publications, disposal and receipt, all or nothing.

    None: another attempt, a cancellation or a rescue came first and nothing was changed (Q03, Q04); or what had
    allowed the rendering to be skipped is gone, and the job was given back.
    """
    row = session.one("job_get", id=job.id)
    if row is None or row["state"] != "executing" or row["epoch"] != job.epoch:
        return None
    verdict = weigh(session, job, inbox, result.content, presences)
    if isinstance(verdict, LookFirst):
        return verdict
    if isinstance(verdict, Publish):
        if not isinstance(result, Processed):
            queue.release(session, job, now_ms)
            return None
        return _publish(session, job, inbox, result, name_for, now_ms)
    return _without_publishing(session, job, inbox, result.content.sha256, verdict, now_ms)


def _publish(
    session: Session,
    job: Job,
    inbox: Inbox,
    result: Processed,
    name_for: NameFor,
    now_ms: int,
) -> Decided:
    image_id = _put_image(session, job, result, now_ms)
    retiring = _retire_earlier(session, job, inbox, image_id)
    names = choose_names(session, inbox, result, name_for, job.id)
    for rendered, final_name in zip(result.renditions, names, strict=True):
        key = collision_key(final_name)
        session.run(
            "publication_put",
            job_id=job.id,
            image_id=image_id,
            output_id=inbox.output.id,
            recipe=inbox.recipe_digest,
            rendition=rendered.name,
            page=rendered.page,
            staged_name=rendered.staged_name,
            ino=to_int64(rendered.ino),
            sha256=rendered.sha256,
            size_bytes=rendered.size_bytes,
            width=rendered.width,
            height=rendered.height,
            format=rendered.format,
            final_name=final_name,
            final_key=key,
            replaces=retiring.get(key),
        )
    _complete(session, job, Outcome.PUBLISHED, result.content.sha256, image_id, now_ms)
    disposition = {"archive": Disposition.ARCHIVE, "delete": Disposition.DELETE, "keep": None}[inbox.on_success]
    sha256 = result.content.sha256
    name = original_name(sha256, result.picture.format) if inbox.urls else None
    disposed = owe_disposal(session, job, inbox, disposition, inbox.archive, sha256, None, target_name=name)
    _put_version(session, job, inbox, result.content.sha256, image_id, not disposed, now_ms)
    if inbox.receipts:
        session.run("notice_put", kind="receipt", job_id=job.id)
    return Decided(Outcome.PUBLISHED, image_id)


def _without_publishing(
    session: Session, job: Job, inbox: Inbox, sha256: str, verdict: Unchanged | Moved | Duplicate, now_ms: int
) -> Decided:
    image_id = verdict.image_id
    kept = True
    anchor = None
    match verdict:
        case Unchanged():
            outcome = Outcome.UNCHANGED
            here = session.one(
                "version_get", root_id=inbox.root.id, rel=job.rel, sha256=sha256, output_id=inbox.output.id
            )
            kept = bool(here and here["kept"])
            _complete(session, job, outcome, sha256, image_id, now_ms)
            if inbox.urls:  # What is known is not kept twice; the download was ours alone.
                owe_disposal(session, job, inbox, Disposition.DELETE, None, sha256, image_id)
        case Moved(previous=previous, left=left):
            outcome = Outcome.MOVED
            _retire_earlier(session, job, inbox, image_id)
            if left:
                _forget_home(session, inbox, previous, sha256)
            _complete(session, job, outcome, sha256, image_id, now_ms, moved_from=previous)
        case Duplicate(tier=tier):
            outcome = Outcome.DUPLICATE
            _retire_earlier(session, job, inbox, image_id)
            leans_on = anchor_of(session, inbox, image_id)
            anchor_job_id = leans_on["job_id"] if leans_on else None
            _complete(session, job, outcome, sha256, image_id, now_ms, tier=tier, anchor_job_id=anchor_job_id)
            disposition = {"move": Disposition.DUPLICATES, "delete": Disposition.DELETE, "keep": None}[
                inbox.on_duplicate
            ]
            if disposition is Disposition.DELETE and tier != "bytes" and not inbox.urls:
                disposition = None  # Its metadata may exist nowhere else.
            name = original_name_of(session, image_id, sha256) if inbox.urls else None
            kept = not owe_disposal(
                session, job, inbox, disposition, inbox.duplicates, sha256, image_id, target_name=name
            )
            anchor = source_of(leans_on) if leans_on else None
    _put_version(session, job, inbox, sha256, image_id, kept, now_ms)
    return Decided(outcome, image_id, anchor)


def _forget_home(session: Session, inbox: Inbox, rel: bytes, sha256: str) -> None:
    """A path that no longer holds the bytes; what else has been seen there since stays known."""
    place = {"root_id": inbox.root.id, "rel": rel}
    version = session.one("version_get", **place, sha256=sha256, output_id=inbox.output.id)
    seen = session.one("source_get", **place)
    session.run("version_remove", **place, sha256=sha256)
    numbers = ("ino", "size_bytes", "mtime_ns")
    if version and seen and all(version[number] == seen[number] for number in numbers):
        session.run("source_forget", **place)


def _complete(
    session: Session,
    job: Job,
    outcome: Outcome,
    sha256: str | None,
    image_id: int | None,
    now_ms: int,
    *,
    tier: str | None = None,
    moved_from: bytes | None = None,
    anchor_job_id: int | None = None,
) -> bool:
    changed = session.run(
        "job_complete",
        id=job.id,
        epoch=job.epoch,
        outcome=outcome,
        detail="",
        sha256=sha256,
        image_id=image_id,
        duplicate_tier=tier,
        moved_from=moved_from,
        anchor_job_id=anchor_job_id,
        now_ms=now_ms,
    )
    queue.end_attempt(session, job, outcome, "", now_ms)
    return changed == 1


def supersede(session: Session, job: Job, now_ms: int) -> bool:
    """The version is gone or was overwritten; whatever stands there now is another job's.

    The ledger forgets having seen it: should it only have been out of reach, with its disk, it is new when it is back
    (W26).
    """
    if job.read_root_id is None and session.one("download_get", job_id=job.id) is not None:
        # Nobody replaces a download: it was removed, and comes again.
        again = session.run("job_fetch_again", id=job.id, epoch=job.epoch) == 1
        queue.end_attempt(session, job, "released", FETCHED_AGAIN, now_ms)
        return again
    if not _complete(session, job, Outcome.SUPERSEDED, None, None, now_ms):
        return False
    owed.keep_unreplaced(session, job.id, now_ms)
    place = {"root_id": session.value("job_root", id=job.id), "rel": job.rel}
    seen = session.one("source_get", **place)
    if seen is not None and signature_of(seen) == job.signature:
        session.run("source_forget", **place)
    return True


def discard(
    session: Session, job: Job, inbox: Inbox, reason: Reason, detail: str, *, crashes: int, move: bool, now_ms: int
) -> bool:
    """End a job for good; with ``move`` the original is owed to the inbox's quarantine, if it names one."""
    if (
        session.run(
            "job_discard", id=job.id, epoch=job.epoch, reason=reason, detail=detail, crashes=crashes, now_ms=now_ms
        )
        != 1
    ):
        return False
    queue.end_attempt(session, job, f"discarded: {reason}", detail, now_ms)
    owed.keep_unreplaced(session, job.id, now_ms)
    if move or inbox.urls:
        owe_rejection(session, job, inbox, detail, move=move)
    return True


def _put_version(session: Session, job: Job, inbox: Inbox, sha256: str, image_id: int, kept: bool, now_ms: int) -> None:
    if job.read_root_id is not None:
        return  # Rendered again from elsewhere: the path that the names come from holds nothing.
    if inbox.keeps_originals and inbox.on_source_changed == "replace":
        session.run("versions_end", root_id=inbox.root.id, rel=job.rel, sha256=sha256)
    signature: Signature = job.signature
    session.run(
        "version_put",
        root_id=inbox.root.id,
        rel=job.rel,
        sha256=sha256,
        ino=to_int64(signature.ino),
        size_bytes=signature.size_bytes,
        mtime_ns=signature.mtime_ns,
        image_id=image_id,
        job_id=job.id,
        kept=int(kept),
        now_ms=now_ms,
    )


def _put_image(session: Session, job: Job, result: Processed, now_ms: int) -> int:
    looks, picture = result.looks, result.picture
    image_id: int = session.value(
        "image_put",
        sha256=result.content.sha256,
        coded_sha256=result.content.coded_sha256,
        fingerprint_version=looks.version,
        phash=to_int64(looks.phash),
        dhash=to_int64(looks.dhash),
        ahash=to_int64(looks.ahash),
        phash256=looks.phash256,
        texture=looks.texture,
        format=picture.format,
        width=picture.width,
        height=picture.height,
        mode=picture.mode,
        frames=picture.frames,
        pages_dropped=picture.pages_dropped,
        orientation=picture.orientation,
        icc=picture.icc,
        captured_at=picture.captured_at,
        copyright=picture.copyright,
        camera=picture.camera,
        size_bytes=job.signature.size_bytes,
        now_ms=now_ms,
    )
    return image_id


def _retire_earlier(session: Session, job: Job, inbox: Inbox, image_id: int) -> dict[str, int]:
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
    held = {row["image_id"] for row in session.all("versions_at", root_id=inbox.root.id, rel=job.rel)}
    return {
        image_id
        for image_id in held
        if not session.value("versions_of_image", image_id=image_id, root_id=inbox.root.id, rel=job.rel)
    }


def choose_names(session: Session, inbox: Inbox, result: Processed, name_for: NameFor, job_id: int) -> Sequence[bytes]:
    """One suffix for all renditions of the image, the first with which none of their names is taken (S04)."""
    names: list[bytes] = []
    for suffix in suffixes(result.content.sha256, job_id):
        names = [name_for(rendered, suffix) for rendered in result.renditions]
        keys = [collision_key(name) for name in names]
        free = not any(session.one("publication_name_taken", output_id=inbox.output.id, final_key=key) for key in keys)
        if free:
            break
    return names
