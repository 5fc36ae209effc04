"""What stands in for threads and processes: lanes, the catalog's writer and the workers, all on the simulated loop.

Each of them runs the same functions as the real one, in the same order, but at moments that the seed decides.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import struct
import zlib
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import anyio
import apsw

from dropmill.files.lane import Lane, deliver
from dropmill.imaging import source, stage
from dropmill.imaging.attempt import Attempt, Encoded, Stop
from dropmill.model.bearing import Bearing, Looked
from dropmill.model.errand import Errand, ErrandResult
from dropmill.model.fingerprint import Content, Looks
from dropmill.model.image import Picture
from dropmill.model.outcome import Reason
from dropmill.model.work import (
    Preview,
    Processed,
    Recognised,
    Rejected,
    WorkerLost,
    WorkRequest,
    WorkResult,
)
from dropmill.ports import PoolStats
from dropmill.store.connection import GROUP_SIZE, Lot, Session, Writer
from simulation.sim_disk import Crash

if TYPE_CHECKING:
    from simulation.sim_run import Run

_TOLD = re.compile(rb"subject=(\w+) note=(\w+)")
_END = b"IEND\xaeB`\x82"


def picture(subject: str, note: str) -> bytes:
    """A real PNG of one pixel. Equal ``subject`` means the same coded image, equal ``note`` too the same bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    told = f"dropmill\0subject={subject} note={note}".encode()
    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (chunk(b"IHDR", header), chunk(b"tEXt", told), chunk(b"IDAT", zlib.compress(b"\0\0")), chunk(b"IEND", b""))
    )


def rendition_of(sha256: str, name: str) -> bytes:
    """What the simulated worker makes of an original: the same bytes every time."""
    return f"rendition {name} of {sha256}\n".encode() * 3


class SimulatedLane(Lane):
    """``files.lane.Lane``: calls in order, each at once when its time has come, and others run in between."""

    def __init__(self, run: Run, name: str, *_: Any) -> None:
        self.name = name
        self.turn = 0
        self._run = run
        self._pending: deque[tuple[Callable[..., Any], tuple[Any, ...], asyncio.Future[Any]]] = deque()
        self._busy = False

    def send(self, function: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = asyncio.get_event_loop().create_future()
        if not future.get_loop().is_running():
            function(*args)  # The process was killed: nothing is asked for any more but to let go of descriptors.
            return future
        self._pending.append((function, args, future))
        if not self._busy:
            self._busy = True
            self._next()
        return future

    def close(self) -> None:
        """Nothing holds it open."""

    def _next(self) -> None:
        asyncio.get_running_loop().call_later(self._run.pause(self.name), self._work)

    def _work(self) -> None:
        function, args, future = self._pending.popleft()
        # The real one has perhaps begun by the time its caller leaves, and then goes on to the end.
        if not future.cancelled() or self._run.chance.random() < 0.5:
            loop = asyncio.get_running_loop()
            try:
                result = function(*args)
            except Crash as crash:
                self._run.die(f"{crash} ({getattr(function, '__name__', function)})")
                return
            except BaseException as error:
                deliver(loop, future, None, error)
            else:
                deliver(loop, future, result, None)
        if self._pending:
            self._next()
        else:
            self._busy = False


class _Connection:
    """A connection whose commits are steps at which the process may die, and which may meet a full or failing disk."""

    def __init__(self, run: Run, connection: apsw.Connection) -> None:
        self._run = run
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, statement: str, *args: Any) -> Any:
        if statement != "COMMIT":
            return self._connection.execute(statement, *args)
        disk = self._run.disk
        disk.step("before COMMIT")
        with disk.others():
            disk.between(b"")
        error = self._run.trouble("commit", "state")
        if error is not None:
            raise apsw.FullError("database or disk is full") if error.errno == 28 else apsw.IOError("disk I/O error")
        self._connection.execute(statement, *args)
        disk.step("after COMMIT")
        return None


