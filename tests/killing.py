"""A house whose daemon is killed over and over: what is dropped into it, who is killed, and at which moment."""

from __future__ import annotations

import hashlib
import io
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, ImageDraw

from dropmill.observe.flight import last_flight
from dropmill.store.catalog import catalog_path
from dropmill.store.connection import connect
from harness import PROGRAM, clean_environment

# Moments to kill at: while a job is in that stage, right after the log has told of an end, or any time.
MOMENTS = ("claim", "process", "commit", "publish", "dispose", "printed")
DAEMON, GROUP, WORKER, ZYGOTE = "daemon", "group", "worker", "zygote"
# Nobody waits longer than this for a moment to come; then the kill happens anyway.
PATIENCE_SECONDS = 5.0

CONFIG = """
state_dir = "state"
[[inboxes]]
name = "in"
path = "in"
output = "out"
profile = "small"
settle_seconds = 0.05
archive = "archive"
duplicates = "duplicates"
quarantine = "quarantine"
[profiles.small]
renditions = [{name = "large", fit = [48, 48]}, {name = "thumb", fit = [16, 16]}]
[http]
bind = "127.0.0.1:0"
[workers]
processes = 2
[queue]
retry_base_seconds = 0.1
# Each kill interrupts the same few jobs at the head of the queue.
max_interruptions = 1000
"""


@dataclass(frozen=True)
class Dropped:
    kind: str
    name: str
    sha256: str


@dataclass
class House:
    """A folder with a configuration, what was dropped into its inbox, and what became of its processes."""

    root: Path
    chance: random.Random
    files: Iterator[tuple[str, str, bytes]]
    kills: Counter[str] = field(default_factory=Counter)
    """Who was killed."""
    moments: Counter[str] = field(default_factory=Counter)
    """In which stages jobs were when daemon or group were killed; ``printed``: right after an end was told."""
    dropped: list[Dropped] = field(default_factory=list)
    daemon: subprocess.Popen[bytes] | None = None
    _ended: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        for folder in ("in", "aside", "state"):
            (self.root / folder).mkdir(parents=True)
        (self.root / "dropmill.toml").write_text(CONFIG)

    def command(self, *words: str) -> list[str]:
        return [PROGRAM, *words, "--config", str(self.root / "dropmill.toml")]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words),
            cwd=self.root,
            env=clean_environment(),
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )

    def drop(self, count: int) -> None:
        for _, (kind, name, data) in zip(range(count), self.files, strict=False):
            aside = self.root / "aside" / name
            aside.write_bytes(data)
            aside.rename(self.root / "in" / name)
            self.dropped.append(Dropped(kind, name, hashlib.sha256(data).hexdigest()))

    def live_through(self, kills: int) -> None:
        """Be killed so many times, the last time as a daemon."""
        while self.kills.total() < kills:
            if self.daemon is None:
                self._start()
            victim = self.chance.choices((DAEMON, GROUP, WORKER, ZYGOTE), (40, 22, 28, 10))[0]
            if victim in {WORKER, ZYGOTE}:
                self._kill_a_helper(victim)
            else:
                self._kill_the_daemon(victim)
        if self.daemon is not None:
            self._kill_the_daemon(DAEMON)

    # Processes.

    def _start(self) -> None:
        self.drop(4)
        with (self.root / "log").open("ab") as log:
            self.daemon = subprocess.Popen(
                self.command("run"), stdout=log, stderr=log, cwd=self.root, env=clean_environment()
            )
        # What the recorder of the run before holds is not what this one does; a new one begins with nothing.
        self._wait(lambda: not self._in_hand())

    def _in_hand(self) -> dict[str, int]:
        """The stages that jobs are in, as the flight recorder has it; it outlives the daemon."""
        return last_flight(str(self.root / "state" / "flight"))

    def _kill_the_daemon(self, victim: str) -> None:
        assert self.daemon is not None
        short = min(MOMENTS, key=lambda moment: self.moments[moment])
        aim = self.chance.choice((*MOMENTS, "any", short, short, short))
        if self.chance.random() < 0.25:
            time.sleep(self.chance.uniform(0.0, 1.0))  # Not always the first jobs of a run.
        came = self._wait_for(aim)
        if self.chance.random() < 0.5:
            time.sleep(self.chance.uniform(0.0, 0.003))
        assert self.daemon.poll() is None, (self.root / "log").read_text()[-3000:]
        helpers = descendants(self.daemon.pid) if victim == GROUP else []
        # The daemon first: what it sees of the ends of the others would be crashes to it.
        self.daemon.kill()
        for pid in helpers:
            kill(pid)
        self.daemon.wait()
        self.daemon = None
        self.kills[victim] += 1
        self.moments.update(self._in_hand().keys() & set(MOMENTS))
        if came and aim == "printed":
            self.moments["printed"] += 1

    def _kill_a_helper(self, victim: str) -> None:
        """A worker, or the zygote with all workers, while jobs run.

        Two crashes make a job's file the culprit, so nobody is killed while a job that has one to its name is not done.
        """
        # A job is in hand before the first worker has started.
        if not self._wait(lambda: "process" in self._in_hand() and bool(self._workers()), feed=True):
            return
        if self._someone_has_crashed():
            return
        assert self.daemon is not None
        chosen = self._workers() if victim == WORKER else set(children(self.daemon.pid)) - self._ended
        pid = self.chance.choice(sorted(chosen) or [0])
        if pid and kill(pid):
            self._ended.add(pid)
            self.kills[victim] += 1

    def _workers(self) -> list[int]:
        """Those that live, and have not been killed by us an instant ago."""
        assert self.daemon is not None
        return [pid for zygote in children(self.daemon.pid) for pid in children(zygote) if pid not in self._ended]

    def _someone_has_crashed(self) -> bool:
        with closing(connect(catalog_path(str(self.root / "state")), readonly=True)) as catalog:
            query = "SELECT count(*) FROM jobs WHERE crashes > 0 AND state IN ('scheduled', 'available', 'executing')"
            return bool(catalog.execute(query).get)

    # Moments.

    def _wait_for(self, aim: str) -> bool:
        """Until the moment has come; False where it did not. Files are dropped while nothing is under way."""
        if aim == "any":
            time.sleep(self.chance.uniform(0.0, 1.0))
            return True
        log = self.root / "log"
        size = log.stat().st_size

        def printed() -> bool:
            if log.stat().st_size <= size:
                return False
            with log.open("rb") as file:
                file.seek(size)
                return any(word in file.read() for word in (b'"event": "published"', b'"event": "duplicate"'))

        come = printed if aim == "printed" else (lambda: aim in self._in_hand())
        return self._wait(come, feed=True)

    def _wait(self, come: Callable[[], bool], *, feed: bool = False) -> bool:
        assert self.daemon is not None
        deadline = time.monotonic() + PATIENCE_SECONDS
        fed = time.monotonic()
        while not come():
            now = time.monotonic()
            if now > deadline or self.daemon.poll() is not None:
                return False
            if feed and now - fed > 0.15:
                fed = now
                self.drop(2)
            time.sleep(0.0002)
        return True


