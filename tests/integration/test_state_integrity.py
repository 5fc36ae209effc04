"""Q11: a catalog that cannot be used is refused with its path and the remedy, and is afterwards as it was."""

from __future__ import annotations

import contextlib
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from dropmill.errors import StateError
from dropmill.store import integrity
from dropmill.store.catalog import Catalog, ReadOnlyCatalog, catalog_path
from dropmill.store.connection import connect
from dropmill.store.wal import committed_frames_are_lost

PAGE = 4096


def made(folder: Path, *, jobs: int = 3000, ended: bool = False) -> Path:
    """A catalog with jobs in it, written back, whose last boot has ended or not."""
    folder.mkdir(exist_ok=True)
    path = Path(catalog_path(str(folder)))
    Catalog(str(path)).close()
    with contextlib.closing(apsw.Connection(str(path))) as connection:
        connection.execute("INSERT INTO boots VALUES ('b', 1, '0', 0, ?)", (1 if ended else None,))
        connection.execute("INSERT INTO roots (kind, name, path) VALUES ('inbox', 'in', x'2f')")
        connection.execute(
            "WITH RECURSIVE n(v) AS (SELECT 1 UNION ALL SELECT v + 1 FROM n WHERE v < ?) "
            "INSERT INTO jobs (root_id, inbox, rel, dev, ino, size_bytes, mtime_ns, ctime_ns, state, priority, rank_ms, "
            "found_by, found_at_ms, settled_at_ms, enqueued_at_ms) "
            "SELECT 1, 'in', CAST(v AS BLOB), 1, v, 1, 1, 1, 'available', 3, v, 'event', 0, 0, 0 FROM n",
            (jobs,),
        )
    return path


def contents(folder: Path) -> dict[str, bytes]:
    """Without the index of the log and a log that holds nothing, which a mere reader makes."""
    held = {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith("-shm")}
    return {name: data for name, data in held.items() if data or not name.endswith("-wal")}


def refusal(path: Path) -> StateError:
    with pytest.raises(StateError) as refused:
        Catalog(str(path))
    return refused.value


