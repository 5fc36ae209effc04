"""URLs are fetched ahead of their processing, as politely as each host wants and as fast as the others let."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import anyio
from anyio.abc import TaskGroup

from dropmill.errors import DropmillError
from dropmill.fetch.active import Active
from dropmill.fetch.ends import Ends
from dropmill.fetch.line import Line, Queued
from dropmill.model.backoff import backoff_seconds
from dropmill.model.download import Failed, Fetch, Fetched, FetchResult, Host
from dropmill.model.inbox import Inbox
from dropmill.model.job import Job
from dropmill.model.outcome import Reason
from dropmill.model.politeness import Rules, after, answered, asks_for_rest, given_up
from dropmill.observe.facts import ClockSet, Emit, Fact, FetchStarted, HostBack, HostResting, LeftResting, StateTrouble
from dropmill.observe.flight import Flight
from dropmill.ports import Clock, Downloader, Fetches

# Without a reason to look earlier, the queue is looked at this often; wake() comes first in practice.
IDLE_SECONDS: Final = 5.0
# While as many downloads wait to be processed as may, whether some have been is looked at this often.
BACKLOG_SECONDS: Final = 0.2
TROUBLE_SECONDS: Final = 1.0
# With ``--once``, what has to wait for longer stays for another run.
ONCE_SECONDS: Final = 60.0
# A full disk is believed for so long at first, and for so long at most.
FULL_SECONDS: Final = (5.0, 60.0)


@dataclass(frozen=True, slots=True)
class Bounds:
    """``backlog_files``: fetching waits while so many downloads wait to be processed. ``once``: ends when all is done."""

    connections: int
    backlog_files: int
    once: bool = False


class Fetcher:
    """Claims what hosts let be asked for, downloads it, and commits what came of it; ``fetched`` is told of files."""

    def __init__(
        self,
        fetches: Fetches,
        downloader: Downloader,
        inboxes: Mapping[str, Inbox],
        bounds: Bounds,
        rules: Rules,
        clock: Clock,
        chance: random.Random,
        emit: Emit,
        flight: Flight,
        fetched: Callable[[], None],
    ) -> None:
        self._fetches = fetches
        self._downloader = downloader
        self._inboxes = inboxes
        self._bounds = bounds
        self._rules = rules
        self._clock = clock
        self._chance = chance
        self._emit = emit
        self._flight = flight
        self._line = Line(bounds.connections, rules)
        self._running: dict[int, Active] = {}
        self._ending: set[int] = set()
        self._unclaimed: list[Job] = []
        self._full_times = 0
        self._hold_until = 0.0
        self._look_at = 0.0
        self._crowded = False
        self._wake = anyio.Event()
        self._closing = anyio.Event()
        self._ends = Ends(fetches, downloader, inboxes, rules, clock, chance, emit, fetched, self._closing)
        self._ended = anyio.Event()
        self._given_back = 0
        self.turned_at = clock.monotonic()
        """When the queue was last looked at, which never takes longer than ``IDLE_SECONDS`` where all is well."""

    @property
    def waits(self) -> str:
        """Why nothing is fetched at present although URLs may wait; empty where that is not so."""
        if self._clock.monotonic() < self._hold_until:
            return "the disk is full"
        if self._crowded:
            return f"{self._bounds.backlog_files} downloads wait to be processed"
        return ""

    # What others ask for.

    def wake(self) -> None:
        """Something may be fetched now: new URLs, a resumed inbox."""
        self._look_at = 0.0
        self._wake.set()

    @property
    def in_hand(self) -> list[int]:
        """Ids of claimed jobs that are not ended yet, or that the catalog still has to be told of."""
        ahead = (fetch.job.id for fetch in self._line.ahead)
        return list(dict.fromkeys([*self._running, *self._ending, *ahead, *(job.id for job in self._unclaimed)]))

    def progress(self) -> list[dict[str, Any]]:
        """The downloads that run, oldest first."""
        now = self._clock.monotonic()
        return [active.told(now) for active in self._running.values()]

    def heard(self, fact: Fact) -> None:
        """A clock that was set moves the rests of hosts, in the catalog and here."""
        if isinstance(fact, ClockSet):
            for queued in self._line:
                queued.move(int(fact.seconds * 1000))

    def cancel(self, job_id: int) -> None:
        """Stop a download that a person has cancelled; its row says so already."""
        if job_id in self._running:
            self._running[job_id].scope.cancel()
        self._line.take_out([fetch for fetch in self._line.ahead if fetch.job.id == job_id])

    async def give_back(self, inbox: str | None) -> None:
        """Begin nothing more of what was claimed ahead, of one inbox or of all: a pause holds from now on."""
        self._unclaim([fetch for fetch in self._line.ahead if inbox in {None, fetch.job.inbox}])
        await self._release()

    async def take_back(self, inbox: str) -> None:
        """Give back everything of an inbox, what runs included: its folders have stopped answering (W40)."""
        self._cut([active for active in self._running.values() if active.fetch.job.inbox == inbox])
        await self.give_back(inbox)

    async def left(self) -> bool:
        """With ``--once``: whether there is anything that is fetched now or can be soon enough."""
        return bool(self.in_hand) or await self._fetches.hopeful(ONCE_SECONDS)

    async def tell_left(self) -> None:
        """With ``--once``, at the end: what stays for another run because it has to wait for longer."""
        left = await self._fetches.left()
        if left.urls:
            seconds = max(0.0, ((left.first_ms or 0) - self._clock.now_ms()) / 1000)
            self._emit(LeftResting(left.hosts, left.urls, seconds))

    async def close(self) -> int:
        """Cut what runs, which goes on where it ended, and give all back; returns how many that were."""
        self._closing.set()
        self._wake.set()
        self._cut(list(self._running.values()))
        with anyio.CancelScope(shield=True):
            await self._ended.wait()
        await self._release()  # What the catalog does not take now, the next start gives back.
        return self._given_back

    # The loop.

    async def run(self) -> None:
        """Claim and download until :meth:`close`."""
        async with anyio.create_task_group() as group:
            await self._bound()
            while not self._closing.is_set():
                self._wake = anyio.Event()
                self.turned_at = self._clock.monotonic()
                self._line.tidy(self.turned_at, all_idle=False)
                await self._release()
                wait_seconds = TROUBLE_SECONDS if self._unclaimed else await self._fill()
                if self._closing.is_set():  # Set while a claim was under way: what it brought must not begin.
                    break
                wait_seconds = min(wait_seconds, self._begin(group))
                self._line.tidy(self._clock.monotonic(), all_idle=True)
                with anyio.move_on_after(wait_seconds):
                    await self._wake.wait()
            await self.give_back(None)
        self._ended.set()

    async def _bound(self) -> None:
        """The clock may have been set back while no daemon ran."""
        while not self._closing.is_set():
            try:
                await self._fetches.bound(self._rules.max_rest_seconds)
                return
            except DropmillError as error:
                self._emit(StateTrouble("fetch", str(error)))
                await self._clock.sleep(TROUBLE_SECONDS)

    async def _fill(self) -> float:
        """Claim what may begin soon; returns how long to wait at most before looking again.

        Until ``_look_at`` no host that is not in the line has anything to be asked for, as far as is known.
        """
        now, now_ms = self._clock.monotonic(), self._clock.now_ms()
        if now < self._hold_until:
            self._look_at = 0.0
            return min(IDLE_SECONDS, self._hold_until - now)
        known, newcomers, doubtful = self._line.wanted(now, now_ms)
        if at_all := now >= self._look_at:
            self._look_at = now + IDLE_SECONDS
        else:
            newcomers = doubtful = 0
            if not any(room for _, room in known):
                return min(IDLE_SECONDS, self._look_at - now)
        looked = self._look_at
        try:
            limit = await self._room()
            self._crowded = limit <= 0 and not self._running
            if limit <= 0:
                self._look_at = 0.0
                return BACKLOG_SECONDS
            claimed = await self._claim(limit, known, newcomers, doubtful)
            wait_seconds = IDLE_SECONDS if claimed else await self._until_due()
        except DropmillError as error:
            self._look_at = 0.0
            self._emit(StateTrouble("fetch", str(error)))
            return TROUBLE_SECONDS
        if at_all and self._look_at == looked:  # Nobody has asked for another look meanwhile.
            self._look_at = now + wait_seconds if newcomers and doubtful and not claimed else 0.0
        return wait_seconds

    async def _room(self) -> int:
        """How many downloads may be begun before too many wait to be processed."""
        most = self._bounds.backlog_files
        in_hand = len(self._running) + len(self._ending) + len(self._line.ahead)
        return most - in_hand - await self._fetches.backlog(most)

    async def _claim(self, limit: int, known: Sequence[tuple[Host, int]], newcomers: int, doubtful: int) -> bool:
        fetches = await self._fetches.claim(limit, known=known, newcomers=newcomers, doubtful=doubtful)
        self._line.add(fetches)
        if fetches:
            open_inboxes = await self._fetches.open()  # A pause may have come while the claim was under way.
            self._unclaim([fetch for fetch in fetches if fetch.job.inbox not in open_inboxes])
            await self._release()
        return bool(fetches)

    async def _until_due(self) -> float:
        due_ms = await self._fetches.next_ready_ms()
        if due_ms is None:
            return IDLE_SECONDS
        seconds = (due_ms - self._clock.now_ms()) / 1000
        # One that is due and was not claimed belongs to a paused inbox.
        return min(IDLE_SECONDS, seconds if seconds > 0 else TROUBLE_SECONDS)

    def _begin(self, group: TaskGroup) -> float:
        """Start what may start, hosts in turn; returns how long to wait at most before more may."""
        now, now_ms = self._clock.monotonic(), self._clock.now_ms()
        if now < self._hold_until:
            return self._hold_until - now
        while (turn := self._line.next(now, now_ms)) is not None:
            fetch, queued = turn
            active = Active(fetch, queued, now)
            self._running[fetch.job.id] = active
            group.start_soon(self._work, active)
        at = self._line.next_at(now)
        return IDLE_SECONDS if at is None else at - now

    async def _work(self, active: Active) -> None:
        """One download from a free slot on; its end is written down after the slot is free again."""
        job, queued = active.fetch.job, active.queued
        self._emit(FetchStarted(job.id, job.inbox, active.path, job.attempts))
        result: FetchResult | None = None
        try:
            with active.scope, self._flight.stage("fetch", job.id):
                result = await self._download(active)
        finally:
            queued.running -= 1
            del self._running[job.id]
            self._wake.set()
        with anyio.CancelScope(shield=True):
            if active.scope.cancel_called or result is None:
                await self._cut_off(active)
                return
            self._ending.add(job.id)
            queued.ending += 1
            try:
                await self._end(active, result)
            finally:
                queued.ending -= 1
                self._ending.discard(job.id)
                self._wake.set()

    async def _download(self, active: Active) -> FetchResult:
        def note(size_bytes: int, total_bytes: int | None) -> None:
            active.note(size_bytes, total_bytes, self._clock.monotonic())
            if not active.queued.proven:
                active.queued.proven = True
                self._wake.set()

        try:
            return await self._downloader.download(active.fetch, self._inboxes[active.fetch.job.inbox], note)
        except Exception as error:  # noqa: BLE001  # A defect costs this attempt, not the daemon.
            return Failed(Reason.UNEXPECTED, f"{type(error).__name__}: {error}", permanent=False)

    async def _cut_off(self, active: Active) -> None:
        """The next attempt goes on where this one ended, unless a person has cancelled the job."""
        if active.cut:
            self._unclaimed.append(active.fetch.job)
        else:
            await self._ends.forget(active)

    def _learn(self, queued: Queued, result: FetchResult) -> None:
        """What the end of a request says of its host, and of the disk."""
        now, now_ms, before = self._clock.monotonic(), self._clock.now_ms(), queued.host
        host = queued.host = after(before, result, now_ms, self._rules, self._chance)
        queued.proven = (queued.proven or answered(result)) and not asks_for_rest(result)
        if host.ready_at_ms > before.ready_at_ms:
            seconds, failing = (host.ready_at_ms - now_ms) / 1000, host.opened_at_ms is not None
            self._emit(HostResting(host.origin, seconds, failing, host.probes, host.detail))
            self._unclaim(queued.ahead)
        if before.opened_at_ms is not None and host.opened_at_ms is None:
            self._emit(HostBack(host.origin, (now_ms - before.opened_at_ms) / 1000))
        if not isinstance(result, Failed):
            self._full_times = 0
        elif result.reason is Reason.DISK_FULL:
            if now >= self._hold_until:
                self._full_times += 1
                self._hold_until = now + backoff_seconds(self._full_times, *FULL_SECONDS, self._chance)
            self._unclaim(self._line.ahead)

    async def _end(self, active: Active, result: FetchResult) -> None:
        queued = active.queued
        self._learn(queued, result)
        await self._ends.write(active, result)
        if given_up(queued.host, self._clock.now_ms(), self._rules, once=self._bounds.once):
            self._unclaim(queued.ahead)
            await self._release()
            await self._ends.give_up(queued)
        if not isinstance(result, Fetched):
            self._look_at = 0.0  # The job is available again soon, or its host is later.

    # Giving back.

    def _cut(self, actives: Iterable[Active]) -> None:
        """Stop downloads that run; they are given back once they have let go of their files."""
        for active in actives:
            active.cut = True
            active.scope.cancel()

    def _unclaim(self, fetches: Iterable[Fetch]) -> None:
        fetches = list(fetches)
        self._line.take_out(fetches)
        self._unclaimed.extend(fetch.job for fetch in fetches)

    async def _release(self) -> None:
        """Tell the catalog of what is given back. What it does not take stays, and every turn tries again."""
        try:
            while jobs := list(self._unclaimed):
                self._given_back += await self._fetches.release(jobs)
                self._unclaimed = [job for job in self._unclaimed if job not in jobs]
        except DropmillError as error:
            self._emit(StateTrouble("fetch", str(error)))
