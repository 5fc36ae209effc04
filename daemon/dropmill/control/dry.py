"""What would become of a file, judged against the catalog as it is; for ``dropmill try``, and nothing is changed."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, Final

from dropmill.control.house import House
from dropmill.control.places import Place, known_roots, places_of
from dropmill.errors import NotFound
from dropmill.files.naming import name_for
from dropmill.files.presence import presences
from dropmill.files.roots import read_identity
from dropmill.model.duplicates import Policy
from dropmill.model.file import Signature
from dropmill.model.inbox import Inbox, Root
from dropmill.model.job import FoundBy, Job
from dropmill.model.resemblance import Neighbours
from dropmill.model.verdict import Duplicate, Publish, Unchanged, Verdict
from dropmill.model.verdict import Moved as MovedHere
from dropmill.model.work import Processed
from dropmill.settings import Inbox as InboxSettings
from dropmill.settings import resolved
from dropmill.store import decisions, likeness, preferences, views, weighing
from dropmill.store.anchor import anchor_of, source_of
from dropmill.store.connection import Session

Json = dict[str, Any]

# The id of what the catalog has not met yet; no row has it.
_UNMET: Final = -1


@dataclass(frozen=True, slots=True)
class Trial:
    """A file as a job that never was. ``place`` is None for a file outside the inbox, as if it were dropped into it."""

    inbox: Inbox
    job: Job
    root: bytes
    rel: bytes
    place: Place | None


async def trial(house: House, path: bytes, inbox: str | None, signature: Signature) -> Trial:
    """Raises ``NotFound`` where it cannot be told which inbox is meant."""
    roots = [known for known in await known_roots(house) if known.kind == "inbox" and known.inbox]
    place = next(iter(places_of(path, roots)), None)
    item = _item(house, place, inbox)
    ids = {(row["kind"], row["name"]): row["id"] for row in await house.catalog.read(views.roots)}
    uuid = _identity(item.output)
    folders = {"inbox": item.path, "output": item.output, "archive": item.archive}
    folders |= {"duplicates": item.duplicates, "quarantine": item.quarantine}
    found = {
        kind: Root(
            ids.get((kind, uuid if kind == "output" else item.name), _UNMET), os.fsencode(os.path.abspath(folder))
        )
        for kind, folder in folders.items()
        if folder
    }
    root, _, name = path.rpartition(b"/")
    rel = place.rel if place is not None else name
    job = Job(
        id=0,
        epoch=0,
        inbox=item.name,
        rel=rel,
        signature=signature,
        found_by=FoundBy.MANUAL,
        label=item.label or os.fsdecode(rel.rpartition(b"/")[0]),
        attempts=1,
        crashes=0,
        interruptions=0,
        alone=False,
        reprocess_of=None,
        read_root_id=None,
        read_rel=None,
    )
    return Trial(resolved(house.settings, item, found, uuid), job, root or b"/", name, place)


def _item(house: House, place: Place | None, inbox: str | None) -> InboxSettings:
    if place is not None and place.root.inbox is not None and inbox in {None, place.root.inbox.name}:
        return place.root.inbox
    if inbox is not None:
        return house.inbox(inbox)
    if len(house.settings.inboxes) == 1:
        return house.settings.inboxes[0]
    known = ", ".join(item.name for item in house.settings.inboxes) or "none is configured"
    raise NotFound("the file lies in no inbox", hint=f"say as which one's it is to be tried: --inbox N, of {known}")


def _identity(output: str) -> str:
    try:
        return read_identity(os.fsencode(output)) or ""
    except OSError:
        return ""  # An output that is not there yet has no identity; nothing stands in it.


@dataclass(frozen=True, slots=True)
class Judged:
    """``names``: below the output, one for each rendition that would be made. ``other``: path or URL that it would lean on."""

    verdict: Verdict
    names: tuple[bytes, ...]
    other: bytes | None
    likeness: Json = field(default_factory=dict)
    """As of a job (``control/likeness.py``)."""


async def judge(house: House, tried: Trial, result: Processed) -> Judged:
    """As the commit would decide."""
    job, inbox = tried.job, tried.inbox
    sha256 = result.content.sha256
    homes = await house.catalog.read(lambda session: weighing.homes_of(session, job, inbox, sha256))
    known = [(home.rel, home.ino, home.size_bytes, home.mtime_ns) for home in homes]
    there = presences(inbox.root.path, job.signature.ino, known, sha256)

    def decide(session: Session) -> Judged:
        # Nobody waits for a dry run, so it goes through all hashes itself and needs no index.
        thresholds = preferences.thresholds(session, house.settings.dedupe.thresholds)
        seen = weighing.Seen(Neighbours((), 0), thresholds)
        _, found = weighing.look_around(session, job, inbox, result.content, result.looks, seen)
        verdict = weighing.weigh(session, job, inbox, result.content, there, found)
        if isinstance(verdict, (Duplicate, Unchanged)):
            anchor = anchor_of(session, inbox, verdict.image_id)
            other = source_of(anchor) if anchor is not None else None
            return Judged(verdict, (), other, _likeness(session, inbox, result, verdict))
        if isinstance(verdict, MovedHere):
            return Judged(verdict, (), inbox.root.path + b"/" + verdict.previous)
        word = inbox.policies.rename_word(verdict.policy) if isinstance(verdict, Publish) else ""
        names = decisions.choose_names(session, inbox, result, name_for(job, inbox, result), job.id, word)
        return Judged(verdict, tuple(names), None, _likeness(session, inbox, result, verdict))

    return await house.catalog.read(decide)


def _likeness(session: Session, inbox: Inbox, result: Processed, verdict: Verdict) -> Json:
    if not isinstance(verdict, Duplicate | Publish):
        return {}
    told = likeness.told(session, inbox, result.picture.width * result.picture.height, verdict.alike)
    policy = verdict.policy if isinstance(verdict, Publish) else Policy.SKIP
    return likeness.from_json(likeness.to_json(policy, told, {}))