def zero_a_page(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(20 * PAGE)
        file.write(bytes(PAGE))


def cut_in_half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2 // PAGE * PAGE)


def cut_within_a_page(path: Path) -> None:
    os.truncate(path, 100)


def garble_the_header(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"\xde\xad\xbe\xef" * 25)


def garble_the_schema(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 1000)


def flip_bits(path: Path) -> None:
    """The count of cells of every other page behind the first ten."""
    with path.open("r+b") as file:
        for page in range(10, path.stat().st_size // PAGE, 2):
            file.seek(page * PAGE + 3)
            file.write(b"\x7f\xff")


@pytest.mark.parametrize(
    "harm", [zero_a_page, cut_in_half, cut_within_a_page, garble_the_header, garble_the_schema, flip_bits]
)
@pytest.mark.parametrize("ended", [False, True])
def test_q11_a_damaged_catalog_is_refused_and_left_as_it_is(
    tmp_path: Path, harm: Callable[[Path], None], ended: bool
) -> None:
    path = made(tmp_path, ended=ended)
    harm(path)
    before = contents(tmp_path)
    error = refusal(path)
    assert str(path) in error.public_message
    assert "restore a backup" in error.hint
    assert error.exit_code == 2
    assert contents(tmp_path) == before


def test_q11_a_large_catalog_is_checked_only_after_a_run_that_died(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(integrity, "ALWAYS_CHECKED_BYTES", 1)
    path = made(tmp_path, ended=True)
    zero_a_page(path)
    integrity.check(str(path))
    with contextlib.closing(apsw.Connection(str(path))) as connection:
        connection.execute("UPDATE boots SET ended_at_ms = NULL")
    with pytest.raises(StateError):
        integrity.check(str(path))


def test_w34_a_run_whose_clock_was_ahead_does_not_hide_that_the_last_one_died(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(integrity, "ALWAYS_CHECKED_BYTES", 1)
    path = made(tmp_path, ended=True)
    with contextlib.closing(apsw.Connection(str(path))) as connection:
        connection.execute("INSERT INTO boots VALUES ('ahead', 1, '0', 1 << 50, (1 << 50) + 1)")
        connection.execute("INSERT INTO boots VALUES ('died', 1, '0', 5, NULL)")
    zero_a_page(path)
    with pytest.raises(StateError):
        integrity.check(str(path))


def test_q11_a_catalog_that_is_gone_does_not_begin_anew(tmp_path: Path) -> None:
    """What is left beside it tells that there was one."""
    for left in ("catalog.db-wal", "catalog.db.v1.bak", "flight"):
        for empty_file in (False, True):
            folder = tmp_path / f"{left}-{empty_file}"
            folder.mkdir()
            (folder / left).write_bytes(b"something")
            if empty_file:
                (folder / "catalog.db").touch()
            error = refusal(folder / "catalog.db")
            assert str(folder / left) in error.public_message
            assert "restore a backup" in error.hint
            assert (folder / left).read_bytes() == b"something"
            assert (folder / "catalog.db").exists() == empty_file
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    (fresh / "dropmill.lock").touch()
    (fresh / "catalog.db-wal").touch()
    Catalog(str(fresh / "catalog.db")).close()


def test_q11_a_folder_in_the_place_of_the_catalog_is_refused(tmp_path: Path) -> None:
    (tmp_path / "catalog.db").mkdir()
    assert "catalog.db" in refusal(tmp_path / "catalog.db").public_message


def written_and_killed(folder: Path, commits: int = 12) -> Path:
    """A catalog whose process was killed after some commits that are only in the log."""
    path = made(folder)
    script = (
        "import apsw, os, sys, signal\n"
        "from dropmill.store.connection import connect\n"
        "c = connect(sys.argv[1])\n"
        "for n in range(int(sys.argv[2])):\n"
        "    c.execute('UPDATE jobs SET detail = ? WHERE id = ?', (f'acknowledged {n}', n + 1))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    child = subprocess.run([sys.executable, "-c", script, str(path), str(commits)], check=False)
    assert child.returncode == -signal.SIGKILL
    return path


def frames(path: Path) -> list[int]:
    size = Path(f"{path}-wal").stat().st_size
    return list(range(32, size - PAGE, 24 + PAGE))


def garble(path: Path, at: int, data: bytes = b"\x5a\xa5" * 8) -> None:
    with open(f"{path}-wal", "r+b") as file:
        file.seek(at)
        file.write(data)


@pytest.mark.parametrize("where", ["header", "frame header", "salt", "page"])
def test_q11_damage_within_the_log_is_refused_instead_of_losing_commits(tmp_path: Path, where: str) -> None:
    path = written_and_killed(tmp_path)
    third = frames(path)[2]
    garble(path, {"header": 0, "frame header": third, "salt": third + 8, "page": third + 1000}[where])
    before = contents(tmp_path)
    error = refusal(path)
    assert "log is damaged" in error.public_message
    assert "restore a backup" in error.hint
    assert contents(tmp_path) == before
    for name in ("catalog.db-wal", "catalog.db-shm"):  # The remedy that the hint names.
        (tmp_path / name).unlink()
    Catalog(str(path)).close()


@pytest.mark.parametrize("torn", ["cut", "garbled", "half a frame"])
def test_q01_the_torn_end_of_a_log_is_no_damage(tmp_path: Path, torn: str) -> None:
    """As a power cut leaves it: the last commit was never acknowledged."""
    path = written_and_killed(tmp_path)
    last = frames(path)[-1]
    if torn == "cut":
        os.truncate(f"{path}-wal", last)
    elif torn == "garbled":
        garble(path, last + 500)
    else:
        os.truncate(f"{path}-wal", last + 700)
    catalog = Catalog(str(path))
    catalog.close()
    with contextlib.closing(connect(str(path), readonly=True)) as connection:
        kept = connection.execute("SELECT count(*) FROM jobs WHERE detail LIKE 'acknowledged %'").get
    assert kept == 11


def test_q01_a_whole_log_and_one_begun_again_are_no_damage(tmp_path: Path) -> None:
    """After a checkpoint the log is written from its beginning, and old frames stay behind the new ones."""
    path = written_and_killed(tmp_path, 50)
    with contextlib.closing(connect(str(path))) as connection:
        assert not committed_frames_are_lost(str(path))
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
        for number in range(3):
            connection.execute("UPDATE jobs SET detail = 'again' WHERE id = ?", (number + 1,))
        assert not committed_frames_are_lost(str(path))
        assert len(frames(path)) > 40
        salts = set()
        with open(f"{path}-wal", "rb") as file:
            for at in frames(path):
                file.seek(at + 8)
                salts.add(struct.unpack(">II", file.read(8)))
        assert len(salts) == 2


def test_w36_a_restored_catalog_beside_the_log_of_another_is_refused(tmp_path: Path) -> None:
    from dropmill.store import backup

    path = written_and_killed(tmp_path)
    copy = tmp_path / "copy"
    copy.touch()
    assert backup.copy(str(path), str(copy)) == 3000
    os.replace(copy, path)
    before = contents(tmp_path)
    error = refusal(path)
    assert f"remove {path}-wal" in error.hint
    assert contents(tmp_path) == before
    for name in ("catalog.db-wal", "catalog.db-shm"):
        (tmp_path / name).unlink()
    Catalog(str(path)).close()
    with contextlib.closing(ReadOnlyCatalog(str(path))):
        pass
