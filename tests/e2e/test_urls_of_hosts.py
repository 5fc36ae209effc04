"""Hosts that fail or ask for rest, in a whole product: what others notice, what the log says, what a restart does."""

from __future__ import annotations

import json
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import pictures
from harness import Mill
from web import WebServer, answer, document

LOCAL = {"allow_networks": ["127.0.0.0/8"], "ports": ["1-65535"]}
SWIFT = {"retry_base_seconds": 0.1, "breaker_rest_seconds": 0.2, "max_attempts": 3}


@contextmanager
def dead_origin() -> Iterator[str]:
    """A port of this machine that is taken, and at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def results(mill: Mill) -> list[dict[str, Any]]:
    path = mill.root / "urls.txt.results.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def log_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


@pytest.mark.long
def test_u10_u14_with_once_good_urls_end_dead_ones_are_given_up_and_resting_ones_stay(tmp_path: Path) -> None:
    with WebServer() as good, WebServer() as busy, dead_origin() as dead:
        for number in range(10):
            good.on(f"/{number}.jpg", document(pictures.jpeg(pictures.photo(60, 40, seed=number))))
            busy.on(f"/{number}.jpg", answer(status=429, headers=[("Retry-After", "1800")]))
        mill = Mill(tmp_path, dropfiles=[{}], net=LOCAL, downloads=SWIFT)
        lines = [web for number in range(10) for web in (f"{dead}/{number}.jpg", good.url(f"/{number}.jpg"))]
        lines += [busy.url(f"/{number}.jpg") for number in range(5)]
        (mill.root / "urls.txt").write_text("".join(f"{line}\n" for line in lines))
        done = mill.once()
        told = done.stdout + done.stderr
        assert Counter(one["outcome"] for one in results(mill)) == {"published": 10, "discarded": 10}, told
        reasons = {one["reason"] for one in results(mill) if one["outcome"] == "discarded"}
        assert reasons <= {"connect-failed", "host-unavailable"}
        assert "host-unavailable" in reasons
        assert len(busy.requests) == 1
        states = Counter(job["state"] for job in mill.jobs())
        assert states["available"] + states["scheduled"] == 5
        assert (states["completed"], states["discarded"]) == (10, 10)
        (left,) = [line for line in log_of(done.stderr) if line["event"] == "some URLs wait for their hosts"]
        assert (left["urls"], left["hosts"]) == (5, 1)
        assert 1500 < left["seconds"] <= 1800
        again = mill.once()
        assert len(busy.requests) == 1, "another run leaves it alone for as long as it asked for"
        assert len(results(mill)) == 20, again.stdout + again.stderr
        assert "5 URLs of 1 host at rest stay in the queue" in again.stdout + again.stderr
