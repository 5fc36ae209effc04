"""What commands tell: the story of every kind of path, and names that no terminal should see raw."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

import pictures
from dropmill.cli import reach
from dropmill.settings import load
from harness import Mill


def _why(mill: Mill, target: str | bytes) -> dict[str, Any]:
    """As the command says it, without the start of a process for each question."""
    told: dict[str, Any] = _ask(mill, "why", target)
    return told


def _ask(mill: Mill, method: str, *arguments: Any) -> Any:
    return reach.ask(load(mill.config, {}, {}).settings, method, *arguments)


def _texts(told: dict[str, Any]) -> str:
    return " / ".join(entry["text"] for entry in told["story"])


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Mill:
    """A mill after one pass over one file of each kind."""
    mill = Mill(
        tmp_path_factory.mktemp("mill"), archive="archive", duplicates="duplicates", quarantine="quarantine",
        ignore=["*.bak", "raw/*"], receipts=True,
    )  # fmt: skip
    photo = pictures.jpeg(pictures.photo(80, 60, seed=1))
    mill.drop("a/photo.jpg", photo)
    mill.drop("a/photo.xmp", b"<xmp/>")
    assert mill.once().returncode == 0
    mill.drop("copy.jpg", photo)
    mill.drop("broken.jpg", b"no picture at all")
    mill.drop("notes.txt", b"some text")
    mill.drop("Thumbs.db", b"x")
    mill.drop(".hidden.jpg", photo)
    mill.drop("old.jpg.bak", photo)
    mill.drop("raw/one.jpg", photo)
    mill.drop("upload.part", photo)
    (mill.inbox / "link.jpg").symlink_to(mill.root / "dropmill.toml")
    (mill.inbox / "linked").symlink_to(mill.root)
    (mill.output / "foreign.txt").write_text("mine")
    assert mill.once().returncode == 3
    return mill


def test_why_an_archived_original_by_path_id_sha256_and_by_what_became_of_it(done: Mill) -> None:
    by_path = _why(done, str(done.inbox / "a/photo.jpg"))
    assert by_path["verdict"] == "published"
    assert by_path["now"]["there"] == "nothing"
    assert by_path["now"]["original"] == str(done.root / "archive/a/photo.jpg")
    assert by_path["now"]["outputs"] == [str(done.output / "a/photo-t.jpg")]
    text = _texts(by_path)
    for word in (
        "found by the scan at start",
        "settled",
        "attempt 1 began",
        "published",
        "moved to the archive folder",
    ):
        assert word in text
    job = by_path["jobs"][0]
    assert _why(done, str(job["id"]))["story"] == by_path["story"]
    by_digest = _why(done, job["sha256"])
    assert by_digest["verdict"] == "published"
    assert {one["outcome"] for one in by_digest["jobs"]} == {"published", "duplicate"}
    assert "rendition t of" in _why(done, str(done.output / "a/photo-t.jpg"))["verdict"]
    assert (
        _why(done, str(done.root / "archive/a/photo.jpg"))["verdict"]
        == f"original of job {job['id']}, moved to archive"
    )


def test_why_duplicates_and_what_is_broken(done: Mill) -> None:
    duplicate = _why(done, str(done.inbox / "copy.jpg"))
    assert duplicate["verdict"] == f"duplicate of {done.inbox}/a/photo.jpg"
    assert duplicate["now"]["original"] == str(done.root / "duplicates/copy.jpg")
    assert duplicate["now"]["outputs"] == [str(done.output / "a/photo-t.jpg")]
    assert "moved to duplicates" in _why(done, str(done.root / "duplicates/copy.jpg"))["verdict"]

    broken = _why(done, str(done.inbox / "broken.jpg"))
    assert broken["verdict"] == "discarded: not-an-image"
    assert "rename it if it is no picture" in _texts(broken)
    assert "moved to quarantine" in _why(done, str(done.root / "quarantine/broken.jpg"))["verdict"]
    assert "note of job" in _why(done, str(done.root / "quarantine/broken.jpg.reason.json"))["verdict"]


@pytest.mark.parametrize(
    ("name", "verdict", "rule"),
    [
        ("notes.txt", "ignored: not-an-image", "left where it is"),
        ("Thumbs.db", "ignored: junk-name", "thumbs.db"),
        (".hidden.jpg", "ignored: junk-name", "begins with a dot"),
        ("old.jpg.bak", "ignored: junk-name", "*.bak of the inbox's ignore list"),
        ("raw/one.jpg", "ignored: junk-name", "raw/*"),
        ("upload.part", "ignored: junk-name", "*.part"),
        ("link.jpg", "ignored: symlink", "symbolic links are not followed"),
        ("linked/state/catalog.db", "ignored: symlink", "linked is a symbolic link"),
        ("never.jpg", "never seen", "nothing of this name was ever taken in"),
        ("a", "a folder of the inbox", "taken in"),
    ],
)
def test_why_what_is_no_job(done: Mill, name: str, verdict: str, rule: str) -> None:
    told = _why(done, str(done.inbox / name))
    assert told["verdict"] == verdict
    assert rule in _texts(told)


def test_why_elsewhere(done: Mill) -> None:
    done.drop("late.jpg", pictures.jpeg(pictures.photo(40, 30, seed=9)))
    late = _why(done, str(done.inbox / "late.jpg"))
    (done.inbox / "late.jpg").unlink()
    assert late["verdict"] == "not found yet"
    assert "no daemon runs" in _texts(late)
    assert _why(done, str(done.output / "foreign.txt"))["verdict"] == "not ours, in the output folder"
    assert _why(done, str(done.root / "state/catalog.db"))["verdict"] == "part of dropmill's state"
    told = done.run("why", "dropmill.toml", "--json")  # Taken from the working directory.
    assert told.returncode == 0
    outside = json.loads(told.stdout)
    assert outside["verdict"] == "not in an inbox"
    assert "dropmill add" in _texts(outside)


def test_why_what_dropmill_wrote_and_what_moved_with_a_picture(done: Mill) -> None:
    job = _why(done, str(done.inbox / "a/photo.jpg"))["jobs"][0]
    receipt = _why(done, str(done.output / "a/photo.json"))
    assert receipt["verdict"] == f"receipt of job {job['id']}"
    assert receipt["jobs"] == [job]
    moved = f"companion of job {job['id']}, moved to archive"
    archived = done.root / "archive/a/photo.xmp"
    assert archived.exists()
    assert _why(done, str(archived))["verdict"] == moved
    left = _why(done, str(done.inbox / "a/photo.xmp"))
    assert left["verdict"] == moved
    assert f"is {archived} now" in _texts(left)


def test_why_the_folders_themselves_and_files_of_nowhere(done: Mill) -> None:
    assert _why(done, str(done.inbox))["verdict"] == "the folder of inbox camera"
    assert _why(done, str(done.output))["verdict"] == "the output folder of inbox camera"
    nowhere = _why(done, str(done.root / "nowhere.jpg"))
    assert nowhere["verdict"] == "not in an inbox"
    assert "dropmill add" not in _texts(nowhere)
    ignored = _texts(_why(done, str(done.inbox / "notes.txt")))
    assert "no image by name or content" in ignored
    assert "the name says image" not in ignored


def test_why_by_a_file_name_and_by_the_start_of_a_digest(done: Mill) -> None:
    job = _why(done, str(done.inbox / "a/photo.jpg"))["jobs"][0]
    assert _why(done, "photo.jpg")["jobs"][0]["id"] == job["id"]
    assert _why(done, "photo-t.jpg")["target"] == str(done.output / "a/photo-t.jpg")
    assert _why(done, job["sha256"][:9])["target"] == job["sha256"]
    for target in ("copy.jpg", job["sha256"][:8]):
        told = done.run("why", target)
        assert told.returncode == 0, told.stderr
        assert " at 0x" not in told.stdout
        assert all(line == line.rstrip() for line in told.stdout.splitlines())


def test_why_marks_outputs_that_are_gone_and_says_that_an_inbox_is_paused(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    mill.drop("one.jpg", pictures.jpeg())
    assert mill.once().returncode == 0
    (mill.output / "one-t.jpg").unlink()
    gone = _why(mill, str(mill.inbox / "one.jpg"))
    assert gone["now"]["missing"] == [str(mill.output / "one-t.jpg")]
    assert "one-t.jpg  (missing" in mill.why("one.jpg")

    assert mill.run("pause", "camera").returncode == 0
    two = mill.drop("two.jpg", pictures.jpeg(pictures.photo(60, 40, seed=3)))
    assert mill.run("add", str(two)).returncode == 0
    waits = _why(mill, str(two))
    assert waits["verdict"] == "waits: inbox camera is paused"
    assert "dropmill resume camera" in _texts(waits)


def test_why_of_a_job_whose_renditions_wait_says_so(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    mill.drop("sub/one.jpg", pictures.jpeg())
    (mill.output).mkdir(exist_ok=True)
    (mill.output / "sub").write_text("a file where a folder has to be")
    assert mill.once().returncode == 1
    assert _why(mill, str(mill.inbox / "sub/one.jpg"))["verdict"].startswith("published, but 1 of 1 rendition ")


def test_why_what_is_not_known_is_one_line_with_a_hint(done: Mill) -> None:
    for target in ("4711", "0" * 64):
        result = done.run("why", target)
        assert result.returncode == 1
        assert result.stderr.startswith("error: no job" if len(target) == 64 else "error: there is no job 4711")
        assert "hint: " in result.stderr
        assert "Traceback" not in result.stderr
    assert done.run("jobs", "--state", "nonsense").returncode == 1


def test_why_an_unsettled_file_and_a_moved_one(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    mill.drop("before.jpg", pictures.jpeg(pictures.photo(80, 60, seed=2)))
    mill.start()
    mill.wait_for(lambda: mill.done(1))
    (mill.inbox / "before.jpg").rename(mill.inbox / "after.jpg")
    mill.wait_for(lambda: any(job["outcome"] == "moved" for job in mill.jobs()))
    moved = _why(mill, str(mill.inbox / "after.jpg"))
    assert moved["verdict"] == "moved"
    assert f"these bytes were at {mill.inbox}/before.jpg before" in _texts(moved)
    left = _why(mill, str(mill.inbox / "before.jpg"))
    assert left["now"]["original"] == str(mill.inbox / "after.jpg")
    assert left["verdict"] == f"moved to {mill.inbox}/after.jpg"
    assert mill.stop() == 0

    mill.configure(settle_seconds=60)
    mill.start()
    mill.drop("slow.jpg", pictures.jpeg())
    mill.wait_for(lambda: _why(mill, str(mill.inbox / "slow.jpg"))["verdict"].startswith("not settled yet"))
    assert "must stay as it is for 60 s" in _texts(_why(mill, str(mill.inbox / "slow.jpg")))


def test_w18_names_are_found_by_their_bytes_and_shown_escaped(tmp_path: Path) -> None:
    names = [b"caf\xe9.jpg", b"line\nbreak.jpg", b"\x1b[31mred.jpg", "bidi\u202egpj.jpg".encode(), b"x" * 251 + b".jpg"]
    mill = Mill(tmp_path)
    for seed, name in enumerate(names):
        mill.drop(name, pictures.jpeg(pictures.photo(60, 40, seed=seed)))
    mill.start()
    mill.wait_for(lambda: mill.done(len(names)))
    assert {job["outcome"] for job in mill.jobs()} == {"published"}
    for name in names:
        path = os.fsencode(mill.inbox) + b"/" + name
        assert _why(mill, path)["verdict"] == "published"
    path = os.fsdecode(os.fsencode(mill.inbox) + b"/" + names[2])
    human = mill.run("why", path)
    assert human.returncode == 0
    assert "published" in human.stdout
    assert "\x1b" not in human.stdout
    listed = mill.run("jobs").stdout
    assert r"caf\xe9.jpg" in listed
    assert r"line\nbreak.jpg" in listed
    assert r"\x1b[31mred.jpg" in listed
    assert "\x1b" not in listed
    assert "\u202e" not in listed
    assert mill.stop() == 0
    assert _why(mill, os.fsencode(mill.inbox) + b"/caf\xe9.jpg")["verdict"] == "published"
    for escaped in (r"caf\xe9.jpg", r"line\nbreak.jpg", r"\x1b[31mred.jpg", r"bidi\u202egpj.jpg"):
        assert _why(mill, f"{mill.inbox}/{escaped}")["verdict"] == "published"
    assert "published" in mill.run("why", r"in/caf\xe9.jpg").stdout


def test_status_and_health_of_a_running_daemon_and_of_none(tmp_path: Path) -> None:
    mill = Mill(tmp_path, quarantine="quarantine")
    mill.drop("one.jpg", pictures.jpeg(pictures.photo(60, 40)))
    mill.start()
    mill.wait_for(lambda: mill.jobs("completed"))
    told = json.loads(mill.run("status", "--json").stdout)
    assert {"state", "inboxes", "queue", "workers", "health"} <= set(told)
    assert told["state"] == "running"
    assert told["queue"]["completed"] == {"published": 1}
    assert told["inboxes"][0]["last_scan"]["files"] == 1
    assert told["health"] == {**told["health"], "status": "ok", "live": True, "ready": True}
    assert told["workers"]["size"] == 2
    assert "camera" in mill.run("status").stdout
    assert mill.run("health", "--ready").returncode == 0

    (mill.root / "quarantine").rmdir()
    mill.wait_for(lambda: _ask(mill, "health")["status"] == "degraded")  # A look serves for two seconds.
    sick = mill.run("health", "--json")
    assert sick.returncode == 1
    part = next(part for part in json.loads(sick.stdout)["parts"] if part["name"] == "quarantine camera")
    assert part["status"] == "degraded"
    assert part["remedy"]
    live = mill.run("health", "--live")
    assert (live.returncode, live.stdout) == (0, "live\n")

    assert mill.stop() == 0
    assert json.loads(mill.run("status", "--json").stdout)["state"] == "stopped"
    gone = mill.run("health")
    assert gone.returncode == 4
    assert gone.stderr.startswith("error: no daemon runs\nhint: ")
