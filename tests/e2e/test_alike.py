"""What becomes of a picture that resembles an earlier one: each policy, told everywhere."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import os
import signal
import time
from pathlib import Path

import pytest
from PIL import Image

from dropmill.imaging.fingerprint import looks_of
from dropmill.model.resemblance import hamming
from harness import Mill
from pictures import photo
from web import WebServer, document

ONE = [{"name": "t", "fit": [160, 160]}]


def jpeg(picture: Image.Image, quality: int = 92) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def resaved(seed: int, scale: float = 0.75) -> bytes:
    """The photograph of that seed, smaller and coded anew."""
    picture = photo(seed=seed)
    return jpeg(picture.resize((int(picture.width * scale), int(picture.height * scale))), 70)


def by_source(mill: Mill) -> dict[str, dict[str, object]]:
    return {Path(str(job["source"])).name: job for job in mill.jobs()}


def dropped_one_by_one(mill: Mill, *files: tuple[str, bytes]) -> None:
    for name, data in files:
        mill.drop(name, data)
        assert mill.once().returncode == 0


def story(mill: Mill, name: str) -> str:
    """What ``why`` tells, whatever the lines that it is broken into."""
    return " ".join(mill.why(name).split())


def test_a_near_duplicate_is_published_flagged_and_told(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE, receipts=True)
    dropped_one_by_one(mill, ("a.jpg", jpeg(photo(seed=1))), ("b.jpg", resaved(1)), ("c.jpg", jpeg(photo(seed=2))))
    jobs = by_source(mill)
    assert {name: job["outcome"] for name, job in jobs.items()} == dict.fromkeys(jobs, "published")
    (like,) = jobs["b.jpg"]["resembles"]
    assert like["path"] == str(mill.inbox / "a.jpg")
    assert (like["tier"], like["size"], jobs["b.jpg"]["policy"]) == ("near", "smaller", "flag")
    assert jobs["c.jpg"]["resembles"] == []
    assert json.loads((mill.output / "b.json").read_text())["resembles"] == [like]
    assert f"near-duplicate of {mill.inbox / 'a.jpg'}, smaller" in story(mill, "b.jpg")


def test_near_duplicates_are_skipped_and_their_originals_moved(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE, dedupe={"near": "skip"}, duplicates="duplicates")
    dropped_one_by_one(mill, ("a.jpg", jpeg(photo(seed=1))), ("b.jpg", resaved(1)), ("c.jpg", jpeg(photo(seed=2))))
    jobs = by_source(mill)
    assert {name: job["outcome"] for name, job in jobs.items()} == {
        "a.jpg": "published",
        "b.jpg": "duplicate",
        "c.jpg": "published",
    }
    assert mill.outputs() == ["a-t.jpg", "c-t.jpg"]
    assert jobs["b.jpg"]["duplicate_tier"] == "near"
    assert jobs["b.jpg"]["duplicate_of"]["source"] == str(mill.inbox / "a.jpg")
    assert (tmp_path / "duplicates" / "b.jpg").read_bytes() == resaved(1)
    assert f"near-duplicate of {mill.inbox / 'a.jpg'}, smaller" in story(mill, "b.jpg")


@pytest.mark.long
def test_originals_that_only_look_alike_are_never_deleted(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE, dedupe={"near": "skip"}, on_duplicate="delete")
    dropped_one_by_one(mill, ("a.jpg", jpeg(photo(seed=1))), ("b.jpg", resaved(1)), ("c.jpg", jpeg(photo(seed=1))))
    assert [by_source(mill)[name]["outcome"] for name in ("b.jpg", "c.jpg")] == ["duplicate"] * 2
    assert (mill.inbox / "b.jpg").read_bytes() == resaved(1)
    assert not (mill.inbox / "c.jpg").exists()


@pytest.mark.long
def test_a_near_duplicate_is_renamed(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE, dedupe={"near": "rename", "rename_suffix": "again"})
    dropped_one_by_one(mill, ("a.jpg", jpeg(photo(seed=1))), ("b.jpg", resaved(1)), ("sub/b.jpg", resaved(1, 0.6)))
    assert mill.outputs() == ["a-t.jpg", "b~again-t.jpg", "sub/b~again-t.jpg"]


@pytest.mark.long
def test_a_near_duplicate_is_published_as_a_copy_that_is_none(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE, dedupe={"near": "uniquify"}, archive="archive")
    dropped_one_by_one(mill, ("a.jpg", jpeg(photo(seed=1))), ("b.jpg", resaved(1)), ("c.jpg", resaved(1, 0.6)))
    jobs = by_source(mill)
    assert mill.outputs() == ["a-t.jpg", "b-t.jpg", "c-t.jpg"]
    assert (tmp_path / "archive" / "b.jpg").read_bytes() == resaved(1)
    assert jobs["b.jpg"]["policy"] == "uniquify"
    seen = []
    for name in mill.outputs():
        with Image.open(mill.output / name) as picture:
            seen.append(looks_of(picture.convert("RGB")))
    for one, other in itertools.combinations(seen, 2):
        assert hamming(one.phash, other.phash) > 2 or hamming(one.dhash, other.dhash) > 6
    assert "changed copy" in story(mill, "b.jpg")


@pytest.mark.long
def test_tries_that_do_not_suffice_are_told(tmp_path: Path) -> None:
    changes = {"methods": ["brightness"], "max_tries": 1, "strength_percent": 0.5}
    mill = Mill(tmp_path, renditions=ONE, dedupe={"near": "uniquify", "uniquify": changes})
    dropped_one_by_one(mill, ("a.jpg", jpeg(photo(seed=1))), ("b.jpg", resaved(1)))
    assert by_source(mill)["b.jpg"]["policy"] == "flag"
    assert "1 tries to change a copy of it did not suffice" in story(mill, "b.jpg")


@pytest.mark.long
@pytest.mark.parametrize("data", [resaved(1), jpeg(photo(seed=1))], ids=["near", "exact"])
def test_a_duplicate_is_published_as_hard_links(tmp_path: Path, data: bytes) -> None:
    mill = Mill(tmp_path, renditions=ONE, dedupe={"exact": "hardlink", "near": "hardlink"}, receipts=True)
    dropped_one_by_one(mill, ("a.jpg", jpeg(photo(seed=1))), ("sub/b.jpg", data))
    first, second = mill.output / "a-t.jpg", mill.output / "sub/b-t.jpg"
    assert first.stat().st_ino == second.stat().st_ino
    assert by_source(mill)["b.jpg"]["policy"] == "hardlink"
    receipt = json.loads((mill.output / "sub/b.json").read_text())
    assert receipt["renditions"][0]["sha256"] == hashlib.sha256(first.read_bytes()).hexdigest()
    assert list((mill.output / ".dropmill").glob("[0-9]*")) == []


@pytest.mark.long
def test_an_original_whose_renditions_are_anothers_is_not_deleted(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE, dedupe={"near": "hardlink"}, on_success="delete")
    first, second = jpeg(photo(seed=1)), resaved(1)
    dropped_one_by_one(mill, ("a.jpg", first), ("b.jpg", second))
    assert (mill.output / "b-t.jpg").stat().st_nlink == 2
    assert [path.name for path in mill.inbox.iterdir()] == ["b.jpg"]
    assert (mill.inbox / "b.jpg").read_bytes() == second


@pytest.mark.long
def test_a_link_that_is_replaced_leaves_the_other_alone(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE, dedupe={"near": "hardlink"})
    dropped_one_by_one(mill, ("a.jpg", jpeg(photo(seed=1))), ("b.jpg", resaved(1)))
    before = (mill.output / "a-t.jpg").read_bytes()
    dropped_one_by_one(mill, ("b.jpg", jpeg(photo(seed=3))))
    assert (mill.output / "a-t.jpg").stat().st_nlink == 1
    assert (mill.output / "a-t.jpg").read_bytes() == before != (mill.output / "b-t.jpg").read_bytes()


@pytest.mark.long
def test_renditions_that_are_gone_cannot_be_linked_to(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE, dedupe={"near": "hardlink"})
    dropped_one_by_one(mill, ("a.jpg", jpeg(photo(seed=1))))
    (mill.output / "a-t.jpg").unlink()
    dropped_one_by_one(mill, ("b.jpg", resaved(1)))
    assert (mill.output / "b-t.jpg").stat().st_nlink == 1
    assert by_source(mill)["b.jpg"]["policy"] == "flag"
    assert "renditions to link to were not there" in story(mill, "b.jpg")


@pytest.mark.long
def test_it_is_told_in_log_metrics_results_and_a_dry_run(tmp_path: Path) -> None:
    with WebServer() as web:
        mill = Mill(
            tmp_path,
            renditions=ONE,
            dropfiles=[{"dedupe": {"similar": "off"}}],
            net={"allow_networks": ["127.0.0.0/8"], "ports": ["1-65535"]},
            log={"format": "json"},
        )
        first, second = web.on("/a.jpg", document(jpeg(photo(seed=1)))), web.on("/b.jpg", document(resaved(1)))
        mill.start()
        (tmp_path / "urls.txt").write_text(f"{first}\n")
        results = tmp_path / "urls.txt.results.jsonl"
        mill.wait_for(lambda: results.exists() and results.read_text().count("\n") == 1)
        with (tmp_path / "urls.txt").open("a") as file:
            file.write(f"{second}\n")
        mill.wait_for(lambda: results.read_text().count("\n") == 2)
        told = json.loads(results.read_text().splitlines()[1])
        assert [(one["path"], one["tier"], one["size"]) for one in told["resembles"]] == [(first, "near", "smaller")]
        counted = 'dropmill_duplicates_total{inbox="list",policy="flag",tier="near"} 1.0'
        assert counted in mill.get("/metrics").text.splitlines()
        assert mill.stop() == 0
    lines = [json.loads(line) for line in mill.log.read_text().splitlines()]
    (line,) = [one for one in lines if one.get("resembles")]
    assert (line["event"], line["resembles"], line["tier"], line["policy"]) == ("published", first, "near", "flag")
    (tmp_path / "c.jpg").write_bytes(resaved(1, 0.6))
    tried = mill.run("try", str(tmp_path / "c.jpg"))
    assert f"near-duplicate of {first}, smaller" in tried.stdout


@pytest.mark.long
def test_what_is_rendered_again_is_never_left_out(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE)
    dropped_one_by_one(mill, ("a.jpg", jpeg(photo(seed=1))), ("b.jpg", resaved(1)))
    mill.configure(dedupe={"near": "skip"}, renditions=[{"name": "t", "fit": [120, 120]}])
    mill.start()
    number = by_source(mill)["b.jpg"]["id"]
    assert mill.run("reprocess", str(number)).returncode == 0
    mill.wait_for(lambda: {job["state"] for job in mill.jobs()} == {"completed"} and len(mill.jobs()) == 3)
    assert {job["outcome"] for job in mill.jobs()} == {"published"}
    mill.wait_for(lambda: mill.outputs() == ["a-t.jpg", "b-t.jpg"])
    assert mill.stop() == 0


@pytest.mark.long
def test_an_index_that_is_killed_costs_no_decision(tmp_path: Path) -> None:
    """Jobs whose renditions hang on its answer wait for it, and it comes back by itself."""
    mill = Mill(tmp_path, renditions=ONE, dedupe={"near": "skip"})
    mill.start()
    killed = set[int]()
    for seed in range(12):
        for copy in range(3):
            mill.drop(f"{seed}-{copy}.jpg", jpeg(photo(200, 150, seed), 94 - 6 * copy))
    deadline = time.monotonic() + 200

    def all_decided() -> bool:
        pid = mill.get("/api/v1/status").json()["index"]["pid"]
        if pid and pid not in killed and len(killed) < 4:
            killed.add(pid)
            os.kill(pid, signal.SIGKILL)
        jobs = mill.jobs()
        return len(jobs) == 36 and all(job["state"] == "completed" for job in jobs)

    mill.wait_for(all_decided, seconds=deadline - time.monotonic())
    assert len(killed) >= 2
    outcomes = [job["outcome"] for job in mill.jobs()]
    assert (outcomes.count("published"), outcomes.count("duplicate")) == (12, 24)
    assert mill.stop() == 0


@pytest.mark.long
@pytest.mark.parametrize("policy", ["flag", "rename", "uniquify"])
def test_identical_pictures_can_be_published_too(tmp_path: Path, policy: str) -> None:
    mill = Mill(tmp_path, renditions=ONE, dedupe={"exact": policy})
    data = jpeg(photo(seed=1))
    dropped_one_by_one(mill, ("a.jpg", data), ("b.jpg", data))
    job = by_source(mill)["b.jpg"]
    assert (job["outcome"], job["policy"], job["duplicate_tier"]) == ("published", policy, None)
    assert [(one["path"], one["tier"], one["size"]) for one in job["resembles"]] == [
        (str(mill.inbox / "a.jpg"), "exact", "same")
    ]
    assert mill.outputs() == ["a-t.jpg", "b~like-t.jpg" if policy == "rename" else "b-t.jpg"]
    same = (mill.output / mill.outputs()[0]).read_bytes() == (mill.output / mill.outputs()[1]).read_bytes()
    assert same == (policy != "uniquify")
    assert f"the same picture as {mill.inbox / 'a.jpg'}" in story(mill, "b.jpg")
