"""Batches on a real catalog and real files, dying at every system call: done or undone, catalog and files agree."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from crashing import Crash, dying
from dropmill.files import standing
from dropmill.files.trash import TRASH
from dropmill.maintenance.batches import Batches, Wish
from dropmill.model.batch import Action, BatchState, DeedState, plan
from dropmill.observe.clock import SystemClock
from dropmill.observe.facts import BatchEnded, BatchHeldUp, DeedEnded, Fact
from dropmill.store import batches as store
from dropmill.store.catalog import Catalog
from dropmill.store.connection import Session
from parts import need_root
from review_help import tree

DATA = b"what three files hold"
NAMES = ("a.jpg", "b.jpg", "sub/c.jpg")
SHA256 = hashlib.sha256(DATA).hexdigest()
IMAGE = """INSERT INTO images (id, sha256, coded_sha256, fingerprint_version, phash, dhash, ahash, phash256, texture, format,
  width, height, mode, frames, pages_dropped, orientation, icc, captured_at, copyright, camera, size_bytes, created_at_ms)
  VALUES (1, ?, 'c', 1, 0, 0, 0, '', 0, 'jpeg', 8, 8, 'RGB', 1, 0, 1, '', '', '', '', ?, 1)"""


class House:
    """An inbox ``in`` with a keeper and two copies, all catalogued and in one group, and a folder to move to.

    ``names`` are the files; ``prepare`` is called before there are any.
    """

    def __init__(self, root: Path, names: Sequence[str] = NAMES, prepare: Callable[[], None] | None = None) -> None:
        self.names = names
        self.root, self.inbox, self.away = root, root / "in", root / "away"
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir()
        if prepare is not None:
            prepare()
        (self.inbox / "sub").mkdir(parents=True, exist_ok=True)
        self.away.mkdir(exist_ok=True)
        self.catalog = Catalog(str(root / "catalog.db"))
        self.facts: list[Fact] = []
        for number, name in enumerate(names, 1):
            path = self.inbox / name
            path.write_bytes(DATA)
            at = 1000 if len({os.path.basename(name) for name in names}) < len(names) else number * 1000
            os.utime(path, ns=(at, at))
        self.before = tree(self.inbox, self.away)
        self.run(lambda: self.catalog.write(self._fill))
        self.rows_before = self.rows()

    def _fill(self, session: Session) -> None:
        execute = session.connection.execute
        execute("INSERT INTO roots (id, kind, name, path) VALUES (1, 'inbox', 'in', ?)", (os.fsencode(self.inbox),))
        execute(IMAGE, (SHA256, len(DATA)))
        for number, name in enumerate(self.names, 1):
            seen = (self.inbox / name).stat()
            told = (os.fsencode(name), SHA256, seen.st_ino, len(DATA), seen.st_mtime_ns, number)
            execute("INSERT INTO versions VALUES (1, ?, ?, ?, ?, ?, 1, ?, 1, 1)", told)
            numbers = (
                os.fsencode(name),
                seen.st_dev,
                seen.st_ino,
                len(DATA),
                seen.st_mtime_ns,
                seen.st_ctime_ns,
                number,
            )
            execute(
                "INSERT INTO sources (root_id, rel, dev, ino, size_bytes, mtime_ns, ctime_ns, verdict, job_id, seen_at_ms)"
                " VALUES (1, ?, ?, ?, ?, ?, ?, 'job', ?, 1)",
                numbers,
            )
        self.draw(session)

    def draw(self, session: Session) -> None:
        """The group of all that is held."""
        execute = session.connection.execute
        execute("DELETE FROM members")
        execute("DELETE FROM groups")
        execute(
            "INSERT INTO groups (id, keeper_holding_id, keeper_image_id, tier, phash_distance, members,"
            " reclaimable_bytes, changed_at_ms) VALUES (1, 1, 1, 'exact', 0, 3, 0, 1)"
        )
        execute("INSERT INTO members SELECT 1, id, 1, 'exact', '', 0, 0, 0 FROM holdings")

    def rows(self) -> dict[str, list[Any]]:
        """What the catalog knows of the files, but for times of the catalog's own and for what a rename changes."""

        def read(session: Session) -> dict[str, list[Any]]:
            execute = session.connection.execute
            return {
                "holdings": execute(
                    "SELECT id, root_id, rel, ino, mtime_ns, job_id FROM holdings ORDER BY id"
                ).fetchall(),
                "versions": execute("SELECT rel, ino, mtime_ns, kept, job_id FROM versions ORDER BY rel").fetchall(),
                "sources": execute("SELECT rel, ino, mtime_ns, verdict, job_id FROM sources ORDER BY rel").fetchall(),
            }

        found: dict[str, list[Any]] = self.run(lambda: self.catalog.read(read))
        return found

    def run(self, call: Callable[[], Any]) -> Any:
        return anyio.run(call)

    def ask(self, action: Action) -> int:
        def write(session: Session) -> int:
            group = store.group(session, 1)
            assert group is not None
            to = store.destination(session, os.fsencode(self.away)) if action is Action.MOVE else None
            number = store.open_batch(session, action, BatchState.DOING, permanent=False, groups=1, now_ms=1)
            store.put_plan(session, number, plan(group, action), to, 1)
            return number

        number: int = self.run(lambda: self.catalog.write(write))
        return number

    def carry_out(self) -> bool:
        """As one life of a daemon would; it may die."""
        batches = Batches(self.catalog, SystemClock(), self.facts.append, 30.0)
        try:
            free: bool = self.run(batches.carry_out)
        finally:
            batches.close()
        return free

    def undo(self, number: int) -> None:
        states = (BatchState.DOING, BatchState.DONE)
        self.run(
            lambda: self.catalog.write(lambda session: store.turn(session, number, BatchState.UNDOING, states, None))
        )

    def state(self, number: int) -> str:
        row = self.run(lambda: self.catalog.read(lambda session: store.batch(session, number)))
        return str(row["state"])

    def close(self) -> None:
        self.catalog.close()


