"""What a person decided about one file, at every system call at which the process can die, and back again."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crashing import from_every_crash
from dropmill.files import rename
from dropmill.files.batch import Done, Elsewhere, Prospect, TargetTaken, free_name, perform, prospect
from dropmill.files.batch_undo import Back, take_back
from dropmill.files.compared import Task
from dropmill.files.moving import Target
from dropmill.files.standing import standing
from dropmill.files.trash import TRASH, Kept, Place, Refused, asides, purge
from dropmill.model.batch import Action
from dropmill.model.file import Signature
from parts import need_root

OLD = b"the same picture, twice"
ASIDE = TRASH + b"/7/3-b.jpg"


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def tree(*tops: Path) -> dict[str, tuple[Any, ...]]:
    """Names, bytes, modes, times and which names are one file, of all that lies below."""
    found: dict[str, tuple[Any, ...]] = {}
    first: dict[tuple[int, int], str] = {}
    for top in tops:
        for here, folders, names in os.walk(top):
            for name in folders:
                found[os.path.join(here, name)] = ("folder",)
            for name in sorted(names):
                path = os.path.join(here, name)
                seen = os.stat(path, follow_symlinks=False)
                one = first.setdefault((seen.st_dev, seen.st_ino), path)
                found[path] = (Path(path).read_bytes(), oct(seen.st_mode), seen.st_mtime_ns, one)
    return found


class Scene:
    """A folder with a keeper and a file of the same bytes, which has a second name of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.home = root / "home"
        self.away = root / "away"

    def fresh(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)
        (self.home / "sub").mkdir(parents=True)
        self.away.mkdir()
        for name, at in (("a.jpg", 1_000), ("sub/b.jpg", 2_000)):
            path = self.home / name
            path.write_bytes(OLD)
            path.chmod(0o640)
            os.utime(path, ns=(at, at))
        os.link(self.home / "sub" / "b.jpg", self.home / "sub" / "other-name.jpg")

    def task(self, action: Action, **changes: Any) -> Task:
        file = self.home / "sub" / "b.jpg"
        task = Task(
            action,
            Place(os.fsencode(self.home), b"sub/b.jpg"),
            len(OLD),
            digest(OLD),
            file.stat().st_ino,
            Place(os.fsencode(self.home), b"a.jpg"),
            digest(OLD),
            ASIDE,
        )
        return replace(task, **changes)

    def to(self) -> Target:
        return Target(os.fsencode(self.away), b"2026/b.jpg")


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    made = Scene(tmp_path / "scene")
    made.fresh()
    return made


def back_of(task: Task, done: Done) -> Back:
    link = done.stands.ino if task.action is Action.LINK and done.stands else 0
    return Back(task.action, task.file, task.size_bytes, task.sha256, done.ino, link, task.aside, task.target)


ACTIONS: Mapping[str, Callable[[Scene], Task]] = {
    "delete": lambda scene: scene.task(Action.DELETE),
    "move": lambda scene: scene.task(Action.MOVE, target=scene.to()),
    "link": lambda scene: scene.task(Action.LINK),
}


@pytest.mark.long
@pytest.mark.parametrize("action", ACTIONS)
def test_a_deed_and_its_undo_end_alike_from_every_crash(scene: Scene, action: str) -> None:
    """The process dies at each changing system call of the deed, and again of the deed that is gone on with."""
    state: dict[str, Any] = {}

    def fresh() -> None:
        scene.fresh()
        state["before"] = tree(scene.home, scene.away)
        state["task"] = ACTIONS[action](scene)
        state["resumed"] = False

    def run() -> Any:
        task = replace(state["task"], resumed=state["resumed"])
        state["resumed"] = True
        return perform(task, {})

    def check(done: Any) -> None:
        assert isinstance(done, Done), done
        file = scene.home / "sub" / "b.jpg"
        assert file.exists() == (action == "link")
        if action == "link":
            assert file.samefile(scene.home / "a.jpg")
        if action == "move":
            assert (scene.away / "2026" / "b.jpg").read_bytes() == OLD
        assert (scene.home / "a.jpg").read_bytes() == OLD
        assert take_back(back_of(state["task"], done)) == Signature.of(file.stat())
        after = tree(scene.home, scene.away)
        after.pop(str(scene.away / "2026"), None)
        assert after == state["before"]

    points = from_every_crash(run, fresh, check)
    assert points >= 5


