"""Free workers pull jobs: claimed in small lots ahead of time, so that a core never waits for the queue."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable

import anyio
from anyio.abc import TaskGroup

from dropmill.errors import DropmillError
from dropmill.model.job import Job
from dropmill.observe.facts import Claimed, Emit, StateTrouble
from dropmill.observe.flight import Flight
from dropmill.ports import ALL_INBOXES, Clock, JobEngine

# Without a reason to look earlier, the queue is looked at this often; wake() comes first in practice.
IDLE_SECONDS = 5.0
# Claimed ahead at least, so that small pictures do not cost a transaction each.
LEAST_AHEAD = 4


class Claimer:
    """Gives jobs to ``handler`` with at most ``slots`` at a time; a job that must run alone gets the house to itself."""

    def __init__(
        self,
        engine: JobEngine,
        handler: Callable[[Job], Awaitable[None]],
        slots: int,
        clock: Clock,
        emit: Emit,
        flight: Flight,
    ) -> None:
        self._engine = engine
        self._handler = handler
        self._slots = slots
        self._clock = clock
        self._emit = emit
        self._flight = flight
        self._ahead: deque[Job] = deque()
        self._unclaimed: deque[Job] = deque()
        self._running: dict[int, tuple[Job, anyio.CancelScope]] = {}
        self._begun: dict[int, float] = {}
        self._wake = anyio.Event()
        self._closing = anyio.Event()
        self._ended = anyio.Event()
        self._given_back = 0
        self.turned_at = clock.monotonic()
        """When the queue was last looked at, which never takes longer than ``IDLE_SECONDS`` where all is well."""

    def wake(self) -> None:
        """Something may be claimable now: a new job, a freed worker, a resumed inbox."""
        self._wake.set()

    @property
    def in_hand(self) -> list[int]:
        """Ids of claimed jobs whose handler has not returned, or that the catalog still has to be told of."""
        return list(dict.fromkeys([*self._running, *(job.id for job in (*self._ahead, *self._unclaimed))]))

    def longest(self) -> tuple[Job, float] | None:
        """The job that has been worked on longest, and for how many seconds."""
        if not self._begun:
            return None
        job_id = min(self._begun, key=self._begun.__getitem__)
        return self._running[job_id][0], self._clock.monotonic() - self._begun[job_id]

    def cancel(self, job_id: int) -> None:
        """Stop working on a job that a person has cancelled; its row says so already."""
        if job_id in self._running:
            self._running[job_id][1].cancel()
        self._ahead = deque(job for job in self._ahead if job.id != job_id)

    async def give_back(self, inbox: str | None) -> None:
        """Begin nothing more of what was claimed ahead, of one inbox or of all: a pause holds from now on.

        Where the catalog cannot be written just now, it is told later.
        """
        self._unclaim([job for job in self._ahead if inbox in {None, job.inbox}])
        await self._release()

    async def take_back(self, inbox: str) -> None:
        """Give back everything of an inbox, what runs included: its folders have stopped answering (W40)."""
        self._cut([job for job, _ in self._running.values() if job.inbox == inbox])
        await self.give_back(inbox)

    async def run(self) -> None:
        """Claim and hand out until :meth:`close`; then give back what has not begun, and wait for the running ones."""
        async with anyio.create_task_group() as group:
            while not self._closing.is_set():
                self._wake = anyio.Event()
                self.turned_at = self._clock.monotonic()
                await self._release()
                wait_seconds = 1.0 if self._unclaimed else await self._fill()
                if self._closing.is_set():  # Set while a claim was under way: what it brought must not begin.
                    break
                self._hand_out(group)
                with anyio.move_on_after(wait_seconds):
                    await self._wake.wait()
            await self.give_back(None)
        self._ended.set()

    async def _fill(self) -> float:
        """Claim up to a lot ahead; returns how long to wait at most before looking again."""
        room = self._slots + max(self._slots, LEAST_AHEAD) - len(self._running) - len(self._ahead)
        if len(self._ahead) > self._slots // 2 or room <= 0:
            return IDLE_SECONDS
        idle = not self._running and not self._ahead
        try:
            with self._flight.stage("claim"):
                jobs = await self._engine.claim(room, idle=idle)
            self._ahead.extend(jobs)
            for job in jobs:
                waited = (self._clock.now_ms() - job.enqueued_at_ms) / 1000
                self._emit(Claimed(job.id, job.inbox, job.rel, job.attempts, max(0.0, waited)))
            if jobs:
                for inbox in await self._engine.paused():  # A pause may have come while the claim was under way.
                    await self.give_back(None if inbox == ALL_INBOXES else inbox)
                return IDLE_SECONDS
            due_ms = await self._engine.next_due_ms()
        except DropmillError as error:
            self._emit(StateTrouble("claim", str(error)))
            return 1.0
        if due_ms is None:
            return IDLE_SECONDS
        until_due = (due_ms - self._clock.now_ms()) / 1000
        # One that is due and was not claimed belongs to a paused inbox.
        return min(IDLE_SECONDS, until_due if until_due > 0 else 1.0)

    def _hand_out(self, group: TaskGroup) -> None:
        while self._ahead and len(self._running) < self._slots:
            if self._running and (self._ahead[0].alone or any(job.alone for job, _ in self._running.values())):
                return
            job = self._ahead.popleft()
            scope = anyio.CancelScope()
            self._running[job.id] = (job, scope)
            self._begun[job.id] = self._clock.monotonic()
            group.start_soon(self._handle, job, scope)

    async def _handle(self, job: Job, scope: anyio.CancelScope) -> None:
        try:
            with scope:
                await self._handler(job)
        finally:
            # One that was taken back may have been claimed again before its handler came to an end.
            if self._running.get(job.id, (None,))[0] is job:
                del self._running[job.id], self._begun[job.id]
            self.wake()

    async def close(self, grace_seconds: float) -> int:
        """Claim no more, give back what was only claimed, let the running finish; returns how many were given back.

        Those still running after ``grace_seconds`` are cut off and given back too.
        """
        self._closing.set()
        self.wake()
        with anyio.move_on_after(grace_seconds):
            await self._ended.wait()
        self._cut([job for job, _ in self._running.values()])
        with anyio.CancelScope(shield=True):
            await self._ended.wait()
        await self._release()  # What the catalog does not take now, the next start gives back.
        return self._given_back

    def _cut(self, jobs: Iterable[Job]) -> None:
        """Stop working on jobs that run; they are to be given back."""
        jobs = list(jobs)
        for job in jobs:
            self._running[job.id][1].cancel()
        self._unclaim(jobs)

    def _unclaim(self, jobs: Iterable[Job]) -> None:
        self._unclaimed.extend(job for job in jobs if job not in self._unclaimed)
        self._ahead = deque(job for job in self._ahead if job not in self._unclaimed)

    async def _release(self) -> None:
        """Tell the catalog of what is given back. What it does not take stays, and every turn tries again."""
        try:
            while self._unclaimed:
                job = self._unclaimed[0]
                released = await self._engine.release(job)
                self._given_back += released
                if job in self._unclaimed:  # Two may be at it; the catalog counts one.
                    self._unclaimed.remove(job)
        except DropmillError as error:
            self._emit(StateTrouble("claim", str(error)))
