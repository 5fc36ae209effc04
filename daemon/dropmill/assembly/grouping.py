"""Puts together what compares, groups and examines pictures in the background."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from dropmill.assembly.ground import Ground
from dropmill.files.previews import folder_in
from dropmill.maintenance.chore import Chore
from dropmill.maintenance.compare import Comparer
from dropmill.maintenance.examine import Examiner
from dropmill.maintenance.group import Grouper
from dropmill.model.errand import Errand, ErrandResult
from dropmill.model.work import WorkerLost
from dropmill.observe.facts import Emit, Fact, StateTrouble
from dropmill.ports import Clock, Similar, WorkerPool
from dropmill.settings import Settings
from dropmill.store.catalog import Catalog

# A worker that measures a picture for longer is stuck.
TIMEOUT_SECONDS = 120.0


@dataclass(slots=True)
class Chores:
    comparing: Chore
    grouping: Chore
    examining: Chore
    grouper: Grouper

    @property
    def runs(self) -> tuple[Callable[[], Coroutine[Any, Any, None]], ...]:
        return self.comparing.run, self.grouping.run, self.examining.run

    @property
    def quiet(self) -> bool:
        """Nothing is left to be compared, grouped or examined, as far as that can be had at the moment."""
        return self.comparing.quiet and self.grouping.quiet and self.examining.quiet

    def heard(self, fact: Fact) -> None:
        """Almost whatever happens is told once the catalog holds it."""
        if not isinstance(fact, StateTrouble):  # Told by a chore that fails, among others: it would try at once again.
            self.comparing.wake()
            self.grouping.wake()


def make_chores(ground: Ground, similar: Similar, pool: WorkerPool, workers: int) -> Chores:
    chores = chores_of(ground.settings, ground.catalog, ground.clock, ground.emit, similar, pool, workers)
    ground.hearing.append(chores.heard)
    return chores


def chores_of(
    settings: Settings, catalog: Catalog, clock: Clock, emit: Emit, similar: Similar, pool: WorkerPool, workers: int
) -> Chores:
    """Also for a command that catalogues without a daemon; ``heard`` is to be told of facts."""
    tiers, thresholds = settings.tiers, settings.dedupe.thresholds

    async def carry(errand: Errand) -> ErrandResult | WorkerLost:
        return await pool.errand(errand, timeout_seconds=TIMEOUT_SECONDS)

    async def compare() -> bool:
        return await comparer.turn() and _after(grouping)

    async def group() -> bool:
        return await grouper.turn() and _after(comparing, examining)

    async def examine() -> bool:
        return await examiner.turn() and _after(grouping)

    comparer = Comparer(catalog, similar, thresholds, len(tiers) > 1)
    grouper = Grouper(catalog, (thresholds, settings.keeper.rules), tiers, clock)
    examiner = Examiner(catalog, carry, folder_in(settings.state_dir), settings.workers.limits(), workers, clock)
    comparing = Chore("comparing", compare, clock, emit)
    grouping = Chore("grouping", group, clock, emit)
    examining = Chore("examining", examine, clock, emit)
    return Chores(comparing, grouping, examining, grouper)


def _after(*chores: Chore) -> bool:
    """What was done may give these something to do."""
    for chore in chores:
        chore.wake()
    return True
