"""The simulator finds nothing wrong with the daemon, and finds every bug that is planted: both are what it is for."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulation.sim import report, search, simulate
from simulation.sim_bugs import BUGS, planted
from simulation.sim_disk import Disk

TESTS = Path(__file__).parents[1]
PLANTED = sorted(BUGS)


def test_a_few_histories_break_no_promise() -> None:
    for seed in range(20):
        run = simulate(seed)
        assert not run.violations, report(run)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_hundreds_of_histories_break_no_promise() -> None:
    wrong = search(20, 400, 2)
    assert wrong is None, report(wrong)


def test_a_seed_is_one_history() -> None:
    first, again = (_history(7) for _ in range(2))
    assert first == again and any("CRASH" in line for line in first)


def _history(seed: int) -> list[str]:
    """What happened, without the numbers that the system gives out: inodes turn up in names."""
    return [re.sub(r"retire-\d+|copy-\w+|kept-\d+", "…", line) for line in simulate(seed).trace]


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_bug_is_found_within_a_thousand_histories(name: str) -> None:
    with planted(name) as bug:
        seeds = ((bug.begin + number) % 1000 for number in range(1000))
        found = next((seed for seed in seeds if simulate(seed).violations), None)
    assert found is not None, bug.breaks
    assert not simulate(found).violations, "the history breaks a promise without the bug too"


@pytest.mark.long
@pytest.mark.timeout(300)
def test_histories_with_urls_have_all_that_may_come_of_them() -> None:
    missing = {
        *(f"answers {status}" for status in (200, 206, 302, 304, 404, 429, 503)),
        "in downloads (",
        "in lists (",
        "rewritten=True",
        "people retry job",
        "people cancel job",
        "the end of the download",
        "not_modified=True",
        "HostGivenUp",
        "HostBack",
    }
    for seed in range(1, 200, 2):
        told = "\n".join(simulate(seed).trace)
        missing = {what for what in missing if what not in told}
        if not missing:
            break
    assert not missing


def test_what_is_wrong_is_told_with_the_way_to_see_it_again() -> None:
    command = [sys.executable, "-m", "simulation.sim", "--seeds", "3", "--bug", "publish before commit"]
    told = subprocess.run(command, cwd=TESTS, capture_output=True, encoding="utf-8", timeout=120, check=False)
    assert told.returncode == 1
    assert "nothing that is committed says so" in told.stdout
    assert re.search(r"Again: make simulate SEED=\d$", told.stdout.strip())


class Unlucky(random.Random):
    """Loses whatever may be lost."""

    def choice(self, options):
        return "all lost" if "all lost" in options else options[0]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    for area in ("in", "out", "graves"):
        (tmp_path / area).mkdir()
    base = os.fsencode(tmp_path)
    made = Disk(base, Unlucky(0), lambda _call, _area: None, lambda _path: None, lambda _from, _to, _ino: None)
    yield made
    made.forget()


def _put(path: Path, *, sync: bool) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"bytes")
    if sync:
        os.fsync(fd)
    os.close(fd)


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)


def test_a_power_cut_takes_names_that_no_fsync_covers(disk: Disk, tmp_path: Path) -> None:
    with disk.installed():
        _put(tmp_path / "out" / "a", sync=True)
        _put(tmp_path / "out" / "b", sync=True)
        _sync(tmp_path / "out")
        os.rename(tmp_path / "out" / "a", tmp_path / "in" / "moved")
        os.unlink(tmp_path / "out" / "b")
        _put(tmp_path / "in" / "new", sync=True)
    disk.power_loss()
    assert sorted(os.listdir(tmp_path / "out")) == ["a", "b"] and os.listdir(tmp_path / "in") == []


def test_a_power_cut_takes_bytes_that_no_fsync_covers(disk: Disk, tmp_path: Path) -> None:
    with disk.installed():
        _put(tmp_path / "out" / "a", sync=False)
        _sync(tmp_path / "out")
    disk.power_loss()
    assert (tmp_path / "out" / "a").read_bytes() == b""


def test_a_power_cut_takes_what_was_appended_and_leaves_what_was_there(disk: Disk, tmp_path: Path) -> None:
    with disk.installed():
        _put(tmp_path / "out" / "a", sync=True)
        _sync(tmp_path / "out")
        fd = os.open(tmp_path / "out" / "a", os.O_WRONLY | os.O_APPEND)
        os.write(fd, b" and more")
        os.close(fd)
    disk.power_loss()
    assert (tmp_path / "out" / "a").read_bytes() == b"bytes"


def test_what_an_fsync_covers_takes_along_what_it_builds_on(disk: Disk, tmp_path: Path) -> None:
    with disk.installed():
        _put(tmp_path / "out" / "a", sync=True)
        os.rename(tmp_path / "out" / "a", tmp_path / "out" / "b")
        os.rename(tmp_path / "out" / "b", tmp_path / "in" / "c")
        _put(tmp_path / "out" / "later", sync=True)
        _sync(tmp_path / "in")
    disk.power_loss()
    assert os.listdir(tmp_path / "out") == [] and (tmp_path / "in" / "c").read_bytes() == b"bytes"
