"""Disks without room, read-only ones and failing ones: work pauses, nothing is lost, and it goes on by itself (W27, S12)."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

import pictures
from faulty_fs import FaultyFs
from harness import Mill
from parts import need_programs, need_root

pytestmark = pytest.mark.long
MIB = 1 << 20


def photo(seed: int) -> bytes:
    return pictures.jpeg(pictures.photo(120, 80, seed))


def writes(file: IO[bytes], data: bytes) -> bool:
    """False where the disk is full."""
    try:
        return bool(file.write(data))
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return False


class Disk:
    """A real file system of its own size at ``path``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = 0

    def fill(self) -> None:
        """Until not one more byte fits."""
        self._ballast += 1
        with (self.path / f"ballast{self._ballast}").open("wb", buffering=0) as file:
            for size in (MIB, 4096, 1):
                while writes(file, b"x" * size):
                    pass

    def free(self) -> None:
        for ballast in self.path.glob("ballast*"):
            ballast.unlink()

    def remount(self, how: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{how}", str(self.path)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    need_root()
    path = tmp_path / "disk"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(path)], check=True)
    try:
        yield Disk(path)
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


@pytest.fixture
def inodes(tmp_path: Path) -> Iterator[Disk]:
    """Bytes enough, but hardly an inode."""
    need_root()
    need_programs(**{"mkfs.ext4": "e2fsprogs"})
    image, path = tmp_path / "image", tmp_path / "disk"
    path.mkdir()
    with image.open("wb") as file:
        file.truncate(16 * MIB)
    subprocess.run(["mkfs.ext4", "-q", "-N", "32", str(image)], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(path)], check=True)
    try:
        yield Disk(path)
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def test_a_run_of_tests_that_is_killed_leaves_no_mount_behind(tmp_path: Path) -> None:
    need_root()
    program = (
        "import os, signal, subprocess, sys\n"
        "from parts import keep_mounts_to_this_process\n"
        "keep_mounts_to_this_process()\n"
        "subprocess.run(['mount', '-t', 'tmpfs', 'none', sys.argv[1]], check=True)\n"
        "print(os.path.ismount(sys.argv[1]), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", program, str(tmp_path)]
    killed = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert (killed.returncode, killed.stdout, killed.stderr) == (-signal.SIGKILL, "True\n", "")
    assert not os.path.ismount(tmp_path)


def part(mill: Mill, name: str) -> dict[str, Any]:
    return next((part for part in mill.get("/healthz").json()["parts"] if part["name"] == name), {})


def told(mill: Mill, *words: str) -> bool:
    return any(all(word in line for word in words) for line in mill.log.read_text().splitlines())


def tried_in_vain(mill: Mill, times: int) -> None:
    """Wait for that many attempts at moving the original, and for the scan that may follow each of them."""

    def attempts() -> int:
        return sum("disposal has to wait" in line for line in mill.log.read_text().splitlines())

    mill.wait_for(lambda: attempts() >= times, 60)


def holds_nothing_back(mill: Mill, names: list[str]) -> bool:
    return sorted(mill.outputs()) == names and {job["outcome"] for job in mill.jobs()} == {"published"}


def test_w27_an_output_short_of_its_reserve_gets_nothing_until_there_is_room(tmp_path: Path, disk: Disk) -> None:
    mill = Mill(tmp_path / "mill", output=str(disk.path / "out"), receipts=True, top={"min_free_mb": 8})
    mill.output = disk.path / "out"
    mill.start()
    mill.drop("a.jpg", photo(1))
    mill.wait_for(lambda: mill.outputs() == ["a-t.jpg", "a.json"])
    disk.fill()
    mill.wait_for(lambda: "are to stay free" in part(mill, "output camera").get("detail", ""))
    assert "free space" in part(mill, "output camera")["remedy"]
    mill.drop("b.jpg", photo(2))
    mill.wait_for(lambda: len(mill.jobs()) == 2)
    (waiting,) = mill.jobs("available")
    assert (waiting["source"].endswith("b.jpg"), waiting["attempts"]) == (True, 0)
    assert (mill.inbox / "b.jpg").read_bytes() == photo(2)
    for said in (mill.why("b.jpg"), mill.run("why", str(waiting["id"])).stdout):
        assert (
            "waits: output camera: " in said and "8 MiB are to stay free (min_free_mb); free space on its disk" in said
        )
        assert "free worker" not in said
    disk.free()
    mill.wait_for(lambda: holds_nothing_back(mill, ["a-t.jpg", "a.json", "b-t.jpg", "b.json"]))
    assert told(mill, "inbox waits for its surroundings", str(disk.path))
    assert told(mill, "inbox goes on")
    assert mill.stop() == 0


