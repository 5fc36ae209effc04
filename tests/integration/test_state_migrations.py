"""Catalogs of every earlier schema, with data in them, come to the newest one; a saved copy goes before it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from dropmill.errors import StateError
from dropmill.store import migrations
from dropmill.store.catalog import Catalog, catalog_path
from dropmill.store.migrations import APPLICATION_ID
from old_catalogs import digest, old_catalog
from parts import need_programs, need_root

NEWEST = migrations.migrations()[-1][0]


def version_of(path: Path) -> int:
    with contextlib.closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
        assert connection.pragma("application_id") == APPLICATION_ID
        return int(connection.pragma("user_version"))


def dump(path: Path, tables: dict[str, str]) -> dict[str, list[object]]:
    """The rows of some tables, of the columns that are named."""
    with contextlib.closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
        return {
            table: connection.execute(f"SELECT {columns} FROM {table} ORDER BY {columns}").fetchall()
            for table, columns in tables.items()
        }  # Names of our own tables.


def tables_of(path: Path) -> dict[str, str]:
    """Every table with its columns: a migration may add some."""
    with contextlib.closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
        rows = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
        return {
            table: ", ".join(row[1] for row in connection.execute(f"PRAGMA table_info({table})")) for (table,) in rows
        }


@pytest.mark.parametrize("version", range(1, NEWEST))
def test_w36_every_earlier_schema_is_lifted_with_its_data_after_a_copy_was_saved(tmp_path: Path, version: int) -> None:
    path = old_catalog(tmp_path, version, jobs=200)
    tables = tables_of(path)
    before = dump(path, tables)
    Catalog(str(path)).close()
    assert version_of(path) == NEWEST
    assert dump(path, tables) == before
    saved = Path(f"{path}.v{version}.bak")
    assert version_of(saved) == version
    assert dump(saved, tables) == before
    with contextlib.closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
        assert connection.execute("PRAGMA integrity_check").get == "ok"
        assert connection.execute("PRAGMA foreign_key_check").get is None
        counted = connection.execute("SELECT inbox, state, outcome, count FROM job_counts ORDER BY 1, 2, 3").fetchall()
        real = connection.execute(
            "SELECT inbox, state, coalesce(outcome, ''), count(*) FROM jobs GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
        ).fetchall()
        assert counted == real
    os.replace(saved, path)
    for name in ("catalog.db-wal", "catalog.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    Catalog(str(path)).close()
    assert version_of(path) == NEWEST, "the saved copy is a catalog that can be taken up again"


def test_an_upgrade_gives_no_number_of_an_image_anew_and_holds_what_is_the_images_own(tmp_path: Path) -> None:
    path = old_catalog(tmp_path, 3, jobs=60)
    with contextlib.closing(apsw.Connection(str(path))) as connection:
        for rel, sha256 in ((b"own.jpg", digest(1)), (b"other-metadata.jpg", digest(9999))):
            connection.execute(
                "INSERT INTO versions (root_id, rel, sha256, ino, size_bytes, mtime_ns, image_id, job_id, kept, decided_at_ms)"
                " VALUES (1, ?, ?, 1, 1, 1, 1, 1, 1, 1)",
                (rel, sha256),
            )
        newest = connection.execute("SELECT max(id) FROM images").get
    Catalog(str(path)).close()
    with contextlib.closing(apsw.Connection(str(path))) as connection:
        held = {row[0] for row in connection.execute("SELECT rel FROM holdings")}
        assert b"own.jpg" in held and b"other-metadata.jpg" not in held
        connection.execute("DELETE FROM images WHERE id = ?", (newest,))
        columns = [row[1] for row in connection.execute("PRAGMA table_info(images)") if row[1] not in {"id", "sha256"}]
        names = ", ".join(columns)
        connection.execute(f"INSERT INTO images (sha256, {names}) SELECT 'new', {names} FROM images WHERE id = 1")
        assert connection.execute("SELECT max(id) FROM images").get > newest


def test_q11_a_newer_catalog_names_the_copy_that_was_saved_before_the_upgrade(tmp_path: Path) -> None:
    path = Path(catalog_path(str(tmp_path)))
    Catalog(str(path)).close()
    with contextlib.closing(apsw.Connection(str(path))) as connection:
        connection.pragma("user_version", NEWEST + 1)
    before = path.read_bytes()
    with pytest.raises(StateError) as refused:
        Catalog(str(path))
    assert ".bak" not in refused.value.hint
    Path(f"{path}.v{NEWEST}.bak").touch()
    with pytest.raises(StateError) as refused:
        Catalog(str(path))
    assert f"{path}.v{NEWEST}.bak" in refused.value.hint
    assert path.read_bytes() == before


@pytest.mark.parametrize("steps", [1, 1_000, 5_000, 20_000])
def test_q07_a_migration_that_is_killed_leaves_the_old_catalog(tmp_path: Path, steps: int) -> None:
    """The process is killed after so many steps of SQLite's machine within the migration."""
    path = old_catalog(tmp_path, 1, jobs=2000)
    tables = tables_of(path)
    before = dump(path, tables)
    script = (
        "import os, signal, sys\n"
        "from dropmill.store import migrations\n"
        "from dropmill.store.catalog import Catalog\n"
        "save = migrations._save_copy\n"
        "def then_die(connection, target):\n"
        "    save(connection, target)\n"
        "    connection.set_progress_handler(lambda: os.kill(os.getpid(), signal.SIGKILL), int(sys.argv[2]))\n"
        "migrations._save_copy = then_die\n"
        "Catalog(sys.argv[1])\n"
    )
    child = subprocess.run([sys.executable, "-c", script, str(path), str(steps)], check=False)
    assert child.returncode == -signal.SIGKILL
    assert version_of(path) == 1
    assert tables_of(path) == tables
    assert dump(path, tables) == before
    Catalog(str(path)).close()
    assert version_of(path) == NEWEST


def test_w27_an_upgrade_without_room_for_the_copy_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    """On a real full disk: a small tmpfs of the test's own."""
    need_root()
    need_programs(unshare="util-linux", mount="mount")
    old_catalog(tmp_path / "made", 1, jobs=3000)
    script = (
        "import os, shutil, sys\n"
        "from dropmill.errors import StateError\n"
        "from dropmill.store.catalog import Catalog\n"
        "source, disk = sys.argv[1:]\n"
        "path = os.path.join(disk, 'catalog.db')\n"
        "shutil.copy(os.path.join(source, 'catalog.db'), path)\n"
        "before = open(path, 'rb').read()\n"
        "try:\n"
        "    Catalog(path)\n"
        "except StateError as error:\n"
        "    print(error.exit_code, error.public_message)\n"
        "    print(error.hint)\n"
        "assert open(path, 'rb').read() == before\n"
        "assert not [name for name in os.listdir(disk) if 'bak' in name], os.listdir(disk)\n"
    )
    disk = tmp_path / "disk"
    disk.mkdir()
    size = (tmp_path / "made/catalog.db").stat().st_size * 3 // 2
    command = f'mount -t tmpfs -o size={size} none {disk} && exec {sys.executable} -c "$SCRIPT" {tmp_path}/made {disk}'
    result = subprocess.run(
        ["unshare", "-m", "sh", "-c", command],
        env=os.environ | {"SCRIPT": script},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("2 ")
    assert "full" in result.stdout
    assert "nothing was changed" in result.stdout
