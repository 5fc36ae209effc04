"""Folders that hang, fill up or turn bad: what is held back, and what lets go again. Real folders, a clock by hand."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest

from dropmill.errors import StateError
from dropmill.files.lane import Lane
from dropmill.files.room import Room, room_of
from dropmill.maintenance import surroundings as module
from dropmill.maintenance.drain import Drain
from dropmill.maintenance.pulse import Pulse
from dropmill.maintenance.surroundings import Folder, Surroundings
from dropmill.model.job import FoundBy
from dropmill.model.outcome import Outcome, Reason
from dropmill.observe.clock import SystemClock
from dropmill.observe.facts import Alive, Completed, Enqueued, Fact, Held, Rescheduled, Stuck, Unheld

MIB = 1 << 20


@dataclass
class HandClock:
    at: float = 1000.0

    def now_ms(self) -> int:
        return int(self.at * 1000)

    def monotonic(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += seconds
        await anyio.lowlevel.checkpoint()


@dataclass
class Scene:
    """One output of inbox ``camera`` and a state directory, with room as the test says."""

    monkeypatch: pytest.MonkeyPatch
    output: Room = field(default_factory=lambda: Room(500 * MIB, 1000, True))
    state: Room = field(default_factory=lambda: Room(500 * MIB, 1000, True))
    facts: list[Fact] = field(default_factory=list)
    acts: list[tuple[str, Any]] = field(default_factory=list)
    clock: HandClock = field(default_factory=HandClock)
    hang: threading.Event | None = None

    def __post_init__(self) -> None:
        self.monkeypatch.setattr(module, "ANSWER_SECONDS", 60.0)

    def make(self) -> Surroundings:
        async def on_held(inbox: str, silent: bool) -> None:
            self.acts.append(("held", (inbox, silent)))

        async def on_well(inboxes: Any) -> None:
            self.acts.append(("well", sorted(inboxes)))

        made = Surroundings({}, b"/state", {}, 64 * MIB, self.clock, self.facts.append, on_held, on_well)
        made.close()
        made.folders = [
            Folder("output", "camera", b"/out", self._look, True, Lane("look")),
            Folder("state", "", b"/state", lambda: self.state, True, Lane("look")),
        ]
        return made

    def _look(self) -> Room:
        if self.hang is not None:
            self.hang.wait(30)
        return self.output


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(monkeypatch)


def full(inbox: str = "camera") -> Rescheduled:
    return Rescheduled(1, inbox, b"a.jpg", Reason.DISK_FULL, "No space left on device", 1.0, 1)


def test_w27_too_little_room_holds_the_inbox_and_more_room_lets_it_go(scene: Scene) -> None:
    async def story() -> None:
        made = scene.make()
        await made.look()
        assert not made.held
        scene.output = Room(63 * MIB, 1000, True)
        await made.look()
        await made.look()
        assert "63 MiB are free and 64 MiB are to stay free" in made.held["camera"].detail
        assert scene.acts == [("held", ("camera", False))]
        scene.output = Room(64 * MIB, 1000, True)
        await made.look()
        assert not made.held
        assert scene.acts[1:] == [("well", ["camera"])]
        assert [type(fact) for fact in scene.facts] == [Held, Unheld]
        made.close()

    anyio.run(story)


def test_w27_a_file_system_that_counts_nothing_is_not_taken_for_full(scene: Scene) -> None:
    async def story() -> None:
        made = scene.make()
        scene.output = Room(0, None, False)
        await made.look()
        assert not made.held
        made.close()

    anyio.run(story)


def test_w27_no_inodes_are_no_room(scene: Scene) -> None:
    async def story() -> None:
        made = scene.make()
        scene.output = Room(500 * MIB, 0, True)
        await made.look()
        assert "inodes" in made.held["camera"].detail
        made.close()

    anyio.run(story)


def test_w27_a_state_directory_without_room_closes_the_intake_until_there_is_some(scene: Scene) -> None:
    async def story() -> None:
        made = scene.make()
        scene.state = Room(1 * MIB, 1000, True)
        await made.look()
        assert not made.intake_open
        assert "camera" not in made.held
        with anyio.move_on_after(0.05) as waiting:
            await made.intake()
        assert waiting.cancelled_caught
        scene.state = Room(500 * MIB, 1000, True)
        await made.look()
        with anyio.fail_after(60):
            await made.intake()
        made.close()

    anyio.run(story)


def test_s12_what_could_not_be_told_while_the_catalog_was_locked_is_told_by_the_next_look(scene: Scene) -> None:
    """Else the intake would stay shut for ever, and the jobs of a folder that hangs would never be taken back."""

    async def story() -> None:
        locked = True

        async def on_held(inbox: str, silent: bool) -> None:
            if locked:
                raise StateError("the catalog is locked", retryable=True)
            scene.acts.append(("held", (inbox, silent)))

        made = scene.make()
        made._on_held = on_held
        scene.state = Room(1 * MIB, 1000, True)
        await made.look()
        scene.state, scene.output = Room(500 * MIB, 1000, True), Room(1 * MIB, 1000, True)
        with pytest.raises(StateError):
            await made.look()
        assert made.intake_open
        locked = False
        await made.look()
        assert scene.acts == [("held", ("camera", False)), ("well", [])]
        made.close()

    anyio.run(story)


def test_s12_what_a_worker_met_is_believed_until_there_is_more_room_or_some_time_has_passed(scene: Scene) -> None:
    async def story() -> None:
        made = scene.make()
        await made.look()
        made(full())
        await made.look()
        assert "a worker could not write there: No space left on device" in made.held["camera"].detail
        scene.output = Room(502 * MIB, 1000, True)
        await made.look()
        assert not made.held
        made(full())
        await made.look()
        assert made.held
        scene.clock.at += module.MOST_DOUBT_SECONDS
        await made.look()
        assert not made.held
        made(Enqueued(1, "camera", b"a.jpg", FoundBy.EVENT, 1))
        made(full("other"))
        await made.look()
        assert not made.held
        made.close()

    anyio.run(story)


def test_s12_what_comes_and_goes_with_every_file_lifts_no_doubt(scene: Scene) -> None:
    async def story() -> None:
        made = scene.make()
        made(full())
        await made.look()
        scene.output = Room(500 * MIB + module.MORE_BYTES, 1000 + module.MORE_INODES, True)
        await made.look()
        assert made.held
        scene.output = Room(500 * MIB, 1001 + module.MORE_INODES, True)
        await made.look()
        assert not made.held
        made(full())
        await made.look()
        scene.output = Room(501 * MIB + 1, 1000, True)
        await made.look()
        assert not made.held
        made.close()

    anyio.run(story)


def test_s12_a_bad_disk_is_tried_ever_more_rarely(scene: Scene) -> None:
    async def story() -> None:
        made = scene.make()
        waits = []
        for _ in range(6):
            made(full())
            began = scene.clock.at
            while True:
                await made.look()
                if not made.held:
                    break
                scene.clock.at += 1
            waits.append(scene.clock.at - began)
        assert waits == [5, 10, 20, 40, 60, 60]
        made.close()

    anyio.run(story)


def test_s12_a_full_disk_is_told_of_until_a_job_went_through_and_not_only_while_jobs_are_held(scene: Scene) -> None:
    async def story() -> None:
        made = scene.make()
        folder = made.folders[0]
        made(full())
        await made.look()
        for _ in range(3):
            assert folder.trouble is not None and folder.trouble.remedy.startswith("free space on its disk")
            scene.clock.at += module.MOST_DOUBT_SECONDS
            await made.look()
            assert not made.held
            assert folder.trouble is not None and folder.trouble.remedy.startswith("free space on its disk")
            made(full())
            await made.look()
            assert made.held
        scene.clock.at += module.MOST_DOUBT_SECONDS
        made(Completed(1, "camera", b"a.jpg", Outcome.PUBLISHED, 0.1, 1))
        await made.look()
        assert folder.trouble is None and not made.held
        made(full())
        await made.look()
        assert made.held
        scene.clock.at += 3 * module.MOST_DOUBT_SECONDS
        await made.look()
        assert folder.trouble is None
        made.close()

    anyio.run(story)


def test_w40_a_folder_that_hangs_is_asked_once_told_of_and_gives_its_jobs_back(scene: Scene) -> None:
    async def story() -> None:
        made = scene.make()
        scene.hang = threading.Event()
        scene.monkeypatch.setattr(module, "ANSWER_SECONDS", 0.1)
        await made.look()
        assert not made.held
        scene.clock.at += 42
        await made.look()
        assert made.held["camera"].detail == "has not answered for 42 s"
        assert not made.answering([b"/out"])
        assert made.answering([b"/elsewhere"])
        assert scene.acts == [("held", ("camera", True))]
        scene.hang.set()
        with anyio.fail_after(60):
            while made.held:
                await made.look()
        assert scene.acts[-1] == ("well", ["camera"])
        made.close()

    anyio.run(story)


def test_room_is_what_the_file_system_says(tmp_path: Path) -> None:
    seen = os.statvfs(tmp_path)
    room = room_of(os.fsencode(tmp_path))
    assert room.counted == (seen.f_blocks > 0)
    assert room.trouble == ""
    assert room_of(os.fsencode(tmp_path / "missing")).trouble == "No such file or directory"


def test_w40_a_place_that_hangs_holds_back_no_other_place() -> None:
    async def story() -> None:
        done: list[str] = []
        facts: list[Fact] = []
        never = anyio.Event()

        async def hang() -> bool:
            await never.wait()
            return False

        def once(name: str) -> Callable[[], Any]:
            async def step() -> bool:
                if name in done:
                    return False
                done.append(name)
                return True

            return step

        async def fail() -> bool:
            raise ValueError("a defect")

        clock = SystemClock()
        stuck = Drain(frozenset({"a"}), [b"/a"], [hang, once("behind")], clock, facts.append)
        free = Drain(frozenset({"b"}), [b"/b"], [fail, once("b")], clock, facts.append)
        async with anyio.create_task_group() as group:
            group.start_soon(stuck.run, lambda _inboxes: None)
            group.start_soon(free.run, lambda _inboxes: None)
            with anyio.fail_after(20):
                await free.looked.wait()
            assert done == ["b"]
            assert not stuck.looked.is_set()
            assert not stuck.quiet
            group.cancel_scope.cancel()
        assert "a defect" in str(facts[0])

    anyio.run(story)


@pytest.mark.parametrize("how", ["hangs", "says so", "fails"])
def test_s11_a_part_that_does_not_answer_stops_the_beat(how: str) -> None:
    async def story() -> None:
        facts: list[Fact] = []
        clock = HandClock()
        well = anyio.Event()

        async def part() -> str:
            if well.is_set():
                return ""
            if how == "hangs":
                await well.wait()
            if how == "fails":
                raise OSError("it broke")
            return "" if how == "hangs" else "it broke"

        async def fine() -> str:
            return ""

        pulse = Pulse({"writer": part, "other": fine}, clock, facts.append, 0.1)
        async with anyio.create_task_group() as group:
            group.start_soon(pulse.run)
            with anyio.fail_after(20):
                while not any(isinstance(fact, Stuck) for fact in facts):
                    clock.at += 5
                    await anyio.sleep(0.01)
            assert "writer" in pulse.trouble
            beats = len([fact for fact in facts if isinstance(fact, Alive)])
            well.set()
            with anyio.fail_after(20):
                while len([fact for fact in facts if isinstance(fact, Alive)]) == beats:  # noqa: ASYNC110  # Beats are facts; nothing sets an event.
                    await anyio.sleep(0.01)
            assert pulse.trouble == ""
            group.cancel_scope.cancel()

    anyio.run(story)


def test_s11_no_question_outlives_the_one_who_asked() -> None:
    async def story() -> None:
        ended = anyio.Event()

        async def hangs() -> str:
            try:
                await anyio.sleep_forever()
            finally:
                ended.set()
            return ""

        pulse = Pulse({"writer": hangs}, HandClock(), lambda _fact: None, 0.01)
        async with anyio.create_task_group() as group:
            group.start_soon(pulse.run)
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()
        with anyio.fail_after(20):
            await ended.wait()

    anyio.run(story)


def test_s11_beats_that_have_stopped_are_told_of() -> None:
    async def story() -> None:
        clock = HandClock()
        pulse = Pulse({}, clock, lambda _fact: None, 5.0)
        pulse._beat_at = clock.at
        assert pulse.trouble == ""
        clock.at += 100
        assert "no sign of life for 100 s" in pulse.trouble

    anyio.run(story)
