"""Downloads in the ledger: which may begin, as their hosts let, and every end of one as a fenced transaction."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace

from dropmill.model.attempt import PATIENT
from dropmill.model.download import Fetch, Host, Provenance, Wanted
from dropmill.model.file import Signature
from dropmill.model.inbox import Inbox
from dropmill.model.job import Job
from dropmill.model.outcome import Outcome, Reason
from dropmill.model.politeness import Left
from dropmill.ports import Clock
from dropmill.store import decisions, queue
from dropmill.store.catalog import Catalog
from dropmill.store.connection import Row, Session
from dropmill.store.rows import job_of, signature_values


def host_of(row: Row) -> Host:
    return Host(
        row["id"],
        row["origin"],
        row["ready_at_ms"],
        row["failures"],
        row["opened_at_ms"],
        row["probes"],
        row["detail"],
    )


def save_host(session: Session, host: Host | None) -> None:
    """None stands for one that has not changed."""
    if host is not None:
        session.run(
            "host_save",
            id=host.id,
            ready_at_ms=host.ready_at_ms,
            failures=host.failures,
            opened_at_ms=host.opened_at_ms,
            probes=host.probes,
            detail=host.detail,
        )


def candidates(
    session: Session,
    inboxes: Collection[str],
    limit: int,
    *,
    known: Sequence[tuple[Host, int]],
    newcomers: int,
    doubtful: int,
    now_ms: int,
) -> list[tuple[int, Host]]:
    """Up to ``limit`` jobs that may be begun, each with its host; arguments as of ``ports.Fetches.claim``.

    Half of the limit goes to newcomers at most, where it does not suffice for all.
    """
    # Of most inboxes nothing waits, and each costs a look for every host.
    busy = {row["inbox"] for row in session.all("url_counts") if row["kind"] == "available"}
    names = sorted(busy.intersection(inboxes))
    others = [
        host_of(row)
        for failing, most in ((False, newcomers), (True, doubtful))
        for row in session.all(
            "hosts_ready",
            inboxes=json.dumps(names),
            known=json.dumps([host.id for host, _ in known]),
            failing=failing,
            limit=min(most, (limit + 1) // 2),
            now_ms=now_ms,
        )
    ]
    found: list[tuple[int, Host]] = []
    for host, room in [*((host, 1) for host in others), *known]:
        room = min(room, limit - len(found))
        if room > 0:
            found.extend((job_id, host) for job_id in _waiting(session, host.id, names, room))
    return found


def _waiting(session: Session, host_id: int, inboxes: Sequence[str], limit: int) -> list[int]:
    rows = [
        row for inbox in inboxes for row in session.all("fetches_claimable", host_id=host_id, inbox=inbox, limit=limit)
    ]
    rows.sort(key=lambda row: (row["rank_ms"], row["id"]))
    return [row["id"] for row in rows[:limit]]


def claim(session: Session, owner: str, chosen: Sequence[tuple[int, Host]], now_ms: int) -> list[Fetch]:
    """Begin those jobs that are available still; their hosts go to the end of the line."""
    begun = [_begin(session, owner, job_id, host, now_ms) for job_id, host in chosen]
    for host_id in {host.id for _, host in chosen}:
        session.run("host_served", id=host_id, now_ms=now_ms)
    return [fetch for fetch in begun if fetch is not None]


def _begin(session: Session, owner: str, job_id: int, host: Host, now_ms: int) -> Fetch | None:
    asked = session.one("download_get", job_id=job_id)
    row = session.one("job_claim", id=job_id, owner=owner, now_ms=now_ms) if asked else None
    if row is None or asked is None:
        return None
    session.run("attempt_begin", job_id=job_id, epoch=row["epoch"], boot=owner, now_ms=now_ms)
    wanted = Wanted(
        url=asked["url"],
        canonical=asked["canonical"],
        origin=host.origin,
        label=row["label"],
        priority=row["priority"],
        hint=asked["hint"],
        directory=asked["directory"],
        expected_size_bytes=asked["expected_size_bytes"],
        expected_type=asked["expected_type"],
        expected_sha256=asked["expected_sha256"],
    )
    return Fetch(job_of(row), wanted, host, asked["etag"], asked["last_modified"])


def fetched(
    session: Session, job: Job, signature: Signature, provenance: Provenance, host: Host | None, now_ms: int
) -> bool:
    """From being fetched to waiting for a worker. False: the job was no longer ours, and nothing of it was changed."""
    save_host(session, host)
    if session.run("job_fetched", id=job.id, epoch=job.epoch, **signature_values(signature)) != 1:
        return False
    _put_provenance(session, job.id, provenance)
    queue.end_attempt(session, job, "fetched", "", now_ms)
    return True


def unchanged(
    session: Session, job: Job, inbox: Inbox, provenance: Provenance, host: Host | None, now_ms: int
) -> bool | None:
    """Complete a job whose server has what was fetched before. None: the job was no longer ours.

    False: nothing of that stands in the output any more, so it was given back, to be fetched whatever the server says.
    """
    save_host(session, host)
    row = session.one("job_get", id=job.id)
    if row is None or row["state"] != "executing" or row["epoch"] != job.epoch:
        return None
    place = {"root_id": row["root_id"], "rel": job.rel}
    versions = session.all("versions_at", **place)
    last = (
        session.one("version_get", **place, sha256=versions[-1]["sha256"], output_id=inbox.output.id)
        if versions
        else None
    )
    if last is None or not last["standing"]:
        session.run("download_forget_validators", job_id=job.id)
        queue.release(session, job, now_ms)
        return False
    asked = session.one("download_get", job_id=job.id) or {}
    kept = replace(
        provenance,
        etag=provenance.etag or asked["etag"],
        last_modified=provenance.last_modified or asked["last_modified"],
        sha256=last["sha256"],
        size_bytes=last["size_bytes"],
    )
    _put_provenance(session, job.id, kept)
    session.run(
        "job_complete",
        id=job.id,
        epoch=job.epoch,
        outcome=Outcome.UNCHANGED,
        detail="the host says that it has not changed",
        sha256=last["sha256"],
        image_id=last["image_id"],
        duplicate_tier=None,
        moved_from=None,
        anchor_job_id=None,
        resemblance="",
        now_ms=now_ms,
    )
    queue.end_attempt(session, job, Outcome.UNCHANGED, "not modified", now_ms)
    return True


def _put_provenance(session: Session, job_id: int, provenance: Provenance) -> None:
    session.run(
        "download_fetched",
        job_id=job_id,
        final_url=provenance.final_url,
        chain=json.dumps(provenance.chain),
        address=provenance.address,
        status=provenance.status,
        etag=provenance.etag,
        last_modified=provenance.last_modified,
        content_type=provenance.content_type,
        http_version=provenance.http_version,
        size_bytes=provenance.size_bytes,
        sha256=provenance.sha256,
        started_at_ms=provenance.started_at_ms,
        ended_at_ms=provenance.ended_at_ms,
    )


@dataclass(slots=True)
class CatalogFetches:
    """``ports.Fetches`` on the catalog. ``closed`` names inboxes of which nothing begins now."""

    catalog: Catalog
    clock: Clock
    owner: str
    inboxes: Collection[str]
    closed: Callable[[], Awaitable[Collection[str]]]

    async def open(self) -> list[str]:
        closed = await self.closed()
        return [name for name in self.inboxes if name not in closed]

    async def bound(self, max_rest_seconds: float) -> None:
        latest_ms = self.clock.now_ms() + int(max_rest_seconds * 1000)
        await self.catalog.write(lambda session: session.run("hosts_bound_ready", latest_ms=latest_ms))

    async def backlog(self, most: int) -> int:
        inboxes = json.dumps(sorted(self.inboxes))
        return await self.catalog.read(lambda session: session.value("fetches_backlog", inboxes=inboxes, most=most))

    async def claim(
        self, limit: int, *, known: Sequence[tuple[Host, int]], newcomers: int, doubtful: int
    ) -> list[Fetch]:
        inboxes = await self.open()

        def look(session: Session) -> tuple[bool, list[tuple[int, Host]]]:
            now_ms = self.clock.now_ms()
            due_ms = session.value("jobs_next_due")
            chosen = candidates(
                session, inboxes, limit, known=known, newcomers=newcomers, doubtful=doubtful, now_ms=now_ms
            )
            return due_ms is not None and due_ms <= now_ms, chosen

        due, chosen = await self.catalog.read(look)
        if due:
            await self.catalog.write(
                lambda session: session.run("jobs_promote", now_ms=self.clock.now_ms(), limit=queue.PROMOTE_LOT)
            )
            _, chosen = await self.catalog.read(look)
        if not chosen:
            return []  # Looking is cheap; a transaction for nothing would cost a sync.
        return await self.catalog.write(lambda session: claim(session, self.owner, chosen, self.clock.now_ms()))

    async def next_ready_ms(self) -> int | None:
        now_ms = self.clock.now_ms()
        times = await self.catalog.read(
            lambda session: (session.value("jobs_next_due"), session.value("hosts_next_ready", now_ms=now_ms))
        )
        return min((time for time in times if time is not None), default=None)

    async def fetched(self, job: Job, signature: Signature, provenance: Provenance, host: Host | None) -> bool:
        return await self.catalog.write(
            lambda session: fetched(session, job, signature, provenance, host, self.clock.now_ms()), patient=True
        )

    async def unchanged(self, job: Job, inbox: Inbox, provenance: Provenance, host: Host | None) -> bool | None:
        return await self.catalog.write(
            lambda session: unchanged(session, job, inbox, provenance, host, self.clock.now_ms()), patient=True
        )

    async def reschedule(self, job: Job, after_seconds: float, reason: Reason, detail: str, host: Host | None) -> bool:
        def action(session: Session) -> bool:
            now_ms = self.clock.now_ms()
            save_host(session, host)
            at_ms = now_ms + int(after_seconds * 1000)
            return queue.reschedule(
                session, job, at_ms=at_ms, reason=reason, detail=detail, crashes=job.crashes, alone=False, now_ms=now_ms
            )

        return await self.catalog.write(action)

    async def discard(
        self, job: Job, inbox: Inbox, reason: Reason, detail: str, provenance: Provenance | None, host: Host | None
    ) -> bool:
        def action(session: Session) -> bool:
            save_host(session, host)
            if not decisions.discard(
                session, job, inbox, reason, detail, crashes=job.crashes, move=False, now_ms=self.clock.now_ms()
            ):
                return False
            if provenance is not None:
                _put_provenance(session, job.id, provenance)
            return True

        return await self.catalog.write(action)

    async def release(self, jobs: Sequence[Job]) -> int:
        def action(session: Session) -> int:
            return sum(queue.release(session, job, self.clock.now_ms()) for job in jobs)

        return await self.catalog.write(action)

    async def save_host(self, host: Host) -> None:
        await self.catalog.write(lambda session: save_host(session, host))

    async def give_up(self, host_id: int, detail: str, limit: int) -> list[tuple[int, str, str]]:
        def action(session: Session) -> list[tuple[int, str, str]]:
            rows = session.all(
                "fetches_give_up", host_id=host_id, detail=detail, limit=limit, now_ms=self.clock.now_ms()
            )
            return [(row["id"], row["inbox"], row["canonical"]) for row in rows]

        return await self.catalog.write(action)

    async def hopeful(self, within_seconds: float) -> bool:
        inboxes = json.dumps(await self.open())
        before_ms = self.clock.now_ms() + int(within_seconds * 1000)
        patient = json.dumps(sorted(PATIENT))
        return bool(
            await self.catalog.read(
                lambda session: session.value("fetches_hopeful", inboxes=inboxes, before_ms=before_ms, patient=patient)
            )
        )

    async def left(self) -> Left:
        inboxes = json.dumps(await self.open())
        (row,) = await self.catalog.read(lambda session: session.all("fetches_left", inboxes=inboxes))
        return Left(row["hosts"], row["urls"], row["first_ms"])
