"""Batches and their deeds, and what a deed changes in the catalog, in the transaction that says that it is done."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final

from dropmill.model.batch import Action, BatchState, DeedState, Group, Member, Plan, Refusal
from dropmill.model.file import Signature
from dropmill.model.fingerprint import from_int64, to_int64
from dropmill.store import boot, judgements
from dropmill.store.connection import Row, Session
from dropmill.store.rows import signature_values

LOT: Final = 32
_LAST: Final = (1 << 63) - 1
_ALL: Final = 1_000_000_000
# Folders that hold originals and are not watched.
_HOME_KINDS: Final = frozenset({"library", "move", "archive", "duplicates"})
_THERE: Final = ("it lies in that folder already", "to move it nevertheless, name another folder")
_KEEPER_THERE: Final = ("the one that is kept lies in that folder itself", "name another folder, or another keeper")


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a batch moves files: ``folder`` (a path, perhaps empty) below the root."""

    root_id: int
    folder: bytes


def group(session: Session, group_id: int) -> Group | None:
    """With all of its members, and the pairs among them that resemble each other."""
    row = session.one("group_get", id=group_id)
    if row is None:
        return None
    rows = session.all("members_told", ids=json.dumps([group_id]), most=_ALL)
    members = [_member(one) for one in rows]
    images = json.dumps(sorted({member.image_id for member in members}))
    pairs = {(pair["a"], pair["b"]) for pair in session.all("pairs_among", ids=images)}
    return Group(group_id, row["keeper_holding_id"], members, pairs)


def newest_change(session: Session) -> int:
    """``as_of_ms`` for whoever sees the groups as they are now: each later change of a group gets a later time."""
    return session.value("groups_newest") or 0


def changed_since(session: Session, group_id: int, as_of_ms: int) -> bool:
    row = session.one("group_get", id=group_id)
    return row is not None and row["changed_at_ms"] > as_of_ms


def _member(row: Row) -> Member:
    names = ("image_id", "sha256", "root_id", "rel", "size_bytes", "job_id", "tier")
    return Member(id=row["holding_id"], **{name: row[name] for name in names})


def open_batch(
    session: Session, action: Action, state: BatchState, *, permanent: bool, groups: int, now_ms: int
) -> int:
    batch_id: int = session.value(
        "batch_put", action=action, state=state, permanent=int(permanent), groups=groups, now_ms=now_ms
    )
    return batch_id


def put_plan(
    session: Session, batch_id: int, plan: Plan, to: Destination | None, now_ms: int, *, whole: bool = True
) -> None:
    """Write down what is to be done about one group, or about a part of it; nothing is touched yet. What is only judged is
    judged now. What ``leaving`` refuses is left."""
    plan = leaving(session, plan, to)
    for judgement in plan.judgements:
        judgements.put(session, judgement.kind, judgement.a, judgement.b, batch_id=batch_id, now_ms=now_ms)
    refused = {refusal.member.id: refusal for refusal in plan.refused}
    for member in (*plan.victims, *(refusal.member for refusal in plan.refused)):
        refusal = refused.get(member.id)
        name = member.rel.rpartition(b"/")[2]
        session.run(
            "deed_put",
            batch_id=batch_id,
            group_id=plan.group_id,
            action=plan.action,
            holding_id=member.id,
            image_id=member.image_id,
            job_id=member.job_id,
            sha256=member.sha256,
            root_id=member.root_id,
            rel=member.rel,
            size_bytes=member.size_bytes,
            keeper_root_id=plan.keeper.root_id,
            keeper_rel=plan.keeper.rel,
            keeper_sha256=plan.keeper.sha256,
            target_root_id=to.root_id if to else None,
            target_name=(to.folder + b"/" + name if to.folder else name) if to else None,
            state=DeedState.SKIPPED if refusal else DeedState.OWED,
            detail=refusal.detail if refusal else "",
            hint=refusal.hint if refusal else "",
        )
    if not whole:
        return  # What is left of the group is drawn anew, as the judgements wish.
    if plan.action is Action.KEEP and plan.others:
        session.run("group_settle", id=plan.group_id, now_ms=now_ms)
    elif plan.action is Action.DISMISS and plan.others:
        session.run("group_remove", id=plan.group_id)


