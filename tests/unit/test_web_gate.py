"""Whatever a request consists of, the gate answers it, and lets in no more than it should."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from dropmill.observe.clock import SystemClock
from dropmill.observe.facts import Audited, Fact
from dropmill.settings import Http
from dropmill.web.access import Access
from dropmill.web.checkpoint import OPEN_PATHS, Checkpoint
from dropmill.web.clients import Clients
from dropmill.web.gate import Gate

TOKEN = "s3cr3t-0123456789abcdef"
HEADERS = ("host", "origin", "cookie", "authorization", "x-forwarded-for", "x-forwarded-proto", "sec-fetch-site",
           "sec-fetch-mode", "content-length", "content-type", "accept", "user-agent", "access-control-request-method")  # fmt: skip
WORDS = ("localhost", "[::1", "null", "http://[", "https://app.example.com", "cross-site", "navigate", "Bearer ", "Basic x",
         "dropmill=", "9" * 5000, "-1", "\xb2", "127.0.0.1, ", "application/json", "text/html", "unix", "\xff\x00")  # fmt: skip
PATHS = (
    "/",
    "/login",
    "/livez",
    "/api/v1/pause",
    "/act/pause",
    "/static/x",
    "//",
    "/%",
    "/dropmill/api/v1/status",
    "\udcff",
)


class Inside:
    """An application that counts who came in, and reads what they say."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.paths.append(scope["path"])
        while (await receive()).get("more_body"):
            pass
        await PlainTextResponse("in")(scope, receive, send)


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Http:
    path: Path = tmp_path_factory.mktemp("gate") / "token"
    path.write_text(TOKEN)
    return Http(
        token_file=str(path),
        base_path="/dropmill",
        trusted_proxies=("127.0.0.1",),
        allowed_origins=("https://app.example.com",),
        requests_per_second=1e9,
    )


async def asked(gate: Gate, method: str, path: str, headers: list[tuple[bytes, bytes]], body: bytes) -> list[Message]:
    answer: list[Message] = []
    pieces = [
        {"type": "http.request", "body": body[:10], "more_body": True},
        {"type": "http.request", "body": body[10:]},
    ]

    async def receive() -> Message:
        return pieces.pop(0) if pieces else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        answer.append(message)

    scope: dict[str, Any] = {"type": "http", "method": method, "path": path, "raw_path": b"/", "query_string": b"a=b"}
    await gate({**scope, "headers": headers, "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 1)}, receive, send)
    return answer


@settings(max_examples=100)
@given(
    st.sampled_from(["GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "TRACE", "BREW"]),
    st.sampled_from(PATHS) | st.text(max_size=20).map("/".__add__),
    st.lists(
        st.tuples(
            st.sampled_from(HEADERS), st.sampled_from(WORDS) | st.text(st.characters(max_codepoint=255), max_size=30)
        ),
        max_size=8,
    ),
    st.binary(max_size=40),
)
def test_s06_no_request_without_the_token_comes_in_and_every_one_is_answered(
    rules: Http, method: str, path: str, headers: list[tuple[str, str]], body: bytes
) -> None:
    inside, told, clock = Inside(), list[Fact](), SystemClock()
    form = PlainTextResponse("form", 401)
    checkpoint = Checkpoint(Access.of(rules), rules, clock, form, lambda seconds: PlainTextResponse(str(seconds), 429))
    gate = Gate(inside, rules, Clients(rules.trusted_proxies), checkpoint, clock, told.append)
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    answer = anyio.run(asked, gate, method, path, encoded, body)
    assert [message["type"] for message in answer].count("http.response.start") == 1
    names = dict(answer[0]["headers"])
    assert b"content-security-policy" in names and b"x-content-type-options" in names
    assert set(inside.paths) <= OPEN_PATHS | {"/login"}
    assert len([fact for fact in told if isinstance(fact, Audited)]) <= 1
