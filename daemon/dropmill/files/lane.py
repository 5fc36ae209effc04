"""A lane: one thread with one outstanding call, so that a disk that hangs holds back only its own callers (W40)."""

from __future__ import annotations

import asyncio
import errno
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import anyio

T = TypeVar("T")

_Call = tuple[Callable[..., Any], tuple[Any, ...], asyncio.AbstractEventLoop, "asyncio.Future[Any]"]


class Lane:
    """Runs blocking calls in order, each to its end, in a daemon thread that never delays the exit of the process."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.turn = 0
        """Which call is under way, counted from 1; 0 while there is none. The same one for long is a disk that hangs."""
        self._turns = 0
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def send(self, function: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        """Have ``function(*args)`` run after all that was asked before, whether anybody waits for it or not."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._calls.put((function, args, loop, future))
        return future

    async def call(self, function: Callable[..., T], *args: Any) -> T:
        """Await ``function(*args)`` run in the lane. A cancelled caller leaves at once; a call that has begun runs on."""
        return await self.send(function, *args)

    async def call_within(self, seconds: float, function: Callable[..., T], *args: Any) -> T:
        """As ``call``, but raises ``TimeoutError`` (an OSError) where there is no answer in time; the call runs on."""
        with anyio.move_on_after(seconds):
            return await self.call(function, *args)
        raise TimeoutError(errno.ETIMEDOUT, f"has not answered for {seconds:g} s")

    def close(self) -> None:
        """Let the thread end once the calls before this one are done."""
        self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            function, args, loop, future = call
            if future.cancelled():
                continue
            self._turns += 1
            self.turn = self._turns
            try:
                result = function(*args)
            except BaseException as error:  # noqa: BLE001  # The caller, not the thread, is to see it.
                self.turn = 0
                deliver(loop, future, None, error)
            else:
                self.turn = 0
                deliver(loop, future, result, None)


def deliver(
    loop: asyncio.AbstractEventLoop, future: asyncio.Future[Any], result: Any, error: BaseException | None
) -> None:
    """Settle a future from another thread; quiet where its loop has closed or its caller has left."""
    deliver_all(loop, [(future, result, error)])


def deliver_all(
    loop: asyncio.AbstractEventLoop, answers: Sequence[tuple[asyncio.Future[Any], Any, BaseException | None]]
) -> None:
    """As ``deliver``, for several of one loop, which is woken once for all of them."""

    def settle() -> None:
        for future, result, error in answers:
            if future.done():
                continue
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)

    try:
        loop.call_soon_threadsafe(settle)
    except RuntimeError:
        return  # The loop is closed: nobody is left to tell.
