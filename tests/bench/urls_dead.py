"""10,000 URLs of which 2,000 lead to a dead host and 500 to one that answers 429: when the others are done.

The good ones are small pictures from eight hosts, in the order of chance among the others. A host that is dead refuses
connections, or takes them and never answers.
"""

from __future__ import annotations

import random
import socket
import statistics
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import apsw
from PIL import Image

import nginx
import pictures
from bench.mills import a_mill, started
from bench.plan import Plan, tell
from bench.report import AT_MOST, Bar, Row, median_ratio
from bench.urls import LOOPBACK
from nginx import Nginx

GOOD, DEAD, BUSY = 7_500, 2_000, 500
HOSTS = 8
# A quick run is of so many times fewer.
QUICK_PART = 10
LIMIT_SECONDS = 900.0
BACKLOG = 4096


def measure(plan: Plan) -> list[Row]:
    part = QUICK_PART if plan.quick else 1
    alone: list[float] = []
    beside: dict[str, list[float]] = {"refuses": [], "never answers": []}
    with _server(GOOD // part) as server:
        good = [server.url(f"{number}.jpg", number % HOSTS) for number in range(GOOD // part)]
        busy = [server.url(f"busy/{number}.jpg", HOSTS) for number in range(BUSY // part)]
        for number in range(1, (plan.rounds if plan.quick else 1) + 1):
            tell(f"round {number}: {len(good)} URLs alone, then beside a dead host")
            alone.append(_seconds(plan, good, len(good)))
            for how, seconds in beside.items():
                with _dead_host(listening=how == "never answers") as port:
                    dead = [f"http://127.0.0.1:{port}/{number}.jpg" for number in range(DEAD // part)]
                    mixed = [*good, *dead, *busy]
                    random.Random(number).shuffle(mixed)
                    seconds.append(_seconds(plan, mixed, len(good)))
    rows = [
        Row(f"{len(good):,} good URLs among {len(mixed):,}, a host {how}: time ÷ alone", median_ratio(seconds, alone),
            "×", Bar(AT_MOST, 1.2))
        for how, seconds in beside.items()
    ]  # fmt: skip
    return [*rows, Row(f"  {len(good):,} good URLs alone", statistics.median(alone), "s")]


@contextmanager
def _server(count: int) -> Iterator[Nginx]:
    """Pictures that differ in what they show, at one port each for the good hosts and one that asks for rest."""
    chance = random.Random(1)
    with nginx.nginx({"/busy/": "add_header Retry-After 2 always; return 429;"}, servers=HOSTS + 1) as server:
        for number in range(count):
            picture = Image.frombytes("RGB", (16, 12), chance.randbytes(16 * 12 * 3))
            (server.www / f"{number}.jpg").write_bytes(pictures.jpeg(picture, quality=80))
        yield server


@contextmanager
def _dead_host(*, listening: bool) -> Iterator[int]:
    """Its port: one that is taken but refuses, or one at which the kernel accepts and nobody ever reads."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        if listening:
            held.listen(BACKLOG)
        yield int(held.getsockname()[1])


def _seconds(plan: Plan, urls: list[str], good: int) -> float:
    """From the moment that a running daemon is given the list until the last good one is completed."""
    root = plan.scratch / f"mill-{time.monotonic_ns()}"
    mill = a_mill(root, profile="test", dropfiles=[{}], net=LOOPBACK)
    with started(mill), closing(_catalog(root)) as catalog:
        aside = root / "aside.txt"
        aside.write_text("".join(url + "\n" for url in urls))
        began = time.monotonic()
        aside.rename(root / "urls.txt")
        deadline = began + LIMIT_SECONDS
        while (done := _completed(catalog)) < good:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{done} of {good} after {LIMIT_SECONDS:.0f} s\n{mill.log.read_text()[-2000:]}")
            time.sleep(0.1)
        return time.monotonic() - began


def _catalog(root: Path) -> apsw.Connection:
    connection = apsw.Connection(str(root / "state" / "catalog.db"), flags=apsw.SQLITE_OPEN_READONLY)
    connection.set_busy_timeout(10_000)
    return connection


def _completed(catalog: apsw.Connection) -> int:
    return int(next(catalog.execute("SELECT count(*) FROM jobs WHERE state = 'completed'"))[0])
