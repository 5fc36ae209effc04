"""Pure tables and decisions of the model."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropmill.model.attempt import Dead, Done, Policy, Retry, judge
from dropmill.model.backoff import backoff_seconds
from dropmill.model.duplicates import Policies
from dropmill.model.duplicates import Policy as TierPolicy
from dropmill.model.file import Signature, shown
from dropmill.model.fingerprint import Content, from_int64, to_hex, to_int64
from dropmill.model.job import ACTIVE, PRIORITY_STEP_MS, TERMINAL, TRANSITIONS, FoundBy, Job, JobState, rank_ms
from dropmill.model.outcome import EXPLANATIONS, Reason, explained
from dropmill.model.publication import collision_key
from dropmill.model.verdict import (
    Alike,
    Duplicate,
    Evidence,
    Home,
    LookFirst,
    Moved,
    Presence,
    Publish,
    Twin,
    Unchanged,
    decide,
)
from dropmill.model.work import NotOurs, Recognised, Rejected, Superseded, Troubled, WorkerLost

POLICY = Policy(max_attempts=5, retry_base_seconds=2.0, retry_cap_seconds=300.0, max_interruptions=20)
CHANCE = random.Random(7)


def a_job(attempts: int = 1, crashes: int = 0) -> Job:
    signature = Signature(1, 2, 3, 4, 5)
    return Job(1, 1, "in", b"a.jpg", signature, FoundBy.EVENT, "", attempts, crashes, 0, False, None, None, None)


def test_every_active_state_can_end_and_every_state_is_reachable() -> None:
    reachable: set[JobState | None] = {None}
    for _ in TRANSITIONS:
        reachable |= {target for (source, _), target in TRANSITIONS.items() if source in reachable}
    assert reachable == {None, *JobState}
    for state in ACTIVE:
        seen: set[JobState] = {state}
        for _ in TRANSITIONS:
            seen |= {target for (source, _), target in TRANSITIONS.items() if source in seen}
        assert seen & TERMINAL


def test_every_reason_is_explained() -> None:
    assert set(EXPLANATIONS) == set(Reason)
    assert all(explanation.cause and explanation.remedy for explanation in EXPLANATIONS.values())


@pytest.mark.parametrize("reason", list(Reason))
def test_what_helps_a_url_is_nothing_to_do_with_copying_a_file(reason: Reason) -> None:
    of_url = explained(reason, of_url=True)
    assert of_url.cause and of_url.retryable == EXPLANATIONS[reason].retryable
    if reason in {Reason.EMPTY, Reason.NOT_AN_IMAGE, Reason.TRUNCATED, Reason.CORRUPT, Reason.WORKER_CRASHED}:
        assert "URL" in of_url.remedy and "copy" not in of_url.remedy and "rename" not in of_url.remedy
    assert explained(reason, of_url=False) == EXPLANATIONS[reason]


def test_q09_low_priority_ages_past_fresh_high_priority() -> None:
    waited = 4 * PRIORITY_STEP_MS + 1
    assert rank_ms(0, 1) < rank_ms(waited, 5)
    assert rank_ms(0, 5) < rank_ms(0, 1)


@pytest.mark.parametrize("reason", [Reason.TIMEOUT, Reason.WORKER_CRASHED, Reason.MEMORY_LIMIT])
def test_q02_a_job_that_takes_its_worker_down_is_tried_once_more_alone_and_then_discarded(reason: Reason) -> None:
    first = judge(a_job(), WorkerLost(reason), POLICY, CHANCE)
    assert isinstance(first, Retry)
    assert first.alone
    assert first.crashed
    second = judge(a_job(attempts=2, crashes=1), WorkerLost(reason), POLICY, CHANCE)
    assert second == Dead(reason, "", crashed=True)


def test_what_the_file_is_to_blame_for_is_not_tried_again() -> None:
    assert judge(a_job(), Rejected(Reason.TRUNCATED, "x"), POLICY, CHANCE) == Dead(Reason.TRUNCATED, "x")


def test_what_is_not_ours_is_never_moved() -> None:
    consequence = judge(a_job(), NotOurs(Reason.SYMLINK), POLICY, CHANCE)
    assert isinstance(consequence, Dead)
    assert not consequence.move


def test_trouble_of_the_machine_is_retried_up_to_the_limit() -> None:
    assert isinstance(judge(a_job(attempts=4), Troubled(Reason.IO_ERROR), POLICY, CHANCE), Retry)
    given_up = judge(a_job(attempts=5), Troubled(Reason.IO_ERROR), POLICY, CHANCE)
    assert isinstance(given_up, Dead)
    assert not given_up.move


@pytest.mark.parametrize("reason", [Reason.DISK_FULL, Reason.OUTPUT_UNAVAILABLE, Reason.UNREADABLE])
def test_s12_trouble_that_only_waiting_ends_never_discards(reason: Reason) -> None:
    assert isinstance(judge(a_job(attempts=1000), Troubled(reason), POLICY, CHANCE), Retry)


def test_results_are_handed_to_the_commit() -> None:
    for result in (Recognised(Content("a" * 64, "b" * 64)), Superseded()):
        assert judge(a_job(), result, POLICY, CHANCE) == Done(result)


@given(st.integers(1, 1000), st.floats(0.1, 10), st.floats(10, 1000))
def test_backoff_grows_within_its_bounds(attempt: int, base: float, cap: float) -> None:
    wait = backoff_seconds(attempt, base, cap, random.Random(attempt))
    assert 0 < wait <= cap
    assert wait >= min(cap, base) / 2


def evidence(**changes: object) -> Evidence:
    values: dict[str, object] = {"known_here": None, "homes": (), "twins": (), "policies": Policies(), "forced": False}
    return Evidence(**{**values, **changes})


def test_w39_of_two_kept_copies_the_one_that_was_renamed_is_moved() -> None:
    other = Home(b"other.jpg", 9, True, Presence.HOLDS)
    found = decide(evidence(homes=[other, home(Presence.RENAMED)], twins=[Twin(9, "bytes")]))
    assert found == Moved(9, b"old.jpg", left=True)


def home(presence: Presence, standing: bool = True) -> Home:
    return Home(b"old.jpg", 9, standing, presence)


def test_new_content_is_published() -> None:
    assert decide(evidence()) == Publish()


def test_w35_the_same_path_and_bytes_are_unchanged_even_with_twins_about() -> None:
    found = decide(evidence(known_here=4, twins=[Twin(4, "bytes")], homes=[home(Presence.GONE)]))
    assert found == Unchanged(4)


def test_w39_bytes_whose_home_is_gone_have_moved() -> None:
    assert decide(evidence(homes=[home(Presence.GONE)], twins=[Twin(9, "bytes")])) == Moved(9, b"old.jpg", left=True)


def test_w11_a_hard_link_is_the_same_file_and_both_names_stay() -> None:
    found = decide(evidence(homes=[home(Presence.SAME_FILE)], twins=[Twin(9, "bytes")]))
    assert found == Moved(9, b"old.jpg", left=False)


def test_a_home_that_still_holds_the_bytes_makes_it_a_duplicate() -> None:
    found = decide(evidence(homes=[home(Presence.HOLDS)], twins=[Twin(9, "bytes")]))
    assert found == Duplicate(9, "bytes", (Alike(9, "bytes"),))


def test_homes_have_to_be_looked_at_before_anything_is_said() -> None:
    assert decide(evidence(homes=[home(Presence.UNKNOWN)], twins=[Twin(9, "bytes")])) == LookFirst((b"old.jpg",))


def test_homes_whose_renditions_are_gone_do_not_count() -> None:
    assert decide(evidence(homes=[home(Presence.GONE, standing=False)])) == Publish()


def test_with_exact_off_every_file_is_published() -> None:
    assert decide(evidence(twins=[Twin(9, "bytes")], policies=Policies(exact=TierPolicy.OFF))) == Publish()


def test_reprocessing_always_publishes() -> None:
    assert decide(evidence(known_here=4, twins=[Twin(4, "bytes")], forced=True)) == Publish()


@given(st.integers(0, (1 << 64) - 1))
def test_hashes_survive_the_signed_column_and_show_imagehash_hex(value: int) -> None:
    assert from_int64(to_int64(value)) == value
    assert -(1 << 63) <= to_int64(value) < 1 << 63
    assert int(to_hex(value), 16) == value
    assert len(to_hex(value)) == 16


def test_s04_names_that_a_case_insensitive_or_normalising_disk_takes_for_one_have_one_key() -> None:
    assert collision_key("Ä.JPG".encode()) == collision_key(b"a\xcc\x88.jpg")
    assert collision_key(b"a\xff.jpg") != collision_key(b"a\xfe.jpg")
    collision_key(b"\xed\xa0\x80").encode()  # An encoded surrogate is stored as text all the same.


@given(st.binary(min_size=1, max_size=60))
def test_w18_names_are_shown_without_anything_that_a_terminal_obeys(name: bytes) -> None:
    text = shown(name)
    assert text.isprintable()
    assert text.encode()


def test_w18_escapes_line_breaks_ansi_bidi_and_undecodable_bytes() -> None:
    assert shown("a\nb\x1b[31m\u202egpj.exe".encode() + b"\xff") == "a\\nb\\x1b[31m\\u202egpj.exe\\xff"
    assert shown("Ünïcödé 写真.jpg".encode()) == "Ünïcödé 写真.jpg"
