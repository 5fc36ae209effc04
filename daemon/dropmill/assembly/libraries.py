"""Puts together what catalogues libraries: in a daemon beside its jobs, or for a command that runs alone."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass

import anyio

from dropmill.assembly.grouping import Chores, chores_of
from dropmill.assembly.likeness import make_index
from dropmill.assembly.workers import make_pool
from dropmill.maintenance.indexing import Indexer
from dropmill.maintenance.reading import Tools
from dropmill.maintenance.state import take_state
from dropmill.model.resemblance import Tier
from dropmill.observe.facts import Emit, Fact
from dropmill.pipeline.process import Deadline
from dropmill.ports import Clock, WorkerPool
from dropmill.settings import Settings, effective_processes
from dropmill.similarity.client import IndexClient
from dropmill.store import scans
from dropmill.store.catalog import Catalog, catalog_path
from dropmill.store.scans import By

QUIET_POLL_SECONDS = 0.05


def make_indexer(
    settings: Settings,
    catalog: Catalog,
    pool: WorkerPool,
    clock: Clock,
    emit: Emit,
    *,
    by: By,
    heif: bool,
    busy: Callable[[], int],
) -> Indexer:
    """``busy``: how many jobs are in hand, which go first."""
    workers = settings.workers
    deadline = Deadline.of(workers)
    rules = hashlib.sha256(repr((workers.limits(), deadline, workers.memory_limit_mb, heif)).encode()).hexdigest()[:16]
    tools = Tools(
        catalog,
        pool,
        effective_processes(workers),
        deadline,
        workers.limits(),
        heif,
        rules,
        tuple(map(os.fsencode, settings.library_roots)) if by == "daemon" else None,
        busy,
        clock,
        emit,
        Tier.LOOSE in settings.tiers,
    )
    return Indexer(tools, settings, by)


@dataclass(slots=True)
class Bench:
    """What a command needs to catalogue without a daemon, and to find what resembles what."""

    catalog: Catalog
    indexer: Indexer
    chores: Chores
    clock: Clock

    async def carry_out(self, scan_id: int) -> None:
        """One scan to its end."""
        row = await self.catalog.read(lambda session: scans.get(session, scan_id))
        if row is not None:
            await self.indexer.carry_out(row, again=False)

    async def compare(self) -> None:
        """Return once all that is catalogued has been compared and grouped, as far as that can be had."""
        while not self.chores.quiet:
            await self.clock.sleep(QUIET_POLL_SECONDS)


@asynccontextmanager
async def alone(settings: Settings, clock: Clock, emit: Emit, *, heif: bool) -> AsyncIterator[Bench]:
    """No daemon can start meanwhile. Raises ``AlreadyRunning`` where one has just started, ``StateError``."""
    chores: Chores | None = None

    def told(fact: Fact) -> None:
        emit(fact)
        if chores is not None:
            chores.heard(fact)

    with ExitStack() as resources:
        resources.callback(take_state(settings.state_dir).release)
        catalog = Catalog(catalog_path(settings.state_dir))
        resources.callback(catalog.close)
        pool = make_pool(settings.workers, clock, told)
        similar = make_index(settings, catalog, clock, told)
        async with pool, _ending(similar), anyio.create_task_group() as beside:
            chores = chores_of(settings, catalog, clock, told, similar, pool, effective_processes(settings.workers))
            indexer = make_indexer(settings, catalog, pool, clock, told, by="command", heif=heif, busy=lambda: 0)
            await indexer.start()
            for run in chores.runs:
                beside.start_soon(run)
            yield Bench(catalog, indexer, chores, clock)
            beside.cancel_scope.cancel()


@asynccontextmanager
async def _ending(index: IndexClient) -> AsyncIterator[None]:
    try:
        yield
    finally:
        with anyio.CancelScope(shield=True):
            await index.close()
