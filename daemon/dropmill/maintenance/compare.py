"""Looks for the neighbours of images that were catalogued without: while the index was away, in lots, or hashed anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dropmill.model.fingerprint import Looks, Window, from_int64
from dropmill.model.resemblance import Neighbour, Thresholds
from dropmill.ports import Similar
from dropmill.store import pairs, preferences, windows
from dropmill.store.catalog import Catalog
from dropmill.store.connection import Row, Session

LOT: Final = 32


@dataclass(slots=True)
class Comparer:
    """``alike``: whether anything but identical pictures counts, so that the index is worth asking."""

    catalog: Catalog
    similar: Similar
    configured: Thresholds
    alike: bool

    async def turn(self) -> bool:
        """One lot; False where none was left. Raises ``Unavailable`` where the index is not there."""
        rows = await self.catalog.read(lambda session: pairs.uncompared(session, LOT))
        if not rows:
            return False
        if self.alike:
            parts = await self.catalog.read(lambda session: windows.of_images(session, [row["id"] for row in rows]))
            asked = [_looks(row, parts.get(row["id"])) for row in rows]
            found = [answer.found for answer in await self.similar.neighbours(asked)]
        else:
            found = [()] * len(rows)
        await self.catalog.write(lambda session: self._remember(session, rows, found))
        return True

    def _remember(self, session: Session, rows: Sequence[Row], found: Sequence[Sequence[Neighbour]]) -> None:
        """One that was hashed anew meanwhile stays to be compared."""
        thresholds = preferences.thresholds(session, self.configured)
        now = {row["id"]: row for row in pairs.looks(session, [row["id"] for row in rows])}
        same = [(row["id"], near) for row, near in zip(rows, found, strict=True) if now.get(row["id"]) == row]
        for image_id, near in same:
            pairs.put(session, pairs.resembling(session, image_id, near, thresholds.min_texture))
            windows.suggest(session, image_id, near, thresholds)
        pairs.compared(session, [image_id for image_id, _ in same])


def _looks(row: Row, parts: tuple[Window, ...] | None) -> Looks:
    phash, dhash, ahash = (from_int64(row[name]) for name in ("phash", "dhash", "ahash"))
    return Looks(phash, dhash, ahash, row["phash256"], row["texture"], row["fingerprint_version"], parts)
