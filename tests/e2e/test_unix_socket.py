"""A daemon behind a socket file, and one whose socket the service manager holds: seen by programs, commands and proxies."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import stat
import sys
from pathlib import Path

import httpx
import pytest

import pictures
from harness import Mill

pytestmark = pytest.mark.long

PASSING_ON = str(Path(__file__).parents[1] / "passing_on.py")


def asked(path: Path, host: str) -> int:
    transport = httpx.HTTPTransport(uds=str(path))
    with httpx.Client(transport=transport, base_url="http://localhost", trust_env=False) as client:
        return client.get("/api/v1/status", headers={"host": host}).status_code


def test_a_socket_file_serves_commands_and_keeps_its_mode_over_reloads_and_kills(tmp_path: Path) -> None:
    path = tmp_path / "http.sock"
    mill = Mill(tmp_path, http={"bind": f"unix:{path}", "socket_mode": "0600"})
    assert mill.run("check").returncode == 0
    mill.start()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert mill.address == f"unix:{path}"
    assert mill.run("health").returncode == 0
    assert json.loads(mill.run("status", "--json").stdout)["state"] == "running"
    assert asked(path, "localhost") == 200
    assert asked(path, "evil.example") == 403
    before = path.stat().st_ino
    mill.configure(http={"bind": f"unix:{path}", "socket_mode": "0666"})
    assert mill.run("reload").returncode == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 and path.stat().st_ino == before
    mill.kill()
    assert path.exists(), "as a kill leaves it"
    mill.start()
    mill.drop("a.jpg", pictures.jpeg(pictures.photo(120, 80, 1)))
    mill.wait_for(lambda: mill.done(1))
    assert mill.stop() == 0
    assert not path.exists()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        refused = mill.run("check")
        assert refused.returncode == 2 and "another program listens" in refused.stdout + refused.stderr
        started = mill.run("run")
        assert started.returncode == 2 and f"another program listens on {path}" in started.stderr


def test_a_socket_that_is_passed_on_is_used_in_place_of_the_one_that_is_configured(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    path = tmp_path / "held.sock"
    mill.wrapper = [sys.executable, PASSING_ON, f"http={path}", "--"]
    mill.start()
    try:
        assert mill.address == f"unix:{path}"
        assert json.loads(mill.run("status", "--json").stdout)["state"] == "running"
        mill.drop("a.jpg", pictures.jpeg(pictures.photo(120, 80, 1)))
        mill.wait_for(lambda: mill.done(1))
        assert mill.process is not None
        assert mill.run("reload").returncode == 0, "it goes on listening there"
        assert mill.address == f"unix:{path}"
        mill.drop("b.jpg", pictures.jpeg(pictures.photo(120, 80, 2)))
        mill.wait_for(lambda: mill.done(2))
        children = children_of(mill.process.pid)
        assert children
        looked_at = 0
        for pid in children:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # It has ended meanwhile.
                given, held = Path(f"/proc/{pid}/environ").read_bytes(), held_by(pid)
                assert b"LISTEN_" not in given and b"NOTIFY_SOCKET" not in given
                assert held_by(mill.process.pid) & held == set(), "no worker has the socket"
                looked_at += 1
        assert looked_at
    finally:
        assert mill.stop() == 0
    assert path.exists(), "it is the service manager's"


def test_a_passed_socket_that_others_reach_needs_a_token(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    ended = mill._run([sys.executable, PASSING_ON, "http=0.0.0.0:0", "--", *started(mill)])
    assert ended.returncode == 2
    assert re.search(r"0\.0\.0\.0:[1-9]\d*, can be reached from other machines", ended.stderr)
    assert "token" in ended.stderr


def started(mill: Mill) -> list[str]:
    return [str(Path(sys.executable).parent / "dropmill"), "run", "--config", str(mill.config)]


def children_of(pid: int) -> list[int]:
    """All below a process."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # A thread, or a child, that has ended.
            for child in map(int, (task / "children").read_text().split()):
                found += [child, *children_of(child)]
    return found


def held_by(pid: int) -> set[str]:
    """The listening sockets that a process has, by their inodes."""
    listening = set()
    for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[3], 16) & 0x10000:  # __SO_ACCEPTCON of linux/net.h
            listening.add(f"socket:[{fields[6]}]")
    held = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            held.add(os.readlink(link))
        except FileNotFoundError:
            continue  # Closed meanwhile.
    return held & listening
