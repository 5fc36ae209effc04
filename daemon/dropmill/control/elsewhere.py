"""Stories of files that no job at their path explains: outputs, archived ones, ignored ones, and those never seen."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from typing import Any, Final

from dropmill.control import describe, places, story
from dropmill.control.house import House, names
from dropmill.control.places import Known, Place, Seen
from dropmill.model.file import shown
from dropmill.model.inbox import URLS_SUFFIX
from dropmill.model.names import RESULTS_SUFFIX, is_companion_name, owner_names, split_extension
from dropmill.model.outcome import EXPLANATIONS, Reason, explained_as_ignored
from dropmill.settings import COMPANIONS
from dropmill.store import dropfiles, views
from dropmill.store.connection import Row

Json = dict[str, Any]
_NOTE: Final = b".reason.json"
_RECEIPT_BYTES: Final = 1 << 20
_LINE_ENDS: Final = ("completed", "discarded", "cancelled", "refused")
_TAKEN_AWAY: Final = ("nothing has this path now: somebody took it away",)
# Verdicts on paths of which neither the catalog nor the disk knows anything.
UNKNOWN: Final = frozenset({"never seen", "not in an inbox"})


def blank(path: bytes, seen: Seen) -> Json:
    """A story still to be told."""
    return {
        "target": shown(path),
        "verdict": "",
        "story": [],
        "now": {"source": shown(path), "there": seen.kind, "original": None, "outputs": []},
        "jobs": [],
    }


def line(text: str, at: str | None = None) -> Json:
    return {"at": at, "text": text}


async def in_folder(house: House, path: bytes, place: Place) -> Json | None:
    """A path in an output, archive, duplicates or quarantine folder; None where no job put anything there."""
    root = place.root
    if root.id is None:
        return None
    root_id = root.id
    if root.kind == "output":
        return await _output(house, path, root_id, place.rel) or await _receipt(house, path)
    job_id = await house.catalog.read(lambda session: views.taken_to(session, root_id, place.rel))
    if job_id is None and place.rel.endswith(_NOTE):
        rel = place.rel.removesuffix(_NOTE)
        job_id = await house.catalog.read(lambda session: views.taken_to(session, root_id, rel))
        note = "it says why the original beside it was discarded"
        return None if job_id is None else await _of(house, path, job_id, f"note of job {job_id}", note)
    if job_id is None:
        return await _companion(house, path, place)
    return await _of(house, path, job_id, f"original of job {job_id}, moved to {root.kind}", "")


async def _receipt(house: House, path: bytes) -> Json | None:
    """A receipt of ours, known by what it holds; None for any other file."""
    told = await house.blocking("*", _receipt_at, path) if path.endswith(b".json") else None
    if told is None:
        return None
    job_id = told["job"]
    life = await house.catalog.read(lambda session: views.life(session, job_id))
    row = life.job.row if life is not None else None
    if row is not None and (row["inbox"], shown(row["rel"])) == (told.get("inbox"), told.get("source")):
        return await _of(house, path, job_id, f"receipt of job {job_id}", f"dropmill wrote it about job {job_id}")
    text = f"dropmill wrote it about job {job_id}, which this catalog does not know, or no longer"
    return {**blank(path, Seen("file")), **_told("a receipt", text)}


def _receipt_at(path: bytes) -> Json | None:
    """What a receipt says; None for what is none. Blocking; follows no link."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            document = json.loads(file.read(_RECEIPT_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or "dropmill" not in document:
        return None
    job_id = document.get("job")
    return document if isinstance(job_id, int) and 0 < job_id < 1 << 63 else None


