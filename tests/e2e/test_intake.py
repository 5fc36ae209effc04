"""What an inbox may take for deleted, for new and for its own, in a real daemon."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

import parts
import pictures
from harness import Mill

ONE = [{"name": "t", "fit": [40, 40], "format": "jpeg"}]


def photo(seed: int) -> bytes:
    return pictures.jpeg(pictures.photo(60, 40, seed))


def outcomes(mill: Mill) -> list[str]:
    return sorted(str(job["outcome"] or job["reason"]) for job in mill.jobs())


def more_scans(mill: Mill, number: int) -> None:
    scans = mill.metric("dropmill_scans_total")
    mill.wait_for(lambda: mill.metric("dropmill_scans_total") >= scans + number)


@pytest.mark.long
def test_w26_a_disk_below_the_inbox_that_is_unmounted_is_not_everything_on_it_deleted(tmp_path: Path) -> None:
    """The inbox itself stays where it was; what is gone from it was on a file system of its own."""
    parts.need_programs(unshare="util-linux", nsenter="util-linux")
    parts.need_root()
    mill = Mill(tmp_path, renditions=ONE, reconcile_seconds=1, on_source_deleted="remove")
    disk = mill.inbox / "nas"
    disk.mkdir()
    mount = f"mount -t tmpfs tmpfs {disk}"
    mill.wrapper = ["unshare", "-m", "sh", "-c", f'{mount}; exec "$@"', "sh"]
    mill.start()

    def inside(*command: str) -> None:
        assert mill.process is not None
        subprocess.run(["nsenter", "-m", "-t", str(mill.process.pid), *command], check=True)

    for number, name in enumerate(("nas/deep/x.jpg", "nas/y.jpg", "here.jpg")):
        (tmp_path / "source.jpg").write_bytes(photo(number))
        inside("mkdir", "-p", str((mill.inbox / name).parent))
        inside("cp", str(tmp_path / "source.jpg"), str(mill.inbox / name))
    mill.wait_for(lambda: len(mill.outputs()) == 3)
    inside("umount", "-l", str(disk))
    inside("rm", str(mill.inbox / "here.jpg"))
    # What was deleted on the disk that is still there goes, and by then the others would have gone too.
    mill.wait_for(lambda: "here-t.jpg" not in mill.outputs())
    more_scans(mill, 4)
    assert mill.outputs() == ["nas/deep/x-t.jpg", "nas/y-t.jpg"]
    assert mill.stop() == 0


@pytest.mark.long
def test_w39_a_folder_that_is_renamed_is_not_deleted_while_it_settles(tmp_path: Path) -> None:
    """Scans are much more frequent than files settle, so that two of them miss the old name before the new one is known."""
    mill = Mill(
        tmp_path, renditions=ONE, on_source_deleted="remove", watch="poll", poll_seconds=0.2, settle_seconds=4.0
    )
    mill.start()
    for number in range(3):
        mill.drop(f"A/{number}.jpg", photo(number))
    mill.wait_for(lambda: len(mill.outputs()) == 3)
    (mill.inbox / "A").rename(mill.inbox / "B")
    mill.wait_for(lambda: len(mill.jobs()) == 6 and not mill.jobs("available") and not mill.jobs("executing"))
    assert outcomes(mill) == ["moved"] * 3 + ["published"] * 3
    assert "the original was deleted" not in mill.log.read_text()
    assert mill.stop() == 0


@pytest.mark.long
def test_w39_two_scans_in_a_row_are_not_two_looks(tmp_path: Path) -> None:
    """A file that is taken out and put back by another program is missing for a moment only."""
    mill = Mill(
        tmp_path, renditions=ONE, on_source_deleted="remove", watch="poll", poll_seconds=0.2, settle_max_seconds=15.0
    )
    mill.start()
    path = mill.drop("a.jpg", photo(1))
    mill.wait_for(lambda: mill.outputs() == ["a-t.jpg"])
    more_scans(mill, 2)
    path.rename(tmp_path / "aside.jpg")
    more_scans(mill, 4)
    assert mill.outputs() == ["a-t.jpg"]
    (tmp_path / "aside.jpg").rename(path)
    assert mill.stop() == 0


@pytest.mark.long
def test_w16_new_modes_of_a_file_that_never_became_a_picture_are_no_reason_to_poll(tmp_path: Path) -> None:
    """No version of it was ever decided, and yet it is known: no event tells of chmod, and none has to."""
    mill = Mill(tmp_path, renditions=ONE, reconcile_seconds=1, incomplete_timeout_seconds=0.2)
    mill.start()
    mill.drop("broken.jpg", photo(1)[:-200])
    mill.wait_for(lambda: outcomes(mill) == ["truncated"])
    (mill.inbox / "broken.jpg").chmod(0o640)
    mill.wait_for(lambda: outcomes(mill) == ["truncated"] * 2)
    # The first one may be met by a scan, too, where that comes before its event.
    assert max(mill.jobs(), key=lambda job: job["id"])["found_by"] == "reconcile"
    more_scans(mill, 12)
    assert mill.get("/api/v1/status").json()["inboxes"][0]["watch"] == "events"
    assert "the watcher missed it" not in mill.log.read_text()
    assert mill.stop() == 0


def test_s03_what_was_refused_as_a_foreign_link_is_taken_once_the_inbox_allows_it(tmp_path: Path) -> None:
    parts.need_root()
    mill = Mill(tmp_path, renditions=ONE)
    elsewhere = tmp_path / "elsewhere.jpg"
    elsewhere.write_bytes(photo(1))
    os.chown(elsewhere, 12345, 12345)
    os.link(elsewhere, mill.inbox / "a.jpg")
    assert mill.once().returncode == 0
    assert "foreign-hard-link" in mill.why("a.jpg")
    assert mill.outputs() == []
    mill.configure(hard_links="any")
    assert mill.once().returncode == 0
    assert mill.outputs() == ["a-t.jpg"]


def test_w24_what_was_ignored_for_its_ending_is_taken_once_the_ending_means_nothing_any_more(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE, done_suffix=".ready", companions=["side"])
    mill.drop("done.ready", photo(1))
    mill.drop("note.side", pictures.encoded(pictures.photo(60, 40, 2), "PNG"))
    mill.drop("note.jpg", photo(3))
    assert mill.once().returncode == 0
    assert "ignored: done-file" in mill.why("done.ready")
    assert "ignored: companion" in mill.why("note.side")
    assert mill.once().returncode == 0
    assert mill.outputs() == []
    mill.configure(done_suffix="", companions=["xmp"])
    assert mill.once().returncode == 0
    assert len(mill.outputs()) == 3
