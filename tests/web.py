"""A web server that does as it is told, in a thread of the test: raw HTTP/1.1 on loopback, so that every lie is possible.

    with WebServer() as web:
        web.on("/a.jpg", document(data, etag='"1"'))
        web.on("/b.jpg", in_turn(answer(status=503, headers={"Retry-After": "7"}), document(data)))
        … web.url("/a.jpg") …
        web.wait(lambda: len(web.asked("/a.jpg")) == 2)

Paths that nobody spoke of answer 404 (``/robots.txt`` too). Everything that was asked and sent is in ``web.requests`` and
``web.connections``. As a program it serves a folder: ``python tests/web.py FOLDER [--port N] [--bytes-per-second N]``.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import hashlib
import re
import socket
import ssl
import struct
import threading
import time
import urllib.parse
import zlib
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self

CHUNK_BYTES = 64 << 10
# Nothing in a test takes so long unless it hangs.
DEADLINE_SECONDS = 60.0

Headers = Mapping[str, str] | Iterable[tuple[str, str]]


@dataclass(eq=False)
class Request:
    """One request as it came, and what was sent for it. Headers by lower-case name; times by ``time.monotonic``."""

    connection: int
    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""
    status: int = 0
    sent_bytes: int = 0
    """Bytes of the body that were handed to the kernel, as they stand on the wire."""
    began: float = field(default_factory=time.monotonic)
    ended: float | None = None

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def range(self) -> str:
        return self.headers.get("range", "")


class Gone(Exception):
    """The handler closed the connection, or the client did."""


class Exchange:
    """What a handler has in hand: the request, and the way to answer it."""

    def __init__(self, web: WebServer, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self.web = web
        self.request = request
        self.keep = request.headers.get("connection", "").lower() != "close"
        self._reader = reader
        self._writer = writer

    async def raw(self, data: bytes) -> None:
        """Bytes that count as no body: a status line, headers, or what should not be there at all."""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except (ConnectionError, OSError) as error:
            raise Gone from error

    async def head(self, status: int, headers: Headers = (), *, reason: str = "") -> None:
        """Status line and headers, with nothing added to them."""
        self.request.status = status
        pairs = headers.items() if isinstance(headers, Mapping) else headers
        lines = [f"HTTP/1.1 {status} {reason or _phrase(status)}", *(f"{name}: {value}" for name, value in pairs)]
        if any(line.lower() == "connection: close" for line in lines):
            self.keep = False
        await self.raw("\r\n".join([*lines, "", ""]).encode("latin-1"))

    async def send(self, data: bytes) -> None:
        """A piece of the body, at the server's pace. Returns once the kernel has it."""
        pace = self.web.bytes_per_second
        step = CHUNK_BYTES if not pace else max(min(CHUNK_BYTES, pace // 20), 1)
        for at in range(0, len(data), step):
            piece = data[at : at + step]
            await self.raw(piece)
            self.web.note(self.request, len(piece))
            if pace:
                await asyncio.sleep(len(piece) / pace)

    async def chunk(self, data: bytes) -> None:
        """A piece of a chunked body; the empty one ends it."""
        await self.send(b"%x\r\n%s\r\n" % (len(data), data))

    def close(self, *, reset: bool = False) -> None:
        """End the connection now, with RST if asked. Raises ``Gone``."""
        if reset:
            sock = self._writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._writer.transport.abort()
        raise Gone

    async def client_gone(self) -> None:
        """Returns when the client has closed the connection."""
        try:
            while await self._reader.read(CHUNK_BYTES):
                pass
        except (ConnectionError, OSError):
            pass  # A reset is a way to close, too.


Handler = Callable[[Exchange], Coroutine[Any, Any, None]]


class WebServer:
    """Serves while its ``with`` block runs. ``tls`` makes it https; ``bytes_per_second`` paces each connection."""

    def __init__(
        self, *, address: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None, bytes_per_second: int = 0
    ) -> None:
        self.bytes_per_second = bytes_per_second
        self.requests: list[Request] = []
        self.connections = 0
        """How many were opened, whether anything was asked over them or not."""
        self.running = 0
        self.peak = 0
        """The most requests that were under way at one time."""
        self._tls = tls
        self._listener = socket.create_server(
            (address, port), family=socket.AF_INET6 if ":" in address else socket.AF_INET, backlog=1024
        )
        self.address, self.port = self._listener.getsockname()[:2]
        self._handlers: dict[str, Handler] = {}
        self._changed = threading.Condition()
        self._errors: list[Exception] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),), daemon=True)
        self._ready = threading.Event()
        self._stop = asyncio.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(DEADLINE_SECONDS)
        return self

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(DEADLINE_SECONDS)
        assert not self._thread.is_alive(), "the web server does not end"
        self._loop.close()
        if self._errors and failure is None:
            raise self._errors[0]

    @property
    def origin(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self.authority}"

    @property
    def authority(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"

    def url(self, path: str, host: str = "") -> str:
        """The URL of a path; ``host`` in place of the address, for those who resolve it to ours."""
        authority = f"{host}:{self.port}" if host else self.authority
        return f"{'https' if self._tls else 'http'}://{authority}{path}"

    def on(self, path: str, handler: Handler) -> str:
        """From now on ``path`` answers so; one that ends with ``*`` stands for all that begin so. Returns its URL."""
        self._handlers[path] = handler
        return self.url(path)

    def asked(self, path: str = "") -> list[Request]:
        """The requests for a path so far, or all, in the order in which they came."""
        with self._changed:
            return [request for request in self.requests if not path or request.path == path]

    def sent_bytes(self, path: str = "") -> int:
        return sum(request.sent_bytes for request in self.asked(path))

    def wait(self, fact: Callable[[], bool], what: str = "") -> None:
        """Returns once ``fact`` holds; it is looked at whenever something was opened, asked, sent or ended."""
        until = time.monotonic() + DEADLINE_SECONDS
        while not fact():
            with self._changed:
                self._changed.wait(0.2)
            asked = [(request.method, request.target, request.status, request.sent_bytes) for request in self.requests]
            assert time.monotonic() < until, f"{what or 'what was waited for'} did not happen; asked was {asked}"

    def note(self, request: Request | None = None, sent_bytes: int = 0, running: int = 0) -> None:
        """Something happened that somebody may wait for."""
        with self._changed:
            if request is not None:
                request.sent_bytes += sent_bytes
            self.running += running
            self.peak = max(self.peak, self.running)
            self._changed.notify_all()

    async def _serve(self) -> None:
        tasks: set[asyncio.Task[None]] = set()

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            with self._changed:
                self.connections += 1
                number = self.connections
            self.note()
            try:
                await self._connection(number, reader, writer)
            except (Gone, ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                pass  # What clients do, or what the script wants.
            except Exception as error:
                self._errors.append(error)
            finally:
                tasks.discard(task)
                writer.close()

        server = await asyncio.start_server(connected, sock=self._listener, ssl=self._tls, limit=1 << 20)
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in tasks:
            task.cancel()
        while tasks:
            await asyncio.wait(set(tasks))

    async def _connection(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._tls is None:  # asyncio's TLS forgets what it holds back when there is no room for it at all.
            writer.transport.set_write_buffer_limits(high=0)
        while True:
            lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, target, _ = lines[0].split(" ", 2)
            headers = {
                name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:-2])
            }
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            request = Request(number, method, target, headers, body)
            with self._changed:
                self.requests.append(request)
            self.note(running=1)
            exchange = Exchange(self, request, reader, writer)
            try:
                await self._handler(request.path)(exchange)
            finally:
                request.ended = time.monotonic()
                self.note(running=-1)
            if not exchange.keep:
                return

    def _handler(self, path: str) -> Handler:
        if path in self._handlers:
            return self._handlers[path]
        fitting = [name for name in self._handlers if name.endswith("*") and path.startswith(name[:-1])]
        return self._handlers[max(fitting, key=len)] if fitting else answer(status=404)


def answer(
    body: bytes = b"",
    *,
    status: int = 200,
    headers: Headers = (),
    length_bytes: int | None = None,
    chunked: bool = False,
    close: bool = False,
) -> Handler:
    """A plain answer. ``length_bytes`` is what Content-Length says, a lie where it is not the body's; with ``close`` the
    connection ends with the answer, and there is no Content-Length unless ``length_bytes`` is given."""
    extra = list(headers.items() if isinstance(headers, Mapping) else headers)

    async def handler(x: Exchange) -> None:
        pairs = list(extra)
        if chunked:
            pairs.append(("Transfer-Encoding", "chunked"))
        elif length_bytes is not None or not close:
            pairs.append(("Content-Length", str(len(body) if length_bytes is None else length_bytes)))
        if close:
            pairs.append(("Connection", "close"))
        await x.head(status, pairs)
        if x.request.method == "HEAD":
            return
        if chunked:
            for at in range(0, len(body), CHUNK_BYTES):
                await x.chunk(body[at : at + CHUNK_BYTES])
            await x.chunk(b"")
        else:
            await x.send(body)
        if length_bytes is not None and length_bytes != len(body):
            x.close()

    return handler


def document(
    data: bytes,
    *,
    etag: str | None = None,
    last_modified: str = "",
    headers: Headers = (),
    ranges: bool = True,
    cut_after_bytes: int | None = None,
    reset: bool = True,
) -> Handler:
    """A file as a good server serves it: conditional requests, ranges, If-Range (RFC 9110, 13 and 14).

    ``etag`` None makes one of the data, empty none. With ``cut_after_bytes`` the connection breaks off after so many
    bytes of the body (with RST, unless ``reset`` is False), as a bad line would have it.
    """
    tag = f'"{hashlib.sha256(data).hexdigest()[:16]}"' if etag is None else etag
    pairs = [("ETag", tag)] * bool(tag) + [("Last-Modified", last_modified)] * bool(last_modified)
    pairs += [("Accept-Ranges", "bytes")] * ranges + list(headers.items() if isinstance(headers, Mapping) else headers)
    # A Last-Modified is a strong validator only where the answer's Date is at least a second later (RFC 9110, 8.8.2.2).
    pairs.append(("Date", formatdate(usegmt=True)))

    async def handler(x: Exchange) -> None:
        asked = x.request.headers
        unchanged = (
            asked.get("if-none-match") == tag
            if "if-none-match" in asked
            else bool(last_modified) and (asked.get("if-modified-since") == last_modified)
        )
        if unchanged:
            return await x.head(304, pairs)
        first, last = 0, len(data) - 1
        status, more = 200, [("Content-Length", str(len(data)))]
        span = re.fullmatch(r"bytes=(\d+)-(\d*)", x.request.range) if ranges else None
        if span and asked.get("if-range", tag) in {tag, last_modified}:
            first, last = int(span[1]), min(int(span[2] or last), last)
            if first > last:
                return await x.head(416, [*pairs, ("Content-Range", f"bytes */{len(data)}"), ("Content-Length", "0")])
            status = 206
            more = [("Content-Range", f"bytes {first}-{last}/{len(data)}"), ("Content-Length", str(last - first + 1))]
        await x.head(status, [*pairs, *more])
        if x.request.method == "HEAD":
            return None
        body = data[first : last + 1]
        await x.send(body[:cut_after_bytes])
        if cut_after_bytes is not None and cut_after_bytes < len(body):
            x.close(reset=reset)
        return None

    return handler


def partial(data: bytes, content_range: str, *, headers: Headers = ()) -> Handler:
    """A 206 with this body and exactly this Content-Range, whatever was asked."""
    pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
    return answer(data, status=206, headers=[("Content-Range", content_range), *pairs])


def redirect(location: str, status: int = 302, headers: Headers = ()) -> Handler:
    pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
    return answer(status=status, headers=[("Location", location), *pairs])


def gzipped(data: bytes, encoding: str = "gzip", headers: Headers = ()) -> Handler:
    """The data compressed, although nobody asked for it; ``deflate`` is zlib's format, ``raw-deflate`` what some send."""
    pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
    if encoding == "gzip":
        body = gzip.compress(data)
    else:
        packer = zlib.compressobj(wbits=15 if encoding == "deflate" else -15)
        body = packer.compress(data) + packer.flush()
    return answer(body, headers=[("Content-Encoding", encoding.removeprefix("raw-")), *pairs])


def gzip_bomb(size_bytes: int, head: bytes = b"") -> Handler:
    """A small answer that decodes to ``size_bytes`` zeros after ``head``."""
    packer = zlib.compressobj(9, wbits=31)
    zeros = bytes(1 << 20)
    pieces = [packer.compress(head), *(packer.compress(zeros) for _ in range(size_bytes >> 20)), packer.flush()]
    return answer(b"".join(pieces), headers={"Content-Encoding": "gzip"})


def endless(head: bytes = b"", *, size_bytes: int = 1 << 60, headers: Headers = (), chunked: bool = False) -> Handler:
    """A body that ends when the client has enough of it, or after ``size_bytes``; no length is said."""
    pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
    pairs.append(("Transfer-Encoding", "chunked") if chunked else ("Connection", "close"))

    async def handler(x: Exchange) -> None:
        await x.head(200, pairs)
        put = x.chunk if chunked else x.send
        if head:
            await put(head)
        left = size_bytes - len(head)
        zeros = bytes(CHUNK_BYTES)
        while left > 0:
            await put(zeros[:left])
            left -= len(zeros)
        if chunked:
            await x.chunk(b"")

    return handler


def trickle(data: bytes, every_seconds: float, step_bytes: int = 1, headers: Headers = ()) -> Handler:
    """The whole length is promised, and then a few bytes at a time come."""
    pairs = list(headers.items() if isinstance(headers, Mapping) else headers)

    async def handler(x: Exchange) -> None:
        await x.head(200, [*pairs, ("Content-Length", str(len(data)))])
        for at in range(0, len(data), step_bytes):
            await x.send(data[at : at + step_bytes])
            await asyncio.sleep(every_seconds)

    return handler


def huge_headers(size_bytes: int) -> Handler:
    """So many bytes of headers, in lines of a kilobyte, before an empty body."""

    async def handler(x: Exchange) -> None:
        await x.raw(b"HTTP/1.1 200 OK\r\n")
        line = b"X-Filler: " + b"a" * 1012 + b"\r\n"
        for _ in range(size_bytes // len(line)):
            await x.send(line)
        await x.raw(b"Content-Length: 0\r\n\r\n")

    return handler


def hang() -> Handler:
    """The request is taken, and nothing is ever answered; ends when the client gives up."""

    async def handler(x: Exchange) -> None:
        await x.client_gone()
        x.close()

    return handler


def drop(*, reset: bool = True) -> Handler:
    """The connection ends before a byte is answered."""

    async def handler(x: Exchange) -> None:
        x.close(reset=reset)

    return handler


def nonsense(data: bytes = b"SSH-2.0-OpenSSH_9.6\r\n") -> Handler:
    """Something that is no HTTP."""

    async def handler(x: Exchange) -> None:
        await x.raw(data)
        x.close()

    return handler


def in_turn(*handlers: Handler) -> Handler:
    """The first request gets the first answer, and so on; the last stays."""
    left = list(handlers)

    async def handler(x: Exchange) -> None:
        await (left.pop(0) if len(left) > 1 else left[0])(x)

    return handler


class Gate:
    """Holds answers back until the test opens it: ``web.on("/a", gate(document(data)))``."""

    def __init__(self) -> None:
        self._open = threading.Event()

    def open(self) -> None:
        self._open.set()

    def __call__(self, handler: Handler) -> Handler:
        async def held(x: Exchange) -> None:
            # A thread waits; in it, so that the gate can be made before and opened from anywhere.
            while not await asyncio.to_thread(self._open.wait, 0.05):
                pass
            await handler(x)

        return held


def folder(path: Path) -> Handler:
    """The files below a folder, read when they are asked for."""

    async def handler(x: Exchange) -> None:
        file = (path / urllib.parse.unquote(x.request.path).lstrip("/")).resolve()
        serve: Callable[[Exchange], Awaitable[None]] = answer(status=404)
        if file.is_relative_to(path.resolve()) and file.is_file():
            stat = file.stat()
            etag = f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"'
            serve = document(file.read_bytes(), etag=etag, last_modified=formatdate(stat.st_mtime, usegmt=True))
        await serve(x)

    return handler


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Whatever"


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve a folder over HTTP/1.1, with ranges.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--bytes-per-second", type=int, default=0, help="pace of each connection")
    options = parser.parse_args()
    with WebServer(port=options.port, bytes_per_second=options.bytes_per_second) as web:
        web.on("/*", folder(options.folder))
        print(web.origin, flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            pass  # The way to end it.


if __name__ == "__main__":
    main()
