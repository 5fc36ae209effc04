"""Server-sent events on a real server: what a page hears, what it missed, and what listeners may cost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from dropmill.control.events import Hub
from dropmill.model.outcome import Outcome, Reason
from dropmill.observe.facts import Completed, Discarded
from dropmill.web import events as events_module
from web_support import FakeDesk, served

pytestmark = pytest.mark.anyio
PATH = "/api/v1/events"
SECONDS = 30


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def completed(job_id: int, path: bytes = b"a.jpg") -> Completed:
    return Completed(job_id, "camera", path, Outcome.PUBLISHED, 0.1, 1000)


class Listener:
    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()
        self.id = ""

    async def next(self, *kinds: str) -> tuple[str, Any]:
        """The next event, or the next of these kinds."""
        async with asyncio.timeout(SECONDS):
            told: dict[str, str] = {}
            async for line in self._lines:
                name, _, value = line.partition(": ")
                if line and name:
                    told[name] = value
                elif "event" in told:
                    self.id = told["id"]
                    if not kinds or told["event"] in kinds:
                        return told["event"], json.loads(told["data"])
                    told = {}
        raise EOFError

    async def ends(self) -> None:
        async with asyncio.timeout(SECONDS):
            async for _line in self._lines:
                pass


@asynccontextmanager
async def listening(client: httpx.AsyncClient, last: str | None = None) -> AsyncIterator[Listener]:
    headers = {} if last is None else {"last-event-id": last}
    async with client.stream("GET", PATH, headers=headers, timeout=SECONDS) as response:
        assert response.status_code == 200, await response.aread()
        yield Listener(response)


async def test_a_page_hears_what_becomes_of_jobs_and_how_things_stand() -> None:
    desk = FakeDesk()
    async with served(desk) as client, listening(client) as page:
        assert page.response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert page.response.headers["cache-control"] == "no-store"
        assert await page.next() == ("hello", {"run": "run"})
        first = [(await page.next())[0] for _ in range(3)]
        assert first == ["queue", "downloads", "health"]
        desk.hub(completed(7, b"sub/\xff.jpg"))
        desk.hub(Discarded(8, "camera", b"b.jpg", Reason.CORRUPT, "", moves=False))
        assert await page.next("job") == (
            "job",
            {"id": 7, "inbox": "camera", "source": "sub/\\xff.jpg", "state": "completed", "outcome": "published",
             "reason": None},
        )  # fmt: skip
        assert (await page.next("job"))[1]["reason"] == "corrupt"
        desk.queue = desk.queue | {"available": 5}
        desk.hub(completed(9))
        assert (await page.next("queue"))[1]["available"] == 5
        desk.parts.append({"name": "output camera", "status": "degraded", "detail": "full", "remedy": "free room"})
        desk.hub(completed(10))
        health = (await page.next("health"))[1]
        assert (health["status"], [part["name"] for part in health["parts"]]) == ("degraded", ["output camera"])


async def test_a_page_that_comes_back_hears_what_it_missed() -> None:
    desk = FakeDesk()
    async with served(desk) as client:
        async with listening(client) as page:
            desk.hub(completed(1))
            await page.next("job")
            last = page.id
        for number in (2, 3):
            desk.hub(completed(number))
        async with listening(client, last) as page:
            assert [(await page.next("job"))[1]["id"] for _ in range(2)] == [2, 3]


@pytest.mark.parametrize("last", ["other-1", "run-99999", "run-x", "run--1", "run-" + "9" * 400, "-", "ünï-1"])
async def test_a_page_of_another_run_begins_anew(last: str) -> None:
    desk = FakeDesk()
    desk.hub(completed(1))
    async with served(desk) as client:
        headers = {b"last-event-id": last.encode()}
        async with client.stream("GET", PATH, headers=headers, timeout=SECONDS) as response:
            page = Listener(response)
            assert (await page.next())[0] == "reset"
            desk.hub(completed(2))
            assert (await page.next("job"))[1]["id"] == 2


async def test_a_page_that_was_away_for_too_long_begins_anew() -> None:
    desk = FakeDesk()
    async with served(desk) as client:
        async with listening(client) as page:
            await page.next("health")
            last = page.id
        for number in range(300):
            desk.hub(completed(number))
        async with listening(client, last) as page:
            assert (await page.next())[0] == "reset"
            assert [(await page.next())[0] for _ in range(3)] == ["queue", "downloads", "health"]


async def test_s08_a_page_that_does_not_read_costs_no_memory_and_begins_anew() -> None:
    desk = FakeDesk()
    async with served(desk) as client, listening(client) as page:
        await page.next("hello")
        for number in range(20_000):
            desk.hub(completed(number, b"x" * 1000))
            if number % 100 == 0:
                await asyncio.sleep(0)
        while (await page.next("job", "reset"))[0] != "reset":
            pass
        told: tuple[str, Any] = ("reset", {})
        while told[0] == "reset":  # It may fall behind more than once.
            desk.hub(completed(1, b"last"))
            told = await page.next("job", "reset")
        assert told[1]["source"] == "last"


async def test_s08_so_many_may_listen_and_others_are_told_so() -> None:
    desk = FakeDesk()
    async with served(desk) as client:
        pages = [client.stream("GET", PATH, timeout=SECONDS) for _ in range(events_module.MOST_LISTENERS)]
        try:
            listeners = [Listener(await page.__aenter__()) for page in pages]
            for listener in listeners:
                await listener.next("hello")
            answer = await client.get(PATH)
            assert (answer.status_code, answer.json()["reason"]) == (503, "too-many-listeners")
            assert answer.json()["retryable"] and answer.json()["hint"]
            assert (await client.get("/api/v1/status")).status_code == 200
        finally:
            for page in pages:
                await page.__aexit__(None, None, None)
        async with asyncio.timeout(SECONDS):
            while (await _status_of_one(client)) != 200:
                pass  # The server has not noticed yet that they left.


async def _status_of_one(client: httpx.AsyncClient) -> int:
    async with client.stream("GET", PATH, timeout=SECONDS) as response:
        return response.status_code


async def test_s08_a_page_on_which_nothing_happens_is_not_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_module, "KEEP_ALIVE_SECONDS", 0.02)
    desk = FakeDesk()
    async with served(desk) as client, listening(client) as page:
        async with asyncio.timeout(SECONDS):
            async for line in page._lines:
                if line.startswith(":"):
                    break
        desk.hub(completed(1))
        assert (await page.next("job"))[1]["id"] == 1


async def test_streams_end_with_the_server_and_do_not_hold_it_up() -> None:
    desk = FakeDesk()
    async with served(desk) as client:
        async with listening(client) as page:
            await page.next("hello")
            desk.hub.close()
            await page.ends()
        answer = await client.get(PATH)
        assert (answer.status_code, answer.json()["reason"]) == (503, "stopping")


def test_the_ring_tells_exactly_what_came_after_or_that_it_cannot() -> None:
    hub = Hub("run", most=4)
    assert hub.after(0) == []
    assert hub.after(1) is None
    for number in range(1, 8):
        hub.tell("job", {"id": number})
    for number in range(10):
        found = hub.after(number)
        if 3 <= number <= 7:
            assert found is not None
            assert [event.data["id"] for event in found] == list(range(number + 1, 8))
        else:
            assert found is None
