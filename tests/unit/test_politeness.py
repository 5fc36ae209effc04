"""What a host is owed, as pure decisions."""

from __future__ import annotations

import random
from dataclasses import replace
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropmill.model.download import Failed, Fetched, FetchResult, Host, Provenance
from dropmill.model.file import Signature
from dropmill.model.outcome import Reason
from dropmill.model.politeness import (
    ONCE_PROBES,
    Rules,
    after,
    after_giving_up,
    given_up,
    most_at_once,
    retry_after_seconds,
    retry_seconds,
)

NOW_MS = 1_800_000_000_000
CAP = 3600.0
RULES = Rules(8, 0, 5, 15.0, CAP, 86_400.0, 2.0, 300.0, 5)
HOST = Host(1, "https://host.test:443")
OK = Fetched(Signature(1, 2, 3, 4, 5), Provenance("https://host.test/", status=200))
DEAD = Failed(Reason.CONNECT_FAILED, "", permanent=False, blames_host=True)
GONE = Failed(Reason.HTTP_404, "", permanent=True)
FULL = Failed(Reason.DISK_FULL, "", permanent=False)


def busy(seconds: float | None, reason: Reason = Reason.HTTP_429) -> Failed:
    return Failed(reason, "", permanent=False, retry_after_seconds=seconds, blames_host=True)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 120 ", 120.0),
        ("1000000000", CAP),
        ("9" * 5000, CAP),
        (formatdate(NOW_MS / 1000 + 90, usegmt=True), 90.0),
        (formatdate(NOW_MS / 1000 - 90, usegmt=True), 0.0),
        ("Friday, 15-Jan-27 08:01:30 GMT", 90.0),
        ("Fri Jan 15 08:01:30 2027", 90.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", CAP),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0.0),
        ("", None),
        ("   ", None),
        ("-5", None),
        ("+5", None),
        ("1.5", None),
        ("1e3", None),
        ("soon", None),
        ("٣٠", None),
        ("³", None),
        ("120, 60", None),
        ("Fri, 99 Foo 2027 08:01:30 GMT", None),
        ("Fri, 15 Jan 99999999999999 08:01:30 GMT", None),
        ("0x10", None),
    ],
)
def test_u10_a_retry_after_is_honoured_capped_or_left_out(value: str, seconds: float | None) -> None:
    assert retry_after_seconds(value, NOW_MS, CAP) == seconds


@given(st.one_of(st.text(), st.text(alphabet="0123456789 :,-+GMTJanFri", max_size=40)), st.floats(0, 1e9))
def test_u10_no_retry_after_does_harm(value: str, cap: float) -> None:
    seconds = retry_after_seconds(value, NOW_MS, cap)
    assert seconds is None or 0 <= seconds <= cap


RESULTS: st.SearchStrategy[FetchResult] = st.one_of(
    st.sampled_from([OK, DEAD, GONE, FULL]),
    st.builds(busy, st.one_of(st.none(), st.floats(0, 1e12)), st.sampled_from([Reason.HTTP_429, Reason.HTTP_503])),
)
HISTORIES = st.lists(st.tuples(st.integers(0, 10_000_000), RESULTS), max_size=40)
SOME_RULES = st.builds(
    Rules,
    per_host=st.integers(1, 100),
    requests_per_second=st.just(0.0),
    breaker_failures=st.integers(1, 10),
    breaker_rest_seconds=st.floats(0.1, 10_000),
    max_rest_seconds=st.floats(1, 100_000),
    give_up_seconds=st.floats(1, 1_000_000),
    retry_base_seconds=st.floats(0.1, 100),
    retry_cap_seconds=st.floats(1, 10_000),
    max_attempts=st.integers(1, 10),
)


@given(HISTORIES, SOME_RULES, st.integers())
def test_u10_u14_no_history_makes_a_host_rest_for_longer_than_the_cap_or_cuts_a_rest_short(
    history: list[tuple[int, FetchResult]], rules: Rules, seed: int
) -> None:
    chance, now_ms, host = random.Random(seed), NOW_MS, HOST
    for passed_ms, result in history:
        now_ms += passed_ms
        before, host = host, after(host, result, now_ms, rules, chance)
        assert before.ready_at_ms <= host.ready_at_ms <= max(before.ready_at_ms, now_ms + rules.max_rest_seconds * 1000)
        assert (host.id, host.origin) == (before.id, before.origin)
        opened = host.opened_at_ms is not None
        assert opened <= (host.failures >= rules.breaker_failures)
        assert host.opened_at_ms is None or host.opened_at_ms <= now_ms
        assert most_at_once(host, True, rules) == (1 if host.failures else rules.per_host)
        if result is FULL:
            assert host == before, "what is our own trouble says nothing of the host"
        if before.opened_at_ms is None and opened:
            assert host.ready_at_ms > now_ms
            assert not given_up(host, now_ms, rules, once=True)


