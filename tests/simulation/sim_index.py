"""The index of similar images without a process: compares with every committed image, and now and then is not there."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dropmill.errors import Unavailable
from dropmill.model.fingerprint import Looks, from_int64
from dropmill.model.resemblance import (
    MOST_NEIGHBOURS,
    WIDEST_DHASH,
    WIDEST_PHASH,
    Neighbour,
    Neighbours,
    hamming,
)
from dropmill.ports import IndexStats
from dropmill.store import hashes
from dropmill.store.connection import Session

if TYPE_CHECKING:
    from simulation.sim_run import Run

# Of so many questions one finds no index.
_ABSENT_ONCE_IN = 20


class SimulatedIndex:
    """In place of ``IndexClient``; its read ends when the seed says, as every other."""

    def __init__(self, run: Run, catalog: Any, clock: Any, emit: Any, *, turned: bool) -> None:
        self._run = run
        # A stream of its own, so that the chances of the others are as they were.
        self._chance = random.Random(run.seed + 2)
        self._catalog = catalog
        self._clock = clock

    def stats(self) -> IndexStats:
        return IndexStats("ready")

    async def run(self) -> None:
        while True:
            await self._clock.sleep(3600.0)

    async def close(self) -> None:
        pass

    async def neighbours(self, looks: Sequence[Looks]) -> Sequence[Neighbours]:
        if not self._run.calm and self._chance.randrange(_ABSENT_ONCE_IN) == 0:
            raise Unavailable("the index of similar images is not there: simulated")
        return await self._catalog.read(lambda session: [_neighbours(session, each) for each in looks])


def _neighbours(session: Session, looks: Looks) -> Neighbours:
    found = [
        Neighbour(image_id, "hash", hamming(phash, looks.phash), hamming(dhash, looks.dhash))
        for lot in hashes.after(session, 0)
        for image_id, phash, dhash in ((row[0], from_int64(row[1]), from_int64(row[2])) for row in lot)
    ]
    near = [one for one in found if one.phash_distance <= WIDEST_PHASH and one.dhash_distance <= WIDEST_DHASH]
    near.sort(key=lambda one: (one.phash_distance, one.dhash_distance, one.image_id))
    return Neighbours(near[:MOST_NEIGHBOURS], hashes.latest_image(session))
