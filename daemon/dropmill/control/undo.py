"""Batches: what was done, to which files, and taking it back."""

from __future__ import annotations

from typing import Any, Final

from dropmill.control.describe import iso
from dropmill.control.house import House
from dropmill.errors import Conflict, NotFound, Unavailable
from dropmill.files.trash import Place
from dropmill.maintenance.batches import Batches, Wish
from dropmill.maintenance.group import Grouper
from dropmill.model.batch import BatchState, DeedState
from dropmill.model.file import shown
from dropmill.store import batches
from dropmill.store.connection import Row

Json = dict[str, Any]

MOST: Final = 200
ITEMS: Final = 1000
"""Files that are told of one batch."""
PATIENCE_SECONDS: Final = 20.0
LATER: Final = 20
"""Deeds at one place that are looked through for the one that took a file on."""


async def undo(house: House, batch_id: int) -> Json:
    """As ``Desk.undo``."""
    row = await _row(house, batch_id)
    told = await one(house, batch_id)
    if row["state"] == BatchState.PLANNING:
        raise Conflict(f"batch {batch_id} is being prepared", hint="undo it in a moment", retryable=True)
    if row["state"] == BatchState.UNDONE:
        raise Conflict(f"batch {batch_id} was taken back already", hint="there is nothing left to be undone")
    if row["state"] == BatchState.DONE and not told["undoable"]:
        gone = row["permanent"] or told["done"]
        raise Conflict(
            f"nothing of batch {batch_id} can be taken back: "
            + ("its files are gone for good" if gone else "all was left as it was"),
            hint="restore them from a backup" if gone else "there is nothing left to be undone",
            reason="gone-for-good" if gone else "conflict",
        )
    wanted = (BatchState.DOING, BatchState.DONE)
    await house.catalog.write(lambda session: batches.turn(session, batch_id, BatchState.UNDOING, wanted, None))
    await settle(house, batch_id, PATIENCE_SECONDS)
    told = await one(house, batch_id)
    refused = []
    if told["state"] == BatchState.DONE:
        for deed in await _deeds(house, batch_id):
            if deed["state"] in {DeedState.DONE, DeedState.PURGED}:
                item = _item(deed) | await _moved_on(house, deed)
                refused.append({name: item[name] for name in ("member", "path", "detail", "hint")})
    return {**told, "refused": refused}


async def _moved_on(house: House, deed: Row) -> Json:
    """What is told instead of a refusal where a later batch took the file from the place where this one had put it."""
    kept = _kept(deed)
    if kept is None:
        return {}
    rows = await house.catalog.read(lambda session: batches.deeds_at(session, kept.path, None, LATER))
    for row in rows:
        later = row["batch_id"]
        if (
            later > deed["batch_id"]
            and row["state"] == DeedState.DONE
            and (row["root_path"], row["rel"]) == (kept.root, kept.rel)
        ):
            return {
                "detail": f"batch {later} has dealt with it since",
                "hint": f"take that back first: dropmill undo {later}",
            }
    return {}


async def _deeds(house: House, batch_id: int) -> list[Row]:
    return await house.catalog.read(lambda session: batches.deeds_told(session, batch_id, ITEMS))


async def page(house: House, limit: int, before: int | None) -> list[Json]:
    """Newest first."""
    rows = await house.catalog.read(lambda session: batches.page(session, max(1, min(limit, MOST)), before))
    return [await _told(house, row) for row in rows]


async def one(house: House, batch_id: int) -> Json:
    """With its files. Raises ``NotFound``."""
    row = await _row(house, batch_id)
    return {**await _told(house, row), "items": [_item(deed) for deed in await _deeds(house, batch_id)]}


async def _row(house: House, batch_id: int) -> Row:
    row = None
    if 0 < batch_id < 1 << 63:
        row = await house.catalog.read(lambda session: batches.batch(session, batch_id))
    if row is None:
        raise NotFound(f"there is no batch {batch_id}", hint="dropmill batches lists them")
    return row


async def _told(house: House, row: Row) -> Json:
    counted = await house.catalog.read(lambda session: batches.count(session, row["id"]))
    names = ("done", "skipped", "undone", "bytes")
    files = sum(counted[name] for name in ("owed", "begun", "done", "skipped", "undone"))
    judged = row["action"] in {"keep", "dismiss"}
    return {
        "id": row["id"],
        "action": row["action"],
        "state": "doing" if row["state"] == BatchState.PLANNING else row["state"],
        "permanent": bool(row["permanent"]),
        "groups": row["groups"],
        "files": files,
        **{name: counted[name] for name in names},
        "undoable": row["state"] in {BatchState.DOING, BatchState.DONE} and (judged or counted["kept"] > 0),
        "created_at": iso(row["created_at_ms"]),
        "ended_at": iso(row["ended_at_ms"]),
        "detail": row["detail"] or (house.live.batches.trouble(row["id"]) if house.live is not None else ""),
    }


def _item(deed: Row) -> Json:
    file, kept = Place(deed["root_path"], deed["rel"]), _kept(deed)
    return {
        "member": deed["holding_id"],
        "group": deed["group_id"],
        "path": shown(file.path),
        "kept_at": None if kept is None else shown(kept.path),
        "size_bytes": deed["size_bytes"],
        "state": deed["state"],
        "detail": deed["detail"],
        "hint": deed["hint"],
        "purged_at": iso(deed["purge_at_ms"]) if deed["state"] == DeedState.DONE else None,
    }


def _kept(deed: Row) -> Place | None:
    """Where the batch has put the file; None where it has put it nowhere."""
    if deed["state"] != DeedState.DONE:
        return None
    if deed["target_root_path"] is not None:
        return Place(deed["target_root_path"], deed["target_name"])
    return Place(deed["root_path"], deed["aside_name"])


async def begin(house: House, wish: Wish) -> int:
    """Open, write down and carry out a batch over many groups: in the background, or here where no daemon runs. Its id."""
    if house.live is not None:
        return await house.live.batches.wish(wish)
    alone = _alone(house)
    try:
        batch_id = await alone.wish(wish)
        await _carry_out(house, alone, batch_id)
    finally:
        alone.close()
    return batch_id


async def settle(house: House, batch_id: int, seconds: float) -> None:
    """Have what is under way carried out, and return once this batch has ended or that time has passed."""
    if house.live is not None:
        await house.live.batches.settled(batch_id, seconds)
        return
    alone = _alone(house)
    try:
        await _carry_out(house, alone, batch_id)
    finally:
        alone.close()


async def _carry_out(house: House, alone: Batches, batch_id: int) -> None:
    """Raises ``Unavailable`` where the batch is held up: nobody would go on with it while somebody waits."""
    await alone.carry_out()
    rules = house.settings.dedupe.thresholds, house.settings.keeper.rules
    await Grouper(house.catalog, rules, house.settings.tiers, house.clock).catch_up(PATIENCE_SECONDS)
    told = await _told(house, await _row(house, batch_id))
    if told["state"] in {BatchState.DOING, BatchState.UNDOING}:
        why = alone.trouble(batch_id) or "a file of it can neither be dealt with nor be put back now"
        raise Unavailable(
            f"batch {batch_id} is held up: {why}",
            hint="it is gone on with when dropmill runs, or decides or undoes again",
        )


def _alone(house: House) -> Batches:
    review, output = house.settings.review, house.settings.output
    return Batches(house.catalog, house.clock, house.emit, review.trash_days, output.dir_mode_bits, output.gid())
