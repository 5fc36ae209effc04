"""Another try for what was discarded: its original is put back first, without overwriting (PROTOCOL 13, Q13)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from dropmill.control import describe, jobs
from dropmill.control.house import House
from dropmill.errors import Conflict, DropmillError
from dropmill.files import dispose
from dropmill.files.access import signature
from dropmill.files.moving import Target
from dropmill.files.private import private_name
from dropmill.files.reason import remove_reason
from dropmill.model.file import Signature, shown
from dropmill.store import requests, views
from dropmill.store.connection import Row, Session
from dropmill.store.rows import signature_of

Json = dict[str, Any]

# An original that is just on its way to quarantine gets that long to arrive.
ARRIVAL_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.05
_QUEUED_ALREADY: Final = "queued-already"


@dataclass(frozen=True, slots=True)
class _Way:
    """From the quarantine back to the inbox. ``expected`` is the version that was discarded."""

    job_id: int
    quarantine: bytes
    name: bytes
    inbox: bytes
    rel: bytes
    companions: Sequence[str]


async def retry(house: House, job_id: int) -> Json:
    told = await _arrived(house, job_id)
    row = told.row
    if row["state"] != "discarded":
        raise Conflict(
            f"job {job_id} is not discarded but {row['outcome'] or row['state']}",
            hint=f"to render it again: dropmill reprocess {job_id}"
            if row["state"] in {"completed", "cancelled"}
            else "",
        )
    settings = house.inbox(row["inbox"])
    if row["url"] is not None:
        return await _fetch_again(house, job_id)
    root = os.fsencode(os.path.abspath(settings.path))
    way = None
    if row["disposal_state"] == "done" and row["disposal_result"] == "moved" and row["target_path"] is not None:
        way = _Way(job_id, row["target_path"], row["target_name"], root, row["rel"], settings.travelling)
        await house.blocking(row["inbox"], put_back, way, patient=True)
    now = await house.blocking(row["inbox"], signature, root, row["rel"])
    if not isinstance(now, Signature):
        raise Conflict(
            f"{describe.joined(root, row['rel'])}: the original of job {job_id} is not there any more",
            hint="copy the file into the inbox again; that makes a new job",
        )
    await house.catalog.write(lambda session: _again(session, row, now, house.clock.now_ms()))
    if way is not None:
        target = Target(way.quarantine, way.name)
        await house.blocking(row["inbox"], remove_reason, target, job_id)
    if house.live is not None:
        house.live.claimer.wake()
    return await jobs.one(house, job_id)


async def _fetch_again(house: House, job_id: int) -> Json:
    """A URL is asked for anew, whatever became of what came last time."""
    if not await house.catalog.write(lambda session: requests.fetch_again(session, job_id, house.clock.now_ms())):
        raise Conflict(
            f"the URL of job {job_id} is in the queue already",
            hint=f"nothing is to be done: dropmill why {job_id}",
            reason=_QUEUED_ALREADY,
        )
    if house.live is not None:
        house.live.fetcher.wake()
    return await jobs.one(house, job_id)


async def retry_all(house: House) -> Json:
    ids = await house.catalog.read(views.discarded)
    retried: list[int] = []
    skipped: list[Json] = []
    for job_id in ids:
        try:
            await retry(house, job_id)
        except DropmillError as error:
            if error.reason == _QUEUED_ALREADY:
                continue  # Another job of its URL is what was asked for.
            skipped.append({"id": job_id, "detail": error.public_message, "hint": error.hint})
        except OSError as error:
            skipped.append({"id": job_id, "detail": error.strerror or str(error), "hint": "check the folders"})
        else:
            retried.append(job_id)
    return {"retried": retried, "skipped": skipped}


async def _arrived(house: House, job_id: int) -> views.ToldJob:
    """The job, once its original is where it is to be. Raises ``Conflict`` where that takes too long."""
    deadline = house.clock.monotonic() + (ARRIVAL_SECONDS if house.live else 0.0)
    while True:
        told = await jobs.told(house, job_id)
        row = told.row
        if row["state"] != "discarded" or row["disposal_state"] != "owed":
            return told
        if row["disposal_attempts"] or house.clock.monotonic() >= deadline:
            why = f" ({shown(row['disposal_detail'])})" if row["disposal_detail"] else ""
            raise Conflict(
                f"the original of job {job_id} is still on its way to quarantine{why}",
                hint="check the quarantine folder; try again once it has arrived" if house.live else "dropmill run",
                retryable=True,
            )
        await house.clock.sleep(_POLL_SECONDS)


def put_back(way: _Way) -> None:
    """Blocking: bring the original back under its own name; where it is no longer in quarantine nothing happens.

    The same steps as on the way out, with the same private name, so a crash in between is resumed by the next try.
    """
    expected = _in_quarantine(way)
    if expected is None:
        return  # A person, or an interrupted retry, has brought it back; or it is gone, which the caller finds.
    try:
        result = dispose.dispose(
            way.quarantine,
            way.name,
            str(way.job_id),
            expected,
            None,
            Target(way.inbox, way.rel),
            companions=way.companions,
        )
    except OSError as error:
        raise Conflict(
            f"{describe.joined(way.quarantine, way.name)} cannot be put back: {error.strerror or error}",
            hint="check owner, mode and mount of the inbox and the quarantine folder",
        ) from error
    match result:
        case dispose.TargetTaken():
            raise Conflict(
                f"{describe.joined(way.inbox, way.rel)} is another file now",
                hint=f"move it away, or take {describe.joined(way.quarantine, way.name)} from quarantine by hand",
            )
        case dispose.Busy() | dispose.NotOurs():
            raise Conflict(
                f"{describe.joined(way.quarantine, way.name)} is being written to",
                hint="try again when whatever writes it has finished",
                retryable=True,
            )
        case _:
            return


def _in_quarantine(way: _Way) -> Signature | None:
    directory, slash, _ = way.name.rpartition(b"/")
    for name in (way.name, directory + slash + private_name(str(way.job_id))):
        found = signature(way.quarantine, name)
        if isinstance(found, Signature):
            return found
    return None


def _again(session: Session, row: Row, now: Signature, now_ms: int) -> None:
    """Raises ``Conflict`` where another job has, or had, this version; nothing is changed then."""
    job_id, root_id, rel = row["id"], row["root_id"], row["rel"]
    rival = requests.rival(session, job_id, root_id, rel, now)
    _, source = views.at_path(session, root_id, rel)
    if rival is None and source is not None and source["job_id"] not in {None, job_id} and signature_of(source) == now:
        raise Conflict(
            f"the file of job {job_id} has been replaced, and job {source['job_id']} has taken the new version",
            hint=f"dropmill why {source['job_id']}",
        )
    if rival is not None or not requests.retry(session, job_id, now, now_ms):
        which = f"job {rival}" if rival is not None else "another job"
        raise Conflict(
            f"{which} is in the queue for the same version of this file already",
            hint=f"nothing is to be done: dropmill why {rival or job_id}",
        )