def leaving(session: Session, plan: Plan, to: Destination | None) -> Plan:
    """Refused is what lies in the folder that files are moved to, and what would get beside its keeper there."""
    if to is None:
        return plan
    roots = {row["id"]: row["path"].rstrip(b"/") + b"/" for row in session.all("roots_all")}
    folder = roots[to.root_id] + to.folder

    def lies_there(member: Member) -> bool:
        return _holds(folder, roots[member.root_id] + member.rel)

    there = [member for member in plan.victims if lies_there(member)]
    left = [Refusal(member, *_THERE) for member in there]
    if lies_there(plan.keeper):
        left += [Refusal(member, *_KEEPER_THERE) for member in plan.victims if member not in there]
    gone = {refusal.member.id for refusal in left}
    victims = [member for member in plan.victims if member.id not in gone]
    return replace(plan, victims=victims, refused=[*plan.refused, *left])


def destination(session: Session, folder: bytes) -> Destination:
    """Of a folder on disk: below the innermost known one that it lies in, so that a scan of that knows what was moved
    there; else it is a root of its own."""
    around = [row for row in session.all("roots_all") if row["kind"] in _HOME_KINDS and _holds(row["path"], folder)]
    if around:
        root = max(around, key=lambda row: len(row["path"]))
        return Destination(root["id"], folder[len(root["path"].rstrip(b"/")) + 1 :])
    try:
        name = folder.decode("utf-8")
    except UnicodeDecodeError:
        name = f"hex:{folder.hex()}"
    return Destination(boot.put_root(session, "move", name, folder), b"")


def _holds(root: bytes, folder: bytes) -> bool:
    return (folder + b"/").startswith(root.rstrip(b"/") + b"/")


def turn(
    session: Session,
    batch_id: int,
    state: BatchState,
    from_states: Collection[BatchState],
    now_ms: int | None,
    detail: str = "",
) -> bool:
    """Put a batch into another state; ``now_ms`` where it ends with that, and ``detail`` where that is not as was wished.

    False where it was in none of those states.
    """
    states = json.dumps(sorted(from_states))
    if not session.run("batch_turn", id=batch_id, state=state, ended_at_ms=now_ms, from_states=states):
        return False
    if now_ms is not None:
        told = count(session, batch_id)
        numbers = {name: told[name] for name in ("done", "skipped", "undone", "bytes")}
        session.run("batch_sum", id=batch_id, detail=detail, **numbers)
    return True


def count(session: Session, batch_id: int) -> Row:
    """How many deeds are ``owed``, ``begun``, ``done`` (``kept``: and can be taken back), ``skipped`` and ``undone``, and
    the ``bytes`` of those that were done."""
    return session.one("batch_count", batch_id=batch_id) or {}


def batch(session: Session, batch_id: int) -> Row | None:
    return session.one("batch_get", id=batch_id)


def page(session: Session, limit: int, before: int | None) -> list[Row]:
    return session.all("batches_page", limit=limit, before=before)


def under_way(session: Session) -> list[Row]:
    return session.all("batches_under_way")


def deeds_told(session: Session, batch_id: int, limit: int) -> list[Row]:
    return session.all("deeds_told", batch_id=batch_id, limit=limit)


def deeds_at(session: Session, path: bytes, batch_id: int | None, limit: int) -> list[Row]:
    """Of a whole path, in whatever known folder that is, the latest first. ``batch_id``: in whose folder of the trash it is."""
    found: list[Row] = []
    for root in session.all("roots_all"):
        if _holds(root["path"], path):
            rel = path[len(root["path"].rstrip(b"/")) + 1 :]
            found += session.all("deeds_at", root_id=root["id"], rel=rel, batch_id=batch_id, limit=limit)
    return found


