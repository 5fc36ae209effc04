"""Is the catalog whole? Looked at through a reader before anything opens it for writing, so that a damaged one stays as it is (Q11)."""

from __future__ import annotations

import contextlib
import os
from glob import escape, glob
from typing import Final

import apsw

from dropmill.errors import StateError
from dropmill.store.connection import DAMAGED, connect
from dropmill.store.wal import committed_frames_are_lost

# Checking takes about 2 s a GB from memory, or as long as the disk takes to read it. So small a catalog is always
# checked; a larger one only after a run that did not end by itself.
ALWAYS_CHECKED_BYTES: Final = 64 << 20
# What a run leaves in the state directory and no stop removes.
_LEFT_BY_A_RUN: Final = "flight"
_JOURNAL_MODE_AT: Final = 18  # Offset in the header: 1 for a rollback journal, 2 for WAL (sqlite.org/fileformat2.html).


def refuse_missing(path: str) -> None:
    """Raise :class:`StateError` where a catalog has been and is no more: beginning anew would forget all it knew."""
    if os.path.exists(path) and os.path.getsize(path):
        return
    folder = os.path.dirname(path)
    wal = f"{path}-wal"
    left = sorted(glob(f"{escape(path)}.v*.bak"))
    if os.path.exists(wal) and os.path.getsize(wal):
        left.insert(0, wal)
    if os.path.exists(os.path.join(folder, _LEFT_BY_A_RUN)):
        left.append(os.path.join(folder, _LEFT_BY_A_RUN))
    if left:
        what = "is empty" if os.path.exists(path) else "is missing"
        raise StateError(
            f"{path}: the catalog {what}, though a daemon has worked here: {left[0]} is still there",
            hint="restore a backup (docs/operations.md); to begin anew and forget everything, move all of "
            f"{folder or '.'} away",
        )


def refuse_foreign_wal(path: str) -> None:
    """Raise :class:`StateError` where a restored catalog lies beside the log of its predecessor.

    A backup is marked as having no log, and a catalog in use as having one; SQLite would write the old log into it.
    """
    wal = f"{path}-wal"
    if not os.path.exists(path) or not os.path.exists(wal) or not os.path.getsize(wal):
        return
    try:
        with open(path, "rb") as file:
            header = file.read(_JOURNAL_MODE_AT + 1)
    except OSError:
        return  # Opening it as a catalog tells why, and what helps.
    if len(header) > _JOURNAL_MODE_AT and header[_JOURNAL_MODE_AT] == 1:
        raise StateError(
            f"{path}: a restored catalog lies beside {wal}, which belongs to another one",
            hint=f"remove {wal} and {path}-shm; what it restored needs neither",
        )


def check(path: str) -> None:
    """Raise :class:`StateError` where the catalog, or the log beside it, is damaged. Nothing is written.

    What only ``PRAGMA integrity_check`` finds, an index that disagrees with its table, is not looked for.
    """
    if not os.path.exists(path) or not os.path.getsize(path):
        return
    with contextlib.closing(connect(path, readonly=True)) as connection:
        try:
            clean = _ended_well(connection)
            if clean and os.path.getsize(path) > ALWAYS_CHECKED_BYTES:
                return
            found = connection.execute("PRAGMA quick_check(1)").get
            lost = not clean and committed_frames_are_lost(path)
        except apsw.Error as error:
            raise damaged(path, str(error)) from error
    if found != "ok":
        raise damaged(path, " ".join(str(found).split()))
    if lost:
        raise StateError(
            f"{path}-wal: the catalog's log is damaged in the middle: committed jobs after that point would be lost",
            hint="restore a backup (docs/operations.md); or move catalog.db-wal and catalog.db-shm away and go on with "
            "what was in the catalog before: the next scan finds files again that are still in their inboxes",
        )


def damaged(path: str, detail: str) -> StateError:
    return StateError(f"{path}: the catalog is damaged: {detail}", hint=DAMAGED)


def _ended_well(connection: apsw.Connection) -> bool:
    if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'boots'").get:
        return True  # Not made yet.
    # In the order in which they were written: a clock that was wrong once says nothing about which one was the last.
    last = connection.execute("SELECT ended_at_ms IS NOT NULL FROM boots ORDER BY rowid DESC LIMIT 1")
    return bool(next(iter(last), (True,))[0])
