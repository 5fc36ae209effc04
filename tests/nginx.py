"""A local nginx of a test's own: a temporary folder, a free port of the loopback, an access log as JSON lines.

It serves ``Nginx.www`` with ETag and ranges, like any server of static files. Nothing of it outlives the block.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

PROGRAM = "nginx"
PACKAGE = "nginx-light"
READY_SECONDS = 20.0
STOP_SECONDS = 20.0

_CONFIG = """
{user}
daemon off;
worker_processes 1;
pid {root}/nginx.pid;
error_log {root}/error.log;
events {{ worker_connections 4096; }}
http {{
  types {{ image/jpeg jpg; }}
  default_type application/octet-stream;
  client_body_temp_path {root}/tmp-body;
  proxy_temp_path {root}/tmp-proxy;
  fastcgi_temp_path {root}/tmp-fastcgi;
  uwsgi_temp_path {root}/tmp-uwsgi;
  scgi_temp_path {root}/tmp-scgi;
  log_format asked escape=json '{{"ended_at": $msec, "seconds": $request_time, "port": $server_port, "path": "$uri", "range": "$http_range", '
    '"if_range": "$http_if_range", "status": $status, "sent": $body_bytes_sent, "connection": $connection}}';
  access_log {root}/access.jsonl asked;
  sendfile on;
  keepalive_requests 1000000;
  {servers}
}}
"""
_SERVER = """
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    root {root}/www;
    {locations}
  }}
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that the server has done with: answered in full, or broken off."""

    ended_at: float
    """Seconds of the epoch."""
    seconds: float
    """From its first byte to the last one of the answer."""
    port: int
    path: str
    range: str
    """As asked for: ``bytes=1000-``, or empty."""
    if_range: str
    status: int
    sent: int
    """Bytes of the body that were given to the kernel; where the client went away, not all of them arrived."""
    connection: int

    @property
    def started_at(self) -> float:
        """Seconds of the epoch."""
        return self.ended_at - self.seconds

    @property
    def first_byte(self) -> int:
        """Where the answer begins: the start of an open range that was granted, else 0."""
        if self.status != 206:
            return 0
        return int(self.range.removeprefix("bytes=").partition("-")[0])


@dataclass(frozen=True, slots=True)
class Nginx:
    root: Path
    ports: tuple[int, ...]
    pid: int

    @property
    def www(self) -> Path:
        """What is served; files in it must be readable by all."""
        return self.root / "www"

    def url(self, path: str, server: int = 0) -> str:
        return f"http://127.0.0.1:{self.ports[server]}/{path}"

    def asked(self) -> list[Asked]:
        """All requests that have ended so far, in that order."""
        lines = (self.root / "access.jsonl").read_text().splitlines(keepends=True)
        return [Asked(**json.loads(line)) for line in lines if line.endswith("\n")]

    def put(self, file: Path, path: str) -> None:
        """Serve that file under that path, without a copy where the file system is the same."""
        target = self.www / path
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(file, target)
        except OSError:
            shutil.copyfile(file, target)


@contextmanager
def nginx(locations: Mapping[str, str] | None = None, *, servers: int = 1) -> Iterator[Nginx]:
    """``locations``: path prefixes, each with its directives, such as ``{"/busy/": "return 429;"}``, for every server."""
    root = Path(tempfile.mkdtemp(prefix="dropmill-nginx-"))
    try:
        root.chmod(0o755)  # A root's nginx has a worker that is nobody.
        (root / "www").mkdir()
        ports = _free_ports(servers)
        _configure(root, ports, {"/": "", **(locations or {})})
        with _running(root, ports) as process:
            yield Nginx(root, tuple(ports), process.pid)
    finally:
        shutil.rmtree(root)


def _configure(root: Path, ports: list[int], locations: Mapping[str, str]) -> None:
    told = "\n    ".join(f"location {path} {{ {words} }}" for path, words in locations.items())
    servers = "".join(_SERVER.format(root=root, port=port, locations=told) for port in ports)
    user = "user nobody nogroup;" if os.geteuid() == 0 else ""
    (root / "nginx.conf").write_text(_CONFIG.format(root=root, user=user, servers=servers))


@contextmanager
def _running(root: Path, ports: list[int]) -> Iterator[subprocess.Popen[bytes]]:
    with (root / "output").open("wb") as output:
        command = [PROGRAM, "-p", str(root), "-c", str(root / "nginx.conf"), "-e", str(root / "error.log")]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        _wait_until_ready(process, root, ports)
        yield process
    finally:
        process.terminate()  # The fast way: open connections are closed, and the worker is waited for.
        try:
            process.wait(STOP_SECONDS)
        finally:
            process.kill()
            process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], root: Path, ports: list[int]) -> None:
    deadline = time.monotonic() + READY_SECONDS
    for port in ports:
        while True:
            if process.poll() is not None or time.monotonic() > deadline:
                said = "".join((root / name).read_text() for name in ("output", "error.log") if (root / name).exists())
                raise RuntimeError(f"nginx does not answer (exit {process.returncode}):\n{said}")
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.02)


def _free_ports(count: int) -> list[int]:
    """All of them held at once, so that they differ."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [int(one.getsockname()[1]) for one in held]
    finally:
        for one in held:
            one.close()
