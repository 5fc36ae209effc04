"""The real daemon is killed at random moments, again and again; afterwards everything has happened exactly once."""

from __future__ import annotations

import hashlib
import io
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from PIL import Image

from dropmill.observe.flight import last_flight
from dropmill.store.catalog import catalog_path
from dropmill.store.connection import connect

FILES = 1000
KILLS = 60
FILES_PER_KILL = 10
MOST_KILLS = 99
AIMS = ("claim", "process", "commit", "publish", "dispose", "any")
WANTED = ("claim", "process", "commit", "publish")
LEAST_EACH = 5
RENDITIONS = 2

CONFIG = """
state_dir = "state"
[[inboxes]]
name = "in"
path = "in"
output = "out"
profile = "small"
settle_seconds = 0.1
archive = "archive"
duplicates = "duplicates"
quarantine = "quarantine"
[profiles.small]
renditions = [{name = "large", fit = [48, 48]}, {name = "thumb", fit = [16, 16]}]
[http]
bind = "127.0.0.1:0"
[queue]
retry_base_seconds = 0.1
max_interruptions = 1000
"""


@dataclass
class House:
    """A folder with a configuration, and what was dropped into its inbox."""

    root: Path
    chance: random.Random
    dropped: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    in_flight: Counter[str] = field(default_factory=Counter)
    kills: int = 0

    def command(self, *options: str) -> list[str]:
        program = str(Path(sys.executable).parent / "dropmill")
        return [program, "run", "--config", str(self.root / "dropmill.toml"), *options]

    def drop(self, files: Iterator[tuple[str, str, bytes]], count: int) -> None:
        for _, (kind, name, data) in zip(range(count), files, strict=False):
            aside = self.root / "aside" / name
            aside.write_bytes(data)
            aside.rename(self.root / "in" / name)
            self.dropped[hashlib.sha256(data).hexdigest()] += 1
            self.kinds[kind] += 1

    def run_and_kill(self, aim: str) -> None:
        """Start the daemon, wait for the stage that is aimed at (or a random while), and kill it."""
        flight = str(self.root / "state" / "flight")
        with (self.root / "log").open("ab") as log:
            daemon = subprocess.Popen(self.command(), stdout=log, stderr=log, cwd=self.root)
        deadline = time.monotonic() + (self.chance.uniform(0.1, 2.0) if aim == "any" else 4.0)
        started = False
        while time.monotonic() < deadline and daemon.poll() is None:
            counts = last_flight(flight)
            started = started or counts == {}
            if started and aim != "any" and counts.get(aim):
                break
        time.sleep(self.chance.uniform(0.0, 0.003))
        assert daemon.poll() is None, (self.root / "log").read_text()[-3000:]
        daemon.kill()
        daemon.wait()
        self.kills += 1
        if started:
            self.in_flight.update(last_flight(flight).keys())


def pictures(chance: random.Random) -> Iterator[tuple[str, str, bytes]]:
    """(kind, name, bytes): mostly new pictures, some byte-identical copies of earlier ones, some broken."""
    made: list[bytes] = []
    for number in range(FILES):
        roll = chance.random()
        name = f"{number:04}.jpg"
        if made and roll < 0.12:
            yield "duplicate", name, chance.choice(made)
        elif roll < 0.17:
            yield "broken", name, b"\xff\xd8\xff\xe0" + chance.randbytes(200)
        else:
            buffer = io.BytesIO()
            Image.frombytes("RGB", (64, 48), chance.randbytes(64 * 48 * 3)).save(buffer, "JPEG", quality=60)
            made.append(buffer.getvalue())
            yield "new", name, made[-1]


@pytest.mark.long
@pytest.mark.timeout(900)
def test_q01_sigkill_at_random_moments_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    seed = int(os.environ.get("DROPMILL_TEST_SEED", "0")) or random.SystemRandom().randrange(1 << 32)
    print(f"\nDROPMILL_TEST_SEED={seed}")
    house = House(tmp_path, random.Random(seed))
    for folder in ("in", "aside", "state"):
        (tmp_path / folder).mkdir()
    (tmp_path / "dropmill.toml").write_text(CONFIG)
    files = pictures(house.chance)
    while house.kills < KILLS or (min(house.in_flight[stage] for stage in WANTED) < LEAST_EACH):
        assert house.kills < MOST_KILLS, house.in_flight
        house.drop(files, FILES_PER_KILL)
        short = [stage for stage in WANTED if house.in_flight[stage] < LEAST_EACH]
        house.run_and_kill(house.chance.choice(short if house.kills >= KILLS else AIMS))
    house.drop(files, FILES)
    finish = subprocess.run(
        house.command("--once"), cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    print(f"{house.kills} kills; jobs were in: " + ", ".join(f"{k} {v}" for k, v in house.in_flight.most_common()))
    assert finish.returncode in {0, 3}, finish.stderr[-3000:]
    check_outcomes(house)
    check_originals(house)
    check_renditions(house)


def check_outcomes(house: House) -> None:
    """Exactly one terminal state for every file, and nothing owed."""
    assert sum(house.dropped.values()) == FILES
    connection = connect(catalog_path(str(house.root / "state")), readonly=True)
    ends = Counter(connection.execute("SELECT state || ' ' || coalesce(outcome, reason) FROM jobs"))
    paths = Counter(row[0] for row in connection.execute("SELECT rel FROM jobs"))
    owed = connection.execute(
        "SELECT (SELECT count(*) FROM publications WHERE state <> 'visible') + (SELECT count(*) FROM disposals WHERE state <> 'done')"
    ).get
    connection.close()
    assert len(paths) == FILES
    assert set(paths.values()) == {1}, [path for path, count in paths.items() if count > 1]
    assert owed == 0
    found = {key[0]: count for key, count in ends.items()}
    assert found["completed published"] == house.kinds["new"]
    assert found["completed duplicate"] == house.kinds["duplicate"]
    discarded = {end: count for end, count in found.items() if end.startswith("discarded")}
    assert sum(discarded.values()) == house.kinds["broken"], discarded
    assert not {"discarded interrupted", "discarded worker-crashed"} & set(discarded)


def check_originals(house: House) -> None:
    """Every original is in exactly one of the folders it may be in, with the bytes that were dropped."""
    places = {place: list((house.root / place).iterdir()) for place in ("archive", "duplicates", "quarantine")}
    kept: Counter[str] = Counter()
    for files in places.values():
        kept.update(
            hashlib.sha256(path.read_bytes()).hexdigest() for path in files if not path.name.endswith(".reason.json")
        )
    assert kept == house.dropped
    assert len(places["archive"]) == house.kinds["new"]
    assert len(places["duplicates"]) == house.kinds["duplicate"]
    assert len(places["quarantine"]) == 2 * house.kinds["broken"]
    assert os.listdir(house.root / "in") == []


def check_renditions(house: House) -> None:
    """Nothing torn, nothing missing, nothing twice, nothing left staged."""
    visible = [path for path in (house.root / "out").iterdir() if path.is_file()]
    assert len(visible) == RENDITIONS * house.kinds["new"]
    assert not [path.name for path in visible if "~" in path.name]
    for path in visible:
        with Image.open(path) as picture:
            picture.load()
    assert os.listdir(house.root / "out" / ".dropmill") == ["root-id"]
