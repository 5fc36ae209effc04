"""Whether the daemon is alive: not that a timer runs, but that what does the work gets answers (S11).

Parts are asked, and those that wait for disks are judged by when they last went on: a share that hangs is no reason for a
restart, which would not heal it. A beat is told only when everything was asked and answered; a service manager that hears none for too long restarts us.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from dropmill.fetch.dropfile import Tail
from dropmill.files.lane import Lane
from dropmill.model.inbox import Inbox
from dropmill.observe.facts import Alive, Emit, Stuck
from dropmill.pipeline.claim import Claimer
from dropmill.pipeline.process import Deadline
from dropmill.pipeline.settle import Settling
from dropmill.pipeline.watch import Watch
from dropmill.ports import Clock

BEAT_SECONDS: Final = 5.0
# A loaded machine with a slow disk may keep a commit waiting that long; what takes longer is stuck.
PATIENCE_SECONDS: Final = 20.0
# Three beats that did not come are more than a moment's load.
MOST_BEATS_MISSED: Final = 3
# The queue and the inboxes are looked at every few seconds; who has not done so for that long is stuck.
STILL_SECONDS: Final = 60.0
# The pool ends a job at its deadline, not counting waits for memory; one this much older means that the pool is stuck.
OVERDUE_FACTOR: Final = 5.0

Check = Callable[[], Awaitable[str]]
"""Says what is wrong, or nothing; one that does not return is what is wrong."""


@dataclass(slots=True)
class Pulse:
    """``of_intake`` are asked only until ``draining`` is set: from then on nothing is looked for and nothing claimed."""

    checks: Mapping[str, Check]
    clock: Clock
    emit: Emit
    every_seconds: float = BEAT_SECONDS
    of_intake: Mapping[str, Check] = field(default_factory=dict)
    draining: bool = False
    _asked: dict[str, tuple[float, asyncio.Task[str]]] = field(default_factory=dict)
    _beat_at: float | None = None
    _ran_at: float | None = None
    _lenient_until: float | None = None
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
            if self._lenient_until is not None and self.clock.monotonic() < self._lenient_until:
                return
            self.emit(Stuck(found))
        self._trouble = found
        if not found and not self._asked:
            self._beat_at = self.clock.monotonic()
            self._lenient_until = None
            self.emit(Alive())

    async def look(self) -> str:
        """Ask every part, and wait for the answers for a while; what is wrong with the first that is not well."""
        self._awake()
        for name, check in {**self.checks, **({} if self.draining else self.of_intake)}.items():
            if name not in self._asked:
                self._asked[name] = (self.clock.monotonic(), asyncio.ensure_future(check()))
        # A question that is not answered stays asked: cancelled, it would wait for what is stuck all the same.
        if self._asked:
            await asyncio.wait([task for _, task in self._asked.values()], timeout=self.every_seconds)
        self._awake()
        found = ""
        for name, (at, task) in list(self._asked.items()):
            waited = self.clock.monotonic() - at
            if self.draining and name in self.of_intake:
                task.cancel()
                del self._asked[name]
            elif task.done():
                del self._asked[name]
                found = found or _told(name, task)
            elif waited > PATIENCE_SECONDS:
                found = found or f"the {name} has not answered for {waited:.0f} s"
        return found

    def _awake(self) -> None:
        """Where we did not run ourselves, as after SIGSTOP, the others did not either: they have their patience anew.

        Once between two beats, so that what comes too late for ever is found.
        """
        now = self.clock.monotonic()
        # What is waited for between two of these takes a beat; who is late by more than another did not run.
        late = self._ran_at is not None and now - self._ran_at > 2 * self.every_seconds
        if late and self._lenient_until is None:
            self._lenient_until = now + PATIENCE_SECONDS
            self._beat_at = now if self._beat_at is not None else None
        self._ran_at = now


def _told(name: str, task: asyncio.Task[str]) -> str:
    error = task.exception()
    trouble = str(error) if error is not None else task.result()
    return f"the {name}: {trouble}" if trouble else ""


def beat_seconds(watchdog_seconds: float | None) -> float:
    """How often to beat: three times in what the service manager waits, if it waits at all."""
    return BEAT_SECONDS if watchdog_seconds is None else min(BEAT_SECONDS, watchdog_seconds / 3)


class Turning(Protocol):
    """What goes on by itself. ``turned_at``: when it last did, by the monotonic clock."""

    @property
    def turned_at(self) -> float: ...


class Turns:
    """Judges one part that goes on by itself, each time it is asked. What it is excused for is not held against it."""

    def __init__(self, part: Turning, clock: Clock, rest_seconds: float = 0.0) -> None:
        """``rest_seconds``: how long it may rest between two turns where all is well, if that is long."""
        self._part = part
        self._clock = clock
        self._patience_seconds = STILL_SECONDS + rest_seconds
        self._excused_at = clock.monotonic()

    def missed_seconds(self, *, excused: bool) -> float:
        """For how long it has not gone on, where that is too long; else 0."""
        now = self._clock.monotonic()
        if excused:
            self._excused_at = now
        waited = now - max(self._part.turned_at, self._excused_at)
        return waited if waited > self._patience_seconds else 0.0


class Hanging:
    """Whether the call under way is still the one of the last time it was asked: a disk that keeps who made it waiting."""

    def __init__(self, turn: Callable[[], int]) -> None:
        """``turn``: as ``Lane.turn``."""
        self._turn = turn
        self._seen = 0

    def __call__(self) -> bool:
        before, self._seen = self._seen, self._turn()
        return self._seen != 0 and self._seen == before


class Behind:
    """Whether a lane has yet to do what it was asked for at the time before: so long whoever asks the disk has to wait.

    Its disk hangs, or is slow and has much to do. A part that waits for it is excused; one that stands still although its
    lane answers is not.
    """

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._asked: asyncio.Future[None] | None = None

    def __call__(self) -> bool:
        behind = self._asked is not None and not self._asked.done()
        if not behind:
            self._asked = self._lane.send(_nothing)
        return behind


def _nothing() -> None:
    """Done once all that was asked before is."""


class InboxCheck:
    """The watcher of one inbox: the stage that looks after it, who reads its events, and what lets its files settle."""

    def __init__(self, watch: Watch, settling: Settling, lane: Lane, clock: Clock) -> None:
        """``lane``: the inbox's, where everything waits that touches its disk."""
        self._watch = watch
        self._settling = settling
        self._behind = Behind(lane)
        self._looking = Turns(watch, clock)
        self._settled = Turns(settling, clock)
        self._clock = clock
        self._heard_at = clock.monotonic()

    def __call__(self) -> str:
        behind = self._behind()
        # Who reads the events has to wait for a watch that is just being set, which is a call to the disk.
        if self._watch.ask_reader() or behind:
            self._heard_at = self._clock.monotonic()
        self._settling.nudge()
        name = self._watch.inbox.name
        deaf = self._clock.monotonic() - self._heard_at
        if deaf > PATIENCE_SECONDS:
            return f"who reads the events of {name} has not answered for {deaf:.0f} s"
        if missed := self._looking.missed_seconds(excused=behind):
            return f"inbox {name} has not been looked after for {missed:.0f} s"
        if missed := self._settled.missed_seconds(excused=behind or self._settling.hands_on):
            return f"nothing of {name} settles for {missed:.0f} s"
        return ""