def from_every_death(
    make: Callable[[], House],
    act: Callable[[House], object],
    check: Callable[[House], None],
    *,
    step: int = 1,
) -> int:
    """Die at the first, second, … changing system call of ``act``, then live on; returns how many there were."""
    points = 0
    while True:
        house = make()
        try:
            with dying(points) as counter:
                try:
                    act(house)
                except Crash:
                    pass
            if counter.died:
                assert house.carry_out()
            check(house)
        finally:
            house.close()
        if not counter.died:
            return points
        points += step


def asked(house: House, action: Action) -> House:
    house.ask(action)
    return house


@pytest.mark.long
@pytest.mark.parametrize("action", [Action.DELETE, Action.LINK, Action.MOVE])
def test_a_batch_that_dies_anywhere_is_gone_on_with_and_undone(tmp_path: Path, action: Action) -> None:
    def act(house: House) -> None:
        house.ask(action)
        house.carry_out()

    def check(house: House) -> None:
        assert house.state(1) == "done"
        assert (house.inbox / "a.jpg").read_bytes() == DATA
        held = {rel for _, _, rel, *_ in house.rows()["holdings"]}
        if action is Action.LINK:
            assert (house.inbox / "b.jpg").samefile(house.inbox / "a.jpg")
            assert held == {b"a.jpg", b"b.jpg", b"sub/c.jpg"}
        else:
            assert held == ({b"a.jpg", b"b.jpg", b"c.jpg"} if action is Action.MOVE else {b"a.jpg"})
            assert {rel: kept for rel, _, _, kept, _ in house.rows()["versions"]} == {
                b"a.jpg": 1,
                b"b.jpg": 0,
                b"sub/c.jpg": 0,
            }
            assert [rel for rel, *_ in house.rows()["sources"]] == [b"a.jpg"]
        house.undo(1)
        house.carry_out()
        assert house.state(1) == "undone"
        assert tree(house.inbox, house.away) == house.before
        assert house.rows() == house.rows_before

    assert from_every_death(lambda: House(tmp_path / "house"), act, check) >= 10


@pytest.mark.long
@pytest.mark.parametrize("action", [Action.DELETE, Action.LINK, Action.MOVE])
def test_an_undo_that_dies_anywhere_is_gone_on_with(tmp_path: Path, action: Action) -> None:
    def act(house: House) -> None:
        house.undo(1)
        house.carry_out()

    def check(house: House) -> None:
        assert house.state(1) == "undone"
        assert tree(house.inbox, house.away) == house.before
        assert house.rows() == house.rows_before

    def make() -> House:
        house = asked(House(tmp_path / "house"), action)
        assert house.carry_out()
        return house

    assert from_every_death(make, act, check) >= 6


def test_an_undo_that_comes_while_the_batch_is_under_way_leaves_what_was_not_begun(tmp_path: Path) -> None:
    house = House(tmp_path / "house")
    try:
        house.ask(Action.DELETE)
        house.undo(1)
        assert house.carry_out()
        assert house.state(1) == "undone" and tree(house.inbox, house.away) == house.before
        assert [fact for fact in house.facts if isinstance(fact, DeedEnded)] == []
    finally:
        house.close()