def test_w27_s12_a_disk_that_fills_up_under_the_workers_costs_no_attempt(tmp_path: Path, disk: Disk) -> None:
    mill = Mill(tmp_path / "mill", output=str(disk.path / "out"), top={"min_free_mb": 0}, queue={"max_attempts": 1})
    mill.output = disk.path / "out"
    mill.start()
    mill.drop("a.jpg", photo(1))
    mill.wait_for(lambda: mill.outputs() == ["a-t.jpg"])
    disk.fill()
    for seed in range(2, 6):
        mill.drop(f"{seed}.jpg", photo(seed))
    mill.wait_for(lambda: told(mill, "will be retried", "disk-full"))
    mill.wait_for(lambda: "a worker could not write there" in part(mill, "output camera").get("detail", ""))
    assert part(mill, "output camera")["remedy"].startswith("free space on its disk")
    assert not [name for name in os.listdir(disk.path / "out" / ".dropmill") if name[0].isdigit()]
    disk.free()
    mill.wait_for(lambda: holds_nothing_back(mill, ["2-t.jpg", "3-t.jpg", "4-t.jpg", "5-t.jpg", "a-t.jpg"]), 90)
    assert not mill.jobs("discarded")
    assert mill.stop() == 0


def test_w27_an_output_without_inodes_is_waited_for(tmp_path: Path, inodes: Disk) -> None:
    mill = Mill(tmp_path / "mill", output=str(inodes.path / "out"), top={"min_free_mb": 0}, queue={"max_attempts": 1})
    mill.output = inodes.path / "out"
    mill.start()
    mill.drop("a.jpg", photo(1))
    mill.wait_for(lambda: mill.outputs() == ["a-t.jpg"])
    made = 0
    while os.statvfs(inodes.path).f_favail:
        (inodes.path / f"ballast{made}").touch()
        made += 1
    mill.wait_for(lambda: "no free inodes" in part(mill, "output camera").get("detail", ""))
    mill.drop("b.jpg", photo(2))
    mill.wait_for(lambda: len(mill.jobs()) == 2)
    inodes.free()
    mill.wait_for(lambda: holds_nothing_back(mill, ["a-t.jpg", "b-t.jpg"]), 90)
    assert mill.stop() == 0


def test_w27_a_full_archive_keeps_originals_and_lets_go_of_them_once_it_has_room(tmp_path: Path, disk: Disk) -> None:
    mill = Mill(tmp_path / "mill", on_success="archive", archive=str(disk.path / "done"), top={"min_free_mb": 8})
    mill.start()
    disk.fill()
    mill.wait_for(lambda: "are to stay free" in part(mill, "archive camera").get("detail", ""))
    mill.drop("a.jpg", photo(1))
    mill.wait_for(lambda: len(mill.jobs("available")) == 1)
    assert (mill.inbox / "a.jpg").read_bytes() == photo(1)
    disk.free()
    mill.wait_for(lambda: (disk.path / "done" / "a.jpg").exists() and not (mill.inbox / "a.jpg").exists(), 60)
    assert mill.outputs() == ["a-t.jpg"]
    assert mill.stop() == 0


def test_w25_w27_an_archive_that_fills_up_in_between_keeps_the_result_and_retries_the_move(
    tmp_path: Path, disk: Disk
) -> None:
    mill = Mill(tmp_path / "mill", on_success="archive", archive=str(disk.path / "done"), top={"min_free_mb": 0})
    mill.start()
    disk.fill()
    mill.drop("a.jpg", photo(1))
    mill.wait_for(lambda: told(mill, "disposal has to wait"))
    assert mill.outputs() == ["a-t.jpg"]
    tried_in_vain(mill, times=2)
    assert (mill.inbox / "a.jpg").read_bytes() == photo(1)
    assert len(mill.jobs()) == 1, "our own renames to and fro make no new version of it"
    disk.free()
    mill.wait_for(lambda: (disk.path / "done" / "a.jpg").exists() and not (mill.inbox / "a.jpg").exists(), 60)
    assert len(mill.jobs()) == 1
    assert mill.stop() == 0


def test_w25_w27_a_quarantine_without_room_keeps_one_job_for_one_file(tmp_path: Path, disk: Disk) -> None:
    """It holds nothing back, so that each new job for the file would fail and owe another move, without end."""
    mill = Mill(tmp_path / "mill", quarantine=str(disk.path / "bad"), top={"min_free_mb": 0}, reconcile_seconds=1.0)
    mill.start()
    disk.fill()
    mill.drop("a.jpg", b"\xff\xd8\xff\xe0" + b"damaged" * 2000)
    tried_in_vain(mill, times=2)
    assert (mill.inbox / "a.jpg").exists()
    assert [job["state"] for job in mill.jobs()] == ["discarded"]
    disk.free()
    mill.wait_for(lambda: (disk.path / "bad" / "a.jpg").exists() and not (mill.inbox / "a.jpg").exists(), 60)
    assert len(mill.jobs()) == 1
    assert mill.stop() == 0


