"""The daemon's end of a worker's socket, on the asyncio loop."""

from __future__ import annotations

import asyncio
import socket

from dropmill.workers.frames import Breach, Closed, Frame, Unpacker, Unread, pack

_READ_BYTES = 256 << 10


class Channel:
    """Frames to and from one worker.

    The reader stays registered with the loop for the worker's whole life: a round trip costs no change of the
    poll set, and the end of an idle worker is seen at once.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._unpacker = Unpacker()
        self._frame: Frame | None = None
        self._failure: Breach | Closed | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._loop.add_reader(sock.fileno(), self._readable)
        self._open = True

    def usable(self) -> bool:
        """Whether the worker is there and has said nothing that it was not asked for."""
        if self._open and self._failure is None:
            self._readable()  # What the kernel holds, though the loop has not come round to it.
        return self._failure is None and self._frame is None and self._unpacker.empty

    async def send(self, frame: Frame) -> None:
        """Raises ``Closed`` where the worker has gone."""
        if self._failure is not None:
            raise self._failure
        data = pack(frame)
        try:
            sent = self._sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise Closed from error
        if sent < len(data):
            try:
                await self._loop.sock_sendall(self._sock, data[sent:])
            except OSError as error:
                raise Closed from error

    async def receive(self) -> Frame:
        """The next frame. Raises ``Closed`` (``Unread``) where the worker has gone, ``Breach`` for what is no frame."""
        if self._frame is None and self._failure is None:
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self._frame is not None:
            frame, self._frame = self._frame, None
            return frame
        if self._failure is not None:
            raise self._failure
        raise AssertionError("woken with nothing to receive")

    def close(self) -> None:
        """Twice is harmless. A receiver that waits is told ``Closed``."""
        if self._open:
            self._open = False
            self._loop.remove_reader(self._sock.fileno())
            self._sock.close()
            self._fail(Closed())

    def _readable(self) -> None:
        try:
            data = self._sock.recv(_READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except ConnectionResetError:  # Linux says this, and not end of file, where sent bytes lay unread (af_unix.c).
            self._stop(Unread())
            return
        except OSError:
            data = b""
        if not data:
            self._stop(Closed())
            return
        try:
            frames = self._unpacker.feed(data)
        except Breach as breach:
            self._stop(breach)
            return
        if not frames:
            return
        if len(frames) > 1 or self._frame is not None:
            self._frame = None  # Neither can be trusted to answer what was asked.
            self._stop(Breach("a frame that nobody asked for"))
            return
        self._frame = frames[0]
        self._wake()

    def _stop(self, failure: Breach | Closed) -> None:
        self._loop.remove_reader(self._sock.fileno())
        self._fail(failure)

    def _fail(self, failure: Breach | Closed) -> None:
        if self._failure is None:
            self._failure = failure
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