def test_a_batch_that_was_only_being_written_down_when_its_run_died_comes_to_nothing(tmp_path: Path) -> None:
    house = House(tmp_path / "house")
    try:

        def write(session: Session) -> None:
            group = store.group(session, 1)
            assert group is not None
            number = store.open_batch(session, Action.DELETE, BatchState.PLANNING, permanent=False, groups=2, now_ms=1)
            store.put_plan(session, number, plan(group, Action.DELETE), None, 1)

        house.run(lambda: house.catalog.write(write))
        assert house.carry_out()
        assert house.state(1) == "undone" and tree(house.inbox, house.away) == house.before
    finally:
        house.close()


def test_many_groups_are_written_down_first_and_groups_that_are_gone_are_left_out(tmp_path: Path) -> None:
    house = House(tmp_path / "house")
    try:

        async def both() -> None:
            batches = Batches(house.catalog, SystemClock(), house.facts.append, 30.0)
            assert await batches.wish(Wish(Action.DELETE, [1, 98, 99], None, as_of_ms=1)) == 1
            assert await batches.carry_out()
            batches.close()

        house.run(both)
        assert house.state(1) == "done"
        (ended,) = [fact for fact in house.facts if isinstance(fact, BatchEnded)]
        assert (ended.done, ended.skipped, ended.size_bytes) == (2, 0, 2 * len(DATA))
        assert len(list((house.inbox / os.fsdecode(TRASH) / "1").iterdir())) == 2
    finally:
        house.close()


@pytest.mark.long
def test_equal_files_of_one_name_stay_two_wherever_a_move_dies(tmp_path: Path) -> None:
    """Same name, bytes and time, and moved in one lot: each has a name of its own at every moment."""

    def check(house: House) -> None:
        assert house.state(1) == "done"
        moved = [path.read_bytes() for path in house.away.iterdir()]
        assert moved == [DATA, DATA], sorted(house.away.iterdir())
        house.undo(1)
        assert house.carry_out()
        assert tree(house.inbox, house.away) == house.before

    def make() -> House:
        return asked(House(tmp_path / "house", ("a.jpg", "b.jpg", "sub/b.jpg")), Action.MOVE)

    assert from_every_death(make, House.carry_out, check, step=3) >= 10


def test_a_folder_that_was_just_made_where_disks_are_mounted_takes_all_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(tmp_path / "house")
    try:
        house.away.mkdir(exist_ok=True)
        monkeypatch.setattr(standing, "_CUSTOMARY", (b"/none", os.fsencode(house.away.parent)))
        house.ask(Action.MOVE)
        assert house.carry_out()
        assert house.state(1) == "done" and len(list(house.away.iterdir())) == 2
    finally:
        house.close()


def test_files_of_one_name_are_given_two_before_either_is_moved(tmp_path: Path) -> None:
    house = House(tmp_path / "house", ("a.jpg", "b.jpg", "sub/b.jpg"))
    try:
        house.ask(Action.MOVE)
        with dying(0), pytest.raises(Crash):
            house.carry_out()
        names = house.run(lambda: house.catalog.read(lambda session: begun_names(session)))
        assert names == [b"b.jpg", b"b~" + SHA256[:8].encode() + b".jpg"]
    finally:
        house.close()


def begun_names(session: Session) -> list[bytes]:
    return [row["target_name"] for row in store.lot(session, 1, DeedState.BEGUN)]


@pytest.mark.parametrize("action", [Action.DELETE, Action.LINK])
def test_the_trash_of_an_earlier_catalog_is_neither_ours_nor_touched(tmp_path: Path, action: Action) -> None:
    house = House(tmp_path / "house")
    try:
        theirs = house.inbox / os.fsdecode(TRASH) / "1" / "1-b.jpg"
        theirs.parent.mkdir(parents=True)
        theirs.write_bytes(b"thrown away a year ago")
        before = tree(house.inbox)
        house.ask(action)
        assert house.carry_out()
        assert house.state(1) == "done"
        if action is Action.LINK:
            assert (house.inbox / "b.jpg").samefile(house.inbox / "a.jpg")
        else:
            assert not (house.inbox / "b.jpg").exists()
        house.undo(1)
        assert house.carry_out()
        assert house.state(1) == "undone" and tree(house.inbox) == before
    finally:
        house.close()


class Disk:
    """A folder's mount that keeps what is on it, as a bind mount does."""

    def __init__(self, disk: Path) -> None:
        shutil.rmtree(disk, ignore_errors=True)
        disk.mkdir()
        self._disk = disk
        self._at: Path | None = None

    def mount(self, place: Path) -> None:
        place.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "--bind", self._disk, place], check=True)
        self._at = place

    def umount(self) -> None:
        if self._at is not None:
            subprocess.run(["umount", self._at], check=True)
            self._at = None


