"""Everything that a request passes before the application sees it, what is said on its way out, and what is recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dropmill.observe.facts import ClientHasty, Emit, HttpRefused, ProxyUnnamed
from dropmill.ports import Clock
from dropmill.settings import Http
from dropmill.web.access import API
from dropmill.web.audit import MOST_TOLD_BYTES, Audit, is_audited, reason_of
from dropmill.web.checkpoint import (
    FORM,
    LOGIN_PATH,
    Checkpoint,
    Entry,
    Refusal,
    counts,
    crowded,
    most_body_bytes,
    too_large,
)
from dropmill.web.clients import CLIENT, Client, Clients
from dropmill.web.limits import Crowd
from dropmill.web.problem import MEDIA_TYPE

# Requests of one client that are being answered at a time, streams of events among them. Browsers hold six connections.
MOST_AT_ONCE: Final = 24
# How the request of a client is recorded that left before it had said all; nobody is there to be answered.
LEFT_STATUS: Final = 499

_HEADERS: Final = {
    "content-security-policy": "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # With "no-referrer" browsers say "Origin: null" when our own login form is sent, which is refused as another site's.
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "cache-control": "no-store",
}
_PREFLIGHT: Final = {
    "access-control-allow-methods": "GET, POST, PUT, DELETE",
    "access-control-allow-headers": "authorization, content-type, last-event-id",
    "access-control-max-age": "600",
}


class _TooLarge(Exception):
    """The request's body is longer than we read."""


class Gate:
    """Pure ASGI."""

    def __init__(
        self,
        app: ASGIApp,
        settings: Http,
        clients: Clients,
        checkpoint: Checkpoint,
        clock: Clock,
        emit: Emit,
    ) -> None:
        self._app = app
        self._access = checkpoint.access
        self._base_path = settings.base_path
        self._per_second = settings.requests_per_second
        self._clients = clients
        self._checkpoint = checkpoint
        self._crowd = Crowd(MOST_AT_ONCE)
        self._clock = clock
        self._emit = emit
        self._audit = Audit(emit, clock)
        self._proxy_told = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return  # Neither lifespan nor websockets are spoken here.
        scope = {**self._below_base(scope), CLIENT: self._clients.of(scope)}
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        body = _Body(receive, most_body_bytes(scope["path"]))
        visit = _Visit(scope, headers, scope[CLIENT], body, _Answer(send, self._headers_for(scope, headers)))
        found = self._enter(visit)
        try:
            if isinstance(found, Refusal):
                await found.answer(scope, receive, visit.answer.send)
            elif found.by == "preflight":
                await Response(status_code=204, headers=_PREFLIGHT)(scope, receive, visit.answer.send)
            else:
                await self._let_in(visit)
        finally:
            if not isinstance(found, Refusal) and visit.counted:
                self._crowd.leave(visit.client.key)
            self._record(visit, found)

    def _enter(self, visit: _Visit) -> Entry | Refusal:
        """Who is let in, and is counted, has to ``leave`` the crowd."""
        client, now = visit.client, self._clock.monotonic()
        if client.unnamed_proxy and not self._proxy_told:
            self._proxy_told = True
            self._emit(ProxyUnnamed(client.name))
        found = self._checkpoint.check(visit.scope, visit.headers, client)
        if not isinstance(found, Refusal) and visit.counted and not self._crowd.enter(client.key):
            found = Refusal("crowd", crowded())
        if isinstance(found, Refusal):
            self._emit(HttpRefused(client.name, found.cause, visit.scope["path"]))
            if found.cause in {"rate", "crowd"} and self._checkpoint.rates.is_news(client.key, now):
                self._emit(ClientHasty(client.name, self._per_second, MOST_AT_ONCE))
        return found

    async def _let_in(self, visit: _Visit) -> None:
        scope, body, answer = visit.scope, visit.body, visit.answer

        async def send_unless_over(message: Message) -> None:
            # The application makes an answer of its own out of a body that broke off.
            if not (body.too_large or body.broke_off) or answer.status:
                await answer.send(message)

        try:
            await self._app(scope, body.receive, send_unless_over)
        except _TooLarge:
            pass  # Answered below.
        except ClientDisconnect:
            if not body.broke_off:
                raise
        if body.broke_off and not answer.status:
            answer.status = LEFT_STATUS
            self._emit(HttpRefused(visit.client.name, "left", scope["path"]))
        if body.too_large and not answer.status:
            await too_large(scope["path"])(scope, body.receive, answer.send)

    def _below_base(self, scope: Scope) -> Scope:
        """Proxies may hand on the prefix or take it away; both are understood."""
        path: str = scope["path"]
        if self._base_path and (path == self._base_path or path.startswith(self._base_path + "/")):
            return {**scope, "path": path[len(self._base_path) :] or "/"}
        return scope

    def _headers_for(self, scope: Scope, headers: Mapping[str, str]) -> dict[str, str]:
        if not self._access.allowed_origins or not scope["path"].startswith(API):
            return _HEADERS
        origin = self._access.named_origin(scope["path"], headers)
        shared = {"access-control-allow-origin": origin, "access-control-expose-headers": "retry-after"}
        return _HEADERS | {"vary": "Origin"} | (shared if origin else {})

    def _record(self, visit: _Visit, found: Entry | Refusal) -> None:
        scope, status = visit.scope, visit.answer.status or 500
        by, guessed = ("nobody", found.guessed) if isinstance(found, Refusal) else (found.by, False)
        if scope["path"] == LOGIN_PATH and scope["method"] == "POST" and by != "nobody":
            # What stands in the form is looked at by the page.
            if status == 401:
                self._checkpoint.failed(visit.client)
            by = "token" if status == 303 else "nobody"
        elif by == FORM:
            by = "nobody"
        if guessed or is_audited(scope):
            reason = reason_of(visit.answer.problem)
            self._audit.record(scope, visit.headers, visit.client, by, visit.body.begun, status, reason)


@dataclass(frozen=True, slots=True)
class _Visit:
    """One request, on its way."""

    scope: Scope
    headers: Mapping[str, str]
    client: Client
    body: _Body
    answer: _Answer

    @property
    def counted(self) -> bool:
        return counts(self.scope, self.client)


class _Answer:
    """Adds what every answer says, and remembers how it went."""

    def __init__(self, send: Send, headers: dict[str, str]) -> None:
        self._send = send
        self._headers = headers
        self._is_problem = False
        self.status = 0
        self.problem = b""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            out = MutableHeaders(scope=message)
            self._is_problem = out.get("content-type") == MEDIA_TYPE
            for name, value in self._headers.items():
                out.setdefault(name, value)
        elif self._is_problem and message["type"] == "http.response.body":
            self.problem += message.get("body", b"")
        await self._send(message)


class _Body:
    """Hands on a request's body until it is longer than we read."""

    def __init__(self, receive: Receive, most_bytes: int) -> None:
        self._receive = receive
        self._most_bytes = most_bytes
        self._size_bytes = 0
        self._complete = False
        self.too_large = False
        self.broke_off = False
        """The client left before it had sent all."""
        self.begun = b""
        """Its beginning, longer than what is told of where there is more."""

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.broke_off = not self._complete
            return message
        self._complete = not message.get("more_body", False)
        piece: bytes = message.get("body", b"")
        self._size_bytes += len(piece)
        if len(self.begun) <= MOST_TOLD_BYTES:
            self.begun += piece[: MOST_TOLD_BYTES + 1 - len(self.begun)]
        if self._size_bytes > self._most_bytes:
            self.too_large = True
            raise _TooLarge
        return message
