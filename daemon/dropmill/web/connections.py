"""Connections that cost little: at most so many, none of them idle for long, so that strangers delay nothing (S08)."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import sys
from collections.abc import Callable
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from dropmill.web.clients import UNIX, is_local
from dropmill.web.problem import MEDIA_TYPE, body_of

MOST_CONNECTIONS: Final = 256
# Strangers leave one place in so many to this machine and to proxies that are trusted: probes come from there.
KEPT_PART: Final = 8
# Of one address that stands for one client.
MOST_OF_ONE: Final = 64
# A connection that makes no progress is ended between one and two of these periods.
PATIENCE_SECONDS: Final = 10.0


class Connection(H11Protocol):
    """uvicorn's protocol, which by itself waits without end for a request or for a reader.

    Made by ``connections``, which holds what all connections of one server share.
    """

    def __init__(self, room: Room, **uvicorns: Any) -> None:
        super().__init__(**uvicorns)
        self._room = room
        self.whose = ""
        self._last_seen: object = None
        self._watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # As uvicorn itself narrows it.
        super().connection_made(transport)
        self.client = _peer(transport) or self.client
        self.whose = self._room.counted(self.client[0]) if self.client else ""
        if not self._room.enter(self):
            self.end()
            return
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        self._room.leave(self)
        if self._watch is not None:
            self._watch.cancel()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """What is not even HTTP, or too long to be, is answered as all else is."""
        if self.conn.our_state not in {h11.IDLE, h11.SEND_RESPONSE} or not self.idle:
            self.end()  # It follows a request that is being answered.
            return
        error = sys.exception()
        status = error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else 400
        reason = "request-too-large" if status in {413, 431} else "invalid-request"
        body = json.dumps(body_of(status, msg, reason=reason, hint="send less, or ask with an HTTP client")).encode()
        headers = [("content-type", MEDIA_TYPE), ("content-length", str(len(body))), ("connection", "close")]
        for event in (h11.Response(status_code=status, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    @property
    def idle(self) -> bool:
        """No request of it is being answered."""
        return self.cycle is None or self.cycle.response_complete

    @property
    def waits_for_client(self) -> bool:
        """The request that came in on it is not all there yet."""
        return self.cycle is not None and self.cycle.more_body and not self.cycle.response_complete

    def end(self) -> None:
        self._room.leave(self)
        if self.transport is not None:
            self.transport.abort()

    def _look(self) -> None:
        seen = self._progress()
        if seen is not None and seen == self._last_seen:
            self.end()
            return
        self._last_seen = seen
        self._watch = self.loop.call_later(self._room.patience_seconds, self._look)

    def _progress(self) -> object:
        """What has to change from one look to the next; None while the wait is for us."""
        unsent_bytes = self.transport.get_write_buffer_size()
        if unsent_bytes:
            return "reading", unsent_bytes, self.cycle
        if self.idle:
            return "asking", self.cycle
        return ("sending", self.cycle) if self.cycle.more_body else None


class Room:
    """What all connections of one server share. ``counted`` says by what those of an address are counted, if at all."""

    def __init__(self, counted: Callable[[str], str], patience_seconds: float, most: int, most_of_one: int) -> None:
        self.counted = counted
        self.patience_seconds = patience_seconds
        self._most = most
        self._most_of_one = most_of_one
        self._present: dict[Connection, None] = {}

    def enter(self, new: Connection) -> bool:
        """Whoever waits longest makes room, so that a crowd of idle connections, or of requests that never end, locks
        nobody out."""
        crowds: list[tuple[Callable[[Connection], bool], int]] = [(lambda _: True, self._most)]
        if new.whose:
            crowds.append((lambda one: bool(one.whose), self._most - self._most // KEPT_PART))
            crowds.append((lambda one: one.whose == new.whose, self._most_of_one))
        for belongs, most in reversed(crowds):
            crowd = [one for one in self._present if belongs(one)]
            if len(crowd) >= most:
                waiting = [one for one in crowd if one.idle] or [one for one in crowd if one.waits_for_client]
                if not waiting:
                    return False
                waiting[0].end()
        self._present[new] = None
        return True

    def leave(self, one: Connection) -> None:
        self._present.pop(one, None)


def connections(
    counted: Callable[[str], str] = lambda peer: "" if is_local(peer) else peer,
    patience_seconds: float = PATIENCE_SECONDS,
    most: int = MOST_CONNECTIONS,
    most_of_one: int = MOST_OF_ONE,
) -> Any:
    """What uvicorn calls for each new connection."""
    room = Room(counted, patience_seconds, most, most_of_one)

    def make(**uvicorns: Any) -> Connection:
        return Connection(room, **uvicorns)

    return make


def _peer(transport: asyncio.Transport) -> tuple[str, int] | None:
    """Whose process it is that connected to a socket file, as the kernel says (unix(7), SO_PEERCRED)."""
    sock = transport.get_extra_info("socket")
    if sock is None or sock.family != socket.AF_UNIX:
        return None
    pid, uid, _gid = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return f"{UNIX} uid={uid} pid={pid}", 0
