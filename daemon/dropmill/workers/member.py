"""One worker as the daemon sees it: its socket, its output, and how it ended."""

from __future__ import annotations

import asyncio
import math
import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

import anyio

from dropmill.model.bearing import Looked
from dropmill.model.work import Place, Preview, Question
from dropmill.workers.channel import Channel
from dropmill.workers.ending import Ended
from dropmill.workers.frames import Breach, Closed, Frame, Unread
from dropmill.workers.nursery import ForkRefused, Nursery
from dropmill.workers.order import Order, R
from dropmill.workers.output import Drain, WorkerOutput
from dropmill.workers.worker import CONFINED, ELSEWHERE, confine_to_wire


class NotTaken(Exception):
    """The worker ended before it could be given the job, or cannot reach its folders; nothing of the attempt counts."""


class Elsewhere(NotTaken):
    """The folders are not those that the worker is confined to: something else was mounted or put there."""


class Unconfined(NotTaken):
    """It could not be confined to the folders of its first job, and has ended; the message says why."""


class DeadlinePassed(Exception):
    """The worker has given no result in time, and may still be at it."""


class Member:
    """Made by ``born``. ``ended`` is set by the pool when the zygote reports the end."""

    def __init__(
        self,
        nursery: Nursery,
        sock: socket.socket,
        output_fd: int,
        budget_bytes: int,
        sink: Callable[[WorkerOutput], None],
    ) -> None:
        self.nursery = nursery
        self.budget_bytes = budget_bytes
        self.pid = 0
        self.ended: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
        self.leaving = False
        """It said that it ends after its last result."""
        self.idle_since = 0.0
        self.place: Place | None = None
        """Of its first job; it is confined to that."""
        self.guards: tuple[str, ...] = ()
        self.channel = Channel(sock)
        self.drain = Drain(output_fd, sink)

    @classmethod
    async def born(cls, nursery: Nursery, budget_bytes: int, sink: Callable[[WorkerOutput], None]) -> Member:
        """Have a worker forked. Raises ``ZygoteLost``, or ``ForkRefused`` where the system gives no process."""
        try:
            ours, theirs = socket.socketpair()
        except OSError as error:
            raise ForkRefused(str(error)) from error
        try:
            read_fd, write_fd = os.pipe()
        except OSError as error:
            ours.close()
            theirs.close()
            raise ForkRefused(str(error)) from error
        member = cls(nursery, ours, read_fd, budget_bytes, sink)
        try:
            member.pid = member.drain.pid = await nursery.fork(theirs, write_fd)
        except BaseException:
            member.close()
            raise
        finally:
            theirs.close()
            os.close(write_fd)
        return member

    async def greet(self) -> None:
        """Wait until the worker has set its limits and is ready. Raises ``Closed`` or ``Breach`` where it fails to."""
        frame = await self.channel.receive()
        guards = frame.body.get("guards")
        if frame != Frame(0, 0, {"hello": self.pid, "guards": guards}) or not isinstance(guards, list):
            raise Breach("not a greeting")
        self.guards = tuple(map(str, guards))

    def fit_for_work(self) -> bool:
        return not self.leaving and not self.ended.done() and self.channel.usable()

    async def exchange(
        self,
        order: Order[R],
        timeout_seconds: float,
        wanted: Callable[[Preview], Awaitable[bool]],
        allowance_seconds: Callable[[Preview], float],
    ) -> R:
        """One attempt. Raises ``NotTaken``, ``Closed``, ``Breach``, ``DeadlinePassed``, or what ``wanted`` raises."""
        if not self.fit_for_work():
            raise NotTaken
        first = self.place is None
        if not first and self.place != order.place:
            self.leaving = True
            raise NotTaken
        try:
            return await self._exchange(order, timeout_seconds, wanted, allowance_seconds)
        except Elsewhere as elsewhere:
            if first:  # It was confined to these very folders a moment ago.
                raise Breach("it says that it cannot reach its own folders") from elsewhere
            self.leaving = True
            raise

    async def _exchange(
        self,
        order: Order[R],
        timeout_seconds: float,
        wanted: Callable[[Preview], Awaitable[bool]],
        allowance_seconds: Callable[[Preview], float],
    ) -> R:
        self.drain.begin(order.job_id, order.epoch)
        with anyio.move_on_after(timeout_seconds) as deadline:
            if self.place is None:
                await self._confine(order)
            try:
                await self._send(order, order.body)
            except Closed as error:
                raise NotTaken from error
            try:
                answer = await self._receive(order)
            except Unread as error:
                raise NotTaken from error
            if isinstance(answer, Preview):
                # The daemon's own time for its answer, however long the store takes, is not the worker's fault.
                left_seconds = deadline.deadline - anyio.current_time()
                deadline.deadline = math.inf
                verdict = await wanted(answer)
                deadline.deadline = anyio.current_time() + left_seconds + allowance_seconds(answer)
                await self._send(order, {"wanted": verdict})
                answer = await self._receive(order)
            if isinstance(answer, Looked) and order.bearing is not None:
                left_seconds = deadline.deadline - anyio.current_time()
                deadline.deadline = math.inf
                bearing = await order.bearing(answer)
                deadline.deadline = anyio.current_time() + left_seconds
                await self._send(order, asdict(bearing))
                answer = await self._receive(order)
            if isinstance(answer, Preview | Looked):
                raise Breach("a question out of turn")
            return answer
        raise DeadlinePassed

    async def _confine(self, order: Order[Any]) -> None:
        """Before it hears of a picture, so that its word can be trusted. Raises ``Unconfined`` or ``Breach``."""
        self.place = order.place
        try:
            await self._send(order, confine_to_wire(order.place))
            answer = await self._answer_to(order)
        except Closed as error:
            raise Unconfined("it ended") from error
        if answer.body != CONFINED:
            self.leaving = True
            raise Unconfined(str(answer.body.get("unconfined"))[:200])

    async def _send(self, order: Order[Any], body: dict[str, object]) -> None:
        await self.channel.send(Frame(order.job_id, order.epoch, body))

    async def _receive(self, order: Order[R]) -> R | Question:
        frame = await self._answer_to(order)
        if frame.body == ELSEWHERE:
            raise Elsewhere
        try:
            answer = order.read(frame.body)
        except ValueError as error:
            raise Breach(str(error)) from error
        self.leaving = self.leaving or frame.last
        return answer

    async def _answer_to(self, order: Order[Any]) -> Frame:
        frame = await self.channel.receive()
        if (frame.job_id, frame.epoch) != (order.job_id, order.epoch):
            raise Breach(
                f"an answer for job {frame.job_id}, epoch {frame.epoch},"
                f" where job {order.job_id}, epoch {order.epoch} was asked"
            )
        return frame

    def close(self) -> None:
        self.channel.close()
        self.drain.close()
