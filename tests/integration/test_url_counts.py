"""How the URLs stand is told from numbers that triggers keep: right after every change, and as cheap for a million."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import anyio
from fetch_support import DEAD, GONE, RULES, Mill, busy, takes, then
from test_state_plans import steps

from dropmill.store import queue
from dropmill.store.urls import MOST_HOSTS, urls

GOOD, BUSY, LOST = "https://good.test:443", "https://busy.test:443", "https://lost.test:443"


def compare(mill: Mill) -> None:
    real = mill.catalog.rows("SELECT inbox, state, count(*) AS n FROM jobs WHERE phase = 'fetch' GROUP BY 1, 2")
    told = urls(mill.catalog._session, mill.clock.now_ms()).to_fetch
    assert {(inbox, state): n for inbox, states in told.items() for state, n in states.items()} == {
        (row["inbox"], row["state"]): row["n"] for row in real
    }


def test_q14_urls_to_fetch_are_counted_through_every_change(tmp_path: Path) -> None:
    mill = Mill(tmp_path, "list", "other")
    mill.net.hosts = {BUSY: then(takes(0.1, busy(600)), takes(0.1)), LOST: takes(0.1, GONE), GOOD: takes(0.5)}
    good = [*mill.add(GOOD, 30), *mill.add(GOOD, 10, "other", first=100)]
    waiting = mill.add(BUSY, 5)
    lost = mill.add(LOST, 3)
    compare(mill)

    async def main() -> None:
        async with mill.running():
            while mill.states(good)["fetched"] < 40 or mill.states(lost)["discarded"] < 3:
                compare(mill)
                await anyio.sleep(0.05)

    mill.run(main)
    compare(mill)
    session = mill.catalog._session
    with session.connection:
        assert session.run("job_cancel", id=waiting[0], now_ms=0) == 1
    compare(mill)
    with session.connection:
        queue.prune(session, mill.clock.now_ms() + 1, 100)
    compare(mill)
    assert (
        urls(session, mill.clock.now_ms()).all("available") + urls(session, mill.clock.now_ms()).all("scheduled") == 4
    )


def test_hosts_at_rest_are_told_with_when_and_why_and_those_first_for_which_most_wait(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    hosts = [f"https://busy{number}.test:443" for number in range(MOST_HOSTS + 5)]
    mill.net.hosts = {origin: takes(0.1, busy(600)) for origin in hosts}
    for number, origin in enumerate(hosts):
        mill.add(origin, 1 + number)
    good = mill.add(GOOD, 5)

    async def main() -> None:
        async with mill.running():
            await mill.until(lambda: mill.states(good)["fetched"] == 5)
            await mill.until(lambda: len(mill.net.asked) >= len(hosts) + 5)
            await anyio.sleep(10)

    mill.run(main)
    told = urls(mill.catalog._session, mill.clock.now_ms())
    assert told.resting_hosts == len(hosts) and len(told.resting) == MOST_HOSTS
    waiting = [row["waiting"] for row in told.resting]
    assert waiting == sorted(waiting, reverse=True) and told.resting[0]["origin"] == hosts[-1]
    assert "http-429" in told.resting[0]["detail"]
    assert 500_000 < told.resting[0]["ready_at_ms"] - mill.clock.now_ms() <= 600_000
    assert urls(mill.catalog._session, mill.clock.now_ms() + 3_600_000).resting_hosts == 0


def test_pacing_is_no_rest(tmp_path: Path) -> None:
    """A host that is asked once in ten seconds, because that is configured, is as well as can be."""
    mill = Mill(tmp_path, rules=replace(RULES, requests_per_second=0.1))
    mill.net.hosts = {GOOD: takes(0.1), LOST: takes(0.1, DEAD)}
    mill.add(GOOD, 10)

    async def main() -> None:
        async with mill.running():
            await mill.until(lambda: len(mill.net.asked) == 2)
            assert urls(mill.catalog._session, mill.clock.now_ms()).resting_hosts == 0

    mill.run(main)


def test_q08_asking_how_urls_stand_takes_no_more_steps_with_many_of_them(tmp_path: Path) -> None:
    taken = []
    for number in (100, 5000):
        folder = tmp_path / str(number)
        folder.mkdir()
        mill = Mill(folder)
        mill.add(GOOD, number)
        mill.add(BUSY, number)
        now_ms = mill.clock.now_ms()
        taken.append(steps(mill.catalog._session, lambda session, now_ms=now_ms: urls(session, now_ms)))
        mill.catalog.close()
    assert taken[1] < taken[0] * 1.3 + 50
