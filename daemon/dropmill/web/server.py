"""The HTTP server: FastAPI under uvicorn, inside our own task group, stopped last and by nobody's signal but ours."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import anyio
import uvicorn

from dropmill.control.desk import Desk
from dropmill.observe.metrics import Metrics
from dropmill.settings import Http
from dropmill.web.access import Access
from dropmill.web.app import build
from dropmill.web.connections import connections
from dropmill.web.listen import Listener, url_of
from dropmill.web.pictures import Pictures

HEADER_BYTES = 16 << 10
STOP_SECONDS = 2


class _Server(uvicorn.Server):
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
    with contextlib.ExitStack() as closing:
        if listener is None:
            listener = Listener(settings.address)
            closing.callback(listener.close)
        sock = listener.share()
        closing.callback(sock.close)
        pictures = Pictures(desk)
        closing.callback(pictures.close)
        server = _Server(_config(build(desk, metrics, pictures, access, settings.base_path)))
        async with anyio.create_task_group() as group:
            group.start_soon(server.serve, [sock])
            await server.up.wait()
            try:
                yield url_of(sock, settings.base_path)
            finally:
                server.stop()


def _config(app: object) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]  # Any ASGI application; uvicorn spells the type out in its own words.
        http=connections(),
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
