"""A picture's way through the real daemon, by what a user sees: files in, files out, and what dropmill says of them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

import pictures
from harness import Mill

TWO = [{"name": "large", "fit": [160, 160]}, {"name": "thumb", "fit": [48, 48]}]
ONE = [{"name": "t", "fit": [48, 48]}]


def photo(seed: int, width: int = 120, height: int = 80) -> bytes:
    return pictures.jpeg(pictures.photo(width, height, seed))


def outcomes(mill: Mill) -> dict[str, str]:
    """The newest outcome or reason of each file by its path in the inbox."""
    found = {}
    for job in sorted(mill.jobs(), key=lambda job: job["id"]):
        found[os.path.relpath(job["source"], mill.inbox)] = job["outcome"] or job["reason"] or job["state"]
    return found


def test_a_dropped_picture_becomes_renditions_and_the_original_stays(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=TWO)
    original = mill.drop("a.jpg", photo(1, 640, 480))
    result = mill.once()
    assert result.returncode == 0, result.stderr
    assert mill.outputs() == ["a-large.jpg", "a-thumb.jpg"]
    with Image.open(mill.output / "a-large.jpg") as large:
        assert large.size == (160, 120)
    assert original.exists()
    (job,) = mill.jobs()
    assert (job["state"], job["outcome"], job["attempts"], job["found_by"]) == ("completed", "published", 1, "startup")
    assert job["outputs"] == [str(mill.output / name) for name in mill.outputs()]


def test_w01_a_scanner_that_reopens_the_file_page_by_page_gives_one_picture_of_the_final_bytes(tmp_path: Path) -> None:
    # What is cut off in its middle is waited for, however slow the scanner is.
    mill = Mill(tmp_path, renditions=ONE, settle_seconds=0.6, incomplete_timeout_seconds=600)
    final = photo(5, 400, 300)
    mill.start()
    path = mill.inbox / "scan.jpg"
    for part in range(1, 5):
        path.write_bytes(final[: len(final) * part // 4])
        time.sleep(0.25)  # The scanner's pace between two pages, which is the situation itself.
    mill.wait_for(lambda: outcomes(mill).get("scan.jpg") == "published")
    assert mill.stop() == 0
    published = [job for job in mill.jobs() if job["outcome"] == "published"]
    assert [job["sha256"] for job in published] == [hashlib.sha256(final).hexdigest()]
    assert all(job["outcome"] in {"published", "superseded"} for job in mill.jobs())


SETTLE = 1.5


def written_in_time(mill: Mill, steps: Callable[[Path], Iterator[float]]) -> Path:
    """A file to which something happened again and again, each time before it could settle.

    ``steps`` acts and yields how many seconds pass until it goes on. Where this process was kept from going on in
    time, so that the file may rightly have settled, all is done anew with another file, whose bytes have to be others.
    """
    for attempt in range(20):
        path = mill.inbox / f"{attempt}.bmp"
        before, in_time = time.monotonic(), True
        for pause in steps(path):
            time.sleep(pause)
            now = time.monotonic()
            in_time = in_time and now - before < SETTLE - 0.1
            before = now
        # Its last act counts too.
        if in_time and time.monotonic() - before < SETTLE - 0.1:
            return path
    raise AssertionError("the machine was too slow for it twenty times")


def test_w02_modifications_restart_the_clock(tmp_path: Path) -> None:
    """The picture is whole from the beginning, so that nothing but the clock says that it is not finished."""
    mill = Mill(tmp_path, renditions=ONE, settle_seconds=SETTLE)
    data = pictures.encoded(pictures.photo(60, 40, 6), "BMP")
    mill.start()

    def grow(path: Path) -> Iterator[float]:
        with path.open("wb", buffering=0) as file:
            file.write(data + path.name.encode())
            for _ in range(10):  # Only MODIFY events, for twice the settle time in all.
                yield 0.3
                file.write(b"more")

    path = written_in_time(mill, grow)
    mill.wait_for(lambda: outcomes(mill).get(path.name) == "published")
    assert mill.stop() == 0
    jobs = [job for job in mill.jobs() if job["source"] == str(path)]
    assert [job["sha256"] for job in jobs] == [hashlib.sha256(data + path.name.encode() + b"more" * 10).hexdigest()]


def test_w07_a_copy_that_preserves_an_old_mtime_is_not_taken_for_settled(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE, settle_seconds=SETTLE)
    final = pictures.encoded(pictures.photo(60, 40, 7), "BMP")
    mill.start()

    def copy(path: Path) -> Iterator[float]:
        for data in (pictures.encoded(pictures.photo(60, 40, 8), "BMP"), final):
            aside = tmp_path / "aside"
            aside.write_bytes(data + path.name.encode())
            os.utime(aside, (1e9, 1e9))
            aside.rename(path)
            yield SETTLE * 0.6  # Long enough to be looked at, and too short to settle but for its age of years.

    path = written_in_time(mill, copy)
    mill.wait_for(lambda: outcomes(mill).get(path.name) == "published")
    assert mill.stop() == 0
    jobs = [job for job in mill.jobs() if job["source"] == str(path)]
    assert [job["sha256"] for job in jobs] == [hashlib.sha256(final + path.name.encode()).hexdigest()]


def test_w09_junk_names_and_ignored_directories_never_become_jobs(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE)
    data = photo(8)
    for name in (
        "._x.jpg",
        ".name.X7a2Qz",
        "a.jpg.part",
        "b.crdownload",
        "c.tmp",
        "~$d.jpg",
        "e.jpg.filepart",
        "Thumbs.db",
    ):
        mill.drop(name, data)
    for folder in ("@eaDir", "#recycle", "__MACOSX", ".stversions"):
        mill.drop(f"{folder}/x.jpg", photo(9))
    mill.drop("good.jpg", data)
    assert mill.once().returncode == 0
    assert outcomes(mill) == {"good.jpg": "published"}
    assert (mill.inbox / "._x.jpg").exists()


def test_w10_a_directory_full_of_files_is_moved_in(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE)
    aside = tmp_path / "aside"
    for number in range(12):
        folder = aside / f"day{number % 3}" / "deep"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.jpg").write_bytes(photo(number + 20))
    mill.start()
    aside.rename(mill.inbox / "trip")
    mill.wait_for(lambda: len(mill.jobs(state="completed")) == 12)
    assert mill.stop() == 0
    assert len(mill.outputs()) == 12
    assert "trip/day0/deep/0-t.jpg" in mill.outputs()
    assert {job["label"] for job in mill.jobs()} == {f"trip/day{day}/deep" for day in range(3)}


def test_w11_files_that_arrive_by_rename_hard_link_and_symlink(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE)
    aside = tmp_path / "aside"
    aside.mkdir()
    for number in range(3):
        (aside / f"{number}.jpg").write_bytes(photo(number + 40))
    mill.start()
    os.rename(aside / "0.jpg", mill.inbox / "renamed.jpg")
    os.link(aside / "1.jpg", mill.inbox / "linked.jpg")
    os.symlink(aside / "2.jpg", mill.inbox / "symlink.jpg")
    mill.wait_for(lambda: len(mill.jobs(state="completed")) == 2 and "symbolic" in mill.why("symlink.jpg"))
    assert mill.stop() == 0
    assert outcomes(mill) == {"renamed.jpg": "published", "linked.jpg": "published"}


def test_w12_files_that_were_there_before_the_start_are_found_by_it(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE)
    for number in range(5):
        mill.drop(f"sub{number}/{number}.jpg", photo(number + 60))
    mill.start()
    mill.wait_for(lambda: len(mill.jobs(state="completed")) == 5)
    assert mill.stop() == 0
    assert {job["found_by"] for job in mill.jobs()} == {"startup"}


def test_w13_writes_that_race_with_a_new_directory_are_not_missed(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE, reconcile_seconds=3600)
    data = [photo(number + 80) for number in range(30)]
    mill.start()
    # What the scan at start meets would be found even by a daemon that watches nothing.
    mill.wait_for(lambda: mill.metric("dropmill_scan_seconds_count") == 1)

    def write(part: int) -> None:
        for number in range(part, 30, 3):
            folder = mill.inbox / f"d{number}" / "e" / "f"
            folder.mkdir(parents=True)
            (folder / f"{number}.jpg").write_bytes(data[number])

    threads = [threading.Thread(target=write, args=(part,)) for part in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    mill.wait_for(lambda: len(mill.jobs(state="completed")) == 30)
    assert mill.stop() == 0
    assert {job["found_by"] for job in mill.jobs()} == {"event"}


def test_w18_names_of_every_kind_are_processed_and_shown_escaped(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE)
    names = [
        b"caf\xe9.jpg",
        b"line\nbreak.jpg",
        b"\x1b[31mred.jpg",
        "bidi\u202egpj.exe.jpg".encode(),
        b"n" * 251 + b".jpg",
        "写真 ünï.jpg".encode(),
        b"--help.jpg",
    ]
    for number, name in enumerate(names):
        mill.drop(name, photo(number + 120))
    result = mill.once()
    assert result.returncode == 0, result.stderr
    assert len(mill.jobs(state="completed")) == len(names)
    produced = os.listdir(os.fsencode(mill.output))
    assert b"caf\xe9-t.jpg" in produced
    assert all(len(name) <= 255 for name in produced)
    for text in (result.stdout, result.stderr, json.dumps(mill.jobs())):
        assert "\x1b[31mred" not in text
        assert "\u202e" not in text


def test_w20_an_inode_that_is_used_again_is_another_file(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE)
    for attempt in range(20):
        first = mill.drop(f"first{attempt}.jpg", photo(140 + attempt))
        assert mill.once().returncode == 0
        inode = first.stat().st_ino
        first.unlink()
        second = mill.drop(f"second{attempt}.jpg", photo(170 + attempt))
        if second.stat().st_ino == inode:
            break  # Else somebody else was quicker.
        second.unlink()
    else:
        pytest.skip("this file system does not use the inode again")
    assert mill.once().returncode == 0
    assert outcomes(mill)[second.name] == "published"


def test_w22_a_restart_queues_nothing_twice(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE)
    for number in range(10):
        mill.drop(f"{number}.jpg", photo(number + 160))
    mill.start()
    mill.wait_for(lambda: len(mill.jobs()) == 10)
    mill.kill()
    mill.start()
    mill.wait_for(lambda: len(mill.jobs(state="completed")) == 10)
    assert mill.stop() == 0
    assert mill.once().returncode == 0
    assert len(mill.jobs()) == 10
    assert len(mill.outputs()) == 10


def test_w24_a_duplicate_that_stays_is_not_reported_again(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE)
    mill.drop("a.jpg", photo(180))
    mill.drop("b.jpg", photo(180))
    assert mill.once().returncode == 0
    assert sorted(outcomes(mill).values()) == ["duplicate", "published"]
    for _ in range(2):
        assert mill.once().returncode == 0
    assert len(mill.jobs()) == 2
    assert (mill.inbox / "a.jpg").exists()
    assert (mill.inbox / "b.jpg").exists()


def test_w30_one_bad_file_is_isolated_and_the_others_go_on(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE, quarantine="quarantine")
    mill.drop("bad.jpg", b"this is no picture")
    mill.drop("cut.jpg", photo(200, 400, 300)[:3000])
    for number in range(4):
        mill.drop(f"{number}.jpg", photo(number + 201))
    result = mill.once()
    assert result.returncode == 3
    found = outcomes(mill)
    assert found["bad.jpg"] == "not-an-image"
    assert found["cut.jpg"] == "truncated"
    assert sorted(found.values()).count("published") == 4
    assert sorted(os.listdir(tmp_path / "quarantine")) == [
        "bad.jpg",
        "bad.jpg.reason.json",
        "cut.jpg",
        "cut.jpg.reason.json",
    ]
    reason = json.loads((tmp_path / "quarantine" / "cut.jpg.reason.json").read_text())
    assert reason["reason"] == "truncated"
    assert reason["remedy"]
    assert not (mill.inbox / "bad.jpg").exists()


def test_without_a_quarantine_the_broken_stay_where_they_are(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE)
    mill.drop("bad.jpg", b"this is no picture")
    assert mill.once().returncode == 3
    assert (mill.inbox / "bad.jpg").exists()
    assert mill.once().returncode == 0, "discarded in an earlier run, not in this one"


def test_w31_moving_the_original_keeps_times_and_permissions(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE, archive="archive")
    path = mill.drop("a.jpg", photo(220))
    os.utime(path, ns=(10**18, 10**18 + 12345))
    path.chmod(0o640)
    assert mill.once().returncode == 0
    moved = (tmp_path / "archive" / "a.jpg").stat()
    assert (moved.st_mtime_ns, stat.S_IMODE(moved.st_mode)) == (10**18 + 12345, 0o640)
    assert not path.exists()


def test_w32_the_daemons_own_reads_and_moves_cause_no_new_jobs(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE, archive="archive", quarantine="quarantine", reconcile_seconds=0.3)
    mill.start()
    for number in range(5):
        mill.drop(f"{number}.jpg", photo(number + 240))
    mill.drop("bad.jpg", b"no")
    mill.wait_for(lambda: os.listdir(mill.inbox) == [])
    scans = mill.metric("dropmill_scans_total")
    mill.wait_for(lambda: mill.metric("dropmill_scans_total") >= scans + 3)
    assert len(mill.jobs()) == 6
    assert mill.metric("dropmill_files_found_total") == 6
    assert mill.stop() == 0


def test_w35_touch_chmod_and_restore_change_nothing(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE, duplicates="duplicates")
    paths = [mill.drop(f"{number}.jpg", photo(number + 260)) for number in range(3)]
    assert mill.once().returncode == 0
    before = {name: (mill.output / name).stat().st_ino for name in mill.outputs()}
    os.utime(paths[0])
    paths[1].chmod(0o600)
    copy = tmp_path / "copy"
    shutil.copyfile(paths[2], copy)
    os.replace(copy, paths[2])
    assert mill.once().returncode == 0
    assert [job["outcome"] for job in sorted(mill.jobs(), key=lambda job: job["id"])][3:] == ["unchanged"] * 3
    assert {name: (mill.output / name).stat().st_ino for name in mill.outputs()} == before
    assert all(path.exists() for path in paths)
    assert not os.listdir(tmp_path / "duplicates")


def test_w39_a_file_that_its_user_renames_has_moved(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE, duplicates="duplicates")
    mill.drop("a/one.jpg", photo(280))
    mill.drop("two.jpg", photo(281))
    mill.start()
    mill.wait_for(lambda: len(mill.jobs(state="completed")) == 2)
    (mill.inbox / "a").rename(mill.inbox / "b")
    (mill.inbox / "two.jpg").rename(mill.inbox / "zwei.jpg")
    mill.wait_for(lambda: {"b/one.jpg", "zwei.jpg"} <= outcomes(mill).keys())
    mill.wait_for(lambda: outcomes(mill)["b/one.jpg"] == outcomes(mill)["zwei.jpg"] == "moved")
    assert mill.stop() == 0
    assert mill.outputs() == ["a/one-t.jpg", "two-t.jpg"]
    assert (mill.inbox / "b" / "one.jpg").exists()
    assert not os.listdir(tmp_path / "duplicates")


def test_w39_two_files_that_swap_their_names_stay_where_they_are(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE, duplicates="duplicates")
    one, two = mill.drop("one.jpg", photo(282)), mill.drop("two.jpg", photo(283))
    assert mill.once().returncode == 0
    one.rename(tmp_path / "x")
    two.rename(one)
    (tmp_path / "x").rename(two)
    assert mill.once().returncode == 0
    assert one.exists()
    assert two.exists()
    assert not os.listdir(tmp_path / "duplicates")


def test_w23_a_name_rewritten_while_it_is_processed_loses_neither_version(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE, archive="archive", settle_seconds=0.05)
    mill.start()
    versions = [photo(300 + number, 900, 700) for number in range(8)]
    for data in versions:
        aside = tmp_path / "aside.jpg"
        aside.write_bytes(data)
        before = len(mill.jobs())
        os.replace(aside, mill.inbox / "live.jpg")
        mill.wait_for(lambda before=before: len(mill.jobs()) > before)
    mill.wait_for(lambda: not (mill.inbox / "live.jpg").exists() and mill.done(len(mill.jobs())))
    assert mill.stop() == 0
    ends = [job["outcome"] for job in mill.jobs()]
    assert set(ends) <= {"published", "superseded"}
    archived = {hashlib.sha256(path.read_bytes()).hexdigest() for path in (tmp_path / "archive").iterdir()}
    published = {job["sha256"] for job in mill.jobs() if job["outcome"] == "published"}
    assert hashlib.sha256(versions[-1]).hexdigest() in archived
    assert archived <= published
    # A version that a user's rename replaced before it was moved is his to destroy; every other one is in the archive.
    assert len(mill.outputs()) == len(published)


def test_s09_sigterm_with_jobs_in_flight_loses_nothing(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE, settle_seconds=0.05)
    for number in range(40):
        mill.drop(f"{number}.jpg", photo(number + 400, 500, 400))
    mill.start()
    mill.wait_for(lambda: len(mill.jobs(state="completed")) >= 3)
    assert mill.stop() == 0
    states = {job["state"] for job in mill.jobs()}
    assert states <= {"completed", "available"}
    assert os.listdir(mill.output / ".dropmill") == ["root-id"]
    assert mill.once().returncode == 0
    assert len(mill.outputs()) == 40
    assert all(job["attempts"] == 1 for job in mill.jobs())


def test_two_copies_racing_through_two_workers_give_one_published_and_one_duplicate(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE, workers={"processes": 4})
    for number in range(12):
        for copy in range(3):
            mill.drop(f"{number}-{copy}.jpg", photo(number + 500))
    assert mill.once().returncode == 0
    found = list(outcomes(mill).values())
    assert (found.count("published"), found.count("duplicate")) == (12, 24)
    assert len(mill.outputs()) == 12


def test_a_copy_that_differs_in_metadata_only_is_a_duplicate_by_its_coded_image(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE, duplicates="duplicates")
    picture = pictures.photo(200, 150, 520)
    plain = pictures.jpeg(picture)
    mill.drop("a.jpg", plain)
    assert mill.once().returncode == 0
    mill.drop("b.jpg", pictures.jpeg_with(pictures.segment(0xFE, b"a comment"), plain))
    assert mill.once().returncode == 0
    assert outcomes(mill) == {"a.jpg": "published", "b.jpg": "duplicate"}
    assert os.listdir(tmp_path / "duplicates") == ["b.jpg"]


def test_w15_an_overflow_of_the_event_queue_is_followed_by_a_full_scan(tmp_path: Path) -> None:
    """The reader is stopped, the kernel's queue of 16,384 events overflows, and nothing is missed."""
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if limit > 20_000:
        pytest.skip(f"fs.inotify.max_queued_events is {limit}")
    mill = Mill(tmp_path, renditions=ONE, reconcile_seconds=3600)
    mill.start()
    mill.wait_for(lambda: mill.metric("dropmill_scans_total") == 1)  # Else the scan at start may find them.
    mill.freeze()
    picture = mill.drop("first.jpg", photo(540))
    for number in range(limit // 3 + 2000):  # Each makes at least three events: create, modify, close.
        (mill.inbox / f"{number:05}.txt").write_bytes(b"x")
    for number in range(20):
        mill.drop(f"late{number}.jpg", photo(541 + number))
    mill.thaw()
    mill.wait_for(lambda: len(mill.jobs(state="completed")) == 21, seconds=60)
    assert mill.metric("dropmill_events_lost_total") >= 1
    assert picture.exists()
    assert mill.stop() == 0
    assert "overflow" in {job["found_by"] for job in mill.jobs()}
