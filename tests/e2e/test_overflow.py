"""What came while the kernel's queue of events was full is watched from then on, not only found once (W15)."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

import pictures
from harness import Mill


def photo(seed: int) -> bytes:
    return pictures.jpeg(pictures.photo(60, 40, seed))


def overflow(inbox: Path, events: int) -> None:
    """So many events of two files in turn, since two like ones in a row count as one."""
    with (inbox / "a.txt").open("wb", buffering=0) as first, (inbox / "b.txt").open("wb", buffering=0) as second:
        for _ in range(events // 2):
            os.write(first.fileno(), b"x")
            os.write(second.fileno(), b"x")


def scans(mill: Mill) -> list[dict[str, Any]]:
    lines = [line for line in mill.log.read_text().splitlines(keepends=True) if line.endswith("\n")]
    return [told for told in map(json.loads, lines) if told["event"] == "scanned"]


def test_w15_a_directory_that_came_during_an_overflow_is_watched(tmp_path: Path) -> None:
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if limit > 200_000:
        pytest.skip(f"fs.inotify.max_queued_events is {limit}")
    mill = Mill(tmp_path, reconcile_seconds=3600, log={"level": "debug", "format": "json"})
    mill.start()
    mill.wait_for(lambda: len(scans(mill)) == 1)
    mill.freeze()
    overflow(mill.inbox, limit + 2000)
    mill.drop("sub/first.jpg", photo(1))
    mill.thaw()
    mill.wait_for(lambda: mill.outputs() == ["sub/first-t.jpg"])
    mill.wait_for(lambda: [told for told in scans(mill) if told["found_by"] == "overflow"])
    assert mill.metric("dropmill_events_lost_total") == 1
    mill.drop("sub/late.jpg", photo(2))
    mill.wait_for(lambda: mill.outputs() == ["sub/first-t.jpg", "sub/late-t.jpg"])
    mill.wait_for(lambda: len(mill.jobs("completed")) == 2)
    found_by = {os.path.basename(job["source"]): job["found_by"] for job in mill.jobs()}
    assert found_by == {"first.jpg": "overflow", "late.jpg": "event"}
    assert mill.stop() == 0
