"""What strangers without a token, requests that break off, and starts that take long do to everybody else: real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from dropmill.errors import ConfigurationError
from dropmill.observe import audit
from dropmill.observe.clock import SystemClock
from dropmill.observe.facts import AuditCutShort, Audited, HttpRefused
from dropmill.observe.metrics import Metrics
from dropmill.settings import Http, TcpAddress
from dropmill.web import connections as connections_module
from dropmill.web.limits import FREE_FAILURES
from dropmill.web.listen import Listener
from dropmill.web.server import serve
from dropmill.web.starting import answering_meanwhile
from web_support import FakeDesk, job, served

pytestmark = pytest.mark.anyio
TOKEN = "0123456789abcdef0123456789abcdef"
BEARER = {"authorization": f"Bearer {TOKEN}"}
HALF_A_LOGIN = b"POST /login HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\nab"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def token_file(tmp_path: Path) -> str:
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    path.chmod(0o600)
    return str(path)


class Still(SystemClock):
    """No pause ends by itself."""

    def monotonic(self) -> float:
        return 5000.0


async def until(fact: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not fact():  # noqa: ASYNC110  # What is waited for knows of no event.
            await asyncio.sleep(0.01)


def audited(desk: FakeDesk) -> list[Audited]:
    return [fact for fact in desk.told if isinstance(fact, Audited)]


async def connected(client: httpx.AsyncClient, address: str = "127.0.0.1") -> asyncio.StreamWriter:
    _, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port, local_addr=(address, 0))
    return writer


async def test_s06_on_the_login_only_who_has_signed_in_is_recorded_as_having_the_token(token_file: str) -> None:
    desk = FakeDesk()

    async def long_body() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 1000

    async with served(desk, token_file=token_file) as client:
        await client.put("/login")
        await client.delete("/login")
        await client.post("/login", content=long_body())
        await client.post("/login", data={"token": "guess"})
        await client.post("/login", data={"token": TOKEN})
    found = [(fact.by, fact.method, fact.status) for fact in audited(desk)]
    assert found == [
        ("nobody", "PUT", 405), ("nobody", "DELETE", 405), ("nobody", "POST", 413), ("nobody", "POST", 401),
        ("token", "POST", 303),
    ]  # fmt: skip


async def test_s06_strangers_that_break_off_fill_neither_log_nor_audit(
    token_file: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("dropmill.web.audit.REFUSALS_AT_ONCE", 5.0)
    monkeypatch.setattr("dropmill.web.audit.REFUSALS_PER_SECOND", 0.001)
    desk = FakeDesk()
    with caplog.at_level(logging.DEBUG):
        async with served(desk, token_file=token_file) as client:
            for _ in range(12):
                writer = await connected(client)
                writer.write(HALF_A_LOGIN)
                await writer.drain()
                writer.close()
            left = HttpRefused("127.0.0.1", "left", "/login")
            await until(lambda: desk.told.count(left) == 12)
            await until(lambda: len(audited(desk)) == 5)
            assert {(fact.by, fact.status, fact.result) for fact in audited(desk)} == {("nobody", 499, "refused")}
            assert (await client.post("/api/v1/pause", json={}, headers=BEARER)).status_code == 200
            assert audited(desk)[-1].left_out == 7
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_s08_requests_that_never_end_lock_out_neither_probes_nor_others(
    token_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other addresses of loopback stand for strangers; 127.0.0.1 for this machine."""
    few = connections_module.connections(
        lambda peer: "" if peer == "127.0.0.1" else peer, patience_seconds=600, most=16, most_of_one=64
    )
    monkeypatch.setattr("dropmill.web.server.connections", lambda *_: few)
    async with served(FakeDesk(), token_file=token_file) as client:
        crowd = []
        for number in range(40):
            writer = await connected(client, f"127.0.0.{2 + number % 12}")
            writer.write(HALF_A_LOGIN)
            await writer.drain()
            crowd.append(writer)
        transport = httpx.AsyncHTTPTransport(local_address="127.0.0.99")
        async with httpx.AsyncClient(transport=transport, base_url=client.base_url) as other:
            assert (await other.get("/readyz")).status_code == 200
        assert (await client.get("/livez")).status_code == 200
        for writer in crowd:
            writer.close()


async def test_s08_busy_strangers_leave_places_to_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    few = connections_module.connections(
        lambda peer: "" if peer == "127.0.0.1" else peer, patience_seconds=600, most=16, most_of_one=64
    )
    monkeypatch.setattr("dropmill.web.server.connections", lambda *_: few)
    async with served(FakeDesk()) as client:
        crowd = []
        for _ in range(14):
            reader, writer = await asyncio.open_connection(
                client.base_url.host, client.base_url.port, local_addr=("127.0.0.2", 0)
            )
            writer.write(b"GET /api/v1/events HTTP/1.1\r\nhost: localhost\r\n\r\n")
            assert b" 200 " in await reader.readline(), "a stream, which nobody may end"
            crowd.append(writer)
        refused, writer = await asyncio.open_connection(
            client.base_url.host, client.base_url.port, local_addr=("127.0.0.3", 0)
        )
        crowd.append(writer)
        with contextlib.suppress(ConnectionResetError):
            assert await refused.read() == b""
        assert (await client.get("/livez")).status_code == 200
        for writer in crowd:
            writer.close()


