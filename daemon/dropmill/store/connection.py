"""The catalog's connections: one writer thread that commits in groups, and readers that never block it."""

from __future__ import annotations

import asyncio
import ctypes
import os
import queue
import shutil
import tempfile
import threading
from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Final, TypeVar

import anyio
import apsw

from dropmill.errors import StateError
from dropmill.files.lane import Lane, deliver, deliver_all

T = TypeVar("T")
Row = dict[str, Any]

BUSY_TIMEOUT_MS: Final = 10_000
# More writes than this share no transaction, so that the first of them is not kept waiting for the last.
GROUP_SIZE: Final = 256
# Writes that nobody waits for wait for one another this long, or until so many do: a transaction of its own costs each
# forty pages of the log and a sync, of which those of several are largely the same.
LOT_SECONDS: Final = 0.05
LOT_SIZE: Final = 32
# The WAL is cut back to this size after a checkpoint (Q10).
JOURNAL_SIZE_LIMIT_BYTES: Final = 64 << 20
DAMAGED: Final = (
    "restore a backup (docs/operations.md); without one, `sqlite3 catalog.db .recover` saves what can be read. "
    "The file is left as it is"
)


@cache
def sql(name: str) -> str:
    """The text of ``sql/<name>.sql``: one statement, one file."""
    return (files("dropmill.store") / "sql" / f"{name}.sql").read_text("utf-8")


def sqlite_version() -> str:
    return apsw.sqlite_lib_version()


class Session:
    """Statements by name on one connection. Rows come as dictionaries keyed by column."""

    def __init__(self, connection: apsw.Connection) -> None:
        self.connection = connection
        self._columns: dict[str, tuple[str, ...]] = {}

    def run(self, name: str, /, **values: Any) -> int:
        """Run a statement and return the number of rows it changed."""
        self.connection.execute(sql(name), values)
        return self.connection.changes()

    def all(self, name: str, /, **values: Any) -> list[Row]:
        cursor = self.connection.execute(sql(name), values)
        columns = self._columns.get(name)
        if columns is None:
            try:
                columns = self._columns[name] = tuple(column[0] for column in cursor.get_description())
            except apsw.ExecutionCompleteError:
                return []  # No rows, and the statement has already been finished.
        return [dict(zip(columns, values_, strict=True)) for values_ in cursor]

    def one(self, name: str, /, **values: Any) -> Row | None:
        rows = self.all(name, **values)
        return rows[0] if rows else None

    def value(self, name: str, /, **values: Any) -> Any:
        """The first column of the first row, or None."""
        rows = self.connection.execute(sql(name), values).fetchall()
        return rows[0][0] if rows else None


def connect(path: str, *, readonly: bool = False) -> apsw.Connection:
    """Open the catalog with our pragmas. Raises :class:`StateError` with the remedy when it cannot be used (Q11).

    On a disk that takes no writes a reader gets a private copy: SQLite keeps the index of the log in a file beside it.
    """
    try:
        return _connect(path, readonly=readonly)
    except (apsw.CantOpenError, apsw.ReadOnlyError) as error:
        if readonly and os.path.exists(path) and os.statvfs(path).f_flag & os.ST_RDONLY:
            return _connect_to_copy(path)
        raise _refusal(path, error) from error
    except apsw.Error as error:
        raise _refusal(path, error) from error


def _refusal(path: str, error: apsw.Error) -> StateError:
    return StateError(f"{path}: the catalog cannot be opened: {error}", hint=_remedy(error, path))


def _connect_to_copy(path: str) -> apsw.Connection:
    """The copy has no name any more once it is open, so it goes with the connection."""
    try:
        with tempfile.TemporaryDirectory(prefix="dropmill-") as folder:
            copy = os.path.join(folder, "catalog.db")
            for tail in ("", "-wal"):
                if os.path.exists(path + tail):
                    shutil.copyfile(path + tail, copy + tail)
            return _connect(copy, readonly=True)
    except apsw.Error as error:
        raise _refusal(path, error) from error
    except OSError as error:
        raise StateError(
            f"{path}: the catalog is on a read-only disk, and no copy of it can be made: {error.strerror}",
            hint=f"free space in {tempfile.gettempdir()}, or name another folder in TMPDIR",
        ) from error


