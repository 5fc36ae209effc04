"""Errands in real workers: measured, compared, shown; after the jobs, confined, and nothing left behind."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from PIL import Image
from workers_support import a_pool

from dropmill.files import previews
from dropmill.model.errand import (
    Compare,
    Compared,
    Inspect,
    Inspected,
    Known,
    MakePreview,
    NoPreview,
    Previewed,
    preview_name,
)
from dropmill.model.image import Limits
from dropmill.model.outcome import Reason
from dropmill.model.resemblance import Relation
from dropmill.model.work import NotOurs, Rejected, Superseded, Troubled, WorkerLost
from dropmill.workers.errands import Turns
from dropmill.workers.pool import ProcessPool
from pictures import DATE_TIME, MODEL, photo

pytestmark = pytest.mark.anyio
ENTRY = "dropmill.imaging.entry"


class Place:
    """A library and a folder of previews."""

    def __init__(self, folder: Path) -> None:
        self.library, self.previews = folder / "library", folder / "state" / "previews"
        self.library.mkdir()

    def put(self, image: Image.Image, name: str, **how: object) -> str:
        image.save(self.library / name, **how)
        return hashlib.sha256((self.library / name).read_bytes()).hexdigest()

    def inspect(self, name: str, sha256: str, limits: Limits | None = None) -> Inspect:
        return Inspect(
            os.fsencode(self.library), os.fsencode(name), sha256, os.fsencode(self.previews), limits or Limits()
        )

    def show(self, name: str, sha256: str, side: int) -> MakePreview:
        return MakePreview(os.fsencode(self.library), os.fsencode(name), sha256, os.fsencode(self.previews), side)

    def left(self) -> list[str]:
        return sorted(path.name for path in (self.previews / "new").iterdir())


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
async def pool() -> AsyncIterator[ProcessPool]:
    async with a_pool(load=ENTRY, memory_budget_mb=512) as made:
        yield made


def _known(sha256: str, inspected: Inspected) -> Known:
    evidence = inspected.evidence
    return Known(sha256, sha256, evidence.pixels_sha256, evidence.width, evidence.height)


async def test_a_picture_is_measured_and_its_preview_kept(place: Place, pool: ProcessPool) -> None:
    exif = Image.Exif()
    exif[MODEL], exif[DATE_TIME], exif[274] = "A-1", "2024:05:06 07:08:09", 6
    sha256 = place.put(photo(1200, 800), "a.jpg", quality=80, exif=exif)
    answer = await pool.errand(place.inspect("a.jpg", sha256), timeout_seconds=60)
    assert isinstance(answer, Inspected), answer
    evidence = answer.evidence
    # Upright.
    assert (evidence.width, evidence.height) == (800, 1200)
    assert (evidence.jpeg_quality, evidence.earlier_quality, evidence.exif_fields) == (80, 0, 3)
    assert evidence.captured_at == "2024:05:06 07:08:09"
    with Image.open(place.previews / os.fsdecode(preview_name(sha256))) as preview:
        assert (preview.format, preview.size) == ("JPEG", (341, 512))
    assert place.left() == []

    answer = await pool.errand(place.show("a.jpg", sha256, 320), timeout_seconds=60, urgent=True)
    assert answer == Previewed(213, 320)
    with Image.open(place.previews / f"{sha256}-320.jpg") as preview:
        assert preview.size == (213, 320)


async def test_previews_are_compared_and_a_missing_one_is_named(place: Place, pool: ProcessPool) -> None:
    """Equal pixels are identical whatever the format; a copy of half the size is resized."""
    image = photo(800, 600)
    answers = {}
    for name, copy in (("a.png", image), ("b.bmp", image), ("c.jpg", image.resize((400, 300)))):
        sha256 = place.put(copy, name)
        answer = await pool.errand(place.inspect(name, sha256), timeout_seconds=60)
        assert isinstance(answer, Inspected), answer
        answers[name] = _known(sha256, answer)
    folder = os.fsencode(place.previews)
    for name, relation in (("b.bmp", Relation.IDENTICAL), ("c.jpg", Relation.RESIZED)):
        told = await pool.errand(Compare(folder, answers["a.png"], answers[name]), timeout_seconds=60)
        assert isinstance(told, Compared)
        assert told.relation is relation
    previews.forget(folder, answers["c.jpg"].sha256)
    told = await pool.errand(Compare(folder, answers["a.png"], answers["c.jpg"]), timeout_seconds=60)
    assert told == NoPreview(answers["c.jpg"].sha256)


@pytest.mark.long
async def test_what_is_not_that_picture_is_not_measured(place: Place, pool: ProcessPool) -> None:
    sha256 = place.put(photo(300, 200), "a.jpg")
    (place.library / "link.jpg").symlink_to(place.library / "a.jpg")
    (place.library / "broken.jpg").write_bytes((place.library / "a.jpg").read_bytes()[:2000])
    broken = hashlib.sha256((place.library / "broken.jpg").read_bytes()).hexdigest()
    asked = [
        (place.inspect("a.jpg", "0" * 64), Superseded),
        (place.inspect("gone.jpg", sha256), Superseded),
        (place.inspect("link.jpg", sha256), NotOurs),
        (place.inspect("../state/a.jpg", sha256), NotOurs),
        (place.inspect("broken.jpg", broken), Rejected),
        (place.inspect("a.jpg", sha256, Limits(max_pixels=100)), Rejected),
    ]
    for errand, kind in asked:
        answer = await pool.errand(errand, timeout_seconds=60)
        assert isinstance(answer, kind), (errand, answer)
    assert place.left() == []
    assert sorted(path.name for path in place.previews.iterdir()) == ["new"]


async def test_s02_an_errand_reaches_no_preview_that_is_done(place: Place, pool: ProcessPool) -> None:
    """It stages beside them; where that is not possible, it says so and does nothing."""
    sha256 = place.put(photo(300, 200), "a.jpg")
    place.previews.parent.mkdir(parents=True)
    place.previews.write_text("no folder")
    answer = await pool.errand(place.inspect("a.jpg", sha256), timeout_seconds=60)
    assert isinstance(answer, Troubled)
    assert answer.reason is Reason.OUTPUT_UNAVAILABLE


@pytest.mark.long
async def test_an_errand_that_takes_too_long_is_ended_and_leaves_nothing(place: Place, pool: ProcessPool) -> None:
    sha256 = place.put(photo(300, 200), "a.jpg")
    answer = await pool.errand(place.inspect("a.jpg", sha256), timeout_seconds=0.0)
    assert isinstance(answer, WorkerLost)
    assert answer.reason is Reason.TIMEOUT
    assert place.left() == []
    assert isinstance(await pool.errand(place.inspect("a.jpg", sha256), timeout_seconds=60), Inspected)


async def test_errands_wait_while_jobs_need_the_workers() -> None:
    turns = Turns(2)
    order: list[str] = []

    async def errand(name: str, *, urgent: bool = False) -> None:
        async with turns.errand(urgent=urgent):
            order.append(name)
            await asyncio.sleep(0)

    with turns.job():
        with turns.job():
            waiting = [asyncio.create_task(errand(name)) for name in ("first", "second", "third")]
            await errand("urgent", urgent=True)
            assert order == ["urgent"]
            waiting[1].cancel()
            await asyncio.gather(waiting[1], return_exceptions=True)
        await asyncio.gather(waiting[0], waiting[2])
    assert order == ["urgent", "first", "third"]
    await errand("last")
    assert order[-1] == "last"


@pytest.mark.long
async def test_many_errands_and_their_end_in_the_middle(place: Place, pool: ProcessPool) -> None:
    """Cancelled ones give their turn back, and no two get in each other's way."""
    names = {f"{number}.jpg": place.put(photo(200 + number, 150, number), f"{number}.jpg") for number in range(8)}
    tasks = [
        asyncio.create_task(pool.errand(place.inspect(name, sha256), timeout_seconds=60))
        for name, sha256 in names.items()
    ]
    tasks[5].cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(answer, Inspected) for answer in answers] == [number != 5 for number in range(8)]
    assert place.left() == []
    assert pool.stats().busy == 0
