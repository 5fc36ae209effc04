"""When the system clock is set, what waits for a time goes on waiting for as long as it had to (W34).

Times in the catalog are wall times. The daemon's clock does not jump with the machine's: it is noticed here, the times
in the catalog are moved by the same amount, and only then the clock follows, so that nothing looks due in between.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol

from dropmill.errors import DropmillError
from dropmill.model.backoff import OWED_CAP_SECONDS
from dropmill.model.webhook import LONGEST_REST_SECONDS
from dropmill.observe.facts import ClockSet, Emit, StateTrouble
from dropmill.ports import Clock
from dropmill.store import times
from dropmill.store.catalog import Catalog

EVERY_SECONDS: Final = 1.0
# Less is the daily work of NTP, and no retry needs to be that exact.
LEAST_JUMP_MS: Final = 2000
# Ranks of a large queue are moved in lots, between which the writer belongs to the work.
LOT_IDS: Final = 5000
PAUSE_SECONDS: Final = 0.05


class Settable(Clock, Protocol):
    def astray_ms(self) -> int: ...

    def follow(self, by_ms: int) -> None: ...


@dataclass(slots=True)
class Timekeeper:
    catalog: Catalog
    clock: Settable
    longest_wait_seconds: float
    longest_fetch_wait_seconds: float
    """No job is put off for longer: a time further ahead was written when the clock was wrong."""
    emit: Emit
    _still_to_move_ms: int = field(default=0, init=False)

    async def run(self) -> None:
        bounded = False
        while True:
            try:
                if not bounded:
                    await self.bound()
                    bounded = True
                await self.look()
            except DropmillError as error:
                self.emit(StateTrouble("clock", str(error)))
            await self.clock.sleep(EVERY_SECONDS)

    async def bound(self) -> None:
        """Once at start: the clock may have been set back while no daemon ran."""
        now_ms = self.clock.now_ms()
        jobs_latest_ms = now_ms + int(self.longest_wait_seconds * 1000)
        fetches_latest_ms = now_ms + int(self.longest_fetch_wait_seconds * 1000)
        owed_latest_ms = now_ms + int(OWED_CAP_SECONDS * 1000)
        told_latest_ms = now_ms + int(LONGEST_REST_SECONDS * 1000)
        await self.catalog.write(
            lambda session: times.bound(session, jobs_latest_ms, fetches_latest_ms, owed_latest_ms, told_latest_ms)
        )

    async def look(self) -> None:
        """Follow the machine's clock if it was set. Raises as the catalog does, to be called again then."""
        if self._still_to_move_ms:
            await self._move(self._still_to_move_ms)
            self._still_to_move_ms = 0
        by_ms = self.clock.astray_ms()
        if abs(by_ms) < LEAST_JUMP_MS:
            return
        if by_ms > 0:
            await self._move(by_ms)
            self.clock.follow(by_ms)
        else:  # The other way round, or all would look due while it is moved.
            self.clock.follow(by_ms)
            self._still_to_move_ms = by_ms
            await self._move(by_ms)
            self._still_to_move_ms = 0
        self.emit(ClockSet(by_ms / 1000))
        if by_ms < 0:
            await self._move_ranks(by_ms)

    async def _move(self, by_ms: int) -> None:
        await self.catalog.write(lambda session: times.move(session, by_ms))

    async def _move_ranks(self, by_ms: int) -> None:
        """What waited keeps its place before what comes now, which has earlier times than it."""
        newest = await self.catalog.read(times.newest_job)
        for last in range(newest, 0, -LOT_IDS):
            first = last - LOT_IDS + 1
            await self.catalog.write(partial(times.move_ranks, first_id=first, last_id=last, by_ms=by_ms))
            await self.clock.sleep(PAUSE_SECONDS)
