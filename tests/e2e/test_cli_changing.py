"""What commands do: retry, cancel, pause, add, reprocess; with a daemon and without one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

import pictures
from dropmill.cli import reach
from dropmill.errors import Conflict, NotFound
from dropmill.settings import load
from harness import Mill


def _ask(mill: Mill, method: str, *arguments: Any) -> Any:
    """As the command does it, without the start of a process for each request."""
    return reach.ask(load(mill.config, {}, {}).settings, method, *arguments, change=True)


def _job(mill: Mill, name: str) -> dict[str, Any]:
    found = [job for job in mill.jobs() if job["source"].endswith(f"/{name}")]
    assert found, f"no job for {name}"
    return found[0]


def _broken(seed: int) -> bytes:
    return pictures.jpeg(pictures.photo(80, 60, seed=seed))[:700]


@pytest.mark.parametrize("live", [True, False], ids=["daemon", "no daemon"])
def test_retry_puts_the_original_back_and_makes_no_second_job(tmp_path: Path, live: bool) -> None:
    mill = Mill(tmp_path, quarantine="quarantine", workers={"min_bytes": 100_000})
    photo = pictures.jpeg(pictures.photo(80, 60, seed=1))
    mill.drop("sub/small.jpg", photo)
    mill.drop("sub/small.xmp", b"<xmp/>")
    assert mill.once().returncode == 3
    quarantined = mill.root / "quarantine/sub/small.jpg"
    assert quarantined.exists()
    assert (mill.root / "quarantine/sub/small.xmp").exists()
    job = _job(mill, "small.jpg")
    assert job["reason"] == "too-small"

    mill.configure(workers={"min_bytes": 1})
    if live:
        mill.start()
    result = mill.run("retry", str(job["id"]))
    assert result.returncode == 0, result.stderr
    if live:
        mill.wait_for(lambda: mill.done(1))
    else:
        assert _job(mill, "small.jpg")["state"] == "available"
        assert mill.once().returncode == 0
    jobs = mill.jobs()
    assert [(one["id"], one["outcome"]) for one in jobs] == [(job["id"], "published")]
    assert jobs[0]["original"] == str(mill.inbox / "sub/small.jpg")
    assert (mill.inbox / "sub/small.jpg").read_bytes() == photo
    assert (mill.inbox / "sub/small.xmp").exists()
    assert not list((mill.root / "quarantine").rglob("*.*"))
    assert mill.outputs() == ["sub/small-t.jpg"]
    story = mill.why("sub/small.jpg")
    assert "put back into the inbox" in story


def test_retry_overwrites_nothing(tmp_path: Path) -> None:
    mill = Mill(tmp_path, quarantine="quarantine")
    mill.drop("one.jpg", _broken(1))
    assert mill.once().returncode == 3
    job = _job(mill, "one.jpg")
    (mill.inbox / "one.jpg").write_bytes(b"another file")
    with pytest.raises(Conflict, match="is another file now") as refused:
        _ask(mill, "retry", job["id"])
    assert refused.value.hint
    assert (mill.inbox / "one.jpg").read_bytes() == b"another file"
    assert (mill.root / "quarantine/one.jpg").read_bytes() == _broken(1)

    (mill.inbox / "one.jpg").unlink()
    (mill.root / "quarantine/one.jpg").unlink()
    with pytest.raises(Conflict, match="not there any more"):
        _ask(mill, "retry", job["id"])


def test_q13_retry_of_a_job_whose_twin_is_queued_is_a_conflict_in_words(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    mill.drop("one.jpg", _broken(1))
    assert mill.once().returncode == 3
    job = _job(mill, "one.jpg")
    _ask(mill, "retry", job["id"])  # Queued: nothing runs that could take it.
    with pytest.raises(Conflict, match="not discarded but available"):
        _ask(mill, "retry", job["id"])

    # A version that was discarded, and then came again under the same path.
    mill.once()
    (mill.inbox / "one.jpg").write_bytes(_broken(2))
    _ask(mill, "pause", None)
    mill.start()
    mill.wait_for(lambda: mill.jobs("available"))
    result = mill.run("retry", str(job["id"]))
    assert result.returncode == 1
    assert "is in the queue for the same version of this file already" in result.stderr
    assert "constraint" not in result.stderr.lower()
    assert sorted(one["state"] for one in mill.jobs()) == ["available", "discarded"]
    _ask(mill, "resume", None)
    mill.wait_for(lambda: len(mill.jobs("discarded")) == 2)
    with pytest.raises(Conflict, match="has been replaced"):
        _ask(mill, "retry", job["id"])
    everything = _ask(mill, "retry_all")
    assert len(everything["retried"]) == 1
    assert [one["id"] for one in everything["skipped"]] == [job["id"]]


def test_retry_is_for_discarded_jobs_only(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    mill.drop("one.jpg", pictures.jpeg())
    assert mill.once().returncode == 0
    with pytest.raises(Conflict, match="not discarded but published") as refused:
        _ask(mill, "retry", 1)
    assert refused.value.hint == "to render it again: dropmill reprocess 1"
    with pytest.raises(NotFound):
        _ask(mill, "retry", 99)
    assert mill.run("retry").returncode == 2  # Neither an id nor --all: a mistake in the command line.


def test_pause_is_kept_across_a_restart_and_resume_ends_it(tmp_path: Path) -> None:
    mill = Mill(tmp_path, second_inbox={})
    mill.start()
    assert mill.run("pause", "camera").returncode == 0
    mill.kill()  # Without a word of farewell.
    mill.start()
    mill.drop("one.jpg", pictures.jpeg(pictures.photo(60, 40, seed=1)))
    mill.drop("two.jpg", pictures.jpeg(pictures.photo(60, 40, seed=2)), inbox="second")
    mill.wait_for(lambda: mill.jobs("completed") and mill.jobs("available"))
    assert _job(mill, "one.jpg")["state"] == "available"
    assert _job(mill, "two.jpg")["state"] == "completed"
    status = _ask(mill, "status")
    assert [inbox["paused"] for inbox in status["inboxes"]] == [True, False]
    assert status["health"]["status"] == "ok"
    assert mill.run("resume").returncode == 0
    mill.wait_for(lambda: len(mill.jobs("completed")) == 2)
    unknown = mill.run("pause", "nobody")
    assert unknown.returncode == 1
    assert "inboxes: camera, second" in unknown.stderr


def test_cancel_a_waiting_job_and_one_that_runs(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=[{"name": "t", "fit": [2400, 1600], "format": "avif"}])
    mill.start()
    _ask(mill, "pause", None)
    mill.drop("two.jpg", pictures.jpeg(pictures.photo(60, 40, seed=2)))
    mill.wait_for(lambda: mill.jobs("available"))
    job = _job(mill, "two.jpg")
    assert mill.run("cancel", str(job["id"])).returncode == 0
    assert _job(mill, "two.jpg")["state"] == "cancelled"
    with pytest.raises(Conflict, match="has ended already"):
        _ask(mill, "cancel", job["id"])
    with pytest.raises(Conflict, match="not discarded but cancelled") as refused:
        _ask(mill, "retry", job["id"])
    assert refused.value.hint == f"to render it again: dropmill reprocess {job['id']}"
    _ask(mill, "resume", None)
    # What was cancelled can be asked for again, and is then decided as if it were new.
    again = _ask(mill, "reprocess", str(job["id"]))["queued"][0]
    mill.wait_for(lambda: _ask(mill, "job", again)["state"] == "completed")
    assert _ask(mill, "job", again)["outcome"] == "published"

    # AVIF of that size takes a while: the worker is stopped, and the next picture is served by another.
    mill.drop("long.jpg", pictures.jpeg(pictures.photo(2400, 1600, seed=3)))
    mill.wait_for(lambda: mill.jobs("executing"))
    running = mill.jobs("executing")[0]["id"]
    assert _ask(mill, "cancel", running)["state"] == "cancelled"
    mill.drop("next.jpg", pictures.jpeg(pictures.photo(60, 40, seed=4)))
    mill.wait_for(lambda: any(job["source"].endswith("next.jpg") for job in mill.jobs("completed")))
    assert _ask(mill, "job", running)["state"] == "cancelled"
    assert not [name for name in mill.outputs() if name.startswith("long")]
    mill.wait_for(lambda: os.listdir(mill.output / ".dropmill") == ["root-id"])


def test_reprocess_reads_the_archive_and_swaps_the_renditions(tmp_path: Path) -> None:
    mill = Mill(tmp_path, archive="archive", duplicates="duplicates")
    photo = pictures.jpeg(pictures.photo(200, 150, seed=1))
    mill.drop("one.jpg", photo)
    assert mill.once().returncode == 0
    mill.drop("copy.jpg", photo)
    assert mill.once().returncode == 0
    before = (mill.output / "one-t.jpg").read_bytes()

    mill.configure(renditions=[{"name": "t", "fit": [96, 96]}])
    mill.start()
    result = mill.run("reprocess", str(mill.inbox / "one.jpg"))
    assert result.returncode == 0, result.stderr
    mill.wait_for(lambda: len(mill.jobs("completed")) == 3 and (mill.output / "one-t.jpg").read_bytes() != before)
    assert mill.outputs() == ["one-t.jpg"]
    assert (mill.root / "archive/one.jpg").read_bytes() == photo
    newest = mill.jobs()[0]
    assert newest["reprocess_of"] == 1
    assert newest["original"] == str(mill.root / "archive/one.jpg")

    refused = mill.run("reprocess", str(mill.inbox / "copy.jpg"))
    assert refused.returncode == 1
    assert f"duplicate of {mill.inbox}/one.jpg" in refused.stderr
    whole = mill.run("reprocess", "--inbox", "camera", "--json")
    assert len(json.loads(whole.stdout)["queued"]) == 1


def test_add_takes_files_from_anywhere(tmp_path: Path) -> None:
    mill = Mill(tmp_path / "mill", second_inbox={})
    outside = tmp_path / "scan.jpg"
    outside.write_bytes(pictures.jpeg(pictures.photo(60, 40, seed=1)))
    mill.start()
    refused = mill.run("add", str(outside))
    assert refused.returncode == 1
    assert "--inbox N, one of camera, second" in refused.stderr
    result = mill.run("add", str(outside), "--inbox", "second", "--priority", "5", "--label", "desk")
    assert result.returncode == 0, result.stderr
    mill.wait_for(lambda: mill.jobs("completed"))
    job = _job(mill, "scan.jpg")
    assert (job["inbox"], job["priority"], job["label"], job["found_by"]) == ("second", 5, "desk", "manual")
    assert outside.exists()

    url = mill.run("add", "https://example.org/a.jpg")
    assert url.returncode == 1
    assert "--inbox N, one of camera, second" in url.stderr
    again = _ask(mill, "add", [bytes(mill.second / "scan.jpg")], None, None, None)
    assert "has been taken in already" in again["refused"][0]["detail"]
    missing = _ask(mill, "add", [bytes(mill.inbox / "nothing.jpg")], None, None, None)
    assert "does not exist" in missing["refused"][0]["detail"]
    (tmp_path / "notes.txt").write_text("text")
    notes = _ask(mill, "add", [bytes(tmp_path / "notes.txt")], "camera", None, None)
    assert "it would be ignored, no image by name or content" in notes["refused"][0]["detail"]
    assert not (mill.inbox / "notes.txt").exists()
    folder = _ask(mill, "add", [bytes(tmp_path)], "camera", None, None)["refused"][0]
    assert folder["detail"].endswith("is a folder")
    assert str(mill.inbox) in folder["hint"]


def test_add_without_a_daemon_queues_for_the_next_start(tmp_path: Path) -> None:
    mill = Mill(tmp_path / "mill")
    outside = tmp_path / "scan.jpg"
    outside.write_bytes(pictures.jpeg(pictures.photo(60, 40, seed=1)))
    (tmp_path / "notes.txt").write_text("text")
    result = mill.run("add", str(outside), str(tmp_path / "notes.txt"), "--priority", "5", "--label", "desk")
    assert result.returncode == 1
    assert "queued as job 1" in result.stdout
    assert "is not taken in" in result.stderr
    assert _job(mill, "scan.jpg")["state"] == "available"
    assert mill.once().returncode == 0
    job = _job(mill, "scan.jpg")
    assert (job["id"], job["priority"], job["label"], job["outcome"]) == (1, 5, "desk", "published")
    assert len(mill.jobs()) == 1
