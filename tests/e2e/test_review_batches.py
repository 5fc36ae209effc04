"""What a person does about duplicates, over HTTP and on the command line, and what becomes of files, catalog and trash."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import apsw
import pytest

from harness import Mill
from review_help import batch, copies, ended, groups, picture, post, resolve, review, tree, wait_for_groups

pytestmark = pytest.mark.long


def test_what_is_thrown_away_is_no_deletion_by_its_user_and_no_new_file_when_it_comes_back(tmp_path: Path) -> None:
    """Even where originals that go take their renditions along."""
    mill = review(tmp_path / "mill", 2, 2, on_source_deleted="remove", reconcile_seconds=0.5)
    try:
        before, outputs = tree(mill.inbox), mill.outputs()
        jobs = len(mill.jobs())
        told = resolve(mill, groups(mill)[0]["id"], "delete")
        assert len(told["done"]) == 1 and told["skipped"] == [] and told["state"] == "done"
        assert len(groups(mill)) == 1
        scans = mill.metric("dropmill_scans_total")
        mill.wait_for(lambda: mill.metric("dropmill_scans_total") >= scans + 6)
        assert mill.outputs() == outputs
        assert post(mill, f"/batches/{told['batch']}/undo")["state"] == "undone"
        assert tree(mill.inbox) == before
        wait_for_groups(mill, 2, 2)
        scans = mill.metric("dropmill_scans_total")
        mill.wait_for(lambda: mill.metric("dropmill_scans_total") >= scans + 6)
        assert mill.outputs() == outputs and len(mill.jobs()) == jobs
        assert mill.metric("dropmill_deeds_total") == 2
        # A file that its user really deletes still takes its renditions along.
        (mill.inbox / "000.jpg").unlink()
        (mill.inbox / "sub1" / "000-1.jpg").unlink()
        mill.wait_for(lambda: mill.outputs() != outputs)
    finally:
        mill.stop()


def test_undo_tells_what_is_in_the_way_and_takes_back_the_rest_and_then_that(tmp_path: Path) -> None:
    mill = review(tmp_path / "mill", 1, 4)
    try:
        before = tree(mill.inbox)
        told = resolve(mill, groups(mill)[0]["id"], "delete")
        victim = next(Path(item["path"]) for item in batch(mill, told["batch"])["items"])
        victim.write_bytes(b"somebody needed that name")
        undone = post(mill, f"/batches/{told['batch']}/undo")
        assert (undone["state"], undone["undone"], undone["done"]) == ("done", 2, 1)
        assert [one["path"] for one in undone["refused"]] == [str(victim)]
        assert "its name" in undone["refused"][0]["detail"] and undone["refused"][0]["hint"]
        assert victim.read_bytes() == b"somebody needed that name"
        by_command = mill.run("undo", str(told["batch"]))
        assert by_command.returncode == 1 and str(victim) in by_command.stderr and "Traceback" not in by_command.stderr
        victim.unlink()
        assert post(mill, f"/batches/{told['batch']}/undo")["state"] == "undone"
        assert tree(mill.inbox) == before
        assert post(mill, f"/batches/{told['batch']}/undo", status=409)["reason"] == "conflict"
    finally:
        mill.stop()


def test_files_are_moved_to_folders_that_the_configuration_allows_and_nowhere_else(tmp_path: Path) -> None:
    mill = review(tmp_path / "mill", 2, 3, archive="archive")
    try:
        library = mill.root / "lib"
        (library / "way-out").symlink_to(mill.inbox)
        before = tree(mill.root / "archive")
        number = groups(mill)[0]["id"]
        for folder, reason in (
            (str(mill.root / "elsewhere"), "outside-library-roots"),
            (str(library / ".." / "elsewhere"), "outside-library-roots"),
            (str(library / "way-out"), "outside-library-roots"),
            (None, "no-folder"),
            ("lib/relative", "not-found"),
        ):
            body = {"action": "move"} | ({"folder": folder} if folder else {})
            status = {"outside-library-roots": 403, "no-folder": 409, "not-found": 404}[reason]
            assert post(mill, f"/groups/{number}/resolve", body, status)["reason"] == reason
        assert not (mill.root / "elsewhere").exists()
        mill.stop()
        mill.configure(top={"library_roots": [str(mill.root)]})
        mill.start()
        inside = post(mill, f"/groups/{number}/resolve", {"action": "move", "folder": str(mill.inbox / "x")}, 403)
        assert inside["reason"] == "folder-in-use" and not (mill.inbox / "x").exists()
        told = resolve(mill, number, "move", folder=str(library / "doubtful" / "2026"))
        assert len(told["done"]) == 2
        moved = sorted(str(path.relative_to(library)) for path in (library / "doubtful").rglob("*.jpg"))
        assert len(moved) == 2
        mill.wait_for(lambda: len(groups(mill)) == 1)
        kinds = {member["kind"] for group in groups(mill) for member in group["members"]}
        assert kinds == {"archive"}
        post(mill, f"/batches/{told['batch']}/undo")
        assert tree(mill.root / "archive") == before
        assert list((library / "doubtful").rglob("*.jpg")) == []
    finally:
        mill.stop()


def test_for_good_is_for_good_and_only_where_it_is_allowed(tmp_path: Path) -> None:
    mill = review(tmp_path / "mill", 2, 2)
    try:
        first, second = (group["id"] for group in groups(mill))
        assert post(mill, f"/groups/{first}/resolve", {"action": "move", "permanent": True}, 409)
        told = resolve(mill, first, "delete", permanent=True)
        assert len(told["done"]) == 1
        assert not list(mill.inbox.rglob(".dropmill-trash"))
        gone = post(mill, f"/batches/{told['batch']}/undo", status=409)
        assert gone["reason"] == "gone-for-good" and gone["hint"]
        mill.stop()
        mill.config.write_text(mill.config.read_text() + "[review]\nallow_permanent = false\n")
        mill.start()
        refused = post(mill, f"/groups/{second}/resolve", {"action": "delete", "permanent": True}, 403)
        assert refused["reason"] == "permanent-not-allowed" and "trash" in refused["hint"]
    finally:
        mill.stop()


def test_the_trash_is_emptied_when_its_time_has_come(tmp_path: Path) -> None:
    mill = review(tmp_path / "mill", 1, 3)
    try:
        mill.stop()
        text = mill.config.read_text()
        mill.config.write_text(text + "[review]\ntrash_days = 0.000001\n")
        mill.start()
        number = resolve(mill, groups(mill)[0]["id"], "delete")["batch"]
        assert len(list(mill.inbox.rglob(".dropmill-trash/*/*"))) == 2
        mill.stop()
        mill.start()
        mill.wait_for(lambda: {item["state"] for item in batch(mill, number)["items"]} == {"purged"})
        assert not list(mill.inbox.rglob(".dropmill-trash"))
        assert post(mill, f"/batches/{number}/undo", status=409)["reason"] == "gone-for-good"
    finally:
        mill.stop()


def test_decisions_stick_until_they_are_taken_back(tmp_path: Path) -> None:
    mill = review(tmp_path / "mill", 3, 2)
    try:
        keep, dismiss, other = groups(mill)
        kept = resolve(mill, keep["id"], "keep")
        assert len(groups(mill)) == 2 and len(groups(mill, state="settled")) == 1
        resolve(mill, dismiss["id"], "dismiss")
        assert [group["id"] for group in groups(mill)] == [other["id"]]
        another = next(member["id"] for member in other["members"] if not member["keeper"])
        named = resolve(mill, other["id"], "keep", keeper=another, members=[])
        assert len(groups(mill)) == 1
        mill.stop()
        mill.start()
        mill.wait_for(lambda: len(groups(mill)) == 1 and len(groups(mill, state="settled")) >= 1)
        assert post(mill, f"/groups/{other['id']}/resolve", {"action": "keep", "keeper": 10**9}, 404)
        for told in (kept, named):
            assert post(mill, f"/batches/{told['batch']}/undo")["state"] == "undone"
        mill.wait_for(lambda: len(groups(mill)) == 2)
    finally:
        mill.stop()


def test_all_suggestions_are_overlooked_first_and_then_carried_out_and_undone_in_one(tmp_path: Path) -> None:
    mill = review(tmp_path / "mill", 30, 3)
    try:
        before = tree(mill.inbox)
        plan = post(mill, "/groups/resolve", {"filter": {"tier": "exact"}, "action": "delete", "dry_run": True})
        assert (plan["batch"], plan["groups"], plan["members"]) == (None, 30, 60)
        assert plan["bytes"] == plan["by_tier"]["exact"]["bytes"] > 0 and len(plan["examples"]) == 5
        assert tree(mill.inbox) == before
        none = post(mill, "/groups/resolve", {"filter": {"tier": "loose"}, "action": "delete", "dry_run": True})
        assert (none["groups"], none["members"]) == (0, 0)
        assert post(mill, "/groups/resolve", {"filter": {"tier": "loose"}, "action": "delete"}, 409)
        number = post(mill, "/groups/resolve", {"filter": {}, "action": "delete"})["batch"]
        told = ended(mill, number)
        assert (told["done"], told["skipped"], told["state"]) == (60, 0, "done")
        assert groups(mill) == []
        log = mill.log.read_text()
        assert '"event": "the batch is done"' in log and log.count('"event": "moved to the trash"') == 60
        assert post(mill, f"/batches/{number}/undo")["undone"] == 60
        assert tree(mill.inbox) == before
    finally:
        mill.stop()


def test_what_changes_after_the_overview_is_left_out_and_counted(tmp_path: Path) -> None:
    mill = review(tmp_path / "mill", 3, 2)
    try:
        ask = {"filter": {"tier": "exact"}, "action": "delete"}
        plan = post(mill, "/groups/resolve", {**ask, "dry_run": True})
        assert (plan["groups"], plan["members"], plan["skipped"]) == (3, 3, 0)
        shown = json.loads(mill.run("resolve", "--all", "--action", "delete", "--dry-run", "--json", check=True).stdout)
        assert shown["as_of"] == plan["as_of"]
        original = (mill.inbox / "000.jpg").read_bytes()
        mill.drop("another.jpg", original)
        mill.wait_for(lambda: sorted(group["members_count"] for group in groups(mill)) == [2, 2, 3])
        again = post(mill, "/groups/resolve", {**ask, "dry_run": True})
        assert (again["groups"], again["members"], again["skipped"]) == (3, 4, 0) and again["as_of"] > plan["as_of"]
        told = post(mill, "/groups/resolve", {**ask, "as_of": plan["as_of"]})
        assert (told["groups"], told["members"], told["skipped"]) == (2, 2, 1)
        assert (ended(mill, told["batch"])["done"], ended(mill, told["batch"])["skipped"]) == (2, 0)
        (left,) = groups(mill)
        assert left["members_count"] == 3
        nothing = post(mill, "/groups/resolve", {**ask, "as_of": plan["as_of"]}, 409)
        assert "changed" in nothing["hint"]
        by_command = mill.run("resolve", "--all", "--action", "delete", "--as-of", str(plan["as_of"]), "--yes")
        assert by_command.returncode == 1 and "changed" in by_command.stderr
        assert len(groups(mill)) == 1
        assert mill.run("resolve", "--all", "--action", "delete", "--yes").returncode == 0
        assert groups(mill) == [] and (mill.inbox / "000.jpg").read_bytes() == original
    finally:
        mill.stop()


def test_a_command_tells_of_a_batch_that_cannot_go_on_with_and_without_a_daemon(tmp_path: Path) -> None:
    mill = review(tmp_path / "mill", 1, 2)
    try:
        before = tree(mill.inbox)
        number = str(resolve(mill, groups(mill)[0]["id"], "delete")["batch"])
        mill.stop()
        catalog = apsw.Connection(str(mill.root / "state" / "catalog.db"))
        catalog.execute("CREATE TRIGGER refusing BEFORE UPDATE ON deeds BEGIN SELECT raise(ABORT, 'no room'); END")
        alone = mill.run("undo", number)
        assert alone.returncode == 1 and "held up" in alone.stderr and "no room" in alone.stderr, alone.stderr
        mill.start()
        mill.wait_for(lambda: "no room" in batch(mill, int(number))["detail"])
        catalog.execute("DROP TRIGGER refusing")
        catalog.close()
        told = ended(mill, int(number))
        assert (told["state"], told["detail"]) == ("undone", "") and tree(mill.inbox) == before
    finally:
        if mill.process is not None:
            mill.stop()


def test_forgetting_a_picture_keeps_no_undo_from_its_end(tmp_path: Path) -> None:
    """Of a library that is indexed again: the picture has another number by then."""
    mill = Mill(tmp_path, top={"library_roots": [str(tmp_path / "lib")]}, dedupe={"exact": "flag"})
    library = tmp_path / "lib"
    library.mkdir()
    for name in ("one.jpg", "two.jpg"):
        (library / name).write_bytes(picture(1))
    before = tree(library)
    mill.start()
    try:
        mill.run("index", str(library), check=True)
        mill.wait_for(lambda: len(groups(mill)) == 1)
        number = resolve(mill, groups(mill)[0]["id"], "link")["batch"]
        assert os.path.samefile(library / "one.jpg", library / "two.jpg")
        mill.run("forget", hashlib.sha256(picture(1)).hexdigest(), check=True)
        mill.run("index", str(library), check=True)
        undone = post(mill, f"/batches/{number}/undo")
        assert (undone["state"], undone["undone"], undone["detail"]) == ("undone", 1, "")
        assert tree(library) == before
        wait_for_groups(mill, 1, 2)
        assert "held up" not in mill.log.read_text()
    finally:
        mill.stop()


def test_the_command_line_does_all_of_it_with_and_without_a_daemon(tmp_path: Path) -> None:
    mill = review(tmp_path / "mill", 2, 3)
    try:
        before = tree(mill.inbox)
        _by_commands(mill)
        assert tree(mill.inbox) == before
        wait_for_groups(mill, 2, 3)
        group = str(groups(mill)[0]["id"])
        mill.stop()
        alone = json.loads(mill.run("resolve", group, "--action", "delete", "--json", check=True).stdout)
        assert alone["done"] == 2 and len(tree(mill.inbox)) > len(before)
        assert "is taken back" in mill.run("undo", str(alone["id"]), check=True).stdout
        assert tree(mill.inbox) == before
    finally:
        if mill.process is not None:
            mill.stop()


def _by_commands(mill: Mill) -> None:
    found = json.loads(mill.run("duplicates", "--json", check=True).stdout)
    first = found[0]
    victim = next(member["path"] for member in first["members"] if member["path"] != first["keeper"])
    told = mill.run("resolve", str(first["id"]), "--action", "link", "--member", victim, check=True)
    assert "replaced by a hard link" in told.stdout
    assert os.path.samefile(victim, first["keeper"])
    plan = mill.run("resolve", "--all", "--action", "delete", "--dry-run", check=True)
    assert "stays" in plan.stdout
    asked = mill.run("resolve", "--all", "--action", "delete", stdin=-3)
    assert asked.returncode == 1 and "--yes" in asked.stderr
    all_of_them = json.loads(mill.run("resolve", "--all", "--action", "delete", "--yes", "--json", check=True).stdout)
    assert all_of_them["state"] == "done" and all_of_them["done"] >= 2
    listed = json.loads(mill.run("batches", "--json", check=True).stdout)
    assert [one["action"] for one in listed[:2]] == ["delete", "link"]
    assert "trash" in mill.run("batches", str(listed[0]["id"]), check=True).stdout
    for one in listed[:2]:
        assert "is taken back" in mill.run("undo", str(one["id"]), check=True).stdout
    again = mill.run("undo", str(listed[0]["id"]))
    assert again.returncode == 1 and "already" in again.stderr
    assert mill.run("undo", "999").returncode == 1


def test_what_was_thrown_away_stays_on_its_own_disk_and_a_missing_disk_is_told(tmp_path: Path) -> None:
    """Of a batch whose folder is not there: nothing is lost, each file is told, and later all comes back."""
    mill = review(tmp_path / "mill", 1, 3)
    try:
        before = tree(mill.inbox)
        number = resolve(mill, groups(mill)[0]["id"], "delete")["batch"]
        away = mill.root / "in-away"
        mill.inbox.rename(away)
        undone = post(mill, f"/batches/{number}/undo")
        assert undone["state"] == "done" and len(undone["refused"]) == 2
        assert not mill.inbox.exists()
        away.rename(mill.inbox)
        assert post(mill, f"/batches/{number}/undo")["state"] == "undone"
        assert tree(mill.inbox) == before
    finally:
        mill.stop()


def test_preferences_are_checked_previewed_kept_and_taken_back(tmp_path: Path) -> None:
    mill = Mill(tmp_path, top={"library_roots": [str(tmp_path / "lib")]})
    (tmp_path / "lib").mkdir()
    copies(mill, 1, 1)
    mill.start()
    try:
        settings = mill.get("/api/v1/settings").json()["preferences"]
        names = {one["name"] for one in settings}
        assert {"dedupe.near_phash", "review.default_move", "review.confirm_permanent"} <= names
        assert all(one["description"] and one["value"] == one["configured"] for one in settings)
        changes = {"dedupe.near_phash": 2, "review.default_move": str(tmp_path / "lib")}
        preview = post(mill, "/settings/preview", {"preferences": changes})
        assert preview["groups_now"] == preview["groups_then"] == 0
        assert {one["name"] for one in _put(mill, changes) if one["changed"]} == changes.keys()
        assert _put(mill, {"dedupe.near_phash": 99}, 409)["reason"] == "invalid-preference"
        assert _put(mill, {"dedupe.near_phash": 12}, 409)["reason"] == "invalid-preference"
        assert _put(mill, {"review.default_move": str(mill.inbox)}, 403)["reason"] == "outside-library-roots"
        assert _put(mill, {"http.bind": "0.0.0.0:1"}, 404)["reason"] == "not-found"
        mill.stop()
        mill.start()
        changed = [one for one in mill.get("/api/v1/settings").json()["preferences"] if one["changed"]]
        assert {one["name"]: one["value"] for one in changed} == changes
        assert not any(one["changed"] for one in _put(mill, dict.fromkeys(changes)))
    finally:
        mill.stop()


def _put(mill: Mill, changes: dict[str, object], status: int = 200) -> object:
    import httpx

    answer = httpx.put(f"{mill.address}/api/v1/settings", json={"preferences": changes}, timeout=30)
    assert answer.status_code == status, answer.text
    return answer.json()
