"""Backing the catalog up into one file, whether or not a daemon runs."""

from __future__ import annotations

import os
from dataclasses import dataclass

from dropmill.control.whole import refuse_place, whole
from dropmill.errors import ConfigurationError, NotFound
from dropmill.model.file import shown
from dropmill.ports import Clock
from dropmill.settings import Settings
from dropmill.store import backup as store
from dropmill.store import integrity
from dropmill.store.catalog import catalog_path, file_bytes

_MODE = 0o600


@dataclass(frozen=True, slots=True)
class Backup:
    file: str
    size_bytes: int
    jobs: int
    seconds: float


def backup(settings: Settings, target: bytes, clock: Clock, *, replace: bool) -> Backup:
    """Blocking. Copy the catalog into ``target`` (absolute): whole, checked, synced, and only then under that name.

    Raises ``NotFound`` where there is no catalog, ``Conflict`` where the file exists and may not be replaced or is
    in a place where it may not be, ``ConfigurationError`` where it cannot be written, ``StateError``.
    """
    started = clock.monotonic()
    path = catalog_path(settings.state_dir)
    integrity.refuse_missing(path)
    integrity.refuse_foreign_wal(path)
    if not file_bytes(path):
        raise NotFound(f"{path}: there is no catalog yet", hint="the daemon makes it when it is started first")
    refuse_place(settings, target, replace=replace, outputs_too=True)
    try:
        with whole(target, replace=replace, mode=_MODE) as partial:
            jobs = store.copy(path, os.fsdecode(partial))
            size_bytes = os.path.getsize(partial)
    except OSError as error:
        raise ConfigurationError(
            f"{shown(target)}: the backup cannot be written: {error.strerror}",
            hint=f"name a folder that you may write, with {-(-file_bytes(path) >> 20)} MiB free",
        ) from error
    return Backup(shown(target), size_bytes, jobs, clock.monotonic() - started)
