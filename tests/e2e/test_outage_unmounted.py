"""An output, or a folder for originals, whose disk is not mounted: nothing gets into the bare place for it (W26, W27)."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import pictures
from harness import Mill
from parts import need_root

pytestmark = pytest.mark.long

Mounted = Callable[[Path], None]


def photo(seed: int) -> bytes:
    return pictures.jpeg(pictures.photo(120, 80, seed))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Mounted]:
    """Mounts the one disk at a place, as often as it is asked to."""
    need_root()
    path, places = tmp_path / "disk", []
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128m", "tmpfs", str(path)], check=True)

    def mount(place: Path) -> None:
        place.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "--bind", str(path), str(place)], check=True)
        places.append(place)

    try:
        yield mount
    finally:
        for place in {*places, path}:
            while os.path.ismount(place):
                subprocess.run(["umount", "-l", str(place)], check=True)


def umount(place: Path) -> None:
    subprocess.run(["umount", str(place)], check=True)


def part(mill: Mill, name: str) -> dict[str, Any]:
    return next((part for part in mill.get("/healthz").json()["parts"] if part["name"] == name), {})


def published(mill: Mill, count: int) -> bool:
    return [job["outcome"] for job in mill.jobs()] == ["published"] * count


def reloads(mill: Mill) -> int:
    return int(mill.get("/api/v1/status").json()["configuration"]["reloads"])


def hang_up(mill: Mill) -> None:
    """Have the configuration loaded again, and wait until it is in force."""
    assert mill.process is not None
    before = reloads(mill)
    mill.process.send_signal(signal.SIGHUP)
    mill.wait_for(lambda: mill.ready() and reloads(mill) > before and mill.get("/readyz").status_code == 200)


@pytest.mark.parametrize("how", ["reload", "start"])
def test_w27_an_output_whose_disk_is_not_mounted_is_waited_for_whatever_is_loaded_anew(
    tmp_path: Path, disk: Mounted, how: str
) -> None:
    mill = Mill(tmp_path / "mill", archive="archive", on_success="archive")
    disk(mill.output)
    mill.start()
    mill.drop("a.jpg", photo(1))
    mill.wait_for(lambda: mill.done(1))
    assert published(mill, 1) and (mill.root / "archive" / "a.jpg").exists()
    umount(mill.output)
    mill.drop("b.jpg", photo(2))
    mill.wait_for(lambda: part(mill, "output camera")["status"] == "degraded" and len(mill.jobs()) == 2)
    if how == "reload":
        hang_up(mill)
    else:
        assert mill.stop() == 0
        checked = mill.run("check")
        assert "its disk is not mounted" in checked.stdout, checked.stdout + checked.stderr
        mill.start()
    mill.wait_for(lambda: part(mill, "output camera")["status"] == "degraded")
    assert "mount it" in part(mill, "output camera")["remedy"]
    assert "its disk may not be mounted" in mill.why("b.jpg")
    assert os.listdir(mill.output) == []
    assert (mill.inbox / "b.jpg").read_bytes() == photo(2)
    disk(mill.output)
    mill.wait_for(lambda: published(mill, 2) and mill.outputs() == ["a-t.jpg", "b-t.jpg"])
    mill.wait_for(lambda: not list(mill.inbox.iterdir()))
    mill.wait_for(lambda: part(mill, "output camera")["status"] == "ok")
    assert mill.stop() == 0


def test_w27_a_folder_in_the_place_of_a_disk_is_used_once_a_person_says_so(tmp_path: Path, disk: Mounted) -> None:
    mill = Mill(tmp_path / "mill")
    disk(mill.output)
    mill.start()
    mill.drop("a.jpg", photo(1))
    mill.wait_for(lambda: mill.done(1))
    umount(mill.output)
    hang_up(mill)
    mill.drop("b.jpg", photo(2))
    mill.wait_for(lambda: part(mill, "output camera").get("status") == "degraded" and len(mill.jobs()) == 2)
    assert "make a folder .dropmill in it" in part(mill, "output camera")["remedy"]
    (mill.output / ".dropmill").mkdir()
    assert mill.run("reload").returncode == 0
    mill.wait_for(lambda: published(mill, 2) and mill.outputs() == ["b-t.jpg"])
    assert "output is another folder than before" in mill.log.read_text()
    assert mill.stop() == 0


def test_w25_w27_originals_do_not_go_where_the_disk_of_the_archive_is_missing(tmp_path: Path, disk: Mounted) -> None:
    mill = Mill(tmp_path / "mill", archive="archive", on_success="archive")
    archive = mill.root / "archive"
    disk(archive)
    mill.start()
    mill.drop("a.jpg", photo(1))
    mill.wait_for(lambda: mill.done(1))
    umount(archive)
    for seed, name in ((2, "b.jpg"), (3, "c.jpg")):
        mill.drop(name, photo(seed))
        mill.wait_for(
            lambda: (
                published(mill, len(mill.outputs())) and "its disk is not mounted" in str(part(mill, "archive camera"))
            )
        )
        mill.wait_for(lambda name=name: f"{archive} is not mounted" in mill.why(name))
        assert (mill.inbox / name).exists() and os.listdir(archive) == []
        hang_up(mill)
    disk(archive)
    mill.wait_for(lambda: sorted(os.listdir(archive)) == ["a.jpg", "b.jpg", "c.jpg"], 60)
    assert mill.stop() == 0