def test_w27_a_state_directory_short_of_its_reserve_takes_in_nothing_more(tmp_path: Path, disk: Disk) -> None:
    mill = Mill(tmp_path / "mill", top={"min_free_mb": 4})
    mill.state = disk.path / "state"
    mill.configure()
    mill.start()
    disk.fill()
    mill.wait_for(lambda: part(mill, "catalog")["status"] == "failing")
    assert mill.get("/readyz").status_code == 503
    mill.drop("a.jpg", photo(1))
    mill.wait_for(lambda: told(mill, "nothing more is queued"))
    assert mill.jobs() == []
    disk.free()
    mill.wait_for(lambda: holds_nothing_back(mill, ["a-t.jpg"]))
    mill.wait_for(lambda: mill.get("/readyz").status_code == 200)
    assert mill.stop() == 0


def test_w27_s12_a_state_directory_that_is_full_acknowledges_nothing_and_loses_nothing(
    tmp_path: Path, disk: Disk
) -> None:
    mill = Mill(tmp_path / "mill", top={"min_free_mb": 0})
    mill.state = disk.path / "state"
    mill.configure()
    mill.start()
    mill.drop("a.jpg", photo(1))
    mill.wait_for(lambda: mill.outputs() == ["a-t.jpg"])
    disk.fill()
    for seed in range(2, 6):
        mill.drop(f"{seed}.jpg", photo(seed))
    mill.wait_for(lambda: told(mill, "is held up") or len(mill.outputs()) == 5)
    disk.free()
    mill.wait_for(lambda: holds_nothing_back(mill, ["2-t.jpg", "3-t.jpg", "4-t.jpg", "5-t.jpg", "a-t.jpg"]), 90)
    assert mill.stop() == 0


def test_s12_an_output_that_turns_read_only_is_waited_for(tmp_path: Path, disk: Disk) -> None:
    mill = Mill(tmp_path / "mill", output=str(disk.path / "out"), top={"min_free_mb": 0}, queue={"max_attempts": 1})
    mill.output = disk.path / "out"
    mill.start()
    mill.drop("a.jpg", photo(1))
    mill.wait_for(lambda: mill.outputs() == ["a-t.jpg"])
    disk.remount("ro")
    mill.wait_for(lambda: "read-only" in part(mill, "output camera").get("detail", ""))
    mill.drop("b.jpg", photo(2))
    mill.wait_for(lambda: len(mill.jobs()) == 2)
    disk.remount("rw")
    mill.wait_for(lambda: holds_nothing_back(mill, ["a-t.jpg", "b-t.jpg"]))
    assert mill.stop() == 0


@pytest.mark.parametrize("operation", ["write", "fsync", "fsyncdir", "create", "link"])
def test_s12_an_output_whose_disk_fails_publishes_nothing_until_it_works(tmp_path: Path, operation: str) -> None:
    with FaultyFs(tmp_path / "share") as share:
        output = share.mount / "out"
        mill = Mill(tmp_path / "mill", output=str(output), top={"min_free_mb": 0}, queue={"max_attempts": 1})
        mill.output = output
        mill.start()
        mill.drop("a.jpg", photo(1))
        mill.wait_for(lambda: mill.outputs() == ["a-t.jpg"])
        share.fail(operation, errno.EIO)
        mill.drop("b.jpg", photo(2))
        mill.wait_for(lambda: told(mill, "will be retried", "rror") or told(mill, "publication has to wait", "rror"))
        assert not mill.jobs("discarded")
        assert (mill.inbox / "b.jpg").read_bytes() == photo(2)
        share.heal()
        mill.wait_for(lambda: holds_nothing_back(mill, ["a-t.jpg", "b-t.jpg"]), 90)
        assert mill.stop() == 0


def test_w27_a_run_for_once_leaves_what_has_no_room_to_another_run_and_says_so(tmp_path: Path, disk: Disk) -> None:
    mill = Mill(tmp_path / "mill", output=str(disk.path / "out"), top={"min_free_mb": 8})
    mill.output = disk.path / "out"
    disk.fill()
    (disk.path / "ballast1").unlink()
    mill.drop("a.jpg", photo(1))
    assert mill.once().returncode == 0
    disk.fill()
    mill.drop("b.jpg", photo(2))
    result = mill.once()
    assert result.returncode == 1
    assert "are to stay free" in result.stdout
    disk.free()
    assert mill.once().returncode == 0
    assert mill.outputs() == ["a-t.jpg", "b-t.jpg"]
