"""Backing the catalog up into one file, whether or not a daemon runs."""

from __future__ import annotations

import os
from dataclasses import dataclass

from dropmill.errors import ConfigurationError, Conflict, NotFound
from dropmill.files.durable import fsync_directory, fsync_path
from dropmill.files.rename import rename_noreplace
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
    folder, name = os.path.split(target)
    _refuse_place(settings, path, target, folder, replace)
    partial = os.path.join(folder, b".%s.%d.part" % (name[:200], os.getpid()))
    try:
        os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE))
        try:
            jobs = store.copy(path, os.fsdecode(partial))
            fsync_path(partial)
            size_bytes = os.path.getsize(partial)
            _put(folder, partial, name, replace)
        except BaseException:
            _remove(partial)
            raise
        fsync_directory(folder)
    except FileExistsError:
        raise _exists(target) from None
    except OSError as error:
        raise ConfigurationError(
            f"{shown(target)}: the backup cannot be written: {error.strerror}",
            hint=f"name a folder that you may write, with {-(-file_bytes(path) >> 20)} MiB free",
        ) from error
    return Backup(shown(target), size_bytes, jobs, clock.monotonic() - started)


def _refuse_place(settings: Settings, path: str, target: bytes, folder: bytes, replace: bool) -> None:
    if not os.path.isdir(folder):
        raise ConfigurationError(f"{shown(folder)}: there is no such folder", hint="make it, or name another one")
    if os.path.isdir(target):
        raise ConfigurationError(f"{shown(target)} is a folder", hint="name a file in it")
    real = os.path.join(os.path.realpath(folder), os.path.basename(target))
    for inbox in settings.inboxes:
        for word, place in (("inbox", inbox.path), ("output", inbox.output)):
            if real.startswith(os.path.realpath(os.fsencode(place)) + b"/"):
                raise Conflict(
                    f"{shown(target)} is inside the {word} {place} of {inbox.name!r}", hint="name a folder elsewhere"
                )
    mine = os.path.realpath(os.fsencode(path))
    if real in {mine, mine + b"-wal", mine + b"-shm"}:
        raise Conflict(f"{shown(target)} is the catalog itself", hint="name another file")
    if os.path.lexists(target) and not replace:
        raise _exists(target)


def _exists(target: bytes) -> Conflict:
    return Conflict(f"{shown(target)} exists", hint="name another file, or add --force to replace it")


def _put(folder: bytes, partial: bytes, name: bytes, replace: bool) -> None:
    if replace:
        os.replace(partial, os.path.join(folder, name))
        return
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        rename_noreplace(fd, os.path.basename(partial), fd, name)
    finally:
        os.close(fd)


def _remove(partial: bytes) -> None:
    for name in (partial, partial + b"-journal", partial + b"-wal", partial + b"-shm"):
        try:
            os.unlink(name)
        except OSError:
            continue  # It was not made, or the disk takes nothing any more; its name says what it is.
