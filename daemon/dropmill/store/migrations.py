"""Numbered migrations: each lifts the catalog by one version, in a transaction, after a copy was saved."""

from __future__ import annotations

import contextlib
import os
from importlib.resources import files
from typing import Final

import apsw

from dropmill.errors import StateError
from dropmill.files.durable import fsync_directory, fsync_path
from dropmill.store.connection import connect

# "dmil" in ASCII; tells our catalog from any other SQLite file.
APPLICATION_ID: Final = 0x646D696C


def migrations() -> list[tuple[int, str]]:
    """All migrations as (version they lead to, SQL), in order."""
    folder = files("dropmill.store") / "sql" / "migrations"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [(int(name.split("_", 1)[0]), (folder / name).read_text("utf-8")) for name in names]


def refuse_foreign(path: str) -> None:
    """Raise :class:`StateError` for a file that is no catalog of ours or that a newer dropmill wrote; nothing is changed.

    To be called before the file is opened for writing (Q11).
    """
    if not os.path.exists(path) or os.path.getsize(path) == 0:
        return
    newest = migrations()[-1][0]
    with contextlib.closing(connect(path, readonly=True)) as connection:
        have = int(connection.pragma("user_version"))
        identity = int(connection.pragma("application_id"))
        tables = connection.execute("SELECT count(*) FROM sqlite_schema").get
    if identity != APPLICATION_ID and (tables or have):
        raise StateError(
            f"{path}: an SQLite file of another program", hint="point state_dir at a folder of dropmill's own"
        )
    if have > newest:
        saved = f"{path}.v{newest}.bak"
        other = f"{saved}, which was saved before that upgrade" if os.path.exists(saved) else "a backup of that time"
        raise StateError(
            f"{path}: written by a newer dropmill (schema {have}, this one knows {newest})",
            hint=f"upgrade dropmill, or restore {other}",
        )


def migrate(connection: apsw.Connection, path: str) -> int:
    """Bring the catalog to our version, after saving a copy of the old one, and return the version.

    All steps are one transaction: a start that is cut off leaves the old catalog as it was. Raises
    :class:`StateError` where copy or migration cannot be written, with nothing changed.
    """
    wanted = migrations()
    have = int(connection.pragma("user_version"))
    try:
        if have and have < wanted[-1][0]:
            _save_copy(connection, f"{path}.v{have}.bak")
        with connection:
            for version, text in wanted:
                if version > have:
                    connection.execute(text)
                    connection.pragma("application_id", APPLICATION_ID)
                    connection.pragma("user_version", version)
    except (apsw.Error, OSError) as error:
        raise StateError(
            f"{path}: the catalog cannot be brought from schema {have} to {wanted[-1][0]}: {error}",
            hint="nothing was changed; an upgrade needs free space for a second copy beside the catalog, and as much "
            "again while it works",
        ) from error
    return wanted[-1][0]


def refuse_older(connection: apsw.Connection, path: str) -> None:
    """Raise :class:`StateError` where the catalog still has to be migrated, which a reader cannot do."""
    have, newest = int(connection.pragma("user_version")), migrations()[-1][0]
    if have < newest:
        raise StateError(
            f"{path}: written by an older dropmill (schema {have}, this one reads {newest})",
            hint="start the daemon once: dropmill run",
        )


def empty() -> apsw.Connection:
    """A catalog in memory that knows nothing."""
    connection = apsw.Connection(":memory:")
    migrate(connection, ":memory:")
    return connection


def _save_copy(connection: apsw.Connection, target: str) -> None:
    """A consistent copy made by SQLite itself, on disk before the migration begins."""
    partial = f"{target}.part"
    _remove(partial)
    try:
        connection.execute("VACUUM INTO ?", (partial,))
        fsync_path(os.fsencode(partial))
        os.replace(partial, target)
    except BaseException:
        _remove(partial)
        raise
    fsync_directory(os.path.dirname(os.fsencode(target)) or b".")


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
