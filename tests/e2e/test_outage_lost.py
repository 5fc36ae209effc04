"""Finished renditions that are lost before they become visible, and copies that a killed command left (PROTOCOL 8, 10)."""

from __future__ import annotations

import errno
import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import pictures
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
