"""Libraries: have them catalogued, and see how far that is."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any, Final

from dropmill.control.describe import iso, joined
from dropmill.control.house import House, running
from dropmill.control.moving_to import to_allow
from dropmill.errors import Conflict, Forbidden, NotFound
from dropmill.files import library
from dropmill.maintenance.counting import Counts
from dropmill.maintenance.indexing import claims_of
from dropmill.model.file import shown
from dropmill.model.outcome import EXPLANATIONS, Reason, with_detail
from dropmill.settings import Settings
from dropmill.store import scans
from dropmill.store.connection import Row, Session

Json = dict[str, Any]

MOST_SCANS: Final = 100
MOST_FOLDERS: Final = 100
MOST_WORKERS: Final = 1024


async def index(house: House, folders: Sequence[str | bytes], workers: int | None, rehash: bool) -> Json:
    """``{id}``. Raises ``Forbidden`` for a folder outside ``library_roots``, ``NotFound`` for one that is none."""
    live = running(house)
    check(len(folders), workers, rehash)
    wanted = [os.fsencode(folder) for folder in folders]
    for folder in wanted:
        await _allowed(house, folder)
    return {"id": await live.indexer.begin(wanted, workers or 0, rehash)}


def check(folders: int, workers: int | None, rehash: bool) -> None:
    """Raises ``Conflict`` for a wish that makes no sense."""
    if not folders and not rehash:
        raise Conflict("no folder is named", hint="name the folders to catalogue")
    if folders > MOST_FOLDERS:
        raise Conflict(f"more than {MOST_FOLDERS} folders", hint="name a folder that holds them, or ask several times")
    if workers is not None and not 0 <= workers <= MOST_WORKERS:
        raise Conflict(f"{workers} workers cannot be", hint=f"0 to {MOST_WORKERS}; 0 means as many as are configured")


async def _allowed(house: House, folder: bytes) -> None:
    if b"\0" in folder or not folder.startswith(b"/"):
        raise NotFound(f"{shown(folder)} is no absolute path", hint="give the whole path, from /")
    roots = [os.fsencode(root) for root in house.settings.library_roots]
    plain = os.path.normpath(folder)
    # Nothing is looked at that nobody allowed to be looked at.
    if not any(library.within(plain, root) for root in roots):
        ours = _ours(house.settings, plain)
        hint = f"name another folder: it is {ours}" if ours else to_allow(house.settings, folder)
        raise Forbidden(f"{shown(folder)} is outside library_roots", hint=hint, reason="outside-library-roots")
    try:
        real, allowed = await house.blocking("*", _resolved, folder, roots)
    except OSError as error:
        raise NotFound(f"{shown(folder)}: {error.strerror}", hint="name a folder that the daemon may read") from error
    if not allowed:
        hint = f"it leads to {shown(real)}; name that one, and allow it"
        raise Forbidden(f"{shown(folder)} is outside library_roots", hint=hint, reason="outside-library-roots")


def _ours(settings: Settings, folder: bytes) -> str:
    """Why no scan would catalogue a folder even if it were allowed, as a clause, by its name alone; or nothing."""
    around = [claim for claim in claims_of(settings, ()) if library.within(folder, claim.path)]
    return max(around, key=lambda claim: len(claim.path)).why if around else ""


def _resolved(folder: bytes, roots: Sequence[bytes]) -> tuple[bytes, bool]:
    """Blocking. Where a folder is, and whether that is below one of the roots. Raises OSError where it is none."""
    real = library.real_folder(folder)
    return real, library.within_any(real, roots)


async def all_scans(house: House) -> list[Json]:
    """Newest first."""
    rows = await house.catalog.read(lambda session: scans.page(session, MOST_SCANS))
    return [told(house, row) for row in rows]


async def one(house: House, scan_id: int) -> Json:
    """Raises ``NotFound``."""
    return told(house, await _row(house, scan_id))


async def cancel(house: House, scan_id: int) -> Json:
    """Raises ``NotFound``, and ``Conflict`` for one that has ended."""
    row = await _row(house, scan_id)
    if house.live is not None:
        ended = await house.live.indexer.cancel(scan_id)
    else:  # Of a daemon that does not run: the next one would go on with it.
        now_ms = house.clock.now_ms()
        ended = await house.catalog.write(lambda session: scans.end(session, scan_id, "cancelled", "", now_ms))
    if not ended:
        row = await _row(house, scan_id)
        raise Conflict(f"scan {scan_id} has ended: {row['state']}", hint="there is nothing to cancel")
    return await one(house, scan_id)


async def _row(house: House, scan_id: int) -> Row:
    row = await house.catalog.read(lambda session: scans.get(session, scan_id) if 0 < scan_id < 1 << 63 else None)
    if row is None:
        raise NotFound(f"there is no scan {scan_id}", hint="dropmill index --list lists them")
    return row


async def under_way(house: House) -> list[Json]:
    """Scans that are carried out, or wait for others."""
    return [told(house, row) for row in await house.catalog.read(scans.under_way)]


async def refused(house: House, cursor: str | None, limit: int) -> Json:
    """As ``Desk.refused``."""
    after = _after(cursor)

    def read(session: Session) -> tuple[list[Row], int]:
        return scans.refused(session, after, limit), scans.count_refused(session)

    rows, total = await house.catalog.read(read)
    last = rows[-1] if len(rows) == limit else None
    return {
        "files": [_refused(row) for row in rows],
        "next": None if last is None else f"{last['root_id']}.{last['rel'].hex()}",
        "total": total,
    }


def _after(cursor: str | None) -> tuple[int, bytes]:
    if cursor is None:
        return 0, b""
    root_id, _, rel = cursor.partition(".")
    try:
        after = int(root_id), bytes.fromhex(rel)
    except ValueError:
        after = -1, b""
    if not 0 <= after[0] < 1 << 63:
        raise NotFound(f"{cursor!r} is no cursor of refused files", hint="it is what next says on the page before")
    return after


def _refused(row: Row) -> Json:
    known = row["reason"] in set(Reason)  # A later version may have left others.
    why = EXPLANATIONS[Reason(row["reason"])] if known else None
    return {
        "path": joined(row["root_path"], row["rel"]),
        "size_bytes": row["size_bytes"],
        "reason": row["reason"],
        "detail": with_detail(row["reason"], why.cause if why else "", shown(row["detail"])),
        "remedy": why.remedy if why else "",
        "seen_at": iso(row["seen_at_ms"]),
    }


def told(house: House, row: Row) -> Json:
    counts = house.live.indexer.counts(row["id"]) if house.live is not None else None
    return describe(row, counts)


def describe(row: Row, counts: Counts | None) -> Json:
    """A scan as people and programs are shown it; ``counts``: of one that is under way."""
    columns = row if counts is None else row | counts.columns()
    more = json.loads(row["told"]) if counts is None else counts.told()
    running_now = row["state"] == "running"
    detail = row["detail"]
    if running_now and counts is None:
        detail = "it waits for an earlier scan, or for the daemon" if row["by"] == "daemon" else "a command works at it"
    elif counts is not None and counts.silent:
        detail = f"{counts.silent} does not answer; check its disk or mount"
    return {
        "id": row["id"],
        "folders": [shown(folder) for folder in scans.folders_of(row)],
        "rehash": bool(row["rehash"]),
        "workers": row["workers"],
        "state": row["state"],
        **{name: columns[name] for name in _NUMBERS},
        "files_per_second": _speed(row, counts),
        "eta_seconds": counts.eta_seconds() if running_now and counts is not None else None,
        "reasons": more.get("reasons", {}),
        "refused_files": more.get("examples", []),
        "notes": more.get("notes", []),
        "started_at": iso(row["started_at_ms"]),
        "ended_at": iso(row["ended_at_ms"]),
        "detail": detail,
    }


_NUMBERS: Final = (
    "files",
    "total_files",
    "unchanged",
    "indexed",
    "ignored",
    "refused",
    "vanished",
    "read_bytes",
    "total_bytes",
)


def _speed(row: Row, counts: Counts | None) -> float | None:
    if counts is not None:
        return round(counts.files_per_second(), 1)
    if row["ended_at_ms"] is None or row["ended_at_ms"] <= row["started_at_ms"]:
        return None
    seconds: float = (row["ended_at_ms"] - row["started_at_ms"]) / 1000
    return round(int(row["files"]) / seconds, 1)