@pytest.mark.long
@pytest.mark.parametrize("action", ACTIONS)
def test_an_undo_ends_alike_from_every_crash(scene: Scene, action: str) -> None:
    state: dict[str, Any] = {}

    def fresh() -> None:
        scene.fresh()
        state["before"] = tree(scene.home, scene.away)
        task = ACTIONS[action](scene)
        done = perform(task, {})
        assert isinstance(done, Done), done
        state["back"] = back_of(task, done)

    def check(answer: Any) -> None:
        assert isinstance(answer, Signature), answer
        after = tree(scene.home, scene.away)
        after.pop(str(scene.away / "2026"), None)
        assert after == state["before"]

    assert from_every_crash(lambda: take_back(state["back"]), fresh, check) >= 3


def without_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(rename, "_renameat2", refuse)


@pytest.mark.long
@pytest.mark.parametrize("action", ACTIONS)
def test_without_flags_of_renameat2_a_deed_ends_alike_from_every_crash(
    scene: Scene, action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on NFS: a rename that does not overwrite is a link and an unlink there, and an exchange takes three steps."""
    without_flags(monkeypatch)
    state: dict[str, Any] = {}

    def fresh() -> None:
        scene.fresh()
        state.update(before=tree(scene.home, scene.away), task=ACTIONS[action](scene), resumed=False)

    def run() -> Any:
        task = replace(state["task"], resumed=state["resumed"])
        state["resumed"] = True
        return perform(task, {})

    def check(done: Any) -> None:
        assert isinstance(done, Done), done
        assert isinstance(take_back(back_of(state["task"], done)), Signature)
        after = tree(scene.home, scene.away)
        after.pop(str(scene.away / "2026"), None)
        assert after == state["before"]

    assert from_every_crash(run, fresh, check) >= 5


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda home: (home / "a.jpg").write_bytes(b"edited since it was seen"), "other bytes"),
        (lambda home: (home / "a.jpg").unlink(), "not there any more"),
        (lambda home: (home / "sub" / "b.jpg").write_bytes(b"edited since it was seen"), "other bytes"),
        (lambda home: (home / "sub" / "b.jpg").unlink(), "not there any more"),
    ],
)
@pytest.mark.parametrize("action", ACTIONS)
def test_nothing_is_touched_where_keeper_or_file_are_others_than_the_person_saw(
    scene: Scene, action: str, change: Callable[[Path], Any], said: str
) -> None:
    task = ACTIONS[action](scene)
    change(scene.home)
    before = tree(scene.home, scene.away)
    answer = perform(task, {})
    assert isinstance(answer, Refused) and said in answer.detail, answer
    assert tree(scene.home, scene.away) == before


def test_a_keeper_that_changed_since_it_was_read_is_read_again(scene: Scene) -> None:
    checked: dict[Place, tuple[str, Signature]] = {}
    (scene.home / "c.jpg").write_bytes(OLD)
    first = scene.task(
        Action.DELETE,
        file=Place(os.fsencode(scene.home), b"c.jpg"),
        ino=(scene.home / "c.jpg").stat().st_ino,
        aside=TRASH + b"/7/2-c.jpg",
    )
    assert isinstance(perform(first, checked), Done)
    seen = (scene.home / "a.jpg").stat()
    (scene.home / "a.jpg").write_bytes(OLD[::-1])
    os.utime(scene.home / "a.jpg", ns=(seen.st_atime_ns, seen.st_mtime_ns))
    answer = perform(scene.task(Action.DELETE), checked)
    assert isinstance(answer, Refused) and "other bytes" in answer.detail


def test_the_keeper_itself_by_another_root_is_never_taken_away(scene: Scene) -> None:
    """Two named folders may overlap: then one file is in the catalog twice."""
    (scene.home / "sub" / "other-name.jpg").unlink()
    file = scene.home / "sub" / "b.jpg"
    task = scene.task(Action.DELETE, keeper=Place(os.fsencode(scene.home / "sub"), b"b.jpg"))
    answer = perform(task, {})
    assert isinstance(answer, Refused) and "keeper itself" in answer.detail
    assert file.read_bytes() == OLD


@pytest.mark.parametrize("permanent", [False, True])
def test_a_second_name_of_the_keepers_file_is_not_deleted_for_nothing(scene: Scene, permanent: bool) -> None:
    before = tree(scene.home)
    keeper = Place(os.fsencode(scene.home), b"sub/other-name.jpg")
    answer = perform(scene.task(Action.DELETE, keeper=keeper, permanent=permanent), {})
    assert isinstance(answer, Refused) and "deleting it would free nothing" in answer.detail and answer.hint
    assert tree(scene.home) == before
    # To have it elsewhere is another wish.
    assert isinstance(perform(scene.task(Action.MOVE, keeper=keeper, target=scene.to()), {}), Done)
    assert (scene.home / "sub" / "other-name.jpg").read_bytes() == OLD


@pytest.mark.parametrize("links", [1, 2])
@pytest.mark.parametrize("action", [*ACTIONS, "permanent"])
def test_a_file_that_two_mounts_show_is_never_its_own_copy(tmp_path: Path, action: str, links: int) -> None:
    need_root()
    scene = Scene(tmp_path / "scene")
    scene.fresh()
    if links == 1:
        (scene.home / "sub" / "other-name.jpg").unlink()
    elsewhere = scene.root / "elsewhere"
    elsewhere.mkdir()
    subprocess.run(["mount", "--bind", scene.home, elsewhere], check=True)
    try:
        before = tree(scene.home)
        keeper = Place(os.fsencode(elsewhere), b"sub/b.jpg")
        task = ACTIONS.get(action, ACTIONS["delete"])(scene)
        answer = perform(replace(task, keeper=keeper, permanent=action == "permanent"), {})
        assert isinstance(answer, Refused) and "keeper itself" in answer.detail
        assert tree(scene.home) == before
    finally:
        subprocess.run(["umount", elsewhere], check=True)


@pytest.mark.parametrize("action", ["delete", "move", "permanent"])
def test_where_the_keeper_goes_with_its_copy_both_stay(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    """Two mounts of one share may number its files differently, so that nothing but the rename tells."""
    keeper, file = scene.home / "a.jpg", scene.home / "sub" / "b.jpg"
    real = rename.rename_noreplace

    def both(src_fd: int, src: bytes, dst_fd: int, dst: bytes) -> None:
        real(src_fd, src, dst_fd, dst)
        gone = keeper.with_suffix(".gone")
        (keeper if src == b"b.jpg" else gone).rename(gone if src == b"b.jpg" else keeper)

    monkeypatch.setattr("dropmill.files.batch.rename_noreplace", both)
    task = ACTIONS.get(action, ACTIONS["delete"])(scene)
    answer = perform(replace(task, permanent=action == "permanent"), {})
    assert isinstance(answer, Refused) and "nothing was changed" in answer.detail
    assert file.read_bytes() == keeper.read_bytes() == OLD


def test_w26_a_keeper_whose_disk_is_away_is_told_as_that(scene: Scene) -> None:
    disk = scene.root / "disk"
    disk.mkdir()
    task = scene.task(Action.DELETE, keeper=Place(os.fsencode(disk), b"a.jpg"))
    for was, told in ((recorded(disk), "is away"), ("", "is not there any more")):
        answer = perform(replace(task, keeper_recorded=was), {})
        assert isinstance(answer, Refused) and told in answer.detail and os.fspath(disk) in answer.detail


def test_a_name_that_is_taken_where_files_are_moved_to_is_left_alone(scene: Scene) -> None:
    (scene.away / "2026").mkdir()
    (scene.away / "2026" / "b.jpg").write_bytes(b"foreign")
    task = scene.task(Action.MOVE, target=scene.to())
    assert perform(task, {}) == TargetTaken()
    name = free_name(os.fsencode(scene.away), b"2026", b"b.jpg", digest(OLD))
    assert name == b"2026/b~" + digest(OLD)[:8].encode() + b".jpg"
    again = replace(task, target=Target(os.fsencode(scene.away), name), resumed=True)
    assert isinstance(perform(again, {}), Done)
    assert (scene.away / "2026" / "b.jpg").read_bytes() == b"foreign"


def test_an_equal_file_where_files_are_moved_to_is_not_taken_for_ours(scene: Scene) -> None:
    """Undoing the move would take it away from its owner."""
    (scene.away / "2026").mkdir()
    (scene.away / "2026" / "b.jpg").write_bytes(OLD)
    assert perform(scene.task(Action.MOVE, target=scene.to()), {}) == TargetTaken()


@pytest.mark.parametrize("action", ACTIONS)
def test_undo_leaves_what_has_the_name_now_and_can_be_repeated(scene: Scene, action: str) -> None:
    task = ACTIONS[action](scene)
    done = perform(task, {})
    assert isinstance(done, Done)
    file = scene.home / "sub" / "b.jpg"
    file.unlink(missing_ok=True)
    file.write_bytes(b"somebody needed that name")
    refused = take_back(back_of(task, done))
    assert isinstance(refused, Refused) and "its name" in refused.detail and refused.hint
    assert file.read_bytes() == b"somebody needed that name"
    file.rename(scene.home / "sub" / "moved-away.jpg")
    assert isinstance(take_back(back_of(task, done)), Signature)
    assert file.read_bytes() == OLD


def test_undo_leaves_a_moved_file_that_was_edited_since(scene: Scene) -> None:
    task = scene.task(Action.MOVE, target=scene.to())
    done = perform(task, {})
    assert isinstance(done, Done)
    (scene.away / "2026" / "b.jpg").write_bytes(b"edited")
    refused = take_back(back_of(task, done))
    assert isinstance(refused, Refused) and "changed" in refused.detail


def test_undo_makes_a_folder_again_that_was_removed_as_empty(scene: Scene) -> None:
    (scene.home / "sub" / "other-name.jpg").unlink()
    task = scene.task(Action.DELETE)
    done = perform(task, {})
    assert isinstance(done, Done)
    (scene.home / "sub").rmdir()
    assert isinstance(take_back(back_of(task, done)), Signature)
    assert (scene.home / "sub" / "b.jpg").read_bytes() == OLD


def test_what_is_deleted_for_good_is_gone_and_leaves_no_trash(scene: Scene) -> None:
    assert perform(scene.task(Action.DELETE, permanent=True), {}) == Done(0)
    assert not (scene.home / "sub" / "b.jpg").exists()
    assert not (scene.home / os.fsdecode(TRASH)).exists()


def test_the_trash_is_emptied_and_an_empty_mount_point_is_no_empty_trash(scene: Scene) -> None:
    assert isinstance(perform(scene.task(Action.DELETE), {}), Done)
    assert (scene.home / os.fsdecode(TRASH)).stat().st_mode & 0o777 == 0o700
    home, kept = os.fsencode(scene.home), Kept(len(OLD), 0, digest(OLD))
    assert purge(home, ASIDE, kept, "")
    assert not (scene.home / os.fsdecode(TRASH)).exists()
    assert purge(home, ASIDE, kept, "")
    assert purge(home, ASIDE, kept, recorded(scene.home))  # Something is in it, so it is no empty place.
    empty = scene.root / "mount"
    empty.mkdir()
    assert not purge(os.fsencode(empty), ASIDE, kept, "")
    assert not purge(os.fsencode(empty), ASIDE, kept, recorded(empty))
    (empty / ".Trash-0").mkdir()  # What a desktop leaves in a mount point.
    assert not purge(os.fsencode(empty), ASIDE, kept, recorded(empty))
    (empty / ".dropmill").mkdir()
    assert purge(os.fsencode(empty), ASIDE, kept, recorded(empty))


def test_what_another_disk_has_in_its_trash_under_the_same_name_is_not_deleted(scene: Scene) -> None:
    theirs = scene.home / os.fsdecode(ASIDE)
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(OLD[::-1])
    with pytest.raises(OSError, match="other bytes"):
        purge(os.fsencode(scene.home), ASIDE, Kept(len(OLD), 0, digest(OLD)), "")
    assert theirs.read_bytes() == OLD[::-1]


def test_a_file_that_is_being_written_stays(scene: Scene) -> None:
    with (scene.home / "sub" / "b.jpg").open("r+b"):
        answer = perform(scene.task(Action.DELETE), {})
    # Where leases mean nothing this cannot be told, and the file is as it was seen.
    assert isinstance(answer, Done) or "open for writing" in answer.detail  # type: ignore[union-attr]  # A refusal then.


def test_a_full_disk_leaves_everything_as_it_was(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory cannot be synced after the rename: the file has its name again."""
    before = tree(scene.home)
    real, calls = os.fsync, []

    def fsync(fd: int) -> None:
        calls.append(fd)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    answer = perform(scene.task(Action.DELETE), {})
    assert isinstance(answer, Refused) and answer.hint == "free space on the disk"
    assert tree(scene.home) == before


def unmounted(place: Path) -> None:
    """What is seen of a disk that is not mounted: its empty place."""
    place.rename(place.with_name(place.name + "-elsewhere"))
    place.mkdir()


def mounted(place: Path) -> None:
    place.rmdir()
    place.with_name(place.name + "-elsewhere").rename(place)


def recorded(place: Path) -> str:
    """Of a directory on a mount of its own."""
    return f"ef53:1:2@{place}"


@pytest.mark.parametrize("disk", ["home", "home/sub"])
@pytest.mark.parametrize("action", [*ACTIONS, "permanent"])
def test_w26_what_waits_aside_on_a_disk_that_is_not_mounted_is_waited_for(scene: Scene, action: str, disk: str) -> None:
    """The power failed after the file was put aside, and the daemon is back before the disk."""
    was, aside = recorded(scene.home), ASIDE
    if disk == "home/sub":
        was, aside = "", b"sub/" + ASIDE
    task = scene.task(Action.DELETE, aside=aside, recorded=was, resumed=True)
    if action == "link":
        task = replace(task, action=Action.LINK)
    assert isinstance(perform(replace(task, resumed=False), {}), Done)
    if action == "move":
        task = replace(task, action=Action.MOVE, target=scene.to())
    task = replace(task, permanent=action == "permanent")
    place = scene.root / disk
    unmounted(place)
    with pytest.raises(OSError, match="not to be mounted"):
        perform(task, {})
    assert list(place.iterdir()) == []
    mounted(place)
    assert isinstance(perform(task, {}), Done)
    if action == "link":
        assert (scene.home / "sub" / "b.jpg").samefile(scene.home / "a.jpg")
    else:
        assert not (scene.home / "sub" / "b.jpg").exists()
    assert (scene.away / "2026" / "b.jpg").exists() == (action == "move")


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("disk", ["home", "home/sub"])
def test_w26_nothing_is_taken_back_into_the_empty_place_of_a_disk(scene: Scene, action: str, disk: str) -> None:
    was, aside = (recorded(scene.home), ASIDE) if disk == "home" else ("", b"sub/" + ASIDE)
    task = replace(ACTIONS[action](scene), aside=aside)
    done = perform(task, {})
    assert isinstance(done, Done)
    back = replace(back_of(task, done), recorded=was)
    unmounted(scene.root / disk)
    answer = take_back(back)
    assert isinstance(answer, Refused) and answer.detail == "its disk seems not to be mounted"
    assert answer.hint == "mount it, then undo again"
    assert list((scene.root / disk).iterdir()) == []
    mounted(scene.root / disk)
    assert isinstance(take_back(back), Signature)


def test_w26_what_was_moved_to_a_disk_that_is_not_mounted_is_not_told_as_lost(scene: Scene) -> None:
    task = scene.task(Action.MOVE, target=scene.to())
    done = perform(task, {})
    assert isinstance(done, Done)
    back = replace(back_of(task, done), target_recorded=recorded(scene.away))
    unmounted(scene.away)
    answer = take_back(back)
    assert isinstance(answer, Refused) and "not to be mounted" in answer.detail
    mounted(scene.away)
    assert isinstance(take_back(back), Signature)


def test_a_file_comes_back_into_a_folder_that_is_empty_without_it(scene: Scene) -> None:
    alone = scene.root / "alone"
    alone.mkdir()
    (alone / "b.jpg").write_bytes(OLD)
    file = Place(os.fsencode(alone), b"b.jpg")
    was = standing(os.fsencode(alone))
    assert was is not None
    task = scene.task(Action.MOVE, file=file, ino=(alone / "b.jpg").stat().st_ino, target=scene.to())
    done = perform(task, {})
    assert isinstance(done, Done) and list(alone.iterdir()) == []
    assert isinstance(take_back(replace(back_of(task, done), recorded=was.identity)), Signature)


def test_two_files_that_were_given_one_name_stay_two(scene: Scene) -> None:
    """An equal file of the same time at the target is none of ours, where ours would have been renamed there."""
    target = scene.to()
    first = scene.task(Action.MOVE, target=target)
    assert isinstance(perform(first, {}), Done)
    twin = scene.home / "twin.jpg"
    twin.write_bytes(OLD)
    os.utime(twin, ns=(2_000, 2_000))
    file = Place(os.fsencode(scene.home), b"twin.jpg")
    task = replace(first, file=file, ino=twin.stat().st_ino, resumed=True)
    assert perform(task, {}) == TargetTaken()
    assert (scene.home / os.fsdecode(ASIDE)).read_bytes() == OLD
    assert (scene.away / "2026" / "b.jpg").read_bytes() == OLD
    back = Back(Action.MOVE, task.file, len(OLD), digest(OLD), 0, 0, ASIDE, target)
    twin.write_bytes(OLD)
    os.utime(twin, ns=(2_000, 2_000))
    answer = take_back(back)
    assert isinstance(answer, Refused) and "its name" in answer.detail
    assert (scene.away / "2026" / "b.jpg").read_bytes() == OLD


def test_names_that_others_are_on_their_way_to_are_not_free(scene: Scene) -> None:
    away, sha256 = os.fsencode(scene.away), digest(OLD)
    given = {away + b"/2026/b.jpg"}
    assert free_name(away, b"2026", b"b.jpg", sha256, given) == b"2026/b~" + sha256[:8].encode() + b".jpg"


@pytest.mark.parametrize("harm", ["gone", "changed", "the same file"])
def test_a_deletion_for_good_that_is_gone_on_with_looks_for_the_keeper_again(scene: Scene, harm: str) -> None:
    aside = scene.task(Action.DELETE)
    assert isinstance(perform(aside, {}), Done)
    keeper = scene.home / "a.jpg"
    checked = {aside.keeper: (aside.keeper_sha256, Signature.of(keeper.stat()))}
    task = replace(aside, permanent=True, resumed=True)
    if harm == "gone":
        keeper.unlink()
    elif harm == "changed":
        keeper.write_bytes(b"edited while the machine was down")
    else:
        (scene.home / "sub" / "other-name.jpg").unlink()
        task = replace(task, keeper=Place(task.file.root, task.aside))
    answer = perform(task, checked)
    assert isinstance(answer, Refused) and "its keeper is gone" in answer.detail, answer
    assert (scene.home / "sub" / "b.jpg").read_bytes() == OLD


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("old", [b"", b".old"])
def test_the_trash_of_an_earlier_catalog_is_left_alone(scene: Scene, action: str, old: bytes) -> None:
    """Its numbers began anew, so the places aside are the same."""
    theirs = scene.home / os.fsdecode(ASIDE + old)
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"thrown away a year ago")
    before = tree(scene.home, scene.away)
    assert perform(ACTIONS[action](scene), {}) == Elsewhere()
    assert tree(scene.home, scene.away) == before
    found = prospect(Place(os.fsencode(scene.home), b"sub/b.jpg"), 7, 3)
    assert isinstance(found, Prospect) and found.asides[0] == TRASH + b"/7/3-2-b.jpg"
    done = perform(replace(ACTIONS[action](scene), aside=found.asides[0]), {})
    assert isinstance(done, Done)
    assert theirs.read_bytes() == b"thrown away a year ago"


