"""The daemon is killed at random while it fetches from a slow server: each line ends once, no byte comes twice."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import nginx
import pictures
from harness import PROGRAM, Mill, clean_environment
from killing import descendants, kill
from nginx import Asked, Nginx
from parts import need_programs

URLS = 2000
KILLS = 100
# Lines are appended in so many lots, one before each start.
LOTS = 90
# Each file takes the server two or three seconds.
BYTES = 48_000
BYTES_PER_SECOND = 20_000
MOST_SECONDS_ALIVE = 1.2
MISSING, BROKEN, BLOCKED, REPEATED = 30, 30, 10, 30
PARTS_LEAST = 100


@dataclass(frozen=True, slots=True)
class Killed:
    at: float
    """Seconds of the epoch, when the daemon was no more."""
    sizes: dict[int, int]
    """Bytes on the disk of what it was fetching, by job."""
    complete: set[int]
    """Jobs whose files had come in full and were not processed yet."""


@dataclass
class Fetching:
    mill: Mill
    server: Nginx
    chance: random.Random
    lines: list[str]
    kills: list[Killed] = field(default_factory=list)
    appended: int = 0

    def append(self) -> None:
        count = -(-len(self.lines) // LOTS)
        with (self.mill.root / "urls.txt").open("a") as file:
            file.writelines(line + "\n" for line in self.lines[self.appended : self.appended + count])
        self.appended = min(self.appended + count, len(self.lines))

    def live_and_die(self) -> None:
        """One daemon, from its start to a moment that chance chooses; not always so late that it is ready."""
        self.append()
        with self.mill.log.open("ab") as log:
            command = [PROGRAM, "run", "--config", str(self.mill.config)]
            daemon = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.mill.root, env=clean_environment())
        try:
            fetched = len(self.server.asked())
            deadline = time.monotonic() + 20
            early = self.chance.random() < 0.1
            while not early and len(self.server.asked()) == fetched and time.monotonic() < deadline:
                time.sleep(0.02)
            time.sleep(self.chance.uniform(0.0, MOST_SECONDS_ALIVE))
            assert daemon.poll() is None, self.mill.log.read_text(errors="replace")[-3000:]
        finally:
            helpers = descendants(daemon.pid) if self.chance.random() < 0.5 else []
            daemon.send_signal(signal.SIGKILL)
            for pid in helpers:
                kill(pid)
            daemon.wait()
        self.kills.append(self._seen())

    def _seen(self) -> Killed:
        at = time.time()
        downloads = self.mill.state / "downloads" / "list"
        names = os.listdir(downloads) if downloads.exists() else []
        sizes = {int(name[:-5]): (downloads / name).stat().st_size for name in names if name.endswith(".part")}
        return Killed(at, sizes, {int(name) for name in names if name.isdecimal()})


def files_of(server: Nginx) -> list[str]:
    return sorted(path.name for path in server.www.iterdir())


@pytest.mark.long
@pytest.mark.timeout(900)
def test_u11_100_sigkills_over_2000_urls_end_each_line_once_and_fetch_no_byte_twice(tmp_path: Path) -> None:
    need_programs(nginx=nginx.PACKAGE)
    seed = int(os.environ.get("DROPMILL_TEST_SEED", "0")) or random.SystemRandom().randrange(1 << 32)
    print(f"\nDROPMILL_TEST_SEED={seed}")
    chance = random.Random(seed)
    with nginx.nginx({"/": f"limit_rate {BYTES_PER_SECOND};"}) as server:
        good = fill(server, chance)
        lines = lines_of(server, good, chance)
        mill = Mill(
            tmp_path,
            dropfiles=[{}],
            net={"allow_networks": ["127.0.0.0/8"], "ports": ["1-65535"]},
            downloads={"per_host": 64, "retry_base_seconds": 0.1},
            queue={"max_interruptions": 1000},
            log={"level": "warning"},
        )
        fetching = Fetching(mill, server, chance, lines)
        started = time.monotonic()
        while len(fetching.kills) < KILLS:
            fetching.live_and_die()
        killed_seconds = time.monotonic() - started
        finish = once(mill)
        asked = server.asked()
    print(f"{KILLS} kills in {killed_seconds:.0f} s, {time.monotonic() - started:.0f} s in all, {len(asked)} requests")
    assert finish.returncode in {0, 3}, finish.stdout[-1500:] + finish.stderr[-1500:]
    paths = check_results(mill, lines, good)
    check_renditions(mill, good)
    check_ranges(fetching.kills, asked, paths)


def once(mill: Mill) -> subprocess.CompletedProcess[str]:
    command = [PROGRAM, "run", "--once", "--config", str(mill.config)]
    return subprocess.run(
        command, cwd=mill.root, env=clean_environment(), capture_output=True, text=True, timeout=400, check=False
    )


def fill(server: Nginx, chance: random.Random) -> dict[str, str]:
    """Files to fetch; the SHA-256 of the good ones by path. What makes them large enough is no part of the picture."""
    good = {}
    for number in range(URLS - MISSING - BLOCKED - REPEATED):
        name = f"{number:04}.jpg"
        data = b"\xff\xd8\xff\xe0" + chance.randbytes(BYTES)
        if number >= BROKEN:
            picture = Image.frombytes("RGB", (32, 24), chance.randbytes(32 * 24 * 3))
            data = pictures.jpeg_with(pictures.segment(0xFE, chance.randbytes(BYTES)), pictures.jpeg(picture))
            good[name] = hashlib.sha256(data).hexdigest()
        (server.www / name).write_bytes(data)
    return good


def lines_of(server: Nginx, good: dict[str, str], chance: random.Random) -> list[str]:
    lines = [server.url(path) for path in files_of(server)]
    lines += [server.url(f"missing-{number}.jpg") for number in range(MISSING)]
    lines += [f"http://169.254.169.254/{number}.jpg" for number in range(BLOCKED)]
    chance.shuffle(lines)
    lines += [server.url(path) for path in chance.sample(sorted(good), REPEATED)]
    assert len(lines) == URLS
    return lines


def check_results(mill: Mill, lines: list[str], good: dict[str, str]) -> dict[int, str]:
    """Every line has exactly one outcome, and it is the right one. Returns the path of each job's URL."""
    with (mill.root / "urls.txt.results.jsonl").open() as file:
        results: list[dict[str, Any]] = [json.loads(line) for line in file]
    assert Counter(result["line"] for result in results) == Counter(range(1, URLS + 1))
    for result in results:
        url = lines[result["line"] - 1]
        path = url.rpartition("/")[2]
        assert result["url"] == url
        if path in good:
            assert result["outcome"] == "published", result
            assert result["sha256"] == good[path]
        else:
            assert result["outcome"] == "discarded", result
            assert result["reason"] != "interrupted", result
    return {result["job"]: result["url"].rpartition("/")[2] for result in results if "job" in result}


