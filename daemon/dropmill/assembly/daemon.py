"""A run of the daemon, put together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import anyio

from dropmill.assembly.ground import Bus
from dropmill.assembly.webhooks import Office
from dropmill.errors import DropmillError
from dropmill.fetch.dropfile import Tail
from dropmill.fetch.fetcher import Fetcher
from dropmill.fetch.results import Results
from dropmill.files.lane import Lane
from dropmill.maintenance.batches import Batches
from dropmill.maintenance.indexing import Indexer
from dropmill.model.inbox import Inbox
from dropmill.observe.clock import SteadyClock
from dropmill.observe.facts import StateTrouble
from dropmill.pipeline.claim import Claimer
from dropmill.pipeline.enqueue import Enqueuer
from dropmill.pipeline.settle import Settling
from dropmill.pipeline.watch import Watch
from dropmill.settings import Settings
from dropmill.similarity.client import IndexClient
from dropmill.store import boot as boots
from dropmill.store.catalog import Catalog
from dropmill.store.engine import EmbeddedEngine
from dropmill.supervisor import Supervisor
from dropmill.workers.pool import ProcessPool


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
    index: IndexClient
    indexer: Indexer
    batches: Batches
    claimer: Claimer
    fetcher: Fetcher
    tails: Mapping[str, Tail]
    results: Mapping[str, Results]
    enqueuer: Enqueuer
    mail: Office
    bus: Bus
    boot: str
    clock: SteadyClock
    resources: ExitStack
    closing: Sequence[Callable[[], Awaitable[None]]]
    """What has to be awaited before they are given back."""

    async def run(self) -> None:
        try:
            await self.supervisor.run()
        finally:
            with anyio.CancelScope(shield=True):
                for close in self.closing:
                    await close()
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
