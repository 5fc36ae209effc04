"""What people ask of jobs, as transactions: cancel, retry, reprocess."""

from __future__ import annotations

from dropmill.model.file import NO_SIGNATURE, Signature
from dropmill.model.job import FoundBy, NewJob, rank_ms
from dropmill.store import owed, queue
from dropmill.store.connection import Session
from dropmill.store.rows import Row, signature_values


def cancel(session: Session, job_id: int, now_ms: int) -> bool:
    """False: the job had ended before."""
    if session.run("job_cancel", id=job_id, now_ms=now_ms) != 1:
        return False
    session.run("attempt_cancel", job_id=job_id, now_ms=now_ms)
    owed.keep_unreplaced(session, job_id, now_ms)
    return True


def rival(session: Session, job_id: int, root_id: int, rel: bytes, signature: Signature) -> int | None:
    """Another job that is in the queue for this version of the file."""
    found: int | None = session.value("job_rival", id=job_id, root_id=root_id, rel=rel, **signature_values(signature))
    return found


def retry(session: Session, job_id: int, signature: Signature, now_ms: int) -> bool:
    """Discarded to available, for the version that is there now; the ledger follows, so that no second job is made.

    False, with nothing changed: the job is not discarded any more, or another one is queued for this version (Q13).
    """
    row = session.one("job_get", id=job_id)
    if row is None:
        return False
    rank = rank_ms(now_ms, row["priority"])
    if session.run("job_retry", id=job_id, rank_ms=rank, now_ms=now_ms, **signature_values(signature)) != 1:
        return False
    session.run("disposals_put_back", job_id=job_id, now_ms=now_ms)
    queue.remember(session, row["root_id"], row["rel"], signature, job_id, now_ms)
    return True


def fetch_again(session: Session, job_id: int, now_ms: int) -> bool:
    """Discarded to available, to be downloaded anew. False: not discarded any more, or the URL is in the queue already."""
    row = session.one("job_get", id=job_id)
    if row is None:
        return False
    return session.run("job_retry_fetch", id=job_id, rank_ms=rank_ms(now_ms, row["priority"]), now_ms=now_ms) == 1


def refetch(session: Session, of: Row, now_ms: int) -> int | None:
    """A new job that downloads the URL of the job ``of`` (a row of ``jobs``) again and renders it; None: one is queued."""
    job = NewJob(
        inbox=of["inbox"],
        rel=of["rel"],
        signature=NO_SIGNATURE,
        found_by=FoundBy.MANUAL,
        found_at_ms=now_ms,
        settled_at_ms=now_ms,
        priority=of["priority"],
        label=of["label"],
    )
    job_id = queue.insert(session, of["root_id"], job, now_ms, reprocess_of=of["id"], host_id=of["host_id"])
    if job_id is not None:
        session.run("download_copy", job_id=job_id, of=of["id"])
    return job_id


def reprocess(
    session: Session,
    of: int | None,
    publisher: Row,
    job: NewJob,
    read_from: tuple[int, bytes] | None,
    now_ms: int,
) -> int | None:
    """A new job for a file that was seen before, read from ``read_from`` (root id, path) where it has left the inbox.

    ``of``: render whatever is known of it. ``publisher``: a row of ``jobs``, whose names its renditions keep. None: a job is
    in the queue for this version already.
    """
    read_root_id, read_rel = read_from or (None, None)
    root_id = publisher["root_id"]
    job_id = queue.insert(
        session,
        root_id,
        job,
        now_ms,
        reprocess_of=of,
        read_root_id=read_root_id,
        read_rel=read_rel,
        host_id=publisher["host_id"],
        fetched=True,
    )
    if job_id is not None and publisher["host_id"] is not None:
        session.run("download_same", job_id=job_id, of=publisher["id"])
    elif job_id is not None and read_from is None:
        queue.remember(session, root_id, job.rel, job.signature, job_id, now_ms)
    return job_id