def check_renditions(mill: Mill, good: dict[str, str]) -> None:
    assert mill.outputs() == sorted(f"{sha256[:2]}/{sha256}-t.jpg" for sha256 in good.values())
    assert os.listdir(mill.output / ".dropmill") == ["root-id"]
    left = [path for path in (mill.state / "downloads").rglob("*") if path.is_file()]
    assert left == []


def check_ranges(kills: list[Killed], asked: list[Asked], paths: dict[int, str]) -> None:
    """What was on the disk when the daemon died is not asked for again, nor what had come in full."""
    by_path: dict[str, list[Asked]] = {}
    for one in sorted(asked, key=lambda one: one.started_at):
        by_path.setdefault(one.path.lstrip("/"), []).append(one)
    resumed = kept = 0
    for killed in kills:
        for job in killed.complete:
            later = [one for one in by_path[paths[job]] if one.started_at > killed.at]
            assert later == [], (job, later)
            kept += 1
        for job, size in killed.sizes.items():
            later = [one for one in by_path.get(paths[job], []) if one.started_at > killed.at]
            if later and size:
                assert later[0].status == 206 and later[0].first_byte >= size, (job, size, later[0])
                resumed += 1
    print(f"{resumed} parts taken up again, {kept} whole files kept")
    assert resumed >= PARTS_LEAST
