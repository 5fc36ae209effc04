"""The catalog as a whole: opened once per daemon, written by one thread, read by another."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final, TypeVar

import apsw

from dropmill.errors import Conflict, StateError
from dropmill.files.lane import Lane
from dropmill.store import integrity
from dropmill.store.connection import BUSY_TIMEOUT_MS, Reader, Session, Writer, close_quietly, connect, snapshot
from dropmill.store.migrations import empty, migrate, refuse_foreign, refuse_older

T = TypeVar("T")

CATALOG_NAME = "catalog.db"
# From here on people are told that the log beside the catalog grows; in ordinary times it has about 4 MB.
WAL_ALARM_BYTES: Final = 64 << 20


class Catalog:
    """``write`` returns after COMMIT; ``read`` sees a consistent snapshot and never waits for a writer.

    ``patient`` writes may wait for others (``Writer.write``).
    """

    def __init__(self, path: str) -> None:
        """Raises :class:`StateError` with the remedy where the file cannot be used; it is then as it was (Q11)."""
        self.path = path
        examine(path)
        connection = connect(path)
        try:
            self.schema_version = migrate(connection, path)
        except BaseException:
            connection.close()
            raise
        self._writer = Writer(connection)
        self._reader = Reader(path)

    async def write(self, action: Callable[[Session], T], *, patient: bool = False) -> T:
        return await self._writer.write(action, patient=patient)

    async def read(self, action: Callable[[Session], T]) -> T:
        return await self._reader.read(action)

    async def pulse(self) -> str:
        """Return once writer and reader have answered, and what keeps them from their work if it is no disk.

        A disk that is full or fails is an answer, and told of elsewhere; a lock that others hold is none.
        """
        try:
            await self._writer.write(lambda _session: None)
            await self._reader.read(lambda _session: None)
        except StateError as error:
            return str(error) if error.reason == "catalog-locked" else ""
        return ""

    def wal_bytes(self) -> int:
        """The size of the log beside the catalog, which grows while a reader keeps it from being written back."""
        return file_bytes(f"{self.path}-wal")

    async def write_back(self) -> None:
        """Bring the log into the catalog and cut it, as far as nobody reads what it holds; waits for nobody (Q10)."""
        await self._writer.write_alone(_write_back)

    def close(self) -> None:
        self._reader.close()
        self._writer.close()


def _write_back(session: Session) -> None:
    session.connection.set_busy_timeout(0)
    try:
        session.connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    except apsw.BusyError:
        return  # A reader is in the way; what could be written back has been.
    finally:
        session.connection.set_busy_timeout(BUSY_TIMEOUT_MS)


class ReadOnlyCatalog:
    """The catalog of a daemon that does not run, or runs as another user: nothing is written, not even a lock."""

    def __init__(self, path: str) -> None:
        """Where there is no file yet, an empty catalog is shown. Raises :class:`StateError` as ``connect``, and where
        the file was written by another version, or is missing or exchanged as ``examine`` says."""
        self.path = path
        integrity.refuse_missing(path)
        integrity.refuse_foreign_wal(path)
        self._lane = Lane("catalog-reader")
        if file_bytes(path):
            refuse_foreign(path)
            connection = connect(path, readonly=True)
            refuse_older(connection, path)
        else:
            connection = empty()
        self._session = Session(connection)

    async def read(self, action: Callable[[Session], T]) -> T:
        return await self._lane.call(snapshot, self._session, action)

    def look(self, action: Callable[[Session], T]) -> T:
        """Blocking, for callers without an event loop."""
        return snapshot(self._session, action)

    async def write(self, action: Callable[[Session], T], *, patient: bool = False) -> T:
        raise Conflict("the catalog was opened for reading only", hint="this is a defect: please report it")

    def close(self) -> None:
        self._lane.close()
        close_quietly(self._session.connection)


def examine(path: str) -> None:
    """Raise :class:`StateError` where a daemon refuses to start on the catalog; nothing is written (Q11)."""
    integrity.refuse_missing(path)
    integrity.refuse_foreign_wal(path)
    refuse_foreign(path)
    integrity.check(path)


def catalog_path(state_dir: str) -> str:
    return os.path.join(state_dir, CATALOG_NAME)


def file_bytes(path: str) -> int:
    """The size of the catalog or of the log beside it; 0 where it is not there, of which writing tells."""
    try:
        return os.path.getsize(path)
    except OSError:
        return 0
