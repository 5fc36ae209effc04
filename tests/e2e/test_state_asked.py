"""What is said of a state that no daemon can start on, or that is only to be read: the same by every command (Q11)."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import pictures
from harness import PROGRAM, Mill, clean_environment
from parts import need_programs, need_root

pytestmark = pytest.mark.long


def photo(seed: int) -> bytes:
    return pictures.jpeg(pictures.photo(120, 80, seed))


def used(tmp_path: Path) -> Mill:
    mill = Mill(tmp_path / "mill")
    mill.drop("a.jpg", photo(1))
    assert mill.once().returncode == 0
    return mill


def removed(mill: Mill) -> str:
    for path in mill.state.glob("catalog.db*"):
        path.unlink()
    return "the catalog is missing, though a daemon has worked here"


def emptied(mill: Mill) -> str:
    removed(mill)
    (mill.state / "catalog.db").touch()
    return "the catalog is empty, though a daemon has worked here"


def damaged(mill: Mill) -> str:
    with (mill.state / "catalog.db").open("r+b") as file:
        file.seek(4096 * 3)
        file.write(bytes(4096 * 2))
    return "the catalog is damaged"


def restored_beside_an_old_log(mill: Mill) -> str:
    copy = mill.root / "copy.db"
    assert mill.run("backup", str(copy)).returncode == 0
    mill.start()
    mill.drop("b.jpg", photo(2))
    mill.wait_for(lambda: len(mill.jobs("completed")) == 2)
    mill.kill()
    shutil.copyfile(copy, mill.state / "catalog.db")
    return "a restored catalog lies beside"


def catalog_files(mill: Mill) -> dict[str, bytes]:
    """Without the index of the log, which any reader may make anew."""
    return {path.name: path.read_bytes() for path in mill.state.glob("catalog.db*") if path.suffix != ".db-shm"}


@pytest.mark.parametrize("what", [removed, emptied, damaged, restored_beside_an_old_log])
def test_q11_s08_what_keeps_a_daemon_from_starting_is_said_alike_by_check_and_by_the_start(
    tmp_path: Path, what: Callable[[Mill], str]
) -> None:
    mill = used(tmp_path)
    said = what(mill)
    before = catalog_files(mill)
    for command in ("check", "run"):
        result = mill.run(command)
        assert (result.returncode, said in result.stderr) == (2, True), (command, result.stdout, result.stderr)
    if what is not damaged:
        for command in (["status"], ["jobs"], ["backup", str(mill.root / "never.db")]):
            result = mill.run(*command)
            assert (result.returncode, said in result.stderr) == (2, True), (command, result.stdout, result.stderr)
    assert not (mill.root / "never.db").exists()
    assert catalog_files(mill) == before


def test_q11_check_does_not_examine_the_catalog_of_a_daemon_that_runs(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    mill.start()
    result = mill.run("check")
    assert (result.returncode, "a daemon runs already" in result.stdout) == (0, True), result.stderr
    assert mill.stop() == 0


def test_q11_w36_a_catalog_on_a_read_only_disk_is_read_and_backed_up(tmp_path: Path) -> None:
    need_root()
    need_programs(unshare="util-linux", mount="mount")
    mill = Mill(tmp_path / "mill")
    mill.start()
    mill.drop("a.jpg", photo(1))
    mill.wait_for(lambda: mill.done(1))
    mill.kill()
    (mill.state / "catalog.db-shm").unlink()
    assert (mill.state / "catalog.db-wal").stat().st_size > 0
    read_only = f"mount --bind {mill.state} {mill.state} && mount -o remount,bind,ro {mill.state}"
    scratch = tmp_path / "tmp"
    scratch.mkdir()

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        words = " ".join([PROGRAM, *arguments, "--config", str(mill.config)])
        return subprocess.run(
            ["unshare", "-m", "sh", "-c", f"{read_only} && exec {words}"],
            capture_output=True,
            text=True,
            env=clean_environment() | {"TMPDIR": str(scratch)},
            timeout=60,
            check=False,
        )

    status, why, jobs = run("status"), run("why", str(mill.inbox / "a.jpg")), run("jobs")
    assert "1 published" in status.stdout, status.stderr
    assert "rendition t (" in why.stdout, why.stderr
    assert "a.jpg" in jobs.stdout, jobs.stderr
    made = run("backup", str(tmp_path / "copy.db"))
    assert made.returncode == 0 and "1 job, checked" in made.stdout, made.stderr
    checked = run("check")
    assert checked.returncode == 2
    assert "mount its disk for writing" in checked.stderr
    assert "chown" not in checked.stderr and "cannot be opened" not in checked.stderr
    assert os.listdir(scratch) == []


def test_s10_a_daemon_is_found_by_its_inbox_where_the_file_names_another_state_by_now(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    mill.start()
    original = mill.config.read_text()
    mill.config.write_text(original.replace(str(mill.state), str(tmp_path / "elsewhere")))
    result = mill.run("reload")
    assert result.returncode == 2, result.stdout + result.stderr
    assert f"{tmp_path}/elsewhere is another one than {mill.state}" in result.stderr
    assert "the earlier one stays in force" in result.stderr
    assert not (tmp_path / "elsewhere").exists()
    mill.config.write_text(original)
    assert mill.run("reload").returncode == 0
    assert mill.stop() == 0
    result = mill.run("reload")
    assert result.returncode == 4
    assert f"start one: dropmill run --config {mill.config}" in result.stderr


def test_s10_a_file_that_cannot_be_read_changes_nothing_and_reload_says_so(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    mill.config.write_text("x = [\n")
    for config in (mill.config, tmp_path / "missing.toml"):
        result = mill.run_with(config, "reload")
        assert (result.returncode, "the earlier one stays in force" in result.stderr) == (2, True), result.stderr
