"""A receiver of webhooks on loopback that answers as a test says, and checks signatures by the specification alone."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OTHER_SECRET = "whsec_" + base64.b64encode(bytes(range(32, 64))).decode()


@dataclass(frozen=True)
class Request:
    path: str
    headers: dict[str, str]
    """By lower-case name."""
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = self.document["data"]
        return found


@dataclass(frozen=True)
class Answer:
    """``hang``: say nothing for as long as the receiver lives. ``cut``: break off before, or within, the head."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    hang: bool = False
    cut: str = ""


Script = Callable[[int, Request], Answer]


def verified(request: Request, secret: str) -> bool:
    """As https://www.standardwebhooks.com says: any of the signatures has to be HMAC-SHA256 of "id.timestamp.body"."""
    key = base64.b64decode(secret.split("_", 1)[1])
    content = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + request.body
    expected = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    given = [part.split(",", 1) for part in request.headers["webhook-signature"].split(" ")]
    return any(version == "v1" and hmac.compare_digest(signature, expected) for version, signature in given)


class Receiver:
    """``script`` says what to answer to the request of a number, counted from 0."""

    def __init__(self, script: Script | None = None) -> None:
        self.script: Script = script or (lambda number, request: Answer())
        self.requests: list[Request] = []
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def ids(self) -> list[str]:
        return [request.id for request in list(self.requests)]

    def close(self) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _take(self, request: Request) -> Answer:
        with self._lock:
            number = len(self.requests)
            self.requests.append(request)
        return self.script(number, request)

    def _handler(receiver) -> type[BaseHTTPRequestHandler]:  # noqa: N805  # The handler's own self is another.
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                answer = receiver._take(Request(self.path, headers, body))
                if answer.hang:
                    receiver._closing.wait()
                if answer.hang or answer.cut:
                    self.wfile.write(answer.cut.encode())
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                self.send_response(answer.status)
                for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, *_arguments: Any) -> None:
                """Says nothing: what came is in ``requests``."""

        return Handler


@contextmanager
def receiving(script: Script | None = None) -> Iterator[Receiver]:
    receiver = Receiver(script)
    try:
        yield receiver
    finally:
        receiver.close()
