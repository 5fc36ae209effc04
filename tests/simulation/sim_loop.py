"""Time that jumps: an event loop whose clock moves only when nothing is left to run, so minutes pass in milliseconds."""

from __future__ import annotations

import asyncio
import warnings
from asyncio import base_events
from collections.abc import Coroutine
from typing import Any

import anyio

# 2026-01-01 in milliseconds since 1970; no run looks at a real clock.
_WALL_START_MS = 1_767_225_600_000


class Stuck(Exception):
    """Nothing is left to run and nothing is waited for, although the run has not ended."""


class Time:
    """Seconds since the run began; outlives crashes, unlike the loops that it drives."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now_ms(self) -> int:
        return _WALL_START_MS + int(self.seconds * 1000)

    def now_ns(self) -> int:
        return _WALL_START_MS * 1_000_000 + int(self.seconds * 1e9)


class SimulatedClock:
    """``ports.Clock`` on simulated time."""

    def __init__(self, time: Time) -> None:
        self._time = time

    def now_ms(self) -> int:
        return self._time.now_ms()

    def monotonic(self) -> float:
        return self._time.seconds

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)

    def astray_ms(self) -> int:
        """Nobody sets it."""
        return 0

    def follow(self, by_ms: int) -> None:
        raise AssertionError("nobody set the clock")


class _Jump:
    """Stands in for the selector: instead of waiting for a timer, time jumps to it."""

    def __init__(self, time: Time) -> None:
        self._time = time

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise Stuck("everything waits and no timer runs")
        self._time.seconds += timeout
        return []


class _Task(asyncio.Task[Any]):
    """Hashed by its number in the run instead of its address, so that sets of tasks have one order in every run."""

    def __init__(self, coro: Coroutine[Any, Any, Any], *, number: int, **options: Any) -> None:
        self._number = number
        super().__init__(coro, **options)

    def __hash__(self) -> int:
        return self._number

    def __eq__(self, other: object) -> bool:
        return self is other


class SimulatedLoop(base_events.BaseEventLoop):
    """One thread, no descriptors, no signals. Everything that runs does so in an order that the seed decides."""

    def __init__(self, time: Time) -> None:
        super().__init__()
        self._selector = _Jump(time)
        self._time = time
        self._tasks = 0
        self.set_task_factory(self._new_task)

    def time(self) -> float:
        return self._time.seconds

    def _new_task(self, _loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> _Task:
        self._tasks += 1
        return _Task(coro, number=self._tasks, loop=self, **options)

    def _process_events(self, event_list: list[Any]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Whoever calls ``call_soon_threadsafe`` is in the loop's own thread."""

    def add_signal_handler(self, *_: Any) -> None:
        """A simulated daemon is ended by a call, not by a signal."""

    def remove_signal_handler(self, _: int) -> bool:
        return True

    def abandon(self) -> None:
        """What a SIGKILL leaves: the tasks end where they are and say nothing, and their descriptors are closed."""
        for task in sorted(asyncio.all_tasks(self), key=hash):
            task._log_destroy_pending = False
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # Of coroutines that never began.
                try:
                    task.get_coro().close()
                except BaseException:
                    continue  # It wanted to wait for something once more, which the dead cannot.
        self.close()
