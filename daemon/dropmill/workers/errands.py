"""Errands in the pool: they wait while jobs need the workers, and what they staged gets its name from the daemon."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Protocol

from dropmill.files import previews
from dropmill.model.errand import (
    Compare,
    Errand,
    ErrandRequest,
    ErrandResult,
    Inspected,
    Previewed,
    preview_of,
    staging_of,
)
from dropmill.model.outcome import Reason
from dropmill.model.work import Preview, Troubled, WorkerLost
from dropmill.workers.order import Order, R, of_errand


class Turns:
    """An errand begins only while fewer jobs and errands than workers are under way; an urgent one, which a person waits
    for, at once, as a job does.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._under_way = 0
        self._line: deque[asyncio.Future[None]] = deque()
        self._serials = itertools.count(1)

    @contextmanager
    def job(self) -> Iterator[None]:
        self._under_way += 1
        try:
            yield
        finally:
            self._leave()

    @asynccontextmanager
    async def errand(self, *, urgent: bool) -> AsyncIterator[int]:
        """Gives the errand's serial number, once it is its turn."""
        if urgent or (self._under_way < self._size and not self._line):
            self._under_way += 1
        else:
            await self._wait()
        try:
            yield next(self._serials)
        finally:
            self._leave()

    async def _wait(self) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append(turn)
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                self._leave()  # It was let in and has gone away at the same moment.
            else:
                self._line.remove(turn)
            raise

    def _leave(self) -> None:
        self._under_way -= 1
        while self._line and self._under_way < self._size:
            turn = self._line.popleft()
            if not turn.done():  # Cancelled, and on its way to say so.
                self._under_way += 1
                turn.set_result(None)


class Attempt(Protocol):
    """The pool's way of having a worker do something."""

    async def __call__(
        self,
        order: Order[R],
        timeout_seconds: float,
        wanted: Callable[[Preview], Awaitable[bool]],
        allowance_seconds: Callable[[Preview], float],
        /,
    ) -> R | WorkerLost: ...


async def carried_out(
    errand: Errand, serial: int, timeout_seconds: float, attempt: Attempt
) -> ErrandResult | WorkerLost:
    """The answer, once what it told of stands under its own name."""
    staging = staging_of(errand)
    try:
        previews.prepare(staging, serial)
    except OSError as error:
        return Troubled(Reason.OUTPUT_UNAVAILABLE, f"cannot keep previews: {error.strerror or error}")
    done = False
    try:
        answer = await attempt(of_errand(ErrandRequest(errand, serial)), timeout_seconds, _yes, _nothing_more)
        if not isinstance(errand, Compare) and isinstance(answer, Inspected | Previewed):
            done = True
            previews.publish(staging, serial, errand.previews, preview_of(errand))
        return answer
    except OSError as error:
        return Troubled(Reason.OUTPUT_UNAVAILABLE, f"cannot keep a preview: {error.strerror or error}")
    finally:
        if not done:
            previews.drop(staging, serial)


async def _yes(preview: Preview) -> bool:
    return True


def _nothing_more(preview: Preview) -> float:
    return 0.0
