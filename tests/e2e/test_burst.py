"""More files at once than anybody reads events of: every one becomes a job, none twice, in bounded memory."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import pictures
from harness import Mill

BURST = 50_000
PRESENT = 100_000
MOST_RSS_MB = 150
STATES = ("scheduled", "available", "executing", "completed", "discarded", "cancelled")


@pytest.mark.long
@pytest.mark.timeout(600)
def test_w15_a_burst_of_50000_files_while_the_reader_is_stalled_loses_none(tmp_path: Path) -> None:
    mill = Mill(tmp_path, reconcile_seconds=3600)
    mill.start()
    assert mill.run("pause").returncode == 0
    mill.wait_for(lambda: mill.metric("dropmill_scans_total") == 1)  # Else the scan at start may find them.
    with most_resident(mill) as rss_mb:
        mill.freeze()
        fill(mill.inbox, BURST)
        mill.thaw()
        mill.wait_for(lambda: slowly(mill) >= BURST, seconds=400)
    assert mill.metric("dropmill_events_lost_total") >= 1
    assert sources(mill) == BURST == queued(mill)
    assert mill.stop() == 0
    print(f"\n{BURST} files while the reader was stalled: {rss_mb[0]:.0f} MB resident at most")
    assert rss_mb[0] <= MOST_RSS_MB


@pytest.mark.long
@pytest.mark.timeout(600)
def test_w33_100000_files_in_one_inbox_are_found_in_bounded_memory(tmp_path: Path) -> None:
    mill = Mill(tmp_path, reconcile_seconds=3600)
    fill(mill.inbox, PRESENT)
    assert mill.run("pause").returncode == 0
    mill.start()
    with most_resident(mill) as rss_mb:
        mill.wait_for(lambda: waits(mill, "not known to be complete"))
        mill.drop("late.jpg", pictures.jpeg(pictures.photo(24, 16, 2)))
        mill.wait_for(lambda: slowly(mill) > PRESENT, seconds=500)
    assert settling(mill) == 0
    assert queued(mill) == PRESENT + 1
    assert mill.stop() == 0
    print(f"\n{PRESENT} files in one inbox: {rss_mb[0]:.0f} MB resident at most")
    assert rss_mb[0] <= MOST_RSS_MB


@pytest.mark.long
def test_w33_discovery_waits_for_a_long_queue_and_forgets_nothing(tmp_path: Path) -> None:
    mill = Mill(tmp_path, reconcile_seconds=3600, queue={"high_water_jobs": 1000})
    assert mill.run("pause").returncode == 0
    fill(mill.inbox, 2000)
    mill.start()
    mill.wait_for(lambda: waits(mill, "the queue holds 1,000 jobs"))
    assert mill.get("/api/v1/health").json()["status"] == "ok"  # It is as it should be.
    mill.drop("late.jpg", pictures.jpeg(pictures.photo(24, 16, 2)))
    assert mill.stop() == 0
    mill.configure(queue={"high_water_jobs": 100_000})
    mill.start()
    mill.wait_for(lambda: queued(mill) == 2001)
    assert not waits(mill, "discovery")
    assert mill.stop() == 0


def test_w33_an_inbox_that_waits_at_its_mark_keeps_no_other_waiting_and_no_run_from_its_end(tmp_path: Path) -> None:
    """One is paused with more than the mark allows; nothing will lower its queue, and the other has nothing to do with it."""
    mill = Mill(tmp_path, queue={"high_water_jobs": 5}, second_inbox={}, reconcile_seconds=3600)
    assert mill.run("pause", "camera").returncode == 0
    fill(mill.inbox, 700)
    mill.start()
    mill.wait_for(lambda: waits(mill, "the queue holds 5 jobs"))
    mill.drop("late.jpg", pictures.jpeg(pictures.photo(24, 16, 2)), inbox="second")
    mill.wait_for(lambda: mill.outputs() == ["late-t.jpg"])
    assert waits(mill, "the queue holds 5 jobs")
    assert mill.stop() == 0
    mill.drop("later.jpg", pictures.jpeg(pictures.photo(24, 16, 3)), inbox="second")
    result = mill.once()
    assert result.returncode == 0, result.stderr
    assert mill.outputs() == ["late-t.jpg", "later-t.jpg"]


def fill(inbox: Path, files: int) -> None:
    base = pictures.jpeg(pictures.photo(24, 16, 1))
    folder = os.open(inbox, os.O_RDONLY)
    for number in range(files):
        # Bytes after the end of a JPEG make each file another one, and cost nothing.
        descriptor = os.open(f"{number:06}.jpg", os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=folder)
        os.write(descriptor, base + b"%d" % number)
        os.close(descriptor)
    os.close(folder)


@contextmanager
def most_resident(mill: Mill) -> Iterator[list[float]]:
    """The most memory that was resident, in MB, in a list that is filled when the block ends; sampled 20 times a second."""
    assert mill.process is not None
    status = Path(f"/proc/{mill.process.pid}/status")
    most: list[float] = []
    ended = threading.Event()

    def sample() -> None:
        highest = 0.0
        while not ended.wait(0.05):
            (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmRSS")]
            highest = max(highest, int(line.split()[1]) / 1024)
        most.append(highest)

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        yield most
    finally:
        ended.set()
        sampler.join()


def queued(mill: Mill) -> int:
    return int(mill.get("/api/v1/status").json()["queue"]["available"])


def slowly(mill: Mill) -> int:
    """As ``queued``, asked once a second: to count a long queue over and over would take the time that is measured."""
    time.sleep(1)
    return queued(mill)


def settling(mill: Mill) -> int:
    return int(mill.get("/api/v1/status").json()["inboxes"][0]["settling"])


def sources(mill: Mill) -> int:
    return len({job["source"] for job in mill.all_jobs()})


def waits(mill: Mill, word: str) -> bool:
    parts = mill.get("/api/v1/health").json()["parts"]
    return any(part["name"] == "inbox camera" and word in part["detail"] for part in parts)