async def _companion(house: House, path: bytes, place: Place) -> Json | None:
    """A companion beside an original that was moved here: it came with it."""
    inbox = place.root.inbox
    if not is_companion_name(place.rel, inbox.travelling if inbox else COMPANIONS):
        return None
    root_id = place.root.id or 0
    # A name that was taken got a suffix after the companion's own bytes.
    plain = re.sub(rb"~[0-9a-f]{8}(?:[0-9a-f]{56})?(?=\.[^./]+$)", b"", place.rel)
    for rel in dict.fromkeys((place.rel, plain)):
        for owner in owner_names(rel):
            job_id = await house.catalog.read(
                lambda session, owner=owner: views.taken_to(session, root_id, owner)  # type: ignore[misc]  # mypy infers no lambda with a default.
            )
            if job_id is not None:
                text = f"it moved with the picture {shown(place.root.path + b'/' + owner)}"
                return await _of(house, path, job_id, f"companion of job {job_id}, moved to {place.root.kind}", text)
    return None


async def companion_left(house: House, path: bytes, place: Place) -> Json | None:
    """The path in the inbox that a companion had before it moved with its picture; None for any other."""
    inbox, root_id = place.root.inbox, place.root.id
    if inbox is None or root_id is None or not is_companion_name(place.rel, inbox.travelling):
        return None
    for owner in owner_names(place.rel):
        ids, _ = await house.catalog.read(
            lambda session, owner=owner: views.at_path(session, root_id, owner)  # type: ignore[misc]  # As above.
        )
        life = await house.catalog.read(lambda session, ids=ids: views.life(session, ids[-1])) if ids else None  # type: ignore[misc]  # As above.
        moved = [row for row in life.disposals if row["result"] == "moved" and row["target_name"]] if life else []
        if life is None or not moved:
            continue
        # As the picture is called there, so is its companion: IMG.xmp and IMG.jpg.xmp with IMG.jpg.
        tail = place.rel.removeprefix(owner if place.rel.startswith(owner + b".") else split_extension(owner)[0])
        image = moved[-1]["target_name"]
        name = (image if place.rel.startswith(owner + b".") else split_extension(image)[0]) + tail
        target = moved[-1]["target_path"] + b"/" + name
        if (await house.blocking("*", places.look, target)).kind != "file":
            continue
        job_id = life.job.row["id"]
        told = await _of(house, path, job_id, f"companion of job {job_id}, moved to {moved[-1]['disposition']}", "", [])
        told["story"].append(line(f"it moved with its picture, and is {shown(target)} now"))
        return told
    return None


async def _output(house: House, path: bytes, root_id: int, rel: bytes) -> Json | None:
    rows = await house.catalog.read(lambda session: views.named(session, root_id, rel))
    if not rows:
        return None
    row = rows[0]
    life = await house.catalog.read(lambda session: views.life(session, row["job_id"]))
    source = describe.source(life.job.row) if life else "a job of old"
    word = {"visible": "rendition", "owed": "rendition that is still to appear,", "failed": "failed rendition"}
    what = word.get(row["state"], "former rendition")
    verdict = f"{what} {row['rendition']} of {source}"
    return await _of(house, path, row["job_id"], verdict, f"made by job {row['job_id']} from {source}")


async def _of(
    house: House, path: bytes, job_id: int, verdict: str, text: str, gone: Sequence[str] = _TAKEN_AWAY
) -> Json:
    life = await house.catalog.read(lambda session: views.life(session, job_id))
    seen = await house.blocking("*", places.look, path)
    told = blank(path, seen)
    told["verdict"] = verdict
    if life is not None:
        job = describe.job(life.job)
        told["story"] = story.story(life, house.held(life.job.row["inbox"]))
        told["now"] |= await places.now(house, life.job)
        told["jobs"] = [job]
    if text:
        told["story"].append(line(text))
    if seen.kind == "nothing":
        told["story"] += [line(text) for text in gone]
    return told


