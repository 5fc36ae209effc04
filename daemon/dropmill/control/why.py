"""Why is it so? The whole life of one file, whatever kind of path, number or digest it is asked by."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from typing import Any, Final

from dropmill.control import catalogued, decided, describe, elsewhere, places
from dropmill.control.explain_url import explain_url
from dropmill.control.house import House
from dropmill.control.places import Place, Seen
from dropmill.control.story import story, verdict
from dropmill.errors import Conflict, NotFound
from dropmill.model.file import shown
from dropmill.model.names import split_extension
from dropmill.model.outcome import Reason
from dropmill.model.settling import DELAYED, WAITS_FOR_DONE_FILE, Waiting
from dropmill.model.url import UrlRefused, is_url, parse_url, redact
from dropmill.settings import Inbox as InboxSettings
from dropmill.store import downloads, views
from dropmill.store.connection import Row

Json = dict[str, Any]
_SHORTEST: Final = 8
_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_HEXADECIMAL: Final = re.compile(rf"[0-9a-f]{{{_SHORTEST},64}}")
# After every time of the story: what is still to come.
_LAST: Final = "~"
# Earlier versions of a path that are told of.
MOST_VERSIONS: Final = 20


async def why(house: House, target: str | bytes) -> Json:
    """Raises ``NotFound`` for an id, digest or name that is not known; a whole path always has a story."""
    text = os.fsdecode(target) if isinstance(target, bytes) else target
    told = await _why(house, text)
    of = [told["target"], *(job["source"] for job in told["jobs"][:1])]
    deeds = await decided.deeds(house, dict.fromkeys(of), os.path.normpath(os.fsencode(text)))
    lost = await decided.lost(house, deeds)
    became = decided.verdict(deeds, told["target"], told["now"].get("there", ""), lost)
    if became and (told["jobs"] or told["verdict"] == catalogued.IN_PLACE):
        told["verdict"] += f"; {became}"
    elif became:  # Then nothing but the deeds tells anything of it.
        told |= {"verdict": became, "story": []}
    told["story"] += decided.entries(deeds, lost)
    told["story"] = sorted(told["story"], key=lambda entry: entry["at"] or _LAST)
    return told


async def _why(house: House, text: str) -> Json:
    if text.isdecimal() and text.isascii() and len(text) < 20:
        try:
            return await of_job(house, int(text), text)
        except NotFound:
            digest = await _digest(house, text)
            if digest is None:
                raise
            return await _of_sha256(house, digest)
    if _HEXADECIMAL.fullmatch(text.lower()):
        digest = await _digest(house, text.lower())
        if digest is not None or len(text) == 64:
            return await _of_sha256(house, digest or text.lower())
    if _URL.match(text):
        return await _of_url(house, text)
    path = os.fsencode(text)
    if b"\0" in path:
        raise NotFound("a path holds no NUL byte", hint="give the path as it is on disk")
    if path and b"/" not in path:
        path = await _path_named(house, path)
    if is_url(path):
        return await _of_url(house, os.fsdecode(path))
    if not path.startswith(b"/"):
        raise NotFound(
            f"{shown(path)} is no job id, no SHA-256 and no absolute path", hint="give the whole path, from /"
        )
    path = os.path.normpath(path)
    told = await _of_path(house, path)
    meant = places.unshown(path)
    if meant != path and b"\0" not in meant and is_unknown(told):
        other = await _of_path(house, os.path.normpath(meant))
        return told if is_unknown(other) else other
    return told


def is_unknown(told: Json) -> bool:
    """Whether nothing is at a path, and nothing that the catalog knows ever was."""
    return not told["jobs"] and told["now"].get("there") == "nothing" and told["verdict"] in elsewhere.UNKNOWN


async def _digest(house: House, prefix: str) -> str | None:
    """The one SHA-256 that begins so. Raises ``Conflict`` where there are several."""
    if len(prefix) < _SHORTEST:
        return None
    found = await house.catalog.read(lambda session: views.sha256_beginning(session, prefix, 2))
    if len(found) > 1:
        raise Conflict(f"several files have a SHA-256 that begins with {prefix}", hint="give more digits")
    return found[0] if found else None


async def _path_named(house: House, name: bytes) -> bytes:
    """The one path, or URL, of that file name, also as it was shown escaped. Raises ``NotFound``, ``Conflict`` for several."""
    for wanted in dict.fromkeys((name, places.unshown(name))):
        found = await house.catalog.read(
            lambda session, wanted=wanted: views.paths_named(session, wanted, 4)  # type: ignore[misc]  # mypy infers no lambda with a default.
        )
        if len(found) == 1:
            return found[0]
        if found:
            listed = ", ".join(shown(path) for path in found[:3]) + (", …" if found[3:] else "")
            raise Conflict(f"several files are called {shown(name)}: {listed}", hint="give the whole path")
    raise NotFound(
        f"{shown(name)} is no job id, no SHA-256 and no name of a file that had a job or is in a library",
        hint="give the whole path, from /",
    )


async def of_job(house: House, job_id: int, target: str) -> Json:
    life = await house.catalog.read(lambda session: views.life(session, job_id) if 0 < job_id < 1 << 63 else None)
    if life is None:
        raise NotFound(f"there is no job {job_id}", hint="dropmill jobs lists them; old ones are forgotten in time")
    told = describe.job(life.job)
    inbox = life.job.row["inbox"]
    held = house.held(inbox)
    if all(known.name != inbox for known in house.settings.every_inbox):
        life = replace(life, paused=False)  # Whether it is or not, nobody could resume it.
    return {
        "target": target,
        "verdict": verdict(life, held),
        "story": story(life, held),
        "now": await places.now(house, life.job),
        "jobs": [told],
    }


async def _of_url(house: House, text: str) -> Json:
    """A URL in any spelling: by its jobs, or else by what the network policy says of it."""
    try:
        url = parse_url(text)
    except UrlRefused as error:
        raise NotFound(f"{redact(text)} is no URL that could be asked for: {error.detail}", hint="correct it") from None
    ids = await house.catalog.read(lambda session: downloads.jobs_of_url(session, url.canonical))
    verdict_now = await explain_url(house.settings.net, house.settings.downloads, house.clock, url)
    if not ids:
        hint = f"nothing asked for it yet; to fetch it: dropmill add {url.canonical}"
        entries = [elsewhere.line(hint), elsewhere.line(verdict_now)]
        return {"target": url.canonical, "verdict": "never asked for", "story": entries, "now": {}, "jobs": []}
    told = await of_job(house, ids[-1], url.canonical)
    found = await house.catalog.read(lambda session: views.told(session, ids[-MOST_VERSIONS:]))
    told["jobs"] = [describe.job(one) for one in found]
    if told["jobs"][0]["state"] != "completed":
        told["story"].append(elsewhere.line(verdict_now))
    return told


async def _of_sha256(house: House, sha256: str) -> Json:
    ids = await house.catalog.read(lambda session: views.of_sha256(session, sha256))
    if not ids:
        told = await catalogued.of_sha256(house, sha256)
        if told is not None:
            return told
        raise NotFound(f"no job had the SHA-256 {sha256}", hint="only files that were decoded have one")
    # The oldest job of the bytes is the one that the others lean on.
    told = await of_job(house, ids[-1], sha256)
    found = await house.catalog.read(lambda session: views.told(session, ids))
    return {**told, "jobs": [describe.job(one) for one in found]}


async def _of_path(house: House, path: bytes) -> Json:
    roots = await places.known_roots(house)
    folder = await house.blocking("*", places.folder_of, path, roots)
    if folder is not None:
        return elsewhere.folder(path, folder)
    found = await house.blocking("*", places.places_of, path, roots)
    for place in found:
        if place.root.kind == "inbox":
            return await catalogued.with_group(house, place, await _in_inbox(house, path, place))
    for place in found:
        moved = await decided.moved_here(house, place)
        if moved is not None:
            told = await of_job(house, moved, shown(path))
            return await catalogued.with_group(house, place, told)
        found_there = await elsewhere.in_folder(house, path, place) or await catalogued.in_library(house, path, place)
        if found_there is not None:
            return await catalogued.with_group(house, place, found_there)
    return await elsewhere.unknown(house, path, found)


async def _in_inbox(house: House, path: bytes, place: Place) -> Json:
    """A path of an inbox: by what waits, by its jobs, by the journal of ignored files, or by the rules alone."""
    root = place.root
    private = re.fullmatch(rb"\.dropmill-(\d+)(\+.*)?", place.rel.rpartition(b"/")[2], re.DOTALL)
    if private:
        told = await of_job(house, int(private[1]), shown(path))
        return {**told, "verdict": f"on its way out of the inbox for job {int(private[1])}"}
    name = root.inbox.name if root.inbox else "*"
    seen = await house.blocking(name, places.look, path)
    ids: list[int] = []
    source = None
    if root.id is not None:
        root_id = root.id
        ids, source = await house.catalog.read(lambda session: views.at_path(session, root_id, place.rel))
    waits = _waiting(house, place)
    ignored = source if source is not None and source["verdict"] == "ignored" else None
    forgotten = _forgotten(source, ids, seen)
    if waits is None and ids and ignored is None and forgotten is None:
        return await _with_history(house, path, ids, seen)
    told = await _with_history(house, path, ids, seen) if ids else elsewhere.blank(path, seen)
    if waits is not None:
        return {**told, **waits, "story": [*told["story"], *waits["story"]]}
    if seen.kind == "nothing" and not ids:
        companion = await elsewhere.companion_left(house, path, place)
        if companion is not None:
            return companion
    if ignored is not None:
        said = elsewhere.ignored(ignored, told["story"], seen)
        if ignored["reason"] == Reason.URL_LIST:
            said["story"] += await elsewhere.list_of_urls(house, path, place)
        return {**told, **said}
    if forgotten is not None:
        return {**told, "verdict": forgotten["verdict"], "story": [*told["story"], *forgotten["story"]]}
    return {**told, **await elsewhere.never_seen(house, path, place, seen)}


def _forgotten(source: Row | None, ids: list[int], seen: Seen) -> Json | None:
    """A version that is known, and whose job is old enough to have left the list (queue.retention_days)."""
    if source is None or source["verdict"] != "job" or source["job_id"] in ids or seen.signature is None:
        return None
    if not views.signature_of(source).same_bytes_expected(seen.signature):
        return None
    told = (
        f"job {source['job_id']} dealt with these bytes, ended longer ago than queue.retention_days, and left nothing "
        "that stands; touch the file, and it becomes a new job"
    )
    return {"verdict": "dealt with long ago", "story": [elsewhere.line(told)]}


async def _with_history(house: House, path: bytes, ids: list[int], seen: Seen) -> Json:
    """The story of the path's latest job, and its earlier versions in short."""
    told = await of_job(house, ids[-1], shown(path))
    found = await house.catalog.read(lambda session: views.told(session, ids[-MOST_VERSIONS:]))
    told["jobs"] = [describe.job(one) for one in found]
    told["now"]["there"] = seen.kind
    if len(ids) > 1:
        earlier = ", ".join(f"job {one['id']} ({one['outcome'] or one['state']})" for one in reversed(told["jobs"][1:]))
        text = f"this path had been seen before: {earlier}"
        told["story"].insert(0, {"at": told["jobs"][1]["enqueued_at"], "text": text})
    latest = found[0].row
    original = told["now"]["original"]
    if seen.kind == "nothing" and latest["moved_to"] is not None and original not in {None, told["now"]["source"]}:
        told["verdict"] = f"moved to {original}"
        told["story"].append(
            {"at": None, "text": f"the file was renamed: it is {original} now, and its renditions stand"}
        )
    if seen.signature is not None and latest["state"] in {"completed", "discarded", "cancelled"}:
        known = views.signature_of(latest)
        if not known.same_bytes_expected(seen.signature):
            told["story"].append(
                {"at": None, "text": "what has this name now is another version; it becomes a job once it settles"}
            )
    return told


