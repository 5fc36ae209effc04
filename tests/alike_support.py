"""A catalog of pictures whose hashes are made up, and what compares, groups and examines them, without a daemon."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

from dropmill.errors import Unavailable
from dropmill.maintenance.compare import Comparer
from dropmill.maintenance.examine import Examiner
from dropmill.maintenance.group import Grouper
from dropmill.model.errand import Compare, Compared, Errand, ErrandResult, Inspect, Inspected
from dropmill.model.fingerprint import Looks, to_int64
from dropmill.model.image import Limits
from dropmill.model.keeping import KeeperRules
from dropmill.model.resemblance import (
    WIDEST_DHASH,
    WIDEST_PHASH,
    Evidence,
    Neighbour,
    Neighbours,
    Relation,
    Thresholds,
    Tier,
    hamming,
)
from dropmill.model.work import WorkerLost
from dropmill.observe.clock import SystemClock
from dropmill.store import groups
from dropmill.store.catalog import Catalog
from dropmill.store.connection import Row, Session

TEXTURED = 40.0
TIERS = frozenset({Tier.EXACT, Tier.NEAR, Tier.SIMILAR})


class BruteForce:
    """``ports.Similar``, by looking at each row."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self.away = False

    async def neighbours(self, looks: Sequence[Looks]) -> Sequence[Neighbours]:
        if self.away:
            raise Unavailable("the index is not there")
        rows = await self._catalog.read(
            lambda session: list(session.connection.execute("SELECT id, phash, dhash FROM images ORDER BY id"))
        )
        return [Neighbours(_near(one, rows), rows[-1][0]) for one in looks]

    async def forget(self, image_ids: Sequence[int]) -> None:
        """It remembers nothing."""


def _near(looks: Looks, rows: Sequence[tuple[int, int, int]]) -> list[Neighbour]:
    found = [
        Neighbour(image_id, "hash", hamming(looks.phash, phash), hamming(looks.dhash, dhash))
        for image_id, phash, dhash in rows
    ]
    near = [one for one in found if one.phash_distance <= WIDEST_PHASH and one.dhash_distance <= WIDEST_DHASH]
    return sorted(near, key=lambda one: (one.phash_distance, one.dhash_distance, one.image_id))


class Library:
    """Pictures ``put`` into the catalog; ``settle`` does all that is to be done about them."""

    def __init__(self, folder: Path, thresholds: Thresholds | None = None, rules: KeeperRules | None = None) -> None:
        self.catalog = Catalog(str(folder / "catalog.db"))
        self.index = BruteForce(self.catalog)
        self.errands: list[Errand] = []
        self.answer: Callable[[Errand], ErrandResult | WorkerLost] = self.measured
        self._sizes: dict[str, tuple[int, int]] = {}
        configured = thresholds or Thresholds(min_texture=8.0)
        clock = SystemClock()
        self.comparer = Comparer(self.catalog, self.index, configured, alike=True)
        self.grouper = Grouper(self.catalog, (configured, rules or KeeperRules()), TIERS, clock)
        self.examiner = Examiner(self.catalog, self._carry, b"/previews", Limits(), 2, clock)
        self._chance = random.Random(7)

    async def _carry(self, errand: Errand) -> ErrandResult | WorkerLost:
        self.errands.append(errand)
        return self.answer(errand)

    def measured(self, errand: Errand) -> ErrandResult:
        """Nothing is special about any picture: each has the detail that its size can hold."""
        if isinstance(errand, Inspect):
            size = self._sizes[errand.sha256]
            return Inspected(Evidence(errand.sha256, *size, *size, 0.5, 90, 0, 3, ""))
        assert isinstance(errand, Compare)
        return Compared(Relation.RE_ENCODED)

    def close(self) -> None:
        self.catalog.close()

    async def do(self, statement: str, *values: object) -> None:
        await self.catalog.write(lambda session: session.connection.execute(statement, values))

    async def ask(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        return await self.catalog.read(lambda session: list(session.connection.execute(statement, values)))

    async def image(
        self,
        phash: int,
        dhash: int = 0,
        *,
        texture: float = TEXTURED,
        size: tuple[int, int] = (800, 600),
        coded: str = "",
    ) -> int:
        """One more content, with hashes as given; it is still to be compared."""
        sha256 = f"{self._chance.getrandbits(256):064x}"
        self._sizes[sha256] = size

        def put(session: Session) -> int:
            connection = session.connection
            connection.execute(
                "INSERT INTO images (sha256, coded_sha256, fingerprint_version, phash, dhash, ahash, phash256, texture, "
                "format, width, height, mode, frames, pages_dropped, orientation, icc, captured_at, copyright, camera, "
                "size_bytes, created_at_ms) VALUES (?, ?, 2, ?, ?, 0, ?, ?, 'jpeg', ?, ?, 'RGB', 1, 0, 1, 'none', '', '', "
                "'', 1000, 0)",
                (sha256, coded or sha256, to_int64(phash), to_int64(dhash), f"{phash:016x}" * 4, texture, *size),
            )
            image_id = connection.last_insert_rowid()
            connection.execute("INSERT INTO uncompared VALUES (?)", (image_id,))
            return image_id

        return await self.catalog.write(put)

    async def file(
        self,
        image_id: int,
        rel: str,
        *,
        kind: str = "inbox",
        name: str = "camera",
        ino: int = 0,
        size_bytes: int = 1000,
    ) -> int:
        """One more file that holds it."""

        def put(session: Session) -> int:
            connection = session.connection
            connection.execute(
                "INSERT INTO roots (kind, name, path) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                (kind, name, f"/srv/{kind}/{name}".encode()),
            )
            connection.execute(
                "INSERT INTO holdings (image_id, root_id, rel, ino, size_bytes, mtime_ns, seen_at_ms) "
                "SELECT ?, id, ?, ?, ?, 5, 0 FROM roots WHERE kind = ? AND name = ?",
                (image_id, rel.encode(), ino or self._chance.getrandbits(60), size_bytes, kind, name),
            )
            return connection.last_insert_rowid()

        return await self.catalog.write(put)

    async def put(self, rel: str, phash: int, dhash: int = 0, **options: object) -> tuple[int, int]:
        """An image with one file: ids of both."""
        image_id = await self.image(phash, dhash, **options)  # type: ignore[arg-type]  # As ``image`` takes them.
        return image_id, await self.file(image_id, rel)

    async def settle(self, *, examine: bool = True) -> None:
        for _ in range(1000):
            done = await self.comparer.turn() or await self.grouper.turn()
            if not done and not (examine and await self.examiner.turn()):
                return
        raise AssertionError("it has no end")

    async def groups(self, state: str = "open") -> dict[int, list[str]]:
        """Paths by group, the keeper's first."""

        def read(session: Session) -> dict[int, list[str]]:
            rows = groups.page(session, groups.Filter(state=state), "newest", None, 1000).rows
            members = groups.members(session, [row["id"] for row in rows], 1000)
            return {group_id: [member["rel"].decode() for member in found] for group_id, found in members.items()}

        return await self.catalog.read(read)

    async def group(self) -> Row:
        """The only one."""
        (row,) = await self.catalog.read(lambda session: groups.page(session, groups.Filter(), "newest", None, 10).rows)
        return row

    async def sha256(self, image_id: int) -> str:
        ((found,),) = await self.ask("SELECT sha256 FROM images WHERE id = ?", image_id)
        return str(found)


def bits(*positions: int) -> int:
    return sum(1 << position for position in positions)
