"""A person's batches, while the daemon is killed again and again: undone, every file is as it was."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest

from harness import Mill
from review_help import batch, ended, post, review, tree, wait_for_groups

SETS, EACH = 20, 4
FILES = SETS * (EACH - 1)
ROUNDS = 6
# Nobody waits longer than this for a moment to come; then the kill happens anyway.
PATIENCE_SECONDS = 15.0


def gone(homes: dict[str, int]) -> int:
    """How many files have left their names, or have others standing in their place."""
    return sum(inode(path) != ino for path, ino in homes.items())


def inode(path: str) -> int:
    try:
        return os.lstat(path).st_ino
    except FileNotFoundError:
        return 0


def kill_when(mill: Mill, homes: dict[str, int], chance: random.Random, files: int, direction: int) -> int:
    """Kill the daemon once so many files are gone (``direction`` 1), or back (-1); returns how many are."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if (gone(homes) - files) * direction >= 0:
            break
    if chance.random() < 0.5:
        time.sleep(chance.uniform(0.0, 0.002))
    mill.kill()
    return gone(homes)


def ask_for(mill: Mill, path: str, body: dict[str, object] | None = None) -> None:
    """Without waiting for an answer, which a daemon that is killed does not give."""
    try:
        httpx.post(f"{mill.address}/api/v1{path}", json=body, timeout=httpx.Timeout(10, read=0.001))
    except httpx.ReadTimeout:
        return


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_batch_that_is_killed_in_its_middle_is_undone_to_the_very_same_tree(tmp_path: Path) -> None:
    chance = random.Random(20261121)
    moments: Counter[str] = Counter()
    mill = review(tmp_path / "mill", SETS, EACH, on_source_deleted="remove", reconcile_seconds=1.0)
    try:
        for number in range(4):  # Further names of some of the files, outside of what is watched.
            os.link(mill.inbox / "sub1" / f"{number:03}-1.jpg", mill.root / f"elsewhere-{number}.jpg")
        before = tree(mill.inbox, mill.root / "lib")
        homes = {path: inode(path) for path in before if before[path] != ("folder",)}
        outputs = mill.outputs()
        for turn in range(ROUNDS):
            action = ("delete", "link", "move")[turn % 3]
            body = {"groups": None, "filter": {}, "action": action}
            if action == "move":
                body["folder"] = str(mill.root / "lib" / "moved")
            number = post(mill, "/groups/resolve", body)["batch"]
            left = kill_when(mill, homes, chance, chance.randint(1, FILES - 1), 1)
            moments["doing"] += 0 < left < FILES
            mill.start()
            if chance.random() < 0.5:
                left = kill_when(mill, homes, chance, chance.randint(left, FILES), 1)
                mill.start()
            if chance.random() < 0.5:
                ended(mill, number)
            ask_for(mill, f"/batches/{number}/undo")
            left = kill_when(mill, homes, chance, chance.randint(0, FILES - 1), -1)
            moments["undoing"] += 0 < left < FILES
            mill.start()
            mill.wait_for(lambda number=number: batch(mill, number)["state"] != "undoing")  # type: ignore[misc]  # The default binds the loop's value.
            if batch(mill, number)["state"] != "undone":  # Killed before the wish was heard.
                ended(mill, number)
                post(mill, f"/batches/{number}/undo")
            told = ended(mill, number)
            assert told["state"] == "undone", told
            after = tree(mill.inbox, mill.root / "lib")
            after.pop(str(mill.root / "lib" / "moved"), None)
            assert after == before, f"round {turn}: {action}"
            wait_for_groups(mill, SETS, EACH)
        assert mill.outputs() == outputs
        mill.wait_for(lambda: all(job["state"] == "completed" for job in mill.all_jobs()))
        assert {job["outcome"] for job in mill.all_jobs()} <= {"published", "unchanged", "superseded", "moved"}
        assert len([job for job in mill.all_jobs() if job["outcome"] == "published"]) == SETS * EACH
        assert min(moments["doing"], moments["undoing"]) >= ROUNDS // 3, moments
    finally:
        if mill.process is not None:
            mill.stop()
