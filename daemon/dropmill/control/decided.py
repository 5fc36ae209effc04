"""What people had done to a file, for the story of its life."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final, Literal

from dropmill.control import places
from dropmill.control.describe import iso
from dropmill.control.house import House
from dropmill.control.places import Place
from dropmill.errors import Conflict
from dropmill.files import trash
from dropmill.model.batch import DeedState
from dropmill.model.file import shown
from dropmill.store import batches, scans
from dropmill.store.connection import Row, Session

Json = dict[str, Any]
Role = Literal["file", "target", "aside"]
"""What a path is to a deed: the file that it is about, where that was moved to, or where it is kept in the trash."""

MOST: Final = 20


async def deeds(house: House, paths: Iterable[str], asked: bytes = b"") -> list[Row]:
    """What batches did to the files of whole paths, and what they put there; of each path the latest first.

    ``paths`` as they are shown; ``asked``: the one that was asked for, as it is on disk.
    """
    wanted = [_spellings(path, asked) for path in paths if path.startswith("/")]

    def at(session: Session, path: bytes) -> list[Row]:
        return batches.deeds_at(session, path, _thrown_by(path), MOST)

    def read(session: Session) -> dict[int, Row]:
        each = (next((found for path in paths if (found := at(session, path))), []) for paths in wanted)
        return {row["id"]: row for found in each for row in found}

    return list((await house.catalog.read(read)).values())


def _spellings(path: str, asked: bytes) -> list[bytes]:
    """What a path that is shown may be on disk: a line break is shown as the two characters that also make a name."""
    plain = asked if shown(asked) == path else os.fsencode(path)
    return list(dict.fromkeys((plain, places.unshown(plain))))


async def lost(house: House, rows: Sequence[Row]) -> frozenset[int]:
    """Those of the deeds whose file is not in the trash any more, although the disk is there: somebody emptied it."""
    kept = [row for row in rows if row["state"] == DeedState.DONE and _in_trash(row)]
    roots = {row["root_id"] for row in kept}
    mounts = await house.catalog.read(lambda session: {root: scans.mounts(session, root) for root in roots})

    def look() -> frozenset[int]:
        return frozenset(
            row["id"]
            for row in kept
            if places.look(_aside(row).path).kind == "nothing"
            and not places.away(row["root_path"], row["aside_name"], mounts[row["root_id"]])
        )

    if not kept:
        return frozenset()
    try:
        return await house.blocking("*", look)
    except Conflict:
        return frozenset()  # The folders do not answer: nothing is known of what lies in them.


def _in_trash(row: Row) -> bool:
    return row["target_root_path"] is None and row["aside_name"] is not None and not row["permanent"]


def _thrown_by(path: bytes) -> int | None:
    """The batch that has thrown away what is at a path of a trash."""
    *_, folder, batch, _name = (b"", b"", *path.split(b"/"))
    return int(batch) if folder == trash.TRASH and batch.isdigit() and len(batch) < 19 else None


async def moved_here(house: House, place: Place) -> int | None:
    """The job that had brought a file before a batch moved it to that place."""
    root_id = place.root.id
    if root_id is None or place.root.kind not in {"move", "library", "archive", "duplicates"}:
        return None
    return await house.catalog.read(lambda session: batches.moved_job(session, root_id, place.rel))


def entries(rows: Sequence[Row], lost: Collection[int] = ()) -> list[Json]:
    """``{at, text}`` for each thing that was done, or taken back. ``lost``: as it tells."""
    return [entry for row in rows for entry in _entries(row, row["id"] in lost)]


def verdict(rows: Sequence[Row], path: str, there: str, lost: Collection[int] = ()) -> str:
    """What became of a path's file by the latest deed on it; empty where no deed says what the path is now.

    ``there``: what has the path now, as in ``now``; ``lost``: as it tells.
    """
    for row in rows:
        role = _role(row, path)
        if role is None or row["state"] == DeedState.SKIPPED:
            continue
        said = _verdict(row, role, row["id"] in lost)
        gone = role == "file" and row["action"] != "link"
        # What took a name since then is not what the deed was about.
        return said if (there == "nothing") == gone else ""
    return ""


def _role(row: Row, path: str) -> Role | None:
    if path == shown(_file(row).path):
        return "file"
    if row["target_root_path"] is not None:
        return "target" if path == shown(_target(row).path) else None
    return "aside" if row["aside_name"] is not None and path == shown(_aside(row).path) else None


def _verdict(row: Row, role: Role, lost: bool) -> str:
    batch, state, action = f"batch {row['batch_id']}", row["state"], row["action"]
    if role == "aside":
        return f"in the trash: it was {shown(_file(row).path)} ({batch})" if state == DeedState.DONE else ""
    if role == "target":
        return "moved here by a person" if state == DeedState.DONE else ""
    if state == DeedState.BEGUN:
        return f"being dealt with by {batch}"
    if state == DeedState.PURGED and action != "link":
        return f"deleted for good by {batch}" if row["permanent"] else f"deleted: the trash was emptied of it ({batch})"
    if action == "link" and state in {DeedState.DONE, DeedState.PURGED}:
        return f"replaced by a hard link to {shown(_keeper(row).path)} ({batch})"
    if state != DeedState.DONE:
        return ""
    if lost:
        return f"deleted: somebody took it out of the trash ({batch})"
    return f"moved to {shown(_target(row).path)} ({batch})" if action == "move" else f"in the trash ({batch})"


def _entries(row: Row, lost: bool) -> list[Json]:
    began, ended = iso(row["created_at_ms"]), iso(row["done_at_ms"])
    batch, state = f"batch {row['batch_id']}", row["state"]
    if state == DeedState.SKIPPED:
        return [{"at": ended, "text": f"left as it was by {batch}: {row['detail']}"}]
    earlier = state == DeedState.UNDONE or (state == DeedState.PURGED and not row["permanent"])
    text = f"a copy of {shown(_keeper(row).path)}, which was kept: {_done(row)} ({batch})"
    done: Json = {"at": began if earlier else ended, "text": text}
    match state:
        case DeedState.DONE if lost:
            gone = "it is not in the trash any more: somebody took it out of there, so it cannot be taken back"
            return [done, {"at": None, "text": gone}]
        case DeedState.DONE:
            done["text"] += f"; to take it back: dropmill undo {row['batch_id']}{_until(row)}"
            return [done, *([{"at": ended, "text": row["detail"]}] if row["detail"] else [])]
        case DeedState.UNDONE:
            return [done, {"at": ended, "text": f"taken back ({batch})"}]
        case DeedState.PURGED if not row["permanent"]:
            return [done, {"at": ended, "text": "removed from the trash; it cannot be taken back any more"}]
        case DeedState.PURGED:
            done["text"] += "; it cannot be taken back"
    return [done]


def _until(row: Row) -> str:
    """How long a deed can be taken back; nothing of a move, of which nothing is ever purged."""
    if row["action"] == "move":
        return ""
    when = iso(row["purge_at_ms"])
    return (
        ", for as long as the trash is kept" if when is None else f", until the trash is emptied of it on {when[:10]}"
    )


def _done(row: Row) -> str:
    if row["action"] == "link":
        return "replaced by a hard link to that"
    if row["target_root_path"] is not None:
        return f"moved to {shown(_target(row).path)}"
    if row["permanent"]:
        return "deleted for good"
    return f"moved to the trash, {shown(_aside(row).path)}"


def _file(row: Row) -> trash.Place:
    return trash.Place(row["root_path"], row["rel"])


def _keeper(row: Row) -> trash.Place:
    return trash.Place(row["keeper_root_path"], row["keeper_rel"])


def _target(row: Row) -> trash.Place:
    return trash.Place(row["target_root_path"], row["target_name"])


def _aside(row: Row) -> trash.Place:
    return trash.Place(row["root_path"], row["aside_name"] or b"")
