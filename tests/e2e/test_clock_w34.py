"""W34: somebody sets the system clock a day forward or back while the daemon runs."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from glob import glob
from pathlib import Path

import apsw
import pytest

import pictures
from dropmill.store.catalog import catalog_path
from harness import PROGRAM, Mill, clean_environment
from parts import missing

DAY_SECONDS = 86_400


def library() -> str:
    """libfaketime for programs with threads."""
    found = sorted(glob("/usr/lib/*/faketime/libfaketimeMT.so.1") + glob("/usr/lib*/faketime/libfaketimeMT.so.1"))
    if not found:
        missing("libfaketime is not installed", "apt-get install libfaketime")
    return found[0]


class Clocked:
    """A daemon whose system clock, and nothing else of time, follows a file."""

    def __init__(self, mill: Mill) -> None:
        self.mill = mill
        self._file = mill.root / "clock"
        self.set(0)
        self._environment = clean_environment() | {
            "LD_PRELOAD": library(),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def set(self, seconds: int) -> None:
        """By so much the clock is now off the real one."""
        passing = self._file.with_suffix(".new")
        passing.write_text(f"{seconds:+d}s\n")
        os.replace(passing, self._file)

    def start(self) -> None:
        mill = self.mill
        (mill.root / "state/daemon.json").unlink(missing_ok=True)
        with mill.log.open("ab") as log:
            mill.process = subprocess.Popen(
                [PROGRAM, "run", "--config", str(mill.config)], stdout=log, stderr=log, cwd=mill.root,
                env=self._environment,
            )  # fmt: skip
        mill.wait_for(mill.ready)

    def told(self) -> list[float]:
        """By how many seconds the daemon says the clock was set, each time."""
        lines = [json.loads(line) for line in self.mill.log.read_text().splitlines() if line.startswith("{")]
        return [line["seconds"] for line in lines if line["event"].startswith("the system clock was set")]


@pytest.fixture
def clocked(tmp_path: Path) -> Clocked:
    library()
    return Clocked(Mill(tmp_path, log={"format": "json"}, queue={"retry_cap_seconds": 7200.0}))


def due_seconds(mill: Mill) -> list[float]:
    """When the scheduled jobs are due, in real seconds since 1970."""
    with contextlib.closing(apsw.Connection(catalog_path(str(mill.root / "state")))) as connection:
        rows = connection.execute("SELECT scheduled_at_ms / 1000.0 FROM jobs WHERE state = 'scheduled' ORDER BY id")
        return [row[0] for row in rows]


def put_off(mill: Mill, name: str, seconds: float, clock_seconds: int = 0) -> None:
    """A picture that is queued and was put off for so long, as after a passing trouble."""
    assert mill.run("pause").returncode == 0
    mill.drop(name, pictures.jpeg(pictures.photo(60, 40, seed=1)))
    mill.wait_for(lambda: len(mill.jobs("available")) == 1)
    due_ms = int((time.time() + clock_seconds + seconds) * 1000)
    with contextlib.closing(apsw.Connection(catalog_path(str(mill.root / "state")))) as connection:
        connection.set_busy_timeout(10_000)
        connection.execute(
            "UPDATE jobs SET state = 'scheduled', scheduled_at_ms = ?, reason = 'io-error' WHERE state = 'available'",
            (due_ms,),
        )
    assert mill.run("resume").returncode == 0


@pytest.mark.parametrize("jump", [DAY_SECONDS, -DAY_SECONDS], ids=["forward", "back"])
@pytest.mark.long
def test_w34_what_waits_goes_on_waiting_as_long_when_the_clock_jumps_a_day(clocked: Clocked, jump: int) -> None:
    mill = clocked.mill
    clocked.start()
    put_off(mill, "waits.jpg", 2 * 3600)
    before = due_seconds(mill)

    clocked.set(jump)
    mill.wait_for(lambda: clocked.told())
    assert abs(clocked.told()[0] - jump) < 5
    mill.wait_for(lambda: due_seconds(mill) and abs(due_seconds(mill)[0] - before[0] - jump) < 5)
    # What arrives now settles and is published: no hang, and nothing of the waiting one ran early.
    mill.drop("fresh.jpg", pictures.jpeg(pictures.photo(60, 40, seed=2)))
    mill.wait_for(lambda: "fresh-t.jpg" in mill.outputs())
    assert [job["attempts"] for job in mill.jobs("scheduled")] == [0]
    assert len(mill.jobs()) == 2
    assert mill.metric("dropmill_clock_set_total") == 1

    clocked.set(0)
    mill.wait_for(lambda: len(clocked.told()) == 2)
    mill.wait_for(lambda: abs(due_seconds(mill)[0] - before[0]) < 5)
    # And once it is time, it runs: nothing waits for a day.
    with contextlib.closing(apsw.Connection(catalog_path(str(mill.root / "state")))) as connection:
        connection.set_busy_timeout(10_000)
        connection.execute("UPDATE jobs SET scheduled_at_ms = scheduled_at_ms - 7200000 WHERE state = 'scheduled'")
    mill.wait_for(lambda: mill.outputs() == ["fresh-t.jpg", "waits-t.jpg"])
    assert mill.stop() == 0


@pytest.mark.long
def test_w34_a_clock_that_was_set_back_while_no_daemon_ran_holds_nothing_up(clocked: Clocked) -> None:
    mill = clocked.mill
    mill.configure(queue={"retry_base_seconds": 1.0, "retry_cap_seconds": 2.0})
    clocked.set(DAY_SECONDS)
    clocked.start()
    put_off(mill, "waits.jpg", 3600, DAY_SECONDS)
    mill.kill()
    clocked.set(0)
    clocked.start()
    mill.wait_for(lambda: mill.outputs() == ["waits-t.jpg"])
    assert mill.stop() == 0


@pytest.mark.long
def test_w34_what_waited_comes_before_what_arrives_after_the_clock_was_set_back(clocked: Clocked) -> None:
    mill = clocked.mill
    clocked.start()
    assert mill.run("pause").returncode == 0
    mill.drop("first.jpg", pictures.jpeg(pictures.photo(60, 40, seed=1)))
    mill.wait_for(lambda: len(mill.jobs("available")) == 1)
    clocked.set(-DAY_SECONDS)
    mill.wait_for(lambda: clocked.told())
    mill.drop("second.jpg", pictures.jpeg(pictures.photo(60, 40, seed=2)))
    mill.wait_for(lambda: len(mill.jobs("available")) == 2)

    def ranks() -> list[int]:
        with contextlib.closing(apsw.Connection(catalog_path(str(mill.root / "state")))) as connection:
            return [row[0] for row in connection.execute("SELECT rank_ms FROM jobs ORDER BY id")]

    mill.wait_for(lambda: ranks() == sorted(ranks()))
    assert mill.run("resume").returncode == 0
    mill.wait_for(lambda: mill.outputs() == ["first-t.jpg", "second-t.jpg"])
    assert mill.stop() == 0
