"""Memory of the daemon with many URLs waiting, all connections busy, and a body that does not end."""

from __future__ import annotations

import re
import time
from pathlib import Path

import httpx
import pytest

import nginx
import pictures
import web
from harness import Mill
from nginx import Nginx
from parts import need_programs

WAITING = 100_000
CONNECTIONS = 64
# Those that are fetched, and others that are claimed ahead.
IN_HAND = 4 * CONNECTIONS
MOST_RSS_MB = 150
BODY_BYTES = 4 << 30
# What a second start differs by on its own, where both have done the same.
NOISE_MB = 10
LOOPBACK = {"allow_networks": ["127.0.0.0/8"], "ports": ["1-65535"]}


@pytest.mark.long
@pytest.mark.timeout(600)
def test_u14_100000_urls_wait_and_64_connections_are_busy_in_bounded_memory(tmp_path: Path) -> None:
    need_programs(nginx=nginx.PACKAGE)
    # Each connection brings some bytes every second, so that none ends and none is given up.
    slow = {"/slow/": "limit_rate 2k; try_files /large.jpg =404;", "= /connections": "stub_status; access_log off;"}
    with nginx.nginx(slow) as server:
        (server.www / "large.jpg").write_bytes(pictures.jpeg() + bytes(4_000_000))
        mill = Mill(
            tmp_path,
            dropfiles=[{}],
            net=LOOPBACK,
            downloads={
                "connections": CONNECTIONS,
                "per_host": CONNECTIONS,
                "min_bytes_per_second": 0,
                "timeout_seconds": 3600,
            },
        )
        with (tmp_path / "urls.txt").open("w") as file:
            file.writelines(server.url(f"slow/{number}.jpg\n") for number in range(WAITING + IN_HAND))
        mill.start()
        mill.wait_for(lambda: waiting(mill) >= WAITING, seconds=400)
        # The one that asks is one of them.
        mill.wait_for(lambda: answered(server) > CONNECTIONS, seconds=60)
        peak_mb = peak_resident_mb(mill)
        assert mill.stop() == 0
    print(f"\n{WAITING} URLs waiting, {CONNECTIONS} connections busy: {peak_mb:.0f} MB resident at most")
    assert peak_mb <= MOST_RSS_MB


@pytest.mark.long
@pytest.mark.timeout(600)
def test_u09_an_endless_body_of_4_gb_costs_no_more_memory_than_a_small_one(tmp_path: Path) -> None:
    small = peak_after(tmp_path / "small", web.answer(pictures.jpeg()), '"event": "published"')
    large = peak_after(tmp_path / "large", web.endless(pictures.jpeg()), "too-large")
    print(f"\npeak resident: {small:.0f} MB with a small body, {large:.0f} MB with one of {BODY_BYTES:,} bytes")
    assert large <= small + NOISE_MB


def peak_after(root: Path, handler: web.Handler, word: str) -> float:
    """The most memory, in MB, of a daemon that fetches that answer until its log says ``word``."""
    root.mkdir()
    with web.WebServer() as server:
        mill = Mill(
            root,
            dropfiles=[{}],
            net=LOOPBACK,
            downloads={"max_bytes": BODY_BYTES, "timeout_seconds": 500, "max_attempts": 1},
        )
        mill.start()
        (root / "urls.txt").write_text(server.on("/picture.jpg", handler) + "\n")
        mill.wait_for(lambda: word in mill.log.read_text(errors="replace"), seconds=450)
        peak_mb = peak_resident_mb(mill)
        assert mill.stop() == 0
        return peak_mb


def waiting(mill: Mill) -> int:
    time.sleep(1)  # To count a long queue over and over would take the time that it needs to grow.
    return int(mill.get("/api/v1/status").json()["downloads"]["queue"]["available"])


def answered(server: Nginx) -> int:
    """Connections to which an answer is being written at this moment."""
    found = re.search(r"Writing: (\d+)", httpx.get(server.url("connections")).text)
    assert found is not None
    return int(found[1])


def peak_resident_mb(mill: Mill) -> float:
    """VmHWM, in 2²⁰ bytes."""
    assert mill.process is not None
    lines = Path(f"/proc/{mill.process.pid}/status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024
