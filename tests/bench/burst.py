"""Twenty thousand small files at once: that each becomes one job, what that costs, and memory while they wait."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from bench import gallery
from bench.meter import cpu_seconds, peak_resident_mb, resident_mb
from bench.mills import Ledger, a_mill, pid_of, started
from bench.plan import Plan, tell
from bench.report import AT_MOST, EXACTLY, Bar, Row
from dropmill.pipeline.pressure import HIGH_WATER_FILES
from harness import Mill

FILES = 20_000
FOLDERS = 20
LIMIT_SECONDS = 300.0
# Long enough for a scan or an event that comes late to show as a job too many.
AFTER_SECONDS = 3.0
MEMORY_BAR = Bar(AT_MOST, 120)


def measure(plan: Plan) -> list[Row]:
    return [*_paused(plan), *_settling(plan)]


def _paused(plan: Plan) -> list[Row]:
    """Nothing is processed, so that the cost of taking files in stands by itself."""
    tell(f"{FILES} files into a paused inbox")
    mill = a_mill(plan.scratch / "paused")
    with started(mill):
        mill.run("pause", "camera", check=True)
        pid = pid_of(mill)
        ledger = Ledger(mill)
        before = cpu_seconds(pid)
        began = time.monotonic()
        dropped = _drop(mill.inbox)
        _wait(lambda: ledger.count() >= FILES)
        seconds = time.monotonic() - began
        cpu = cpu_seconds(pid) - before
        time.sleep(AFTER_SECONDS)
        paths = ledger.paths()
        ledger.close()
        peak, resident = peak_resident_mb(pid), resident_mb(pid)
    lost, distinct = dropped - set(paths), set(paths)
    return [
        Row(f"burst of {FILES:,} files: jobs", len(paths), "", Bar(EXACTLY, FILES)),
        Row("  files without a job", len(lost), "", Bar(EXACTLY, 0)),
        Row("  files with more than one", len(paths) - len(distinct), "", Bar(EXACTLY, 0)),
        Row("  until all were enqueued, wall time", seconds, "s"),
        Row("  CPU of the daemon until then", cpu, "s"),
        Row("  files per CPU second of the daemon", FILES / cpu, "/s"),
        Row("  peak memory (RSS) of the daemon", peak, "MB"),
        Row(f"{FILES:,} files waiting in a paused inbox: memory (RSS)", resident, "MB", MEMORY_BAR),
    ]


def _settling(plan: Plan) -> list[Row]:
    """The same files while the daemon still waits for each to be complete: all of them known in memory only."""
    tell(f"{FILES} files that have not settled")
    mill = a_mill(plan.scratch / "settling", settle_seconds=3600)
    with started(mill):
        _drop(mill.inbox)
        _wait(lambda: _settling_count(mill) >= HIGH_WATER_FILES)  # The others wait to be discovered.
        resident = resident_mb(pid_of(mill))
    return [Row(f"{FILES:,} files not settled: memory (RSS)", resident, "MB", MEMORY_BAR)]


def _drop(inbox: Path) -> set[bytes]:
    """As fast as one writer can; returns the paths below the inbox."""
    names = set()
    for number in range(FILES):
        folder = inbox / f"{number % FOLDERS:02d}"
        if number < FOLDERS:
            folder.mkdir()
        name = f"{number:05d}.jpg"
        (folder / name).write_bytes(gallery.small(number))
        names.add(os.fsencode(f"{folder.name}/{name}"))
    return names


def _settling_count(mill: Mill) -> int:
    return int(mill.get("/api/v1/status").json()["inboxes"][0]["settling"])


def _wait(fact: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while not fact():
        if time.monotonic() > deadline:
            return  # The rows say what is missing.
        time.sleep(0.2)
