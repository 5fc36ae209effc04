"""A consistent copy of the catalog while a daemon writes to it."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import Final

import apsw

from dropmill.errors import StateError
from dropmill.store.connection import connect
from dropmill.store.migrations import refuse_foreign

# Between two steps a person may interrupt. Writers wait for no step: the copy reads one snapshot.
STEP_PAGES: Final = 2000


def copy(path: str, target: str) -> int:
    """Copy the catalog as it is now into the empty file ``target``, check the copy, and return how many jobs it holds.

    The copy is one file without a log beside it, which tells it from a catalog in use. It is not synced yet. Raises
    :class:`StateError` where the catalog cannot be read or the copy is not whole, OSError where it cannot be written.
    """
    refuse_foreign(path)
    try:
        return _copy(path, target)
    except apsw.FullError as error:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), target) from error
    except apsw.Error as error:
        raise StateError(f"{path}: the catalog cannot be copied: {error}", hint="check both disks (dmesg)") from error


def _copy(path: str, target: str) -> int:
    with contextlib.closing(connect(path, readonly=True)) as source:
        # One read transaction around all steps: what is written meanwhile does not make the copy begin again.
        source.execute("BEGIN")
        source.execute("SELECT count(*) FROM sqlite_schema").fetchall()
        with contextlib.closing(apsw.Connection(target)) as made:
            made.pragma("journal_mode", "off")
            made.pragma("synchronous", "off")
            with made.backup("main", source, "main") as steps:
                while not steps.done:
                    steps.step(STEP_PAGES)
        source.execute("COMMIT")
    with contextlib.closing(apsw.Connection(target, flags=apsw.SQLITE_OPEN_READWRITE)) as made:
        made.pragma("journal_mode", "delete")
        found = made.execute("PRAGMA quick_check(1)").get
        if found != "ok":
            raise StateError(
                f"{path}: the copy is damaged: {found}", hint="the catalog may be damaged too: check the disk (dmesg)"
            )
        jobs: int = made.execute("SELECT count(*) FROM jobs").get
    return jobs
