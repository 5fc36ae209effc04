"""From a library to its groups, a decision and back again, by the API alone."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import pictures
from harness import Mill

pytestmark = pytest.mark.long
PICTURES = 3


@pytest.fixture
def mill(tmp_path: Path) -> Iterator[Mill]:
    """Every picture twice: in the inbox, and smaller in the library, in a folder whose name is no text."""
    library = tmp_path / "library" / "caf\udce9"
    library.mkdir(parents=True)
    for seed in range(1, PICTURES + 1):
        (library / f"{seed}.jpg").write_bytes(pictures.jpeg(pictures.photo(800, 600, seed=seed), quality=60))
    mill = Mill(tmp_path, top={"library_roots": [str(tmp_path / "library")]})
    mill.start()
    try:
        for seed in range(1, PICTURES + 1):
            mill.drop(f"{seed}.jpg", pictures.jpeg(pictures.photo(800, 600, seed=seed), quality=95))
        mill.wait_for(lambda: len(mill.jobs("completed")) == PICTURES)
        yield mill
    finally:
        if mill.process is not None:
            mill.kill()


def post(mill: Mill, path: str, body: Any = None, code: int = 200) -> Any:
    answer = httpx.post(f"{mill.address}/api/v1{path}", json=body, timeout=30)
    assert answer.status_code == code, answer.text
    return answer.json()


def get(mill: Mill, path: str, code: int = 200, **query: Any) -> Any:
    answer = mill.get(f"/api/v1{path}", params=query)
    assert answer.status_code == code, answer.text
    return answer.json()


def indexed(mill: Mill) -> None:
    folder = base64.urlsafe_b64encode(bytes(mill.root / "library" / "caf\udce9")).decode().rstrip("=")
    scan = post(mill, "/index", {"folders_b64": [folder]}, 202)["id"]
    mill.wait_for(lambda: get(mill, f"/index/{scan}")["state"] == "done")
    told = get(mill, f"/index/{scan}")
    assert (told["indexed"], told["total_files"], told["eta_seconds"]) == (PICTURES, PICTURES, None)
    assert told["folders"][0].endswith("caf\\xe9")
    mill.wait_for(lambda: get(mill, "/groups")["total"] == PICTURES)
    mill.wait_for(lambda: all(group["relation"] for group in get(mill, "/groups")["groups"]))


def test_groups_come_in_pages_and_by_filters(mill: Mill) -> None:
    indexed(mill)
    seen, cursor = [], None
    while True:
        page = get(mill, "/groups", limit=1, **({"cursor": cursor} if cursor else {}))
        assert page["total"] == PICTURES
        seen += [group["id"] for group in page["groups"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == PICTURES
    everything = get(mill, "/groups")
    gains = [group["reclaimable_bytes"] for group in everything["groups"]]
    assert gains == sorted(gains, reverse=True) and sum(gains) == everything["reclaimable_bytes"]
    for query, found in (
        ({"tier": "near"}, PICTURES), ({"tier": "loose"}, 0), ({"inbox": "camera"}, PICTURES),
        ({"folder": str(mill.inbox)}, PICTURES), ({"folder": "/nowhere"}, 0), ({"threshold": 12}, PICTURES),
        ({"state": "settled"}, 0), ({"sort": "newest"}, PICTURES), ({"sort": "similarity"}, PICTURES),
    ):  # fmt: skip
        assert get(mill, "/groups", **query)["total"] == found, query
    group = everything["groups"][0]
    assert get(mill, f"/groups/{group['id']}") == group
    keeper = next(member for member in group["members"] if member["keeper"])
    assert keeper["id"] == group["keeper"] and keeper["inbox"] == "camera" and group["reasons"]
    image = get(mill, f"/images/{keeper['image']}")
    assert image["sha256"] == keeper["sha256"] and image["groups"] == [group["id"]]
    assert get(mill, f"/images/{keeper['image']}/metadata")["measured"]["width"] == 800


def test_a_decision_is_done_told_and_taken_back(mill: Mill) -> None:
    indexed(mill)
    before = {path: path.read_bytes() for path in (mill.root / "library").rglob("*.jpg")}
    overview = post(mill, "/groups/resolve", {"action": "delete", "filter": {}, "dry_run": True})
    assert (overview["batch"], overview["groups"], overview["members"]) == (None, PICTURES, PICTURES)
    assert set(before) == set((mill.root / "library").rglob("*.jpg"))
    one = get(mill, "/groups")["groups"][0]
    done = post(mill, f"/groups/{one['id']}/resolve", {"action": "delete"})
    assert len(done["done"]) == 1 and done["skipped"] == []
    many = post(mill, "/groups/resolve", {"action": "delete", "filter": {}})["batch"]
    mill.wait_for(lambda: get(mill, f"/batches/{many}")["state"] == "done")
    assert not any(path.exists() for path in before)
    told = get(mill, f"/batches/{many}")
    assert told["done"] == len(told["items"]) == PICTURES - 1 and told["undoable"]
    assert [batch["id"] for batch in get(mill, "/batches")] == [many, done["batch"]]
    assert [batch["id"] for batch in get(mill, "/batches", before=many)] == [done["batch"]]
    for batch in (many, done["batch"]):
        assert post(mill, f"/batches/{batch}/undo")["state"] == "undone"
        assert post(mill, f"/batches/{batch}/undo", code=409)["reason"] == "conflict"
    assert {path: path.read_bytes() for path in before} == before
    mill.wait_for(lambda: get(mill, "/groups")["total"] == PICTURES)
    dismissed = post(mill, f"/groups/{get(mill, '/groups')['groups'][0]['id']}/resolve", {"action": "dismiss"})
    mill.wait_for(lambda: get(mill, "/groups")["total"] == PICTURES - 1)
    assert post(mill, f"/batches/{dismissed['batch']}/undo")["state"] == "undone"
    mill.wait_for(lambda: get(mill, "/groups")["total"] == PICTURES)


def test_preferences_are_seen_before_they_are_set_and_taken_back(mill: Mill) -> None:
    indexed(mill)
    change = {"preferences": {"dedupe.near_phash": 0, "dedupe.similar_phash": 0}}
    effect = post(mill, "/settings/preview", change)
    assert effect["groups_now"] == PICTURES and effect["groups_then"] <= PICTURES
    for body in (change, {"preferences": dict.fromkeys(change["preferences"])}):
        answer = httpx.put(f"{mill.address}/api/v1/settings", json=body, timeout=10)
        assert answer.status_code == 200, answer.text
        told = {one["name"]: one for one in get(mill, "/settings")["preferences"]}
        assert told["dedupe.near_phash"]["changed"] is (body is change)
    mill.wait_for(lambda: get(mill, "/groups")["total"] == PICTURES)


def test_s07_other_ids_and_folders_lead_nowhere(mill: Mill) -> None:
    indexed(mill)
    group = get(mill, "/groups")["groups"][0]
    for path in ("/groups/999", "/groups/x", "/groups/-1", "/groups/..%2f..%2fetc", "/batches/999", "/index/999",
                 "/images/999", "/images/999/metadata", "/images/999/preview", "/images/1/..%2fpasswd"):  # fmt: skip
        assert get(mill, path, 404)["status"] == 404, path
    for path in ("/groups/999/resolve", "/batches/999/undo", "/index/999/cancel"):
        post(mill, path, {"action": "keep"} if "resolve" in path else None, 404)
    outside = mill.root / "outside"
    outside.mkdir()
    (mill.root / "library" / "out").symlink_to(outside)
    for folder in ("/etc", str(outside), str(mill.root / "library" / "out"), str(mill.root / "library" / ".." / "in")):
        for path, body in (
            ("/index", {"folders": [folder]}),
            (f"/groups/{group['id']}/resolve", {"action": "move", "folder": folder}),
        ):
            refused = post(mill, path, body, 403)
            assert refused["reason"] == "outside-library-roots" and refused["hint"], (path, folder)
    for path, body in (
        ("/index", {"folders": ["a\0b"]}),
        ("/forget", {"target": "/nowhere.jpg"}),
        (f"/groups/{group['id']}/resolve", {"action": "delete", "members": [10**6]}),
        (f"/groups/{group['id']}/resolve", {"action": "keep", "keeper": 10**6}),
    ):
        assert post(mill, path, body, 404)["reason"] == "not-found", (path, body)
    for body in ({}, {"action": "burn"}, {"action": "keep", "membres": []}, {"action": "keep", "keeper": "1"}):
        assert post(mill, f"/groups/{group['id']}/resolve", body, 422)["errors"]
    assert list(outside.iterdir()) == []
