"""The settle machine under a virtual clock: nothing here waits."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from dropmill.model.file import Signature
from dropmill.model.job import FoundBy
from dropmill.model.settling import Forget, Hint, Look, LookAgain, Rules, Settled, Waiting, settle

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
            look = Look(file, writer=self.now < self.busy_until)
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
