"""Connections that cost little: at most so many, none of them idle for long, so that strangers delay nothing (S08)."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_CONNECTIONS: Final = 256
# A connection that makes no progress is ended between one and two of these periods.
PATIENCE_SECONDS: Final = 10.0


class Connection(H11Protocol):
    """uvicorn's protocol, which by itself waits without end for a request or for a reader.

    Made by ``connections``, which holds what all connections of one server share.
    """

    def __init__(self, crowd: dict[Connection, None], patience_seconds: float, most: int, **uvicorns: Any) -> None:
        super().__init__(**uvicorns)
        self._crowd = crowd
        self._patience_seconds = patience_seconds
        self._most = most
        self._last_seen: object = None
        self._watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # As uvicorn itself narrows it.
        if len(self._crowd) >= self._most:
            # Whoever waits longest makes room, so that a crowd of idle connections locks nobody out.
            victim = next((one for one in self._crowd if one.idle), self)
            victim.end()
            if victim is self:
                transport.abort()
        self._crowd[self] = None
        super().connection_made(transport)
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        self._crowd.pop(self, None)
        if self._watch is not None:
            self._watch.cancel()
        super().connection_lost(exc)

    @property
    def idle(self) -> bool:
        """No request of it is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def end(self) -> None:
        self._crowd.pop(self, None)
        if self.transport is not None:
            self.transport.abort()

    def _look(self) -> None:
        seen = self._progress()
        if seen is not None and seen == self._last_seen:
            self.end()
            return
        self._last_seen = seen
        self._watch = self.loop.call_later(self._patience_seconds, self._look)

    def _progress(self) -> object:
        """What has to change from one look to the next; None while the wait is for us."""
        unsent_bytes = self.transport.get_write_buffer_size()
        if unsent_bytes:
            return "reading", unsent_bytes, self.cycle
        if self.idle:
            return "asking", self.cycle
        return ("sending", self.cycle) if self.cycle.more_body else None


def connections(patience_seconds: float = PATIENCE_SECONDS, most: int = MOST_CONNECTIONS) -> Any:
    """What uvicorn calls for each new connection."""
    crowd: dict[Connection, None] = {}

    def make(**uvicorns: Any) -> Connection:
        return Connection(crowd, patience_seconds, most, **uvicorns)

    return make
