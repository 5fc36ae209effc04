"""A queue of a million jobs: the daemon's memory is bounded, questions are answered, and claims go on."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

import apsw
import pytest

import pictures
from dropmill.store.catalog import Catalog, catalog_path, file_bytes
from harness import Mill

JOBS = 1_000_000
CLAIMS = 100
MOST_RESIDENT_BYTES = 150 << 20


def fill(mill: Mill) -> None:
    """Every file of these is gone by now, so that each costs a claim, a look and a commit."""
    path = catalog_path(str(mill.root / "state"))
    with contextlib.closing(apsw.Connection(path)) as connection:
        connection.pragma("synchronous", "off")
        root = connection.execute("SELECT id FROM roots WHERE kind = 'inbox' AND name = 'camera'").get
        now_ms = int(time.time() * 1000)
        with connection:
            connection.execute(
                "WITH RECURSIVE n(v) AS (SELECT 1 UNION ALL SELECT v + 1 FROM n WHERE v < ?) "
                "INSERT INTO jobs (root_id, inbox, rel, dev, ino, size_bytes, mtime_ns, ctime_ns, state, scheduled_at_ms, "
                "reason, priority, rank_ms, found_by, found_at_ms, settled_at_ms, enqueued_at_ms) "
                "SELECT ?, 'camera', CAST('2026/' || (v % 1000) || '/IMG_' || v || '.jpg' AS BLOB), 1, v, 10, 5, 5, "
                "iif(v % 10, 'available', 'scheduled'), iif(v % 10, NULL, ? + 250000), iif(v % 10, NULL, 'io-error'), "
                "3, ? + v, 'event', 0, 0, ? + v FROM n",
                (JOBS, root, now_ms, now_ms, now_ms),
            )
            connection.execute(
                "INSERT INTO sources (root_id, rel, dev, ino, size_bytes, mtime_ns, ctime_ns, verdict, job_id, seen_at_ms) "
                "SELECT root_id, rel, dev, ino, size_bytes, mtime_ns, ctime_ns, 'job', id, 0 FROM jobs"
            )
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)


def resident_bytes(pid: int) -> int:
    """The most that the process has had resident so far."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) << 10


@pytest.mark.long
def test_w33_a_million_jobs_in_the_queue_are_borne(tmp_path: Path) -> None:
    mill = Mill(tmp_path, log={"format": "json"}, queue={"retry_cap_seconds": 300})
    assert mill.once().returncode == 0
    fill(mill)
    mill.start()
    assert mill.process is not None
    pid = mill.process.pid
    mill.drop("urgent.jpg", pictures.jpeg())
    told = {}
    for path in (
        "/metrics",
        "/",
        "/api/v1/status",
        "/healthz",
        "/api/v1/jobs?limit=1000",
        "/api/v1/jobs?state=discarded",
    ):
        started = time.monotonic()
        response = mill.get(path)
        assert response.status_code == 200, path
        told[path] = time.monotonic() - started
    status = mill.get("/api/v1/status").json()
    assert status["queue"]["scheduled"] == JOBS // 10
    assert status["queue"]["available"] > JOBS // 2
    assert mill.metric("dropmill_queue_jobs") > JOBS // 2

    def ended() -> int:
        return mill.log.read_text(errors="replace").count('"superseded"')

    started, before = time.monotonic(), ended()
    mill.wait_for(lambda: ended() >= before + CLAIMS, seconds=120)
    rate = CLAIMS / (time.monotonic() - started)
    assert mill.run("jobs", "--limit", "5000", "--json").returncode == 0
    assert mill.run("why", str(mill.inbox / "2026/7/IMG_7.jpg")).returncode == 0
    assert mill.run("backup", "copy.db").returncode == 0
    resident = resident_bytes(pid)
    slowest = max(told, key=lambda path: told[path])
    print(
        f"\n{JOBS} jobs, catalog {file_bytes(catalog_path(str(tmp_path / 'state'))) >> 20} MiB: daemon at most "
        f"{resident >> 20} MiB, {rate:.0f} claims/s, slowest answer {slowest} in {told[slowest]:.2f} s"
    )
    assert resident < MOST_RESIDENT_BYTES
    assert mill.stop() == 0
    os.unlink(tmp_path / "copy.db")
    Catalog(catalog_path(str(tmp_path / "state"))).close()
