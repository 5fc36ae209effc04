"""Files on their way into an inbox, as slow programs, shares and scanners write them; a real daemon looks on."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

import pictures
from faulty_fs import FaultyFs
from harness import Mill

ONE = [{"name": "t", "fit": [48, 48]}]
LATER = 600.0
"""An incomplete_timeout that no test reaches: what is settled before was proven complete."""

Make = Callable[..., Mill]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    mills: list[Mill] = []

    def start(**options: object) -> Mill:
        mill = Mill(tmp_path, **{"renditions": ONE, "settle_seconds": 0.1, **options})
        mills.append(mill)
        mill.start()
        return mill

    yield start
    for mill in mills:
        mill.stop()


def picture(format: str, seed: int = 1) -> bytes:  # noqa: A002  # Pillow's own word.
    return pictures.encoded(pictures.photo(400, 300, seed), format)


def outcomes(mill: Mill) -> list[str]:
    return sorted(str(job["outcome"] or job["reason"] or job["state"]) for job in mill.jobs())


def story(mill: Mill, name: str) -> str:
    """What ``dropmill why`` tells, asked of the daemon."""
    return mill.get("/api/v1/why", params={"target": str(mill.inbox / name)}).text


def wait_for_note(mill: Mill, name: str, note: str) -> None:
    mill.wait_for(lambda: note in story(mill, name))


def test_w08_what_is_still_arriving_is_waited_for(make: Make) -> None:
    mill = make(incomplete_timeout_seconds=LATER)
    arriving = {mill.inbox / f"a.{kind.lower()}": picture(kind) for kind in ("JPEG", "PNG", "WEBP")}
    for path, data in arriving.items():
        path.write_bytes(data[: len(data) // 2])
    for path in arriving:
        wait_for_note(mill, path.name, "not complete yet")
    assert mill.jobs() == []
    for path, data in arriving.items():
        with path.open("ab", buffering=0) as file:
            file.write(data[len(data) // 2 :])
    mill.wait_for(lambda: outcomes(mill) == ["published"] * 3)


def test_w08_what_stays_incomplete_is_quarantined_as_truncated(make: Make, tmp_path: Path) -> None:
    mill = make(incomplete_timeout_seconds=1.0, quarantine="quarantine")
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "AVIF"):
        mill.drop(f"a.{kind.lower()}", picture(kind)[:-200])
    mill.wait_for(lambda: len(mill.jobs("discarded")) == 5)
    assert outcomes(mill) == ["truncated"] * 5
    assert mill.outputs() == []
    mill.wait_for(lambda: len(os.listdir(tmp_path / "quarantine")) == 10)


def test_w06_a_preallocated_file_waits_and_never_shows_a_dead_half(make: Make, tmp_path: Path) -> None:
    """Its decoder takes the zeros without complaint. Nothing about it changes, so only its content tells."""
    mill = make(incomplete_timeout_seconds=LATER, quarantine="quarantine")
    for kind in ("WEBP", "AVIF"):
        data = pictures.encoded(pictures.photo(900, 700), kind, quality=90)
        mill.drop(kind, data[: len(data) // 2].ljust(len(data), b"\0"))
    for kind in ("WEBP", "AVIF"):
        wait_for_note(mill, kind, "zeros so far")
    # However long it took until both were looked at, their time is over only now.
    mill.configure(incomplete_timeout_seconds=0.1)
    mill.run("reload", check=True)
    mill.wait_for(lambda: outcomes(mill) == ["truncated"] * 2)
    assert mill.outputs() == []
    mill.wait_for(lambda: {"WEBP", "AVIF"} <= set(os.listdir(tmp_path / "quarantine")))


@pytest.mark.long
def test_w06_a_preallocated_file_that_is_filled_in_place_is_published(make: Make) -> None:
    mill = make(incomplete_timeout_seconds=LATER)
    data = picture("JPEG")
    path = mill.drop("a.jpg", bytes(len(data)))
    wait_for_note(mill, "a.jpg", "zeros so far")
    for start in range(0, len(data), len(data) // 3):
        with path.open("r+b", buffering=0) as file:
            file.seek(start)
            file.write(data[start : start + len(data) // 3])
        time.sleep(0.02)
    mill.wait_for(lambda: outcomes(mill) == ["published"])


@pytest.mark.long
def test_w06_zeros_and_trailers_of_whole_pictures_delay_nothing(make: Make) -> None:
    mill = make(incomplete_timeout_seconds=LATER)
    mill.drop("black.tif", pictures.encoded(Image.new("L", (300, 200)), "TIFF"))
    mill.drop("black.bmp", pictures.encoded(Image.new("RGB", (300, 200)), "BMP"))
    mill.drop("motion.jpg", picture("JPEG") + b"\0\0\0\x18ftypmp42" + bytes(200_000))
    mill.wait_for(lambda: outcomes(mill) == ["published"] * 3)


@pytest.mark.long
def test_w03_a_placeholder_waits_for_the_real_bytes(make: Make) -> None:
    mill = make(incomplete_timeout_seconds=LATER)
    placeholders = {"empty.jpg": b"", "short.jpg": b"\xff\xd8\xff\xe0", "zeros.jpg": bytes(10_000)}
    for name, data in placeholders.items():
        mill.drop(name, data)
    for name in placeholders:
        wait_for_note(mill, name, "so far")
    for seed, name in enumerate(placeholders):
        (mill.inbox / name).write_bytes(picture("JPEG", seed))
    mill.wait_for(lambda: outcomes(mill) == ["published"] * 3)


@pytest.mark.long
def test_w03_a_placeholder_that_ran_out_of_time_does_not_fail_its_picture(make: Make) -> None:
    mill = make(incomplete_timeout_seconds=0.3)
    path = mill.drop("a.jpg", b"")
    mill.wait_for(lambda: outcomes(mill) == ["empty"])
    assert mill.drop("a.jpg", picture("JPEG")) == path
    mill.wait_for(lambda: outcomes(mill) == ["empty", "published"])


@pytest.mark.long
def test_w05_what_grew_after_it_settled_is_superseded_and_settles_again(make: Make) -> None:
    """The version that was queued is not the one that the worker finds."""
    mill = make(incomplete_timeout_seconds=LATER)
    mill.run("pause", check=True)
    tiff = pictures.tiff_pages(pictures.photo(60, 40))
    path = mill.drop("a.tif", tiff)
    mill.wait_for(lambda: outcomes(mill) == ["available"])
    with path.open("ab") as file:
        file.write(b"more")
    mill.run("resume", check=True)
    mill.wait_for(lambda: mill.done(2))
    assert outcomes(mill) == ["published", "superseded"]
    assert mill.outputs() == ["a-t.jpg"]


def trouble(mill: Mill) -> str:
    """What the status says to be wrong with the inbox."""
    return str(mill.get("/api/v1/status").json()["inboxes"][0]["trouble"])


@pytest.mark.long
def test_w04_a_file_that_is_busy_for_a_while_is_processed_later(tmp_path: Path) -> None:
    for fault, note in ((("read", errno.EBUSY), "busy"), (("open", errno.EACCES), "unreadable")):
        folder = tmp_path / fault[0]
        folder.mkdir()
        with FaultyFs(folder) as disk:
            mill = Mill(folder, renditions=ONE, settle_seconds=0.1, path=str(disk.mount), poll_seconds=0.3)
            mill.inbox = disk.mount
            mill.start()
            try:
                disk.fail(*fault, "a.jpg")
                (disk.backing / "a.jpg").write_bytes(picture("JPEG"))
                mill.wait_for(lambda mill=mill, note=note: note in story(mill, "a.jpg").lower())
                assert mill.outputs() == []
                if note == "busy":
                    mill.wait_for(lambda mill=mill: "a.jpg (Device or resource busy)" in trouble(mill))
                    mill.wait_for(lambda mill=mill: mill.log.read_text().count("a file cannot be looked at") == 1)
                disk.heal()
                mill.wait_for(lambda mill=mill: outcomes(mill) == ["published"])
                assert trouble(mill) == ""
            finally:
                mill.stop()


def test_a_picture_waits_for_its_done_file(make: Make, tmp_path: Path) -> None:
    mill = make(done_suffix=".done", incomplete_timeout_seconds=0.1, archive="archive")
    for seed, name in enumerate(("a.jpg", "b.jpg", "c.jpg")):
        mill.drop(name, picture("JPEG", seed))
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        wait_for_note(mill, name, "waiting for its done-file")
    (mill.inbox / "a.jpg.done").touch()
    (mill.inbox / "b.done").touch()
    mill.wait_for(lambda: outcomes(mill) == ["published"] * 2)
    moved = ["a.jpg", "a.jpg.done", "b.done", "b.jpg"]
    mill.wait_for(lambda: sorted(os.listdir(tmp_path / "archive")) == moved)
    assert os.listdir(mill.inbox) == ["c.jpg"]
    assert "waiting for its done-file" in mill.why("c.jpg")
    assert '"ignored"' not in mill.log.read_text()


@pytest.mark.long
def test_done_files_may_come_first_and_are_never_jobs(make: Make) -> None:
    mill = make(done_suffix=".done")
    (mill.inbox / "a.jpg.done").write_bytes(b"")
    (mill.inbox / "lonely.done").write_bytes(picture("JPEG"))
    wait_for_note(mill, "lonely.done", "ignored: done-file")
    mill.drop("a.jpg", picture("JPEG"))
    mill.wait_for(lambda: outcomes(mill) == ["published"])
    assert sorted(os.listdir(mill.inbox)) == ["a.jpg", "a.jpg.done", "lonely.done"]
    assert '"ignored"' not in mill.log.read_text()


@pytest.mark.long
def test_run_once_does_not_wait_for_done_files(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE, done_suffix=".done")
    mill.drop("a.jpg", picture("JPEG"))
    mill.drop("b.jpg", picture("JPEG", 2))
    (mill.inbox / "b.done").touch()
    assert mill.once().returncode == 0
    assert mill.outputs() == ["b-t.jpg"]
    (mill.inbox / "a.done").touch()
    assert mill.once().returncode == 0
    assert mill.outputs() == ["a-t.jpg", "b-t.jpg"]
