"""The settle machine under a virtual clock: nothing here waits."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from dropmill.model.file import Signature
from dropmill.model.job import FoundBy
from dropmill.model.settling import (
    COMPLETE,
    LONGEST_PAUSE_SECONDS,
    WAITS_FOR_DONE_FILE,
    Forget,
    Hint,
    Look,
    LookAgain,
    Nudge,
    Rules,
    Settled,
    Waiting,
    incomplete,
    settle,
)

RULES = Rules(settle_seconds=2.0, incomplete_timeout_seconds=20.0)


def version(size: int, mtime: int = 0, ino: int = 1) -> Signature:
    return Signature(1, ino, size, mtime, mtime)


@dataclass
class World:
    """A file that changes at given times, and the machine looking at it whenever it asks to."""

    rules: Rules = RULES
    now: float = 0.0
    waiting: Waiting | None = None
    settled: list[tuple[float, Signature]] = field(default_factory=list)
    next_look: float | None = None
    busy_until: float = 0.0
    incomplete_until: float = 0.0
    released_at: float = 0.0
    looks: int = 0

    def hint(self, found_by: FoundBy = FoundBy.EVENT, signature: Signature | None = None) -> None:
        self.waiting, request = settle(self.waiting, Hint(found_by, signature), self.now, self.rules)
        self.follow(request)

    def follow(self, request: object) -> None:
        match request:
            case LookAgain(at=at):
                assert at >= self.now
                self.next_look = at
            case Settled(signature=signature):
                self.settled.append((self.now, signature))
                self.next_look = None
            case Forget():
                self.next_look = None

    def run(self, until: float, file: Signature | None) -> None:
        """Let time pass up to ``until`` with the file as it is."""
        while self.next_look is not None and self.next_look <= until:
            self.now = self.next_look
            self.looks += 1
            assert self.looks < 10_000, "the machine looks without end"
            look = Look(
                file,
                writer=self.now < self.busy_until,
                complete=incomplete("half") if self.now < self.incomplete_until else COMPLETE,
                released=self.now >= self.released_at,
            )
            self.waiting, request = settle(self.waiting, look, self.now, self.rules)
            self.follow(request)
        self.now = until


def test_a_file_that_stays_settles_once_after_the_settle_time() -> None:
    world = World()
    world.hint()
    world.run(100, version(10))
    assert [signature for _, signature in world.settled] == [version(10)]
    assert 2.0 <= world.settled[0][0] <= 2.2


def test_w01_pages_of_a_scanner_settle_as_the_final_bytes() -> None:
    """Closed and reopened every 1.5 s: each page restarts the clock, so only the last version is handed on."""
    world = World()
    for page in range(1, 6):
        world.hint()
        world.run(page * 1.5, version(page))
    world.run(60, version(5))
    assert [signature for _, signature in world.settled] == [version(5)]


def test_w02_every_modify_restarts_the_clock() -> None:
    world = World()
    for step in range(100):
        world.hint()
        world.run(step * 0.5, version(step))
    assert world.settled == []
    world.run(60, version(99))
    assert world.settled[0][0] >= 99 * 0.5 - 0.5 + 2.0


def test_w02_changes_without_events_restart_the_clock_too() -> None:
    """On a share nobody tells of writes: a look that differs from the one before counts as a change."""
    world = World()
    world.hint()
    for step in range(20):
        world.run((step + 1) * 1.0, version(step))
    assert world.settled == []
    world.run(40, version(19))
    assert len(world.settled) == 1


def test_w03_an_empty_placeholder_waits_and_then_the_real_bytes_count() -> None:
    world = World()
    world.hint()
    world.run(10, version(0))
    assert world.settled == []
    world.hint()
    world.run(30, version(500, mtime=10))
    assert [signature.size_bytes for _, signature in world.settled] == [500]


def test_w03_an_empty_file_is_handed_on_at_the_deadline() -> None:
    world = World()
    world.hint()
    world.run(19, version(0))
    assert world.settled == []
    world.run(30, version(0))
    assert [signature.size_bytes for _, signature in world.settled] == [0]


def test_w07_old_mtime_is_not_stability() -> None:
    """A copy that preserves an old mtime gets no credit for its age."""
    ancient = version(10, mtime=-(10**18))
    world = World()
    world.hint()
    world.run(1.9, ancient)
    assert world.settled == []
    world.run(3, ancient)
    assert len(world.settled) == 1


def test_a_writer_that_has_it_open_delays_but_not_for_ever() -> None:
    world = World(busy_until=10.0)
    world.hint()
    world.run(9.9, version(10))
    assert world.settled == []
    world.run(15, version(10))
    assert len(world.settled) == 1
    stubborn = World(busy_until=1e9)
    stubborn.hint()
    stubborn.run(100, version(10))
    assert len(stubborn.settled) == 1


def test_w08_what_is_incomplete_waits_and_is_taken_once_it_is_complete() -> None:
    world = World(incomplete_until=9.0)
    world.hint()
    world.run(9, version(10))
    assert world.settled == []
    assert world.waiting is not None
    assert world.waiting.note == "not complete yet: half"
    world.run(20, version(10))
    assert 9 <= world.settled[0][0] <= 9 * 1.5 + 2


def test_w08_what_stays_incomplete_is_handed_on_at_the_deadline() -> None:
    """The deadline counts from the last change, and each change starts it anew."""
    world = World(incomplete_until=1e9)
    world.hint()
    world.run(19, version(10))
    assert world.settled == []
    world.hint()
    world.run(38, version(20))
    assert world.settled == []
    world.run(60, version(20))
    assert [signature for _, signature in world.settled] == [version(20)]
    assert 39 <= world.settled[0][0] <= 39.2


def test_without_its_done_file_a_picture_waits_for_ever() -> None:
    world = World(released_at=1e9)
    world.hint()
    world.run(86_400, version(10))
    assert world.settled == []
    assert world.waiting is not None
    assert world.waiting.note == WAITS_FOR_DONE_FILE
    assert world.waiting.idle
    assert world.looks < 86_400 / LONGEST_PAUSE_SECONDS + 20


def test_the_arrival_of_a_done_file_is_noticed_at_once() -> None:
    world = World(released_at=1000.0)
    world.hint()
    world.run(1000, version(10))
    world.waiting, request = settle(world.waiting, Nudge(), 1000.0, RULES)
    world.follow(request)
    world.run(1000.1, version(10))
    assert world.settled == [(1000.0, version(10))]


def test_a_done_file_does_not_shorten_the_settle_time() -> None:
    world = World()
    world.hint()
    world.run(1, version(10))
    world.waiting, request = settle(world.waiting, Nudge(), 1.0, RULES)
    world.follow(request)
    world.run(1.9, version(10))
    assert world.settled == []


def test_a_done_file_that_comes_during_the_look_is_not_lost() -> None:
    waiting, _ = settle(None, Hint(FoundBy.EVENT, version(10)), 0.0, RULES)
    waiting, _ = settle(waiting, Nudge(), 2.05, RULES)
    waiting, request = settle(waiting, Look(version(10), released=False), 2.0, RULES)
    assert isinstance(request, LookAgain) and request.at == 2.05


def test_w04_trouble_is_tried_again_less_and_less_often() -> None:
    waiting, _ = settle(None, Hint(FoundBy.EVENT), 0.0, RULES)
    now, pauses = 0.05, []
    for _ in range(20):
        waiting, request = settle(waiting, Look(None, trouble="Device or resource busy"), now, RULES)
        assert isinstance(request, LookAgain)
        pauses.append(round(request.at - now, 6))
        now = request.at
    assert pauses == sorted(pauses)
    assert pauses[0] == 2.0
    assert pauses[-1] == LONGEST_PAUSE_SECONDS


def test_what_is_not_ours_is_not_waited_for_to_be_complete() -> None:
    waiting, _ = settle(None, Hint(FoundBy.STARTUP, version(0)), 0.0, RULES)
    _, request = settle(waiting, Look(version(0), ours=False), 2.0, RULES)
    assert isinstance(request, Settled)


def test_a_file_that_vanishes_is_forgotten() -> None:
    world = World()
    world.hint()
    world.run(10, None)
    assert world.waiting is None
    assert world.settled == []


def test_trouble_is_tried_again_and_says_why() -> None:
    waiting, _ = settle(None, Hint(FoundBy.EVENT), 0.0, RULES)
    waiting, request = settle(waiting, Look(None, trouble="Permission denied"), 0.05, RULES)
    assert waiting is not None
    assert waiting.note == "Permission denied"
    assert isinstance(request, LookAgain)


def test_a_file_that_a_scan_met_first_counts_as_seen_by_the_watcher() -> None:
    waiting, _ = settle(None, Hint(FoundBy.RECONCILE, version(1)), 0.0, RULES)
    waiting, _ = settle(waiting, Hint(FoundBy.EVENT), 0.1, RULES)
    assert waiting is not None
    assert waiting.found_by is FoundBy.EVENT


@given(
    st.lists(st.tuples(st.floats(0.01, 5.0), st.booleans(), st.booleans()), max_size=30),
    st.sampled_from([Rules(0.0, 0.0), Rules(0.1, 1.0), Rules(2.0, 20.0), Rules(5.0, 1.0)]),
)
def test_whatever_happens_exactly_the_last_version_settles_last_and_only_after_its_time(
    steps: list[tuple[float, bool, bool]], rules: Rules
) -> None:
    """Random gaps, changes with and without an event. ``steps``: (seconds until it, does it change, is it told)."""
    world = World(rules=rules)
    size, changed_at = 1, 0.0
    world.hint()
    for gap, changes, told in steps:
        world.run(world.now + gap, version(size))
        if changes:
            size += 1
            changed_at = world.now
        # A change that nobody tells of is found by a scan, which sees the signature too.
        if told:
            world.hint()
        elif changes:
            world.hint(FoundBy.RECONCILE, version(size))
    world.run(world.now + 1000, version(size))
    assert world.waiting is None
    final_at, final = world.settled[-1]
    assert final == version(size)
    assert final_at >= changed_at + rules.settle_seconds or not steps
    sizes = [signature.size_bytes for _, signature in world.settled]
    assert sizes == sorted(sizes)


class SettleMachine(RuleBasedStateMachine):
    """A path to which anything may happen between two looks, told or not, with a scan to find what nobody told of."""

    @initialize(
        rules=st.sampled_from([Rules(0.0, 0.0), Rules(0.1, 1.0), Rules(2.0, 20.0), Rules(5.0, 1.0)]),
        scan_seconds=st.sampled_from([1.0, 7.0, 60.0]),
    )
    def begin(self, rules: Rules, scan_seconds: float) -> None:
        self.rules, self.scan_seconds = rules, scan_seconds
        self.now = self.changed_at = 0.0
        self.next_scan = scan_seconds
        self.versions = 1
        self.file: Signature | None = version(1)
        self.waiting: Waiting | None = None
        self.settled: list[Signature] = []
        self.writer = self.missing = self.trouble = False
        self.released = True
        self.observe(Hint(FoundBy.STARTUP))

    def observe(self, observation: Hint | Nudge | Look) -> None:
        before = self.waiting
        self.waiting, request = settle(before, observation, self.now, self.rules)
        match request:
            case LookAgain(at=at):
                assert self.waiting is not None and at == self.waiting.look_at >= self.now
            case Settled(signature=signature):
                assert signature == self.file, "it is what was there when it was looked at"
                assert self.now >= self.changed_at + self.rules.settle_seconds
                assert self.released and not self.trouble
                # A version that settled is known from then on; settling it again makes no second job.
                self.settled.append(signature)
            case Forget():
                assert self.waiting is None

    def look(self) -> None:
        complete = incomplete("half") if self.missing else COMPLETE
        trouble = "EBUSY" if self.trouble else ""
        seen = None if self.trouble else self.file
        self.observe(Look(seen, self.writer, trouble=trouble, complete=complete, released=self.released))

    def scan(self) -> None:
        if self.file is not None and self.file not in self.settled:
            self.observe(Hint(FoundBy.RECONCILE, self.file))
        self.next_scan = self.now + self.scan_seconds

    @rule(seconds=st.floats(0.001, 40.0))
    def pass_time(self, seconds: float) -> None:
        until = self.now + seconds
        for _ in range(100_000):
            look_at = self.waiting.look_at if self.waiting else until + 1
            if min(look_at, self.next_scan) > until:
                break
            self.now = max(self.now, min(look_at, self.next_scan))
            if self.next_scan <= look_at:
                self.scan()
            else:
                self.look()
        else:
            raise AssertionError("it looks without end")
        self.now = until

    @rule(told=st.booleans())
    def change(self, told: bool) -> None:
        self.versions += 1
        self.file, self.changed_at = version(self.versions), self.now
        if told:
            self.observe(Hint(FoundBy.EVENT))

    @precondition(lambda self: self.file is not None)
    @rule(told=st.booleans())
    def vanish(self, told: bool) -> None:
        self.file = None
        if told:
            self.observe(Hint(FoundBy.EVENT))

    @rule()
    def event_without_a_change(self) -> None:
        self.observe(Hint(FoundBy.EVENT))

    @rule(what=st.sampled_from(["writer", "missing", "trouble"]), value=st.booleans())
    def condition(self, what: str, value: bool) -> None:
        setattr(self, what, value)

    @rule()
    def take_the_done_file_away(self) -> None:
        self.released = False

    @rule()
    def put_the_done_file(self) -> None:
        self.released = True
        self.observe(Nudge())

    def teardown(self) -> None:
        """Left alone, everything that is there settles within a time that can be told, and nothing else waits."""
        if not hasattr(self, "file"):
            return
        self.trouble, self.released = False, True
        bound = self.rules.incomplete_timeout_seconds + 3 * self.rules.settle_seconds
        self.pass_time(bound + self.scan_seconds + 2 * LONGEST_PAUSE_SECONDS + 1)
        assert self.waiting is None
        assert self.file is None or self.file in self.settled


SettleMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestSettleMachine = SettleMachine.TestCase
