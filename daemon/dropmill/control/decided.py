"""What a person had done to a file, for the story of its life."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, Final

from dropmill.control.describe import iso
from dropmill.control.house import House
from dropmill.control.places import Place
from dropmill.files import trash
from dropmill.model.batch import DeedState
from dropmill.model.file import shown
from dropmill.store import batches
from dropmill.store.connection import Row, Session

Json = dict[str, Any]

MOST: Final = 20


async def entries(house: House, paths: Iterable[str]) -> list[Json]:
    """``{at, text}`` for each deed of a batch on the files of whole paths."""
    wanted = [os.fsencode(path) for path in paths if path.startswith("/")]

    def read(session: Session) -> dict[int, Row]:
        return {row["id"]: row for path in wanted for row in batches.deeds_at(session, path, MOST)}

    return [entry for row in (await house.catalog.read(read)).values() for entry in _entries(row)]


async def moved_here(house: House, place: Place) -> int | None:
    """The job that had brought a file before a batch moved it to that place."""
    root_id = place.root.id
    if root_id is None or place.root.kind not in {"move", "library", "archive", "duplicates"}:
        return None
    return await house.catalog.read(lambda session: batches.moved_job(session, root_id, place.rel))


def _entries(row: Row) -> list[Json]:
    began, ended = iso(row["created_at_ms"]), iso(row["done_at_ms"])
    batch, state = f"batch {row['batch_id']}", row["state"]
    if state == DeedState.SKIPPED:
        return [{"at": ended, "text": f"left as it was by {batch}: {row['detail']}"}]
    done: Json = {
        "at": began if state in {DeedState.UNDONE, DeedState.PURGED} else ended,
        "text": f"{_done(row)} ({batch})",
    }
    match state:
        case DeedState.DONE:
            done["text"] += f"; to take it back: dropmill undo {row['batch_id']}"
            return [done, *([{"at": ended, "text": row["detail"]}] if row["detail"] else [])]
        case DeedState.UNDONE:
            return [done, {"at": ended, "text": f"taken back ({batch})"}]
        case DeedState.PURGED if not row["permanent"]:
            return [done, {"at": ended, "text": "removed from the trash"}]
    return [done]


def _done(row: Row) -> str:
    keeper = "a duplicate that a person did not keep"
    if row["action"] == "link":
        return f"{keeper}: replaced by a hard link"
    if row["target_root_path"] is not None:
        target = trash.Place(row["target_root_path"], row["target_name"])
        return f"{keeper}: moved to {shown(target.path)}"
    if row["permanent"]:
        return f"{keeper}: deleted for good"
    kept = trash.Place(row["root_path"], row["aside_name"] or b"")
    return f"{keeper}: moved to the trash, {shown(kept.path)}"
