"""Sources that their users deleted: noticed after two scans, and only then their renditions may go (PROTOCOL 9)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dropmill.model.fingerprint import from_int64
from dropmill.model.inbox import Inbox
from dropmill.model.job import ACTIVE
from dropmill.store.connection import Session
from dropmill.store.rows import signature_of

PAGE = 500
SCANS_UNTIL_GONE = 2


@dataclass(frozen=True, slots=True)
class KnownSource:
    """``dev``: the file system on which it was seen."""

    rel: bytes
    dev: int
    missing_scans: int


def recorded(session: Session, root_id: int) -> str:
    """Which directory the inbox was when it was last recognised; empty before the first time."""
    row = session.one("root_get", id=root_id)
    return str(row["identity"]) if row else ""


def identify(session: Session, root_id: int, identity: str, now_ms: int) -> None:
    """Record which directory an inbox is; in another one than before nothing was deleted yet."""
    session.run("root_identify", id=root_id, identity=identity, now_ms=now_ms)


def is_busy(session: Session, inbox: str) -> bool:
    """Whether jobs of the inbox are under way, one of which may say that a missing file has only moved."""
    return any(row["inbox"] == inbox and row["state"] in ACTIVE for row in session.all("job_counts"))


def page(session: Session, root_id: int, after: bytes) -> list[KnownSource]:
    """The next paths of the ledger in order, of those that were seen in the present directory."""
    rows = session.all("sources_page", root_id=root_id, after=after, limit=PAGE)
    return [KnownSource(row["rel"], signature_of(row).dev, row["missing_scans"]) for row in rows]


def held(session: Session, root_id: int, after: int) -> list[tuple[int, KnownSource]]:
    """The next files of an inbox that are in a group, or were missing before, by the ids of their holdings."""
    rows = session.all("holdings_to_check", root_id=root_id, after=after, limit=PAGE)
    return [(row["id"], KnownSource(row["rel"], from_int64(row["dev"]), row["missing_scans"])) for row in rows]


def set_missing_holdings(session: Session, counts: Iterable[tuple[int, int]]) -> None:
    """Of ``SCANS_UNTIL_GONE`` a file is in no group any more, until it is there again."""
    for holding_id, missing_scans in counts:
        session.run("holding_missing", id=holding_id, missing_scans=missing_scans)


def set_missing(session: Session, root_id: int, counts: Iterable[tuple[bytes, int]]) -> None:
    for rel, missing_scans in counts:
        session.run("source_missing", root_id=root_id, rel=rel, missing_scans=missing_scans)


def forget(session: Session, inbox: Inbox, rel: bytes) -> bool:
    """Retire the renditions of a deleted source that no other path leans on; False while work on it is still owed.

    What our own disposal took away is not deleted: its versions are not ``kept``, and its renditions stay.
    """
    if session.value("path_has_work", root_id=inbox.root.id, rel=rel):
        return False
    kept = [row for row in session.all("versions_at", root_id=inbox.root.id, rel=rel) if row["kept"]]
    for version in kept:
        others = session.value("versions_of_image", image_id=version["image_id"], root_id=inbox.root.id, rel=rel)
        if not others:
            for publication in session.all("publications_of_image", image_id=version["image_id"]):
                if publication["output_id"] == inbox.output.id:
                    session.run("publication_retire", id=publication["id"], retired_by=None)
    session.run("versions_forget", root_id=inbox.root.id, rel=rel)
    session.run("source_forget", root_id=inbox.root.id, rel=rel)
    return True
