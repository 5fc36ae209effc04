"""``dropmill backup``, restoring one, and moving the state directory: W36 from end to end."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

import pictures
from dropmill.store.catalog import catalog_path
from harness import PROGRAM, Mill, clean_environment
from old_catalogs import old_catalog
from parts import need_programs, need_root

NAMES = ("catalog.db", "catalog.db-wal", "catalog.db-shm")


def picture(seed: int) -> bytes:
    return pictures.jpeg(pictures.photo(90, 60, seed=seed))


def restore(mill: Mill, copy: Path) -> None:
    """As docs/operations.md says it: the daemon is stopped, the old catalog goes with its log, the copy comes."""
    for name in NAMES:
        (mill.root / "state" / name).unlink(missing_ok=True)
    shutil.copy(copy, mill.root / "state/catalog.db")


def published(mill: Mill) -> dict[str, tuple[int, int]]:
    """Inode and time of every visible rendition: what is published twice has others."""
    found = {name: (mill.output / name).stat() for name in mill.outputs()}
    return {name: (seen.st_ino, seen.st_mtime_ns) for name, seen in found.items()}


def test_w36_a_backup_is_whole_private_and_made_while_the_daemon_works(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    mill.start()
    mill.drop("one.jpg", picture(1))
    mill.wait_for(lambda: mill.outputs() == ["one-t.jpg"])
    copy = tmp_path / "copy.db"
    result = mill.run("backup", str(copy))
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"{copy}: ")
    assert "1 job, checked" in result.stdout
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir() if "copy" in path.name] == ["copy.db"]
    again = mill.run("backup", str(copy))
    assert again.returncode == 1
    assert again.stderr.splitlines()[0] == f"error: {copy} exists"
    inode = copy.stat().st_ino
    told = json.loads(mill.run("backup", str(copy), "--force", "--json", check=True).stdout)
    assert told["jobs"] == 1
    assert told["size_bytes"] == copy.stat().st_size
    assert copy.stat().st_ino != inode
    assert mill.stop() == 0
    assert mill.run("backup", "stopped.db").returncode == 0
    with contextlib.closing(apsw.Connection(str(tmp_path / "stopped.db"))) as connection:
        assert connection.pragma("journal_mode") == "delete"
        assert connection.execute("PRAGMA integrity_check").get == "ok"
        assert connection.execute("SELECT count(*) FROM jobs").get == 1


def test_w36_a_backup_that_cannot_be_made_says_so_in_one_line(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    early = mill.run("backup", "copy.db")
    assert early.returncode == 1
    assert "there is no catalog yet" in early.stderr
    assert mill.once().returncode == 0
    (tmp_path / "folder").mkdir()
    catalog = catalog_path(str(tmp_path / "state"))
    before = Path(catalog).read_bytes()
    for target, code, text in (
        ("nowhere/copy.db", 2, "there is no such folder"),
        ("in/copy.db", 1, "is inside the inbox"),
        ("out/copy.db", 1, "is inside the output"),
        ("folder", 2, "is a folder"),
        (catalog, 1, "is the catalog itself"),
        (f"{catalog}-wal", 1, "is the catalog itself"),
    ):
        result = mill.run("backup", target, "--force")
        assert result.returncode == code, (target, result.stderr)
        first, second = result.stderr.splitlines()
        assert first.startswith("error: ")
        assert text in first
        assert second.startswith("hint: ")
    assert Path(catalog).read_bytes() == before
    assert sorted(os.listdir(tmp_path / "in")) == []


def test_w27_a_backup_onto_a_full_disk_leaves_nothing_there(tmp_path: Path) -> None:
    need_root()
    need_programs(unshare="util-linux", mount="mount")
    mill = Mill(tmp_path, queue={"retention_days": 36_500})
    old_catalog(tmp_path / "state", 1, jobs=50)
    assert mill.once().returncode in {0, 3}
    disk = tmp_path / "disk"
    disk.mkdir()
    command = (
        f"mount -t tmpfs -o size=128k none {disk} && {PROGRAM} backup {disk}/copy.db --config {mill.config}; "
        f"echo $?; ls -A {disk}"
    )
    result = subprocess.run(
        ["unshare", "-m", "sh", "-c", command], capture_output=True, text=True, env=clean_environment(), check=False
    )
    assert result.stdout.split() == ["2"]
    assert result.stderr.startswith(f"error: {disk}/copy.db: the backup cannot be written: ")
    assert "No space left" in result.stderr
    assert len(result.stderr.splitlines()) == 2


@pytest.mark.long
def test_w36_an_older_backup_is_restored_without_publishing_anything_twice(tmp_path: Path) -> None:
    """What was done since the backup is found again: what stands is adopted, and nothing gets a suffix."""
    mill = Mill(tmp_path, on_success="keep")
    mill.start()
    mill.drop("before.jpg", picture(1))
    mill.wait_for(lambda: len(mill.jobs("completed")) == 1)
    copy = tmp_path / "copy.db"
    assert mill.run("backup", str(copy)).returncode == 0
    mill.drop("since.jpg", picture(2))
    mill.drop("since-too.jpg", picture(3))
    mill.wait_for(lambda: len(mill.outputs()) == 3)
    assert mill.stop() == 0
    stood = published(mill)

    restore(mill, copy)
    mill.start()
    mill.drop("after.jpg", picture(4))
    mill.wait_for(lambda: "after-t.jpg" in mill.outputs() and len(mill.jobs("completed")) == 4)
    now = published(mill)
    assert {name: now[name] for name in stood} == stood
    assert sorted(now) == ["after-t.jpg", "before-t.jpg", "since-t.jpg", "since-too-t.jpg"]
    outcomes = {Path(job["source"]).name: job["outcome"] for job in mill.jobs()}
    assert outcomes == dict.fromkeys(["before.jpg", "since.jpg", "since-too.jpg", "after.jpg"], "published")
    mill.drop("copy-of-since.jpg", picture(2))
    mill.wait_for(lambda: len(mill.jobs("completed")) == 5)
    assert mill.jobs()[0]["outcome"] == "duplicate"
    assert mill.stop() == 0
    with contextlib.closing(apsw.Connection(catalog_path(str(tmp_path / "state")))) as connection:
        kinds = connection.execute("SELECT final_name, ownership FROM publications ORDER BY id").fetchall()
    assert (b"since-t.jpg", "adopted") in kinds
    assert (b"since-too-t.jpg", "adopted") in kinds


@pytest.mark.long
def test_w36_originals_that_were_archived_since_the_backup_stay_where_they_are(tmp_path: Path) -> None:
    mill = Mill(tmp_path, archive="archive")
    mill.start()
    mill.drop("before.jpg", picture(1))
    mill.wait_for(lambda: (tmp_path / "archive/before.jpg").exists())
    copy = tmp_path / "copy.db"
    assert mill.run("backup", str(copy)).returncode == 0
    mill.drop("since.jpg", picture(2))
    mill.wait_for(lambda: (tmp_path / "archive/since.jpg").exists())
    assert mill.stop() == 0
    stood = published(mill)

    restore(mill, copy)
    mill.start()
    mill.drop("after.jpg", picture(4))
    mill.wait_for(lambda: (tmp_path / "archive/after.jpg").exists())
    # The same picture comes once more: the catalog has forgotten it, and what stands is taken for its renditions.
    mill.drop("since.jpg", picture(2))
    mill.wait_for(lambda: len(mill.jobs("completed")) == 3 and not (mill.inbox / "since.jpg").exists())
    now = published(mill)
    assert {name: now[name] for name in stood} == stood
    assert sorted(now) == ["after-t.jpg", "before-t.jpg", "since-t.jpg"]
    archived = {path.read_bytes() for path in (tmp_path / "archive").iterdir()}
    assert archived == {picture(1), picture(2), picture(4)}
    assert mill.stop() == 0


@pytest.mark.long
def test_w36_a_backup_of_work_in_hand_is_taken_up_where_it_was(tmp_path: Path) -> None:
    """Copied while jobs run and things are owed; the rest of the state is lost with the disk."""
    mill = Mill(tmp_path, archive="archive")
    mill.start()
    for number in range(60):
        mill.drop(f"{number:02}.jpg", picture(number))
    mill.wait_for(lambda: mill.outputs())
    copy = tmp_path / "copy.db"
    assert mill.run("backup", str(copy)).returncode == 0
    mill.kill()
    shutil.rmtree(tmp_path / "state")
    (tmp_path / "state").mkdir()
    restore(mill, copy)
    mill.start()
    mill.wait_for(lambda: len(list((tmp_path / "archive").iterdir())) == 60)
    mill.wait_for(lambda: not [job for job in mill.jobs() if job["state"] in {"available", "executing", "scheduled"}])
    assert mill.outputs() == [f"{number:02}-t.jpg" for number in range(60)]
    assert {path.read_bytes() for path in (tmp_path / "archive").iterdir()} == {picture(n) for n in range(60)}
    assert os.listdir(mill.inbox) == []
    assert mill.stop() == 0


@pytest.mark.long
def test_w36_the_state_directory_and_all_folders_can_be_moved(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    mill = Mill(old, on_success="keep")
    mill.start()
    mill.drop("one.jpg", picture(1))
    mill.wait_for(lambda: len(mill.jobs("completed")) == 1)
    assert mill.stop() == 0
    stood = published(mill)
    old.rename(new)
    moved = Mill(new, on_success="keep")
    (new / "state").rename(new / "elsewhere")
    moved.config.write_text(moved.config.read_text().replace('state_dir = "state"', 'state_dir = "elsewhere"'))
    assert moved.run("run", "--once").returncode == 0
    moved.drop("two.jpg", picture(2))
    moved.drop("again.jpg", picture(1))
    assert moved.run("run", "--once").returncode == 0
    now = published(moved)
    assert sorted(now) == ["one-t.jpg", "two-t.jpg"]
    assert now["one-t.jpg"] == stood["one-t.jpg"]
    outcomes = {Path(job["source"]).name: job["outcome"] for job in moved.jobs()}
    assert outcomes == {"one.jpg": "published", "two.jpg": "published", "again.jpg": "duplicate"}
    assert str(new / "in/one.jpg") in moved.why("one.jpg")


@pytest.mark.long
def test_w36_a_daemon_takes_up_the_catalog_of_the_first_version(tmp_path: Path) -> None:
    mill = Mill(tmp_path, queue={"retention_days": 36_500})
    old_catalog(tmp_path / "state", 1, jobs=60, inbox=mill.inbox, output=mill.output)
    mill.drop("new.jpg", picture(1))
    mill.start()
    assert mill.get("/api/v1/status").json()["inboxes"][0]["paused"] is True
    assert mill.run("resume").returncode == 0
    mill.wait_for(lambda: mill.outputs() == ["new-t.jpg"])
    # Those in the queue have no file any more, and end as superseded; those that ended before are still told.
    mill.wait_for(lambda: not mill.jobs("available") and not mill.jobs("executing"))
    jobs = mill.jobs()
    assert len(jobs) == 61
    assert len([job for job in jobs if job["outcome"] == "duplicate"]) == 10
    assert len([job for job in jobs if job["state"] == "discarded"]) == 10
    assert mill.stop() == 0
    with contextlib.closing(apsw.Connection(str(tmp_path / "state/catalog.db.v1.bak"))) as connection:
        assert connection.execute("SELECT count(*) FROM jobs").get == 60


def test_w36_two_backups_at_once_and_one_that_is_interrupted(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    assert mill.once().returncode == 0
    command = [PROGRAM, "backup", "copy.db", "--config", str(mill.config)]
    both = [
        subprocess.Popen(
            command, cwd=tmp_path, env=clean_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for _ in range(2)
    ]
    codes = sorted(one.wait(60) for one in both)
    assert codes == [0, 1]
    assert [path.name for path in tmp_path.iterdir() if "copy" in path.name] == ["copy.db"]
    script = (
        "import sys\n"
        "from dropmill.store import backup\n"
        "def interrupted(path, target):\n"
        "    open(target, 'wb').write(b'half')\n"
        "    raise KeyboardInterrupt\n"
        "backup.copy = interrupted\n"
        "from dropmill.cli import main\n"
        "main()\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, "backup", "other.db", "--config", str(mill.config)],
        cwd=tmp_path,
        env=clean_environment(),
        check=False,
    )
    assert result.returncode == 130
    assert [path.name for path in tmp_path.iterdir() if "other" in path.name] == []
