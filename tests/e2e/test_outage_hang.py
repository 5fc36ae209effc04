"""Folders that stop answering: only what needs them waits, and everything goes on once they answer (W40)."""

from __future__ import annotations

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


def two(tmp_path: Path, share: FaultyFs, **options: Any) -> Mill:
    """Inbox ``camera`` puts its renditions on the share, ``second`` on the local disk."""
    mill = Mill(tmp_path / "mill", output=str(share.mount / "out"), second_inbox={"output": "out2"}, **options)
    (share.mount / "out").mkdir()
    return mill


def part(mill: Mill, name: str) -> dict[str, Any]:
    parts = {part["name"]: part for part in mill.get("/healthz").json()["parts"]}
    return dict(parts.get(name, {}))


def test_w40_an_output_that_hangs_holds_back_its_own_inbox_alone(tmp_path: Path, share: FaultyFs) -> None:
    mill = two(tmp_path, share)
    out, out2 = share.backing / "out", mill.root / "out2"
    mill.start()
    mill.drop("before.jpg", photo(1))
    mill.wait_for(lambda: (out / "before-t.jpg").exists())
    share.hang()
    # As many as there are workers, and more: what is in hand there must not keep the others from a worker.
    for seed in range(2, 8):
        mill.drop(f"held{seed}.jpg", photo(seed))
    mill.wait_for(lambda: "has not answered" in part(mill, "output camera").get("detail", ""))
    mill.drop("other.jpg", photo(20), "second")
    mill.wait_for(lambda: (out2 / "other-t.jpg").exists())
    mill.wait_for(lambda: "inbox waits for its surroundings" in mill.log.read_text())
    told = part(mill, "output camera")
    assert told["status"] == "degraded"
    assert "mount" in told["remedy"]
    assert mill.get("/livez").status_code == 200
    share.go_on()
    mill.wait_for(lambda: all((out / f"held{seed}-t.jpg").exists() for seed in range(2, 8)))
    mill.wait_for(lambda: part(mill, "output camera")["status"] == "ok")
    assert {job["outcome"] for job in mill.jobs()} == {"published"}
    assert mill.stop() == 0


def test_w40_a_hanging_output_holds_up_neither_the_shutdown_nor_the_next_start(tmp_path: Path, share: FaultyFs) -> None:
    mill = two(tmp_path, share)
    out, out2 = share.backing / "out", mill.root / "out2"
    mill.start()
    mill.drop("before.jpg", photo(1))
    mill.wait_for(lambda: (out / "before-t.jpg").exists())
    share.hang()
    mill.drop("held.jpg", photo(2))
    mill.wait_for(lambda: any(job["source"].endswith("held.jpg") for job in mill.jobs()))
    assert mill.stop() == 0
    mill.start()
    mill.drop("other.jpg", photo(20), "second")
    mill.wait_for(lambda: (out2 / "other-t.jpg").exists())
    assert mill.stop() == 0
    share.go_on()
    mill.start()
    mill.wait_for(lambda: (out / "held-t.jpg").exists())
    assert mill.stop() == 0
    assert {job["outcome"] for job in mill.jobs()} == {"published"}


def test_w40_an_inbox_that_hangs_keeps_no_other_from_working(tmp_path: Path, share: FaultyFs) -> None:
    mill = Mill(tmp_path / "mill", path=str(share.mount / "in"), second_inbox={"output": "out2"}, watch="poll")
    (share.mount / "in").mkdir()
    mill.start()
    (share.mount / "in" / "a.jpg").write_bytes(photo(1))
    mill.wait_for(lambda: mill.outputs() == ["a-t.jpg"])
    (share.mount / "in" / "b.jpg").write_bytes(photo(2))
    share.hang()
    mill.drop("other.jpg", photo(20), "second")
    mill.wait_for(lambda: (mill.root / "out2" / "other-t.jpg").exists())
    mill.wait_for(lambda: "has not answered" in part(mill, "folder of inbox camera").get("detail", ""))
    assert mill.stop() == 0
    mill.start()
    mill.drop("another.jpg", photo(21), "second")
    mill.wait_for(lambda: (mill.root / "out2" / "another-t.jpg").exists())
    share.go_on()
    mill.wait_for(lambda: "b-t.jpg" in mill.outputs())
    assert mill.stop() == 0
