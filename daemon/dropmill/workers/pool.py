"""The worker pool: at most ``size`` processes at work, each lost at the cost of one attempt and no more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from types import TracebackType
from typing import Final, Self

import anyio
from anyio.abc import TaskGroup

from dropmill.model.bearing import Bearing, Looked
from dropmill.model.errand import Errand, ErrandResult
from dropmill.model.outcome import Reason
from dropmill.model.work import Place, Preview, Rejected, Troubled, WorkerLost, WorkRequest, WorkResult
from dropmill.ports import Clock, PoolStats
from dropmill.workers.admission import Admission
from dropmill.workers.ending import Ended, cause, how
from dropmill.workers.errands import Turns, carried_out
from dropmill.workers.frames import Breach, Closed
from dropmill.workers.keeper import Keeper, Patience
from dropmill.workers.member import DeadlinePassed, Member, NotTaken, Unconfined
from dropmill.workers.nursery import ForkRefused, Nursery, ZygoteLost
from dropmill.workers.order import Order, R, of_job
from dropmill.workers.output import WorkerOutput

_KILL_SECONDS: Final = 10.0  # After SIGKILL; one that is not gone by then waits in the kernel, on a dead disk or share.
# About a file that libvips was to stream: the ordinary decoder then gets an attempt, with all the memory that it takes.
_PROVES_NOTHING: Final = (Rejected, Troubled, WorkerLost)


class ProcessPool:
    """``ports.WorkerPool`` by processes of our own, forked from a zygote that has loaded the imaging modules.

    Entered once, in the thread that outlives it (the kernel ties the zygote's life to it). Entering starts the zygote and
    waits for nothing; workers start as jobs come and go after ``idle_seconds`` without one.
    ``memory_budget_mb`` is what a worker may map beyond the loaded modules, ``memory_room_bytes`` what pictures may take in
    all workers together, by their own estimate: one that finds no room waits, and one that needs more than a worker's
    budget gets it, in a worker that is not used again, or is streamed. ``load`` names the module whose ``process(request,
    wanted)`` does the work, and whose ``preload()``, if there is one, is called in the zygote. ``on_output`` is told, on
    the loop, each line that a process of the pool prints.
    """

    def __init__(
        self,
        size: int,
        memory_budget_mb: int,
        memory_room_bytes: int,
        idle_seconds: float,
        clock: Clock,
        load: str,
        on_output: Callable[[WorkerOutput], None],
    ) -> None:
        self._size = size
        self._budget_bytes = memory_budget_mb << 20
        self._admission = Admission(memory_room_bytes)
        # Workers stay with the folders of their first job: idle ones for other inboxes are kept while memory allows.
        self._spare = min(max(memory_room_bytes // self._budget_bytes - size, 0), size)
        self._idle_seconds = idle_seconds
        self._clock = clock
        self._on_output = on_output
        self._keeper = Keeper(load, self._budget_bytes, clock, self._ended, self._refill, self._mourn_all, on_output)
        self._members: dict[int, Member] = {}
        self._idle: list[Member] = []
        self._busy = 0
        self._unborn = self._greeting = 0  # Asked for and not yet ready; of these, those that are members already.
        self._undead: set[Member] = set()
        self._waiting: dict[asyncio.Future[Member], Place] = {}
        self._started_total = 0
        self._lost_total = 0
        self._patience = Patience(clock)
        self._turns = Turns(size)
        self._trouble = self._unconfined = ""
        self._guards: tuple[str, ...] | None = None
        self._open = False
        self._tasks: TaskGroup

    async def __aenter__(self) -> Self:
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        self._open = True
        self._keeper.start()
        self._tasks.start_soon(self._keeper.run)
        self._tasks.start_soon(self._release_idle)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        self._open = False
        self._tasks.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await self._keeper.close()
            for turn in list(self._waiting):
                if not turn.done():
                    turn.set_exception(RuntimeError("the worker pool was closed"))
            self._waiting.clear()
        return await self._tasks.__aexit__(kind, error, trace)

    @property
    def zygote_pid(self) -> int:
        """0 while there is none."""
        return self._keeper.nursery.pid if self._keeper.nursery is not None else 0

    def stats(self) -> PoolStats:
        return PoolStats(
            size=self._size,
            busy=self._busy,
            pids=tuple(self._members),
            started_total=self._started_total,
            lost_total=self._lost_total,
            trouble=self._keeper.trouble or self._trouble or self._unconfined,
            guards=self._guards,
            waiting_for_memory=self._admission.waiting,
        )

    async def run(
        self,
        request: WorkRequest,
        *,
        timeout_seconds: float,
        wanted: Callable[[Preview], Awaitable[bool]],
        allowance_seconds: Callable[[Preview], float],
        bearing: Callable[[Looked], Awaitable[Bearing]] | None = None,
    ) -> WorkResult | WorkerLost:
        """As the port says. What ``wanted`` or ``bearing`` raises comes out of here, once the worker has been killed."""
        streamed = False

        async def heard(preview: Preview) -> bool:
            nonlocal streamed
            streamed = preview.streams
            return await wanted(preview)

        first = replace(request, budget_bytes=self._budget_bytes)
        with self._turns.job():
            result = await self._attempt(of_job(first, bearing), timeout_seconds, heard, allowance_seconds)
            if not streamed or not isinstance(result, _PROVES_NOTHING) or result.reason is Reason.INTERRUPTED:
                return result
            return await self._attempt(of_job(request, bearing), timeout_seconds, wanted, allowance_seconds)

    async def errand(
        self, errand: Errand, *, timeout_seconds: float, urgent: bool = False
    ) -> ErrandResult | WorkerLost:
        """As the port says."""
        async with self._turns.errand(urgent=urgent) as serial:
            return await carried_out(errand, serial, timeout_seconds, self._attempt)

    async def _attempt(
        self,
        order: Order[R],
        timeout_seconds: float,
        wanted: Callable[[Preview], Awaitable[bool]],
        allowance_seconds: Callable[[Preview], float],
    ) -> R | WorkerLost:
        while True:
            member = await self._lease(order.place)
            held: list[int] = []
            try:
                result = await member.exchange(
                    order, timeout_seconds, self._admission.gate(member, wanted, held), allowance_seconds
                )
            except NotTaken as refusal:
                self._busy -= 1
                self._tasks.start_soon(self._settle_unasked, member)
                if isinstance(refusal, Unconfined):  # No fault of the job; the next worker may well meet the same.
                    self._unconfined = f"a new worker cannot be confined, so no job is begun in it: {refusal}"
                    await self._patience.pause()
                continue
            except DeadlinePassed:
                late = "no result by the deadline; the worker was killed"
                return await self._kill(member, WorkerLost(Reason.TIMEOUT, late))
            except Breach as breach:
                broke = f"the worker broke the protocol and was killed: {breach}"
                return await self._kill(member, WorkerLost(Reason.WORKER_CRASHED, broke))
            except Closed:
                return await self._settle(member)
            except BaseException:
                await self._kill(member, None)
                raise
            finally:
                for needs_bytes in held:
                    self._admission.leave(needs_bytes)
            self._give_back(member)
            return result

    # Leasing.

    async def _lease(self, place: Place) -> Member:
        if not self._open:
            raise RuntimeError("the worker pool is closed")
        for member in reversed(self._idle):  # The one that worked last, so that those not needed grow old.
            if member.place in {None, place}:
                self._idle.remove(member)
                self._busy += 1
                return member
        self._make_room()
        turn: asyncio.Future[Member] = asyncio.get_running_loop().create_future()
        self._waiting[turn] = place
        self._refill()
        try:
            return await turn
        except BaseException:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._give_back(turn.result())
            self._waiting.pop(turn, None)
            raise

    def _give_back(self, member: Member) -> None:
        """After a sound attempt: to the next in line, or to the idle ones."""
        self._busy -= 1
        self._unconfined = ""
        self._patience.restore()
        self._keeper.proved()
        member.drain.end()
        if member.fit_for_work():
            self._offer(member)
        else:
            self._tasks.start_soon(self._settle_unasked, member)

    def _offer(self, member: Member) -> None:
        for turn, place in self._waiting.items():  # In the order of arrival.
            if not turn.done() and member.place in {None, place}:
                del self._waiting[turn]
                self._busy += 1
                turn.set_result(member)
                return
        member.idle_since = self._clock.monotonic()
        self._idle.append(member)
        if len(self._waiting) > self._unborn:
            self._make_room()
            self._refill()

    def _refill(self) -> None:
        """Start what the waiting jobs need, as far as there is room."""
        nursery = self._keeper.nursery
        if nursery is None or not nursery.is_alive:
            return  # The next zygote's start comes back to this.
        for _ in range(min(self._room(), len(self._waiting) - self._unborn)):
            self._unborn += 1
            self._tasks.start_soon(self._bear)

    def _make_room(self) -> None:
        """All idle workers are for other folders than those that are waited for."""
        if self._idle and self._room() <= 0:
            self._dismiss(self._idle[0])

    def _room(self) -> int:
        """For how many more processes."""
        # As many processes as the pool's size may hang in the kernel before they count against it: a share that has
        # died must hold back its own jobs only, and yet not collect processes without end.
        processes = len(self._members) + self._unborn - self._greeting
        room = self._size - (processes - len(self._idle)) - max(0, len(self._undead) - self._size)
        return min(room, self._size + self._spare - processes)

    async def _bear(self) -> None:
        """One more worker, for whoever waits. A failure is told and leads to another try after a while."""
        member: Member | None = None
        try:
            if self._keeper.nursery is None:
                raise ZygoteLost
            member = await Member.born(self._keeper.nursery, self._budget_bytes, self._on_output)
            self._members[member.pid] = member
            self._greeting += 1
            self._started_total += 1
            await member.greet()
            self._guards = member.guards
        except ZygoteLost:
            return  # The next zygote refills.
        except ForkRefused as refusal:
            self._trouble = f"no further worker process can be started: {refusal}"
            await self._patience.pause()
        except (Breach, Closed) as failure:
            if member is not None:
                ended = await self._bury(member, kill=isinstance(failure, Breach))
                if ended is not None and not ended.zygote_lost:
                    self._trouble = f"a new worker {_at_start(ended)}"
            await self._patience.pause()
        else:
            self._trouble = ""
            self._offer(member)
        finally:
            self._unborn -= 1
            self._greeting -= member is not None
            if self._open:
                self._refill()

    # Ends.

    async def _kill(self, member: Member, lost: WorkerLost | None) -> WorkerLost:
        """After an attempt that went wrong. Not to be cancelled: when it returns, nothing of the attempt goes on."""
        self._busy -= 1
        self._lost_total += 1
        with anyio.CancelScope(shield=True):
            ended = await self._bury(member, kill=True)
        if ended is not None and ended.zygote_lost:
            # The zygote's end came first; whatever the worker seemed to do, it was innocent.
            return _lost(ended, member.budget_bytes, b"")
        return lost or WorkerLost(Reason.WORKER_CRASHED, "killed")

    async def _settle(self, member: Member) -> WorkerLost:
        """After an attempt whose worker ended by itself."""
        self._busy -= 1
        self._lost_total += 1
        with anyio.CancelScope(shield=True):
            words = member.drain.latest_words()
            ended = await self._bury(member, kill=False)
        if ended is None:
            return WorkerLost(Reason.WORKER_CRASHED, "the worker closed its socket and could not be killed")
        return _lost(ended, member.budget_bytes, words)

    async def _settle_unasked(self, member: Member) -> None:
        """An idle worker that ended, said something unasked, or is leaving."""
        if member.leaving:
            member.channel.close()  # It ends when it sees that, if it has not by itself.
        else:
            self._lost_total += 1
        with anyio.CancelScope(shield=True):
            await self._bury(member, kill=not member.leaving)

    async def _bury(self, member: Member, *, kill: bool) -> Ended | None:
        """Wait for the end, after SIGKILL where asked or where a moment's patience is not enough; None: it would not."""
        patience = 0.0 if kill else 1.0
        await asyncio.wait([member.ended], timeout=patience)
        if not member.ended.done():
            try:
                await member.nursery.kill(member.pid)
            except ZygoteLost:
                pass  # Its end takes the worker with it, and the keeper says so.
            await asyncio.wait([member.ended], timeout=_KILL_SECONDS)
        self._forget(member)
        if not member.ended.done():
            self._undead.add(member)
            member.ended.add_done_callback(lambda _: self._undead.discard(member))
            return None
        return member.ended.result()

    def _forget(self, member: Member) -> None:
        if self._members.get(member.pid) is member:
            del self._members[member.pid]
        if member in self._idle:
            self._idle.remove(member)
        member.close()
        if self._open:
            self._refill()

    def _ended(self, pid: int, ended: Ended) -> None:
        """Told by the zygote. Whoever has the worker in hand reads its last words first, and then buries it."""
        member = self._members.get(pid) or next((one for one in self._undead if one.pid == pid), None)
        if member is None:
            return
        if not member.ended.done():
            member.ended.set_result(ended)
        if member in self._idle:
            self._lost_total += 1
            self._forget(member)

    # Background.

    def _mourn_all(self, nursery: Nursery) -> None:
        for member in [*self._members.values(), *self._undead]:
            if member.nursery is nursery:
                if not member.ended.done():
                    member.ended.set_result(Ended(0, zygote_lost=True))
                if member in self._idle:
                    self._forget(member)

    async def _release_idle(self) -> None:
        while True:
            await self._clock.sleep(min(max(self._idle_seconds / 4, 0.02), 15.0))
            now = self._clock.monotonic()
            for member in [one for one in self._idle if now - one.idle_since >= self._idle_seconds]:
                self._dismiss(member)

    def _dismiss(self, member: Member) -> None:
        self._idle.remove(member)
        member.leaving = True
        self._tasks.start_soon(self._settle_unasked, member)


def _lost(ended: Ended, budget_bytes: int, last_words: bytes) -> WorkerLost:
    return WorkerLost(*cause(ended, budget_bytes=budget_bytes, last_words=last_words))


def _at_start(ended: Ended) -> str:
    return f"{how(ended.status)} before its first job (see its output)"
