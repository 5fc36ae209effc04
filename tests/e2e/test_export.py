"""The table as a user gets it: beside a daemon that works, after one that was killed, into pipes and files."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from pathlib import Path

import pytest

import pictures
from harness import PROGRAM, Mill, clean_environment


def photo(seed: int) -> bytes:
    return pictures.jpeg(pictures.photo(80, 60, seed=seed))


@pytest.mark.long
def test_a_table_beside_a_daemon_that_works_and_after_it_was_killed(tmp_path: Path) -> None:
    mill = Mill(tmp_path, archive="archive", on_success="archive")
    mill.start()
    mill.drop("sub/Größe, 1.jpg", photo(1))
    mill.drop(b"\xff.jpg", photo(2))
    mill.drop("broken.jpg", photo(3)[:700])
    # The archive is where an original is only once the disposal is done.
    mill.wait_for(lambda: len(mill.jobs("completed")) == 2 and len(list((tmp_path / "archive").rglob("*.jpg"))) == 2)
    mill.wait_for(lambda: mill.jobs("discarded"))
    mill.wait_for(lambda: [job for job in mill.jobs("completed") if job["original"].startswith(f"{tmp_path}/archive/")])
    live = mill.run("export", "--format", "csv")
    assert (live.returncode, live.stderr) == (0, "")
    rows = {row["source"].removeprefix(f"{mill.inbox}/"): row for row in csv.DictReader(io.StringIO(live.stdout))}
    assert set(rows) == {"sub/Größe, 1.jpg", "\\xff.jpg", "broken.jpg"}
    one = rows["sub/Größe, 1.jpg"]
    assert one["t_path"] == str(mill.output / "sub/Größe, 1-t.jpg")
    assert (one["width"], one["height"], one["format"], one["t_width"]) == ("80", "60", "jpeg", "48")
    assert Path(one["t_path"]).stat().st_size == int(one["t_size_bytes"])
    assert len(one["phash"]) == 16
    assert rows["broken.jpg"]["state"] == "discarded"
    mill.kill()
    dead = mill.run("export", "--format", "jsonl", "--state", "completed")
    assert dead.returncode == 0
    assert {json.loads(line)["outcome"] for line in dead.stdout.splitlines()} == {"published"}
    assert len(dead.stdout.splitlines()) == 2


@pytest.mark.long
def test_a_file_is_made_and_not_replaced_unasked(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    mill.drop("a.jpg", photo(1))
    assert mill.once().returncode == 0
    made = mill.run("export", "--format", "parquet", "--output", "t.parquet")
    assert (made.returncode, made.stdout, made.stderr) == (0, "", "")
    from pyarrow import parquet

    (row,) = parquet.read_table(tmp_path / "t.parquet").to_pylist()
    assert row["renditions"][0]["path"] == str(mill.output / "a-t.jpg")
    assert row["finished_at"].tzinfo is not None
    again = mill.run("export", "--format", "csv", "--output", "t.parquet")
    assert again.returncode == 1
    assert "--force" in again.stderr
    assert mill.run("export", "--format", "csv", "--output", "t.parquet", "--force").returncode == 0
    assert (tmp_path / "t.parquet").read_text().startswith("id,source,")


@pytest.mark.parametrize(
    ("arguments", "told", "status"),
    [
        (("--format", "xlsx"), "csv, jsonl, parquet", 2),
        (("--format", "parquet"), "--output", 2),
        (("--format", "csv", "--inbox", "nowhere"), "no inbox 'nowhere'", 1),
        (("--format", "csv", "--state", "broken"), "no job state 'broken'", 1),
    ],
)
def test_what_cannot_be_exported_is_said_and_nothing_is_written(
    tmp_path: Path, arguments: tuple[str, ...], told: str, status: int
) -> None:
    mill = Mill(tmp_path)
    result = mill.run("export", *arguments)
    assert (result.returncode, result.stdout) == (status, "")
    assert told in result.stderr


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    mill.drop("a.jpg", photo(1))
    assert mill.once().returncode == 0
    with subprocess.Popen(
        [PROGRAM, "export", "--format", "csv", "--config", str(mill.config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=clean_environment(),
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0