def moved_job(session: Session, root_id: int, rel: bytes) -> int | None:
    """Of the file that a batch moved to that path; None where none did, or no job had brought it."""
    job_id: int | None = session.value("deed_moved_job", root_id=root_id, rel=rel)
    return job_id


def lot(session: Session, batch_id: int, state: DeedState, after: int = 0) -> list[Row]:
    """The next deeds in a state, with the paths of their roots."""
    return session.all("deeds_lot", batch_id=batch_id, state=state, after=after, limit=LOT)


def lot_back(session: Session, batch_id: int, before: int | None) -> list[Row]:
    """The next deeds to be taken back, the last one first."""
    return session.all("deeds_back", batch_id=batch_id, before=_LAST if before is None else before, limit=LOT)


def busy(session: Session, deed: Row) -> bool:
    """Whether work of ours on the file or on its keeper is still owed."""
    places = ((deed["root_id"], deed["rel"]), (deed["keeper_root_id"], deed["keeper_rel"]))
    return any(session.value("path_has_work", root_id=root_id, rel=rel) for root_id, rel in places)


def begin(session: Session, deed_id: int, aside: bytes, target_name: bytes | None, ino: int) -> None:
    session.run("deed_begin", id=deed_id, aside_name=aside, target_name=target_name, ino=to_int64(ino))


def skip(session: Session, deed: Row, detail: str, hint: str, now_ms: int) -> None:
    _end(session, deed, DeedState.SKIPPED, now_ms, detail=detail, hint=hint)


def drop_owed(session: Session, batch_id: int, detail: str, now_ms: int) -> None:
    session.run("deeds_drop_owed", batch_id=batch_id, detail=detail, now_ms=now_ms)


def _end(
    session: Session,
    deed: Row,
    state: DeedState,
    now_ms: int,
    *,
    detail: str = "",
    hint: str = "",
    ino: int | None = None,
    link_ino: int | None = None,
    purge_at_ms: int | None = None,
) -> None:
    session.run(
        "deed_end",
        id=deed["id"],
        state=state,
        detail=detail,
        hint=hint,
        ino=None if ino is None else to_int64(ino),
        link_ino=None if link_ino is None else to_int64(link_ino),
        now_ms=now_ms,
        purge_at_ms=purge_at_ms,
    )


def done(
    session: Session, deed: Row, ino: int, stands: Signature | None, *, purge_at_ms: int | None, now_ms: int
) -> None:
    """The file has left its name, or a link has it. ``ino`` is 0 where it is gone for good; ``stands``: what was made.

    The catalog knows where its bytes are now, and takes it neither for deleted by its user nor for a new file.
    """
    place = {"root_id": deed["root_id"], "rel": deed["rel"]}
    state = DeedState.PURGED if not ino else DeedState.DONE
    if deed["action"] == Action.LINK:
        link_ino = stands.ino if stands else 0
        _end(session, deed, state, now_ms, ino=ino, link_ino=link_ino, purge_at_ms=purge_at_ms)
        if stands is not None:
            _stand(session, deed, stands, now_ms)
            keeper = {"root_id": deed["keeper_root_id"], "rel": deed["keeper_rel"]}
            session.run("source_touch", **keeper, **signature_values(stands))
        session.run("regroup_put", image_id=deed["image_id"])
    else:
        _end(session, deed, state, now_ms, ino=ino, purge_at_ms=None if deed["action"] == Action.MOVE else purge_at_ms)
        session.run("version_leave", **place, sha256=deed["sha256"])
        session.run("holding_remove", **place, image_id=deed["image_id"])
        session.run("source_forget", **place)
        if stands is not None and deed["target_root_id"] is not None:
            _hold(session, deed, deed["target_root_id"], deed["target_name"], stands, now_ms)
    _leave_group(session, deed)


