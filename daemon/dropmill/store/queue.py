"""The ledger of jobs: every transition of ``model.job.TRANSITIONS`` as a fenced statement."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from dropmill.model.attempt import PATIENT
from dropmill.model.file import Signature
from dropmill.model.job import Job, NewJob, rank_ms
from dropmill.model.outcome import Ignored, Reason
from dropmill.store.connection import Session
from dropmill.store.rows import Row, job_of, signature_of, signature_values

PROMOTE_LOT: Final = 1000


def enqueue(session: Session, root_id: int, jobs: Iterable[NewJob], now_ms: int) -> list[int | None]:
    """Add jobs; None stands for a version that is already in the ledger (W21, W22)."""
    return [_enqueue_one(session, root_id, job, now_ms) for job in jobs]


def _enqueue_one(session: Session, root_id: int, job: NewJob, now_ms: int) -> int | None:
    known = session.one("source_get", root_id=root_id, rel=job.rel)
    if known and known["verdict"] == "job":
        before = signature_of(known)
        if before == job.signature:
            return None
        if before.same_bytes_expected(job.signature) and session.one("disposal_owed", job_id=known["job_id"]):
            # Our own: a move that failed was put back by two renames, which change the ctime alone (PROTOCOL 1). The
            # move is tried again, so that another job for it would have a move of its own that fails, without end.
            remember(session, root_id, job.rel, job.signature, known["job_id"], now_ms)
            return None
    job_id = insert(session, root_id, job, now_ms)
    if job_id is not None:
        remember(session, root_id, job.rel, job.signature, job_id, now_ms)
    return job_id


def insert(
    session: Session,
    root_id: int,
    job: NewJob,
    now_ms: int,
    *,
    reprocess_of: int | None = None,
    read_root_id: int | None = None,
    read_rel: bytes | None = None,
    host_id: int | None = None,
    fetched: bool = False,
) -> int | None:
    """``host_id``: what is to be downloaded from there first, and has no signature yet; unless it was ``fetched``."""
    value: int | None = session.value(
        "job_enqueue",
        root_id=root_id,
        inbox=job.inbox,
        rel=job.rel,
        priority=job.priority,
        rank_ms=rank_ms(now_ms, job.priority),
        label=job.label,
        found_by=job.found_by,
        found_at_ms=job.found_at_ms,
        settled_at_ms=job.settled_at_ms,
        now_ms=now_ms,
        reprocess_of=reprocess_of,
        read_root_id=read_root_id,
        read_rel=read_rel,
        phase="process" if host_id is None or fetched else "fetch",
        host_id=host_id,
        **signature_values(job.signature),
    )
    return value


def remember(session: Session, root_id: int, rel: bytes, signature: Signature, job_id: int | None, now_ms: int) -> None:
    """Make ``signature`` the latest seen version of a path, so that scans pass over it."""
    session.run(
        "source_put",
        root_id=root_id,
        rel=rel,
        verdict="job",
        reason=None,
        detail="",
        job_id=job_id,
        now_ms=now_ms,
        **signature_values(signature),
    )


def ignore(session: Session, root_id: int, rel: bytes, signature: Signature, why: Ignored, now_ms: int) -> bool:
    """Journal a file that is not ours; False if that was done before for this version (W24)."""
    known = session.one("source_get", root_id=root_id, rel=rel)
    if known and known["verdict"] == "ignored" and signature_of(known) == signature and known["reason"] == why.reason:
        return False
    session.run(
        "source_put",
        root_id=root_id,
        rel=rel,
        verdict="ignored",
        reason=why.reason,
        detail=why.detail,
        job_id=None,
        now_ms=now_ms,
        **signature_values(signature),
    )
    return True


def known(session: Session, root_id: int, seen: Sequence[tuple[bytes, Signature]]) -> set[bytes]:
    """Those paths of a scan whose latest version in the ledger is the one that was seen."""
    latest = {row["rel"]: signature_of(row) for row in _sources(session, root_id, [rel for rel, _ in seen])}
    return {rel for rel, signature in seen if latest.get(rel) == signature}


def met(session: Session, root_id: int, rels: Sequence[bytes]) -> set[bytes]:
    """Those paths at which some version was seen before."""
    return {row["rel"] for row in _sources(session, root_id, rels)}


def _sources(session: Session, root_id: int, rels: Sequence[bytes]) -> list[Row]:
    return session.all("sources_known", root_id=root_id, rels=json.dumps([rel.hex() for rel in rels]))


def claim(session: Session, owner: str, inboxes: Iterable[str], limit: int, *, idle: bool, now_ms: int) -> list[Job]:
    """Start up to ``limit`` jobs of the given inboxes, in order of rank over all of them.

    A job that has to run alone is given out only when ``idle`` and then by itself; it holds back those behind it, so
    that it cannot starve.
    """
    session.run("jobs_promote", now_ms=now_ms, limit=PROMOTE_LOT)
    candidates = [row for inbox in inboxes for row in session.all("jobs_claimable", inbox=inbox, limit=limit)]
    candidates.sort(key=lambda row: (row["rank_ms"], row["id"]))
    chosen: list[int] = []
    for row in candidates[:limit]:
        if row["alone"]:
            if idle and not chosen:
                chosen.append(row["id"])
            break
        chosen.append(row["id"])
    jobs = []
    for job_id in chosen:
        claimed = session.one("job_claim", id=job_id, owner=owner, now_ms=now_ms)
        if claimed is not None:
            session.run("attempt_begin", job_id=job_id, epoch=claimed["epoch"], boot=owner, now_ms=now_ms)
            jobs.append(job_of(claimed))
    return jobs


def end_attempt(session: Session, job: Job, result: str, detail: str, now_ms: int) -> None:
    session.run("attempt_end", job_id=job.id, epoch=job.epoch, result=result, detail=detail, now_ms=now_ms)


def reschedule(
    session: Session, job: Job, *, at_ms: int, reason: Reason, detail: str, crashes: int, alone: bool, now_ms: int
) -> bool:
    """Executing to scheduled. False: the job was no longer ours, and nothing was changed (Q03)."""
    changed = session.run(
        "job_reschedule",
        id=job.id,
        epoch=job.epoch,
        scheduled_at_ms=at_ms,
        reason=reason,
        detail=detail,
        crashes=crashes,
        alone=int(alone),
        patient=int(reason in PATIENT),
    )
    end_attempt(session, job, f"retry: {reason}", detail, now_ms)
    return changed == 1


def release(session: Session, job: Job, now_ms: int) -> bool:
    """Executing to available, unharmed: at shutdown, or when the ground for skipping the rendering was gone."""
    changed = session.run("job_release", id=job.id, epoch=job.epoch)
    end_attempt(session, job, "released", "", now_ms)
    return changed == 1


def interrupt(session: Session, job: Job, detail: str, now_ms: int) -> bool:
    """Executing to available, to run alone: whatever was to do the work went down, and not by the file's doing."""
    changed = session.run("job_interrupted", id=job.id, epoch=job.epoch)
    end_attempt(session, job, "interrupted", detail, now_ms)
    return changed == 1