class TailCheck:
    """The reader of one drop-file. ``intake_open``: whether there is room for what it reads."""

    def __init__(self, tail: Tail, intake_open: Callable[[], bool], clock: Clock) -> None:
        self._tail = tail
        self._intake_open = intake_open
        self._hanging = Hanging(lambda: tail.call_under_way)
        self._turns = Turns(tail, clock, tail.dropfile.poll_seconds)

    def __call__(self) -> str:
        missed = self._turns.missed_seconds(excused=self._hanging() or not self._intake_open())
        return f"drop-file {self._tail.name} has not been looked at for {missed:.0f} s" if missed else ""


def intake_checks(watchers: Sequence[Callable[[], str]], claimer: Claimer, clock: Clock) -> dict[str, Check]:
    """What looks for files and lines, and what claims jobs."""

    async def watching() -> str:
        return next(filter(None, [ask() for ask in watchers]), "")

    async def turning() -> str:
        waited = clock.monotonic() - claimer.turned_at
        return f"has not looked at the queue for {waited:.0f} s" if waited > STILL_SECONDS else ""

    return {"watchers": watching, "claimer": turning}


def work_checks(claimer: Claimer, deadline: Deadline, inboxes: Mapping[str, Inbox], clock: Clock) -> dict[str, Check]:
    """What works on jobs."""

    async def within_deadlines() -> str:
        longest = claimer.longest()
        if longest is None:
            return ""
        job, seconds = longest
        allowed = deadline.for_bytes(job.signature.size_bytes) + _most_work(deadline, inboxes[job.inbox])
        late = seconds > OVERDUE_FACTOR * allowed
        return f"job {job.id} is in hand for {seconds:.0f} s, past every deadline" if late else ""

    return {"worker pool": within_deadlines}


def _most_work(deadline: Deadline, inbox: Inbox) -> float:
    """What the largest picture, or the longest document, that the inbox takes may add to the deadline."""
    pages = inbox.limits.max_frames if inbox.recipe.pages == "all" else 1
    return deadline.for_work(inbox.limits.max_pixels, pages * len(inbox.recipe.renditions))