def _connect(path: str, *, readonly: bool) -> apsw.Connection:
    flags = apsw.SQLITE_OPEN_READONLY if readonly else apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    connection: apsw.Connection | None = None
    try:
        connection = apsw.Connection(path, flags=flags)
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        # Plans that follow the values bound are made anew, statement by statement, at every run of it; ours need none.
        connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
        # What a savepoint may have to undo is 64 kB at most before SQLite makes a file of it, and removes that again.
        connection.pragma("temp_store", "memory")
        if not readonly:
            if connection.readonly("main"):  # SQLite falls back to that in silence.
                raise apsw.ReadOnlyError("it may not be written")
            connection.pragma("journal_mode", "wal")
            connection.pragma("synchronous", "full")
            connection.pragma("journal_size_limit", JOURNAL_SIZE_LIMIT_BYTES)
            # The WAL stays after the last close, so that another user can read the catalog without writing to it.
            _persist_wal(connection)
        connection.pragma("foreign_keys", "on")
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
    except apsw.Error:
        if connection is not None:
            connection.close()
        raise
    return connection


def _remedy(error: apsw.Error, path: str) -> str:
    match error:
        case apsw.NotADBError() | apsw.CorruptError():
            return DAMAGED
        case apsw.ReadOnlyError() | apsw.CantOpenError() | apsw.PermissionsError() | apsw.AuthError():
            return f"give the daemon's user the right to write {path} and its folder, on a disk that is mounted for writing"
        case apsw.FullError():
            return "free space on its disk"
        case apsw.BusyError() | apsw.LockedError():
            return "end the other program that holds it open: fuser -v names it"
        case _:
            return "check the disk (dmesg) and its mount; if the file is damaged, restore a backup (docs/operations.md)"


def _persist_wal(connection: apsw.Connection) -> None:
    on = ctypes.c_int(1)
    connection.file_control("main", apsw.SQLITE_FCNTL_PERSIST_WAL, ctypes.addressof(on))


class _Write:
    """``alone``: outside any transaction."""

    __slots__ = ("action", "alone", "future", "loop")

    def __init__(
        self,
        action: Callable[[Session], Any],
        loop: asyncio.AbstractEventLoop,
        future: asyncio.Future[Any],
        alone: bool,
    ) -> None:
        self.action = action
        self.loop = loop
        self.future = future
        self.alone = alone


class Lot:
    """What is on its way to the writer's thread, in order: at once, or in lots where it is patient."""

    def __init__(self, put: Callable[[_Write], None]) -> None:
        self._put = put
        self._waiting: list[_Write] = []
        self._pause: asyncio.AbstractEventLoop | None = None
        """Of this loop, while the latest lot is younger than ``LOT_SECONDS``."""

    def add(self, write: _Write, *, patient: bool) -> None:
        self._waiting.append(write)
        if not patient or len(self._waiting) >= LOT_SIZE:
            self.send()
        elif self._pause is not write.loop:
            self._begin(write.loop)

    def send(self) -> None:
        for write in self._waiting:
            self._put(write)
        self._waiting.clear()

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self.send()
        self._pause = loop
        loop.call_later(LOT_SECONDS, self._end_pause, loop)

    def _end_pause(self, loop: asyncio.AbstractEventLoop) -> None:
        self._pause = None
        if self._waiting:
            self._begin(loop)