@contextmanager
def disk_of(tmp_path: Path) -> Iterator[Disk]:
    need_root()
    made = Disk(tmp_path / "disk")
    try:
        yield made
    finally:
        made.umount()


def without_rests(found: dict[str, Any]) -> dict[str, Any]:
    """But for folders that were about to be made when the process died."""
    return {name: seen for name, seen in found.items() if seen != ("folder",) or ".dropmill-" not in name}


@pytest.mark.long
@pytest.mark.parametrize(
    ("where", "action"),
    [("in", "delete"), ("in", "link"), ("in", "move"), ("in/sub", "delete"), ("in/sub", "move"), ("away", "move")],
)
def test_w26_a_batch_that_died_waits_for_the_disk(tmp_path: Path, where: str, action: str) -> None:
    """It dies anywhere, and the next run is there before the disk of the files, or of the folder they are moved to."""
    points = 0
    while True:
        root = tmp_path / "house"
        place = root / where
        with disk_of(tmp_path) as disk:
            house = House(root, prepare=partial(disk.mount, place))
            try:
                house.ask(Action(action))
                with dying(points) as counter:
                    try:
                        house.carry_out()
                    except Crash:
                        pass
                if counter.died:
                    disk.umount()
                    free = house.carry_out()
                    assert free or any(isinstance(fact, BatchHeldUp) for fact in house.facts)
                    assert list(place.iterdir()) == []
                    disk.mount(place)
                    assert house.carry_out()
                skipped = [fact for fact in house.facts if isinstance(fact, DeedEnded) and fact.result == "skipped"]
                assert (house.inbox / "a.jpg").read_bytes() == DATA
                for fact in skipped:
                    assert os.path.exists(fact.path), fact
                house.undo(1)
                disk.umount()
                house.carry_out()
                assert list(place.iterdir()) == []
                disk.mount(place)
                house.undo(1)
                assert house.carry_out()
                assert without_rests(tree(house.inbox, house.away)) == house.before
            finally:
                house.close()
        if not counter.died:
            break
        points += 2
    assert points >= 10


def test_w26_nothing_is_moved_into_the_empty_place_of_a_disk(tmp_path: Path) -> None:
    with disk_of(tmp_path) as disk:
        house = House(tmp_path / "house", prepare=partial(disk.mount, tmp_path / "house" / "away"))
        try:
            house.ask(Action.MOVE)
            assert house.carry_out()
            house.undo(1)
            assert house.carry_out()
            house.run(lambda: house.catalog.write(house.draw))
            disk.umount()
            house.ask(Action.MOVE)
            assert house.carry_out()
            refused = [fact for fact in house.facts if isinstance(fact, DeedEnded) and fact.result == "skipped"]
            assert [fact.detail for fact in refused] == ["the folder to move to: its disk seems not to be mounted"] * 2
            assert list(house.away.iterdir()) == []
        finally:
            house.close()


def test_w26_a_disk_below_the_folder_to_move_to_is_remembered_while_it_is_away(tmp_path: Path) -> None:
    """Nothing is moved into its empty place, and what was moved to it is not told as lost."""
    with disk_of(tmp_path) as disk:
        place = tmp_path / "house" / "away" / "nas"
        house = House(tmp_path / "house", prepare=partial(disk.mount, place))
        try:
            # The folder above it is known, as a library would be.
            house.run(lambda: house.catalog.write(lambda session: store.destination(session, os.fsencode(house.away))))
            house.away = place
            house.ask(Action.MOVE)
            assert house.carry_out()
            moved = tree(place)
            assert len(moved) == 2
            disk.umount()
            house.undo(1)
            assert house.carry_out()
            refused = [fact for fact in house.facts if isinstance(fact, DeedEnded) and fact.result == "refused"]
            assert [fact.detail for fact in refused] == ["the disk that it was moved to seems not to be mounted"] * 2
            disk.mount(place)
            house.undo(1)
            assert house.carry_out()
            assert house.state(1) == "undone" and tree(house.inbox, place.parent) == house.before
            house.run(lambda: house.catalog.write(house.draw))
            disk.umount()
            house.ask(Action.MOVE)
            assert house.carry_out()
            assert list(place.iterdir()) == []
            (place / ".dropmill").mkdir()  # A person says that it is meant as it is.
            house.ask(Action.MOVE)
            assert house.carry_out()
            assert len([path for path in place.iterdir() if path.suffix == ".jpg"]) == 2
        finally:
            house.close()
