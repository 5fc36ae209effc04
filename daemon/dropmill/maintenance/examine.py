"""Measures pictures that are in a group, and compares them with their keeper, while the workers have nothing else to do.

Nothing hangs on it but the choice of a keeper and the word for how one came from the other: a picture that cannot be
measured is left at that, with the reason, until another file holds it, or the next start where that may have passed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final

import anyio

from dropmill.model.errand import Compare, Compared, Errand, ErrandResult, Inspect, Inspected, Known, NoPreview
from dropmill.model.image import Limits
from dropmill.model.outcome import EXPLANATIONS, Reason
from dropmill.model.resemblance import Relation, is_part
from dropmill.model.work import Rejected, Superseded, Troubled, WorkerLost
from dropmill.ports import Clock
from dropmill.store import examining, windows
from dropmill.store.catalog import Catalog
from dropmill.store.connection import Session
from dropmill.store.examining import Side, Unmeasured

LOT: Final = 32
PAIRS: Final = 4000
"""That are decided at once by what was measured already."""
MOST_FILES: Final = 5
"""That are tried of one image."""
GONE: Final = "gone"
"""Reason where no file holds it any more; the others are those of jobs."""

PASSING: Final = (
    GONE,
    *(reason.value for reason, told in EXPLANATIONS.items() if told.retryable),
    *(reason.value for reason in (Reason.UNREADABLE, Reason.TIMEOUT, Reason.INTERRUPTED, Reason.MEMORY_LIMIT)),
)

Carry = Callable[[Errand], Awaitable[ErrandResult | WorkerLost]]


@dataclass(slots=True)
class Examiner:
    """``carry``: has an errand done by a worker that no job needs. ``at_once``: so many are under way at most."""

    catalog: Catalog
    carry: Carry
    previews: bytes
    limits: Limits
    at_once: int
    clock: Clock
    _begun: bool = False

    async def turn(self) -> bool:
        """One lot; False where nothing was left. Measuring goes first, for comparing needs what it tells."""
        if not self._begun:
            self._begun = True
            await self.catalog.write(lambda session: examining.retry(session, PASSING))
        return await self._measure() or await self._prove() or await self._compare() or await self._confirm()

    async def _measure(self) -> bool:
        lot = await self.catalog.read(lambda session: examining.unmeasured(session, LOT, MOST_FILES))
        await self._all(partial(self._inspect, image) for image in lot)
        return bool(lot)

    async def _prove(self) -> bool:
        """Flat pictures whose hashes agree: a pair where every pixel does, too. Of a hundred blank pages each resembles
        every other, so that a lot is one transaction."""
        lot = await self.catalog.read(lambda session: examining.to_prove(session, PAIRS))

        def prove(session: Session) -> None:
            for one, other in lot:
                if not (one.tried and other.tried):
                    examining.measure(session, [side.image_id for side in (one, other) if not side.tried])
                elif one.evidence is None or other.evidence is None:
                    examining.relate(session, one, other, Relation.UNKNOWN, _why_not(one, other))
                elif one.evidence.pixels_sha256 == other.evidence.pixels_sha256:
                    examining.relate(session, one, other, Relation.IDENTICAL, "every pixel is the same")
                else:
                    examining.part(session, one, other)

        if lot:
            await self.catalog.write(prove, patient=True)
        return bool(lot)

    async def _compare(self) -> bool:
        lot = await self.catalog.read(lambda session: examining.to_compare(session, LOT))
        await self._all(partial(self._tell, one, other) for one, other in lot)
        return bool(lot)

    async def _confirm(self) -> bool:
        """Pictures of which one is like a part of the other by its hashes: pairs where it was cut from it, or has a border."""
        lot = await self.catalog.read(lambda session: examining.to_confirm(session, LOT))
        await self._all(partial(self._judge, one, other) for one, other in lot)
        return bool(lot)

    async def _all(self, errands: Iterable[Callable[[], Awaitable[None]]]) -> None:
        limiter = anyio.CapacityLimiter(self.at_once)

        async def one(errand: Callable[[], Awaitable[None]]) -> None:
            async with limiter:
                await errand()

        async with anyio.create_task_group() as group:
            for errand in errands:
                group.start_soon(one, errand)

    async def _inspect(self, image: Unmeasured) -> None:
        """From the first of its files that still is what it was."""
        evidence, reason = None, GONE
        for root, rel in image.places:
            answer = await self.carry(Inspect(root, rel, image.sha256, self.previews, self.limits))
            if isinstance(answer, Inspected):
                evidence, reason = answer.evidence, ""
                break
            reason = _reason(answer)
        now_ms = self.clock.now_ms()
        await self.catalog.write(
            lambda session: examining.measured(session, image.image_id, evidence, reason, now_ms), patient=True
        )

    async def _tell(self, one: Side, other: Side) -> None:
        """How ``other`` came from ``one``, or the other way round."""
        if not (one.tried and other.tried):
            await self._measure_first(one, other)
            return
        if one.evidence is None or other.evidence is None:
            await self._relate(one, other, Relation.UNKNOWN, _why_not(one, other))
            return
        answer = await self.carry(Compare(self.previews, _known(one), _known(other)))
        if isinstance(answer, Compared):
            await self._relate(one, other, answer.relation, answer.detail)
        elif isinstance(answer, NoPreview):
            await self._measure_again(one, other, answer.sha256)
        else:
            await self._relate(one, other, Relation.UNKNOWN, examining.NOT_COMPARED + _reason(answer))

    async def _judge(self, one: Side, other: Side) -> None:
        a, b = one.image_id, other.image_id
        if not (one.tried and other.tried):
            await self._measure_first(one, other)
            return
        if one.evidence is None or other.evidence is None:
            reason = one.reason or other.reason
            await self.catalog.write(lambda session: windows.put_off(session, a, b, reason))
            return
        answer = await self.carry(Compare(self.previews, _known(one), _known(other)))
        if isinstance(answer, NoPreview):
            await self._measure_again(one, other, answer.sha256)
        elif not isinstance(answer, Compared):
            reason = _reason(answer)
            await self.catalog.write(lambda session: windows.put_off(session, a, b, reason))
        elif is_part(answer.relation, answer.likeness, answer.box):
            relation, detail = answer.relation, answer.detail
            await self.catalog.write(lambda session: windows.confirm(session, a, b, relation, detail), patient=True)
        else:
            await self.catalog.write(lambda session: windows.refuse(session, a, b))

    async def _measure_again(self, one: Side, other: Side, sha256: str) -> None:
        """The preview of one of them is lost."""
        lost = one if one.sha256 == sha256 else other
        await self.catalog.write(lambda session: examining.measure(session, [lost.image_id]))

    async def _measure_first(self, *sides: Side) -> None:
        ids = [side.image_id for side in sides if not side.tried]
        await self.catalog.write(lambda session: examining.measure(session, ids))

    async def _relate(self, one: Side, other: Side, relation: Relation, detail: str) -> None:
        await self.catalog.write(lambda session: examining.relate(session, one, other, relation, detail), patient=True)


def _known(side: Side) -> Known:
    pixels = side.evidence.pixels_sha256 if side.evidence is not None else ""
    return Known(side.sha256, side.coded_sha256, pixels, side.width, side.height)


def _why_not(one: Side, other: Side) -> str:
    return examining.NOT_COMPARED + (one.reason or other.reason)


def _reason(answer: ErrandResult | WorkerLost) -> str:
    match answer:
        case Rejected(reason=reason) | Troubled(reason=reason) | WorkerLost(reason=reason):
            return reason.value
        case Superseded():
            return GONE
        case _:
            return Reason.UNEXPECTED.value
