"""The whole catalog, job by job, for those who take it elsewhere: reads only, a lot at a time."""

from __future__ import annotations

import json
from dataclasses import dataclass

from dropmill.store import times, views
from dropmill.store.connection import Row, Session
from dropmill.store.views import ToldJob


@dataclass(frozen=True, slots=True)
class Exported:
    """A job, and its row of ``exports_pictures``: NULL where it has no picture, or is of no URL. ``given`` may hold credentials."""

    told: ToldJob
    picture: Row


@dataclass(frozen=True, slots=True)
class Extent:
    """What there is: the newest job's id (0 where there is none), and the names of visible renditions."""

    newest: int
    renditions: tuple[str, ...]


def extent(session: Session) -> Extent:
    names = tuple(row["rendition"] for row in session.all("exports_renditions"))
    return Extent(times.newest_job(session), names)


def page(session: Session, inbox: str | None, state: str | None, after: int, newest: int, limit: int) -> list[Exported]:
    """The next jobs behind the id ``after``, oldest first, none beyond ``newest``; empty once there is none."""
    ids = [
        row["id"]
        for row in session.all("exports_page", inbox=inbox, state=state, after=after, newest=newest, limit=limit)
    ]
    pictures = {row["job_id"]: row for row in session.all("exports_pictures", ids=json.dumps(ids))}
    return [Exported(told, pictures[told.row["id"]]) for told in reversed(views.told(session, ids))]


def inboxes(session: Session) -> list[str]:
    """Those that have jobs, or had."""
    return sorted({row["inbox"] for row in session.all("job_counts")})
