"""Finished renditions that are lost before they become visible, and copies that a killed command left (PROTOCOL 8, 10)."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

import pictures
from dropmill.store.catalog import CATALOG_NAME
from faulty_fs import FaultyFs
from harness import Mill

pytestmark = pytest.mark.long


def photo(seed: int) -> bytes:
    return pictures.jpeg(pictures.photo(120, 80, seed))


@pytest.fixture
def share(tmp_path: Path) -> Iterator[FaultyFs]:
    with FaultyFs(tmp_path / "share") as share:
        yield share


def mill_on(share: FaultyFs, tmp_path: Path, **options: Any) -> Mill:
    mill = Mill(tmp_path / "mill", output=str(share.mount / "out"), on_success="archive", archive="done", **options)
    mill.output = share.backing / "out"
    return mill


def staged(mill: Mill) -> list[Path]:
    return [path for path in (mill.output / ".dropmill").iterdir() if path.name[0].isdigit()]


def lines(mill: Mill, word: str) -> int:
    return sum(word in line for line in mill.log.read_text().splitlines())


def lose_staged(mill: Mill) -> None:
    """Once a rendition waits in vain for its place, somebody cleans the staging folder up."""
    before = lines(mill, "publication has to wait")
    mill.wait_for(lambda: staged(mill) and lines(mill, "publication has to wait") > before)
    for path in staged(mill):
        path.unlink()


def test_w27_a_lost_rendition_is_made_again_and_only_then_the_original_leaves(tmp_path: Path, share: FaultyFs) -> None:
    mill = mill_on(share, tmp_path, renditions=[{"name": "t", "fit": [48, 48]}, {"name": "u", "fit": [20, 20]}])
    mill.start()
    share.fail("link", errno.EIO)
    mill.drop("a.jpg", photo(1))
    mill.drop("copy.jpg", photo(1))
    lose_staged(mill)
    mill.wait_for(lambda: lines(mill, "a finished rendition was lost"))
    assert not list((mill.root / "done").iterdir())
    share.heal()
    mill.wait_for(lambda: {job["outcome"] for job in mill.jobs()} == {"published", "duplicate"}, 60)
    mill.wait_for(lambda: len(mill.outputs()) == 2, 60)
    mill.wait_for(lambda: len(list((mill.root / "done").iterdir())) == 1, 60)
    assert mill.stop() == 0
    assert staged(mill) == []


def test_w27_a_rendition_that_is_lost_again_and_again_is_left_to_a_person(tmp_path: Path, share: FaultyFs) -> None:
    mill = mill_on(share, tmp_path)
    mill.start()
    share.fail("link", errno.EIO)
    mill.drop("a.jpg", photo(1))
    for _ in range(3):
        lose_staged(mill)
    mill.wait_for(lambda: lines(mill, "publication failed"))
    parts = {part["name"]: part for part in mill.get("/healthz").json()["parts"]}
    assert "1 finished rendition was lost" in parts["owed"]["detail"]
    assert "dropmill reprocess" in parts["owed"]["remedy"]
    assert (mill.inbox / "a.jpg").read_bytes() == photo(1)
    share.heal()
    result = mill.run("reprocess", str(mill.inbox / "a.jpg"))
    assert result.returncode == 0, result.stderr
    mill.wait_for(lambda: (mill.root / "done" / "a.jpg").exists(), 60)
    assert mill.outputs() == ["a-t.jpg"]
    parts = {part["name"]: part for part in mill.get("/healthz").json()["parts"]}
    assert parts["owed"]["status"] == "ok"
    assert mill.stop() == 0


def test_w19_what_a_killed_add_left_is_swept_at_the_next_start(tmp_path: Path) -> None:
    mill = Mill(tmp_path / "mill")
    killed, working = mill.inbox / ".dropmill-add-4711-1", mill.inbox / ".dropmill-add-4712-2"
    killed.write_bytes(b"half a pic")
    with working.open("wb") as held:
        held.write(b"half a pic")
        held.flush()
        fcntl.flock(held, fcntl.LOCK_EX)  # As ``add`` does while it writes.
        mill.start()
        mill.wait_for(lambda: not killed.exists())
        assert working.exists()
        assert mill.stop() == 0


def with_a_duplicate(tmp_path: Path, **options: Any) -> Mill:
    """A picture in the archive and a copy of it among the duplicates."""
    mill = Mill(tmp_path / "mill", archive="done", duplicates="dup", **options)
    mill.drop("a.jpg", photo(1))
    assert mill.once().returncode == 0
    mill.drop("b.jpg", photo(1))
    assert mill.once().returncode == 0
    assert sorted(os.listdir(mill.root / "done")) == ["a.jpg"] and sorted(os.listdir(mill.root / "dup")) == ["b.jpg"]
    return mill


def forget_disposal(mill: Mill, job_id: int, *, next_attempt_at_ms: int = 0) -> None:
    """The catalog as a kill leaves it between the move of an original and the record of it."""
    with contextlib.closing(apsw.Connection(str(mill.state / CATALOG_NAME))) as catalog:
        catalog.execute(
            "UPDATE disposals SET state = 'owed', result = '', target_name = rel, attempts = ?, next_attempt_at_ms = ? "
            "WHERE job_id = ?",
            (int(next_attempt_at_ms > 0), next_attempt_at_ms, job_id),
        )


def outcomes(mill: Mill) -> list[str]:
    return [job["outcome"] for job in sorted(mill.jobs(), key=lambda job: int(job["id"]))]


def test_q01_a_duplicate_that_was_moved_before_a_kill_is_recorded_whatever_became_of_its_anchor(tmp_path: Path) -> None:
    mill = with_a_duplicate(tmp_path)
    forget_disposal(mill, 2)
    (mill.output / "a-t.jpg").unlink()
    assert mill.once().returncode == 0
    assert outcomes(mill) == ["published", "duplicate"]
    assert "the original was moved to the duplicates folder" in mill.why("b.jpg")


@pytest.mark.parametrize("on_success", ["archive", "delete"])
def test_q01_an_original_that_a_kill_left_hidden_is_seen_again_whatever_became_of_its_rendition(
    tmp_path: Path, on_success: str
) -> None:
    mill = with_a_duplicate(tmp_path)
    (mill.root / "done" / "a.jpg").rename(mill.inbox / ".dropmill-1")
    (mill.root / "dup" / "b.jpg").rename(mill.inbox / "b.jpg")
    forget_disposal(mill, 1, next_attempt_at_ms=2**52)
    forget_disposal(mill, 2)
    if on_success == "delete":
        mill.configure(on_success="delete")
        with contextlib.closing(apsw.Connection(str(mill.state / CATALOG_NAME))) as catalog:
            catalog.execute("UPDATE disposals SET disposition = 'delete', target_root_id = NULL WHERE job_id = 1")
    (mill.output / "a-t.jpg").unlink()
    mill.once()
    with contextlib.closing(apsw.Connection(str(mill.state / CATALOG_NAME))) as catalog:
        catalog.execute("UPDATE disposals SET next_attempt_at_ms = 0")
    mill.once()
    assert not list(mill.inbox.glob(".dropmill-*"))
    assert len(mill.outputs()) == 1  # Rendered anew, from whichever of the two was met.
    if on_success == "archive":
        assert (mill.root / "done" / "a.jpg").read_bytes() == photo(1)


def test_w23_a_rendition_that_was_edited_in_place_is_no_reason_to_delete_a_copy(tmp_path: Path) -> None:
    mill = Mill(tmp_path / "mill", archive="done", on_duplicate="delete")
    mill.drop("a.jpg", photo(1))
    assert mill.once().returncode == 0
    rendition = mill.output / "a-t.jpg"
    edited = b"x" * rendition.stat().st_size
    with rendition.open("r+b") as file:
        file.write(edited)
    mill.drop("b.jpg", photo(1))
    assert mill.once().returncode == 0
    assert outcomes(mill) == ["published", "published"]
    assert rendition.read_bytes() == edited
    assert len(mill.outputs()) == 2


def test_w23_renditions_that_were_to_be_replaced_stay_known_when_their_successor_comes_to_nothing(
    tmp_path: Path, share: FaultyFs
) -> None:
    mill = Mill(tmp_path / "mill", output=str(share.mount / "out"))
    mill.output = share.backing / "out"
    mill.drop("a.jpg", photo(1))
    assert mill.once().returncode == 0
    first = (mill.output / "a-t.jpg").read_bytes()
    share.fail("rename", errno.EIO)
    share.fail("link", errno.EIO)
    mill.drop("a.jpg", photo(2))
    mill.start()
    lose_staged(mill)
    (mill.inbox / "a.jpg").unlink()
    mill.wait_for(lambda: any(job["outcome"] == "superseded" for job in mill.jobs()))
    share.heal()
    mill.drop("a.jpg", photo(3))
    mill.wait_for(lambda: outcomes(mill) == ["published", "superseded", "published"], 60)
    mill.wait_for(lambda: mill.outputs() == ["a-t.jpg"] and (mill.output / "a-t.jpg").read_bytes() != first, 60)
    assert mill.stop() == 0
