"""Previews are made once, a few at a time, and a folder that hangs holds up its own pictures only."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dropmill.control import previews as module
from dropmill.control.house import House
from dropmill.control.previews import Previews
from dropmill.errors import NotFound, Unavailable
from dropmill.model.errand import ErrandResult, MakePreview, Previewed, preview_of
from dropmill.model.outcome import Reason
from dropmill.model.work import Rejected, Superseded, WorkerLost
from dropmill.settings import Settings
from dropmill.store.previews import Sources

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Rig:
    """Two files of every image, below /a and /b. ``answers`` says what a worker makes of each root."""

    def __init__(self, folder: Path) -> None:
        self.now = 0.0
        self.asked: list[MakePreview] = []
        self.answers: dict[bytes, ErrandResult | WorkerLost] = {}
        self.gate = asyncio.Event()
        self.gate.set()
        self.begun, self.full = asyncio.Event(), asyncio.Event()
        self.running = self.most_running = 0
        house = SimpleNamespace(
            settings=Settings(state_dir=str(folder)),
            catalog=self,
            clock=SimpleNamespace(monotonic=lambda: self.now),
            live=SimpleNamespace(pool=self, course=SimpleNamespace(stopping=False)),
        )
        self.previews = Previews(cast(House, house))
        (folder / "previews").mkdir()

    async def read(self, action: Any) -> Sources | None:
        session = SimpleNamespace(all=lambda name, image_id, limit: rows_of(image_id, limit))
        return cast(Sources | None, action(session))

    async def errand(self, errand: MakePreview, *, timeout_seconds: float, urgent: bool) -> ErrandResult | WorkerLost:
        assert urgent and timeout_seconds > 0
        self.asked.append(errand)
        self.begun.set()
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        if self.running == module.MOST_AT_ONCE:
            self.full.set()
        try:
            await self.gate.wait()
        finally:
            self.running -= 1
        answer = self.answers.get(errand.root, Previewed(1, 1))
        if isinstance(answer, Previewed):
            Path(os.fsdecode(os.path.join(errand.previews, preview_of(errand)))).write_bytes(b"jpeg")
        return answer


def rows_of(image_id: int, limit: int) -> list[dict[str, Any]]:
    if image_id == 404:
        return []
    sha256 = f"{image_id:064x}"
    if image_id == 405:
        return [{"sha256": sha256, "root_path": None, "rel": None}]
    places = [(b"/a", b"1.jpg"), (b"/b", b"1.jpg")][:limit]
    return [{"sha256": sha256, "root_path": root, "rel": rel} for root, rel in places]


@pytest.fixture
async def rig(tmp_path: Path) -> Any:
    rig = Rig(tmp_path)
    yield rig
    rig.previews.close()


async def test_many_who_ask_for_one_have_it_made_once(rig: Rig) -> None:
    rig.gate.clear()
    asking = [asyncio.ensure_future(rig.previews.file(1, 320)) for _ in range(50)]
    await rig.begun.wait()
    rig.gate.set()
    files = await asyncio.gather(*asking)
    assert len(rig.asked) == 1
    assert {file.name for file in files} == {b"%064x-320.jpg" % 1}
    await rig.previews.file(1, 320)
    assert len(rig.asked) == 1
    assert (await rig.previews.file(1, 1280)).tag != files[0].tag
    assert len(rig.asked) == 2


async def test_s08_a_flood_of_questions_takes_few_workers_and_no_more_memory(rig: Rig) -> None:
    rig.gate.clear()
    asking = [asyncio.ensure_future(rig.previews.file(1000 + number, 320)) for number in range(400)]
    done, waiting = await asyncio.wait(asking, timeout=30, return_when=asyncio.FIRST_COMPLETED)
    while len(waiting) > module.MOST_WAITING:
        more, waiting = await asyncio.wait(waiting, timeout=30, return_when=asyncio.FIRST_COMPLETED)
        done |= more
    assert all(isinstance(one.exception(), Unavailable) for one in done)
    await asyncio.wait_for(rig.full.wait(), 30)
    rig.gate.set()
    assert len(await asyncio.gather(*waiting)) == module.MOST_WAITING
    assert rig.most_running == module.MOST_AT_ONCE


async def test_another_file_of_the_same_content_will_do(rig: Rig) -> None:
    rig.answers = {b"/a": Superseded()}
    await rig.previews.file(1, 320)
    assert [errand.root for errand in rig.asked] == [b"/a", b"/b"]


async def test_a_folder_that_hangs_is_left_alone_for_a_while(rig: Rig) -> None:
    rig.answers = {b"/a": WorkerLost(Reason.TIMEOUT, "no answer")}
    await rig.previews.file(1, 320)
    await rig.previews.file(2, 320)
    assert [errand.root for errand in rig.asked] == [b"/a", b"/b", b"/b"]
    rig.now += module.DOUBT_SECONDS + 1
    await rig.previews.file(3, 320)
    assert [errand.root for errand in rig.asked][3:] == [b"/a", b"/b"]


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (Superseded(), NotFound, "gone"),
        (Rejected(Reason.TRUNCATED, "no end"), NotFound, "ends too early"),
        (WorkerLost(Reason.WORKER_CRASHED, "signal 11"), Unavailable, "signal 11"),
        (WorkerLost(Reason.TIMEOUT, "no answer"), Unavailable, "no answer"),
    ],
)
async def test_what_cannot_be_shown_says_why(
    rig: Rig, answer: ErrandResult | WorkerLost, error: type[Exception], said: str
) -> None:
    rig.answers = {b"/a": answer, b"/b": answer}
    for _ in range(2):  # A failure is not remembered, and keeps nobody waiting.
        with pytest.raises(error, match=said) as caught:
            await rig.previews.file(1, 320)
        rig.now += module.DOUBT_SECONDS + 1
    assert cast(Any, caught.value).hint


async def test_images_without_files_and_unknown_ones_are_told_apart(rig: Rig) -> None:
    with pytest.raises(NotFound, match="there is no image 404"):
        await rig.previews.file(404, 320)
    with pytest.raises(NotFound, match="no file is known") as caught:
        await rig.previews.file(405, 320)
    assert caught.value.reason == "preview-unavailable"
