"""Who leans on whom: the concrete adapters, and what they ask of each other."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from contextlib import AbstractAsyncContextManager
from functools import partial

from dropmill.assembly.daemon import Daemon
from dropmill.assembly.fetching import make_dropfiles, make_fetcher, make_lists
from dropmill.assembly.ground import Ground
from dropmill.assembly.grouping import make_chores
from dropmill.assembly.libraries import make_indexer
from dropmill.assembly.likeness import make_index
from dropmill.assembly.webhooks import Office
from dropmill.assembly.workers import make_pool
from dropmill.errors import DropmillError
from dropmill.files import previews, roots
from dropmill.files.inspect import Policy as IntakePolicy
from dropmill.files.linking import stage_links
from dropmill.files.naming import name_for
from dropmill.files.presence import presences
from dropmill.maintenance.batches import Batches
from dropmill.maintenance.drain import drains_of
from dropmill.maintenance.previews import PreviewKeeper
from dropmill.maintenance.prune import Pruner
from dropmill.maintenance.pulse import InboxCheck, Pulse, TailCheck, beat_seconds, intake_checks, work_checks
from dropmill.maintenance.reconcile import Reconciler
from dropmill.maintenance.recover import Recovery, put_back_strays
from dropmill.maintenance.surroundings import Surroundings
from dropmill.maintenance.timekeeper import Timekeeper
from dropmill.maintenance.writeback import WriteBack
from dropmill.model.attempt import Policy as AttemptPolicy
from dropmill.model.download import stored_name
from dropmill.model.inbox import URLS_SUFFIX, Inbox
from dropmill.model.job import FoundBy, Job
from dropmill.model.outcome import Reason
from dropmill.model.publication import Standing
from dropmill.model.resemblance import Tier
from dropmill.model.settling import Ready
from dropmill.model.verdict import Presence
from dropmill.model.work import Rendered
from dropmill.observe.facts import Enqueued, Fact
from dropmill.observe.notify_service import watchdog_seconds
from dropmill.pipeline.claim import Claimer
from dropmill.pipeline.commit import Committer
from dropmill.pipeline.dispose import Disposer
from dropmill.pipeline.enqueue import Enqueuer
from dropmill.pipeline.notify import Notifier
from dropmill.pipeline.pressure import HighWater
from dropmill.pipeline.process import Deadline, Processor
from dropmill.pipeline.publish import Publisher
from dropmill.pipeline.settle import Settling
from dropmill.pipeline.watch import Watch
from dropmill.settings import effective_processes
from dropmill.store import owed, queries
from dropmill.store.engine import CatalogDecisions, EmbeddedEngine
from dropmill.supervisor import Parts, Supervisor

# What an attempt left staged is removed at once or, where its disk is slow to answer, by the next start.
FORGET_SECONDS = 5.0


class Wiring:
    """The parts of one run, made in the order in which they lean on each other; what they ask of each other is a method."""

    def __init__(self, ground: Ground, office: Office, *, heif: bool, once: bool) -> None:
        self._ground = ground
        self._office = office
        self._once = once
        self._make_work(ground)
        self._fetcher = make_fetcher(ground, self._not_to_fetch, heif=heif, once=once, wake=self._claimer.wake)
        ground.hearing.append(self._fetcher.heard)
        self._make_surroundings(ground)
        self._make_intake(ground, heif)
        self._tails, self._results = make_dropfiles(ground, self._engine, self._surroundings.intake, self._fetcher.wake)
        self._lists = make_lists(ground, self._fetcher.wake)
        self._make_owed(ground)
        self._indexer = make_indexer(
            ground.settings,
            ground.catalog,
            self._pool,
            ground.clock,
            ground.emit,
            by="daemon",
            heif=heif,
            busy=lambda: len(self._claimer.in_hand),
        )
        self._indexer.carries_out = not once
        review, output = ground.settings.review, ground.settings.output
        self._batches = Batches(
            ground.catalog, ground.clock, ground.emit, review.trash_days, output.dir_mode_bits, output.gid()
        )
        ground.resources.callback(self._batches.close)

    def _make_work(self, ground: Ground) -> None:
        """From a claim to the commit."""
        settings, clock, emit = ground.settings, ground.clock, ground.emit
        self._engine = EmbeddedEngine(ground.catalog, clock, ground.boot, list(ground.inboxes), self._held)
        self._decisions = CatalogDecisions(ground.catalog, clock, name_for, settings.dedupe.thresholds)
        processes = effective_processes(settings.workers)
        self._pool = make_pool(settings.workers, clock, emit)
        self._index = make_index(settings, ground.catalog, clock, emit)
        ground.closing.append(self._index.close)
        self._chores = make_chores(ground, self._index, self._pool, processes)
        self._committer = Committer(
            self._engine,
            self._decisions,
            self._look_at_homes,
            self._forget_staged,
            AttemptPolicy(
                settings.queue.max_attempts,
                settings.queue.retry_base_seconds,
                settings.queue.retry_cap_seconds,
                settings.queue.max_interruptions,
            ),
            clock,
            ground.chance,
            emit,
            self._hint,
            self._index,
            self._stage_links,
        )
        self._deadline = Deadline.of(settings.workers)
        self._processor = Processor(
            self._pool,
            self._deadline,
            self._committer.wanted,
            self._committer.bearing,
            windows=Tier.LOOSE in settings.tiers,
        )
        self._claimer = Claimer(
            self._engine, lambda job: self._supervisor.handle(job), processes, clock, emit, ground.flight
        )

    def _make_surroundings(self, ground: Ground) -> None:
        self._surroundings = Surroundings(
            ground.inboxes,
            os.fsencode(ground.settings.state_dir),
            ground.lanes,
            ground.settings.min_free_mb << 20,
            ground.clock,
            ground.emit,
            self._on_held,
            self._on_well,
        )
        ground.resources.callback(self._surroundings.close)
        ground.hearing.append(self._surroundings)

    def _make_intake(self, ground: Ground, heif: bool) -> None:
        """From an inbox to the queue."""
        watched = {name: inbox for name, inbox in ground.inboxes.items() if not inbox.urls}
        self._enqueuer = Enqueuer(
            self._engine, ground.clock, ground.emit, self._claimer.wake, self._surroundings.intake
        )
        self._settlings = {name: self._settling(inbox, heif) for name, inbox in watched.items()}
        reconciler = Reconciler(
            ground.catalog,
            ground.lanes,
            ground.clock,
            ground.emit,
            lambda: self._supervisor.wake_owed(),
            lambda inbox: not self._settlings[inbox].quiet,
            lambda inbox: self._watches[inbox].turned(),
        )
        self._watches = {name: self._watch(inbox, reconciler) for name, inbox in watched.items()}
        for watch in self._watches.values():
            ground.resources.callback(watch.close)
        ground.hearing.append(self._missed)

    def _settling(self, inbox: Inbox, heif: bool) -> Settling:
        ground = self._ground
        lane = ground.lanes[inbox.root.path]
        return Settling(
            inbox, IntakePolicy.of(inbox, heif), lane, ground.clock, ground.emit, ground.flight, self._take_in
        )

    def _watch(self, inbox: Inbox, reconciler: Reconciler) -> Watch:
        ground, settling, loop = self._ground, self._settlings[inbox.name], asyncio.get_running_loop()
        return Watch(
            inbox,
            ground.lanes[inbox.root.path],
            ground.locks[inbox.name],
            self._engine,
            HighWater(
                lambda: settling.active,
                partial(self._engine.queue_holds, inbox.name),
                ground.settings.queue.high_water_jobs,
                ground.clock,
            ),
            ground.clock,
            ground.chance,
            ground.emit,
            settling.hint,
            lambda wake: _from_thread(wake, loop),
            reconciler.recognise,
            reconciler.after_scan,
            put_back_strays(ground.catalog, ground.lanes, self._hint),
        )

    def _make_owed(self, ground: Ground) -> None:
        """From the commit to the end, and what an earlier run left of it."""
        catalog, lanes, clock, emit, flight = ground.catalog, ground.lanes, ground.clock, ground.emit, ground.flight
        inboxes, wake = ground.inboxes, self._claimer.wake
        by_output = {inbox.output.id: inbox for inbox in inboxes.values()}
        self._drains = drains_of(
            inboxes,
            Publisher(catalog, by_output, lanes, clock, ground.chance, emit, flight, wake),
            Disposer(catalog, inboxes, lanes, clock, ground.chance, emit, flight, self._hint, wake),
            Notifier(catalog, inboxes, lanes, clock, ground.chance, emit, flight),
            clock,
            emit,
        )
        interruptions = ground.settings.queue.max_interruptions
        self._recovery = Recovery(catalog, ground.boot, interruptions, inboxes, lanes, self._drains, clock, emit, wake)

    def daemon(self, serve: Callable[[Daemon], AbstractAsyncContextManager[str]]) -> Daemon:
        ground = self._ground
        self._supervisor = Supervisor(self._parts(lambda: serve(daemon)), once=self._once)
        daemon = Daemon(
            ground.settings,
            self._supervisor,
            ground.catalog,
            self._engine,
            ground.inboxes,
            self._watches,
            self._settlings,
            ground.lanes,
            self._pool,
            self._index,
            self._indexer,
            self._batches,
            self._claimer,
            self._fetcher,
            self._tails,
            self._results,
            self._enqueuer,
            self._office,
            ground.bus,
            ground.boot,
            ground.clock,
            ground.resources,
            ground.closing,
        )
        return daemon

    def _parts(self, serve: Callable[[], AbstractAsyncContextManager[str]]) -> Parts:
        ground = self._ground
        catalog, clock, emit, queue = ground.catalog, ground.clock, ground.emit, ground.settings.queue
        downloads = ground.settings.downloads
        longest_fetch_wait_seconds = max(downloads.retry_cap_seconds, downloads.max_rest_seconds)
        pulse = Pulse(
            {"catalog": catalog.pulse, **work_checks(self._claimer, self._deadline, ground.inboxes, clock)},
            clock,
            emit,
            beat_seconds(watchdog_seconds(os.environ, os.getpid())),
            intake_checks(self._watchers(), self._claimer, clock),
        )
        return Parts(
            inboxes=ground.inboxes,
            watches=list(self._watches.values()),
            settlings=self._settlings,
            claimer=self._claimer,
            fetcher=self._fetcher,
            tails=self._tails,
            tellers={**self._results, **{name + URLS_SUFFIX: lists for name, lists in self._lists.items()}},
            processor=self._processor,
            committer=self._committer,
            drains=self._drains,
            upkeep=(
                self._surroundings.run,
                self._index.run,
                self._indexer.run,
                self._batches.run,
                pulse.run,
                Timekeeper(catalog, clock, queue.retry_cap_seconds, longest_fetch_wait_seconds, emit).run,
                WriteBack(catalog, clock, emit).run,
                Pruner(catalog, queue.retention_days, clock, emit).run,
                self._preview_keeper().run,
                *self._chores.runs,
                *self._office.runs,
            ),
            recovery=self._recovery,
            surroundings=self._surroundings,
            pulse=pulse,
            pool=self._pool,
            locate=self._locate,
            serve=serve,
            closed=self._engine.closed,
            finished=self._finished,
            clock=clock,
            emit=emit,
            flight=ground.flight,
            started_at=ground.started_at,
            shutdown_timeout_seconds=ground.settings.shutdown_timeout_seconds,
        )

    def _watchers(self) -> list[Callable[[], str]]:
        lanes, clock = self._ground.lanes, self._ground.clock
        inboxes = [
            InboxCheck(watch, self._settlings[name], lanes[watch.inbox.root.path], clock)
            for name, watch in self._watches.items()
        ]
        tails = [TailCheck(tail, lambda: self._surroundings.intake_open, clock) for tail in self._tails.values()]
        return [*inboxes, *tails]

    def _preview_keeper(self) -> PreviewKeeper:
        ground = self._ground
        folder = previews.folder_in(ground.settings.state_dir)
        return PreviewKeeper(folder, ground.settings.http.previews_mb << 20, ground.catalog, ground.clock, ground.emit)

    # What parts ask of each other.

    def _held(self) -> Set[str]:
        held = self._surroundings.held.keys() | self._recovery.waiting
        return held | {name + URLS_SUFFIX for name in held}

    async def _take_in(self, inbox: Inbox, ready: list[Ready]) -> int:
        """What has settled; of lists first the lines, so that a list counts as met only once they are in the queue."""
        for item in ready:
            if item.ignored is not None and item.ignored.reason is Reason.URL_LIST:
                await self._surroundings.intake()
                await self._lists[inbox.name].take(item.rel, item.found_by)
        return await self._enqueuer.enqueue(inbox, ready)

    async def _not_to_fetch(self) -> Set[str]:
        """While the state directory has no room, what is there is processed, and nothing comes on top."""
        if not self._surroundings.intake_open:
            return self._ground.inboxes.keys()
        return await self._engine.closed()

    def _hint(self, inbox: str, rel: bytes) -> None:
        if inbox not in self._watches:
            self._fetcher.wake()  # A download that is gone is fetched again.
        else:
            self._watches[inbox].look_for([rel], FoundBy.EVENT)

    async def _look_at_homes(self, job: Job, inbox: Inbox, sha256: str) -> Mapping[bytes, Presence]:
        homes = await self._decisions.homes(job, inbox, sha256)
        if not homes:
            return {}
        known = [(home.rel, home.ino, home.size_bytes, home.mtime_ns) for home in homes]
        lane = self._ground.lanes[inbox.root.path]
        return await lane.call(presences, inbox.root.path, job.signature.ino, known, sha256)

    async def _stage_links(self, job: Job, inbox: Inbox, standing: Sequence[Standing]) -> tuple[Rendered, ...]:
        lane = self._ground.lanes[inbox.output.path]
        return await lane.call(stage_links, inbox.output.path, job.id, job.epoch, standing)

    async def _forget_staged(self, job: Job, inbox: Inbox) -> None:
        output = inbox.output.path
        try:
            # An answer that comes twice finds the job decided, by itself: what that owes is not to be taken away.
            kept = await self._ground.catalog.read(lambda session: owed.staged_by(session, job.id))
            await self._ground.lanes[output].call_within(
                FORGET_SECONDS, roots.forget_attempt, output, job.id, job.epoch, kept
            )
        except (OSError, DropmillError):
            return  # The sweep of the next start finds what is left.

    async def _locate(self, job: Job, inbox: Inbox) -> tuple[bytes, bytes]:
        if job.read_root_id is None or job.read_rel is None:
            return inbox.root.path, stored_name(job.id) if inbox.urls else job.rel
        read_root_id = job.read_root_id
        return await self._ground.catalog.read(lambda session: queries.root_path(session, read_root_id)), job.read_rel

    async def _on_held(self, inbox: str, silent: bool) -> None:
        for name in (inbox, inbox + URLS_SUFFIX):
            await (self._claimer.take_back(name) if silent else self._claimer.give_back(name))
            await (self._fetcher.take_back(name) if silent else self._fetcher.give_back(name))

    async def _on_well(self, well: Collection[str]) -> None:
        well = self._ground.inboxes.keys() & {*well, *(name + URLS_SUFFIX for name in well)}
        outputs = {self._ground.inboxes[name].output.id for name in well}
        now_ms = self._ground.clock.now_ms()
        await self._ground.catalog.write(lambda session: owed.hurry(session, well, outputs, now_ms))
        self._claimer.wake()
        self._fetcher.wake()
        self._supervisor.wake_owed(well)

    def _missed(self, fact: Fact) -> None:
        if isinstance(fact, Enqueued) and fact.found_by is FoundBy.RECONCILE and not fact.met_before:
            self._watches[fact.inbox].missed(fact.path)

    async def _finished(self) -> bool:
        inboxes = self._ground.inboxes
        open_inboxes = inboxes.keys() - await self._engine.closed()
        outputs = {inbox.output.id for inbox in inboxes.values() if inbox.name not in self._surroundings.held}
        done = await self._ground.catalog.read(lambda session: queries.nothing_left(session, open_inboxes, outputs))
        return done and self._chores.quiet and await self._office.finished()


def _from_thread(wake: Callable[[], None], loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.call_soon_threadsafe(wake)
    except RuntimeError:
        return  # The loop has ended, and the watch with it.
