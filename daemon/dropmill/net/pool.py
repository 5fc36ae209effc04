"""Connections that serve one request at a time, HTTP/2 ones too, and are closed if a body is left unread.

Over HTTP/2, httpcore 1.0 tells the other side nothing when a response is closed early: it goes on sending, into a window
that all streams of the connection share and that nobody empties any more, until the others stall. And what arrives for
a stream while another one is read is kept in memory, up to 16 MiB a connection. One stream a connection has neither,
and a host that sends without end harms no other download.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import httpcore

# Idle connections that nobody wants are looked over once in so many calls.
_SWEEP_CALLS: Final = 100


class SinglePool(httpcore.AsyncConnectionPool):
    """A pool in which a connection is free once its last response was read or closed.

    ``trusted`` makes the context of TLS where ``ssl_context`` is None: once, for the first origin that needs it, because
    reading all certificates takes as long as dozens of downloads.
    """

    _calls = 0

    def __init__(self, trusted: Callable[[], ssl.SSLContext], **options: Any) -> None:
        super().__init__(**options)
        self._trusted = trusted

    def create_connection(self, origin: httpcore.Origin) -> httpcore.AsyncConnectionInterface:
        if origin.scheme == b"https" and self._ssl_context is None:
            self._ssl_context = self._trusted()
        return _Single(super().create_connection(origin))

    def _assign_requests_to_connections(self) -> list[httpcore.AsyncConnectionInterface]:
        """What httpcore's does, and it returns the same: connections to close.

        Twice for each request, httpcore's asks every idle connection by a system call whether its host has closed it, and
        counts all connections for each that is idle; with 64 of them that costs as much as all the rest of a download.
        Here only one that is about to be used is asked.
        """
        self._calls += 1
        if self._calls % _SWEEP_CALLS == 0:
            return super()._assign_requests_to_connections()
        closing: list[httpcore.AsyncConnectionInterface] = []
        if any(connection.is_closed() for connection in self._connections):
            self._connections[:] = [one for one in self._connections if not one.is_closed()]
        for request in [request for request in self._requests if request.is_queued()]:
            connection = self._free_for(request.request.url.origin, closing)
            if connection is not None:
                request.assign_to_connection(connection)
        return closing

    def _free_for(
        self, origin: httpcore.Origin, closing: list[httpcore.AsyncConnectionInterface]
    ) -> httpcore.AsyncConnectionInterface | None:
        """One that is open, or a new one, if need be in place of an idle one; None where all are busy."""
        for connection in list(self._connections):
            if connection.can_handle_request(origin) and connection.is_available():
                if not connection.has_expired():
                    return connection
                self._connections.remove(connection)
                closing.append(connection)
        if len(self._connections) >= self._max_connections:
            idle = next((connection for connection in self._connections if connection.is_idle()), None)
            if idle is None:
                return None
            self._connections.remove(idle)
            closing.append(idle)
        connection = self.create_connection(origin)
        self._connections.append(connection)
        return connection


class _Single(httpcore.AsyncConnectionInterface):
    def __init__(self, connection: httpcore.AsyncConnectionInterface) -> None:
        self._connection = connection
        self._serving = False

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        if self._serving:
            # Two requests may be given to it before the first one begins; the pool finds another for the second.
            raise httpcore.ConnectionNotAvailable
        self._serving = True
        try:
            response = await self._connection.handle_async_request(request)
        except BaseException:
            self._serving = False
            raise
        return httpcore.Response(
            status=response.status,
            headers=response.headers,
            content=_Body(response, self),
            extensions=response.extensions,
        )

    def let_go_if_more_came(self) -> None:
        """Keep it from being used again where there are bytes behind the end of the answer (U09).

        h11 would read them as the answer to the next request, so a Content-Length that is too small would make one file
        out of the tail of another. httpcore looks only at what the kernel has not handed over yet, and has no public way
        to a connection's parser; a test holds that this one leads there.
        """
        connection: object = self._connection
        while connection is not None and not hasattr(connection, "_h11_state"):
            connection = getattr(connection, "_connection", None)
        parser = getattr(connection, "_h11_state", None)
        if parser is not None and parser.trailing_data[0]:
            parser.send_failed()

    async def finished(self, *, whole: bool) -> None:
        """The response is closed; ``whole`` says whether its body was read to the end."""
        self._serving = False
        if not whole:
            await self._connection.aclose()

    def can_handle_request(self, origin: httpcore.Origin) -> bool:
        return self._connection.can_handle_request(origin)

    def is_available(self) -> bool:
        return not self._serving and self._connection.is_available()

    def has_expired(self) -> bool:
        return not self._serving and self._connection.has_expired()

    def is_idle(self) -> bool:
        return not self._serving and self._connection.is_idle()

    def is_closed(self) -> bool:
        return self._connection.is_closed()

    def info(self) -> str:
        return self._connection.info()

    async def aclose(self) -> None:
        await self._connection.aclose()


class _Body:
    def __init__(self, response: httpcore.Response, connection: _Single) -> None:
        self._response = response
        self._connection = connection
        self._whole = False
        self._closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._response.aiter_stream():
            yield piece
        self._whole = True

    async def aclose(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._connection.let_go_if_more_came()
        try:
            await self._response.aclose()
        finally:
            await self._connection.finished(whole=self._whole)