class SimulatedWriter(Writer):
    """The real writer's ``write`` and ``_commit`` without its thread."""

    def __init__(self, run: Run, connection: apsw.Connection) -> None:
        # A commit counts as durable below, which is true with this setting alone.
        assert connection.pragma("synchronous") == 2 and connection.pragma("journal_mode") == "wal"
        self._run = run
        self._session = Session(_Connection(run, connection))
        self._waiting: deque[Any] = deque()
        self._lot = Lot(self.put)

    def put(self, write: Any) -> None:
        """In the place of the queue, from which the thread would take it some time later."""
        self._waiting.append(write)
        if len(self._waiting) == 1:
            self._wake()

    def _wake(self) -> None:
        asyncio.get_running_loop().call_later(self._run.pause("catalog"), self._flush)

    def _flush(self) -> None:
        batch: list[Any] = []
        while self._waiting and len(batch) < GROUP_SIZE and not (batch and self._waiting[0].alone):
            batch.append(self._waiting.popleft())
            if batch[0].alone:
                break
        try:
            if batch[0].alone:
                self._run_alone(batch[0])
            else:
                self._commit(batch)
        except Crash as crash:
            self._run.die(str(crash))
            return
        if self._waiting:
            self._wake()

    def close(self) -> None:
        self._session.connection.close()


class SimulatedPool:
    """``ports.WorkerPool``: reads and stages as a worker does, by the worker's own steps, and decodes nothing."""

    def __init__(self, run: Run, *_: Any, **__: Any) -> None:
        self._run = run

    async def __aenter__(self) -> SimulatedPool:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    def stats(self) -> PoolStats:
        return PoolStats(1, 0, (), 0, 0)

    async def run(
        self,
        request: WorkRequest,
        *,
        timeout_seconds: float,
        wanted: Callable[[Preview], Awaitable[bool]],
        allowance_seconds: Callable[[Preview], float],
        bearing: Callable[[Looked], Awaitable[Bearing]] | None = None,
    ) -> WorkResult | WorkerLost:
        attempt = Attempt(request, lambda _preview: True)
        lost = WorkerLost(Reason.WORKER_CRASHED, "simulated")
        done = False
        try:
            await anyio.sleep(self._run.pause("worker"))
            if self._run.worker_dies():
                done = True
                return lost
            content = self._at_once(_read, attempt)
            answer = await wanted(Preview(content, 1, 1))
            await anyio.sleep(self._run.pause("worker"))
            if not answer:
                done = True
                return Recognised(content, _PICTURE)
            looks = looks_of(content.sha256)
            if request.asks_looks and bearing is not None and not (await bearing(Looked(looks))).go:
                done = True
                return Recognised(content, _PICTURE, looks)
            attempt.encoded = tuple(
                Encoded(spec, rendition_of(content.sha256, spec.name), "jpeg", 1, 1)
                for spec in request.recipe.renditions
            )
            self._at_once(stage.stage, attempt)
            if self._run.worker_dies():
                done = True  # Its staged files stay behind.
                return lost
            self._at_once(stage.settle, attempt)
            done = True
            return Processed(content, looks, _PICTURE, tuple(attempt.rendered))
        except Stop as stop:
            return stop.result
        finally:
            if not done and not self._run.disk.dead:
                self._at_once(stage.take_back, attempt)

    async def errand(
        self, errand: Errand, *, timeout_seconds: float, urgent: bool = False
    ) -> ErrandResult | WorkerLost:
        """As no picture is decoded, none is measured or compared."""
        return Rejected(Reason.UNSUPPORTED_FORMAT)

    def _at_once(self, step: Callable[[Attempt], Any], attempt: Attempt) -> Any:
        try:
            return step(attempt)
        except Crash as crash:
            self._run.die(f"{crash} (worker)")
            raise


_PICTURE = Picture("png", 1, 1, "L")


def _read(attempt: Attempt) -> Content:
    source.read(attempt)
    told = _TOLD.search(attempt.data)
    if told is None or not attempt.data.endswith(_END):
        raise Stop(Rejected(Reason.TRUNCATED, "simulated"))
    if told[1].startswith(b"broken"):
        raise Stop(Rejected(Reason.CORRUPT, "simulated"))
    return Content(attempt.sha256, hashlib.sha256(told[1]).hexdigest())


def looks_of(sha256: str) -> Looks:
    """Of three scenes, each picture a little different from the others of its scene; some are flat."""
    scene, bits, flat = int(sha256[:2], 16) % 3, int(sha256[2:4], 16) % 8, sha256[4] in "01"
    seen = (0x0F0F_0F0F_0F0F_0F0F, 0x3333_3333_3333_3333, 0x00FF_00FF_00FF_00FF)[scene] ^ bits
    return Looks(seen, seen, seen, f"{seen:064x}", 1.0 if flat else 50.0)