def children(pid: int) -> list[int]:
    found = []
    with suppress(FileNotFoundError, ProcessLookupError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(FileNotFoundError, ProcessLookupError):
                found += map(int, Path(f"/proc/{pid}/task/{thread}/children").read_text().split())
    return found


def descendants(pid: int) -> list[int]:
    return [found for child in children(pid) for found in (child, *descendants(child))]


def kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def pictures(chance: random.Random, count: int) -> Iterator[tuple[str, str, bytes]]:
    """(kind, name, bytes): mostly new small pictures, some of 12 megapixels, copies of earlier ones, new bytes under an
    earlier name, and broken ones."""
    made: list[bytes] = []
    names: list[str] = []
    large = Image.effect_noise((500, 375), 60).convert("RGB").resize((4000, 3000))
    for number in range(count):
        roll = chance.random()
        name = f"{number:04}.jpg"
        if made and roll < 0.10:
            yield "copy", name, chance.choice(made)
            continue
        if roll < 0.14:
            yield "broken", name, b"\xff\xd8\xff\xe0" + chance.randbytes(200)
            continue
        if names and roll < 0.19:
            kind, name = "rewrite", chance.choice(names[-12:])
        elif roll < 0.20:
            kind = "large"
        else:
            kind = "new"
        if kind == "large":
            ImageDraw.Draw(large).rectangle((0, 0, 900, 700), fill=tuple(chance.randbytes(3)))
            picture = large
        else:
            picture = Image.frombytes("RGB", (64, 48), chance.randbytes(64 * 48 * 3))
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=60)
        made.append(buffer.getvalue())
        names.append(name)
        yield kind, name, made[-1]
