"""Whether the daemon is alive: not that a timer runs, but that what does the work gets answers (S11).

A beat is told only when everything was asked and answered; a service manager that hears none for too long restarts us.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from dropmill.model.inbox import Inbox
from dropmill.observe.facts import Alive, Emit, Stuck
from dropmill.pipeline.claim import Claimer
from dropmill.pipeline.process import Deadline
from dropmill.ports import Clock

BEAT_SECONDS: Final = 5.0
# A loaded machine with a slow disk may keep a commit waiting that long; what takes longer is stuck.
PATIENCE_SECONDS: Final = 20.0
# Three beats that did not come are more than a moment's load.
MOST_BEATS_MISSED: Final = 3
# The queue is looked at every few seconds; a claimer that has not done so for that long is stuck.
STILL_SECONDS: Final = 60.0
# The pool ends a job at its deadline, not counting waits for memory; one this much older means that the pool is stuck.
OVERDUE_FACTOR: Final = 5.0

Check = Callable[[], Awaitable[str]]
"""Says what is wrong, or nothing; one that does not return is what is wrong."""


@dataclass(slots=True)
class Pulse:
    checks: Mapping[str, Check]
    clock: Clock
    emit: Emit
    every_seconds: float = BEAT_SECONDS
    _asked: dict[str, tuple[float, asyncio.Task[str]]] = field(default_factory=dict)
    _beat_at: float | None = None
    _trouble: str = ""

    @property
    def trouble(self) -> str:
        """What is stuck, or empty. Also told where the beats themselves have stopped."""
        if self._trouble or self._beat_at is None:
            return self._trouble
        silence = self.clock.monotonic() - self._beat_at
        late = silence > MOST_BEATS_MISSED * self.every_seconds + PATIENCE_SECONDS
        return f"no sign of life for {silence:.0f} s" if late else ""

    async def run(self) -> None:
        try:
            while True:
                await self._beat()
                await self.clock.sleep(self.every_seconds)
        finally:
            for _, task in self._asked.values():
                task.cancel()

    async def _beat(self) -> None:
        found = await self.look()
        if found and not self._trouble:
            self.emit(Stuck(found))
        self._trouble = found
        if not found and not self._asked:
            self._beat_at = self.clock.monotonic()
            self.emit(Alive())

    async def look(self) -> str:
        """Ask every part, and wait for the answers for a while; what is wrong with the first that is not well."""
        for name, check in self.checks.items():
            if name not in self._asked:
                self._asked[name] = (self.clock.monotonic(), asyncio.ensure_future(check()))
        # A question that is not answered stays asked: cancelled, it would wait for what is stuck all the same.
        await asyncio.wait([task for _, task in self._asked.values()], timeout=self.every_seconds)
        found = ""
        for name, (at, task) in list(self._asked.items()):
            waited = self.clock.monotonic() - at
            if task.done():
                del self._asked[name]
                found = found or _told(name, task)
            elif waited > PATIENCE_SECONDS:
                found = found or f"the {name} has not answered for {waited:.0f} s"
        return found


def _told(name: str, task: asyncio.Task[str]) -> str:
    error = task.exception()
    trouble = str(error) if error is not None else task.result()
    return f"the {name}: {trouble}" if trouble else ""


def beat_seconds(watchdog_seconds: float | None) -> float:
    """How often to beat: three times in what the service manager waits, if it waits at all."""
    return BEAT_SECONDS if watchdog_seconds is None else min(BEAT_SECONDS, watchdog_seconds / 3)


def work_checks(claimer: Claimer, deadline: Deadline, inboxes: Mapping[str, Inbox], clock: Clock) -> dict[str, Check]:
    """What claims jobs, and what works on them."""

    async def turning() -> str:
        waited = clock.monotonic() - claimer.turned_at
        return f"has not looked at the queue for {waited:.0f} s" if waited > STILL_SECONDS else ""

    async def within_deadlines() -> str:
        longest = claimer.longest()
        if longest is None:
            return ""
        job, seconds = longest
        allowed = deadline.for_bytes(job.signature.size_bytes) + _most_work(deadline, inboxes[job.inbox])
        late = seconds > OVERDUE_FACTOR * allowed
        return f"job {job.id} is in hand for {seconds:.0f} s, past every deadline" if late else ""

    return {"claimer": turning, "worker pool": within_deadlines}


def _most_work(deadline: Deadline, inbox: Inbox) -> float:
    """What the largest picture, or the longest document, that the inbox takes may add to the deadline."""
    pages = inbox.limits.max_frames if inbox.recipe.pages == "all" else 1
    return deadline.for_work(inbox.limits.max_pixels, pages * len(inbox.recipe.renditions))
