"""Previews take no more room than they may: those that nobody looked at for longest go, and those of forgotten images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dropmill.errors import DropmillError
from dropmill.files import previews
from dropmill.files.lane import Lane
from dropmill.observe.facts import Emit, StateTrouble
from dropmill.ports import Clock
from dropmill.store import previews as store
from dropmill.store.catalog import Catalog

EVERY_SECONDS: Final = 600.0
LOT: Final = 500
# Below the limit by so much, so that not every new preview costs another one.
SPARE: Final = 0.1


@dataclass(slots=True)
class PreviewKeeper:
    """``folder``: that of the previews."""

    folder: bytes
    most_bytes: int
    catalog: Catalog
    clock: Clock
    emit: Emit

    async def run(self) -> None:
        lane = Lane("previews-tidied")
        try:
            while True:
                try:
                    await self.tidy(lane)
                except (OSError, DropmillError) as error:
                    self.emit(StateTrouble("tidying previews", str(error)))
                await self.clock.sleep(EVERY_SECONDS)
        finally:
            lane.close()

    async def tidy(self, lane: Lane) -> None:
        """Once through all of them. Raises OSErrors and ``DropmillError``."""
        found = await lane.call(previews.kept, self.folder)
        wanted = []
        for at in range(0, len(found), LOT):
            lot = found[at : at + LOT]
            sha256s = {one.sha256 for one in lot}
            known = await self.catalog.read(lambda session, sha256s=sha256s: store.known(session, sorted(sha256s)))  # type: ignore[misc]  # A default argument binds the loop's value.
            await lane.call(previews.remove, self.folder, [one.name for one in lot if one.sha256 not in known])
            wanted += [one for one in lot if one.sha256 in known]
        await lane.call(previews.remove, self.folder, superfluous(wanted, self.most_bytes))


def superfluous(found: list[previews.Kept], most_bytes: int) -> list[bytes]:
    """Names of those that go, the ones used longest ago, once all together are larger than ``most_bytes``."""
    total = sum(one.size_bytes for one in found)
    if total <= most_bytes:
        return []
    names = []
    for one in sorted(found, key=lambda one: one.used_ns):
        if total <= most_bytes * (1 - SPARE):
            break
        total -= one.size_bytes
        names.append(one.name)
    return names
