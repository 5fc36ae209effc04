"""The order of life: start, serve, drain, stop. Shutdown order is indentation: web ⊃ work ⊃ ingest."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Final

import anyio
from anyio.abc import TaskGroup

from dropmill.errors import DropmillError
from dropmill.fetch.dropfile import Tail
from dropmill.fetch.fetcher import Fetcher
from dropmill.fetch.lists import Lists
from dropmill.fetch.results import Results
from dropmill.files.presence import HomeOutOfReach
from dropmill.maintenance.drain import Drain
from dropmill.maintenance.pulse import Pulse
from dropmill.maintenance.recover import PATIENCE_SECONDS, Recovery
from dropmill.maintenance.surroundings import Surroundings
from dropmill.model.inbox import Inbox
from dropmill.model.job import Job
from dropmill.model.outcome import Reason
from dropmill.model.work import Troubled, WorkerLost, WorkResult
from dropmill.observe.facts import (
    Beginning,
    Draining,
    DropfileTrouble,
    Emit,
    Ready,
    StateTrouble,
    Stopped,
    Stopping,
    WatchDegraded,
)
from dropmill.observe.flight import Flight
from dropmill.pipeline.claim import Claimer
from dropmill.pipeline.commit import Committer, out_of_reach
from dropmill.pipeline.process import Processor
from dropmill.pipeline.settle import Settling
from dropmill.pipeline.watch import Watch
from dropmill.ports import Clock

# Commits that may wait for the writer before workers have to wait for them.
MOST_COMMITS: Final = 64
ONCE_POLL_SECONDS: Final = 0.05
RECOVERY_POLL_SECONDS: Final = 0.01
# Even where the running jobs used up the time to stop, what they gave is committed and published.
LEAST_FINISH_SECONDS: Final = 3.0
ABANDON_SECONDS: Final = 1.0
# A start and an end that take long are told of so often.
TOLD_SECONDS: Final = 2.0


@dataclass(slots=True)
class Parts:
    """What ``assembly`` puts together for one run."""

    inboxes: Mapping[str, Inbox]
    watches: Sequence[Watch]
    settlings: Mapping[str, Settling]
    claimer: Claimer
    fetcher: Fetcher
    tails: Mapping[str, Tail]
    tellers: Mapping[str, Results | Lists]
    processor: Processor
    committer: Committer
    drains: Sequence[Drain]
    recovery: Recovery
    surroundings: Surroundings
    pulse: Pulse
    upkeep: Sequence[Callable[[], Coroutine[Any, Any, None]]]
    """What runs beside the work, for as long as it does."""
    pool: AbstractAsyncContextManager[object]
    locate: Callable[[Job, Inbox], Awaitable[tuple[bytes, bytes]]]
    serve: Callable[[], AbstractAsyncContextManager[str]]
    closed: Callable[[], Awaitable[Collection[str]]]
    """Inboxes of which nothing begins now: what discovery in them waits for does not come about by itself."""
    finished: Callable[[], Awaitable[bool]]
    clock: Clock
    emit: Emit
    flight: Flight
    started_at: float
    shutdown_timeout_seconds: float


@dataclass(slots=True)
class Supervisor:
    parts: Parts
    once: bool = False
    ready: bool = False
    stopping: bool = False
    _ending: bool = False
    _work: TaskGroup = field(init=False)
    _stop: anyio.Event = field(default_factory=anyio.Event)
    _commits: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(MOST_COMMITS))
    _committing: int = 0

    async def run(self) -> None:
        """Until :meth:`stop` or, with ``once``, until nothing is left to do."""
        parts = self.parts
        async with parts.serve() as address, parts.pool:
            async with anyio.create_task_group() as work:
                self._work = work
                await self._recover()
                work.start_soon(parts.claimer.run)
                work.start_soon(parts.fetcher.run)
                for name, teller in parts.tellers.items():
                    work.start_soon(self._keep, name, teller.path, teller.run)
                for keep in parts.upkeep:
                    work.start_soon(keep)
                async with anyio.create_task_group() as ingest:
                    for name, settling in parts.settlings.items():
                        ingest.start_soon(self._keep_settling, name, settling)
                    for name, tail in parts.tails.items():
                        ingest.start_soon(self._keep, name, tail.dropfile.path, tail.run)
                    for watch in parts.watches:
                        ingest.start_soon(self._keep_watching, watch)
                    self.ready = True
                    seconds = parts.clock.monotonic() - parts.started_at
                    parts.emit(Ready(len(parts.watches), address, seconds, len(parts.tails)))
                    if self.once:
                        ingest.start_soon(self._stop_when_finished)
                    await self._stop.wait()
                    self.stopping = True
                    parts.pulse.draining = True
                    ingest.cancel_scope.cancel()
                deadline = parts.clock.monotonic() + parts.shutdown_timeout_seconds
                work.start_soon(self._tell_of_the_end, deadline + LEAST_FINISH_SECONDS)
                released = await parts.fetcher.close()
                released += await parts.claimer.close(parts.shutdown_timeout_seconds)
                await self._finish_owed(max(deadline - parts.clock.monotonic(), LEAST_FINISH_SECONDS))
                work.cancel_scope.cancel()
            if self._ending:
                parts.emit(Stopped(released))

    def stop(self, cause: str | None) -> None:
        """``cause`` is None where the daemon goes on, with another configuration: then nothing is told of an end."""
        if cause is not None and not self._ending:
            self._ending = True
            self.parts.emit(Stopping(cause))
        self._stop.set()

    def wake_owed(self, inboxes: Iterable[str] | None = None) -> None:
        """Something was committed that is owed to the file system now, by jobs of these inboxes or of any."""
        wanted = None if inboxes is None else frozenset(inboxes)
        for drain in self.parts.drains:
            if wanted is None or drain.inboxes & wanted:
                drain.wake()

    async def handle(self, job: Job) -> None:
        """One job from a free slot on; the commit goes on after the slot is free again, unless too many wait."""
        parts = self.parts
        inbox = parts.inboxes[job.inbox]
        started = parts.clock.monotonic()
        with parts.flight.stage("process", job.id):
            try:
                root, rel = await parts.locate(job, inbox)
                reply = await parts.processor.process(job, inbox, root, rel)
            except anyio.get_cancelled_exc_class():
                # An output that does not answer must not hold back the shutdown (W40); the next start sweeps it too.
                with anyio.move_on_after(ABANDON_SECONDS, shield=True):
                    await parts.committer.abandon(job, inbox)
                raise
            except HomeOutOfReach as error:
                reply = out_of_reach(error)
            except Exception as error:  # noqa: BLE001  # A defect costs this attempt, not the daemon.
                reply = Troubled(Reason.UNEXPECTED, f"{type(error).__name__}: {error}")
        with anyio.CancelScope(shield=True):
            await self._commits.acquire_on_behalf_of(job)
            self._committing += 1
            self._work.start_soon(self._commit, job, inbox, reply, started)

    async def _keep_watching(self, watch: Watch) -> None:
        """A watch that fails is armed and scanned anew: its failure must not look like a quiet folder (W17)."""
        while True:
            try:
                await watch.run()
            except Exception as error:  # noqa: BLE001  # Whatever it was, nobody else would look after the folder.
                watch.close()
                self.parts.emit(
                    WatchDegraded(watch.inbox.name, f"{type(error).__name__}: {error}", "it is started again")
                )
                await self.parts.clock.sleep(1.0)

    async def _keep_settling(self, inbox: str, settling: Settling) -> None:
        """A defect costs one look, not the daemon (W30)."""
        while True:
            try:
                await settling.run()
            except Exception as error:  # noqa: BLE001  # Whatever it was, what waits there is looked at again.
                detail = f"inbox {inbox}: {type(error).__name__}: {error}"
                self.parts.emit(StateTrouble("looking at what settles", detail))
                await self.parts.clock.sleep(1.0)

    async def _keep(self, name: str, path: bytes, run: Callable[[], Awaitable[None]]) -> None:
        """A stage of a drop-file: a defect costs one turn, not the daemon."""
        while True:
            try:
                await run()
            except Exception as error:  # noqa: BLE001  # Whatever it was, nobody else would look after the drop-file.
                detail = f"{type(error).__name__}: {error}"
                self.parts.emit(DropfileTrouble(name, path, detail, "it is started again by itself"))
                await self.parts.clock.sleep(1.0)

    async def _commit(self, job: Job, inbox: Inbox, reply: WorkResult | WorkerLost, started: float) -> None:
        parts = self.parts
        try:
            while not await self._conclude(job, inbox, reply, started):
                await parts.clock.sleep(1.0)
        finally:
            self._committing -= 1
            self._commits.release_on_behalf_of(job)
            self.wake_owed([inbox.name])

    async def _conclude(self, job: Job, inbox: Inbox, reply: WorkResult | WorkerLost, started: float) -> bool:
        """Commit once; False asks for another try. The result is staged and durable meanwhile (S12)."""
        parts = self.parts
        try:
            with parts.flight.stage("commit", job.id):
                await parts.committer.conclude(job, inbox, reply, started)
        except Exception as error:  # noqa: BLE001  # Whatever it was, one job's commit must not end the daemon.
            parts.emit(StateTrouble("commit", f"job {job.id}: {error}"))
            if self.stopping:
                return True
            passing = isinstance(error, OSError) or (isinstance(error, DropmillError) and error.retryable)
            if not passing:
                await self._postpone(job, str(error))
            return not passing
        return True

    async def _postpone(self, job: Job, detail: str) -> None:
        try:
            await self.parts.committer.postpone(job, detail)
        except DropmillError as error:
            self.parts.emit(StateTrouble("commit", str(error)))  # The next start gives the job back.

    async def _tell_of_the_end(self, deadline: float) -> None:
        parts = self.parts
        while True:
            left_seconds = max(0.0, deadline - parts.clock.monotonic())
            in_hand = len(parts.claimer.in_hand) + len(parts.fetcher.in_hand)
            parts.emit(Draining(in_hand, self._committing, left_seconds))
            await parts.clock.sleep(TOLD_SECONDS)

    async def _recover(self) -> None:
        """Deal with what an earlier run left, for a while; a place that hangs keeps only its own inboxes waiting."""
        parts = self.parts
        parts.emit(Beginning("finishing what an earlier run left", 0.0))
        rescued = await parts.recovery.rescue()
        await parts.surroundings.look()
        for drain in parts.drains:
            self._work.start_soon(drain.run, self.wake_owed)
        self._work.start_soon(parts.recovery.run, rescued)
        with anyio.move_on_after(PATIENCE_SECONDS):
            while not parts.recovery.done.is_set() and not self._stop.is_set():
                await parts.clock.sleep(RECOVERY_POLL_SECONDS)

    async def _all_told(self) -> bool:
        """Whether the results of the drop-files are written as far as they can be."""
        return all([await teller.finished() for teller in self.parts.tellers.values()])

    async def _finish_owed(self, seconds: float) -> None:
        """Wait for the commits in hand and publish what they owe, so that a restart finds little to do."""
        parts = self.parts
        with anyio.move_on_after(seconds):
            while self._committing:
                await parts.clock.sleep(0.01)
            # What hangs is left for the next start; there is nothing to wait for.
            while any(not drain.quiet and parts.surroundings.answering(drain.folders) for drain in parts.drains):
                await parts.clock.sleep(0.01)

    async def _stop_when_finished(self) -> None:
        parts = self.parts
        while not await self.is_finished():
            await parts.clock.sleep(ONCE_POLL_SECONDS)
        await parts.fetcher.tell_left()
        self.stop("everything is done")

    def _in_hand(self) -> bool:
        return bool(self.parts.claimer.in_hand or self.parts.fetcher.in_hand or self._committing)

    async def is_finished(self) -> bool:
        """Whether nothing is left to do, or only what waits for longer than a run with ``once`` does."""
        parts = self.parts
        if self._in_hand():  # The rest need not be asked.
            return False
        # In the order of the way: what has gone on meanwhile is met by a later question.
        stays = await parts.closed()
        quiet = all(watch.quiet or (watch.waits and watch.inbox.name in stays) for watch in parts.watches)
        # Without room for the queue, what has settled waits in its inbox for another run.
        closed = not parts.surroundings.intake_open
        settled = closed or all(settling.quiet for settling in parts.settlings.values())
        if not (quiet and settled and all(closed or tail.standing for tail in parts.tails.values())):
            return False
        read = closed or all([await tail.finished() for tail in parts.tails.values()])
        if not read or self._in_hand():  # What ends now makes room for more of a drop-file.
            return False
        return not await parts.fetcher.left() and await parts.finished() and await self._all_told()
