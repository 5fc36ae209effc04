"""Puts the parts together; the only module that names concrete adapters."""

from __future__ import annotations

import asyncio
import os
import random
import uuid
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, ExitStack
from dataclasses import dataclass, field

import anyio
from watchdog.observers.inotify_c import InotifyFD

from dropmill import __version__
from dropmill.files import roots
from dropmill.files.inspect import Policy as IntakePolicy
from dropmill.files.lane import Lane
from dropmill.files.naming import name_for
from dropmill.files.presence import presences
from dropmill.maintenance.prepare import prepare_inbox
from dropmill.maintenance.prune import Pruner
from dropmill.maintenance.reconcile import Reconciler
from dropmill.maintenance.recover import Recovery, put_back_strays
from dropmill.model.attempt import Policy as AttemptPolicy
from dropmill.model.inbox import Inbox
from dropmill.model.job import FoundBy, Job
from dropmill.model.verdict import Presence
from dropmill.observe.clock import SystemClock
from dropmill.observe.facts import Emit, Fact, PreviousRunDied, Started, WorkerSaid
from dropmill.observe.flight import Flight, last_flight
from dropmill.pipeline.claim import Claimer
from dropmill.pipeline.commit import Committer
from dropmill.pipeline.dispose import Disposer
from dropmill.pipeline.enqueue import Enqueuer
from dropmill.pipeline.notify import Notifier
from dropmill.pipeline.process import Deadline, Processor
from dropmill.pipeline.publish import Publisher
from dropmill.pipeline.settle import Settling
from dropmill.pipeline.watch import Watch
from dropmill.ports import ALL_INBOXES
from dropmill.settings import Settings, effective_processes
from dropmill.store import boot as boots
from dropmill.store import queries
from dropmill.store.catalog import Catalog, catalog_path
from dropmill.store.engine import CatalogDecisions, EmbeddedEngine
from dropmill.supervisor import Parts, Supervisor
from dropmill.workers.output import WorkerOutput
from dropmill.workers.pool import ProcessPool

WORKER_MODULE = "dropmill.imaging.recipe"
FLIGHT_NAME = "flight"


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
    clock: SystemClock
    resources: ExitStack

    async def run(self) -> None:
        try:
            await self.supervisor.run()
        finally:
            now_ms = self.clock.now_ms()
            with anyio.CancelScope(shield=True):
                await self.catalog.write(lambda session: boots.end(session, self.boot, now_ms))
            self.resources.close()


