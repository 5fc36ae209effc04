"""The daemon's side of the index: starts its process when it is first needed, asks it, and starts it again when it ends."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

import anyio

from dropmill.errors import DropmillError, StateError, Unavailable
from dropmill.model.fingerprint import Looks
from dropmill.model.resemblance import Neighbours
from dropmill.model.wire import Wire
from dropmill.observe.facts import Emit, IndexAnswered, IndexLost, IndexReady, WorkerSaid
from dropmill.ports import Clock, IndexStats
from dropmill.similarity import wire
from dropmill.store.catalog import Catalog
from dropmill.store.hashes import forget_changes
from dropmill.workers import child as children
from dropmill.workers.channel import Channel
from dropmill.workers.frames import Breach, Closed, Frame
from dropmill.workers.output import Drain

# Who asks waits for a start that takes no longer than this; of a large catalog it is told that the index is not there yet.
PATIENCE_SECONDS: Final = 10.0
# One lot of questions, however busy the machine is; a process that takes longer is stuck.
ANSWER_SECONDS: Final = 60.0
# So many looks are asked for at once, so that a picture that has just arrived waits for no library.
LOT: Final = 100
LONGEST_REST_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 2.0
_POLL_SECONDS: Final = 0.01


@dataclass(slots=True)
class _Child:
    process: subprocess.Popen[bytes]
    channel: Channel
    drain: Drain
    started_at: float
    arrival: asyncio.Task[Wire]
    """Its first word, once it has read the catalog."""


class IndexClient:
    """``ports.Similar``. ``turned``: pictures that are turned, mirrored or cut count too."""

    def __init__(self, catalog: Catalog, clock: Clock, emit: Emit, *, turned: bool) -> None:
        self._catalog = catalog
        self._clock = clock
        self._emit = emit
        self._turned = turned
        self._child: _Child | None = None
        self._turn = asyncio.Lock()
        self._losses = 0
        """Without an answer between them."""
        self._rest_until = 0.0
        self._asked = 0
        self._known = IndexStats()
        self._closed = False

    def stats(self) -> IndexStats:
        return self._known

    async def neighbours(self, looks: Sequence[Looks]) -> Sequence[Neighbours]:
        """See ``ports.Similar``. Waits a moment for a process that is being started."""
        answers: list[Neighbours] = []
        for start in range(0, len(looks), LOT):
            answers += await self._ask(looks[start : start + LOT])
        return answers

    async def run(self) -> None:
        """Start a process that ended anew, whether or not anybody asks; until cancelled."""
        while True:
            await self._clock.sleep(_LOOK_SECONDS)
            # While somebody asks, he is the one who notices.
            if self._known.state == "idle" or self._turn.locked():
                continue
            async with self._turn:
                try:
                    await self._up()
                except DropmillError:
                    continue  # Why is in the stats, and was told.

    async def close(self) -> None:
        """End the process and wait until it has gone."""
        self._closed = True
        child, self._child = self._child, None
        if child is not None:
            await self._bury(child)
        self._known = IndexStats()

    async def _ask(self, looks: Sequence[Looks]) -> list[Neighbours]:
        began = self._clock.monotonic()
        async with self._turn:
            try:
                body = await self._exchange(await self._up(), looks)
            except (Closed, Breach, TimeoutError) as error:
                await self._lost(error)
                # It may have ended long ago, unnoticed: this question need not suffer from that.
                body = await self._second_try(looks)
        self._losses = 0
        self._note(body)
        self._emit(IndexAnswered(len(looks), self._clock.monotonic() - began))
        return wire.answer_from_wire(body)

    async def _second_try(self, looks: Sequence[Looks]) -> Wire:
        try:
            return await self._exchange(await self._up(), looks)
        except (Closed, Breach, TimeoutError) as error:
            await self._lost(error)
            self._unavailable()

    async def _exchange(self, child: _Child, looks: Sequence[Looks]) -> Wire:
        """To the end, even if nobody waits any more: the next one would be given this answer."""
        self._asked += 1
        with anyio.CancelScope(shield=True), anyio.fail_after(ANSWER_SECONDS):
            await child.channel.send(Frame(self._asked, 0, wire.question_to_wire(looks)))
            frame = await child.channel.receive()
        if frame.job_id != self._asked:
            raise Breach("an answer to another question")
        return frame.body

    async def _up(self) -> _Child:
        """The process, ready. Raises ``Unavailable``; what it dies of meanwhile is told and counts as a loss."""
        if self._child is not None and not self._child.channel.usable() and self._child.arrival.done():
            await self._lost(Closed())
        if self._child is None:
            if self._closed or self._clock.monotonic() < self._rest_until:
                self._unavailable()
            await self._start()
        child = self._child
        assert child is not None  # noqa: S101  # Nobody else ends it while we have the turn.
        patience = child.started_at + PATIENCE_SECONDS - self._clock.monotonic()
        if not child.arrival.done():
            await asyncio.wait([child.arrival], timeout=max(0.0, patience))
        if not child.arrival.done():
            self._unavailable()
        try:
            body = child.arrival.result()
        except (Closed, Breach) as error:
            await self._lost(error)
            self._unavailable()
        if self._known.state != "ready":
            self._arrived(child, body)
        return child

    async def _start(self) -> None:
        try:
            # What the new process reads is the newest, so what has changed before is of no use to it.
            await self._catalog.write(forget_changes)
        except StateError:
            pass  # It only takes room, and a catalog that cannot be written is told of by those who have to write.
        try:
            self._child = self._spawn()
        except OSError as error:
            self._rest(f"its process cannot be started: {error.strerror}")
            self._unavailable()
        self._known = IndexStats("starting", pid=self._child.process.pid)

    def _spawn(self) -> _Child:
        born = children.start(
            lambda socket_fd: _command(socket_fd, self._catalog.path, self._turned),
            socket.SOCK_STREAM,
            lambda said: self._emit(WorkerSaid(said.pid, None, said.text)),
        )
        channel = Channel(born.socket)
        arrival = asyncio.get_running_loop().create_task(_hello(channel))
        return _Child(born.process, channel, born.drain, self._clock.monotonic(), arrival)

    def _arrived(self, child: _Child, body: Wire) -> None:
        self._note(body)
        self._emit(IndexReady(child.process.pid, body["images"], self._clock.monotonic() - child.started_at))

    def _note(self, body: Wire) -> None:
        pid = self._child.process.pid if self._child is not None else None
        self._known = IndexStats("ready", body["images"], body["memory_bytes"], pid, window_bytes=body["window_bytes"])

    async def _lost(self, error: Exception) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        stuck = isinstance(error, TimeoutError)
        words = child.drain.latest_words()
        await self._bury(child)
        self._rest(_cause(child, error, words, stuck=stuck))

    def _rest(self, detail: str) -> None:
        """Start again at once after the first loss, then after ever longer rests."""
        rest_seconds = min(LONGEST_REST_SECONDS, 2.0 ** (self._losses - 1)) if self._losses else 0.0
        self._losses += 1
        self._rest_until = self._clock.monotonic() + rest_seconds
        self._known = IndexStats("down", trouble=detail)
        self._emit(IndexLost(detail, rest_seconds))

    async def _bury(self, child: _Child) -> None:
        """It holds nothing that would have to be put in order, so it is simply killed."""
        with anyio.CancelScope(shield=True):
            child.channel.close()
            child.arrival.cancel()
            await asyncio.gather(child.arrival, return_exceptions=True)
            child.process.kill()
            while child.process.poll() is None:
                await self._clock.sleep(_POLL_SECONDS)
            child.drain.close()

    def _unavailable(self) -> NoReturn:
        why = self._known.trouble or "it is still reading the catalog"
        raise Unavailable(
            f"the index of similar images is not there: {why}",
            hint="it comes back by itself; dropmill status says how it is",
        )


async def _hello(channel: Channel) -> Wire:
    return (await channel.receive()).body


def _command(socket_fd: int, catalog: str, turned: bool) -> list[str]:
    # -P: the folder that the daemon was started in is no place to import modules from.
    command = [sys.executable, "-P", "-u", "-m", "dropmill.similarity.serve"]
    command += ["--socket-fd", str(socket_fd), "--parent-pid", str(os.getpid())]
    return [*command, *(["--turned"] if turned else []), catalog]


def _cause(child: _Child, error: Exception, words: bytes, *, stuck: bool) -> str:
    if stuck:
        return f"it did not answer within {ANSWER_SECONDS:.0f} s and was ended"
    if isinstance(error, Breach):
        return f"it answered what nobody asked ({error}) and was ended"
    last = words.decode("utf-8", "replace").strip().rpartition("\n")[2]
    return f"its process ended: {last}" if last else f"its process ended ({_status(child.process.returncode)})"


def _status(returncode: int) -> str:
    return f"signal {-returncode}" if returncode < 0 else f"exit {returncode}"