def test_where_a_file_is_put_aside_follows_its_mount(tmp_path: Path) -> None:
    (tmp_path / "one" / "two").mkdir(parents=True)
    (tmp_path / "one" / "two" / "x.jpg").write_bytes(OLD)
    place = Place(os.fsencode(tmp_path), b"one/two/x.jpg")
    assert asides(place, 4, 9) == [
        TRASH + b"/4/9-x.jpg",
        b"one/" + TRASH + b"/4/9-x.jpg",
        b"one/two/" + TRASH + b"/4/9-x.jpg",
    ]
    found = prospect(place, 4, 9)
    assert isinstance(found, Prospect) and found.ino == (tmp_path / "one" / "two" / "x.jpg").stat().st_ino
    assert isinstance(prospect(Place(os.fsencode(tmp_path), b"one/none.jpg"), 4, 9), Refused)


def test_a_bind_mount_below_the_root_has_a_trash_of_its_own(tmp_path: Path) -> None:
    """A rename between two mounts of one file system is refused, however alike their devices look."""
    need_root()
    inner = tmp_path / "home" / "inner"
    other = tmp_path / "other"
    for folder in (inner, other):
        folder.mkdir(parents=True)
    (tmp_path / "home" / "a.jpg").write_bytes(OLD)
    subprocess.run(["mount", "--bind", other, inner], check=True)
    try:
        (inner / "b.jpg").write_bytes(OLD)
        place = Place(os.fsencode(tmp_path / "home"), b"inner/b.jpg")
        task = Task(
            Action.DELETE, place, len(OLD), digest(OLD), (inner / "b.jpg").stat().st_ino,
            Place(os.fsencode(tmp_path / "home"), b"a.jpg"), digest(OLD), TRASH + b"/1/1-b.jpg",
        )  # fmt: skip
        assert perform(task, {}) == Elsewhere()
        assert (inner / "b.jpg").exists() and not (tmp_path / "home" / os.fsdecode(TRASH)).exists()
        inside = replace(task, aside=b"inner/" + TRASH + b"/1/1-b.jpg")
        done = perform(inside, {})
        assert isinstance(done, Done)
        assert isinstance(take_back(back_of(inside, done)), Signature)
    finally:
        subprocess.run(["umount", inner], check=True)