async def assemble(
    settings: Settings,
    bus: Bus,
    *,
    once: bool,
    heif: bool,
    serve: Callable[[Daemon], AbstractAsyncContextManager[str]],
) -> Daemon:
    """Lock, open and wire everything. Raises :class:`DropmillError` with nothing left behind where that fails."""
    with ExitStack() as resources:
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
    clock = SystemClock()
    started_at = clock.monotonic()
    chance = random.Random()  # noqa: S311  # Spreads retries and scans; nothing secret hangs on it.
    emit = bus.emit
    boot = uuid.uuid4().hex
    os.makedirs(settings.state_dir, mode=0o750, exist_ok=True)
    lock = roots.lock_state(os.fsencode(settings.state_dir), os.getpid())
    resources.callback(lock.release)
    catalog = Catalog(catalog_path(settings.state_dir))
    resources.callback(catalog.close)
    emit(Started(__version__, os.getpid(), boot, settings.state_dir))
    # Before this boot is recorded, so that a start that is refused is not mourned as a crash.
    inboxes = {item.name: await prepare_inbox(catalog, settings, item, resources, emit) for item in settings.inboxes}
    flight = await _begin(catalog, settings, boot, clock, emit)
    resources.callback(flight.close)

    lanes = _lanes(inboxes, resources)
    if heif:
        for inbox in inboxes.values():
            root_id = inbox.root.id
            await catalog.write(lambda session, root_id=root_id: boots.forget_missing_codecs(session, root_id))  # type: ignore[misc]  # A default argument binds the loop's value.

    engine = EmbeddedEngine(catalog, clock, boot, list(inboxes))
    decisions = CatalogDecisions(catalog, clock, name_for)
    workers = settings.workers
    processes = effective_processes(workers)
    pool = ProcessPool(
        processes, workers.memory_limit_mb, workers.idle_seconds, clock, WORKER_MODULE, lambda line: _said(emit, line)
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
            await lanes[inbox.output.path].call(roots.forget_attempt, inbox.output.path, job.id, job.epoch)
        except OSError:
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
        AttemptPolicy(settings.queue.max_attempts, settings.queue.retry_base_seconds, settings.queue.retry_cap_seconds),
        clock,
        chance,
        emit,
        hint,
    )
    deadline = Deadline(
        workers.job_timeout_seconds, workers.timeout_per_megabyte_seconds, workers.timeout_per_megapixel_seconds
    )
    processor = Processor(pool, deadline, committer.wanted)
    claimer = Claimer(engine, lambda job: supervisor.handle(job), processes, clock, emit, flight)
    enqueuer = Enqueuer(engine, clock, emit, claimer.wake)
    reader = _LazyReader(resources)
    settlings = {
        name: Settling(
            inbox,
            IntakePolicy(
                inbox.companions,
                inbox.hard_links,
                heif,
                inbox.on_unsupported == "quarantine" and inbox.quarantine is not None,
            ),
            lanes[inbox.root.path],
            clock,
            emit,
            flight,
            enqueuer.enqueue,
        )
        for name, inbox in inboxes.items()
    }
    reconciler = Reconciler(catalog, lanes, clock, emit, lambda: supervisor.wake_owed())
    watches = {
        name: Watch(
            inbox,
            lanes[inbox.root.path],
            reader.get,
            engine,
            clock,
            chance,
            emit,
            settlings[name].hint,
            lambda wake: _from_thread(wake, loop),
            reconciler.after_scan,
            put_back_strays(catalog, lanes, hint),
        )
        for name, inbox in inboxes.items()
    }
    for watch in watches.values():
        resources.callback(watch.close)
    drains = _drains(catalog, inboxes, lanes, clock, chance, emit, flight, hint, claimer.wake)

    async def finished() -> bool:
        paused = await engine.paused()
        open_inboxes = {name for name in inboxes if name not in paused} if ALL_INBOXES not in paused else set()
        outputs = {inbox.output.id for inbox in inboxes.values()}
        return await catalog.read(lambda session: queries.nothing_left(session, open_inboxes, outputs))

    parts = Parts(
        inboxes=inboxes,
        watches=list(watches.values()),
        settlings=settlings,
        claimer=claimer,
        processor=processor,
        committer=committer,
        drains=drains,
        pruner=Pruner(catalog, settings.queue.retention_days, clock, emit),
        recovery=Recovery(catalog, boot, settings.queue.max_interruptions, inboxes, lanes, drains, clock, emit),
        pool=pool,
        locate=locate,
        serve=lambda: serve(daemon),
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


def _drains(
    catalog: Catalog,
    inboxes: Mapping[str, Inbox],
    lanes: Mapping[bytes, Lane],
    clock: SystemClock,
    chance: random.Random,
    emit: Emit,
    flight: Flight,
    hint: Callable[[str, bytes], None],
    reopened: Callable[[], None],
) -> list[Callable[[], Awaitable[bool]]]:
    by_output = {inbox.output.id: inbox for inbox in inboxes.values()}
    return [
        Publisher(catalog, by_output, lanes, clock, chance, emit, flight).drain,
        Disposer(catalog, inboxes, lanes, clock, chance, emit, flight, hint, reopened).drain,
        Notifier(catalog, inboxes, lanes, clock, chance, emit, flight).drain,
    ]


async def _begin(catalog: Catalog, settings: Settings, boot: str, clock: SystemClock, emit: Emit) -> Flight:
    path = os.path.join(settings.state_dir, FLIGHT_NAME)
    previous = await catalog.read(boots.last_boot)
    if previous is not None and not previous.ended:
        emit(PreviousRunDied(previous.id, previous.pid, last_flight(path)))
    now_ms = clock.now_ms()
    await catalog.write(lambda session: boots.begin(session, boot, os.getpid(), __version__, now_ms))
    return Flight(path, clock, emit)


def _lanes(inboxes: Mapping[str, Inbox], resources: ExitStack) -> dict[bytes, Lane]:
    """One lane per inbox and per output, by path."""
    lanes: dict[bytes, Lane] = {}
    for inbox in inboxes.values():
        for root in (inbox.root, inbox.output):
            if root.path not in lanes:
                lanes[root.path] = Lane(f"lane-{inbox.name}")
                resources.callback(lanes[root.path].close)
    return lanes


class _LazyReader:
    """watchdog's inotify reader, started with the first inbox that is watched by events."""

    def __init__(self, resources: ExitStack) -> None:
        self._resources = resources
        self._reader: InotifyFD | None = None

    def get(self) -> InotifyFD:
        if self._reader is None:
            self._reader = InotifyFD()
            self._reader.start()
            self._resources.callback(self._reader.stop)
        return self._reader


def _from_thread(wake: Callable[[], None], loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.call_soon_threadsafe(wake)
    except RuntimeError:
        return  # The loop has ended, and the watch with it.


def _said(emit: Emit, line: WorkerOutput) -> None:
    emit(WorkerSaid(line.pid, line.job_id, line.text))
