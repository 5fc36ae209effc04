"""Taking files in by hand: those in an inbox are looked at at once, those from elsewhere are copied in."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from dropmill.control import add_urls, places
from dropmill.control.add_urls import Answer, Asked, Wish
from dropmill.control.describe import joined
from dropmill.control.house import House
from dropmill.control.places import Place
from dropmill.errors import Conflict, DropmillError, NotFound
from dropmill.files.copying import copy_into
from dropmill.files.inspect import Inspection, Policy, inspect_many
from dropmill.files.lane import Lane
from dropmill.model.file import Signature, shown
from dropmill.model.job import PRIORITY_DEFAULT, FoundBy, NewJob
from dropmill.model.outcome import Reason, explained_as_ignored
from dropmill.observe.facts import Enqueued
from dropmill.pipeline.enqueue import label_of
from dropmill.settings import Inbox, UrlInbox
from dropmill.store import boot, queue, views
from dropmill.store.connection import Session

Json = dict[str, Any]


async def add(
    house: House, paths: Sequence[str | bytes], inbox: str | None, priority: int | None, label: str | None
) -> Json:
    if priority is not None and not 1 <= priority <= 5:
        raise Conflict(f"priority {priority} is out of range", hint="1 to 5, 5 is most urgent")
    if inbox is not None:
        house.inbox(inbox)
    wish = Wish(inbox, priority, label)
    added: list[Json] = []
    refused: list[Json] = []
    named = [target if isinstance(target, bytes) else os.fsencode(target) for target in paths]
    answers = iter(await _urls(house, [target for target in named if add_urls.is_url(target)], wish))
    for path in named:
        if add_urls.is_url(path):
            _tell(next(answers), added, refused, "" if house.live is not None else " for the next start")
            continue
        try:
            added.append(await _one(house, path, wish))
        except DropmillError as error:
            refused.append({"path": shown(path), "detail": error.public_message, "hint": error.hint})
        except OSError as error:
            hint = "check that the file exists and that the daemon's user may read it"
            refused.append({"path": shown(path), "detail": f"{shown(path)}: {error.strerror or error}", "hint": hint})
    return {"added": added, "refused": refused}


async def _urls(house: House, urls: Sequence[bytes], wish: Wish) -> list[tuple[str, Answer]]:
    """With the name of what took each in. Raises ``Conflict`` where that has to be said."""
    if not urls:
        return []
    place = add_urls.place_of(house, wish.inbox)
    asked = [Asked(os.fsdecode(url)) for url in urls]
    return [(place.name, answer) for answer in await add_urls.take(house, place, asked, wish)]


def _tell(told: tuple[str, Answer], added: list[Json], refused: list[Json], when: str) -> None:
    inbox, answer = told
    taken = answer.taken
    if taken is None:
        refusal = answer.refusal
        refused.append({"path": answer.url, "detail": f"{answer.url}: {refusal['detail']}", "hint": refusal["hint"]})
        return
    note = (
        f"queued as job {taken.job_id}{when}" if taken.fresh else f"known already: job {taken.job_id} is {taken.state}"
    )
    if answer.blocked and taken.fresh:
        note += f"; it will be discarded without a request: {answer.blocked}"
    added.append({"path": answer.url, "inbox": inbox, "job": taken.job_id, "note": note})


async def _one(house: House, path: bytes, wish: Wish) -> Json:
    if wish.inbox is not None and isinstance(house.inbox(wish.inbox), UrlInbox):
        raise Conflict(f"{shown(path)} is no URL, and {wish.inbox} takes URLs alone", hint="name an inbox")
    if not path.startswith(b"/"):
        raise NotFound(f"{shown(path)} is no absolute path", hint="give the whole path, from /")
    path = os.path.normpath(path)
    roots = [known for known in await places.known_roots(house) if known.kind == "inbox" and known.inbox]
    found = await house.blocking("*", places.places_of, path, roots)
    if found:
        if isinstance(found[0].root.inbox, UrlInbox):
            raise Conflict(f"{shown(path)} is a download that dropmill works on", hint="nothing is to be done")
        return await _inside(house, path, found[0], wish)
    return await _outside(house, path, wish)


async def _inside(house: House, path: bytes, place: Place, wish: Wish) -> Json:
    inbox = _inbox_of(place)
    if wish.inbox not in {None, inbox.name}:
        raise Conflict(f"{shown(path)} lies in inbox {inbox.name}", hint=f"leave --inbox out, or say {inbox.name}")
    rule = places.junk_rule(place.rel, inbox.ignore)
    if rule:
        raise Conflict(f"{shown(path)} is never a job: {rule}", hint="rename it if it is a picture")
    seen = await house.blocking(inbox.name, places.look, path)
    if seen.kind == "nothing":
        raise NotFound(f"{shown(path)} does not exist", hint="check the path")
    if seen.kind == "directory":
        hint = "name the files in it; what is in the inbox is taken in by itself"
        raise Conflict(f"{shown(path)} is a folder of the inbox", hint=hint)
    if seen.signature is None:
        raise Conflict(f"{shown(path)} is no plain file but a {seen.kind}", hint="drop the file itself")
    await _refuse_known(house, path, place, seen.signature)
    await _refuse_ignored(house, inbox.name, place.root.path, place.rel, inbox)
    return await _take_in(house, place.root.path, place.rel, inbox, wish, "it is in the inbox already")


def _inbox_of(place: Place) -> Inbox:
    if place.root.inbox is None:
        raise AssertionError("only roots of configured inboxes were asked for")
    return place.root.inbox


async def _refuse_known(house: House, path: bytes, place: Place, now: Signature) -> None:
    if place.root.id is None:
        return
    root_id = place.root.id
    _, source = await house.catalog.read(lambda session: views.at_path(session, root_id, place.rel))
    if source is None or source["verdict"] != "job" or views.signature_of(source) != now:
        return
    job_id = source["job_id"]
    raise Conflict(
        f"{shown(path)} has been taken in already, as job {job_id}",
        hint=f"dropmill why {job_id}; to render it again: dropmill reprocess {job_id}",
    )


async def _outside(house: House, path: bytes, wish: Wish) -> Json:
    inboxes = house.settings.inboxes
    if not inboxes:
        raise Conflict(
            f"{shown(path)} is no URL, and no inbox is configured that takes files",
            hint="https:// goes before it if it is meant as a URL; files need an inbox: [[inboxes]]",
        )
    if wish.inbox is None and len(inboxes) != 1:
        known = ", ".join(inbox.name for inbox in inboxes)
        raise Conflict(f"{shown(path)} lies in no inbox", hint=f"say which one takes it: --inbox N, one of {known}")
    inbox = house.inbox(wish.inbox) if wish.inbox is not None else inboxes[0]
    name = path.rpartition(b"/")[2]
    rule = places.junk_rule(name, inbox.ignore)
    if rule:
        raise Conflict(f"{shown(path)} would never be a job: {rule}", hint="rename it if it is a picture")
    root = os.fsencode(os.path.abspath(inbox.path))
    seen = await house.blocking("*", places.look, path)
    if seen.kind == "directory":
        if path == root:
            hint = "nothing is to be done: what is in it is taken in by itself"
            raise Conflict(f"{shown(path)} is the inbox {inbox.name} itself", hint=hint)
        hint = f"name the files in it, or drop the folder into the inbox {shown(root)}"
        raise Conflict(f"{shown(path)} is a folder", hint=hint)
    await _refuse_ignored(house, "*", path.rpartition(b"/")[0] or b"/", name, inbox)
    # A thread of its own: the copy may be long, and either side may hang.
    lane = Lane("add")
    try:
        rel = await lane.call(copy_into, path, root, name)
    finally:
        lane.close()
    return await _take_in(house, root, rel, inbox, wish, "copied into the inbox")


async def _refuse_ignored(house: House, lane: str, root: bytes, rel: bytes, inbox: Inbox) -> None:
    """Raises ``Conflict`` where the inbox would ignore the file. A companion is let in: it waits for its picture."""
    (found,) = await house.blocking(lane, inspect_many, root, [(rel, True)], _policy(house, inbox))
    if found.ignored is not None and found.ignored.reason is not Reason.COMPANION:
        _judged(joined(root.rstrip(b"/"), rel), found)


def _policy(house: House, inbox: Inbox) -> Policy:
    unsupported = inbox.on_unsupported == "quarantine" and bool(inbox.quarantine)
    return Policy(inbox.companions, inbox.hard_links, house.heif, unsupported, inbox.done_suffix)


async def _take_in(house: House, root: bytes, rel: bytes, inbox: Inbox, wish: Wish, note: str) -> Json:
    if house.live is not None:
        house.live.enqueuer.wish(inbox.name, rel, wish.priority, wish.label)
        house.live.watches[inbox.name].look_for([rel], FoundBy.MANUAL)
        note += f"; it becomes a job once it has stayed as it is for {inbox.settle_seconds:g} s"
        if inbox.done_suffix:
            note += f" and its done-file ({inbox.done_suffix}) is there"
    else:
        note += f"; queued as job {await _enqueue_now(house, root, rel, inbox, wish)} for the next start"
    return {"path": joined(root, rel), "inbox": inbox.name, "note": note}


async def _enqueue_now(house: House, root: bytes, rel: bytes, inbox: Inbox, wish: Wish) -> int:
    """No daemon watches: judge the file as settling would, and put it into the queue with what was wished for."""
    (found,) = await house.blocking(inbox.name, inspect_many, root, [(rel, True)], _policy(house, inbox))
    signature = _judged(joined(root, rel), found)
    now_ms = house.clock.now_ms()
    job = NewJob(
        inbox=inbox.name,
        rel=rel,
        signature=signature,
        found_by=FoundBy.MANUAL,
        found_at_ms=now_ms,
        settled_at_ms=now_ms,
        priority=wish.priority or inbox.priority or PRIORITY_DEFAULT,
        label=wish.label if wish.label is not None else inbox.label or label_of(rel),
    )

    def enqueue(session: Session) -> int | None:
        root_id = boot.put_root(session, "inbox", inbox.name, root)
        return queue.enqueue(session, root_id, [job], now_ms)[0]

    job_id = await house.catalog.write(enqueue)
    if job_id is None:
        raise Conflict(f"{joined(root, rel)} has been taken in already", hint=f"dropmill why {joined(root, rel)}")
    house.emit(Enqueued(job_id, inbox.name, rel, FoundBy.MANUAL, signature.size_bytes))
    return job_id


def _judged(path: str, found: Inspection) -> Signature:
    if found.ignored is not None:
        why = explained_as_ignored(found.ignored.reason)
        raise Conflict(
            f"{path} is not taken in: it would be ignored, {why.cause}", hint=why.remedy, reason=found.ignored.reason
        )
    if found.signature is None:
        raise Conflict(f"{path} cannot be looked at: {found.trouble or 'it is gone'}", hint="check its permissions")
    if found.writer:
        raise Conflict(f"{path} is being written to", hint="try again once that has finished", retryable=True)
    return found.signature
