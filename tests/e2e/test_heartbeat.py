"""A part of the daemon stands still, the signs of life stop, and the service manager's restart loses nothing (S11)."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import pictures
from harness import Mill, clean_environment
from service_manager import Ear, Manager

pytestmark = pytest.mark.long

FREEZING = Path(__file__).parents[1] / "freezing.py"
PATIENCE_SECONDS = 4.0
# A machine under load may keep the daemon from a beat for longer, and restarts it without a reason.
MOST_NEEDLESS_RESTARTS = 4


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[Ear]:
    ear = Ear(str(tmp_path / "notify"))
    yield ear
    ear.close()


@pytest.fixture
def frozen(tmp_path: Path) -> Path:
    """A file in it freezes the part of that name."""
    folder = tmp_path / "frozen"
    folder.mkdir()
    return folder


@pytest.fixture
def mill(tmp_path: Path) -> Mill:
    (tmp_path / "urls.txt").touch()
    return Mill(tmp_path, archive="archive", dropfiles=[{}])


@pytest.fixture
def watchdog_seconds() -> float:
    return 8.0


@pytest.fixture
def manager(tmp_path: Path, mill: Mill, ear: Ear, frozen: Path, watchdog_seconds: float) -> Iterator[Manager]:
    def thaw() -> None:
        for part in frozen.iterdir():
            part.unlink()

    command = [sys.executable, str(FREEZING), str(frozen), str(PATIENCE_SECONDS), "run", "--config", str(mill.config)]
    manager = Manager(command, ear, clean_environment(), mill.log, watchdog_seconds, thaw)
    yield manager
    manager.kill()


def beats_after(mill: Mill, ear: Ear) -> None:
    """Wait until it is ready, and well."""
    ready, beats = len(ear.heard("READY=1")), len(ear.heard("WATCHDOG=1"))
    mill.wait_for(lambda: ready and len(ear.heard("WATCHDOG=1")) > beats)


def freeze(part: str, said: str, mill: Mill, manager: Manager, ear: Ear, frozen: Path) -> None:
    """Freeze a part, until a restart for which that was the reason: one without thaws it again."""
    for _ in range(1 + MOST_NEEDLESS_RESTARTS):
        restarts, ready, stuck = manager.restarts, len(ear.heard("READY=1")), len(ear.heard("STATUS=stuck: "))
        (frozen / part).touch()
        mill.wait_for(lambda: manager.restarts > restarts)  # noqa: B023  # Waited for here.
        reasons = ear.heard("STATUS=stuck: ")[stuck:]
        mill.wait_for(lambda: len(ear.heard("READY=1")) > ready)  # noqa: B023  # Waited for in the same turn.
        if not said or any(told.startswith(f"STATUS=stuck: {said}") for told in reasons):
            return
        beats_after(mill, ear)
    raise AssertionError(f"nobody said that {part} was stuck")


def test_s11_a_frozen_loop_claimer_and_watcher_are_each_restarted_and_nothing_is_lost(
    mill: Mill, manager: Manager, ear: Ear, frozen: Path
) -> None:
    mill.wait_for(lambda: ear.heard("READY=1"))
    names = []
    for number, (part, said) in enumerate(
        {"loop": "", "claimer": "the claimer: ", "reader": "the watchers: who reads the events of camera "}.items()
    ):
        beats_after(mill, ear)
        (frozen / part).touch()
        for one in range(3):
            names.append(f"{number}{one}.jpg")
            mill.drop(names[-1], pictures.jpeg(pictures.photo(120, 80, 10 * number + one)))
        freeze(part, said, mill, manager, ear, frozen)
        mill.wait_for(lambda: len(list((mill.root / "archive").iterdir())) == len(names))
    assert manager.stop() == 0
    assert mill.outputs() == sorted(f"{Path(name).stem}-t.jpg" for name in names)
    jobs = mill.jobs()
    assert len(jobs) == len(names) and {(job["state"], job["outcome"]) for job in jobs} == {("completed", "published")}


@pytest.mark.parametrize("watchdog_seconds", [30.0], ids=["patient"])
def test_s11_w40_a_disk_that_hangs_is_no_reason_for_a_restart(
    mill: Mill, manager: Manager, ear: Ear, frozen: Path
) -> None:
    mill.wait_for(lambda: ear.heard("READY=1"))
    beats_after(mill, ear)
    (frozen / "disk").touch()
    mill.drop("a.jpg", pictures.jpeg(pictures.photo(120, 80, 1)))
    time.sleep(2 * PATIENCE_SECONDS)  # As long as nothing of the inbox is to turn: the situation itself.
    beats_after(mill, ear)
    assert mill.outputs() == []
    assert not [told for told in ear.heard("STATUS=stuck: ") if "camera" in told]
    assert manager.restarts == 0
    (frozen / "disk").unlink()
    mill.wait_for(lambda: mill.outputs() == ["a-t.jpg"])
    assert manager.stop() == 0