def _waiting(house: House, place: Place) -> Json | None:
    live = house.live
    if live is None or place.root.inbox is None or place.root.inbox.name not in live.settlings:
        return None
    waiting = live.settlings[place.root.inbox.name].waiting(place.rel)
    if waiting is None:
        return None
    seconds = max(0.0, house.clock.monotonic() - waiting.found_at)
    note = waiting.note or "just found"
    settle = live.settlings[place.root.inbox.name].settle_seconds
    text = f"found {seconds:.1f} s ago ({waiting.found_by}); it must stay as it is for {settle:g} s: {note}"
    text += _what_next(place.root.inbox, waiting, place.rel, settle, house.clock.monotonic())
    return {"verdict": f"not settled yet: {note}", "story": [{"at": None, "text": text}]}


def _what_next(inbox: InboxSettings, waiting: Waiting, rel: bytes, settle_seconds: float, now: float) -> str:
    """What ends the wait of a file that stays as it is and is not taken yet."""
    name = rel.rpartition(b"/")[2]
    if waiting.note == WAITS_FOR_DONE_FILE:
        stem, suffix = split_extension(name)[0], os.fsencode(inbox.done_suffix)
        return f"; it waits for {shown(name + suffix)} or {shown(stem + suffix)} beside it"
    if not waiting.note.startswith(DELAYED):
        return ""
    left = waiting.changed_at + max(inbox.incomplete_timeout_seconds, settle_seconds) - now
    return f"; the decoder decides in {max(0.0, left):.1f} s (incomplete_timeout_seconds)"
