"""What is owed and cannot be done yet is told with what stands in its way, and what was done long ago stays known."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import apsw
import pytest

import pictures
from harness import Mill

pytestmark = pytest.mark.long


def photo(seed: int) -> bytes:
    return pictures.jpeg(pictures.photo(120, 80, seed))


def part(mill: Mill, name: str) -> dict[str, Any]:
    return next(part for part in mill.get("/healthz").json()["parts"] if part["name"] == name)


def test_w25_a_file_where_a_folder_of_the_output_is_needed_is_named_until_it_is_moved_away(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    mill.start()
    (mill.output / "sub").write_text("a file")
    mill.drop("sub/a.jpg", photo(1))
    mill.wait_for(lambda: part(mill, "owed")["status"] == "degraded")
    told = part(mill, "owed")
    assert "sub is a file, and a folder is needed there" in told["detail"]
    assert f"dropmill why {mill.jobs()[0]['id']}" in told["remedy"]
    assert "move or rename that file" in " ".join(mill.why("sub/a.jpg").split())
    (mill.output / "sub").rename(mill.output / "moved")
    mill.wait_for(lambda: mill.outputs() == ["moved", "sub/a-t.jpg"], 60)
    mill.wait_for(lambda: part(mill, "owed")["status"] == "ok")
    assert (mill.output / "moved").read_text() == "a file"
    assert mill.stop() == 0


def test_q14_what_stands_is_told_of_and_rendered_again_however_long_ago_it_was_done(tmp_path: Path) -> None:
    mill = Mill(tmp_path, incomplete_timeout_seconds=0.2)
    mill.drop("a.jpg", photo(1))
    mill.drop("bad.jpg", photo(2)[:900])
    assert mill.once().returncode == 3
    jobs = {Path(job["source"]).name: job["id"] for job in mill.jobs()}
    with contextlib.closing(apsw.Connection(str(mill.state / "catalog.db"))) as catalog:
        catalog.execute("UPDATE jobs SET finished_at_ms = finished_at_ms - 100 * 86400000")
    mill.start()
    mill.wait_for(lambda: [job["id"] for job in mill.jobs()] == [jobs["a.jpg"]])
    assert "published" in mill.why("a.jpg")
    assert "dealt with long ago" in mill.why("bad.jpg") and "touch the file" in mill.why("bad.jpg")
    mill.configure(renditions=[{"name": "t", "fit": [24, 24]}])
    assert mill.run("reload").returncode == 0
    for target in ([str(mill.inbox / "a.jpg")], ["--inbox", "camera"]):
        before = len(mill.jobs())
        done = mill.run("reprocess", *target)
        assert done.returncode == 0, done.stderr
        mill.wait_for(lambda before=before: len(mill.jobs("completed")) == before + 1)
    assert mill.outputs() == ["a-t.jpg"]
    assert mill.stop() == 0
