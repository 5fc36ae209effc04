"""Twenty thousand files at once: every one becomes a job, none twice, in bounded memory."""

from __future__ import annotations

from pathlib import Path

import pytest

import pictures
from harness import Mill

FILES = 20_000
MOST_RSS_MB = 120


@pytest.mark.long
@pytest.mark.timeout(300)
def test_w15_a_burst_of_20000_files_loses_none_and_doubles_none(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    mill.start()
    assert mill.run("pause").returncode == 0
    base = pictures.jpeg(pictures.photo(24, 16, 1))
    for number in range(FILES):
        # Bytes after the end of a JPEG make each file another one, and cost nothing.
        (mill.inbox / f"{number:05}.jpg").write_bytes(base + b"%d" % number)
    mill.wait_for(lambda: queued(mill) >= FILES, seconds=120)
    rss_mb = resident_mb(mill)
    sources = {job["source"] for job in mill.all_jobs()}
    assert len(sources) == FILES == queued(mill)
    assert mill.stop() == 0
    print(f"\n{FILES} files waiting: {rss_mb:.0f} MB resident")
    assert rss_mb <= MOST_RSS_MB


def queued(mill: Mill) -> int:
    return int(mill.get("/api/v1/status").json()["queue"]["available"])


def resident_mb(mill: Mill) -> float:
    assert mill.process is not None
    status = Path(f"/proc/{mill.process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024