def folder(path: bytes, root: Known) -> Json:
    """A folder of ours itself."""
    told = blank(path, Seen("directory"))
    of = f" of inbox {root.inbox.name}" if root.inbox else ""
    if root.kind == "inbox":
        text = "what is dropped into it is taken in; ask for a file in it, or for all: dropmill status"
        return {**told, **_told(f"the folder{of}" if of else "the folder of a former inbox", text)}
    if root.kind == "library":
        text = "catalogued in place; ask for a file in it, or for the latest runs: dropmill index --list"
        return {**told, **_told("a library", text)}
    return {**told, **_told(f"the {root.kind} folder{of}", "ask for a file in it, or for all: dropmill status")}


def ignored(source: Row, before: Sequence[Json], seen: Seen) -> Json:
    """A file of the journal: recognised as not ours, left in place."""
    why = explained_as_ignored(Reason(source["reason"])) if source["reason"] in set(Reason) else None
    detail = f" ({shown(source['detail'])})" if source["detail"] else ""
    cause = f"{why.cause}; {why.remedy}" if why else source["reason"]
    left = "" if seen.kind == "nothing" else ", and left where it is"
    of_urls = source["reason"] == Reason.URL_LIST
    told = "taken for" if of_urls else f"ignored{left}: {source['reason']}{detail}:"
    text = f"{told} {cause}"
    story = [*before, line(text, describe.iso(source["seen_at_ms"]))]
    if seen.kind == "nothing":
        story.append(line("nothing has this path now: somebody took it away"))
    return {"verdict": "a list of URLs" if of_urls else f"ignored: {source['reason']}", "story": story}


async def list_of_urls(house: House, path: bytes, place: Place) -> list[Json]:
    """What became of the lines of a list in an inbox, as far as the catalog still knows, and where it is told."""
    if place.root.inbox is None:
        return []
    name = f"{place.root.inbox.name}{URLS_SUFFIX}/{shown(place.rel)}"
    states = await house.catalog.read(lambda session: dropfiles.counted(session, name))
    under_way = sum(states.get(state, 0) for state in ("scheduled", "available", "executing"))
    counts = [(under_way, "under way"), *((states.get(one, 0), one) for one in _LINE_ENDS)]
    told = ", ".join(f"{count:,} {word}" for count, word in counts if count) or "none is known now"
    return [line(f"its lines: {told}"), line(f"what came of each is told in {shown(path + RESULTS_SUFFIX)}")]


async def never_seen(house: House, path: bytes, place: Place, seen: Seen) -> Json:
    """A path of an inbox of which the catalog knows nothing: what the rules say of it."""
    inbox = place.root.inbox
    if inbox is None:
        return _told("not in an inbox that is configured now", "its inbox was taken out of the configuration")
    rule = places.junk_rule(place.rel, inbox.ignore)
    if rule:
        why = EXPLANATIONS[Reason.JUNK_NAME]
        return _told(
            f"ignored: {Reason.JUNK_NAME}",
            f"never a job: {'' if rule.startswith('it ') else 'its '}{rule}; {why.remedy}",
        )
    link = await house.blocking(inbox.name, places.link_on_the_way, place.root.path, place.rel)
    if link is not None:
        return _told("ignored: symlink", f"{shown(link)} is a symbolic link, and those are not followed")
    if seen.kind == "nothing":
        return _told("never seen", "nothing has this path now, and nothing of this name was ever taken in")
    if seen.kind == "unknown":
        return _told("cannot be looked at", f"{seen.trouble}; check the permissions of the folder")
    if seen.kind == "directory":
        return _directory(inbox.recursive)
    if seen.kind != "file":
        reason = Reason.SYMLINK if seen.kind == "symlink" else Reason.NOT_A_FILE
        explanation = EXPLANATIONS[reason]
        return _told(f"ignored: {reason}", f"{explanation.cause}; {explanation.remedy}")
    if b"/" in place.rel and not inbox.recursive:
        return _told("not watched", f"inbox {inbox.name} has recursive = false, so folders inside it are left alone")
    return _told("not found yet", _when(house, inbox.name))


