"""Frames on the socket between the daemon and a worker: a length, then JSON that echoes job id and epoch.

A frame is four bytes of big-endian length and that many bytes of UTF-8 JSON. Each side may have one frame under way at
a time, so a second one that nobody asked for is a breach, as is anything that is not such a frame.
"""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from dropmill.model.wire import Wire

# Five thousand pages in three renditions come to some 5 MiB; nothing that a sound worker sends is larger than this.
MAX_FRAME_BYTES: Final = 16 << 20
_HEADER_BYTES: Final = 4
_READ_BYTES: Final = 256 << 10


class Breach(Exception):
    """The other side sent what a sound one would not."""


class Closed(Exception):
    """The other side has gone."""


class Unread(Closed):
    """The other side has gone without reading all that was sent to it."""


@dataclass(frozen=True, slots=True)
class Frame:
    """``last`` is said by a worker that ends after this frame and must not be given another job."""

    job_id: int
    epoch: int
    body: Wire
    last: bool = False


def pack(frame: Frame) -> bytes:
    """Raises ``Breach`` for a frame over ``MAX_FRAME_BYTES``."""
    message = {"job": frame.job_id, "epoch": frame.epoch, "last": frame.last, "body": frame.body}
    text = json.dumps(message, separators=(",", ":"), allow_nan=False).encode()
    if len(text) > MAX_FRAME_BYTES:
        raise Breach(f"a frame of {len(text)} bytes")
    return len(text).to_bytes(_HEADER_BYTES, "big") + text


class Unpacker:
    """Takes bytes as they come, gives frames as they are complete."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def empty(self) -> bool:
        """Whether no part of a frame is waiting for its rest."""
        return not self._buffer

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that ``data`` completes. Raises ``Breach`` for bytes that are no frame."""
        self._buffer += data
        frames = []
        while (frame := self._next()) is not None:
            frames.append(frame)
        return frames

    def _next(self) -> Frame | None:
        if len(self._buffer) < _HEADER_BYTES:
            return None
        size_bytes = int.from_bytes(self._buffer[:_HEADER_BYTES], "big")
        if size_bytes > MAX_FRAME_BYTES:  # Said before a byte of it is kept.
            raise Breach(f"a frame of {size_bytes} bytes")
        end = _HEADER_BYTES + size_bytes
        if len(self._buffer) < end:
            return None
        text = bytes(self._buffer[_HEADER_BYTES:end])
        del self._buffer[:end]
        return _frame(text)


def _frame(text: bytes) -> Frame:
    try:
        message: Any = json.loads(text.decode(), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Breach(f"not JSON: {error}") from error
    if not isinstance(message, dict) or message.keys() != {"job", "epoch", "last", "body"}:
        raise Breach("not a frame")
    job_id, epoch, last, body = message["job"], message["epoch"], message["last"], message["body"]
    # bool is an int in Python, and True would pass for job 1.
    if type(job_id) is not int or type(epoch) is not int or type(last) is not bool or not isinstance(body, dict):
        raise Breach("not a frame")
    return Frame(job_id, epoch, body, last)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


class BlockingChannel:
    """The worker's end: it has one thing to do at a time, so it simply waits."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(True)
        self._sock = sock
        self._unpacker = Unpacker()
        self._ready: list[Frame] = []

    def send(self, frame: Frame) -> None:
        """Raises ``Closed`` where the daemon has gone, ``Breach`` where the frame is too large."""
        data = pack(frame)
        try:
            self._sock.sendall(data)
        except OSError as error:
            raise Closed from error

    def receive(self) -> Frame:
        """Wait for a frame. Raises ``Closed`` where the daemon has gone, ``Breach`` for bytes that are no frame."""
        while not self._ready:
            try:
                data = self._sock.recv(_READ_BYTES)
            except OSError as error:
                raise Closed from error
            if not data:
                raise Closed
            self._ready = self._unpacker.feed(data)
        return self._ready.pop(0)
