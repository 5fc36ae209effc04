"""What is answered while the daemon is not there yet: a large catalog is checked or upgraded for minutes before its start.

Probes and Prometheus then get the answers that they get of a daemon that recovers, and everybody else is told to come again.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from typing import Final

import anyio
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from dropmill.control.health import starting
from dropmill.observe.facts import Beginning, Fact
from dropmill.observe.metrics import Metrics, wanted_type
from dropmill.settings import Http
from dropmill.web.checkpoint import OPEN_PATHS
from dropmill.web.clients import Clients
from dropmill.web.listen import MOST_HELD, Listener
from dropmill.web.problem import problem
from dropmill.web.server import Server, config

# Most starts are over by then, and need no server of their own.
PATIENCE_SECONDS: Final = 1.0
AGAIN_SECONDS: Final = 2
REST_SECONDS: Final = 0.1
_HEADERS: Final = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


class Starting:
    """An application without any daemon behind it: pure ASGI. ``doing``: what the start is at."""

    def __init__(self, base_path: str, metrics: Metrics) -> None:
        self._base_path = base_path
        self._metrics = metrics
        self.doing = ""

    def heard(self, fact: Fact) -> None:
        if isinstance(fact, Beginning):
            self.doing = fact.doing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path = scope["path"].removeprefix(self._base_path)
            answer = self._exposition(Headers(scope=scope)) if path == "/metrics" else self._answer(path)
            answer.headers.update(_HEADERS)
            await answer(scope, receive, send)

    def _exposition(self, headers: Headers) -> Response:
        """A start that takes long is a daemon that is not ready, not one that is down."""
        content_type = wanted_type(",".join(headers.getlist("accept")))
        return Response(self._metrics.while_starting(content_type), media_type=content_type, headers={"Vary": "Accept"})

    def _answer(self, path: str) -> Response:
        match path:
            case "/livez":
                return JSONResponse({"status": "ok"})
            case "/readyz":
                detail = f"starting: {self.doing}" if self.doing else "starting"
                return JSONResponse({"status": "not ready", "detail": detail}, 503)
            case "/healthz":
                return JSONResponse(starting(self.doing))
        answer = problem(503, "the daemon is starting", reason="starting", hint="ask again in a moment", retryable=True)
        answer.headers["retry-after"] = str(AGAIN_SECONDS)
        return answer


@contextlib.asynccontextmanager
async def answering_meanwhile(
    subscribers: list[Callable[[Fact], None]], listener: Callable[[], Listener], settings: Http, metrics: Metrics
) -> AsyncIterator[None]:
    """Answer probes for as long as the block takes, where that is long; before it ends, nobody listens any more.

    On a socket that was passed on, everybody else waits: the listener holds their connections for the daemon's own server.

    Raises as ``listener``, in a group.
    """
    app, over = Starting(settings.base_path, metrics), anyio.Event()
    subscribers.append(app.heard)
    async with anyio.create_task_group() as group:
        group.start_soon(_answer, app, over, listener, settings)
        try:
            yield
        finally:
            over.set()


async def _answer(app: ASGIApp, over: anyio.Event, listener: Callable[[], Listener], settings: Http) -> None:
    with anyio.move_on_after(PATIENCE_SECONDS):
        await over.wait()
        return
    found = listener()
    with contextlib.closing(found.share()) as sock, anyio.CancelScope(shield=True):
        server = Server(config(app, Clients(settings.trusted_proxies)))
        async with anyio.create_task_group() as group:
            group.start_soon(server.serve, [] if found.is_passed else [sock])
            # Only what has begun can be stopped.
            await server.up.wait()
            if found.is_passed:
                await _sort(found, sock, server, settings.base_path, over)
            await over.wait()
            server.stop()


async def _sort(listener: Listener, sock: socket.socket, server: Server, base_path: str, over: anyio.Event) -> None:
    """Until the start is over, have probes answered at once, and all else wait: it may be what started the daemon."""
    probes = tuple(f"{method} {base_path}{path}".encode() for method in ("GET", "HEAD") for path in sorted(OPEN_PATHS))

    async def look_at(connection: socket.socket) -> None:
        with anyio.CancelScope() as waiting:
            scopes.add(waiting)
            if len(scopes) <= MOST_HELD and not over.is_set():
                await anyio.wait_readable(connection)
        scopes.discard(waiting)
        if _begins_with(connection, probes) or not listener.hold(connection):
            await server.take(connection)

    async def accept() -> None:
        with anyio.CancelScope() as waiting:
            scopes.add(waiting)
            while True:
                await anyio.wait_readable(sock)
                try:
                    connection, _ = sock.accept()
                except OSError:  # It has left already, or there are no more descriptors.
                    with anyio.move_on_after(REST_SECONDS):
                        await over.wait()
                    continue
                connection.setblocking(False)
                group.start_soon(look_at, connection)

    scopes: set[anyio.CancelScope] = set()
    async with anyio.create_task_group() as group:
        group.start_soon(accept)
        await over.wait()
        for one in list(scopes):
            one.cancel()


def _begins_with(connection: socket.socket, probes: tuple[bytes, ...]) -> bool:
    """Whether a request for one of these waits to be read; it is left where it is."""
    try:
        begun = connection.recv(max(map(len, probes)) + 1, socket.MSG_PEEK)
    except OSError:
        return False  # Nothing yet, or nobody any more.
    return begun.startswith(tuple(probe + end for probe in probes for end in (b" ", b"?")))
