"""Politeness on real SQLite: dead hosts, hosts that ask for rest, and what others notice of them: nothing."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import anyio
import pytest
from fetch_support import BOUNDS, DEAD, GONE, RULES, Mill, busy, takes, then

from dropmill.model.outcome import Reason
from dropmill.observe.facts import Discarded, HostBack, HostGivenUp, HostResting, LeftResting

GOOD = [f"https://good{number}.test:443" for number in range(10)]
BAD = "https://bad.test:443"


@pytest.mark.parametrize(
    ("urls", "silent_seconds"),
    [(500, 0.0), (500, 10.0), pytest.param(10_000, 10.0, marks=pytest.mark.long)],
    ids=["refuses", "hangs", "ten thousand"],
)
def test_u14_a_dead_host_with_ten_thousand_urls_delays_no_other_and_is_hardly_asked(
    tmp_path: Path, urls: int, silent_seconds: float
) -> None:
    def good_takes(folder: Path, dead_urls: int) -> float:
        folder.mkdir()
        mill = Mill(folder)
        mill.net.hosts = {BAD: takes(silent_seconds, DEAD)} | {origin: takes(0.2) for origin in GOOD}
        dead = mill.add(BAD, dead_urls) if dead_urls else []
        good = [job for origin in GOOD for job in mill.add(origin, 30)]

        async def main() -> float:
            async with mill.running():
                await mill.until(lambda: mill.states(good)["fetched"] == 300, 0.05)
                seconds = mill.time.seconds
                if dead:
                    reads = mill.catalog.reads
                    await anyio.sleep(3600)
                    assert mill.catalog.reads - reads < 3600 * 2, "the queue is looked at without a reason"
                return seconds

        seconds = mill.run(main)
        if dead:
            assert mill.net.most[BAD] == 1
            # Five open the circuit; the rests between the probes double from 15 s, half of each certain.
            assert 5 < len(mill.net.times(BAD)) <= 5 + 9
            attempts = sum(row["attempts"] for row in mill.jobs(dead).values())
            assert attempts <= len(mill.net.times(BAD)), "no URL pays for a request that was not made"
            states = mill.states(dead)
            assert states["available"] + states["scheduled"] >= dead_urls - 3
            opened = [fact for fact in mill.told(HostResting) if fact.failing and not fact.probes]
            assert [fact.origin for fact in opened] == [BAD]
        mill.catalog.close()
        return seconds

    alone = good_takes(tmp_path / "alone", 0)
    assert good_takes(tmp_path / "among", urls) <= 1.2 * alone


@pytest.mark.long
def test_u14_many_dead_hosts_leave_most_connections_to_those_that_answer(tmp_path: Path) -> None:
    mill = Mill(tmp_path, bounds=replace(BOUNDS, connections=16))
    dead = [f"https://dead{number}.test:443" for number in range(100)]
    mill.net.hosts = {origin: takes(30.0, DEAD) for origin in dead} | {GOOD[0]: takes(0.5)}
    good = mill.add(GOOD[0], 800)

    async def main() -> None:
        async with mill.running() as fetcher:
            await anyio.sleep(5)
            for origin in dead:
                mill.add(origin, 3)
            fetcher.wake()
            await mill.until(lambda: mill.states(good)["fetched"] == 800, 1.0)

    mill.run(main)
    assert mill.time.seconds < 2 * 800 * 0.5 / 8, "a quarter of the connections is what only hosts that answer may use"
    assert mill.net.most["*"] == 16


async def _fetch_all(mill: Mill, ids: list[int], first: int) -> None:
    async with mill.running():
        await mill.until(lambda: mill.states(ids)["fetched"] == first)


def test_u14_a_host_that_is_back_is_asked_with_one_request_first(tmp_path: Path) -> None:
    mill = Mill(tmp_path, rules=replace(RULES, max_attempts=50))
    mill.net.hosts[BAD] = then(*[takes(1.0, DEAD)] * 7, takes(1.0))
    jobs = mill.add(BAD, 40)

    async def main() -> None:
        async with mill.running():
            await mill.until(lambda: mill.states(jobs)["fetched"] == 40)

    mill.run(main)
    times = mill.net.times(BAD)
    assert times[4] <= 5.1, "below the limit of failures they follow each other"
    assert times[5] - times[4] >= 7.5, "half of 15 s is certain"
    assert times[6] - times[5] >= 15, "and doubles with each probe"
    assert times[7] - times[6] >= 30
    assert sorted(times[8:])[:7][-1] - times[7] < 1.5, "one that has answered gets all its connections"
    assert mill.net.most[BAD] == 8
    assert [fact.origin for fact in mill.told(HostBack)] == [BAD]
    assert mill.host(BAD)["opened_at_ms"] is None
    assert mill.host(BAD)["failures"] == 0


@pytest.mark.long
def test_u14_a_host_that_stays_dead_is_given_up_in_the_end_and_says_so_for_each_url(tmp_path: Path) -> None:
    mill = Mill(tmp_path, rules=replace(RULES, give_up_seconds=7200, max_rest_seconds=600))
    mill.net.hosts[BAD] = takes(1.0, DEAD)
    jobs = mill.add(BAD, 700)

    async def main() -> None:
        async with mill.running():
            await mill.until(lambda: mill.states(jobs)["discarded"] == 700, 5.0)

    mill.run(main)
    assert 7200 <= mill.time.seconds <= 7200 + 700
    reasons = {row["reason"] for row in mill.jobs(jobs).values()}
    assert reasons == {"host-unavailable", "connect-failed"}
    assert all(
        "connect-failed: nobody answers" in row["detail"] or row["attempts"] == 5 for row in mill.jobs(jobs).values()
    )
    assert len({fact.job_id for fact in mill.told(Discarded)}) == 700
    (given_up,) = mill.told(HostGivenUp)
    assert given_up.origin == BAD
    assert given_up.urls == sum(row["reason"] == "host-unavailable" for row in mill.jobs(jobs).values())
    (later,) = mill.add(BAD, 1, first=5000)
    mill.net.hosts[BAD] = takes(1.0)
    mill.run(lambda: _fetch_all(mill, [later], first=1))


@pytest.mark.parametrize("reason", [Reason.HTTP_429, Reason.HTTP_503])
def test_u10_a_rest_that_a_host_asks_for_holds_for_all_its_urls_and_survives_a_kill(
    tmp_path: Path, reason: Reason
) -> None:
    mill = Mill(tmp_path)
    mill.net.hosts[BAD] = then(takes(0.1), takes(0.1, busy(600.0, reason)), takes(0.1))
    jobs = mill.add(BAD, 100)

    async def first() -> None:
        async with mill.running(killed=True):
            await mill.until(lambda: bool(mill.told(HostResting)))
            await anyio.sleep(5)

    mill.run(first)
    asked = len(mill.net.asked)
    began = mill.told(HostResting)[0].seconds
    assert began == 600
    rested_at = mill.host(BAD)["ready_at_ms"]
    assert asked <= 1 + 8, "those that were under way ended, and none began"

    async def second() -> None:
        async with mill.running():
            await mill.until(lambda: mill.states(jobs)["fetched"] == 100)

    mill.run(second)
    later = mill.net.times(BAD)[asked:]
    assert (rested_at - mill.clock.now_ms()) / 1000 + mill.time.seconds <= later[0] + 0.01
    assert mill.jobs(jobs)[jobs[0]]["state"] == "available"
    assert not [fact for fact in mill.told(HostResting) if fact.failing], "a host that asks for rest is not dead"
    assert later[1] - later[0] > 0.04, "and is asked with one request until it answers"


def test_u10_a_rest_is_capped_and_without_a_header_the_host_rests_as_long_as_a_retry_waits(tmp_path: Path) -> None:
    mill = Mill(tmp_path, rules=replace(RULES, max_rest_seconds=100))
    mill.net.hosts = {
        BAD: then(takes(0.1, busy(100_000)), takes(0.1)),
        GOOD[0]: then(takes(0.1, busy(None)), takes(0.1)),
    }
    jobs = [*mill.add(BAD, 1), *mill.add(GOOD[0], 1)]
    mill.run(lambda: _fetch_all(mill, jobs, first=2))
    first, second = mill.net.times(BAD)
    assert 100 <= second - first <= 106
    first, second = mill.net.times(GOOD[0])
    assert 1 <= second - first <= 8


def test_u10_a_success_that_was_under_way_does_not_end_the_rest(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    mill.net.hosts[BAD] = then(takes(0.1), takes(3.0), takes(1.0, busy(120.0)), takes(3.0))
    jobs = mill.add(BAD, 20)
    mill.run(lambda: _fetch_all(mill, jobs, first=20))
    times = mill.net.times(BAD)
    rested = [(one, following) for one, following in pairwise(times) if following - one > 10]
    assert len(rested) == 1
    assert rested[0][1] - rested[0][0] >= 120


def test_u14_with_once_a_dead_host_is_given_up_after_three_probes_and_long_rests_are_left(tmp_path: Path) -> None:
    mill = Mill(tmp_path, bounds=replace(BOUNDS, once=True))
    resting = GOOD[0]
    mill.net.hosts = {BAD: takes(1.0, DEAD), resting: takes(0.1, busy(1800.0))}
    dead, left, good = mill.add(BAD, 50), mill.add(resting, 5), mill.add(GOOD[1], 50)

    async def main() -> None:
        async with mill.running() as fetcher:
            while await fetcher.left():  # noqa: ASYNC110  # As the supervisor does.
                await anyio.sleep(0.05)
            await fetcher.tell_left()

    mill.run(main)
    assert mill.time.seconds < 300
    assert mill.states(good) == {"fetched": 50}
    assert mill.states(dead) == {"discarded": 50}
    assert mill.states(left)["available"] == 5
    (told,) = mill.told(LeftResting)
    assert (told.hosts, told.urls) == (1, 5)
    assert 1400 < told.seconds <= 1800


def test_u19_what_passes_is_tried_again_after_longer_and_longer_and_what_lasts_is_not(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    passing = replace(DEAD, reason=Reason.CONNECTION_LOST, blames_host=False)
    mill.net.hosts = {BAD: takes(0.1, passing), GOOD[0]: takes(0.1, GONE)}
    (tried,), (gone,) = mill.add(BAD, 1), mill.add(GOOD[0], 1)

    async def main() -> None:
        async with mill.running():
            await mill.until(lambda: mill.states([tried, gone])["discarded"] == 2)

    mill.run(main)
    times = mill.net.times(BAD)
    waits = [following - one - 0.1 for one, following in pairwise(times)]
    assert len(waits) == 4
    for number, wait in enumerate(waits):
        assert 2**number <= wait <= 2 * 2**number + 0.1
    assert len(net_times := mill.net.times(GOOD[0])) == 1, net_times
    assert [mill.jobs()[job]["reason"] for job in (tried, gone)] == ["connection-lost", "http-404"]
    assert mill.jobs()[tried]["attempts"] == 5
    assert sorted(mill.net.forgotten) == sorted([tried, gone])


def test_u14_hosts_get_turns_whatever_else_waits(tmp_path: Path) -> None:
    """One URL of each of a hundred hosts behind two thousand of one."""
    mill = Mill(tmp_path, bounds=replace(BOUNDS, connections=8))
    mill.net.hosts[BAD] = takes(0.5)
    mill.add(BAD, 2_000)
    others = [mill.add(f"https://other{number}.test:443", 1)[0] for number in range(100)]

    async def main() -> None:
        async with mill.running():
            await mill.until(lambda: mill.states(others)["fetched"] == 100)

    mill.run(main)
    assert len(mill.net.times(BAD)) < 800
    assert mill.net.most["*"] <= 8


@pytest.mark.parametrize(("connections", "together"), [(20, 20), (64, 32)])
def test_per_host_and_global_bounds_hold_and_are_used(tmp_path: Path, connections: int, together: int) -> None:
    mill = Mill(tmp_path, bounds=replace(BOUNDS, connections=connections))
    jobs = [job for origin in GOOD[:4] for job in mill.add(origin, 60)]
    for origin in GOOD[:4]:
        mill.net.hosts[origin] = takes(1.0)
    mill.run(lambda: _fetch_all(mill, jobs, first=240))
    assert mill.net.most["*"] == together
    assert max(mill.net.most[origin] for origin in GOOD[:4]) == together // 4
    assert mill.time.seconds < 240 / together * 1.3 + 2


def test_a_rate_holds_for_each_host_by_itself(tmp_path: Path) -> None:
    mill = Mill(tmp_path, rules=replace(RULES, requests_per_second=2))
    jobs = [job for origin in GOOD[:3] for job in mill.add(origin, 20)]
    mill.run(lambda: _fetch_all(mill, jobs, first=60))
    for origin in GOOD[:3]:
        times = mill.net.times(origin)
        assert all(following - one >= 0.499 for one, following in pairwise(times))
    assert mill.time.seconds < 12


def test_a_host_is_asked_for_the_most_urgent_first(tmp_path: Path) -> None:
    mill = Mill(tmp_path, bounds=replace(BOUNDS, connections=1))
    late = mill.add(BAD, 3, priority=1)
    early = mill.add(BAD, 3, first=10, priority=5)
    mill.run(lambda: _fetch_all(mill, [*late, *early], first=6))
    assert [job for _, _, job in mill.net.asked] == [*early, *late]


def test_a_file_is_handed_to_the_workers_with_where_it_came_from(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    (job,) = mill.add(GOOD[0], 1)
    mill.run(lambda: _fetch_all(mill, [job], first=1))
    row = mill.jobs()[job]
    assert (row["state"], row["phase"], row["attempts"], row["ino"], row["size_bytes"]) == (
        "available",
        "process",
        0,
        job,
        10,
    )
    download = mill.catalog.rows("SELECT * FROM downloads")[0]
    assert (download["status"], download["etag"], download["sha256"]) == (200, '"1"', "ab" * 32)
    assert mill.woken == 1


def test_u14_a_host_that_begins_to_fail_gets_one_request_at_a_time(tmp_path: Path) -> None:
    mill = Mill(tmp_path, rules=replace(RULES, breaker_failures=20))
    mill.net.hosts[BAD] = then(*[takes(1.0)] * 17, takes(1.0, DEAD))
    mill.add(BAD, 200)

    async def main() -> None:
        async with mill.running():
            await mill.until(lambda: bool(mill.told(HostResting)))

    mill.run(main)
    times = mill.net.times(BAD)
    failed_at = times[17] + 1.0
    later = [seconds for seconds in times if seconds >= failed_at]
    assert len(later) >= 10
    assert all(following - one >= 0.999 for one, following in pairwise(later))
