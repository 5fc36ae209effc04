"""Puts the parts together; the only module that names concrete adapters."""

from __future__ import annotations

import asyncio
import os
import random
import uuid
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, ExitStack
from dataclasses import dataclass, field
from functools import partial

import anyio

from dropmill import __version__
from dropmill.errors import DropmillError
from dropmill.files import roots
from dropmill.files.inspect import Policy as IntakePolicy
from dropmill.files.lane import Lane
from dropmill.files.naming import name_for
from dropmill.files.presence import presences
from dropmill.maintenance.drain import drains_of
from dropmill.maintenance.prepare import lanes_of, prepare_inbox
from dropmill.maintenance.prune import Pruner
from dropmill.maintenance.pulse import Pulse, beat_seconds, work_checks
from dropmill.maintenance.reconcile import Reconciler
from dropmill.maintenance.recover import Recovery, put_back_strays
from dropmill.maintenance.state import take_state
from dropmill.maintenance.surroundings import Surroundings
from dropmill.maintenance.timekeeper import Timekeeper
from dropmill.maintenance.writeback import WriteBack
from dropmill.model.attempt import Policy as AttemptPolicy
from dropmill.model.inbox import Inbox
from dropmill.model.job import FoundBy, Job
from dropmill.model.verdict import Presence
from dropmill.observe.clock import SteadyClock
from dropmill.observe.facts import Emit, Enqueued, Fact, PreviousRunDied, Started, StateTrouble, WorkerSaid
from dropmill.observe.flight import Flight, last_flight
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
from dropmill.settings import Settings, effective_processes, memory_room_bytes
from dropmill.store import boot as boots
from dropmill.store import owed, queries
from dropmill.store.catalog import Catalog, catalog_path
from dropmill.store.engine import CatalogDecisions, EmbeddedEngine
from dropmill.supervisor import Parts, Supervisor
from dropmill.workers.pool import ProcessPool

WORKER_MODULE = "dropmill.imaging.recipe"
FLIGHT_NAME = "flight"
# What an attempt left staged is removed at once or, where its disk is slow to answer, by the next start.
FORGET_SECONDS = 5.0


@dataclass(slots=True)
class Bus:
    """Facts go to every subscriber, in order, on the event loop."""

    subscribers: list[Callable[[Fact], None]] = field(default_factory=list)

    def emit(self, fact: Fact) -> None:
        for subscriber in self.subscribers:
            subscriber(fact)


@dataclass(slots=True)
class Daemon:
    """A run that has been put together; ``close`` gives back locks and files, whatever happened."""

    settings: Settings
    supervisor: Supervisor
    catalog: Catalog
    engine: EmbeddedEngine
    inboxes: Mapping[str, Inbox]
    watches: Mapping[str, Watch]
    settlings: Mapping[str, Settling]
    lanes: Mapping[bytes, Lane]
    pool: ProcessPool
    claimer: Claimer
    enqueuer: Enqueuer
    bus: Bus
    boot: str
    clock: SteadyClock
    resources: ExitStack

    async def run(self) -> None:
        try:
            await self.supervisor.run()
        finally:
            await self._sign_off()
            self.resources.close()

    async def _sign_off(self) -> None:
        """Record that this run ended by itself; where the catalog cannot be written, the next start takes it for dead."""
        now_ms = self.clock.now_ms()
        try:
            with anyio.CancelScope(shield=True):
                await self.catalog.write(lambda session: boots.end(session, self.boot, now_ms))
        except DropmillError as error:
            self.bus.emit(StateTrouble("recording the end of this run", str(error)))


async def assemble(
    settings: Settings,
    bus: Bus,
    *,
    once: bool,
    heif: bool,
    serve: Callable[[Daemon], AbstractAsyncContextManager[str]],
    state_lock: roots.DirectoryLock | None = None,
) -> Daemon:
    """Lock, open and wire everything. Raises :class:`DropmillError` with nothing left behind where that fails.

    ``state_lock``: the lock of the state directory where the caller holds it, and keeps it.
    """
    with ExitStack() as resources:
        if state_lock is None:
            resources.callback(take_state(settings.state_dir).release)
        daemon = await _assemble(settings, bus, resources, once=once, heif=heif, serve=serve)
        daemon.resources = resources.pop_all()
        return daemon


