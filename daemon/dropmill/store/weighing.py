"""What is known of a picture when it is decided, gathered inside the transaction, or on a snapshot to spare a rendering."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from dropmill.model.bearing import Bearing
from dropmill.model.fingerprint import Content, Looks, from_int64
from dropmill.model.inbox import Inbox
from dropmill.model.job import Job
from dropmill.model.resemblance import Neighbour, Neighbours, Thresholds
from dropmill.model.verdict import Alike, Evidence, Home, LookFirst, Presence, Publish, Twin, Verdict, decide
from dropmill.store import alike, uniquified
from dropmill.store.connection import Session
from dropmill.store.earlier import own_images


@dataclass(frozen=True, slots=True)
class KnownHome:
    """Another path of these bytes and what the ledger remembers of it, to be looked at before the transaction."""

    rel: bytes
    ino: int
    size_bytes: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Seen:
    """What the index said of a picture; None: it was not there, or the picture was not decoded."""

    neighbours: Neighbours | None = None
    thresholds: Thresholds = field(default_factory=Thresholds)


NOTHING_SEEN: Final = Seen()


def weigh(
    session: Session,
    job: Job,
    inbox: Inbox,
    content: Content,
    presences: Mapping[bytes, Presence],
    resembling: Sequence[Alike] = (),
) -> Verdict:
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
            policies=inbox.policies,
            forced=job.reprocess_of is not None,
            alike=resembling,
        )
    )


def look_around(
    session: Session, job: Job, inbox: Inbox, content: Content, looks: Looks | None, seen: Seen
) -> tuple[list[Neighbour] | None, list[Alike]]:
    """All that is near a picture, None where that is not known; and what of it counts for the decision."""
    if looks is None or seen.neighbours is None:
        return None, []
    near = alike.completed(session, looks, seen.neighbours)
    return near, alike.alike(session, job, inbox, content, looks, near, seen.thresholds)


def bearing(
    session: Session,
    job: Job,
    inbox: Inbox,
    content: Content,
    looks: Looks,
    presences: Mapping[bytes, Presence],
    seen: Seen,
) -> Bearing | None:
    """Whether renditions of it are wanted, and how they are to be changed. None: other paths have to be looked at first."""
    _, found = look_around(session, job, inbox, content, looks, seen)
    verdict = weigh(session, job, inbox, content, presences, found)
    if isinstance(verdict, LookFirst):
        return None
    if not isinstance(verdict, Publish):
        return Bearing(go=False)
    return Bearing(go=True, changes=uniquified.changes(session, inbox, verdict, seen.thresholds))


def homes_of(session: Session, job: Job, inbox: Inbox, sha256: str) -> list[KnownHome]:
    rows = session.all("version_homes", root_id=inbox.root.id, rel=job.rel, sha256=sha256, output_id=inbox.output.id)
    return [
        KnownHome(row["rel"], from_int64(row["ino"]), row["size_bytes"], row["mtime_ns"])
        for row in rows
        if row["standing"]
    ]
