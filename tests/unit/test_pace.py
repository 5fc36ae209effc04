"""The settle time that learns from the pauses of an inbox's writers, under a virtual clock (W01)."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropmill.model.file import Signature
from dropmill.model.job import FoundBy
from dropmill.model.pace import MEMORY_SECONDS, Pace
from dropmill.model.settling import Hint, Look, LookAgain, Rules, Settled, Waiting, settle


def version(size: int, ino: int = 1) -> Signature:
    return Signature(1, ino, size, size, size)


@dataclass
class Inbox:
    """One inbox of a virtual world: its files, and settling as the stage does it."""

    settle_seconds: float = 1.0
    longest_seconds: float = 5.0
    now: float = 0.0
    files: dict[bytes, Signature] = field(default_factory=dict)
    waiting: dict[bytes, Waiting] = field(default_factory=dict)
    jobs: list[tuple[bytes, Signature, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pace = Pace(self.settle_seconds, self.longest_seconds)

    def write(self, name: bytes, size: int) -> None:
        self.files[name] = version(size)
        before = self.waiting.get(name)
        self.waiting[name] = settle(before, Hint(FoundBy.EVENT), self.now, self.rules(before))[0]

    def rules(self, waiting: Waiting | None) -> Rules:
        waited = self.now - waiting.found_at if waiting is not None else 0.0
        return Rules(self.pace.settle_seconds(self.now, waited), 20.0)

    def pass_time(self, seconds: float) -> None:
        until = self.now + seconds
        while due := [name for name, waiting in self.waiting.items() if waiting.look_at <= until]:
            name = min(due, key=lambda one: self.waiting[one].look_at)
            self.now = max(self.now, self.waiting[name].look_at)
            self.pace.seen(name, self.files[name], self.now)
            before = self.waiting.pop(name)
            waiting, request = settle(before, Look(self.files[name]), self.now, self.rules(before))
            if isinstance(request, Settled):
                self.jobs.append((name, request.signature, self.now))
            if isinstance(request, LookAgain) and waiting is not None:
                self.waiting[name] = waiting
        self.now = until

    def scan(self, name: bytes, pages: int = 6, pause_seconds: float = 4.0) -> int:
        """A scanner at work; returns how many jobs came of it."""
        before = len(self.jobs)
        for page in range(1, pages + 1):
            self.write(name, page)
            self.pass_time(pause_seconds)
        self.pass_time(30)
        return len(self.jobs) - before


def test_w01_after_five_pauses_of_four_seconds_an_inbox_of_one_second_makes_one_job_of_a_scan() -> None:
    inbox = Inbox()
    first = inbox.scan(b"first.tif", pages=6)
    assert first > 1, "the first scan is what it learns from"
    for number in range(5):
        assert inbox.scan(b"%d.tif" % number) == 1
        assert inbox.jobs[-1][1] == version(6), "of the final bytes"


def test_w01_with_pauses_of_all_lengths() -> None:
    inbox = Inbox()
    for name in (b"a.tif", b"b.tif"):
        for page, pause in enumerate((0.2, 3.1, 0.8, 3.9, 2.2, 3.5, 1.4), 1):
            inbox.write(name, page)
            inbox.pass_time(pause)
        inbox.pass_time(30)
    assert [name for name, _, _ in inbox.jobs].count(b"b.tif") == 1


def test_w01_later_it_relaxes() -> None:
    inbox = Inbox()
    inbox.scan(b"a.tif")
    assert inbox.pace.settle_seconds(inbox.now) == 5.0
    inbox.pass_time(MEMORY_SECONDS + 1)
    assert inbox.pace.settle_seconds(inbox.now) == 1.0


def test_while_the_scanner_works_it_does_not_relax() -> None:
    inbox = Inbox()
    inbox.scan(b"a.tif")
    for number in range(60):
        assert inbox.scan(b"%d.tif" % number) == 1
    assert inbox.now > 3 * MEMORY_SECONDS


def test_an_import_of_a_camera_stays_fast() -> None:
    """Each file written once, in steps without a long pause."""
    inbox = Inbox()
    for number in range(500):
        for step in range(1, 4):
            inbox.write(b"%d.jpg" % number, step)
            inbox.pass_time(0.2)
    inbox.pass_time(1.1)
    assert len(inbox.jobs) == 500
    assert inbox.pace.settle_seconds(inbox.now) == 1.0


def test_one_file_that_is_touched_again_slows_nothing() -> None:
    inbox = Inbox()
    for size in (1, 2, 3):
        inbox.write(b"edited.jpg", size)
        inbox.pass_time(3)
    assert inbox.pace.settle_seconds(inbox.now) == 1.0


def test_files_edited_much_later_are_no_pauses() -> None:
    inbox = Inbox()
    for size in range(1, 20):
        inbox.write(b"edited.jpg", size)
        inbox.pass_time(6)
    assert inbox.pace.settle_seconds(inbox.now) == 1.0


def test_at_the_settle_time_or_below_it_never_adapts() -> None:
    inbox = Inbox(longest_seconds=0.5)
    assert inbox.scan(b"a.tif") == 6
    assert inbox.pace.settle_seconds(inbox.now) == 1.0


@given(
    st.floats(0, 10),
    st.floats(0, 60),
    st.lists(st.tuples(st.sampled_from([b"a", b"b", b"c"]), st.integers(0, 3), st.floats(0, 100)), max_size=60),
)
def test_whatever_is_seen_the_bounds_hold(
    shortest: float, longest: float, steps: list[tuple[bytes, int, float]]
) -> None:
    pace, now = Pace(shortest, longest), 0.0
    for name, size, seconds in steps:
        now += seconds
        pace.seen(name, version(size), now)
        assert shortest <= pace.settle_seconds(now) <= max(shortest, longest)
    assert pace.settle_seconds(now + MEMORY_SECONDS + 1) == shortest


def test_memory_of_paths_is_bounded() -> None:
    pace = Pace(1.0, 5.0)
    for number in range(10_000):
        pace.seen(b"%d" % number, version(1), number * 0.001)
    assert len(pace._latest) <= 4096


@pytest.mark.parametrize("every_seconds", [3.0, 5.0, 9.0])
def test_w01_a_file_that_is_rewritten_for_ever_is_taken_all_the_same(every_seconds: float) -> None:
    """A webcam's latest picture, at the settings that an inbox has by default."""
    inbox = Inbox(settle_seconds=2.0, longest_seconds=10.0)
    for size in range(1, int(3600 / every_seconds)):
        inbox.write(b"webcam.jpg", size)
        inbox.pass_time(every_seconds)
    assert len(inbox.jobs) >= 3600 // 70
    times = [0.0, *(at for _, _, at in inbox.jobs), inbox.now]
    assert max(after - before for before, after in pairwise(times)) <= 5 * 10 + 2 * every_seconds