async def test_s06_the_right_token_comes_through_the_pause_that_an_old_one_has_caused(tmp_path: Path) -> None:
    for token, status in (("0123456789abcdef", 200), ("0123456789abcde", 429)):
        path = tmp_path / token
        path.write_text(token)
        path.chmod(0o600)
        desk = FakeDesk(jobs=[job(1)])
        desk.house.clock = Still()
        async with served(desk, token_file=str(path)) as client:
            for _ in range(FREE_FAILURES + 3):
                stale = await client.get("/api/v1/status", headers={"authorization": "Bearer stale"})
            assert stale.status_code == 429
            right = {"authorization": f"Bearer {token}"}
            assert (await client.get("/api/v1/status", headers=right)).status_code == status, token
            assert (await client.get("/api/v1/status", headers={"authorization": "Bearer x"})).status_code == 429


async def test_two_on_one_host_do_not_sign_each_other_out(tmp_path: Path, token_file: str) -> None:
    other_file = tmp_path / "other"
    other_file.write_text("another-token-0123456789")
    other_file.chmod(0o600)
    async with served(FakeDesk(), token_file=token_file) as one, served(FakeDesk(), token_file=str(other_file)) as two:
        browser = httpx.AsyncClient()  # Its cookies know no ports.
        async with browser:
            await browser.post(f"{one.base_url}login", data={"token": TOKEN})
            await browser.post(f"{two.base_url}login", data={"token": "another-token-0123456789"})
            for base in (one.base_url, two.base_url):
                assert (await browser.get(f"{base}api/v1/status")).status_code == 200
            await browser.post(f"{two.base_url}logout")
            assert (await browser.get(f"{two.base_url}api/v1/status")).status_code == 401
            assert (await browser.get(f"{one.base_url}api/v1/status")).status_code == 200
            assert {name.startswith("dropmill-") for name in browser.cookies} == {True}


async def test_who_has_the_daemon_started_waits_for_it_and_probes_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dropmill.web.starting.PATIENCE_SECONDS", 0.0)
    listener = Listener(TcpAddress("127.0.0.1", 0), 0)
    listener.is_passed = True  # As the service manager holds it; `bind` tells the port that was asked for.
    held: list[Any] = []
    hold = listener.hold
    monkeypatch.setattr(listener, "hold", lambda connection: held.append(connection) or hold(connection))
    with contextlib.closing(listener), contextlib.closing(listener.share()) as sock:
        port = sock.getsockname()[1]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            async with answering_meanwhile([], lambda: listener, Http(), Metrics("0", 0.0)):
                asking = asyncio.create_task(client.get("/api/v1/status"))
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                assert (await client.get("/livez")).status_code == 200
                assert (await client.get("/readyz")).status_code == 503
                assert (await client.get("/metrics")).status_code == 200
                await until(lambda: held)
                assert not asking.done()
            async with serve(FakeDesk(), Metrics("0", 0.0), Http(), listener):
                assert (await asking).status_code == 200
                writer.write(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n")
                async with asyncio.timeout(60):
                    assert b" 200 " in await reader.readline(), "it was silent, and is not forgotten"
                writer.close()


async def test_of_those_that_wait_for_a_start_there_are_only_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dropmill.web.starting.PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr("dropmill.web.listen.MOST_HELD", 0)
    listener = Listener(TcpAddress("127.0.0.1", 0), 0)
    listener.is_passed = True
    with contextlib.closing(listener), contextlib.closing(listener.share()) as sock:
        async with (
            answering_meanwhile([], lambda: listener, Http(), Metrics("0", 0.0)),
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{sock.getsockname()[1]}", timeout=60) as client,
        ):
            asked = await client.get("/api/v1/status")
            assert (asked.status_code, asked.json()["reason"]) == (503, "starting")


async def test_a_disk_that_hangs_at_the_audit_file_holds_up_nothing_but_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipe that nobody reads is such a file: opening it to write waits without end."""
    pipe = tmp_path / "audit"
    os.mkfifo(pipe)
    monkeypatch.setattr(audit, "OPEN_SECONDS", 0.1)
    with pytest.raises(ConfigurationError, match="has not answered"):
        async with served(FakeDesk(), audit_file=str(pipe)):
            pass
    os.close(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK))  # Lets the thread go.


async def test_a_slow_disk_gets_the_last_lines_and_of_lost_ones_the_log_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing, goes_on, fsync = threading.Event(), threading.Event(), os.fsync

    def slowly(fd: int) -> None:
        writing.set()
        goes_on.wait(60)
        fsync(fd)

    monkeypatch.setattr("dropmill.observe.audit.os.fsync", slowly)
    for patience, lost in ((60.0, []), (0.05, [AuditCutShort(str(tmp_path / "audit"), 3)])):
        monkeypatch.setattr(audit, "CLOSE_SECONDS", patience)
        desk = FakeDesk()
        async with served(desk, audit_file=str(tmp_path / "audit")) as client:
            for _ in range(3):
                assert (await client.post("/api/v1/pause", json={})).status_code == 200
            await until(writing.is_set)
            if not lost:
                # The end is under way by then, or is spared the wait.
                asyncio.get_running_loop().call_later(0.1, goes_on.set)
        assert [fact for fact in desk.told if isinstance(fact, AuditCutShort)] == lost
        if not lost:
            lines = [json.loads(line) for line in (tmp_path / "audit").read_text().splitlines()]
            assert [line["event"] for line in lines] == ["audit"] * 3
        goes_on.clear()
        writing.clear()
    goes_on.set()