class Writer:
    """All writes, in one thread. Those that wait together share one transaction with a savepoint each (PROTOCOL 6)."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._session = Session(connection)
        self._queue: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._lot = Lot(self._queue.put)
        self._thread = threading.Thread(target=self._work, name="catalog-writer", daemon=True)
        self._thread.start()

    async def write(self, action: Callable[[Session], T], *, patient: bool = False) -> T:
        """Run ``action`` in a transaction; return its result only after COMMIT.

        An exception from ``action`` undoes that action alone. The caller is shielded from cancellation until the
        answer is known, because a commit that nobody waits for has happened all the same. ``patient``: where another
        patient one was begun less than ``LOT_SECONDS`` ago, it may wait until these have passed.
        """
        return await self._submit(action, alone=False, patient=patient)

    async def write_alone(self, action: Callable[[Session], T]) -> T:
        """As ``write``, but outside any transaction, as a checkpoint has to be."""
        return await self._submit(action, alone=True)

    async def _submit(self, action: Callable[[Session], T], *, alone: bool, patient: bool = False) -> T:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._lot.add(_Write(action, loop, future, alone), patient=patient)
        with anyio.CancelScope(shield=True):
            await asyncio.wait([future])
        return future.result()

    def close(self) -> None:
        """Finish what was queued, then close the connection."""
        self._lot.send()
        self._queue.put(None)
        self._thread.join()
        self._session.connection.close()

    def _work(self) -> None:
        following: _Write | None = None
        while (first := following or self._queue.get()) is not None:
            following = None
            if first.alone:
                self._run_alone(first)
                continue
            batch = [first]
            last = False
            while len(batch) < GROUP_SIZE:
                try:
                    more = self._queue.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    last = True
                    break
                if more.alone:
                    following = more
                    break
                batch.append(more)
            self._commit(batch)
            if last:
                return

    def _run_alone(self, write: _Write) -> None:
        try:
            result, problem = write.action(self._session), None
        except Exception as error:  # noqa: BLE001  # The caller hears of it, whatever it was.
            result, problem = None, trouble(error) if isinstance(error, apsw.Error) else error
        deliver(write.loop, write.future, result, problem)

    def _commit(self, batch: Sequence[_Write]) -> None:
        answers: list[tuple[_Write, Any, BaseException | None]] = []
        connection = self._session.connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            answers.extend(self._attempt(write) for write in batch)
            connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001  # Whatever it was, each caller must hear that nothing was committed.
            if connection.in_transaction:
                _roll_back(connection)
            failure = trouble(error) if isinstance(error, apsw.Error) else error
            answers = [(write, None, failure) for write in batch]
        for loop in dict.fromkeys(write.loop for write in batch):
            told = [(write.future, result, problem) for write, result, problem in answers if write.loop is loop]
            deliver_all(loop, told)

    def _attempt(self, write: _Write) -> tuple[_Write, Any, BaseException | None]:
        connection = self._session.connection
        connection.execute("SAVEPOINT job")
        try:
            result = write.action(self._session)
        except Exception as error:  # One action's failure is its caller's, not the group's.
            if not connection.in_transaction:  # SQLite itself rolled everything back (disk full, I/O error).
                raise
            connection.execute("ROLLBACK TO job")
            connection.execute("RELEASE job")
            return write, None, trouble(error) if isinstance(error, apsw.Error) else error
        connection.execute("RELEASE job")
        return write, result, None


def _roll_back(connection: apsw.Connection) -> None:
    try:
        connection.execute("ROLLBACK")
    except apsw.Error:
        return  # A disk that fails this too has ended the transaction; what matters is that the callers hear of it.


def trouble(error: apsw.Error) -> StateError:
    """A database error as one of ours: full disks and I/O errors pass, the rest needs a person."""
    if isinstance(error, apsw.FullError):
        return StateError("the state directory's disk is full", hint="free space", reason="disk-full", retryable=True)
    if isinstance(error, apsw.BusyError):
        return StateError(
            "the catalog is locked by another program",
            hint="end it (fuser -v catalog.db names it)",
            reason="catalog-locked",
            retryable=True,
        )
    if isinstance(error, apsw.IOError):
        return StateError(f"the catalog cannot be written: {error}", hint="check the disk", retryable=True)
    if isinstance(error, (apsw.CorruptError, apsw.NotADBError)):
        return StateError(f"the catalog is damaged: {error}", hint=f"stop the daemon; {DAMAGED}")
    return StateError(f"the catalog refused a statement: {error}", hint="report this with the log")


class Reader:
    """A read-only connection in a lane of its own; each call sees one consistent snapshot."""

    def __init__(self, path: str) -> None:
        self._lane = Lane("catalog-reader")
        self._path = path
        self._session: Session | None = None

    async def read(self, action: Callable[[Session], T]) -> T:
        return await self._lane.call(self._run, action)

    def _run(self, action: Callable[[Session], T]) -> T:
        if self._session is None:
            self._session = Session(connect(self._path, readonly=True))
        try:
            return snapshot(self._session, action)
        except apsw.Error as error:
            raise trouble(error) from error

    def close(self) -> None:
        """Before the writer's, so that the last one to close writes the log back and empties it."""
        self._lane.close()
        if self._session is not None:
            close_quietly(self._session.connection)


def close_quietly(connection: apsw.Connection) -> None:
    try:
        connection.close()
    except apsw.Error:
        return  # A read is still under way in its thread; the log stays, for the next start to write back.


def snapshot(session: Session, action: Callable[[Session], T]) -> T:
    """Run reads inside one transaction, so that they agree with each other."""
    session.connection.execute("BEGIN")
    try:
        return action(session)
    finally:
        session.connection.execute("COMMIT")
