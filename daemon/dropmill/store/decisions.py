"""The commit: one fenced transaction that decides a job and records everything it then owes (PROTOCOL 5, 6)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from dropmill.model.duplicates import Policy
from dropmill.model.file import Signature
from dropmill.model.fingerprint import to_int64
from dropmill.model.inbox import Inbox
from dropmill.model.job import Job
from dropmill.model.outcome import Outcome, Reason
from dropmill.model.publication import Disposition, collision_key, suffixes
from dropmill.model.verdict import Decided, Duplicate, LinkFirst, LookFirst, Moved, Presence, Publish, Unchanged
from dropmill.model.work import Linked, Processed, Recognised, Rendered
from dropmill.store import alike, images, likeness, linking, owed, pairs, queue, uniquified
from dropmill.store.anchor import anchor_of, source_of
from dropmill.store.connection import Session
from dropmill.store.earlier import retire_earlier
from dropmill.store.leaving import original_name, original_name_of, owe_disposal, owe_rejection
from dropmill.store.rows import signature_of
from dropmill.store.weighing import NOTHING_SEEN, Seen, look_around, weigh

NameFor = Callable[[Rendered, str], bytes]
"""The final name of a rendition, given a collision suffix (empty for none)."""
FETCHED_AGAIN: Final = "the download is gone; it is fetched again"
"""Detail of the attempt that ends so."""


def conclude(
    session: Session,
    job: Job,
    inbox: Inbox,
    result: Processed | Recognised,
    presences: Mapping[bytes, Presence],
    name_for: NameFor,
    now_ms: int,
    seen: Seen = NOTHING_SEEN,
    links: Linked | None = None,
) -> Decided | LookFirst | LinkFirst | None:
    """Decide ``job`` and record image, publications, disposal and receipt, all or nothing.

    None: another attempt, a cancellation or a rescue came first and nothing was changed (Q03, Q04); or what had
    allowed the rendering to be skipped is gone, and the job was given back.
    """
    row = session.one("job_get", id=job.id)
    if row is None or row["state"] != "executing" or row["epoch"] != job.epoch:
        return None
    near, found = look_around(session, job, inbox, result.content, result.looks, seen)
    verdict = weigh(session, job, inbox, result.content, presences, found)
    match verdict:
        case LookFirst():
            return verdict
        case Publish():
            if not isinstance(result, Processed) or not uniquified.suffices(
                session, inbox, result, verdict, seen.thresholds
            ):
                queue.release(session, job, now_ms)
                return None
            if verdict.policy is Policy.HARDLINK:
                image_id = verdict.alike[0].image_id
                if links is None or links.image_id != image_id:
                    return LinkFirst(image_id, linking.standing(session, inbox, image_id, result.renditions))
                result = replace(result, renditions=links.renditions or result.renditions)
            decided = _publish(session, job, inbox, result, verdict, links, name_for, now_ms)
        case Duplicate():
            decided = _duplicate(session, job, inbox, result, verdict, now_ms)
        case _:
            return _known(session, job, inbox, result.content.sha256, verdict, now_ms)
    if result.looks is not None:
        own = decided.image_id
        if decided.outcome is Outcome.DUPLICATE:
            own = session.value("image_by_sha256", sha256=result.content.sha256) or own
        alike.remember(session, own, result.content, result.looks, near, seen.thresholds.min_texture)
    return decided


def _publish(
    session: Session,
    job: Job,
    inbox: Inbox,
    result: Processed,
    verdict: Publish,
    links: Linked | None,
    name_for: NameFor,
    now_ms: int,
) -> Decided:
    sha256, picture = result.content.sha256, result.picture
    told = likeness.told(session, inbox, picture.width * picture.height, verdict.alike)
    image_id = images.put(session, result.content, result.looks, picture, job.signature.size_bytes, now_ms)
    retiring = retire_earlier(session, job, inbox, image_id)
    names = choose_names(session, inbox, result, name_for, job.id, inbox.policies.rename_word(verdict.policy))
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
    changed = result.changed if verdict.policy is Policy.UNIQUIFY else None
    unlinked = verdict.policy is Policy.HARDLINK and not (links and links.renditions)
    in_vain = unlinked or (changed is not None and not changed.enough)
    policy = Policy.FLAG if in_vain else verdict.policy
    note = {"note": "renditions to link to were not there, so it has its own"} if unlinked else uniquified.told(changed)
    resemblance = likeness.to_json(policy, told, note)
    _complete(session, job, Outcome.PUBLISHED, sha256, image_id, now_ms, resemblance=resemblance)
    disposition = {"archive": Disposition.ARCHIVE, "delete": Disposition.DELETE, "keep": None}[inbox.on_success]
    borrowed = policy is Policy.HARDLINK and verdict.alike[0].kind != "bytes"
    if disposition is Disposition.DELETE and (changed is not None or borrowed) and not inbox.urls:
        disposition = None  # What was put out is another picture than the original.
    name = original_name(sha256, picture.format) if inbox.urls else None
    disposed = owe_disposal(session, job, inbox, disposition, inbox.archive, sha256, None, target_name=name)
    _put_version(session, job, inbox, sha256, image_id, not disposed, now_ms)
    if inbox.receipts:
        session.run("notice_put", kind="receipt", job_id=job.id)
    if not verdict.alike:
        return Decided(Outcome.PUBLISHED, image_id)
    leans_on = anchor_of(session, inbox, verdict.alike[0].image_id)
    anchor = source_of(leans_on) if leans_on else None
    return Decided(Outcome.PUBLISHED, image_id, anchor, verdict.alike[0].kind, policy)


def _duplicate(
    session: Session, job: Job, inbox: Inbox, result: Processed | Recognised, verdict: Duplicate, now_ms: int
) -> Decided:
    """Nothing is rendered. What is not the same bytes is catalogued by itself, so that it is found and grouped."""
    image_id, tier, sha256 = verdict.image_id, verdict.tier, result.content.sha256
    picture = result.picture
    looks = result.looks
    if looks is None and tier == "coded":
        looks = images.looks_of(session, image_id)
    if tier != "bytes" and picture is not None and looks is not None:
        own = images.put(session, result.content, looks, picture, job.signature.size_bytes, now_ms)
        if result.looks is None:
            pairs.put(session, pairs.resembling(session, own, (), 0.0))
    pixels = picture.width * picture.height if picture else 0
    told = likeness.told(session, inbox, pixels, verdict.alike)
    retire_earlier(session, job, inbox, image_id)
    leans_on = anchor_of(session, inbox, image_id)
    _complete(
        session,
        job,
        Outcome.DUPLICATE,
        sha256,
        image_id,
        now_ms,
        tier=tier,
        anchor_job_id=leans_on["job_id"] if leans_on else None,
        resemblance=likeness.to_json(Policy.SKIP, told, {}),
    )
    disposition = {"move": Disposition.DUPLICATES, "delete": Disposition.DELETE, "keep": None}[inbox.on_duplicate]
    if disposition is Disposition.DELETE and tier != "bytes" and not inbox.urls:
        disposition = None  # What it alone holds, if only its metadata, may exist nowhere else.
    name = None
    if inbox.urls:
        name = original_name(sha256, picture.format) if picture else original_name_of(session, image_id, sha256)
    kept = not owe_disposal(session, job, inbox, disposition, inbox.duplicates, sha256, image_id, target_name=name)
    _put_version(session, job, inbox, sha256, image_id, kept, now_ms)
    return Decided(Outcome.DUPLICATE, image_id, source_of(leans_on) if leans_on else None, tier, Policy.SKIP)


def _known(session: Session, job: Job, inbox: Inbox, sha256: str, verdict: Unchanged | Moved, now_ms: int) -> Decided:
    image_id = verdict.image_id
    kept = True
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
            retire_earlier(session, job, inbox, image_id)
            if left:
                _forget_home(session, inbox, previous, sha256)
            _complete(session, job, outcome, sha256, image_id, now_ms, moved_from=previous)
    _put_version(session, job, inbox, sha256, image_id, kept, now_ms)
    return Decided(outcome, image_id)


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
    resemblance: str = "",
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
        resemblance=resemblance,
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


def choose_names(
    session: Session, inbox: Inbox, result: Processed, name_for: NameFor, job_id: int, word: str = ""
) -> Sequence[bytes]:
    """One suffix for all renditions of the image, the first with which none of their names is taken (S04).

    ``word``: what stands before it in any case.
    """
    names: list[bytes] = []
    for suffix in suffixes(result.content.sha256, job_id):
        whole = "~".join(filter(None, (word, suffix)))
        names = [name_for(rendered, whole) for rendered in result.renditions]
        keys = [collision_key(name) for name in names]
        free = not any(session.one("publication_name_taken", output_id=inbox.output.id, final_key=key) for key in keys)
        if free:
            break
    return names