def test_a_move_to_another_disk_is_a_copy_that_is_compared_and_comes_back_whole(tmp_path: Path) -> None:
    need_root()
    scene = Scene(tmp_path / "scene")
    scene.fresh()
    (scene.home / "sub" / "other-name.jpg").unlink()
    before = tree(scene.home)
    subprocess.run(["mount", "-t", "tmpfs", "none", scene.away], check=True)
    try:
        task = scene.task(Action.MOVE, target=scene.to())
        done = perform(task, {})
        assert isinstance(done, Done), done
        moved = scene.away / "2026" / "b.jpg"
        assert moved.read_bytes() == OLD and moved.stat().st_mtime_ns == 2_000
        assert isinstance(take_back(back_of(task, done)), Signature)
        assert tree(scene.home) == before and not moved.exists()
        os.link(scene.home / "sub" / "b.jpg", scene.home / "again.jpg")
        answer = perform(scene.task(Action.MOVE, target=scene.to()), {})
        assert isinstance(answer, Refused) and "hard links" in answer.detail
        linked = scene.task(Action.LINK, keeper=Place(os.fsencode(scene.away), b"k.jpg"))
        (scene.away / "k.jpg").write_bytes(OLD)
        refused = perform(linked, {})
        assert isinstance(refused, Refused) and "another disk" in refused.detail
    finally:
        subprocess.run(["umount", scene.away], check=True)
