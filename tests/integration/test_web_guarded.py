"""What clients may do, how often, and what is recorded of it: on a real server and real sockets, with a clock of its own."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from dropmill.errors import ConfigurationError
from dropmill.observe.clock import SystemClock
from dropmill.observe.facts import Audited, ClientHasty, Fact, HttpRefused, ProxyUnnamed, TokenExposed
from dropmill.web import connections as connections_module
from dropmill.web.limits import FREE_FAILURES
from dropmill.web.sessions import SESSION_SECONDS
from web_support import FakeDesk, job, served

pytestmark = pytest.mark.anyio
TOKEN = "0123456789abcdef0123456789abcdef"
BEARER = {"authorization": f"Bearer {TOKEN}"}
APP = "https://app.example.com"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def token_file(tmp_path: Path) -> str:
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    path.chmod(0o600)
    return str(path)


class Hand(SystemClock):
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now_ms(self) -> int:
        return 1_700_000_000_000 + int(self.seconds * 1000)

    def monotonic(self) -> float:
        return 5000.0 + self.seconds


def desk_with(clock: Hand) -> FakeDesk:
    desk = FakeDesk(jobs=[job(1)])
    desk.house.clock = clock
    return desk


def told(desk: FakeDesk, kind: type[Fact]) -> list[Any]:
    return [fact for fact in desk.told if type(fact) is kind]


def from_(address: str, **more: str) -> dict[str, str]:
    """As our proxy tells it."""
    return {"x-forwarded-for": address, **more}


@asynccontextmanager
async def behind_a_proxy(desk: FakeDesk, **http: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with served(desk, trusted_proxies=("127.0.0.1",), **http) as client:
        yield client


async def test_s08_a_client_that_asks_too_often_is_told_when_to_come_back_and_others_are_served() -> None:
    clock = Hand()
    desk = desk_with(clock)
    async with behind_a_proxy(desk, requests_per_second=0.5) as client:
        hasty, other = from_("198.51.100.1"), from_("198.51.100.2")
        assert [(await client.get("/metrics", headers=hasty)).status_code for _ in range(5)] == [200] * 5
        for _ in range(3):
            late = await client.post("/api/v1/pause", json={}, headers=hasty)
            assert (late.status_code, late.headers["retry-after"]) == (429, "2")
            assert late.headers["content-type"] == "application/problem+json"
            assert late.json()["reason"] == "too-many-requests" and late.json()["retryable"]
        assert (await client.get("/livez", headers=hasty)).status_code == 200
        assert (await client.get("/api/v1/status", headers=other)).status_code == 200
        assert [(await client.get("/api/v1/status")).status_code for _ in range(20)] == [200] * 20, "of this machine"
        clock.seconds += 2
        assert (await client.post("/api/v1/pause", json={}, headers=hasty)).status_code == 200
    assert desk.asked == [("pause", None)]
    assert told(desk, ClientHasty) == [ClientHasty("198.51.100.1", 0.5, 24)]
    assert [fact.cause for fact in told(desk, HttpRefused)] == ["rate"] * 3


async def test_s06_who_guesses_tokens_has_to_wait_and_nobody_else(token_file: str) -> None:
    clock = Hand()
    desk = desk_with(clock)
    async with behind_a_proxy(desk, token_file=token_file) as client:
        guesser, other = from_("198.51.100.1"), from_("198.51.100.2")
        await client.post("/login", data={"token": TOKEN}, headers=guesser)  # A session from before.
        for number in range(FREE_FAILURES):
            if number % 2:
                wrong = await client.post("/login", data={"token": "guess"}, headers=guesser | {"cookie": ""})
            else:
                wrong = await client.get(
                    "/api/v1/status", headers=guesser | {"authorization": "Bearer guess", "cookie": ""}
                )
            assert wrong.status_code == 401
        for answer in (
            await client.get("/api/v1/status", headers=guesser | {"authorization": "Bearer guess", "cookie": ""}),
            await client.post("/login", data={"token": TOKEN}, headers=guesser | {"cookie": ""}),
        ):
            assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
            assert answer.json()["reason"] == "too-many-attempts"
        form = await client.post("/login", headers=guesser | {"accept": "text/html", "cookie": ""})
        assert (form.status_code, form.headers["retry-after"]) == (429, "1") and "Try again in 1 s." in form.text
        assert (await client.get("/api/v1/status", headers=guesser)).status_code == 200, "sessions are no guesses"
        assert (await client.get("/api/v1/status", headers=other | BEARER | {"cookie": ""})).status_code == 200
        assert (await client.get("/metrics", headers=guesser)).status_code == 200
        clock.seconds += 1
        assert (await client.get("/api/v1/status", headers=guesser | BEARER | {"cookie": ""})).status_code == 200
    refused = [fact for fact in told(desk, Audited) if fact.result == "refused"]
    assert len(refused) == FREE_FAILURES + 3 and {fact.client for fact in refused} == {"198.51.100.1"}
    assert {fact.reason for fact in refused} == {"unauthorised", "", "too-many-attempts"}
    assert TOKEN not in repr(desk.told) and "guess" not in repr(desk.told)


async def test_s06_a_proxy_that_is_not_named_is_told_of_and_locks_nobody_out_who_comes_without_it(
    token_file: str,
) -> None:
    desk = desk_with(Hand())
    async with served(desk, token_file=token_file) as client:
        for number in range(20):
            through = {"x-forwarded-for": f"198.51.100.{number}", "authorization": "Bearer guess"}
            last = await client.get("/api/v1/status", headers=through)
        assert last.status_code == 429
        assert (await client.get("/api/v1/status", headers=BEARER)).status_code == 200
    assert told(desk, ProxyUnnamed) == [ProxyUnnamed("127.0.0.1")]


async def test_s06_sessions_end_with_their_time_with_the_token_and_with_signing_out(token_file: str) -> None:
    clock = Hand()
    async with behind_a_proxy(desk_with(clock), token_file=token_file) as client:
        page = {"accept": "text/html"}
        first = await client.post("/login", data={"token": TOKEN})
        cookie = {"cookie": first.headers["set-cookie"].partition(";")[0]}
        assert "Secure" not in first.headers["set-cookie"]
        assert f"Max-Age={SESSION_SECONDS}" in first.headers["set-cookie"]
        for headers in (from_("198.51.100.1", **{"x-forwarded-proto": "https"}), {"origin": "https://127.0.0.1"}):
            safe = await client.post("/login", data={"token": TOKEN}, headers={"host": "127.0.0.1", **headers})
            assert safe.status_code == 303 and "Secure" in safe.headers["set-cookie"]
        client.cookies.clear()
        assert (await client.get("/", headers=cookie | page)).status_code == 200
        clock.seconds += SESSION_SECONDS - 1
        assert (await client.get("/", headers=cookie | page)).status_code == 200
        clock.seconds += 1
        assert (await client.get("/", headers=cookie | page)).status_code == 401
        again = await client.post("/login", data={"token": TOKEN})
        cookie = {"cookie": again.headers["set-cookie"].partition(";")[0]}
        client.cookies.clear()
        out = await client.post("/logout", headers=cookie)
        assert out.status_code == 303 and "Max-Age=0" in out.headers["set-cookie"]
        assert (await client.get("/api/v1/status", headers=cookie)).status_code == 401, "a copy of it is worth nothing"
        kept = (await client.post("/login", data={"token": TOKEN})).headers["set-cookie"].partition(";")[0]
    Path(token_file).write_text("another-token-0123456789\n")
    async with served(desk_with(clock), token_file=token_file) as client:
        assert (await client.get("/api/v1/status", headers={"cookie": kept})).status_code == 401
        assert (await client.get("/api/v1/status", headers=BEARER)).status_code == 401
        new = {"authorization": "Bearer another-token-0123456789"}
        assert (await client.get("/api/v1/status", headers=new)).status_code == 200


async def test_s06_scripts_of_other_sites_use_the_api_only_where_their_origin_is_named(token_file: str) -> None:
    ask = {"origin": APP, "access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    cross = {"origin": APP, "sec-fetch-site": "cross-site"}
    async with served(FakeDesk(), token_file=token_file) as client:
        closed = await client.options("/api/v1/pause", headers=ask)
        assert closed.status_code == 401 and "access-control-allow-origin" not in closed.headers
        assert (await client.get("/api/v1/status", headers=cross | BEARER)).status_code == 403
    desk = FakeDesk()
    async with served(desk, token_file=token_file, allowed_origins=(APP,)) as client:
        preflight = await client.options("/api/v1/pause", headers=ask)
        assert preflight.status_code == 204 and preflight.headers["vary"] == "Origin"
        assert preflight.headers["access-control-allow-origin"] == APP
        assert "authorization" in preflight.headers["access-control-allow-headers"]
        assert "access-control-allow-credentials" not in preflight.headers
        done = await client.post("/api/v1/pause", json={}, headers=cross | BEARER)
        assert done.status_code == 200 and done.headers["access-control-allow-origin"] == APP
        refused = await client.get("/api/v1/status", headers=cross)
        assert refused.status_code == 401 and refused.headers["access-control-allow-origin"] == APP, "it may read why"
        cookie = (await client.post("/login", data={"token": TOKEN})).headers["set-cookie"].partition(";")[0]
        client.cookies.clear()
        assert (await client.get("/api/v1/status", headers=cross | {"cookie": cookie})).status_code == 401
        for other in ("https://app.example.com.evil", "http://app.example.com", "https://app.example.com:8443", "null"):
            answer = await client.options("/api/v1/pause", headers=ask | {"origin": other})
            assert answer.status_code == 401 and "access-control-allow-origin" not in answer.headers, other
            assert answer.headers["vary"] == "Origin"
            answer = await client.post("/api/v1/pause", json={}, headers=BEARER | {"origin": other})
            assert answer.status_code == 403, other
        for path in ("/act/pause", "/logout", "/login"):
            answer = await client.post(path, headers=cross | BEARER)
            assert answer.status_code == 403 and "access-control-allow-origin" not in answer.headers, path
        assert "access-control-allow-origin" not in (await client.get("/", headers=cross | BEARER)).headers
        wrong_host = await client.options("/api/v1/pause", headers=ask | {"host": "evil.example"})
        assert wrong_host.status_code == 403
    assert desk.asked == [("pause", None)]


async def test_s06_pages_of_other_sites_read_nothing_but_may_link_here() -> None:
    async with served(FakeDesk()) as client:
        for site in ("cross-site", "same-site"):
            for mode in ("no-cors", "cors", "websocket"):
                headers = {"sec-fetch-site": site, "sec-fetch-mode": mode}
                assert (await client.get("/api/v1/status", headers=headers)).status_code == 403
            headers = {"sec-fetch-site": site, "sec-fetch-mode": "navigate"}
            for path in ("/", "/review", "/api/v1/status"):
                assert (await client.get(path, headers=headers)).status_code == 200, path


async def test_s05_addresses_of_ipv6_are_known_by_themselves_and_by_no_other_name() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6 on loopback")
    desk = FakeDesk()
    async with served(desk, bind="[::1]:0") as client:
        port = client.base_url.port
        for host in (f"[::1]:{port}", "[::1]", "localhost"):
            own = {"host": host, "origin": f"http://{host}"}
            assert (await client.post("/api/v1/pause", json={}, headers=own)).status_code == 200, host
        for host in (f"[::2]:{port}", "evil.example", ""):
            assert (await client.get("/api/v1/status", headers={"host": host})).status_code == 403, host
        other = {"host": f"[::1]:{port}", "origin": f"http://[::1]:{(port or 0) + 1}"}
        assert (await client.post("/api/v1/pause", json={}, headers=other)).status_code == 403


async def test_every_answer_carries_the_headers_that_keep_browsers_from_doing_more() -> None:
    async with served(FakeDesk(jobs=[job(1)])) as client:
        for path in (
            "/",
            "/review",
            "/api/v1/status",
            "/api/v1/jobs/99",
            "/nowhere",
            "/livez",
            "/metrics",
            "/static/page.js",
        ):
            for headers in ({}, {"host": "evil.example"}):
                answer = await client.get(path, headers=headers)
                policy = answer.headers["content-security-policy"]
                assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy, path
                assert "unsafe" not in policy and "*" not in policy, path
                assert answer.headers["x-content-type-options"] == "nosniff", path
                assert answer.headers["referrer-policy"] == "same-origin", path
                assert answer.headers["cross-origin-opener-policy"] == "same-origin", path
                assert answer.headers["cross-origin-resource-policy"] == "same-origin", path
                assert "camera=()" in answer.headers["permissions-policy"], path
                assert "server" not in answer.headers and "strict-transport-security" not in answer.headers
                if not path.startswith("/static/") or answer.status_code != 200:
                    assert answer.headers["cache-control"] == "no-store", path


async def raw(client: httpx.AsyncClient, request: bytes) -> tuple[int, dict[str, Any]]:
    """The status, and the problem, of an answer to whatever was sent."""
    reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
    writer.write(request)
    async with asyncio.timeout(60):
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert b"application/problem+json" in head, head
    return int(head.split()[1]), json.loads(body)


@pytest.mark.parametrize(
    ("request_", "status", "reason"),
    [
        (b"nonsense\r\n\r\n", 400, "invalid-request"),
        (b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400, "invalid-request"),
        (b"POST /login HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", 400, "invalid-request"),
        (b"GET /livez HTTP/1.1\r\nhost: localhost\r\nx: " + b"y" * 20_000, 431, "request-too-large"),
        (b"GET /livez HTTP/1.1\r\nconnection: close\r\nhost: localhost\r\nx: " + b"y" * 20_000 + b"\r\n\r\n", 431, "request-too-large"),
        (b"GET /livez HTTP/1.1\r\nconnection: close\r\nhost: localhost\r\n" + b"x: y\r\n" * 200 + b"\r\n", 431, "request-too-large"),
        (b"GET /livez?" + b"y" * 9000 + b" HTTP/1.1\r\nconnection: close\r\nhost: localhost\r\n\r\n", 414, "request-too-large"),
        (
            b"POST /login HTTP/1.1\r\nconnection: close\r\nhost: localhost\r\ncontent-length: 20000\r\n\r\n",
            413,
            "request-too-large",
        ),
        (
            b"POST /act/pause HTTP/1.1\r\nconnection: close\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n"
            b"5000\r\n" + b"x" * 0x5000 + b"\r\n0\r\n\r\n",
            413,
            "request-too-large",
        ),
    ],
)  # fmt: skip
async def test_s08_what_is_too_long_or_no_http_is_a_problem(request_: bytes, status: int, reason: str) -> None:
    async with served(FakeDesk()) as client:
        found, problem = await raw(client, request_)
        assert (found, problem["status"], problem["reason"]) == (status, status, reason)
        assert problem["hint"] and (await client.get("/livez")).status_code == 200


async def test_s08_a_body_of_brackets_is_a_problem_and_no_end() -> None:
    async with served(FakeDesk()) as client:
        deep = await client.post(
            "/api/v1/pause", content=b"[" * 1_000_000, headers={"content-type": "application/json"}
        )
        assert deep.status_code in {400, 422} and deep.headers["content-type"] == "application/problem+json"


async def test_s08_headers_that_trickle_in_for_ever_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    impatient = connections_module.connections(patience_seconds=0.2)
    monkeypatch.setattr("dropmill.web.server.connections", lambda *_: impatient)
    async with served(FakeDesk()) as client:
        reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
        writer.write(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n")

        async def trickle() -> None:
            while True:
                writer.write(b"x: y\r\n")
                await writer.drain()
                await asyncio.sleep(0.02)

        task = asyncio.create_task(trickle())
        try:
            assert await hung_up_on(reader)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            writer.close()


async def hung_up_on(reader: asyncio.StreamReader) -> bool:
    """Once the connection has ended, whether that was without an answer."""
    try:
        async with asyncio.timeout(60):
            return await reader.read() == b""
    except ConnectionResetError:
        return True


async def test_s08_one_client_takes_no_more_than_its_share_of_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever connects to the second address stands for a client; the first stands for this machine."""
    few = connections_module.connections(
        lambda peer: "one" if peer == "127.0.0.2" else "", patience_seconds=600, most=50, most_of_one=5
    )
    monkeypatch.setattr("dropmill.web.server.connections", lambda *_: few)
    async with served(FakeDesk()) as client:
        port = client.base_url.port or 0
        crowd = [await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.0.2", 0)) for _ in range(12)]
        try:
            assert [await hung_up_on(reader) for reader, _ in crowd[:7]] == [True] * 7
            crowd[-1][1].write(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n")
            async with asyncio.timeout(60):
                assert b" 200 " in await crowd[-1][0].readline()
            assert (await client.get("/livez")).status_code == 200
        finally:
            for _, writer in crowd:
                writer.close()


async def test_s08_one_client_takes_no_more_than_its_share_of_streams() -> None:
    desk = desk_with(Hand())
    async with behind_a_proxy(desk) as client, AsyncExitStack() as streams:
        one, other = from_("198.51.100.1"), from_("198.51.100.2")
        for _ in range(24):
            stream = await streams.enter_async_context(client.stream("GET", "/api/v1/events", headers=one, timeout=60))
            assert stream.status_code == 200
        late = await client.get("/api/v1/events", headers=one)
        assert (late.status_code, late.json()["reason"]) == (429, "too-many-requests")
        assert (await client.get("/api/v1/status", headers=other)).status_code == 200
    assert [fact.cause for fact in told(desk, HttpRefused)] == ["crowd"]


async def test_s06_every_call_that_changes_something_leaves_exactly_one_record(token_file: str) -> None:
    desk = desk_with(Hand())
    async with served(desk, token_file=token_file) as client:
        paths = (await client.get("/api/v1/openapi.json", headers=BEARER)).json()["paths"]
        routes = [(verb.upper(), path) for path, verbs in paths.items() for verb in verbs if verb != "get"]
        previews = {("POST", "/api/v1/settings/preview"), ("POST", "/api/v1/keeper/preview")}
        assert len(routes) > 20 and previews < set(routes) and desk.told == []
        for verb, path in [
            *routes,
            ("POST", "/act/pause"),
            ("POST", "/act/retry"),
            ("POST", "/logout"),
            ("DELETE", "/nowhere"),
        ]:
            asked = re.sub(r"\{[a-z_]+\}", "1", path)
            for headers, by in (
                (BEARER, "token"),
                ({}, "nobody"),
                (BEARER | {"origin": "https://evil.example"}, "nobody"),
            ):
                desk.told.clear()
                answer = await client.request(
                    verb, asked, json={"inbox": "camera"}, headers=headers | {"user-agent": "ua"}
                )
                records = told(desk, Audited)
                if (verb, path) in previews:
                    assert records == []
                    continue
                assert len(records) == 1, (verb, path)
                one = records[0]
                assert (one.client, one.by, one.agent) == ("127.0.0.1", by, "ua")
                assert (one.method, one.path, one.status) == (verb, asked, answer.status_code)
                assert one.result == (
                    "done" if answer.status_code < 400 else "refused" if answer.status_code < 500 else "failed"
                )
                if answer.status_code >= 400 and path.startswith("/api/"):
                    assert one.reason == answer.json()["reason"]
                if by == "token":
                    assert one.given == {"inbox": "camera"} or path not in {"/api/v1/pause", "/act/pause"}
        desk.told.clear()
        await client.get("/api/v1/status", headers=BEARER)
        await client.get("/", headers={"accept": "text/html"})
        assert told(desk, Audited) == []
    assert TOKEN not in repr(desk.told)


async def test_s06_of_a_flood_of_refusals_the_log_tells_how_many_it_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dropmill.web.audit.REFUSALS_AT_ONCE", 10.0)
    clock = Hand()
    desk = desk_with(clock)
    async with served(desk) as client:
        for _ in range(15):
            await client.post("/api/v1/pause", json={}, headers={"origin": "https://evil.example"})
        assert len(told(desk, Audited)) == 10 and len(told(desk, HttpRefused)) == 15
        await client.post("/api/v1/pause", json={})
        assert told(desk, Audited)[-1].result == "done" and told(desk, Audited)[-1].left_out == 5


async def test_an_audit_names_the_process_that_uses_the_socket_file(tmp_path: Path) -> None:
    desk = desk_with(Hand())
    async with served(desk, bind=f"unix:{tmp_path}/s", audit_file=f"{tmp_path}/audit.jsonl") as client:
        assert (await client.post("/api/v1/pause", json={"inbox": "camera"})).status_code == 200
    client_name = f"unix uid={os.getuid()} pid={os.getpid()}"
    assert [fact.client for fact in told(desk, Audited)] == [client_name]
    lines = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert len(lines) == 1 and lines[0]["event"] == "audit" and lines[0]["timestamp"].endswith("Z")
    assert (lines[0]["client"], lines[0]["route"], lines[0]["given"]) == (
        client_name,
        "/api/v1/pause",
        {"inbox": "camera"},
    )
    assert (lines[0]["result"], lines[0]["status"], lines[0]["by"]) == ("done", 200, "open")
    assert not (tmp_path / "audit.jsonl").stat().st_mode & 0o007


async def test_an_audit_file_that_cannot_be_written_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="audit_file") as caught:
        async with served(FakeDesk(), audit_file=str(tmp_path / "none" / "audit")):
            pass
    assert caught.value.hint


async def test_s06_a_token_file_that_everybody_may_read_is_told_of(token_file: str) -> None:
    Path(token_file).chmod(0o644)
    desk = desk_with(Hand())
    async with served(desk, token_file=token_file):
        pass
    assert [fact.path for fact in told(desk, TokenExposed)] == [token_file] and TOKEN not in repr(desk.told)
