"""The daemon's side of one zygote: starting it, asking it for workers and for their end, noticing its own."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import Callable
from typing import Any, Final, TypeVar

from dropmill.ports import Clock
from dropmill.workers import child
from dropmill.workers.ending import Ended
from dropmill.workers.output import WorkerOutput
from dropmill.workers.zygote import MAX_PACKET_BYTES

T = TypeVar("T")

# A zygote that answers nothing for this long is stopped or stuck; loading the modules from a cold disk takes longer.
ANSWER_SECONDS: Final = 10.0
LOAD_SECONDS: Final = 120.0
_END_SECONDS: Final = 2.0
_POLL_SECONDS: Final = 0.005


class ZygoteLost(Exception):
    """The zygote ended, or did not answer and was ended."""


class ForkRefused(Exception):
    """The system gave no further process; the message says why."""


class Nursery:
    """One zygote from start to end. ``on_end(pid, ended)`` is called on the loop for each worker that ended."""

    def __init__(
        self, clock: Clock, on_end: Callable[[int, Ended], None], on_output: Callable[[WorkerOutput], None]
    ) -> None:
        self._clock = clock
        self._on_end = on_end
        self._on_output = on_output
        self._loop = asyncio.get_running_loop()
        self._ready = self._loop.create_future()
        self._lost = self._loop.create_future()
        self._tickets: dict[int, asyncio.Future[int]] = {}
        self._kills: dict[int, asyncio.Future[None]] = {}
        self._next_ticket = 0
        self._children: set[int] = set()
        self.trouble = ""
        """Why the modules could not be loaded, or empty."""

    def start(self, load: str, budget_bytes: int) -> None:
        """Start the process and return at once; loading goes on there. Raises ``OSError`` where it cannot start."""
        born = child.start(
            lambda control_fd: _command(load, control_fd, budget_bytes), socket.SOCK_SEQPACKET, self._on_output
        )
        self._process, self._control, self._drain = born.process, born.socket, born.drain
        self._control.setblocking(False)
        self._loop.add_reader(self._control.fileno(), self._readable)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_ready(self) -> bool:
        return self._ready.done()

    @property
    def is_alive(self) -> bool:
        return not self._lost.done()

    async def fork(self, sock: socket.socket, output_fd: int) -> int:
        """A new worker's process id; it gets both descriptors. Raises ``ZygoteLost``, ``ForkRefused``."""
        self._next_ticket += 1
        ticket = self._next_ticket
        answer: asyncio.Future[int] = self._loop.create_future()
        self._tickets[ticket] = answer
        try:
            self._tell({"fork": ticket}, [sock.fileno(), output_fd])
            await self._answer(self._ready, LOAD_SECONDS)
            return await self._answer(answer, ANSWER_SECONDS)
        finally:
            del self._tickets[ticket]

    async def kill(self, pid: int) -> None:
        """Have a worker killed; returns once it has been sent SIGKILL, or had ended. Raises ``ZygoteLost``."""
        answer = self._kills.get(pid)
        if answer is None:
            answer = self._kills[pid] = self._loop.create_future()
            self._tell({"kill": pid}, [])
        await self._answer(answer, ANSWER_SECONDS)

    async def loaded(self) -> bool:
        """Wait until the modules are loaded; False where that fails, as ``trouble`` then says."""
        await asyncio.wait([self._ready, self._lost], timeout=LOAD_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if not self.is_ready and not self._lost.done():
            self.trouble = f"loading took longer than {LOAD_SECONDS:.0f} s"
            self._process.kill()
        return self.is_ready

    async def lost(self) -> None:
        """Return once the zygote has ended, and with it every worker of its own."""
        await asyncio.shield(self._lost)
        await self._bury()

    async def close(self) -> None:
        """End the zygote and its workers, and wait until they have gone."""
        self._shut()
        await self._bury(patience_seconds=_END_SECONDS)

    async def _answer(self, answer: asyncio.Future[T], limit_seconds: float) -> T:
        await asyncio.wait([answer, self._lost], timeout=limit_seconds, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        if not self._lost.done():
            self._process.kill()  # Its workers go with it, by their parent-death signal.
        raise ZygoteLost

    def _tell(self, order: dict[str, int], fds: list[int]) -> None:
        try:
            if self._lost.done():
                raise ZygoteLost
            socket.send_fds(self._control, [json.dumps(order).encode()], fds)
        except BlockingIOError as error:
            self._process.kill()  # Hundreds of orders lie unread.
            raise ZygoteLost from error
        except OSError as error:
            raise ZygoteLost from error

    def _readable(self) -> None:
        try:
            packet = received(self._control)
        except BlockingIOError:
            return
        if not packet:
            self._shut()
            return
        self._heard(json.loads(packet))

    def _heard(self, message: dict[str, Any]) -> None:
        if "ready" in message:
            self._ready.set_result(None)
        elif "failed" in message:
            self.trouble = message["failed"]
        elif "forked" in message:
            self._children.add(message["pid"])
            self._settle(self._tickets.get(message["forked"]), message["pid"])
        elif "refused" in message:
            answer = self._tickets.get(message["refused"])
            if answer is not None and not answer.done():
                answer.set_exception(ForkRefused(message["why"]))
        elif "killed" in message:
            self._settle(self._kills.pop(message["killed"], None), None)
        elif "ended" in message:
            pid = message["ended"]
            self._children.discard(pid)
            self._on_end(pid, Ended(message["status"], message["grown_bytes"], message["out_of_memory_killer"]))

    def _settle(self, answer: asyncio.Future[Any] | None, value: int | None) -> None:
        if answer is not None and not answer.done():
            answer.set_result(value)

    def _shut(self) -> None:
        if not self._lost.done():
            self._loop.remove_reader(self._control.fileno())
            self._control.close()
            self._lost.set_result(None)

    async def _bury(self, patience_seconds: float = 0.0) -> None:
        """Wait for the zygote, killing it when patience ends, and for its workers where they became our own."""
        until = self._clock.monotonic() + patience_seconds
        while self._process.poll() is None:
            if self._clock.monotonic() >= until:
                self._process.kill()
            await self._clock.sleep(_POLL_SECONDS)
        until = self._clock.monotonic() + _END_SECONDS
        while self._children and self._clock.monotonic() < until:
            self._children = {pid for pid in self._children if _adopted_and_alive(pid)}
            if self._children:
                await self._clock.sleep(_POLL_SECONDS)
        self._drain.close()


def _command(load: str, control_fd: int, budget_bytes: int) -> list[str]:
    # -P: the folder that the daemon was started in is no place to import modules from.
    command = [sys.executable, "-P", "-u", "-m", "dropmill.workers.zygote", "--load", load]
    command += ["--control-fd", str(control_fd), "--parent-pid", str(os.getpid())]
    return [*command, "--budget-bytes", str(budget_bytes)]


def _adopted_and_alive(pid: int) -> bool:
    """Reap an orphan that the kernel gave to us (as process 1 of a container, or as a subreaper)."""
    try:
        return os.waitpid(pid, os.WNOHANG) == (0, 0)
    except ChildProcessError:
        return False  # Somebody else's by now.


def received(control: socket.socket) -> bytes:
    """The next packet, empty once there are no more. Raises ``BlockingIOError`` where there is none yet.

    Of a peer that ended with packets of ours unread, Linux tells first that the connection was reset, and then what the
    peer had said, such as why it ended.
    """
    try:
        return control.recv(MAX_PACKET_BYTES)
    except BlockingIOError:
        raise
    except OSError:
        pass
    try:
        return control.recv(MAX_PACKET_BYTES)
    except OSError:
        return b""
