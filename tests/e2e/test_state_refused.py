"""Q11: a state directory that cannot be used stops the start with exit code 2, its path and the remedy."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from dropmill.maintenance import state
from faulty_fs import FaultyFs
from harness import PROGRAM, Mill, clean_environment
from parts import need_programs, need_root


def refused(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 2, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    assert "hint: " in result.stderr
    return result.stderr


def in_a_mount_namespace(mill: Mill, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A shell command, then dropmill, with mounts that nobody else sees."""
    need_root()
    need_programs(unshare="util-linux", mount="mount")
    words = " ".join([PROGRAM, *arguments, "--config", str(mill.config)])
    return subprocess.run(
        ["unshare", "-m", "sh", "-c", f"{command} && exec {words}"],
        capture_output=True,
        text=True,
        env=clean_environment(),
        timeout=60,
        check=False,
    )


def test_q11_a_damaged_catalog_stops_every_way_to_start(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    assert mill.once().returncode == 0
    path = tmp_path / "state/catalog.db"
    with path.open("r+b") as file:
        file.seek(4096 * 3)
        file.write(bytes(4096 * 2))
    before = path.read_bytes()
    for command in (["run"], ["run", "--once"], ["pause"]):
        said = refused(mill.run(*command))
        assert f"{path}: the catalog is damaged" in said
        assert "restore a backup" in said
    assert path.read_bytes() == before


def test_q11_a_catalog_that_somebody_removed_is_not_made_anew(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    assert mill.once().returncode == 0
    for name in ("catalog.db", "catalog.db-wal", "catalog.db-shm"):
        (tmp_path / "state" / name).unlink(missing_ok=True)
    said = refused(mill.run("run", "--once"))
    assert f"{tmp_path}/state/catalog.db: the catalog is missing" in said
    assert "restore a backup" in said
    assert not (tmp_path / "state/catalog.db").exists()
    (tmp_path / "state").rename(tmp_path / "away")  # As the hint says.
    assert mill.once().returncode == 0


def test_q11_a_state_directory_mounted_read_only_is_refused(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    assert mill.once().returncode == 0
    folder = tmp_path / "state"
    before = (folder / "catalog.db").read_bytes()
    mounted = f"mount --bind {folder} {folder} && mount -o remount,ro,bind {folder}"
    said = refused(in_a_mount_namespace(mill, mounted, "run", "--once"))
    assert f"{folder}: the state directory cannot be used: Read-only file system" in said
    assert (folder / "catalog.db").read_bytes() == before


def test_q11_a_catalog_that_may_not_be_written_is_refused(tmp_path: Path) -> None:
    """The file alone is read-only, as after a restore by another user."""
    mill = Mill(tmp_path)
    assert mill.once().returncode == 0
    path = tmp_path / "state/catalog.db"
    before = path.read_bytes()
    mounted = f"mount --bind {path} {path} && mount -o remount,ro,bind {path}"
    said = refused(in_a_mount_namespace(mill, mounted, "run", "--once"))
    assert f"{path}: the catalog cannot be opened" in said
    assert f"the right to write {path}" in said
    assert path.read_bytes() == before


def test_q11_a_full_disk_at_the_first_start_is_told(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    (tmp_path / "state").mkdir()
    mounted = f"mount -t tmpfs -o size=16k none {tmp_path}/state"
    result = in_a_mount_namespace(mill, mounted, "run", "--once")
    said = refused(result)
    assert "full" in said or "No space left" in said


@pytest.mark.long
def test_q11_a_state_directory_on_a_share_is_refused_by_the_name_of_its_kind(tmp_path: Path) -> None:
    """A real sshfs, with an sftp server at the other end of a pipe."""
    need_root()
    need_programs(sshfs="sshfs", fusermount="fuse")
    server = next(
        (name for name in ("/usr/lib/openssh/sftp-server", "/usr/lib/ssh/sftp-server") if os.path.exists(name)), ""
    )
    if not server:
        from parts import missing

        missing("there is no sftp server", "apt-get install openssh-sftp-server")
    mill = Mill(tmp_path)
    far, folder = tmp_path / "far", tmp_path / "state"
    far.mkdir()
    folder.mkdir()
    # The server at the other end of a pipe takes the place of ssh.
    ssh = tmp_path / "ssh"
    ssh.write_text(f"#!/bin/sh\nexec {server}\n")
    ssh.chmod(0o755)
    subprocess.run(["sshfs", "-o", f"ssh_command={ssh}", f"localhost:{far}", str(folder)], check=True, timeout=30)
    try:
        assert state.remote_kind(str(folder)) == "fuse.sshfs"
        said = refused(mill.run("run", "--once"))
        assert f"{folder}: the state directory is on a network file system (fuse.sshfs)" in said
        assert os.listdir(far) == []
    finally:
        subprocess.run(["fusermount", "-u", str(folder)], check=True, timeout=30)


def test_q11_a_disk_that_gives_errors_is_told_and_nothing_is_written(tmp_path: Path) -> None:
    """A real file system that fails to read the catalog."""
    with FaultyFs(tmp_path / "disk") as disk:
        mill = Mill(tmp_path)
        assert mill.once().returncode == 0
        (tmp_path / "state").rename(tmp_path / "kept")
        shutil.copytree(tmp_path / "kept", disk.backing / "state")
        (tmp_path / "state").symlink_to(disk.mount / "state")
        before = (disk.backing / "state/catalog.db").read_bytes()
        disk.fail("read", errno.EIO, "catalog.db")
        said = refused(mill.run("run", "--once"))
        assert f"{tmp_path}/state/catalog.db: the catalog" in said
        assert "disk" in said
        assert (disk.backing / "state/catalog.db").read_bytes() == before


def test_q11_local_disks_are_no_shares(tmp_path: Path) -> None:
    assert state.remote_kind(str(tmp_path)) == ""
    assert state.remote_kind("/dev/shm") == ""
