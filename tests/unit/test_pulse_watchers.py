"""Which watchers count as alive: one that goes on, or that waits for a disk, and none that stands still by itself (S11)."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from watchdog.observers import inotify_c

from dropmill.files.bell import Bell
from dropmill.files.events import EventTree, Pending
from dropmill.maintenance.pulse import (
    PATIENCE_SECONDS,
    STILL_SECONDS,
    InboxCheck,
    Pulse,
    TailCheck,
    intake_checks,
)
from dropmill.observe.facts import Alive, Fact, Stuck


class HandClock:
    def __init__(self) -> None:
        self.at = 1000.0

    def now_ms(self) -> int:
        return 0

    def monotonic(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(0.001)


class HandLane:
    """A lane that has done all that was asked of it, or ``pending`` calls of others before it does anything else."""

    def __init__(self) -> None:
        self.pending = 0
        self._asked: list[tuple[int, asyncio.Future[None]]] = []
        self._loop = asyncio.new_event_loop()

    def send(self, _function: object) -> asyncio.Future[None]:
        self._asked.append((self.pending, self._loop.create_future()))
        self.advance(0)
        return self._asked[-1][1]

    def advance(self, calls: int) -> None:
        """So many calls of others are over, which as many new ones follow."""
        self._asked = [(max(0, before - calls), answer) for before, answer in self._asked]
        for before, answer in self._asked:
            if before == 0 and not answer.done():
                answer.set_result(None)

    def close(self) -> None:
        self._loop.close()


class Watcher:
    """A watch, its settling and the lane of its inbox, as far as they are asked."""

    def __init__(self, clock: HandClock) -> None:
        self.clock = clock
        self.inbox = SimpleNamespace(name="camera")
        self.turned_at = clock.at
        self.settling = SimpleNamespace(turned_at=clock.at, hands_on=False, nudge=self._nudge)
        self.lane = HandLane()
        self.reads = self.looks = self.settles = True
        self.calls_each_look = 0
        self.check = InboxCheck(self, self.settling, self.lane, clock)

    def ask_reader(self) -> bool:
        return self.reads

    def _nudge(self) -> None:
        if self.settles:
            self.settling.turned_at = self.clock.at

    def said_after(self, seconds: float) -> str:
        """What the check says in the end, asked every five seconds as the pulse does."""
        said = ""
        for _ in range(int(seconds / 5)):
            self.clock.at += 5
            if self.looks:
                self.turned_at = self.clock.at
            self.lane.advance(self.calls_each_look)
            said = self.check()
        return said


@pytest.fixture
def watcher() -> Iterator[Watcher]:
    watcher = Watcher(HandClock())
    yield watcher
    watcher.lane.close()


def test_s11_a_watcher_that_goes_on_is_well_for_ever(watcher: Watcher) -> None:
    assert watcher.said_after(10_000) == ""


@pytest.mark.parametrize(
    ("frozen", "said", "after"),
    [
        ("looks", "inbox camera has not been looked after for 65 s", STILL_SECONDS),
        ("settles", "nothing of camera settles for 65 s", STILL_SECONDS),
        ("reads", "who reads the events of camera has not answered for 25 s", PATIENCE_SECONDS),
    ],
)
def test_s11_each_part_of_a_watcher_that_stands_still_is_named(
    watcher: Watcher, frozen: str, said: str, after: float
) -> None:
    setattr(watcher, frozen, False)
    assert watcher.said_after(after) == ""
    assert watcher.said_after(5) == said


def test_s11_w40_what_waits_for_a_disk_is_not_stuck_and_has_its_time_once_the_disk_answers(watcher: Watcher) -> None:
    watcher.looks = watcher.settles = watcher.reads = False
    watcher.lane.pending = 1
    assert watcher.said_after(10_000) == ""
    watcher.lane.pending, watcher.calls_each_look = 0, 1
    assert watcher.said_after(PATIENCE_SECONDS) == ""
    assert watcher.said_after(STILL_SECONDS) != ""


def test_s11_a_slow_disk_with_much_to_do_excuses_who_comes_after_all_that(watcher: Watcher) -> None:
    watcher.looks = watcher.settles = watcher.reads = False
    watcher.lane.pending, watcher.calls_each_look = 200, 4
    assert watcher.said_after(10_000) == ""


def test_s11_a_stage_that_stands_still_is_found_although_others_keep_its_lane_busy(watcher: Watcher) -> None:
    watcher.looks = False
    watcher.lane.pending, watcher.calls_each_look = 4, 4  # As many calls of others at any time, and each soon over.
    assert watcher.said_after(STILL_SECONDS) == ""
    assert watcher.said_after(5) == "inbox camera has not been looked after for 65 s"


def test_s11_a_daemon_that_was_stopped_as_a_whole_is_judged_by_what_it_does_from_then_on() -> None:
    async def story() -> None:
        clock, facts, stops = HandClock(), list[Fact](), list[float]()
        claimer: Any = SimpleNamespace(turned_at=clock.at)

        def asked() -> str:
            clock.at += stops.pop() if stops else 0
            return ""

        pulse = Pulse({}, clock, facts.append, 5.0, intake_checks([asked], claimer, clock))

        async def trouble_after(seconds: float) -> str:
            clock.at += seconds
            await pulse._beat()
            return pulse.trouble

        assert await trouble_after(0) == ""
        assert facts == [Alive()]
        for stopped_between, stopped_while_asking in [(STILL_SECONDS + 6, 0.0), (5.0, STILL_SECONDS + 6)]:
            facts.clear()
            stops.append(stopped_while_asking)
            assert await trouble_after(stopped_between) == "", "it could not go on"
            assert facts == [], "nor has it shown that it does"
            claimer.turned_at = clock.at
            assert await trouble_after(5) == ""
            assert facts == [Alive()]
        clock.at += STILL_SECONDS + 6
        assert pulse.trouble.startswith("no sign of life"), "nobody beats"
        assert [await trouble_after(seconds) for seconds in (0, 5, 5, 5)] == [""] * 4
        assert await trouble_after(5) == f"the claimer: has not looked at the queue for {STILL_SECONDS + 31:.0f} s"
        assert await trouble_after(STILL_SECONDS), "what was stuck before is so still"
        assert [fact for fact in facts if isinstance(fact, Stuck)] == facts[1:2]

    anyio.run(story)


def test_s11_files_that_wait_for_room_in_the_queue_are_no_trouble(watcher: Watcher) -> None:
    watcher.settles, watcher.settling.hands_on = False, True
    assert watcher.said_after(10_000) == ""


def test_s11_a_drop_file_may_rest_as_long_as_it_is_told_to_and_wait_for_room() -> None:
    clock = HandClock()
    tail: Any = SimpleNamespace(
        name="list", turned_at=clock.at, call_under_way=0, dropfile=SimpleNamespace(poll_seconds=100.0)
    )
    room = [True]
    check = TailCheck(tail, lambda: room[0], clock)
    clock.at += STILL_SECONDS + 100
    assert check() == ""
    clock.at += 1
    assert check() == f"drop-file list has not been looked at for {STILL_SECONDS + 101:.0f} s"
    room[0] = False
    assert check() == ""
    room[0], tail.call_under_way = True, 3
    clock.at += STILL_SECONDS + 101
    assert check() != "", "the first sight of a call"
    assert check() == "", "the same call again"


def test_s11_at_the_end_only_what_still_works_is_asked() -> None:
    async def story() -> None:
        clock, facts = HandClock(), list[Fact]()
        claimer: Any = SimpleNamespace(turned_at=clock.at)
        pulse = Pulse({}, clock, facts.append, 0.1, intake_checks([lambda: ""], claimer, clock))
        clock.at += STILL_SECONDS + 1
        assert await pulse.look() == f"the claimer: has not looked at the queue for {STILL_SECONDS + 1:.0f} s"
        pulse.draining = True
        assert await pulse.look() == ""
        async with anyio.create_task_group() as group:
            group.start_soon(pulse.run)
            with anyio.fail_after(20):
                while not any(isinstance(fact, Alive) for fact in facts):  # noqa: ASYNC110  # Beats are facts.
                    await anyio.sleep(0.01)
            group.cancel_scope.cancel()

    anyio.run(story)


# The reader of events itself.


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[EventTree]:
    tree = EventTree(os.fsencode(tmp_path), Pending(lambda: None), recursive=True, ignore=())
    tree.arm()
    yield tree
    tree.disarm()


def until(fact: Any) -> None:
    with_deadline = threading.Event()
    for _ in range(6000):
        if fact():
            return
        with_deadline.wait(0.01)
    raise AssertionError("it did not happen in time")


def test_s11_a_reader_of_events_answers_and_one_that_stands_still_does_not(
    tree: EventTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tree.ask(), "it has not been asked before"
    until(tree.ask)
    released, stands = threading.Event(), threading.Event()

    def stand_still(_event: object) -> None:
        stands.set()
        released.wait()

    monkeypatch.setattr(tree, "on_event", stand_still)
    (tmp_path / "a.jpg").touch()
    assert stands.wait(60)
    tree.ask()
    assert not tree.ask() and not tree.ask()
    released.set()
    until(tree.ask)


def test_s11_where_no_watch_is_left_for_it_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    bell = Bell(SimpleNamespace(add_callback=refuse))
    assert bell.ring() and bell.ring()
    bell.close()


def test_s11_where_a_policy_forbids_its_watch_nobody_is_asked(tree: EventTree, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_arguments: object) -> int:
        ctypes.set_errno(errno.EACCES)
        return -1

    monkeypatch.setattr(inotify_c, "inotify_add_watch", forbidden)
    bell = Bell(tree._reader)
    assert bell.ring() and bell.ring() and bell.ring()
    bell.close()


def test_a_tree_that_was_disarmed_is_asked_nothing_and_leaves_nothing_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    tree = EventTree(os.fsencode(tmp_path), Pending(lambda: None), recursive=True, ignore=())
    tree.arm()
    tree.ask()
    tree.disarm()
    assert tree.ask() and tree.ask()
    until(lambda: len(os.listdir("/proc/self/fd")) <= before)
