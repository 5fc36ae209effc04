"""The catalog's log is written back and cut while nothing else does it, and told of where a reader keeps it growing (Q10)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from dropmill.errors import DropmillError
from dropmill.observe.facts import CatalogLogGrown, Emit, StateTrouble
from dropmill.ports import Clock
from dropmill.store.catalog import WAL_ALARM_BYTES, Catalog

EVERY_SECONDS: Final = 5.0
# SQLite writes back by itself from 4 MB on; a log beyond this has been kept from it for a while.
WANTED_BYTES: Final = 16 << 20


@dataclass(slots=True)
class WriteBack:
    catalog: Catalog
    clock: Clock
    emit: Emit
    _told: bool = field(default=False, init=False)

    async def run(self) -> None:
        while True:
            try:
                await self.look()
            except DropmillError as error:
                self.emit(StateTrouble("catalog", str(error)))
            await self.clock.sleep(EVERY_SECONDS)

    async def look(self) -> None:
        if self.catalog.wal_bytes() > WANTED_BYTES:
            await self.catalog.write_back()
        size_bytes = self.catalog.wal_bytes()
        grown = size_bytes > WAL_ALARM_BYTES
        if grown and not self._told:
            self.emit(CatalogLogGrown(size_bytes))
        self._told = grown
