"""What is answered while the daemon is not there yet: a large catalog is checked or upgraded for minutes before its start.

Probes then get the answers that they get of a daemon that recovers, and everybody else is told to come again.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Final

import anyio
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from dropmill.control.health import starting
from dropmill.observe.facts import Beginning, Fact
from dropmill.settings import Http
from dropmill.web.clients import Clients
from dropmill.web.listen import Listener
from dropmill.web.problem import problem
from dropmill.web.server import Server, config

# Most starts are over by then, and need no server of their own.
PATIENCE_SECONDS: Final = 1.0
AGAIN_SECONDS: Final = 2
_HEADERS: Final = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


class Starting:
    """An application without any daemon behind it: pure ASGI. ``doing``: what the start is at."""

    def __init__(self, base_path: str) -> None:
        self._base_path = base_path
        self.doing = ""

    def heard(self, fact: Fact) -> None:
        if isinstance(fact, Beginning):
            self.doing = fact.doing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            answer = self._answer(scope["path"].removeprefix(self._base_path))
            answer.headers.update(_HEADERS)
            await answer(scope, receive, send)

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
    subscribers: list[Callable[[Fact], None]], listener: Callable[[], Listener], settings: Http
) -> AsyncIterator[None]:
    """Answer probes for as long as the block takes, where that is long; before it ends, nobody listens any more.

    Raises as ``listener``, in a group.
    """
    app, over = Starting(settings.base_path), anyio.Event()
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
    with contextlib.closing(listener().share()) as sock, anyio.CancelScope(shield=True):
        server = Server(config(app, Clients(settings.trusted_proxies)))
        async with anyio.create_task_group() as group:
            group.start_soon(server.serve, [sock])
            await over.wait()
            # Only what has begun can be stopped.
            await server.up.wait()
            server.stop()