@dataclass(frozen=True, slots=True)
class Rescued:
    job_id: int
    inbox: str
    rel: bytes
    discarded: bool


def rescue(
    session: Session,
    owner: str,
    max_interruptions: int,
    now_ms: int,
    on_discarded: Callable[[Session, Job, str], None] = lambda session, job, detail: None,
) -> list[Rescued]:
    """Give jobs that earlier boots had in hand back, or discard them after too many interruptions (Q18).

    ``on_discarded`` (session, job, detail) is called in the transaction, for what is owed to such a job's original.
    """
    rescued = []
    for row in session.all("jobs_orphaned", owner=owner):
        job = job_of(row)
        if row["phase"] == "fetch":  # It goes on where it was cut off, and no file can be to blame.
            release(session, job, now_ms)
            continue
        final = job.interruptions >= max_interruptions
        if final:
            detail = f"interrupted {job.interruptions + 1} times"
            session.run("job_interrupted_for_good", id=job.id, epoch=job.epoch, detail=detail, now_ms=now_ms)
            end_attempt(session, job, "interrupted", "the daemon went down", now_ms)
            on_discarded(session, job, detail)
        else:
            interrupt(session, job, "the daemon went down", now_ms)
        rescued.append(Rescued(row["id"], row["inbox"], row["rel"], final))
    return rescued


def any_waiting(session: Session, inboxes: Iterable[str], now_ms: int) -> bool:
    """Whether a claim would find anything."""
    due = session.value("jobs_next_due")
    if due is not None and due <= now_ms:
        return True
    return any(session.one("jobs_claimable", inbox=inbox, limit=1) for inbox in inboxes)


def paused(session: Session) -> set[str]:
    """Names of paused inboxes; ``*`` stands for all."""
    return {row["inbox"] for row in session.all("pauses_all")}


def pause(session: Session, inbox: str, now_ms: int) -> None:
    session.run("pause_put", inbox=inbox, now_ms=now_ms)


def resume(session: Session, inbox: str) -> None:
    session.run("pause_remove", inbox=inbox)


@dataclass(frozen=True, slots=True)
class Pruned:
    """``looked_at`` and ``forgotten``: numbers of jobs. ``last``: (end, id) of the last one looked at, to go on from."""

    looked_at: int
    forgotten: int
    last: tuple[int, int]


def prune(session: Session, before_ms: int, limit: int, after: tuple[int, int] = (-1, 0)) -> Pruned:
    """Look at the next ``limit`` jobs that ended before then, and forget those that nothing leans on."""
    rows = session.all("jobs_ended", before_ms=before_ms, limit=limit, after_ms=after[0], after_id=after[1])
    forgotten = [row["id"] for row in rows if row["idle"]]
    if forgotten:
        session.run("jobs_forget", ids=json.dumps(forgotten))
    last = (rows[-1]["finished_at_ms"], rows[-1]["id"]) if rows else after
    return Pruned(len(rows), len(forgotten), last)
