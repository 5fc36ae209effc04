"""The parts that watching leans on, each on the real file system: which folder it is, its lock, its events."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import anyio
import apsw
import pytest
from watchdog.observers.inotify_c import InotifyFD

from dropmill import store
from dropmill.errors import AlreadyRunning
from dropmill.files import canary, fstype
from dropmill.files import standing as standing_module
from dropmill.files.events import EventTree, Pending
from dropmill.files.roots import InboxLock
from dropmill.files.standing import Standing, bare_place, disk_is_missing, mounts_below, standing
from dropmill.files.vigil import Vigil
from dropmill.model.doubt import PATIENCE_LOOKS, Doubt
from dropmill.model.file import Signature
from dropmill.pipeline.pressure import COUNT_SECONDS, HIGH_WATER_FILES, LOW_WATER_FILES, HighWater
from dropmill.store import boot, deleted, queue
from dropmill.store.catalog import Catalog
from dropmill.store.connection import Session
from parts import need_root

SECONDS = 20.0
SQL = Path(store.__file__).parent / "sql"


def wait_for(fact: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not fact():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def vigil(root: Path, pending: Pending) -> Vigil:
    path = os.fsencode(root)
    return Vigil(path, InboxLock(path), pending, recursive=True, ignore=(), watch="auto")


@pytest.mark.parametrize("kind", ["NFS", "CIFS", "SMB2", "FUSE", "NINE_P", "VBOXSF", "CEPH", "AFS", "LUSTRE"])
def test_w16_network_and_fuse_file_systems_are_polled_by_their_type(kind: str) -> None:
    assert getattr(fstype, kind) in fstype.SILENT


def test_w16_local_file_systems_are_not_polled(tmp_path: Path) -> None:
    assert not {fstype.EXT4, fstype.XFS, fstype.BTRFS, fstype.TMPFS, fstype.MSDOS, fstype.NTFS3} & fstype.SILENT
    assert not fstype.delivers_no_events(b"/dev/shm")


def test_w16_the_self_test_is_answered_and_leaves_nothing(tmp_path: Path) -> None:
    pending = Pending(lambda: None)
    watching = vigil(tmp_path, pending)
    armed = watching.arm()
    assert (armed.mode, armed.canary) == ("events", True)
    wait_for(lambda: watching.told)
    assert os.listdir(tmp_path) == []
    assert pending.empty
    watching.close()


@pytest.mark.parametrize(
    "mark", [".dropbox", ".stfolder", ".sync", ".owncloudsync.log", ".sync_5cf0a3.db", "._sync_5cf0a3.db"]
)
def test_w16_nothing_is_written_into_a_folder_that_is_synchronised(tmp_path: Path, mark: str) -> None:
    inbox = tmp_path / "in"
    inbox.mkdir()
    assert canary.release(os.fsencode(inbox))
    (tmp_path / mark).touch()
    assert not canary.release(os.fsencode(inbox))


@pytest.mark.parametrize("name", ["Dropbox", "OneDrive", "OneDrive - Company"])
def test_w16_folders_of_synchronising_programs_are_known_by_name(tmp_path: Path, name: str) -> None:
    inbox = tmp_path / name / "in"
    inbox.mkdir(parents=True)
    assert not canary.release(os.fsencode(inbox))


def test_w16_what_a_killed_daemon_left_of_the_self_test_is_removed(tmp_path: Path) -> None:
    left = tmp_path / os.fsdecode(canary.CANARY)
    left.touch()
    assert canary.release(os.fsencode(tmp_path))
    assert not left.exists()
    left.write_bytes(b"somebody's own")
    assert not canary.release(os.fsencode(tmp_path))
    assert left.read_bytes() == b"somebody's own"


def test_w16_doubt_grows_with_looks_that_count_and_not_with_time_alone() -> None:
    doubt = Doubt()
    doubt.begin(canary=True)
    doubt.suspect(b"a.jpg")
    doubt.suspect(b"b.jpg")
    assert doubt.look(0.0)
    assert not doubt.look(0.1)  # Hints come many a second.
    assert doubt.look(86_400.0)  # A day of standing still is one look.
    assert not doubt.canary_is_dead(told=False)
    assert doubt.due() == []
    doubt.told(b"a.jpg")
    for number in range(PATIENCE_LOOKS):
        assert doubt.look(86_410.0 + 2 * number)
    assert doubt.due() == [b"b.jpg"]
    assert doubt.canary_is_dead(told=False)
    assert not doubt.canary_is_dead(told=False)


def test_w16_a_self_test_that_was_answered_raises_no_doubt() -> None:
    doubt = Doubt()
    doubt.begin(canary=True)
    assert not doubt.canary_is_dead(told=True)
    for number in range(10):
        doubt.look(2.0 * number)
    assert not doubt.canary_is_dead(told=False)


def test_w33_more_hints_than_are_remembered_ask_for_a_scan() -> None:
    woken: list[int] = []
    pending = Pending(lambda: woken.append(1), most=10)
    for number in range(100):
        pending.add(b"%d" % (number % 20))
    happened = pending.take()
    assert (len(happened.paths), happened.overflowed) == (10, True)
    assert woken == [1]
    assert pending.empty


class Hands:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def now_ms(self) -> int:
        return int(self.seconds * 1000)

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds


@pytest.mark.anyio
async def test_w33_discovery_waits_at_a_high_mark_and_goes_on_at_a_low_one() -> None:
    clock, files, jobs = Hands(), [0], [0]

    async def holds(mark: int) -> bool:
        return jobs[0] >= mark

    pressure = HighWater(lambda: files[0], holds, 1000, clock)
    assert not await pressure.full()
    for count, full in ((HIGH_WATER_FILES, False), (HIGH_WATER_FILES + 1, True), (LOW_WATER_FILES + 1, True)):
        files[0] = count
        assert await pressure.full() is full
    assert "5,001 files" in pressure.said
    files[0] = LOW_WATER_FILES
    assert not await pressure.full()
    assert pressure.said == ""
    for count, full in ((999, False), (1000, True), (900, True), (899, False)):
        jobs[0] = count
        clock.seconds += COUNT_SECONDS
        assert await pressure.full() is full


def test_w33_a_lot_of_files_is_looked_up_by_its_paths_however_many_there_are() -> None:
    catalog = apsw.Connection(":memory:")
    migrations = sorted((SQL / "migrations").glob("*.sql"))
    for migration in migrations:
        catalog.execute(migration.read_text())
    statement = (SQL / "sources_known.sql").read_text().partition("SELECT")[2]
    plan = catalog.execute("EXPLAIN QUERY PLAN SELECT" + statement, {"rels": "[]", "root_id": 1})
    steps = [str(row[3]) for row in plan]
    assert steps[0].startswith("SCAN wanted")
    assert "root_id=? AND rel=?" in steps[1]


def test_w13_a_directory_that_came_in_is_watched_and_what_is_in_it_is_hinted_at(tmp_path: Path) -> None:
    pending = Pending(lambda: None)
    tree = EventTree(os.fsencode(tmp_path), pending, recursive=True, ignore=())
    tree.arm()
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "early.jpg").write_bytes(b"x")
    wait_for(lambda: not pending.empty)
    tree.extend(list(pending.take().directories))
    assert tree.watches(b"a/b")
    wait_for(lambda: b"a/b/early.jpg" in pending.take().paths)
    (tmp_path / "a" / "b" / "late.jpg").write_bytes(b"x")
    wait_for(lambda: b"a/b/late.jpg" in pending.take().paths)
    tree.disarm()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_w17_a_reader_whose_thread_has_ended_is_noticed_and_started_anew(tmp_path: Path) -> None:
    """The thread dies of what it meets, as it would of a defect in watchdog or in what it calls."""
    pending = Pending(lambda: None)
    watching = vigil(tmp_path, pending)
    watching.arm()
    wait_for(lambda: watching.told)
    first = only_reader()
    first.read_events = None  # type: ignore[assignment,method-assign]  # The thread is to die of it.
    (tmp_path / "a.jpg").write_bytes(b"x")
    wait_for(lambda: watching.reader_ended)
    pending.take()
    watching.arm()
    assert not watching.reader_ended
    assert only_reader() is not first
    assert inotify_instances() == 1
    (tmp_path / "b.jpg").write_bytes(b"x")
    wait_for(lambda: b"b.jpg" in pending.take().paths)
    watching.close()
    assert (readers(), inotify_instances()) == ([], 0)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_w17_a_reader_that_dies_of_reading_leaves_no_instance_of_inotify(tmp_path: Path) -> None:
    tree = EventTree(os.fsencode(tmp_path), Pending(lambda: None), recursive=True, ignore=())
    tree.arm()
    reader = only_reader()
    reader._check_inotify_fd = None  # type: ignore[assignment,method-assign]  # The thread is to die of it.
    (tmp_path / "a.jpg").touch()
    wait_for(lambda: not tree.alive)
    tree.disarm()
    assert inotify_instances() == 0


def readers() -> list[InotifyFD]:
    return [thread for thread in threading.enumerate() if isinstance(thread, InotifyFD)]


def only_reader() -> InotifyFD:
    (reader,) = readers()
    return reader


def inotify_instances() -> int:
    links = []
    for name in os.listdir("/proc/self/fd"):
        try:
            links.append(os.readlink(f"/proc/self/fd/{name}"))
        except FileNotFoundError:
            continue  # That of the listing itself.
    return links.count("anon_inode:inotify")


def test_w41_the_lock_goes_with_the_folder_at_the_path(tmp_path: Path) -> None:
    inbox = tmp_path / "in"
    inbox.mkdir()
    path = os.fsencode(inbox)
    ours, others = InboxLock(path), InboxLock(path)
    ours.take()
    ours.take()
    with pytest.raises(AlreadyRunning) as refused:
        others.take()
    assert refused.value.holder == str(os.getpid())
    inbox.rename(tmp_path / "away")
    inbox.mkdir()
    ours.take()
    with pytest.raises(AlreadyRunning):
        others.take()
    away = InboxLock(os.fsencode(tmp_path / "away"))
    away.take()  # Nobody has the old one any more.
    away.release()
    ours.release()
    others.take()
    others.release()


def test_w26_an_empty_folder_above_a_lost_mount_is_not_taken_for_the_inbox() -> None:
    on_disk = Standing(1, 2, "ef53:1:2@/media/my%20card", b"/media/my card")
    below = Standing(3, 4, "ef53:9:4@/", b"/")
    assert disk_is_missing(on_disk.identity, below, empty=True)
    assert not disk_is_missing(on_disk.identity, below, empty=False)
    assert not disk_is_missing(on_disk.identity, on_disk, empty=True)
    assert not disk_is_missing(below.identity, on_disk, empty=True)
    assert not disk_is_missing("", below, empty=True)
    assert not disk_is_missing("elsewhere", below, empty=True)


def test_w26_the_place_of_a_disk_that_was_never_mounted_is_told_from_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "my disk"
    fstab = tmp_path / "fstab"
    escaped = str(place).replace(" ", "\\040")
    fstab.write_text(f"# a comment\nUUID=0 / ext4 defaults 0 1\n/dev/sdz1 {escaped} ext4 nofail 0 2\nnone none swap\n")
    monkeypatch.setattr(standing_module, "_FSTAB", str(fstab))
    inside = os.fsencode(place / "duplicates" / "2026")
    assert bare_place(inside) == os.fsencode(place)  # Not even its mount point is there.
    place.mkdir()
    (place / ".Trash-0").mkdir()
    assert bare_place(inside) == bare_place(os.fsencode(place)) == os.fsencode(place)
    assert bare_place(os.fsencode(tmp_path)) is None
    (place / ".dropmill").mkdir()
    assert bare_place(inside) is None
    (place / ".dropmill").rmdir()
    (place / "in-use").touch()
    assert bare_place(inside) is None
    (place / "in-use").unlink()
    need_root()
    subprocess.run(["mount", "-t", "tmpfs", "none", place], check=True)
    try:
        assert bare_place(inside) is None
        assert mounts_below(os.fsencode(tmp_path), b"my disk/duplicates") == [b"my disk"]
    finally:
        subprocess.run(["umount", place], check=True)
    assert mounts_below(os.fsencode(tmp_path), b"my disk") == []
    monkeypatch.setattr(standing_module, "_CUSTOMARY", (b"/none", b"/none", os.fsencode(tmp_path)))
    monkeypatch.setattr(standing_module, "_FSTAB", str(tmp_path / "none"))
    assert bare_place(inside) == os.fsencode(place)


def test_w26_a_folder_is_known_again_and_another_one_is_another(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path / "in")
    assert standing(path) is None
    (tmp_path / "in").mkdir()
    first = standing(path)
    assert first is not None
    assert first == standing(path)
    assert first.mount == os.fsencode(find_mount(tmp_path))
    (tmp_path / "in").rename(tmp_path / "away")
    (tmp_path / "in").mkdir()
    assert not first.same(standing(path))


def test_w26_what_was_seen_on_an_earlier_disk_is_not_missed_on_a_later_one_whatever_the_clock_said(
    tmp_path: Path,
) -> None:
    """The clock was an hour ahead when the file was seen, and right again when another disk was there."""
    catalog = Catalog(str(tmp_path / "catalog.db"))
    hour_ms = 3_600_000
    size = Signature(dev=1, ino=2, size_bytes=3, mtime_ns=4, ctime_ns=5)

    def seen(root_id: int, rel: bytes, now_ms: int) -> Callable[[Session], None]:
        return lambda session: queue.remember(session, root_id, rel, size, None, now_ms)

    async def story() -> None:
        root_id = await catalog.write(lambda session: boot.put_root(session, "inbox", "camera", b"/in"))

        async def known() -> list[bytes]:
            page = await catalog.read(lambda session: deleted.page(session, root_id, b""))
            return [source.rel for source in page]

        await catalog.write(lambda session: deleted.identify(session, root_id, "first", 0))
        await catalog.write(seen(root_id, b"a.jpg", 2 * hour_ms))
        assert await known() == [b"a.jpg"]
        await catalog.write(lambda session: deleted.identify(session, root_id, "second", hour_ms))
        assert await known() == []
        await catalog.write(seen(root_id, b"b.jpg", 3 * hour_ms))
        assert await known() == [b"b.jpg"]

    try:
        anyio.run(story)
    finally:
        catalog.close()


def find_mount(path: Path) -> Path:
    while not path.is_mount():
        path = path.parent
    return path


def test_w27_a_folder_that_a_sandbox_mounts_onto_itself_lies_where_it_lay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As ReadWritePaths does it: the bare place of a disk would look as if that were mounted."""
    place = tmp_path / "disk"
    (place / "out").mkdir(parents=True)
    root, sandboxed = "21 1 0:1 /@ / rw - ext4 /dev/a rw\n", f"30 21 0:1 /@{place} {place} rw - ext4 /dev/a rw\n"
    disk = f"31 21 0:2 / {place} rw - ext4 /dev/b rw\n"
    mounts = tmp_path / "mountinfo"
    monkeypatch.setattr(standing_module, "_MOUNTS", str(mounts))
    at: dict[str, bytes] = {}
    tables = {
        "bare": root,
        "sandboxed": root + sandboxed,
        "disk": root + disk,
        "disk in a sandbox": root + disk + disk.replace("31 21", "32 31"),
        "disk that came later": root + sandboxed + disk.replace("31 21", "33 30"),
        "another folder of it": root + f"34 21 0:1 /@/other {place} rw - ext4 /dev/a rw\n",
    }
    for name, table in tables.items():
        mounts.write_text(table, "utf-8")
        seen = standing(os.fsencode(place / "out"))
        assert seen is not None
        at[name] = seen.mount
    there = os.fsencode(place)
    assert at == {name: b"/" if name in {"bare", "sandboxed"} else there for name in tables}
    # What was recorded by a service with another sandbox is known again by what it is.
    mounts.write_text(root, "utf-8")
    seen = standing(os.fsencode(place / "out"))
    assert seen is not None and not disk_is_missing(seen.identity + os.fsdecode(there), seen, empty=True)
    assert disk_is_missing(f"ef53:7:1@{place}", seen, empty=True)
