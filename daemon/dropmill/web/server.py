"""The HTTP server: FastAPI under uvicorn, inside our own task group, stopped last and by nobody's signal but ours."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from functools import partial

import anyio
import uvicorn

from dropmill.control.desk import Desk
from dropmill.control.house import running
from dropmill.control.reporter import Reporter
from dropmill.observe.audit import AuditFile
from dropmill.observe.facts import AuditCutShort, Audited, Emit, Fact, TokenExposed
from dropmill.observe.metrics import Metrics
from dropmill.ports import Clock
from dropmill.settings import Http
from dropmill.web.access import Access
from dropmill.web.app import Served, build
from dropmill.web.clients import Clients
from dropmill.web.connections import connections
from dropmill.web.events import Events
from dropmill.web.listen import Listener, url_of
from dropmill.web.pictures import Pictures
from dropmill.web.previews import Previews

HEADER_BYTES = 16 << 10
STOP_SECONDS = 2


class Server(uvicorn.Server):
    """Takes no signals, and waits without looking around ten times a second."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = anyio.Event()
        self._stop = anyio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    async def take(self, connection: socket.socket) -> None:
        """Serve a connection that somebody else accepted; to be called once it is ``up``."""

        def make() -> asyncio.Protocol:
            # As uvicorn itself does it for those that it accepts.
            made: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]  # Declared as any Protocol.
                config=self.config, server_state=self.server_state, app_state=self.lifespan.state
            )
            return made

        with contextlib.suppress(OSError):  # Who connected has left meanwhile.
            await asyncio.get_running_loop().connect_accepted_socket(make, connection)

    async def main_loop(self) -> None:
        while not self._stop.is_set():
            await self.on_tick(0)  # Sets the Date header.
            with anyio.move_on_after(1.0):
                await self._stop.wait()

    def stop(self) -> None:
        self.should_exit = True
        self._stop.set()


@contextlib.asynccontextmanager
async def serve(desk: Desk, metrics: Metrics, settings: Http, listener: Listener | None = None) -> AsyncIterator[str]:
    """Serve until the block ends; yields where: ``http://127.0.0.1:8686/`` or ``unix:/run/…``.

    ``listener`` is of the address in ``settings``, and stays open; without one it is made here. Raises
    ``ConfigurationError`` where the address cannot be had or the token cannot be read.
    """
    access = Access.of(settings)
    clients = Clients(settings.trusted_proxies)
    async with contextlib.AsyncExitStack() as closing:
        emit = await closing.enter_async_context(_also_written(desk.house.emit, settings.audit_file, desk.house.clock))
        if access.doubt is not None:
            desk.house.emit(TokenExposed(settings.token_file, *access.doubt))
        if listener is None:
            listener = Listener(settings.address, settings.socket_mode_bits)
            closing.callback(listener.close)
        sock = listener.share()
        closing.callback(sock.close)
        pictures, previews = Pictures(desk), Previews(desk)
        closing.callback(pictures.close)
        closing.callback(previews.close)
        async with _telling(desk) as events:
            served = Served(pictures, previews, events)
            server = Server(config(build(desk, metrics, served, access, settings, clients, emit), clients))
            async with anyio.create_task_group() as group:
                group.start_soon(server.serve, [sock])
                await server.up.wait()
                for connection in listener.let_go():
                    await server.take(connection)
                try:
                    yield url_of(sock, settings.base_path)
                finally:
                    events.end()
                    server.stop()


@contextlib.asynccontextmanager
async def _telling(desk: Desk) -> AsyncIterator[Events]:
    """What watches on behalf of pages, while the block lasts."""
    live, clock = running(desk.house), desk.house.clock
    reporter = Reporter(live.hub, desk.status, partial(desk.groups, sort="newest", limit=1), clock)
    live.hub.open()
    async with anyio.create_task_group() as group:
        group.start_soon(reporter.run)
        group.start_soon(live.history.run, desk.status)
        yield Events(live.hub, reporter, clock)
        group.cancel_scope.cancel()


@contextlib.asynccontextmanager
async def _also_written(emit: Emit, path: str, clock: Clock) -> AsyncIterator[Emit]:
    """Facts that are to be kept are put into the file too, if one is named. Raises ``ConfigurationError``."""
    if not path:
        yield emit
        return
    file = await AuditFile.opened(path, clock)

    def both(fact: Fact) -> None:
        emit(fact)
        if isinstance(fact, Audited):
            file(fact)

    try:
        yield both
    finally:
        lost = await file.close()
        if lost:
            emit(AuditCutShort(path, lost))


def config(app: object, clients: Clients) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]  # Any ASGI application; uvicorn spells the type out in its own words.
        http=connections(clients.counted),
        ws="none",
        lifespan="off",
        loop="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=STOP_SECONDS,
        h11_max_incomplete_event_size=HEADER_BYTES,
    )