def _directory(recursive: bool) -> Json:
    if recursive:
        return _told("a folder of the inbox", "what is dropped into it is taken in; ask for a file in it")
    return _told("a folder", "the inbox has recursive = false, so it is left alone")


def _when(house: House, inbox: str) -> str:
    live = house.live
    if live is None:
        return "no daemon runs; the scan at its next start finds it (dropmill run)"
    watch = live.watches[inbox]
    if watch.trouble:
        return f"the inbox has trouble: {watch.trouble}"
    if not watch.started:
        return "the scan at start is still under way"
    seconds = watch.inbox.poll_seconds if watch.mode == "poll" else watch.inbox.reconcile_seconds
    return f"the next scan finds it, in {seconds:g} s at most; dropmill add takes it in at once"


async def unknown(house: House, path: bytes, found: Sequence[Place]) -> Json:
    """A path that lies in no folder of ours, or in one of them without being ours."""
    seen = await house.blocking("*", places.look, path)
    told = blank(path, seen)
    if path.startswith(os.fsencode(os.path.abspath(house.settings.state_dir)) + b"/"):
        return {**told, **_told("part of dropmill's state", "the catalog and what belongs to it; leave it alone")}
    if found and found[0].root.kind in {"library", "move"}:
        link = await house.blocking("*", places.link_on_the_way, found[0].root.path, found[0].rel)
        return {**told, **_uncatalogued(found[0], seen, link)}
    if found:
        kind = found[0].root.kind
        text = (
            f"it lies in a folder of kind {kind}, but no job that is known put it there: it is somebody else's, or what it "
            "shows was forgotten; it stays untouched"
        )
        if b".dropmill" in found[0].rel.split(b"/"):
            text = (
                "it lies in dropmill's staging folder: what is here moves into place, or is removed at the next start"
            )
        if seen.kind == "nothing":
            return {
                **told,
                **_told("never seen", f"nothing has this path of the {kind} folder, and no job put it there"),
            }
        return {**told, **_told(f"not ours, in the {kind} folder", text)}
    inboxes = ", ".join(names(house.settings.inboxes))
    if seen.kind == "nothing":
        return {**told, **_told("not in an inbox", "it lies in no inbox, and nothing has this path now")}
    text = "it lies in no inbox"
    if inboxes and seen.kind == "directory":
        text += f"; drop it, or the files in it, into one ({inboxes})"
    elif inboxes and seen.kind == "file":
        text += f"; drop it into one ({inboxes}), or: dropmill add {shown(path)}"
    elif not inboxes:
        text += ", since none is configured"
    return {**told, **_told("not in an inbox", text)}


def _uncatalogued(place: Place, seen: Seen, link: bytes | None) -> Json:
    """A path in a library that the catalog has nothing of. What was forgotten leaves no trace, so that may be why.

    ``link``: a folder on the way that is a symbolic link.
    """
    folder = shown(place.root.path)
    rule = places.junk_rule(place.rel, ())
    if rule and seen.kind != "nothing":
        because = f"{'' if rule.startswith('it ') else 'its '}{rule}"
        return _told(
            "passed over", f"it lies in {folder}, but dropmill index passes it over: {because}; it stays as it is"
        )
    if link is not None and seen.kind != "nothing":
        return _told(
            "passed over", f"{shown(link)} is a symbolic link, and dropmill index follows none; it stays as it is"
        )
    text = f"it lies in {folder}, but the catalog has nothing of it: no run of dropmill index has met it, or it was forgotten"
    if seen.kind == "nothing":
        return _told("never seen", f"nothing has this path now; {text}")
    if seen.kind == "directory":
        return _told("a folder in a library", f"it lies in {folder}; ask for a file in it")
    return _told("not in the catalog", f"{text}; it stays as it is; to take it in: dropmill index {folder}")


def _told(verdict: str, text: str) -> Json:
    return {"verdict": verdict, "story": [line(text)]}
