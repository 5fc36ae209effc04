"""What a part of a picture suggests is a pair only once the pixels bear it out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from alike_support import Library
from dropmill.maintenance.compare import Comparer
from dropmill.maintenance.examine import Examiner
from dropmill.maintenance.group import Grouper
from dropmill.model.errand import Compare, Compared, Errand, ErrandResult, Inspect, NoPreview
from dropmill.model.fingerprint import Looks, Window
from dropmill.model.image import Limits
from dropmill.model.keeping import KeeperRules
from dropmill.model.outcome import Reason
from dropmill.model.resemblance import Neighbour, Neighbours, Relation, Thresholds, Tier
from dropmill.model.work import Troubled, WorkerLost
from dropmill.observe.clock import SystemClock
from dropmill.store import pairs, windows

pytestmark = pytest.mark.anyio

RULES = Thresholds(min_texture=8.0)
WHOLE, PART = 0x9F3C_6A51_0E77_B2D4, 0x1357_9BDF_0246_8ACE
CROPPED = Compared(Relation.CROPPED, "the second shows 80% of the other", box=(0.1, 0.1, 1.0, 1.0), likeness=0.97)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass
class Suggests:
    """``ports.Similar``: one image is like a part of the other, whichever is asked about."""

    how: str = "window"
    distance: int = 4

    async def neighbours(self, looks: Sequence[Looks]) -> Sequence[Neighbours]:
        other = {WHOLE: 2, PART: 1}
        return [Neighbours([Neighbour(other[one.phash], self.how, self.distance, self.distance)], 2) for one in looks]


@pytest.fixture
async def library(tmp_path: Path) -> AsyncIterator[Library]:
    made = Library(tmp_path, RULES)
    made.comparer = Comparer(made.catalog, Suggests(), RULES, alike=True)  # type: ignore[arg-type]  # That is all it asks.
    made.grouper = Grouper(made.catalog, (RULES, KeeperRules()), frozenset(Tier), SystemClock())
    yield made
    made.close()


async def put_both(library: Library, larger: int = PART, **options: object) -> None:
    """An image, and one that is like its window; ``larger``: the window's larger phash, in quarters."""
    await library.put("whole.jpg", WHOLE)
    await library.put("part.jpg", PART, **options)
    looks = Looks(0, 0, 0, "", 0.0, 2, (Window(PART, 0, f"{larger:016x}" * 4),))
    await library.catalog.write(lambda session: windows.put(session, 1, looks))


def answers(library: Library, comparing: ErrandResult | WorkerLost) -> Callable[[Errand], ErrandResult | WorkerLost]:
    return lambda errand: comparing if isinstance(errand, Compare) else library.measured(errand)


async def test_it_is_a_loose_pair_once_it_is_proven(library: Library) -> None:
    await put_both(library)
    await library.settle(examine=False)
    assert await library.groups() == {}
    library.answer = answers(library, CROPPED)
    await library.settle()
    group = await library.group()
    assert (group["tier"], group["relation"]) == ("loose", "cropped")
    assert await library.ask("SELECT how, relation, detail, phash_distance, phash256_distance FROM pairs") == [
        ("window", "cropped", CROPPED.detail, 28, 112)
    ]
    assert await library.ask("SELECT * FROM candidates") == []
    # That their hashes lie so far apart is nothing new.
    await library.catalog.write(lambda session: pairs.put(session, [pairs.Pair(1, 2, "hash", 8, 11, 20)]))
    assert await library.ask("SELECT how, relation FROM pairs") == [("window", "cropped")]
    asked = len(library.errands)
    await library.do("INSERT INTO uncompared VALUES (1)")
    await library.settle()
    assert len(library.errands) == asked


@pytest.mark.parametrize(
    "answer",
    [
        Compared(Relation.CROPPED, box=CROPPED.box, likeness=0.5),
        Compared(Relation.CROPPED, box=(0.0, 0.0, 0.995, 0.995), likeness=0.99),
        Compared(Relation.BORDERED, box=(-0.002, 0.0, 1.004, 1.004), likeness=0.99),
        Compared(Relation.BURST, box=CROPPED.box, likeness=0.99),
        Compared(Relation.UNKNOWN),
        Compared(Relation.WATERMARKED, box=CROPPED.box, likeness=0.99),
    ],
)
async def test_what_the_pixels_do_not_bear_out_is_none(library: Library, answer: Compared) -> None:
    await put_both(library)
    library.answer = answers(library, answer)
    await library.settle()
    for table in ("pairs", "candidates", "groups"):
        assert await library.ask(f"SELECT * FROM {table}") == [], table  # Our own tables.


async def test_what_cannot_be_compared_is_tried_again_at_the_next_start(library: Library) -> None:
    await put_both(library)
    library.answer = answers(library, Troubled(Reason.MEMORY_LIMIT))
    await library.settle()
    asked = len(library.errands)
    await library.settle()
    assert len(library.errands) == asked
    assert await library.ask("SELECT reason FROM candidates") == [("memory-limit",)]
    library.answer = answers(library, CROPPED)
    await library.settle()
    assert await library.groups() == {}
    library.examiner = Examiner(library.catalog, library._carry, b"/previews", Limits(), 2, SystemClock())
    await library.settle()
    assert (await library.group())["relation"] == "cropped"


async def test_a_preview_that_is_lost_is_made_again(library: Library) -> None:
    await put_both(library)
    lost = NoPreview(await library.sha256(2))
    told = iter([lost])
    library.answer = lambda errand: next(told, CROPPED) if isinstance(errand, Compare) else library.measured(errand)
    await library.settle()
    assert [errand.sha256 for errand in library.errands if isinstance(errand, Inspect)].count(lost.sha256) == 2
    assert (await library.group())["relation"] == "cropped"


@pytest.mark.parametrize("how", ["flat", "far apart by the larger hash", "a pair by the hash of the whole"])
async def test_nothing_is_suggested(library: Library, how: str) -> None:
    far = PART ^ ((1 << 21) - 1)
    await put_both(library, far if "far" in how else PART, texture=7.0 if how == "flat" else 40.0)
    if "whole" in how:
        await library.do("INSERT INTO pairs VALUES (1, 2, 'hash', 8, 8, 20, 'resized', '')")
    await library.settle(examine=False)
    assert await library.ask("SELECT * FROM candidates") == []


async def test_a_pair_beyond_the_thresholds_may_be_one_by_a_part(library: Library) -> None:
    await put_both(library)
    await library.do("INSERT INTO pairs VALUES (1, 2, 'hash', 12, 8, 20, '', '')")
    library.answer = answers(library, CROPPED)
    await library.settle()
    assert await library.ask("SELECT how, relation FROM pairs") == [("window", "cropped")]


async def test_what_is_hashed_anew_or_forgotten_suggests_nothing_any_more(library: Library) -> None:
    await put_both(library)
    await library.settle(examine=False)
    assert await library.ask("SELECT a, b FROM candidates") == [(1, 2)]
    await library.do("DELETE FROM holdings")
    await library.do("DELETE FROM images WHERE id = 2")
    assert await library.ask("SELECT * FROM candidates") == []
    await library.do("DELETE FROM images WHERE id = 1")
    assert await library.ask("SELECT * FROM windows") == []
