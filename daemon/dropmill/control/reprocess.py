"""Rendering again, from the original where it is now: a new job each, read from the archive where it went there."""

from __future__ import annotations

import os
from typing import Any

from dropmill.control import describe, jobs, story, why
from dropmill.control.house import House
from dropmill.errors import Conflict, DropmillError, NotFound
from dropmill.files.access import signature
from dropmill.model.file import Signature, shown
from dropmill.model.job import FoundBy, NewJob
from dropmill.observe.facts import Enqueued
from dropmill.store import requests, views
from dropmill.store.connection import Row

Json = dict[str, Any]


async def reprocess(house: House, target: str | bytes) -> Json:
    text = os.fsdecode(target) if isinstance(target, bytes) else target
    if any(inbox.name == text for inbox in house.settings.every_inbox):
        return await _inbox(house, text)
    job_id = await _meant(house, target)
    return {"queued": [await _again(house, job_id)], "skipped": []}


async def _inbox(house: House, name: str) -> Json:
    queued: list[int] = []
    skipped: list[Json] = []
    for job_id in await house.catalog.read(lambda session: views.published(session, name)):
        try:
            queued.append(await _again(house, job_id))
        except DropmillError as error:
            skipped.append({"target": str(job_id), "detail": error.public_message, "hint": error.hint})
    return {"queued": queued, "skipped": skipped}


async def _meant(house: House, target: str | bytes) -> int:
    """The latest job that a path, id or digest leads to."""
    told = await why.why(house, target)
    if not told["jobs"]:
        raise NotFound(
            f"{told['target']}: {told['verdict']}", hint="only what was processed before can be processed again"
        )
    job_id: int = told["jobs"][0]["id"]
    return job_id


async def _again(house: House, job_id: int) -> int:
    row = (await jobs.told(house, job_id)).row
    _refuse(await jobs.one(house, job_id))
    if story.was_forgotten(row):
        raise Conflict(f"the picture of job {job_id} was forgotten", hint="drop it into the inbox again")
    place = describe.original_of(row)
    publisher = row
    if row["outcome"] in {"unchanged", "moved"}:
        publisher = await _publisher(house, row) or row
    if place is None and row["url"] is not None:
        return await _fetch_again(house, publisher)
    if place is None:
        raise Conflict(
            f"the original of job {job_id} is no longer there: {_gone(row)}",
            hint="drop the picture into the inbox again",
        )
    root, rel = place
    house.inbox(row["inbox"])
    now = await house.blocking(row["inbox"], signature, root, rel)
    if not isinstance(now, Signature):
        if row["url"] is not None:
            return await _fetch_again(house, publisher)
        raise Conflict(f"{describe.joined(root, rel)} is not there any more", hint="bring it back, or drop it again")
    return await _enqueue(house, row, publisher, root, rel, now)


async def _enqueue(house: House, row: Row, publisher: Row, root: bytes, rel: bytes, now: Signature) -> int:
    """As the path that published it, so that its renditions keep their names; read from wherever the original is."""
    in_place = (root, rel) == (publisher["root_path"], publisher["rel"])
    now_ms = house.clock.now_ms()
    job = NewJob(
        inbox=publisher["inbox"],
        rel=publisher["rel"],
        signature=now,
        found_by=FoundBy.MANUAL,
        found_at_ms=now_ms,
        settled_at_ms=now_ms,
        priority=publisher["priority"],
        label=publisher["label"],
    )
    roots = {known["path"]: known["id"] for known in await house.catalog.read(views.roots)}
    read_from = None if in_place else (roots[root], rel)
    # What never had an outcome of its own is decided as if it were new.
    of = publisher["id"] if row["state"] == "completed" else None
    job_id = await house.catalog.write(
        lambda session: requests.reprocess(session, of, publisher, job, read_from, now_ms)
    )
    if job_id is None:
        raise Conflict(
            f"a job for {describe.joined(root, rel)} is in the queue already", hint="wait for it to end", retryable=True
        )
    house.emit(Enqueued(job_id, job.inbox, job.rel, job.found_by, now.size_bytes))
    if house.live is not None:
        house.live.claimer.wake()
    return job_id


async def _fetch_again(house: House, publisher: Row) -> int:
    """The original of a URL is at the URL."""
    house.inbox(publisher["inbox"])
    now_ms = house.clock.now_ms()
    job_id = await house.catalog.write(lambda session: requests.refetch(session, publisher, now_ms))
    if job_id is None:
        raise Conflict(
            f"a job for {publisher['url']} is in the queue already", hint="wait for it to end", retryable=True
        )
    house.emit(Enqueued(job_id, publisher["inbox"], publisher["rel"], FoundBy.MANUAL, 0))
    if house.live is not None:
        house.live.fetcher.wake()
    return job_id


async def _publisher(house: House, row: Row) -> Row | None:
    """The job that put out what an unchanged or moved file shows."""
    image_id, inbox = row["image_id"], row["inbox"]
    job_id = await house.catalog.read(lambda session: views.publisher(session, image_id, inbox))
    return None if job_id is None else (await jobs.told(house, job_id)).row


def _refuse(job: Json) -> None:
    """Raises ``Conflict`` for what reprocessing is not for."""
    job_id = job["id"]
    if job["state"] in {"scheduled", "available", "executing"}:
        raise Conflict(f"job {job_id} has not ended yet: {job['state']}", hint="wait for it, or cancel it first")
    if job["state"] == "discarded":
        raise Conflict(f"job {job_id} was discarded: {job['reason']}", hint=f"dropmill retry {job_id}")
    if job["outcome"] == "duplicate":
        anchor = job["duplicate_of"]
        named = f"of {anchor['source']} (job {anchor['job']})" if anchor else "of another picture"
        hint = f"dropmill reprocess {anchor['job']}" if anchor else "drop the picture again"
        raise Conflict(f"job {job_id} is a duplicate {named} and has no renditions of its own", hint=hint)


def _gone(row: Row) -> str:
    if row["outcome"] == "superseded":
        return "that version was replaced before it could be read"
    if row["disposal_result"]:
        return shown(row["disposal_result"])
    return "its path holds another version now"
