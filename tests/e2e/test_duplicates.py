"""Pictures that resemble each other are found, grouped and told of, by a real daemon."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import pictures
from harness import Mill

pytestmark = pytest.mark.long


def jpeg(picture: Image.Image, quality: int = 92) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality)
    return out.getvalue()


def smaller(picture: Image.Image) -> Image.Image:
    return picture.resize((picture.width // 2, picture.height // 2), Image.Resampling.LANCZOS)


def groups(mill: Mill, **query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = mill.get("/api/v1/groups", params=query).json()["groups"]
    return found


def names(group: dict[str, Any]) -> list[str]:
    return [Path(member["path"]).name for member in group["members"]]


def examined(mill: Mill, members: int) -> bool:
    """Whether there is one group of so many files, and it is known how each came from its keeper."""
    found = groups(mill)
    return [len(group["members"]) for group in found] == [members] and all(
        member["relation"] for member in found[0]["members"]
    )


@pytest.fixture
def mill(tmp_path: Path) -> Any:
    made = Mill(tmp_path, reconcile_seconds=1.0)
    yield made
    if made.process is not None:
        made.kill()


def drop_relatives(mill: Mill) -> None:
    photo = pictures.photo(960, 720, seed=5)
    mill.drop("large.jpg", jpeg(photo, 95))
    mill.drop("small.jpg", jpeg(smaller(photo), 80))
    mill.drop("copies/large again.jpg", jpeg(photo, 95))
    mill.drop("stranger.jpg", jpeg(pictures.photo(960, 720, seed=6)))


def test_relatives_form_one_group_that_outlives_restarts_and_lost_files(mill: Mill) -> None:
    drop_relatives(mill)
    mill.start()
    mill.wait_for(lambda: examined(mill, 3))
    (group,) = groups(mill)
    assert names(group)[0] in {"large.jpg", "large again.jpg"}
    assert group["members"][0]["keeper"]
    assert group["tier"] == "near"
    assert group["relation"] == "resized"
    assert group["reasons"]
    assert group["reclaimable_bytes"] == sum(member["size_bytes"] for member in group["members"][1:])
    told = json.loads(mill.run("duplicates", "--json", check=True).stdout)
    assert [one["id"] for one in told] == [group["id"]]
    assert told[0]["keeper"] == group["members"][0]["path"]
    assert [member["path"] for member in told[0]["members"]] == [member["path"] for member in group["members"]]
    assert all(
        {"path", "sha256", "phash", "distance", "relation"} <= member.keys() and len(member["phash"]) == 16
        for member in told[0]["members"]
    )
    assert mill.metric("dropmill_groups") == 1
    mill.stop()
    offline = json.loads(mill.run("duplicates", "--json", check=True).stdout)
    assert offline == told
    assert "1 group;" in mill.run("duplicates", check=True).stdout
    mill.start()
    assert groups(mill) == [group]
    # Two scans miss it, and nobody is offered it any more; it comes back, and so does what is said of it.
    aside = mill.root / "aside.jpg"
    (mill.inbox / "small.jpg").rename(aside)
    mill.wait_for(lambda: [one["tier"] for one in groups(mill)] == ["exact"])
    assert groups(mill)[0]["id"] == group["id"]
    aside.rename(mill.inbox / "small.jpg")
    mill.wait_for(lambda: examined(mill, 3))
    assert groups(mill)[0]["id"] == group["id"]


def test_only_the_members_of_a_tier_and_the_files_of_a_folder_are_told(mill: Mill) -> None:
    drop_relatives(mill)
    result = mill.once()
    assert result.returncode == 0, result.stderr
    told = json.loads(mill.run("duplicates", "--json", "--tier", "exact", check=True).stdout)
    assert [sorted(Path(member["path"]).name for member in one["members"]) for one in told] == [
        ["large again.jpg", "large.jpg"]
    ]
    assert told[0]["tier"] == "exact"
    assert all(member["relation"] == "identical" for member in told[0]["members"])
    for folder, count in (("copies", 1), ("nowhere", 0)):
        found = json.loads(mill.run("duplicates", "--json", "--folder", str(mill.inbox / folder), check=True).stdout)
        assert len(found) == count, folder
    assert json.loads(mill.run("duplicates", "--json", "--tier", "loose", check=True).stdout) == []
    refused = mill.run("duplicates", "--inbox", "nobody's")
    assert refused.returncode == 1
    assert "there is no inbox" in refused.stderr


def test_originals_that_were_moved_as_duplicates_are_in_their_group(tmp_path: Path) -> None:
    mill = Mill(tmp_path, duplicates="dups", on_duplicate="move", archive="kept")
    data = jpeg(pictures.photo(640, 480, seed=8))
    mill.drop("one.jpg", data)
    mill.drop("two.jpg", data)
    assert mill.once().returncode == 0
    (group,) = json.loads(mill.run("duplicates", "--json", check=True).stdout)
    assert group["tier"] == "exact"
    assert {Path(member["path"]).parent.name for member in group["members"]} == {"kept", "dups"}
    assert Path(group["keeper"]).parent.name == "kept"


def test_what_a_person_calls_no_duplicates_stays_so(mill: Mill) -> None:
    """Through renames, restarts and other thresholds."""
    photo = pictures.photo(960, 720, seed=5)
    mill.drop("a.jpg", jpeg(photo, 95))
    mill.drop("b.jpg", jpeg(smaller(photo), 80))
    mill.start()
    mill.wait_for(lambda: examined(mill, 2))
    group_id = groups(mill)[0]["id"]
    answer = _post(mill, f"/api/v1/groups/{group_id}/resolve", {"action": "dismiss"})
    assert answer < 300
    mill.wait_for(lambda: not groups(mill))
    (mill.inbox / "b.jpg").rename(mill.inbox / "renamed.jpg")
    mill.wait_for(lambda: any(job["outcome"] == "moved" for job in mill.jobs()))
    mill.stop()
    mill.configure(dedupe={"near_phash": 8, "near_dhash": 12, "similar_phash": 12, "similar_dhash": 12})
    mill.start()
    photo_again = mill.drop("c.jpg", jpeg(photo, 60))
    mill.wait_for(lambda: examined(mill, 2))
    assert photo_again.name in names(groups(mill)[0])


def _post(mill: Mill, path: str, body: dict[str, Any]) -> int:
    import httpx

    return httpx.post(mill.address + path, json=body, timeout=30).status_code
