"""Retention: what ended long ago and nothing leans on leaves the list of jobs, in small lots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dropmill.errors import DropmillError
from dropmill.observe.facts import Emit, StateTrouble
from dropmill.ports import Clock
from dropmill.store import queue
from dropmill.store.catalog import Catalog

EVERY_SECONDS: Final = 3600.0
LOT: Final = 500
# Between two lots the writer belongs to the work.
PAUSE_SECONDS: Final = 0.2
DAY_MS: Final = 86_400_000


@dataclass(slots=True)
class Pruner:
    catalog: Catalog
    retention_days: float
    clock: Clock
    emit: Emit

    async def run(self) -> None:
        while True:
            try:
                await self.prune_all()
            except DropmillError as error:
                self.emit(StateTrouble("prune", str(error)))
            await self.clock.sleep(EVERY_SECONDS)

    async def prune_all(self) -> None:
        """Go once through all jobs that are old enough, a lot at a time. A retention of 0 keeps everything."""
        if not self.retention_days:
            return
        before_ms = self.clock.now_ms() - int(self.retention_days * DAY_MS)
        lot = await self.catalog.write(lambda session: queue.prune(session, before_ms, LOT))
        while lot.looked_at == LOT:
            await self.clock.sleep(PAUSE_SECONDS)
            last = lot.last
            lot = await self.catalog.write(lambda session, last=last: queue.prune(session, before_ms, LOT, last))  # type: ignore[misc]  # A default argument binds the loop's value.