def _leave_group(session: Session, deed: Row) -> None:
    """So that nobody is asked again about what he has just decided, before the group is drawn anew."""
    session.run("member_leave", holding_id=deed["holding_id"])
    left = session.one("group_left", id=deed["group_id"])
    if left is not None and left["members"] < 2:
        session.run("group_remove", id=deed["group_id"])


def undone(session: Session, deed: Row, now: Signature, now_ms: int) -> None:
    """The file has its name again: known as before, under the number that its holding had."""
    _end(session, deed, DeedState.UNDONE, now_ms)
    image_id = _image(session, deed)
    if image_id is not None and deed["action"] == Action.MOVE:
        session.run("holding_remove", root_id=deed["target_root_id"], rel=deed["target_name"], image_id=image_id)
    _stand(session, deed, now, now_ms)
    if image_id is not None:
        session.run("regroup_put", image_id=image_id)


def refuse_back(session: Session, deed: Row, detail: str, hint: str) -> None:
    """It could not be taken back: it stays done, and why is told."""
    session.run(
        "deed_end",
        id=deed["id"],
        state=DeedState.DONE,
        detail=detail,
        hint=hint,
        ino=None,
        link_ino=None,
        now_ms=deed["done_at_ms"],
        purge_at_ms=deed["purge_at_ms"],
    )


def _image(session: Session, deed: Row) -> int | None:
    """What the catalog knows the deed's content by now: a person may have forgotten it since, and had it taken in anew."""
    image_id: int | None = session.value("image_by_sha256", sha256=deed["sha256"])
    return image_id


def _stand(session: Session, deed: Row, seen: Signature, now_ms: int) -> None:
    """The deed's path holds the image, as the file that was seen there.

    What was forgotten since stays so, as forgetting tells: a file that stood in an inbox is not taken in by itself, and
    one that was away is new when it comes back.
    """
    place = {"root_id": deed["root_id"], "rel": deed["rel"]}
    known = _image(session, deed) is not None
    if known:
        version = {"ino": to_int64(seen.ino), "mtime_ns": seen.mtime_ns}
        session.run("version_return", **place, sha256=deed["sha256"], **version)
        _hold(session, deed, deed["root_id"], deed["rel"], seen, now_ms)
        session.run("holding_rename", **place, id=deed["holding_id"])
    if deed["root_kind"] == "inbox" and (known or deed["action"] == Action.LINK):
        session.run(
            "source_put",
            **place,
            **signature_values(seen),
            verdict="job",
            reason=None,
            detail="",
            job_id=deed["job_id"],
            now_ms=now_ms,
        )


def _hold(session: Session, deed: Row, root_id: int, rel: bytes, seen: Signature, now_ms: int) -> None:
    """Nothing is held of what the catalog does not know any more."""
    image_id = _image(session, deed)
    if image_id is None:
        return
    values = {
        "image_id": image_id,
        "root_id": root_id,
        "rel": rel,
        "ino": to_int64(seen.ino),
        "size_bytes": seen.size_bytes,
        "mtime_ns": seen.mtime_ns,
        "job_id": deed["job_id"],
        "now_ms": now_ms,
    }
    if not session.run("holding_set", **values):
        session.run("holding_put", **values)


def take_back_judgements(session: Session, batch_id: int) -> int:
    """What the batch said about contents is not said any more; groups are drawn anew by that."""
    return session.run("judgements_take_back", batch_id=batch_id)


def to_purge(session: Session, now_ms: int) -> list[Row]:
    """What was kept long enough, of batches that nobody is undoing."""
    return session.all("deeds_to_purge", now_ms=now_ms, limit=LOT)


def purged(session: Session, deed: Row, now_ms: int) -> None:
    _end(session, deed, DeedState.PURGED, now_ms, detail=deed["detail"])


def purge_later(session: Session, deed_id: int, at_ms: int, detail: str) -> None:
    session.run("deed_purge_later", id=deed_id, purge_at_ms=at_ms, detail=detail)


def unsigned(value: int) -> int:
    """An inode as the file system tells it."""
    return from_int64(value)