def test_u14_the_circuit_opens_at_its_limit_and_rests_double_with_each_failed_probe() -> None:
    chance, host = random.Random(1), HOST
    for number in range(1, 5):
        host = after(host, DEAD, NOW_MS, RULES, chance)
        assert (host.failures, host.opened_at_ms, host.ready_at_ms) == (number, None, 0)
    host = after(host, DEAD, NOW_MS, RULES, chance)
    assert (host.opened_at_ms, host.probes) == (NOW_MS, 0)
    assert 7_500 <= host.ready_at_ms - NOW_MS <= 15_000
    assert after(host, DEAD, NOW_MS + 1, RULES, chance) == host, "it was begun before the circuit opened"
    for probe in range(1, 12):
        now_ms = host.ready_at_ms
        host = after(host, DEAD, now_ms, RULES, chance)
        rest = min(15 * 2**probe, CAP)
        assert rest / 2 <= (host.ready_at_ms - now_ms) / 1000 <= rest
        assert (host.probes, host.opened_at_ms) == (probe, NOW_MS)
    back = after(host, OK, host.ready_at_ms, RULES, chance)
    assert (back.failures, back.opened_at_ms, back.probes, back.detail) == (0, None, 0, "")


@pytest.mark.parametrize("result", [OK, GONE, busy(5.0)], ids=["file", "404", "429"])
def test_u14_a_host_that_answers_is_not_dead_be_it_with_a_refusal(result: FetchResult) -> None:
    opened = replace(HOST, failures=7, opened_at_ms=NOW_MS - 60_000, probes=2, ready_at_ms=NOW_MS)
    host = after(opened, result, NOW_MS, RULES, random.Random(1))
    assert (host.failures, host.opened_at_ms, host.probes) == (0, None, 0)


@pytest.mark.parametrize(
    ("asked", "least", "most"),
    [(600.0, 600, 600), (1e9, 3600, 3600), (0.0, 1, 2), (None, 1, 2)],
)
def test_u10_a_host_rests_as_it_asks_and_at_least_as_long_as_a_retry_waits(
    asked: float | None, least: float, most: float
) -> None:
    host = after(HOST, busy(asked), NOW_MS, RULES, random.Random(1))
    assert least <= (host.ready_at_ms - NOW_MS) / 1000 <= most
    assert (host.failures, host.opened_at_ms) == (0, None)
    assert host.detail.startswith("http-429")


def test_u14_a_503_without_a_retry_after_is_a_failure_of_the_host() -> None:
    assert after(HOST, busy(None, Reason.HTTP_503), NOW_MS, RULES, random.Random(1)).failures == 1
    assert after(HOST, busy(9.0, Reason.HTTP_503), NOW_MS, RULES, random.Random(1)).failures == 0


def test_u14_a_host_is_given_up_after_its_time_or_with_once_after_three_probes() -> None:
    opened = replace(HOST, failures=9, opened_at_ms=NOW_MS, probes=ONCE_PROBES)
    assert given_up(opened, NOW_MS, RULES, once=True)
    assert not given_up(replace(opened, probes=ONCE_PROBES - 1), NOW_MS, RULES, once=True)
    assert not given_up(opened, NOW_MS + 86_399_000, RULES, once=False)
    assert given_up(opened, NOW_MS + 86_400_000, RULES, once=False)
    assert not given_up(HOST, NOW_MS, RULES, once=True)
    fresh = after_giving_up(opened, RULES)
    assert not given_up(fresh, NOW_MS, RULES, once=True)
    assert after(fresh, DEAD, NOW_MS, RULES, random.Random(1)).opened_at_ms == NOW_MS, (
        "one more failure, and it is shut"
    )


@given(st.integers(1, 100), st.integers())
def test_u19_what_passes_is_retried_with_jitter_up_to_its_limit(attempts: int, seed: int) -> None:
    chance = random.Random(seed)
    seconds = retry_seconds(attempts, DEAD, RULES, chance)
    if attempts >= 5:
        assert seconds is None
    else:
        assert seconds is not None
        assert 2.0**attempts / 2 <= seconds <= 2.0**attempts
    assert retry_seconds(attempts, GONE, RULES, chance) is None
    patient = retry_seconds(attempts, FULL, RULES, chance)
    assert patient is not None
    assert 0 < patient <= 300, "a full disk uses no attempts up"


def test_u10_what_another_origin_asks_for_is_not_held_against_the_host() -> None:
    """A shortener is not silenced by one of the hosts that it leads to; the URL itself waits."""
    host = Host(1, "https://short.example:443", failures=2)
    told = Failed(Reason.HTTP_429, "", permanent=False, retry_after_seconds=900.0, elsewhere=True)
    after_it = after(host, told, NOW_MS, RULES, random.Random(1))
    assert (after_it.ready_at_ms, after_it.failures) == (0, 0)
    seconds = retry_seconds(1, told, RULES, random.Random(1))
    assert seconds is not None
    assert seconds == min(900.0, RULES.max_rest_seconds)