async def _assemble(
    settings: Settings,
    bus: Bus,
    resources: ExitStack,
    *,
    once: bool,
    heif: bool,
    serve: Callable[[Daemon], AbstractAsyncContextManager[str]],
) -> Daemon:
    clock = SteadyClock()
    started_at = clock.monotonic()
    chance = random.Random()  # noqa: S311  # Spreads retries and scans; nothing secret hangs on it.
    hearing: list[Callable[[Fact], None]] = []

    def emit(fact: Fact) -> None:
        """To everybody, and to the parts themselves that act on what others met."""
        bus.emit(fact)
        for part in hearing:
            part(fact)

    boot = uuid.uuid4().hex
    catalog = Catalog(catalog_path(settings.state_dir))
    resources.callback(catalog.close)
    emit(Started(__version__, os.getpid(), boot, settings.state_dir))
    # Before this boot is recorded, so that a start that is refused is not mourned as a crash.
    locks = {item.name: roots.InboxLock(os.fsencode(item.path)) for item in settings.inboxes}
    for inbox_lock in locks.values():
        resources.callback(inbox_lock.close)
    lanes = lanes_of(settings)
    for lane in lanes.values():
        resources.callback(lane.close)
    inboxes = {
        item.name: await prepare_inbox(catalog, settings, item, locks[item.name], lanes, emit)
        for item in settings.inboxes
    }
    flight = await _begin(catalog, settings, boot, clock, emit)
    resources.callback(flight.close)

    for inbox in inboxes.values():
        await catalog.write(partial(boots.reconsider_ignored, inbox=inbox, heif=heif))

    engine = EmbeddedEngine(catalog, clock, boot, list(inboxes), lambda: surroundings.held.keys() | recovery.waiting)
    decisions = CatalogDecisions(catalog, clock, name_for)
    workers = settings.workers
    processes = effective_processes(workers)
    pool = ProcessPool(
        processes,
        workers.memory_limit_mb,
        memory_room_bytes(workers),
        workers.idle_seconds,
        clock,
        WORKER_MODULE,
        lambda line: emit(WorkerSaid(line.pid, line.job_id, line.text)),
    )
    loop = asyncio.get_running_loop()

    def hint(inbox: str, rel: bytes) -> None:
        if inbox in watches:
            watches[inbox].look_for([rel], FoundBy.EVENT)

    async def look_at_homes(job: Job, inbox: Inbox, sha256: str) -> Mapping[bytes, Presence]:
        homes = await decisions.homes(job, inbox, sha256)
        if not homes:
            return {}
        known = [(home.rel, home.ino, home.size_bytes, home.mtime_ns) for home in homes]
        return await lanes[inbox.root.path].call(presences, inbox.root.path, job.signature.ino, known, sha256)

    async def forget_staged(job: Job, inbox: Inbox) -> None:
        try:
            # An answer that comes twice finds the job decided, by itself: what that owes is not to be taken away.
            kept = await catalog.read(lambda session: owed.staged_by(session, job.id))
            await lanes[inbox.output.path].call_within(
                FORGET_SECONDS, roots.forget_attempt, inbox.output.path, job.id, job.epoch, kept
            )
        except (OSError, DropmillError):
            return  # The sweep of the next start finds what is left.

    async def locate(job: Job, inbox: Inbox) -> tuple[bytes, bytes]:
        if job.read_root_id is None or job.read_rel is None:
            return inbox.root.path, job.rel
        read_root_id = job.read_root_id
        return await catalog.read(lambda session: queries.root_path(session, read_root_id)), job.read_rel

    committer = Committer(
        engine,
        decisions,
        look_at_homes,
        forget_staged,
        AttemptPolicy(
            settings.queue.max_attempts,
            settings.queue.retry_base_seconds,
            settings.queue.retry_cap_seconds,
            settings.queue.max_interruptions,
        ),
        clock,
        chance,
        emit,
        hint,
    )
    deadline = Deadline(
        workers.job_timeout_seconds,
        workers.timeout_per_megabyte_seconds,
        workers.timeout_per_megapixel_seconds,
        workers.timeout_per_rendition_seconds,
    )
    processor = Processor(pool, deadline, committer.wanted)
    claimer = Claimer(engine, lambda job: supervisor.handle(job), processes, clock, emit, flight)

    async def on_held(inbox: str, silent: bool) -> None:
        await (claimer.take_back(inbox) if silent else claimer.give_back(inbox))

    async def on_well(well: Collection[str]) -> None:
        outputs = {inboxes[name].output.id for name in well}
        await catalog.write(lambda session: owed.hurry(session, well, outputs, clock.now_ms()))
        claimer.wake()
        supervisor.wake_owed(well)

    surroundings = Surroundings(
        inboxes, os.fsencode(settings.state_dir), lanes, settings.min_free_mb << 20, clock, emit, on_held, on_well
    )
    resources.callback(surroundings.close)
    hearing.append(surroundings)
    enqueuer = Enqueuer(engine, clock, emit, claimer.wake, surroundings.intake)
    settlings = {
        name: Settling(
            inbox,
            IntakePolicy(
                inbox.companions,
                inbox.hard_links,
                heif,
                inbox.takes_unsupported,
                inbox.done_suffix,
            ),
            lanes[inbox.root.path],
            clock,
            emit,
            flight,
            enqueuer.enqueue,
        )
        for name, inbox in inboxes.items()
    }

    reconciler = Reconciler(
        catalog, lanes, clock, emit, lambda: supervisor.wake_owed(), lambda inbox: not settlings[inbox].quiet
    )
    watches = {
        name: Watch(
            inbox,
            lanes[inbox.root.path],
            locks[name],
            engine,
            HighWater(
                partial(getattr, settlings[name], "active"),
                partial(engine.queue_holds, name),
                settings.queue.high_water_jobs,
                clock,
            ),
            clock,
            chance,
            emit,
            settlings[name].hint,
            lambda wake: _from_thread(wake, loop),
            reconciler.recognise,
            reconciler.after_scan,
            put_back_strays(catalog, lanes, hint),
        )
        for name, inbox in inboxes.items()
    }
    for watch in watches.values():
        resources.callback(watch.close)

    def missed(fact: Fact) -> None:
        if isinstance(fact, Enqueued) and fact.found_by is FoundBy.RECONCILE and not fact.met_before:
            watches[fact.inbox].missed(fact.path, fact.job_id)

    hearing.append(missed)
    by_output = {inbox.output.id: inbox for inbox in inboxes.values()}
    drains = drains_of(
        inboxes,
        Publisher(catalog, by_output, lanes, clock, chance, emit, flight, claimer.wake),
        Disposer(catalog, inboxes, lanes, clock, chance, emit, flight, hint, claimer.wake),
        Notifier(catalog, inboxes, lanes, clock, chance, emit, flight),
        clock,
        emit,
    )
    recovery = Recovery(
        catalog, boot, settings.queue.max_interruptions, inboxes, lanes, drains, clock, emit, claimer.wake
    )

    pulse = Pulse(
        {"catalog": catalog.pulse, **work_checks(claimer, deadline, inboxes, clock)},
        clock,
        emit,
        beat_seconds(watchdog_seconds(os.environ, os.getpid())),
    )

    async def finished() -> bool:
        open_inboxes = inboxes.keys() - await engine.closed()
        outputs = {inbox.output.id for inbox in inboxes.values() if inbox.name not in surroundings.held}
        return await catalog.read(lambda session: queries.nothing_left(session, open_inboxes, outputs))

    parts = Parts(
        inboxes=inboxes,
        watches=list(watches.values()),
        settlings=settlings,
        claimer=claimer,
        processor=processor,
        committer=committer,
        drains=drains,
        upkeep=(
            surroundings.run,
            pulse.run,
            Timekeeper(catalog, clock, settings.queue.retry_cap_seconds, emit).run,
            WriteBack(catalog, clock, emit).run,
            Pruner(catalog, settings.queue.retention_days, clock, emit).run,
        ),
        recovery=recovery,
        surroundings=surroundings,
        pulse=pulse,
        pool=pool,
        locate=locate,
        serve=lambda: serve(daemon),
        closed=engine.closed,
        finished=finished,
        clock=clock,
        emit=emit,
        flight=flight,
        started_at=started_at,
        shutdown_timeout_seconds=settings.shutdown_timeout_seconds,
    )
    supervisor = Supervisor(parts, once=once)
    daemon = Daemon(
        settings,
        supervisor,
        catalog,
        engine,
        inboxes,
        watches,
        settlings,
        lanes,
        pool,
        claimer,
        enqueuer,
        bus,
        boot,
        clock,
        resources,
    )
    return daemon


async def _begin(catalog: Catalog, settings: Settings, boot: str, clock: SteadyClock, emit: Emit) -> Flight:
    path = os.path.join(settings.state_dir, FLIGHT_NAME)
    previous = await catalog.read(boots.last_boot)
    if previous is not None and not previous.ended:
        emit(PreviousRunDied(previous.id, previous.pid, last_flight(path)))
    now_ms = clock.now_ms()
    await catalog.write(lambda session: boots.begin(session, boot, os.getpid(), __version__, now_ms))
    return Flight(path, clock, emit)


def _from_thread(wake: Callable[[], None], loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.call_soon_threadsafe(wake)
    except RuntimeError:
        return  # The loop has ended, and the watch with it.
