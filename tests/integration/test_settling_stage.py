"""Files that settle, by the stage itself on a real folder: what is kept in mind, and what one bad file costs the others."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

import pictures
from dropmill.errors import StateError
from dropmill.files import inspect
from dropmill.files.inspect import Policy
from dropmill.files.lane import Lane
from dropmill.model.job import FoundBy
from dropmill.model.settling import Hint, Ready
from dropmill.observe.clock import SystemClock
from dropmill.observe.facts import Fact, StateTrouble
from dropmill.observe.flight import Flight
from dropmill.pipeline import pressure, settle
from dropmill.pipeline.pressure import HighWater
from dropmill.pipeline.settle import Settling

pytestmark = pytest.mark.anyio
NAMES = [b"%02d.jpg" % number for number in range(12)]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Scene:
    """An inbox without a watch: what is in it is hinted at by the test, and ``taken`` is what the queue was given."""

    def __init__(self, folder: Path, done_suffix: str = "") -> None:
        self.folder = folder
        self.clock = SystemClock()
        self.facts: list[Fact] = []
        self.taken: list[bytes] = []
        self.refused: frozenset[bytes] = frozenset()
        self.lane = Lane("test")
        inbox: Any = SimpleNamespace(
            name="camera",
            root=SimpleNamespace(path=os.fsencode(folder)),
            settle_seconds=0.01,
            settle_max_seconds=0.05,
            incomplete_timeout_seconds=3600.0,
        )
        self.flight = Flight(str(folder.parent / "flight"), self.clock, lambda _fact: None)
        policy = Policy((), "own", False, False, done_suffix)
        self.settling = Settling(inbox, policy, self.lane, self.clock, self.facts.append, self.flight, self.enqueue)

    async def enqueue(self, _inbox: Any, ready: list[Ready]) -> int:
        if self.refused & {item.rel for item in ready}:
            raise StateError("the catalog refused a statement")
        self.taken += [item.rel for item in ready if item.ignored is None]
        return len(ready)

    def drop(self, rel: bytes) -> None:
        """A picture, or an empty done-file."""
        data = pictures.jpeg(pictures.photo(24, 16, 1)) if rel.endswith(b".jpg") else b""
        (self.folder / os.fsdecode(rel)).write_bytes(data)
        self.settling.hint(rel, Hint(FoundBy.EVENT))

    async def until(self, fact: Callable[[], object]) -> None:
        with anyio.fail_after(30):
            while not fact():  # noqa: ASYNC110  # What settles sets no event.
                await anyio.sleep(0.01)


@asynccontextmanager
async def settling(tmp_path: Path, done_suffix: str = "") -> AsyncIterator[Scene]:
    folder = tmp_path / "in"
    folder.mkdir()
    scene = Scene(folder, done_suffix)
    async with anyio.create_task_group() as group:
        group.start_soon(scene.settling.run)
        yield scene
        group.cancel_scope.cancel()
    scene.lane.close()
    scene.flight.close()


async def test_w33_pictures_without_done_files_do_not_hold_back_discovery(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pressure, "HIGH_WATER_FILES", 10)
    async with settling(tmp_path, ".done") as scene:

        async def holds(_jobs: int) -> bool:
            return False

        marks = HighWater(lambda: scene.settling.active, holds, 1000, scene.clock)
        for name in NAMES:
            scene.drop(name)
        assert await marks.full(), "so far nobody knows what they wait for"
        await scene.until(lambda: scene.settling.quiet)
        assert not await marks.full()
        assert scene.settling.count == len(NAMES)
        scene.drop(NAMES[0] + b".done")
        await scene.until(lambda: scene.taken == [NAMES[0]])


async def test_w33_of_pictures_without_done_files_only_so_many_are_kept_in_mind_and_none_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settle, "MOST_IDLE", 5)
    async with settling(tmp_path, ".done") as scene:
        for name in NAMES:
            scene.drop(name)
        await scene.until(lambda: scene.settling.quiet)
        assert scene.settling.count == 5
        for name in NAMES:
            scene.drop(name + b".done")
        await scene.until(lambda: sorted(scene.taken) == NAMES)


async def test_w30_a_file_that_the_catalog_refuses_holds_back_none_of_its_lot(tmp_path: Path) -> None:
    async with settling(tmp_path) as scene:
        scene.refused = frozenset(NAMES[3:5])
        for name in NAMES:
            scene.drop(name)
        await scene.until(lambda: len(scene.taken) == len(NAMES) - 2 and scene.settling.quiet)
        assert set(scene.taken) == set(NAMES) - scene.refused
        assert "the catalog refused a statement" in scene.settling.trouble
        waiting = scene.settling.waiting(NAMES[3])
        assert waiting is not None and waiting.note == "the catalog refused a statement"
        assert [fact for fact in scene.facts if isinstance(fact, StateTrouble)]
        # A change of the file is a reason to try it anew.
        scene.refused = frozenset()
        scene.drop(NAMES[3])
        await scene.until(lambda: NAMES[3] in scene.taken)


async def test_w30_a_file_that_cannot_be_judged_is_named_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = inspect.completeness

    def defect(kind: Any, source: Any) -> Any:
        return 1 // 0 if source.size_bytes == 500 else real(kind, source)

    monkeypatch.setattr(inspect, "completeness", defect)
    async with settling(tmp_path) as scene:
        (scene.folder / "bad.jpg").write_bytes(pictures.jpeg(pictures.photo(24, 16, 1))[:100].ljust(500, b"\1"))
        scene.settling.hint(b"bad.jpg", Hint(FoundBy.EVENT))
        scene.drop(b"good.jpg")
        await scene.until(lambda: scene.taken == [b"good.jpg"] and "ZeroDivisionError" in scene.settling.trouble)


async def test_w30_after_a_failure_everything_that_waited_is_looked_at_again(tmp_path: Path) -> None:
    """As the supervisor does it: the stage is begun anew, and what was in hand is not forgotten."""
    folder = tmp_path / "in"
    folder.mkdir()
    scene = Scene(folder)
    calls = []

    class Failing:
        async def call(self, *arguments: Any) -> Any:
            calls.append(1)
            raise ValueError("a defect")

    scene.settling._lane = Failing()  # type: ignore[assignment]  # Only its ``call`` is used.
    scene.drop(b"a.jpg")
    with pytest.raises(ValueError, match="a defect"):
        await scene.settling.run()
    scene.settling._lane = scene.lane
    async with anyio.create_task_group() as group:
        group.start_soon(scene.settling.run)
        await scene.until(lambda: scene.taken == [b"a.jpg"])
        group.cancel_scope.cancel()
    scene.lane.close()
    scene.flight.close()
