"""What people and programs are told of the catalog: reads only, each on one consistent snapshot."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from dropmill.model.inbox import URLS_SUFFIX
from dropmill.model.url import is_url
from dropmill.ports import ALL_INBOXES
from dropmill.store.connection import Row, Session
from dropmill.store.rows import signature_of as signature_of  # Callers name it with these functions.

LAST_ID: Final = (1 << 63) - 1
_MOST_HOLDINGS: Final = 100


def page(session: Session, state: str | None, inbox: str | None, limit: int, before: int | None) -> list[int]:
    """Ids of jobs, newest first.

    With a filter, the newest of each kind (inbox, state, outcome) that there is are merged, so that no row is visited
    that is not wanted.
    """
    bounds = {"limit": limit, "before": LAST_ID if before is None else before}
    if state is None and inbox is None:
        return [row["id"] for row in session.all("jobs_page", **bounds)]
    found: list[int] = []
    for kind in session.all("job_counts"):
        if state in {None, kind["state"]} and inbox in {None, kind["inbox"]}:
            rows = session.all(
                "jobs_page_of", inbox=kind["inbox"], state=kind["state"], outcome=kind["outcome"] or None, **bounds
            )
            found += [row["id"] for row in rows]
    return sorted(found, reverse=True)[:limit]


@dataclass(frozen=True, slots=True)
class ToldJob:
    """A row of ``jobs_told`` and the visible renditions (rows of ``renditions_told``) of its image."""

    row: Row
    renditions: tuple[Row, ...]

    @property
    def own(self) -> tuple[Row, ...]:
        """What shows this job's picture: its own renditions, else those that took their place or that it leans on."""
        mine = tuple(one for one in self.renditions if one["job_id"] == self.row["id"])
        if mine:
            return mine
        leant_on = tuple(one for one in self.renditions if one["job_id"] == self.row["anchor_job_id"])
        near = tuple(one for one in self.renditions if one["inbox"] == self.row["inbox"])
        return leant_on or near or self.renditions


def told(session: Session, ids: Iterable[int]) -> list[ToldJob]:
    """Newest first; ids that are not known are left out."""
    rows = session.all("jobs_told", ids=json.dumps(list(ids)))
    images = {row["image_id"] for row in rows if row["state"] == "completed" and row["image_id"] is not None}
    shown: dict[int, list[Row]] = {image_id: [] for image_id in images}
    for rendition in session.all("renditions_told", image_ids=json.dumps(sorted(images))):
        shown[rendition["image_id"]].append(rendition)
    return [ToldJob(row, tuple(shown.get(row["image_id"], ()))) for row in rows]


def rendition(session: Session, publication_id: int) -> Row | None:
    return session.one("rendition_told", id=publication_id)


@dataclass(frozen=True, slots=True)
class Counts:
    """Jobs by inbox and state, and completed ones by outcome."""

    by_inbox: dict[str, Counter[str]]
    outcomes: Counter[str]
    oldest_available_ms: int | None

    def all(self, state: str) -> int:
        return sum(counter[state] for counter in self.by_inbox.values())


def counts(session: Session) -> Counts:
    by_inbox: dict[str, Counter[str]] = {}
    outcomes: Counter[str] = Counter()
    for row in session.all("job_counts"):
        by_inbox.setdefault(row["inbox"], Counter())[row["state"]] += row["count"]
        if row["outcome"]:
            outcomes[row["outcome"]] += row["count"]
    return Counts(by_inbox, outcomes, session.value("oldest_available"))


def roots(session: Session) -> list[Row]:
    return session.all("roots_all")


def at_path(session: Session, root_id: int, rel: bytes) -> tuple[list[int], Row | None]:
    """Ids of the jobs of a path, oldest first, and what the ledger remembers of it."""
    ids = [row["id"] for row in session.all("jobs_at_path", root_id=root_id, rel=rel)]
    return ids, session.one("source_get", root_id=root_id, rel=rel)


def named(session: Session, output_id: int, final_name: bytes) -> list[Row]:
    return session.all("publications_named", output_id=output_id, final_name=final_name)


def taken_to(session: Session, target_root_id: int, target_name: bytes) -> int | None:
    """The job whose original was moved there."""
    job_id: int | None = session.value("disposal_by_target", target_root_id=target_root_id, target_name=target_name)
    return job_id


def of_sha256(session: Session, sha256: str, limit: int = 100) -> list[int]:
    return [row["id"] for row in session.all("jobs_of_sha256", sha256=sha256, limit=limit)]


@dataclass(frozen=True, slots=True)
class Life:
    """Everything that the catalog holds of one job."""

    job: ToldJob
    attempts: list[Row]
    publications: list[Row]
    disposals: list[Row]
    notices: list[Row]
    paused: bool
    """Whether its inbox, or everything, is paused."""
    in_libraries: Sequence[Row] = ()
    """Files of libraries that have the same bytes; rows of ``holdings_of_image``."""
    deliveries: Sequence[Row] = ()
    """What applications are still to be told of it, or could not be."""
    tellings: Sequence[Row] = ()
    """What they were told."""


def life(session: Session, job_id: int) -> Life | None:
    found = told(session, [job_id])
    if not found:
        return None
    return Life(
        found[0],
        session.all("attempts_of_job", job_id=job_id),
        session.all("publications_of_job", job_id=job_id),
        session.all("disposals_of_job", job_id=job_id),
        session.all("notices_of_job", job_id=job_id),
        not _names_of(found[0].row["inbox"]).isdisjoint(row["inbox"] for row in session.all("pauses_all")),
        _in_libraries(session, found[0].row),
        session.all("deliveries_of_job", job_id=job_id),
        session.all("tellings_of_job", job_id=job_id),
    )


def _in_libraries(session: Session, job: Row) -> list[Row]:
    if job["image_id"] is None:
        return []
    found = session.all("holdings_of_image", image_id=job["image_id"], limit=_MOST_HOLDINGS)
    return [row for row in found if row["root_kind"] == "library"]


def _names_of(inbox: str) -> set[str]:
    """By which it can be paused: what is added to an inbox by URL is paused with it."""
    return {ALL_INBOXES, inbox, inbox.removesuffix(URLS_SUFFIX)}


def paths_named(session: Session, name: bytes, limit: int) -> list[bytes]:
    """Whole paths, or URLs, whose last component is ``name``, each once.

    Those of the jobs' sources and of what libraries hold, or else of renditions.
    """
    rows = session.all("paths_named", name=name, tail=b"/" + name, limit=limit)
    rows = rows or session.all("outputs_named", name=name, tail=b"/" + name, limit=limit)
    found = (row["rel"] if is_url(row["rel"]) else row["root_path"] + b"/" + row["rel"] for row in rows)
    return list(dict.fromkeys(found))


def sha256_beginning(session: Session, prefix: str, limit: int) -> list[str]:
    """Digests of jobs and images that begin with ``prefix`` (lower-case hexadecimal), each once."""
    # No digest goes on with a letter after "f", so everything that begins with the prefix lies before this one.
    rows = session.all("sha256_beginning", first=prefix, beyond=prefix + "g", limit=limit)
    return [row["sha256"] for row in rows]


def discarded(session: Session) -> list[int]:
    return [row["id"] for row in session.all("jobs_discarded")]


def published(session: Session, inbox: str) -> list[int]:
    return [row["id"] for row in session.all("jobs_published", inbox=inbox)]


def publisher(session: Session, image_id: int, inbox: str) -> int | None:
    """The job whose renditions of an image stand."""
    job_id: int | None = session.value("publisher_of_image", image_id=image_id, inbox=inbox)
    return job_id
