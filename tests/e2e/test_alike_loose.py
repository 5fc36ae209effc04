"""Pictures that were turned, cut or given a border, from the inbox to the group, where a loose policy wants them."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageOps

from dropmill.imaging.fingerprint import looks_of
from dropmill.model.resemblance import Thresholds, hamming, tier_of
from harness import Mill
from photographs import cropped
from pictures import photo

pytestmark = pytest.mark.long

ONE = [{"name": "t", "fit": [160, 160]}]
FLAG = {"loose": "flag"}
SKIP = dict.fromkeys(("near", "similar", "loose"), "skip")


def jpeg(picture: Image.Image, quality: int = 90) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def groups(mill: Mill) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(mill.run("duplicates", "--json", check=True).stdout)
    return found


def told(group: dict[str, Any]) -> dict[str, str]:
    """What each file but the keeper is, by its name."""
    return {Path(member["path"]).name: member["relation"] for member in group["members"] if not member["keeper"]}


def jobs(mill: Mill) -> dict[str, dict[str, Any]]:
    return {Path(str(job["source"])).name: job for job in mill.jobs()}


def cut(picture: Image.Image) -> Image.Image:
    part = cropped(picture, 0.08, 0.07, 0.06, 0.09)
    # Otherwise it would be found by the hash of the whole.
    one, other = looks_of(picture), looks_of(part)
    assert tier_of(hamming(one.phash, other.phash), hamming(one.dhash, other.dhash), Thresholds()) is None
    return part


def framed(picture: Image.Image) -> Image.Image:
    return ImageOps.expand(picture, picture.width // 10, (240, 238, 230))


@pytest.mark.parametrize("policies", [FLAG, SKIP], ids=["flag", "skip"])
def test_a_turned_copy_is_known_at_ingest(tmp_path: Path, policies: dict[str, str]) -> None:
    policy = policies["loose"]
    mill = Mill(tmp_path, renditions=ONE, dedupe=policies, duplicates="duplicates")
    original = photo(seed=21)
    copies = {"turned.jpg": original.transpose(Image.Transpose.ROTATE_90), "mirrored.jpg": ImageOps.mirror(original)}
    mill.drop("a.jpg", jpeg(original))
    assert mill.once().returncode == 0
    for name, copy in copies.items():
        mill.drop(name, jpeg(copy, 80))
    mill.drop("stranger.jpg", jpeg(photo(seed=22)))
    assert mill.once().returncode == 0
    found = jobs(mill)
    assert found["a.jpg"]["resembles"] == found["stranger.jpg"]["resembles"] == []
    assert found["stranger.jpg"]["outcome"] == "published"
    for name in copies:
        like = found[name]["resembles"][0]
        assert (like["tier"], like["path"]) == ("loose", str(mill.inbox / "a.jpg"))
        assert found[name]["policy"] == policy
        assert found[name]["outcome"] == ("published" if policy == "flag" else "duplicate")
        assert f"turned or mirrored from {mill.inbox / 'a.jpg'}" in " ".join(mill.why(name).split())
    (group,) = groups(mill)
    assert group["tier"] == "loose"
    assert told(group) == dict.fromkeys(copies, "turned")


def test_what_was_cut_and_what_has_a_border_is_grouped_whichever_came_first(tmp_path: Path) -> None:
    """It is published, whatever the policy: only pixels prove it, and they are compared afterwards."""
    mill = Mill(tmp_path, renditions=ONE, dedupe=SKIP, duplicates="duplicates")
    whole = [photo(960, 720, seed=seed) for seed in (31, 32, 34, 35)]
    copies = [cut(whole[0]), cut(whole[1]), framed(whole[2]), framed(whole[3])]
    for lot in range(2):
        for number, (picture, copy) in enumerate(zip(whole, copies, strict=True)):
            if number % 2 == lot:
                mill.drop(f"{number}.jpg", jpeg(picture))
            else:
                mill.drop(f"copy of {number}.jpg", jpeg(copy, 80))
        if lot:
            mill.drop("stranger.jpg", jpeg(photo(960, 720, seed=33)))
        assert mill.once().returncode == 0
    assert {job["outcome"] for job in jobs(mill).values()} == {"published"}
    found = sorted(groups(mill), key=lambda group: min(Path(member["path"]).name for member in group["members"]))
    assert [sorted(Path(member["path"]).name for member in group["members"]) for group in found] == [
        [f"{number}.jpg", f"copy of {number}.jpg"] for number in range(4)
    ]
    assert [group["tier"] for group in found] == ["loose"] * 4
    assert [list(told(group).values()) for group in found] == [["cropped"], ["cropped"], ["bordered"], ["bordered"]]


def test_what_was_catalogued_before_is_looked_for_after_a_rehash(tmp_path: Path) -> None:
    library = tmp_path / "library"
    library.mkdir()
    original = photo(960, 720, seed=41)
    for name, picture in {"original": original, "cut": cut(original), "mirrored": ImageOps.mirror(original)}.items():
        (library / f"{name}.jpg").write_bytes(jpeg(picture))
    mill = Mill(tmp_path / "plain")
    mill.run("index", str(library), check=True)
    assert groups(mill) == []
    mill = Mill(tmp_path / "plain", dedupe=FLAG)
    assert "index --rehash" in mill.once().stderr
    assert "note: 3 pictures with hashes" in mill.run("index", str(library), check=True).stdout
    rehashed = json.loads(mill.run("index", "--rehash", "--json", check=True).stdout)
    assert rehashed["indexed"] == 3
    (group,) = groups(mill)
    assert {Path(member["path"]).name for member in group["members"]} == {"original.jpg", "cut.jpg", "mirrored.jpg"}
    assert "index --rehash" not in mill.once().stderr
    assert "note: " not in mill.run("index", str(library), check=True).stdout
    again = json.loads(mill.run("index", "--rehash", "--json", check=True).stdout)
    assert again["files"] == 0
