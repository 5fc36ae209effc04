"""Batches without a daemon: what they leave is grouped at once, and what nothing would come of is none."""

from __future__ import annotations

import os
from typing import Any

import anyio
import pytest
from test_resolved import Shelf
from typer.testing import CliRunner

from dropmill.cli.app import app
from dropmill.errors import Conflict
from dropmill.maintenance.group import Grouper
from dropmill.observe.clock import SystemClock
from dropmill.store.catalog import Catalog, catalog_path
from dropmill.store.connection import Session

Json = dict[str, Any]


@pytest.fixture
def shelf(tmp_path: Any) -> Shelf:
    return Shelf(tmp_path)


def draw(shelf: Shelf) -> None:
    """Groups of the copies alone, drawn as a daemon would have."""
    catalog = Catalog(catalog_path(shelf.settings.state_dir))

    def wish(session: Session) -> None:
        execute = session.connection.execute
        execute("DELETE FROM groups")
        execute("DELETE FROM members")
        execute("INSERT INTO regroup (image_id) SELECT id FROM images")

    async def work() -> None:
        await catalog.write(wish)
        settings = shelf.settings
        rules = settings.dedupe.thresholds, settings.keeper.rules
        grouper = Grouper(catalog, rules, settings.tiers, SystemClock())
        while await grouper.turn():
            pass

    anyio.run(work)
    catalog.close()


def groups(shelf: Shelf) -> dict[int, list[str]]:
    """Names of the files of each open group."""
    found = shelf.do(lambda desk: desk.groups())["groups"]
    return {one["id"]: sorted(os.path.basename(member["path"]) for member in one["members"]) for one in found}


@pytest.mark.parametrize("action", ["keep", "dismiss", "delete"])
def test_a_group_is_there_again_as_soon_as_its_batch_is_taken_back(shelf: Shelf, action: str) -> None:
    draw(shelf)
    before = groups(shelf)
    assert sorted(before.values()) == [["a.jpg", "copy of a.jpg"], ["copy of small.jpg", "small.jpg"]]
    first = min(before)
    batch = shelf.do(lambda desk: desk.resolve(first, action))["batch"]
    assert groups(shelf).keys() == before.keys() - {first}
    shelf.do(lambda desk: desk.undo(batch))
    assert groups(shelf) == before
    assert shelf.tree() == shelf.before


@pytest.mark.parametrize(
    ("action", "more", "said"),
    [
        ("link", {"members": [3]}, "would lose what differs"),
        ("delete", {"members": [1]}, "the one that is kept"),
        ("keep", {"folder": "/etc"}, "keep moves nothing there"),
    ],
)
def test_what_nothing_would_come_of_is_refused_and_makes_no_batch(
    shelf: Shelf, action: str, more: Json, said: str
) -> None:
    with pytest.raises(Conflict) as refused:
        shelf.do(lambda desk: desk.resolve(9, action, **more))
    assert said in refused.value.public_message and refused.value.hint
    assert shelf.do(lambda desk: desk.batches()) == []


def test_a_folder_is_refused_for_many_groups_too_where_nothing_is_moved(shelf: Shelf) -> None:
    with pytest.raises(Conflict) as refused:
        shelf.do(lambda desk: desk.resolve_many([9], None, "delete", "/etc", True))
    assert "leave out folder" in refused.value.hint


def test_the_batch_that_took_a_file_on_is_named(shelf: Shelf) -> None:
    away = shelf.lib / "away"
    first = shelf.do(lambda desk: desk.resolve(9, "move", members=[2], folder=str(away)))["batch"]
    catalog = Catalog(catalog_path(shelf.settings.state_dir))

    def regroup(session: Session) -> int:
        (moved,) = session.connection.execute(
            "SELECT id FROM holdings WHERE rel = ?", (b"away/copy of a.jpg",)
        ).fetchone()
        session.connection.execute("INSERT INTO members VALUES (9, ?, 1, 'exact', 'identical', 0, 0, 0)", (moved,))
        return int(moved)

    moved = anyio.run(catalog.write, regroup)
    catalog.close()
    later = shelf.do(lambda desk: desk.resolve(9, "delete", members=[moved]))["batch"]
    told = shelf.do(lambda desk: desk.undo(first))
    assert [one["hint"] for one in told["refused"]] == [f"take that back first: dropmill undo {later}"]
    for batch in (later, first):
        assert shelf.do(lambda desk, batch=batch: desk.undo(batch))["state"] == "undone"  # type: ignore[misc]  # The default binds the loop's value.
    assert shelf.tree() == shelf.before


def run(shelf: Shelf, *arguments: str) -> tuple[int, str]:
    """The exit code, and what was said."""
    config = shelf.lib.parent / "dropmill.toml"
    config.write_text(f'state_dir = "{shelf.settings.state_dir}"\nlibrary_roots = ["{shelf.lib}"]\n')
    done = CliRunner().invoke(app, [*arguments, "--config", str(config)], env={"COLUMNS": "400"})
    return done.exit_code, " ".join(done.output.split())


def test_a_dry_run_names_the_action_and_where_files_go(shelf: Shelf) -> None:
    away = f"{shelf.lib}/away"
    link = shelf.lib.with_name("link")
    link.symlink_to(shelf.lib)
    assert "delete: to the trash" in run(shelf, "resolve", "9", "--action", "delete", "--dry-run")[1]
    for folder in (away, f"{link}/away"):
        told = run(shelf, "resolve", "9", "--action", "move", "--folder", folder, "--dry-run")
        assert told[0] == 0 and f"move: to {away}" in told[1]
    code, said = run(shelf, "resolve", "--all", "--below", "/nosuch", "--action", "delete", "--dry-run")
    assert (code, said) == (0, "no open group fits delete: to the trash; below /nosuch")


def test_an_undo_that_brings_nothing_back_says_so(shelf: Shelf) -> None:
    batch = shelf.do(lambda desk: desk.resolve(9, "delete", members=[2]))["batch"]
    (shelf.lib / "copy of a.jpg").write_bytes(b"another")
    code, said = run(shelf, "undo", str(batch))
    assert code == 1 and f"no file of batch {batch} could be taken back" in said and "in part" not in said
