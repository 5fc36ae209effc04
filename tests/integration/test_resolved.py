"""What is done to files of a library, and what is told of them afterwards: real files, without a daemon."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from dropmill.control import offline
from dropmill.control.desk import Desk
from dropmill.errors import Conflict, Forbidden, NotFound
from dropmill.observe.clock import SystemClock
from dropmill.settings import Settings
from dropmill.store.catalog import Catalog, catalog_path
from dropmill.store.connection import Session

IMAGE = (
    "INSERT INTO images (id, sha256, coded_sha256, fingerprint_version, phash, dhash, ahash, phash256, texture, format,"
    " width, height, mode, frames, pages_dropped, orientation, icc, captured_at, copyright, camera, size_bytes, created_at_ms)"
    " VALUES (?1, ?2, ?2, 1, 0, 0, 0, '', 9, 'jpeg', 8, 8, 'RGB', 1, 0, 1, 'none', '', '', '', 100, 1)"
)
# A keeper and its copy, a smaller one and its copy; the numbers of images.
FILES = {"a.jpg": 1, "copy of a.jpg": 1, "small.jpg": 2, "copy of small.jpg": 2}


class Shelf:
    """A library with one group, whose keeper is a.jpg."""

    def __init__(self, folder: Path) -> None:
        self.lib = folder / "lib"
        self.lib.mkdir()
        (folder / "state").mkdir()
        self.settings = Settings(state_dir=str(folder / "state"), library_roots=(str(self.lib),))
        for name, image in FILES.items():
            (self.lib / name).write_bytes(b"%d" % image * 100)
        catalog = Catalog(catalog_path(self.settings.state_dir))
        anyio.run(catalog.write, self._fill)
        catalog.close()
        self.before = self.tree()

    def _fill(self, session: Session) -> None:
        execute = session.connection.execute
        execute("INSERT INTO roots (id, kind, name, path) VALUES (1, 'library', 'lib', ?)", (os.fsencode(self.lib),))
        for image in sorted(set(FILES.values())):
            execute(IMAGE, (image, hashlib.sha256(b"%d" % image * 100).hexdigest()))
        execute(
            "INSERT INTO groups (id, keeper_holding_id, keeper_image_id, tier, relation, phash_distance, members,"
            " reclaimable_bytes, changed_at_ms) VALUES (9, 1, 1, 'near', 'resized', 2, 4, 300, 1)"
        )
        for number, (name, image) in enumerate(FILES.items(), 1):
            seen = (self.lib / name).stat()
            place = (number, image, os.fsencode(name), seen.st_ino, seen.st_mtime_ns)
            execute("INSERT INTO holdings VALUES (?, ?, 1, ?, ?, 100, ?, NULL, 1700000000000, 0)", place)
            told = ("exact", "identical", 0) if image == 1 else ("near", "resized", 2)
            execute("INSERT INTO members VALUES (9, ?, ?, ?, ?, ?, 0, 0)", (number, image, *told))
        execute("DELETE FROM regroup")

    def rename(self, holding: int, name: str) -> None:
        """As if the file of a holding had been catalogued under another name."""
        (self.lib / list(FILES)[holding - 1]).rename(self.lib / name)
        catalog = Catalog(catalog_path(self.settings.state_dir))
        change = "UPDATE holdings SET rel = ? WHERE id = ?"
        anyio.run(
            catalog.write, lambda session: session.connection.execute(change, (os.fsencode(name), holding)) and None
        )
        catalog.close()

    def tree(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.lib.iterdir() if path.is_file()}

    def do(self, call: Callable[[Desk], Awaitable[Any]]) -> Any:
        async def work() -> Any:
            async with offline.changing(self.settings, SystemClock(), heif=False) as desk:
                return await call(desk)

        return anyio.run(work)

    def why(self, name: str) -> tuple[str, str]:
        """Verdict and story."""
        told = self.do(lambda desk: desk.why(os.fsencode(self.lib / name)))
        return told["verdict"], "\n".join(entry["text"] for entry in told["story"])


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def many(action: str, dry_run: bool = False, **filters: str) -> Callable[[Desk], Awaitable[Any]]:
    return lambda desk: desk.resolve_many([9], filters or None, action, None, dry_run)


def test_only_the_copies_of_a_group_are_acted_on_and_the_near_ones_stay(shelf: Shelf) -> None:
    whole = shelf.do(many("delete", dry_run=True))
    assert (whole["groups"], whole["members"], whole["by_tier"].keys()) == (1, 3, {"near"})
    plan = shelf.do(many("delete", dry_run=True, tier="exact"))
    assert plan["by_tier"] == {"exact": {"groups": 1, "members": 2, "bytes": 200}}
    assert Path(plan["examples"][0]["path"]).name == "copy of a.jpg"
    batch = shelf.do(many("delete", tier="exact"))["batch"]
    assert shelf.tree().keys() == {"a.jpg", "small.jpg"}
    items = shelf.do(lambda desk: desk.batch(batch))["items"]
    assert {Path(item["path"]).name for item in items} == {"copy of a.jpg", "copy of small.jpg"}
    # The copy of the small one went because of the small one.
    assert f"a copy of {shelf.lib}/small.jpg, which was kept" in shelf.why("copy of small.jpg")[1]
    assert shelf.do(lambda desk: desk.undo(batch))["state"] == "undone"
    assert shelf.tree() == shelf.before


def test_a_copy_stays_where_the_one_that_it_is_a_copy_of_has_changed(shelf: Shelf) -> None:
    (shelf.lib / "small.jpg").write_bytes(b"other")
    batch = shelf.do(many("delete", tier="exact"))["batch"]
    told = shelf.do(lambda desk: desk.batch(batch))
    assert (told["done"], told["skipped"]) == (1, 1)
    (left,) = [item for item in told["items"] if item["state"] == "skipped"]
    assert Path(left["path"]).name == "copy of small.jpg" and "dropmill index DIR" in left["hint"]


def test_copies_among_the_others_can_be_linked_and_other_tiers_are_chosen_alone(shelf: Shelf) -> None:
    plan = shelf.do(many("link", dry_run=True, tier="exact"))
    assert (plan["members"], plan["left"]) == (2, [])
    shelf.do(many("link", tier="exact"))
    assert (shelf.lib / "copy of small.jpg").samefile(shelf.lib / "small.jpg")
    assert (shelf.lib / "copy of a.jpg").samefile(shelf.lib / "a.jpg")
    with pytest.raises(Conflict):
        shelf.do(many("delete", tier="similar"))


def test_keeping_the_copies_settles_no_group_that_has_others(shelf: Shelf) -> None:
    shelf.do(many("keep", tier="exact"))
    assert shelf.do(lambda desk: desk.group(9))["state"] == "open"
    shelf.do(many("keep", tier="near"))
    shelf.do(many("keep"))
    assert shelf.do(lambda desk: desk.group(9))["state"] == "settled"


def test_what_was_thrown_away_is_told_whole(shelf: Shelf) -> None:
    verdict, story = shelf.why("copy of a.jpg")
    assert verdict == "catalogued in place"
    assert f"group 9, with 3 other files: exact, identical to {shelf.lib}/a.jpg, the one to keep" in story
    assert "it has not changed since" in story
    assert "this is the one to keep" in shelf.why("a.jpg")[1]
    batch = shelf.do(lambda desk: desk.resolve(9, "delete", members=[2]))["batch"]
    verdict, story = shelf.why("copy of a.jpg")
    assert verdict == f"in the trash (batch {batch})"
    assert f"dropmill undo {batch}, until the trash is emptied of it on 20" in story
    assert "no job" not in story and "somebody else" not in story
    (aside,) = shelf.lib.glob(".dropmill-trash/*/*")
    verdict, story = shelf.why(str(aside.relative_to(shelf.lib)))
    assert verdict == f"in the trash: it was {shelf.lib}/copy of a.jpg (batch {batch})"
    # What has taken the name since is not what was thrown away.
    (shelf.lib / "copy of a.jpg").write_bytes(b"new")
    assert shelf.why("copy of a.jpg")[0] == "not in the catalog"
    (shelf.lib / "copy of a.jpg").unlink()
    shelf.do(lambda desk: desk.undo(batch))
    verdict, story = shelf.why("copy of a.jpg")
    assert verdict == "catalogued in place" and f"taken back (batch {batch})" in story


def test_a_file_whose_name_is_shown_escaped_is_told_with_its_batch(shelf: Shelf) -> None:
    shelf.rename(2, "a\nb.jpg")
    batch = shelf.do(lambda desk: desk.resolve(9, "delete", members=[2]))["batch"]
    for spelling in ("a\nb.jpg", r"a\nb.jpg"):  # As it is on disk, and as it was copied from a table.
        assert shelf.why(spelling)[0] == f"in the trash (batch {batch})"


def test_what_somebody_took_out_of_the_trash_is_not_offered_back(shelf: Shelf) -> None:
    batch = shelf.do(lambda desk: desk.resolve(9, "delete", members=[2]))["batch"]
    shutil.rmtree(shelf.lib / ".dropmill-trash" / str(batch))
    verdict, story = shelf.why("copy of a.jpg")
    assert verdict == f"deleted: somebody took it out of the trash (batch {batch})"
    assert "cannot be taken back" in story and "dropmill undo" not in story
    # Where the disk itself is away, nothing is known of its trash.
    shelf.lib.rename(shelf.lib.with_name("elsewhere"))
    shelf.lib.mkdir()
    assert shelf.why("copy of a.jpg")[0] == f"in the trash (batch {batch})"


def test_w26_a_file_whose_disk_is_away_is_not_said_to_be_forgotten_next(shelf: Shelf) -> None:
    (shelf.lib / "small.jpg").unlink()
    assert f"the next dropmill index {shelf.lib} forgets it" in shelf.why("small.jpg")[1]
    shelf.lib.rename(shelf.lib.with_name("elsewhere"))
    shelf.lib.mkdir()
    story = shelf.why("small.jpg")[1]
    assert "its disk is not mounted: nothing is forgotten" in story and "forgets it" not in story


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        (".hidden.jpg", "its name begins with a dot"),
        ("x.jpg.part", "its name matches *.part"),
        ("@eaDir/t.jpg", "it is in a folder whose name matches @eadir"),
        ("Thumbs.db", "its name matches thumbs.db"),
        ("link/x.jpg", "link is a symbolic link"),
    ],
)
def test_what_index_passes_over_is_told_by_its_rule(shelf: Shelf, name: str, rule: str) -> None:
    path = shelf.lib / name
    if name.startswith("link"):
        path.parent.symlink_to(shelf.lib.parent)
        path = path.parent / "x.jpg"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"x")
    verdict, story = shelf.why(name)
    assert verdict == "passed over"
    assert rule in story and "to take it in" not in story


def test_files_of_a_library_are_found_by_name_and_by_the_start_of_a_digest(shelf: Shelf) -> None:
    told = shelf.do(lambda desk: desk.why(b"small.jpg"))
    assert (told["target"], told["verdict"]) == (f"{shelf.lib}/small.jpg", "catalogued in place")
    digest = hashlib.sha256(b"2" * 100).hexdigest()
    told = shelf.do(lambda desk: desk.why(digest[:8]))
    assert (told["target"], told["verdict"]) == (digest, "catalogued in place")
    assert f"held by {shelf.lib}/small.jpg" in [entry["text"] for entry in told["story"]]
    with pytest.raises(NotFound):
        shelf.do(lambda desk: desk.why(b"nosuch.jpg"))


def test_links_and_what_is_gone_for_good_are_told(shelf: Shelf) -> None:
    batch = shelf.do(lambda desk: desk.resolve(9, "link", members=[2]))["batch"]
    linked = f"catalogued in place; replaced by a hard link to {shelf.lib}/a.jpg (batch {batch})"
    assert shelf.why("copy of a.jpg")[0] == linked
    shelf.do(lambda desk: desk.undo(batch))
    verdict, story = shelf.why("copy of a.jpg")
    assert verdict == "catalogued in place" and "taken back" in story
    told = shelf.do(lambda desk: desk.why(os.fsencode(shelf.lib / "copy of a.jpg")))
    assert told["story"][0]["at"] == "2023-11-14T22:13:20.000Z"  # It is known for as long as it was before.
    batch = shelf.do(lambda desk: desk.resolve(9, "delete", members=[4], permanent=True))["batch"]
    verdict, story = shelf.why("copy of small.jpg")
    assert verdict == f"deleted for good by batch {batch}" and "it cannot be taken back" in story


def test_what_was_moved_is_told_at_both_places(shelf: Shelf) -> None:
    away = shelf.lib / "away"
    batch = shelf.do(lambda desk: desk.resolve(9, "move", members=[2], folder=str(away)))["batch"]
    assert shelf.why("copy of a.jpg")[0] == f"moved to {away}/copy of a.jpg (batch {batch})"
    verdict, story = shelf.why("away/copy of a.jpg")
    assert verdict == "catalogued in place; moved here by a person"
    assert f"dropmill undo {batch}" in story


def test_what_was_moved_is_decided_and_stays_where_it_is(shelf: Shelf) -> None:
    away = str(shelf.lib / "away")
    shelf.do(lambda desk: desk.resolve(9, "move", members=[2], folder=away))
    shelf.rename(3, "away/small.jpg")
    # One lies there already, by somebody's own hand; a copy would get beside it.
    batch = shelf.do(lambda desk: desk.resolve_many([9], None, "move", away, False))["batch"]
    items = {Path(item["path"]).name: item for item in shelf.do(lambda desk: desk.batch(batch))["items"]}
    assert {name: item["state"] for name, item in items.items()} == {
        "small.jpg": "skipped",
        "copy of small.jpg": "done",
    }
    assert items["small.jpg"]["detail"] == "it lies in that folder already"
    assert sorted(os.listdir(away)) == ["copy of a.jpg", "copy of small.jpg", "small.jpg"]


def test_nothing_is_moved_beside_the_one_that_is_kept(shelf: Shelf) -> None:
    (shelf.lib / "away").mkdir()
    shelf.rename(1, "away/a.jpg")
    with pytest.raises(Conflict, match="the one that is kept lies in that folder itself"):
        shelf.do(lambda desk: desk.resolve(9, "move", folder=str(shelf.lib / "away")))
    assert os.listdir(shelf.lib / "away") == ["a.jpg"] and shelf.do(lambda desk: desk.batches()) == []


@pytest.mark.parametrize("folder", ["/etc", "/nonexistent/x", None, "lib/.dropmill-trash/9"])
def test_a_dry_run_of_a_move_looks_at_the_folder_as_the_move_does(shelf: Shelf, folder: str | None) -> None:
    wanted = str(shelf.lib.parent / folder) if folder else None
    refused = []
    for dry_run in (True, False):
        with pytest.raises((Forbidden, Conflict)) as refusal:
            shelf.do(lambda desk, dry_run=dry_run: desk.resolve_many([9], None, "move", wanted, dry_run))
        refused.append((refusal.value.reason, str(refusal.value), refusal.value.hint))
    assert refused[0] == refused[1]
    assert shelf.do(lambda desk: desk.resolve_many([9], None, "move", str(shelf.lib / "away"), True))["members"] == 3
    assert not (shelf.lib / "away").exists()


def test_what_is_forgotten_is_nobody_elses(shelf: Shelf) -> None:
    shelf.do(lambda desk: desk.forget(os.fsencode(shelf.lib / "a.jpg")))
    verdict, story = shelf.why("a.jpg")
    assert verdict == "not in the catalog"
    assert "or it was forgotten" in story and f"to take it in: dropmill index {shelf.lib}" in story


def test_what_deletes_nothing_is_never_for_good(shelf: Shelf) -> None:
    with pytest.raises(Conflict) as refused:
        shelf.do(lambda desk: desk.resolve(9, "keep", permanent=True))
    assert "leave out permanent" in refused.value.hint
    assert shelf.tree() == shelf.before


def test_what_was_changed_at_runtime_is_told_with_its_time(shelf: Shelf) -> None:
    def near(told: list[dict[str, Any]]) -> dict[str, Any]:
        return next(one for one in told if one["name"] == "dedupe.near_phash")

    assert near(shelf.do(lambda desk: desk.preferences()))["changed_at"] is None
    told = near(shelf.do(lambda desk: desk.set_preferences({"dedupe.near_phash": 2})))
    assert (told["value"], told["changed"], told["changed_at"][:2]) == (2, True, "20")
    told = near(shelf.do(lambda desk: desk.set_preferences({"dedupe.near_phash": None})))
    assert (told["value"], told["changed_at"]) == (4, None)
