"""Jobs, one or many; and cancelling."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

from dropmill.control import describe
from dropmill.control.house import House
from dropmill.errors import Conflict, NotFound
from dropmill.files import downloads
from dropmill.model.job import JobState
from dropmill.store import requests, views

Json = dict[str, Any]
MOST: Final = 1000


async def page(house: House, state: str | None, inbox: str | None, limit: int, before: int | None) -> list[Json]:
    if state is not None and state not in set(JobState):
        raise NotFound(f"there is no job state {state!r}", hint=f"states: {', '.join(JobState)}")
    if inbox is not None:
        house.inbox(inbox)
    limit = max(1, min(limit, MOST))
    found = await house.catalog.read(
        lambda session: views.told(session, views.page(session, state, inbox, limit, before))
    )
    return [describe.job(told) for told in found]


async def told(house: House, job_id: int) -> views.ToldJob:
    """Raises ``NotFound``."""
    found = await house.catalog.read(lambda session: views.told(session, [job_id]) if _storable(job_id) else [])
    if not found:
        raise NotFound(f"there is no job {job_id}", hint="dropmill jobs lists them; old ones are forgotten in time")
    return found[0]


async def one(house: House, job_id: int) -> Json:
    return describe.job(await told(house, job_id))


async def rendition_file(house: House, rendition_id: int) -> tuple[bytes, bytes, str]:
    """Output folder, path below it, and format of a visible rendition. Raises ``NotFound``."""
    row = await house.catalog.read(
        lambda session: views.rendition(session, rendition_id) if _storable(rendition_id) else None
    )
    if row is None:
        raise NotFound(f"there is no rendition {rendition_id}", hint="it may have been replaced; look at its job")
    return row["output_path"], row["final_name"], row["format"]


async def cancel(house: House, job_id: int) -> Json:
    """An executing job's worker is stopped; its late answer, if any, changes nothing (Q03)."""
    before = await told(house, job_id)
    now_ms = house.clock.now_ms()
    cancelled = await house.catalog.write(lambda session: requests.cancel(session, job_id, now_ms))
    if not cancelled:
        after = await told(house, job_id)
        hint = "dropmill retry is for discarded jobs" if after.row["state"] == "discarded" else ""
        raise Conflict(f"job {job_id} has ended already: {after.row['state']}", hint=hint)
    if house.live is not None:
        house.live.claimer.cancel(before.row["id"])
        house.live.fetcher.cancel(before.row["id"])
        house.live.claimer.wake()
        if before.row["url"] is not None:
            with suppress(OSError, Conflict):  # It is cancelled all the same, and the next start removes what is left.
                names = downloads.names_of(job_id)
                await house.blocking(before.row["inbox"], downloads.remove, before.row["root_path"], names)
    return await one(house, job_id)


def _storable(number: int) -> bool:
    return 0 < number < 1 << 63
