"""The rules of DESIGN's *What happens to a file*, each as a user would try it."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import struct
from pathlib import Path

import pytest
from PIL import Image

import pictures
from harness import Mill

ONE = [{"name": "t", "fit": [48, 48]}]
TWO = [{"name": "large", "fit": [160, 160]}, {"name": "thumb", "fit": [48, 48]}]


def photo(seed: int, width: int = 120, height: int = 80) -> bytes:
    return pictures.jpeg(pictures.photo(width, height, seed))


def last(mill: Mill) -> str:
    job = max(mill.jobs(), key=lambda job: job["id"])
    return str(job["outcome"] or job["reason"])


def dng() -> bytes:
    """A TIFF that says it is a DNG, with a picture that must never be published as the photograph."""
    return pictures.tiff_directory([(256, 4, 1, 16), (257, 4, 1, 16), (50706, 1, 4, 0x00000401)])


def test_nothing_is_moved_without_a_named_folder(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE)
    for name, data in (("a.jpg", photo(1)), ("copy.jpg", photo(1)), ("bad.jpg", b"no"), ("notes.txt", b"text")):
        mill.drop(name, data)
    assert mill.once().returncode == 3
    assert sorted(os.listdir(mill.inbox)) == ["a.jpg", "bad.jpg", "copy.jpg", "notes.txt"]


def test_deleting_needs_the_word(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE, on_success="delete", on_duplicate="delete")
    mill.drop("a.jpg", photo(1))
    mill.drop("b.jpg", photo(1))
    mill.drop("bad.jpg", b"no")
    assert mill.once().returncode == 3
    assert os.listdir(mill.inbox) == ["bad.jpg"]
    assert len(mill.outputs()) == 1


def test_new_bytes_under_a_known_name_replace_its_renditions(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE)
    mill.drop("a.jpg", photo(1))
    assert mill.once().returncode == 0
    before = (mill.output / "a-t.jpg").read_bytes()
    mill.drop("a.jpg", photo(2))
    assert mill.once().returncode == 0
    assert last(mill) == "published"
    assert mill.outputs() == ["a-t.jpg"]
    assert (mill.output / "a-t.jpg").read_bytes() != before


def test_a_new_format_under_a_known_name_leaves_no_old_rendition_behind(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE)
    mill.drop("a.jpg", photo(1))
    assert mill.once().returncode == 0
    mill.drop("a.jpg", pictures.png(pictures.transparent()))
    assert mill.once().returncode == 0
    assert mill.outputs() == ["a-t.png"]


def test_versions_are_added_where_the_inbox_asks_for_it(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE, on_source_changed="version")
    mill.drop("a.jpg", photo(1))
    assert mill.once().returncode == 0
    second = photo(2)
    mill.drop("a.jpg", second)
    assert mill.once().returncode == 0
    assert mill.outputs() == ["a-t.jpg", f"a~{hashlib.sha256(second).hexdigest()[:8]}-t.jpg"]


def test_going_back_to_earlier_bytes_publishes_them_again(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE)
    contents = []
    for seed in (1, 2, 1):
        mill.drop("a.jpg", photo(seed))
        assert mill.once().returncode == 0
        contents.append((mill.output / "a-t.jpg").read_bytes())
    assert contents[0] == contents[2] != contents[1]


def test_renditions_of_a_deleted_source_go_where_the_inbox_asks_for_it(tmp_path: Path) -> None:
    for policy, left in (("keep", ["a-t.jpg"]), ("remove", [])):
        mill = Mill(tmp_path / policy, renditions=ONE, on_source_deleted=policy)
        path = mill.drop("a.jpg", photo(1))
        assert mill.once().returncode == 0
        path.unlink()
        assert mill.once().returncode == 0
        assert mill.outputs() == ["a-t.jpg"], "one scan without it is not enough"
        assert mill.once().returncode == 0
        assert mill.outputs() == left


@pytest.mark.long
def test_renditions_that_another_path_leans_on_stay(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE, on_source_deleted="remove")
    path = mill.drop("a.jpg", photo(1))
    assert mill.once().returncode == 0
    mill.drop("b.jpg", photo(1))
    assert mill.once().returncode == 0
    path.unlink()
    for _ in range(3):
        assert mill.once().returncode == 0
    assert mill.outputs() == ["a-t.jpg"]


@pytest.mark.parametrize(("scope", "published"), [("output", 2), ("global", 1)])
def test_duplicates_have_a_scope(tmp_path: Path, scope: str, published: int) -> None:
    mill = Mill(tmp_path, renditions=ONE, dedupe={"scope": scope}, second_inbox={"output": "out2"})
    mill.drop("a.jpg", photo(1))
    assert mill.once().returncode == 0
    mill.drop("b.jpg", photo(1), inbox="second")
    assert mill.once().returncode == 0
    assert len([job for job in mill.jobs() if job["outcome"] == "published"]) == published


def test_within_one_output_two_inboxes_share_what_is_known(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE, second_inbox={})
    mill.drop("a.jpg", photo(1))
    mill.drop("b.jpg", photo(1), inbox="second")
    assert mill.once().returncode == 0
    assert sorted(job["outcome"] for job in mill.jobs()) == ["duplicate", "published"]


def test_with_the_inbox_as_scope_each_publishes_its_own(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE, dedupe={"scope": "inbox"}, second_inbox={})
    mill.drop("a.jpg", photo(1))
    mill.drop("b.jpg", photo(1), inbox="second")
    assert mill.once().returncode == 0
    assert [job["outcome"] for job in mill.jobs()] == ["published", "published"]
    assert mill.outputs() == ["a-t.jpg", "b-t.jpg"]


def test_with_exact_off_every_file_is_published(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE, dedupe={"exact": "off"})
    mill.drop("a.jpg", photo(1))
    mill.drop("b.jpg", photo(1))
    assert mill.once().returncode == 0
    assert mill.outputs() == ["a-t.jpg", "b-t.jpg"]


def test_i01_what_is_not_ours_is_ignored_and_stays(tmp_path: Path) -> None:
    files = {
        "notes.txt": b"just text",
        "paper.pdf": b"%PDF-1.7\n" + b"x" * 100,
        "scan.jpg": b"%PDF-1.7\n" + b"x" * 100,
        "drawing.svg": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>',
        "layers.psd": b"8BPS\0\1" + b"\0" * 100,
        "photo.dng": dng(),
        "other.tif": dng(),
        "film.mp4": struct.pack(">I4s4sI", 24, b"ftyp", b"isom", 0) + b"mp42avc1" + b"\0" * 64,
    }
    mill = Mill(tmp_path, renditions=ONE, quarantine="quarantine")
    for name, data in files.items():
        mill.drop(name, data)
    assert mill.once().returncode == 0
    assert (mill.jobs(), mill.outputs()) == ([], [])
    for name, data in files.items():
        assert (mill.inbox / name).read_bytes() == data
        assert ("not-an-image" if name == "notes.txt" else "unsupported-format") in mill.why(name), name


def test_unsupported_kinds_go_to_quarantine_where_the_inbox_asks_for_it(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE, quarantine="quarantine", on_unsupported="quarantine")
    mill.drop("paper.pdf", b"%PDF-1.7\n" + b"x" * 100)
    mill.drop("notes.txt", b"text")
    assert mill.once().returncode == 3
    assert sorted(os.listdir(tmp_path / "quarantine")) == ["paper.pdf", "paper.pdf.reason.json"]
    assert os.listdir(mill.inbox) == ["notes.txt"]


def test_i01_an_empty_file_waits_and_is_then_discarded(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE, incomplete_timeout_seconds=0.5)
    mill.drop("empty.jpg", b"")
    assert mill.once().returncode == 3
    assert last(mill) == "empty"


def test_companions_move_with_their_image_and_are_never_jobs(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE, archive="archive")
    mill.drop("IMG_1.jpg", photo(1))
    mill.drop("IMG_1.xmp", b"<x/>")
    mill.drop("IMG_1.jpg.xmp", b"<y/>")
    mill.drop("IMG_1.dng", dng())
    mill.drop("IMG_2.xmp", b"<z/>")
    assert mill.once().returncode == 0
    assert sorted(os.listdir(tmp_path / "archive")) == ["IMG_1.dng", "IMG_1.jpg", "IMG_1.jpg.xmp", "IMG_1.xmp"]
    assert os.listdir(mill.inbox) == ["IMG_2.xmp"]
    assert len(mill.jobs()) == 1


def test_s04_images_that_want_one_name_both_get_published(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE, names="{stem}-{rendition}.{ext}")
    mill.drop("x/a.jpg", photo(1))
    mill.drop("y/a.jpg", photo(2))
    mill.drop("z/A.jpg", photo(3))
    assert mill.once().returncode == 0
    names = mill.outputs()
    assert len(names) == 3
    assert len({name.lower() for name in names}) == 3
    assert sum("~" in name for name in names) == 2


def test_s04_a_foreign_file_with_the_name_is_never_overwritten(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=[{"name": "large", "fit": [100, 100]}, {"name": "thumb", "fit": [48, 48]}])
    mill.output.mkdir(exist_ok=True)
    (mill.output / "a-thumb.jpg").write_bytes(b"somebody else's")
    data = photo(1)
    mill.drop("a.jpg", data)
    assert mill.once().returncode == 0
    mark = hashlib.sha256(data).hexdigest()[:8]
    assert mill.outputs() == ["a-thumb.jpg", f"a~{mark}-large.jpg", f"a~{mark}-thumb.jpg"]
    assert (mill.output / "a-thumb.jpg").read_bytes() == b"somebody else's"


def test_w36_byte_identical_files_at_the_target_are_adopted(tmp_path: Path) -> None:
    """The state is lost and everything runs again: nothing is doubled, nothing gets a suffix."""
    mill = Mill(tmp_path, renditions=ONE)
    mill.drop("a.jpg", photo(1))
    assert mill.once().returncode == 0
    inode = (mill.output / "a-t.jpg").stat().st_ino
    mill.forget_everything()
    assert mill.once().returncode == 0
    assert mill.outputs() == ["a-t.jpg"]
    assert (mill.output / "a-t.jpg").stat().st_ino == inode


def test_names_come_from_the_template(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE, names="{date:%Y/%m}/{sha256:2}/{inbox}-{stem}-{rendition}.{ext}")
    dated = pictures.jpeg(
        pictures.photo(120, 80, 1), exif=pictures.exif({306: "2019:07:21 10:00:00", 36867: "2019:07:21 10:00:00"})
    )
    mill.drop("a.jpg", dated)
    mill.drop("b.jpg", photo(2))
    assert mill.once().returncode == 0
    marks = [hashlib.sha256(data).hexdigest()[:2] for data in (dated, photo(2))]
    assert mill.outputs() == sorted([f"2019/07/{marks[0]}/camera-a-t.jpg", f"undated/{marks[1]}/camera-b-t.jpg"])


def test_outputs_have_the_configured_modes_whatever_the_umask(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE, modes={"mode": "0604", "dir_mode": "0705"})
    mill.drop("deep/er/a.jpg", photo(1))
    assert mill.once(umask=0o077).returncode == 0
    assert stat.S_IMODE((mill.output / "deep/er/a-t.jpg").stat().st_mode) == 0o604
    assert stat.S_IMODE((mill.output / "deep/er").stat().st_mode) == 0o705
    assert stat.S_IMODE((mill.output / "deep").stat().st_mode) == 0o705


def test_receipts_are_off_unless_asked_for_and_are_written_last(tmp_path: Path) -> None:
    silent = Mill(tmp_path / "off", renditions=ONE)
    silent.drop("a.jpg", photo(1))
    assert silent.once().returncode == 0
    assert silent.outputs() == ["a-t.jpg"]
    mill = Mill(tmp_path / "on", renditions=ONE, receipts=True)
    mill.drop("trip/a.jpg", photo(1))
    assert mill.once().returncode == 0
    receipt = json.loads((mill.output / "trip" / "a.json").read_text())
    assert receipt["source"] == "trip/a.jpg"
    assert receipt["label"] == "trip"
    assert receipt["sha256"] == hashlib.sha256(photo(1)).hexdigest()
    assert [rendition["path"] for rendition in receipt["renditions"]] == ["trip/a-t.jpg"]
    assert len(receipt["phash"]) == 16


def test_a_name_that_is_taken_in_the_archive_gets_a_suffix(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE, archive="archive")
    second = photo(2)
    for data in (photo(1), second):
        mill.drop("DSC_0001.jpg", data)
        assert mill.once().returncode == 0
    mark = hashlib.sha256(second).hexdigest()[:8]
    assert sorted(os.listdir(tmp_path / "archive")) == ["DSC_0001.jpg", f"DSC_0001~{mark}.jpg"]
    assert mill.outputs() == ["DSC_0001-t.jpg", f"DSC_0001~{mark}-t.jpg"]


def test_reprocess_renders_an_archived_original_again(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE, archive="archive")
    mill.drop("a.jpg", photo(1, 400, 300))
    assert mill.once().returncode == 0
    mill.configure(renditions=[{"name": "t", "fit": [64, 64]}])
    assert mill.run("reprocess", str(mill.jobs()[0]["id"])).returncode == 0
    assert mill.once().returncode == 0
    assert mill.outputs() == ["a-t.jpg"]
    with Image.open(mill.output / "a-t.jpg") as rendition:
        assert max(rendition.size) == 64
    assert os.listdir(tmp_path / "archive") == ["a.jpg"]


def test_heic_is_taken_up_again_once_its_codec_is_there(tmp_path: Path) -> None:
    pytest.importorskip("pillow_heif").register_heif_opener()
    mill = Mill(tmp_path, renditions=ONE)
    mill.drop("phone.heic", pictures.encoded(pictures.photo(120, 80, 1), "HEIF"))
    assert mill.once(without_heif=True).returncode == 0
    assert mill.jobs() == []
    assert "codec-missing" in mill.why("phone.heic")
    assert mill.once().returncode == 0
    assert last(mill) == "published"


def test_w25_a_read_only_archive_keeps_the_result_and_says_so(tmp_path: Path) -> None:
    """The original cannot be moved; the renditions stand, the original stays, and the end of the run tells."""
    mill = Mill(tmp_path, renditions=ONE, archive="archive")
    (tmp_path / "archive" / "a.jpg").mkdir(parents=True)  # A directory has the name: nothing can be moved there ...
    (tmp_path / "archive").chmod(0o555)
    mill.drop("a.jpg", photo(1))
    result = mill.once()
    assert mill.outputs() == ["a-t.jpg"]
    if os.geteuid() == 0:
        assert result.returncode == 0  # ... as root by that name only: the original gets a suffix.
        assert not (mill.inbox / "a.jpg").exists()
    else:
        assert result.returncode == 1
        assert (mill.inbox / "a.jpg").exists()
    (tmp_path / "archive").chmod(0o755)


@pytest.mark.long
def test_reprocess_without_a_change_keeps_the_renditions(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=TWO, receipts=True)
    mill.drop("a.jpg", photo(1, 400, 300))
    assert mill.once().returncode == 0
    before = {name: (mill.output / name).read_bytes() for name in mill.outputs()}
    for _ in range(2):
        assert mill.run("reprocess", "--inbox", "camera").returncode == 0
        assert mill.once().returncode == 0
        assert mill.outputs() == ["a-large.jpg", "a-thumb.jpg", "a.json"]
    assert {name: (mill.output / name).read_bytes() for name in mill.outputs() if name != "a.json"} == {
        name: data for name, data in before.items() if name != "a.json"
    }


@pytest.mark.long
def test_reprocess_of_one_file_leaves_the_renditions_of_others_alone(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE, dedupe={"exact": "off"})
    for name in ("x/a.jpg", "y/a.jpg"):
        mill.drop(name, photo(1))
    assert mill.once().returncode == 0
    assert mill.run("reprocess", str(mill.inbox / "x/a.jpg")).returncode == 0
    assert mill.once().returncode == 0
    assert mill.outputs() == ["x/a-t.jpg", "y/a-t.jpg"]


@pytest.mark.long
def test_reprocess_of_a_renamed_file_replaces_its_renditions(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE)
    path = mill.drop("a.jpg", photo(1, 400, 300))
    assert mill.once().returncode == 0
    path.rename(mill.inbox / "b.jpg")
    assert mill.once().returncode == 0
    mill.configure(renditions=[{"name": "t", "fit": [64, 64]}])
    assert mill.run("reprocess", str(mill.inbox / "b.jpg")).returncode == 0
    assert mill.once().returncode == 0
    assert mill.outputs() == ["a-t.jpg"]
    with Image.open(mill.output / "a-t.jpg") as rendition:
        assert max(rendition.size) == 64


def test_an_edit_of_the_metadata_keeps_the_renditions(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE)
    data = photo(1)
    mill.drop("a.jpg", data)
    assert mill.once().returncode == 0
    for comment in (b"one", b"two"):
        mill.drop("a.jpg", pictures.jpeg_with(pictures.segment(0xFE, comment), data))
        assert mill.once().returncode == 0
        assert last(mill) == "published"
        assert mill.outputs() == ["a-t.jpg"]


def test_a_copy_with_other_metadata_is_never_deleted_as_a_duplicate(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE, on_duplicate="delete")
    data = photo(1)
    mill.drop("a.jpg", data)
    assert mill.once().returncode == 0
    captioned = mill.drop("b.jpg", pictures.jpeg_with(pictures.segment(0xFE, b"a caption"), data))
    assert mill.once().returncode == 0
    assert last(mill) == "duplicate"
    assert captioned.exists()


def test_w26_an_inbox_that_was_renamed_away_is_not_everything_deleted(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE, on_source_deleted="remove")
    mill.drop("a.jpg", photo(1))
    assert mill.once().returncode == 0
    mill.inbox.rename(tmp_path / "away")
    mill.inbox.mkdir()
    for _ in range(3):  # Two scans would have been enough.
        assert mill.once().returncode == 0
    assert mill.outputs() == ["a-t.jpg"]


def test_w20_a_foreign_file_with_the_inode_of_our_rendition_is_not_replaced(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE)
    mill.drop("a.jpg", photo(1))
    assert mill.once().returncode == 0
    (mill.output / "a-t.jpg").write_bytes(b"edited in place by somebody: the inode is the same, the bytes are not")
    mill.drop("a.jpg", photo(2))
    assert mill.once().returncode == 0
    assert (mill.output / "a-t.jpg").read_bytes().startswith(b"edited in place")
    assert len(mill.outputs()) == 2


def test_a_duplicate_of_a_picture_whose_rendition_was_deleted_is_published(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE, duplicates="duplicates")
    mill.drop("a.jpg", photo(1))
    assert mill.once().returncode == 0
    (mill.output / "a-t.jpg").unlink()
    mill.drop("b.jpg", photo(1))
    assert mill.once().returncode == 0
    assert mill.outputs() == ["b-t.jpg"]
    assert (mill.inbox / "b.jpg").exists()


@pytest.mark.long
def test_many_copies_that_want_one_name_all_get_one(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE, dedupe={"exact": "off"}, names="{stem}-{rendition}.{ext}")
    for number in range(7):
        mill.drop(f"{number}/a.jpg", photo(1))
    assert mill.once().returncode == 0
    assert len(mill.outputs()) == 7


def test_a_time_beyond_the_year_2262_harms_nobody(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE)
    far = mill.drop("far.jpg", photo(1))
    os.utime(far, ns=(1 << 63, (1 << 63) + 10**9))
    mill.drop("b.jpg", photo(2))
    assert mill.once().returncode == 0
    assert mill.outputs() == ["b-t.jpg", "far-t.jpg"]
    assert mill.once().returncode == 0
    assert len(mill.jobs()) == 2


def test_s12_an_output_that_is_away_is_waited_for(tmp_path: Path) -> None:
    mill = Mill(
        tmp_path, renditions=ONE, queue={"retry_base_seconds": 0.05, "retry_cap_seconds": 0.1, "max_attempts": 2}
    )
    mill.start()
    mill.output.rename(tmp_path / "away")
    mill.drop("a.jpg", photo(1))
    mill.wait_for(lambda: "inbox waits for its surroundings" in mill.log.read_text())
    mill.wait_for(lambda: [job["attempts"] for job in mill.jobs()] == [0])
    (tmp_path / "away").rename(mill.output)
    mill.wait_for(lambda: mill.outputs() == ["a-t.jpg"])
    assert mill.stop() == 0


def test_once_ends_although_a_file_cannot_be_read_and_says_so(tmp_path: Path) -> None:
    """Waiting for a permission is for the daemon: a single run leaves the file for another one and ends with 1."""
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    mill = Mill(tmp_path, renditions=ONE)
    mill.drop("a.jpg", photo(1)).chmod(0)
    assert mill.once().returncode == 1


def test_w41_a_second_daemon_on_the_same_inbox_is_refused(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE)
    mill.start()
    assert mill.process is not None
    text = mill.config.read_text()
    assert str(mill.state) in text
    other = tmp_path / "other.toml"
    other.write_text(text.replace(str(mill.state), str(tmp_path / "state2")))
    result = mill.run_with(other, "run", "--once")
    assert result.returncode == 2
    assert f"{mill.inbox} is in use by the daemon with pid {mill.process.pid}" in result.stderr
    assert mill.stop() == 0
    assert mill.run_with(other, "run", "--once").returncode == 0, "nobody has it any more"


def test_w26_an_inbox_that_is_removed_and_made_again_is_watched_again(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE, reconcile_seconds=3600)
    mill.start()
    mill.inbox.rmdir()
    mill.wait_for(lambda: mill.get("/api/v1/health").json()["status"] != "ok")
    mill.inbox.mkdir()
    mill.drop("a.jpg", photo(1))
    mill.wait_for(lambda: mill.outputs() == ["a-t.jpg"])
    mill.drop("sub/b.jpg", photo(2))
    mill.wait_for(lambda: len(mill.outputs()) == 2)
    assert mill.stop() == 0


def test_w39_renaming_one_of_two_kept_copies_is_a_move(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE)
    mill.drop("a.jpg", photo(1))
    mill.drop("b.jpg", photo(1))
    assert mill.once().returncode == 0
    (mill.inbox / "b.jpg").rename(mill.inbox / "c.jpg")
    assert mill.once().returncode == 0
    assert last(mill) == "moved"
    (mill.inbox / "b.jpg").write_bytes(photo(2))
    assert mill.once().returncode == 0
    assert last(mill) == "published"
