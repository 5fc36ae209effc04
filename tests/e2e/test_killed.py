"""A daemon that is killed with a job in hand, started again (Q07)."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pictures
from harness import Mill


def idle_worker(mill: Mill) -> int:
    """The one worker, once it has nothing in hand."""

    def workers() -> dict[str, Any]:
        told: dict[str, Any] = mill.get("/api/v1/status").json()["workers"]
        return told

    mill.wait_for(lambda: workers()["busy"] == 0 and len(workers()["pids"]) == 1)
    return int(workers()["pids"][0])


def test_q07_a_job_in_hand_when_the_daemon_was_killed_is_given_back_and_completed_by_the_next_start(
    tmp_path: Path,
) -> None:
    """Its worker is stopped before the job comes, so that nothing can be done before the kill."""
    mill = Mill(tmp_path, workers={"processes": 1})
    mill.drop("first.jpg", pictures.jpeg(pictures.photo(60, 40, seed=1)))
    mill.start()
    mill.wait_for(lambda: [job["state"] for job in mill.jobs()] == ["completed"])
    os.kill(idle_worker(mill), signal.SIGSTOP)
    mill.drop("a.jpg", pictures.jpeg(pictures.photo(60, 40, seed=2)))
    mill.wait_for(lambda: len(mill.jobs("executing")) == 1)
    mill.kill()
    mill.start()
    mill.wait_for(lambda: len(mill.jobs("completed")) == 2)
    mill.wait_for(lambda: mill.outputs() == ["a-t.jpg", "first-t.jpg"])
    (job,) = [job for job in mill.jobs() if job["source"].endswith("a.jpg")]
    assert (job["outcome"], job["crashes"], job["interruptions"]) == ("published", 0, 1)
    assert mill.stop() == 0
