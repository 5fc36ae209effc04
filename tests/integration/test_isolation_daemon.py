"""A whole daemon whose workers, zygote or self are killed while a job runs."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

import pictures
from harness import Mill

pytestmark = [pytest.mark.long]

# To be given a job, or to be given one back, takes no longer on a machine that has ten times more to do.
SECONDS = 90.0
# The picture itself, on a machine that has more to do.
ENCODING_SECONDS = 120.0


def slow(tmp_path: Path, **options: Any) -> Mill:
    """A mill whose every picture takes its worker a while: large AVIFs."""
    renditions = [{"name": "a", "scale": 1.0, "format": "avif"}]
    return Mill(tmp_path, renditions=renditions, quarantine="broken", **options)


def picture() -> bytes:
    return pictures.jpeg(pictures.photo(2400, 1800))


def workers(mill: Mill) -> dict[str, Any]:
    told: dict[str, Any] = mill.get("/api/v1/status").json()["workers"]
    return told


def freeze_the_worker(mill: Mill) -> int:
    """Stop the worker that has the one job in hand; returns its process id."""
    seen: list[dict[str, Any]] = []

    def at_work() -> bool:
        seen.append(workers(mill))
        return seen[-1]["busy"] == len(seen[-1]["pids"]) == 1

    mill.wait_for(at_work, SECONDS)
    (pid,) = seen[-1]["pids"]
    os.kill(pid, signal.SIGSTOP)
    assert mill.jobs()[0]["state"] == "executing"
    return int(pid)


def zygote_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[1])


def only_job(mill: Mill) -> dict[str, Any]:
    (job,) = mill.jobs()
    return job


def test_q02_a_file_that_crashes_its_worker_is_tried_once_more_and_then_quarantined(tmp_path: Path) -> None:
    mill = slow(tmp_path)
    mill.start()
    original = picture()
    mill.drop("a.jpg", original)
    for crashes in (1, 2):
        pid = freeze_the_worker(mill)
        os.kill(pid, signal.SIGSEGV)
        os.kill(pid, signal.SIGCONT)
        mill.wait_for(lambda crashes=crashes: only_job(mill)["crashes"] == crashes, SECONDS)  # type: ignore[misc]  # A default argument binds the value.
    mill.wait_for(lambda: (tmp_path / "broken" / "a.jpg").exists(), SECONDS)
    job = only_job(mill)
    assert (job["state"], job["reason"], job["attempts"]) == ("discarded", "worker-crashed", 2)
    assert (tmp_path / "broken" / "a.jpg").read_bytes() == original
    assert "SIGSEGV" in job["detail"]
    assert mill.stop() == 0


def test_q18_the_end_of_the_zygote_is_an_interruption_and_the_pool_refills(tmp_path: Path) -> None:
    mill = slow(tmp_path)
    mill.start()
    mill.drop("a.jpg", picture())
    pid = freeze_the_worker(mill)
    os.kill(zygote_of(pid), signal.SIGKILL)
    mill.wait_for(lambda: mill.outputs(), ENCODING_SECONDS)
    mill.wait_for(lambda: only_job(mill)["state"] == "completed", ENCODING_SECONDS)
    job = only_job(mill)
    assert (job["outcome"], job["crashes"], job["interruptions"]) == ("published", 0, 1)
    assert workers(mill)["trouble"] == ""
    assert mill.stop() == 0


@pytest.mark.timeout(900)
def test_q18_a_daemon_killed_twenty_times_under_an_innocent_job_completes_it(tmp_path: Path) -> None:
    mill = slow(tmp_path)
    mill.start()
    mill.drop("a.jpg", picture())
    for number in range(20):
        freeze_the_worker(mill)
        mill.kill()
        mill.start()
        mill.wait_for(lambda number=number: only_job(mill)["interruptions"] == number + 1, SECONDS)  # type: ignore[misc]  # A default argument binds the value.
    mill.wait_for(lambda: only_job(mill)["state"] == "completed", ENCODING_SECONDS)
    job = only_job(mill)
    assert (job["outcome"], job["crashes"], job["interruptions"]) == ("published", 0, 20)
    mill.wait_for(lambda: len(mill.outputs()) == 1)
    assert mill.stop() == 0


def test_q18_at_the_cap_of_interruptions_the_original_is_quarantined(tmp_path: Path) -> None:
    mill = slow(tmp_path, queue={"max_interruptions": 1})
    mill.start()
    mill.drop("a.jpg", picture())
    for _ in range(2):
        freeze_the_worker(mill)
        mill.kill()
        mill.start()
    mill.wait_for(lambda: (tmp_path / "broken" / "a.jpg").exists(), SECONDS)
    job = only_job(mill)
    assert (job["state"], job["reason"], job["crashes"]) == ("discarded", "interrupted", 0)
    assert mill.stop() == 0


def test_q05_a_job_that_takes_long_runs_once(tmp_path: Path) -> None:
    """There is no lease to outlive: a job belongs to its boot. Other jobs, scans and claims go on around it."""
    mill = slow(tmp_path, reconcile_seconds=1)
    mill.start()
    mill.drop("a.jpg", picture())
    pid = freeze_the_worker(mill)
    for number in range(3):
        mill.drop(f"b{number}.jpg", pictures.jpeg(pictures.photo(64 + number, 48)))
    mill.wait_for(lambda: len(mill.outputs()) == 3, SECONDS)
    (job,) = [job for job in mill.jobs() if job["source"].endswith("a.jpg")]
    assert (job["state"], job["attempts"]) == ("executing", 1)
    os.kill(pid, signal.SIGCONT)
    mill.wait_for(lambda: len(mill.outputs()) == 4, ENCODING_SECONDS)
    mill.wait_for(lambda: all(job["state"] == "completed" for job in mill.jobs()), SECONDS)
    assert [job["attempts"] for job in mill.jobs()] == [1, 1, 1, 1]
    assert mill.stop() == 0
