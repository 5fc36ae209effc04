"""Room in memory: a huge picture waits for it, gets it, and nobody else is starved or swapped out meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from PIL import Image
from workers_handlers import content_of
from workers_support import FOLDER, a_pool, eventually, run, said

import pictures
from dropmill.imaging.preload import preload
from dropmill.model.image import Recipe, RenditionSpec
from dropmill.model.outcome import Reason
from dropmill.model.work import Recognised, WorkerLost
from dropmill.settings import Workers, memory_room_bytes
from dropmill.workers import hardening
from dropmill.workers.admission import Admission
from harness import Mill
from imaging_help import Bench

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _handlers_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", FOLDER)


async def test_those_who_wait_for_room_get_in_by_turns() -> None:
    admission, order = Admission(100), []

    async def enter(name: str, needs: int) -> None:
        await admission.enter(needs)
        order.append(name)

    async with anyio.create_task_group() as tasks:
        for name, needs in (("a", 60), ("huge", 100), ("small", 10), ("smaller", 5)):
            tasks.start_soon(enter, name, needs)
        await anyio.wait_all_tasks_blocked()
        assert (order, admission.waiting) == (["a"], 3)  # The small ones would fit, and wait behind the huge one.
        admission.leave(60)
        await anyio.wait_all_tasks_blocked()
        assert (order, admission.waiting) == (["a", "huge"], 2)
        admission.leave(100)
    assert order == ["a", "huge", "small", "smaller"]


async def test_one_that_gives_up_waiting_leaves_the_line_and_takes_no_room() -> None:
    admission = Admission(100)
    await admission.enter(90)
    with anyio.move_on_after(0):
        await admission.enter(50)
    assert admission.waiting == 0
    entered: list[int] = []

    async def enter() -> None:
        await admission.enter(50)
        entered.append(50)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(enter)
        await anyio.wait_all_tasks_blocked()
        admission.leave(90)
        tasks.cancel_scope.cancel()  # Let in and cut off in the same turn of the loop.
    for needs in entered:
        admission.leave(needs)
    with anyio.fail_after(60):
        await admission.enter(100)
        admission.leave(100)
        await admission.enter(1)


async def test_i04_a_huge_picture_waits_for_room_and_its_deadline_does_not_run_meanwhile(tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    first.mkdir()
    second.mkdir()
    async with a_pool(2, memory_budget_mb=128, memory_room_mb=400) as pool, anyio.create_task_group() as tasks:
        results: dict[int, object] = {}

        async def job(job_id: int, behaviour: str, folder: Path, timeout_seconds: float) -> None:
            results[job_id] = await run(pool, behaviour, folder, job_id=job_id, timeout_seconds=timeout_seconds)

        tasks.start_soon(job, 1, "feast:100,10", first, 60.0)
        await eventually(lambda: said(first, "started-1"))
        # More than a worker's own budget, and it really takes it.
        tasks.start_soon(job, 2, "feast:380,300", second, 5.0)
        await eventually(lambda: pool.stats().waiting_for_memory == 1)
        assert not said(second, "started-2")
        await anyio.sleep(5.5)  # Longer than the deadline of the one that waits: this is the fact under test.
        (first / "go").touch()
        await eventually(lambda: said(second, "started-2"))
        pid = int(said(second, "started-2"))
        (second / "go").touch()
        await eventually(lambda: len(results) == 2)
        assert results == {1: Recognised(content_of(1, 1)), 2: Recognised(content_of(2, 1))}
        assert (pool.stats().waiting_for_memory, pool.stats().lost_total) == (0, 0)
        await eventually(lambda: pid not in pool.stats().pids)  # Nobody else is to have so much.


async def test_i04_one_that_takes_more_than_it_said_is_stopped_at_what_it_said(tmp_path: Path) -> None:
    async with a_pool(1, memory_budget_mb=64, memory_room_mb=256) as pool:
        lost = await run(pool, "feast:200,400", tmp_path)
        assert isinstance(lost, WorkerLost)
        assert (lost.reason, "200 MiB" in lost.detail) == (Reason.MEMORY_LIMIT, True), lost
        lost = await run(pool, "feast:9999,400", tmp_path, job_id=2)  # More than there is: all that there is.
        assert isinstance(lost, WorkerLost)
        assert (lost.reason, "256 MiB" in lost.detail) == (Reason.MEMORY_LIMIT, True), lost
        (tmp_path / "go").touch()
        assert await run(pool, "feast:9999,100", tmp_path, job_id=3) == Recognised(content_of(3, 1))


def test_the_room_is_what_is_free_within_the_groups_limit(tmp_path: Path) -> None:
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "meminfo").write_text("MemTotal: 9000000 kB\nMemAvailable:    8388608 kB\n")
    workers = Workers(memory_limit_mb=512)
    assert memory_room_bytes(workers, root=str(tmp_path)) == 6 << 30
    (tmp_path / "proc" / "self" / "cgroup").write_text("0::/a\n")
    group = tmp_path / "sys" / "fs" / "cgroup" / "a"
    group.mkdir(parents=True)
    (group / "memory.max").write_text(f"{1 << 30}\n")
    assert memory_room_bytes(workers, root=str(tmp_path)) == 768 << 20
    (group / "memory.max").write_text(f"{256 << 20}\n")
    assert memory_room_bytes(workers, root=str(tmp_path)) == 512 << 20
    assert memory_room_bytes(Workers(memory_total_mb=100), root=str(tmp_path)) == 100 << 20


@pytest.mark.long
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "I;16", "CMYK"])
@pytest.mark.parametrize("output", ["jpeg", "webp", "avif"])
def test_the_estimate_is_not_below_what_a_picture_takes(tmp_path: Path, mode: str, output: str) -> None:
    """In a process of its own each, whose peak can be read."""
    code = """
import re, sys
from pathlib import Path
import test_isolation_memory as here
print(*here.appetite(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
"""
    tests = Path(__file__).resolve().parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), mode, output],
        env={"PYTHONPATH": f"{tests}:{FOLDER}", "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    estimate, peak = map(int, done.stdout.split())
    assert peak <= estimate, f"{peak >> 20} MiB against {estimate >> 20} MiB"


def appetite(folder: Path, mode: str, output: str) -> tuple[int, int]:
    preload()
    photo = pictures.photo(2400, 2000)
    if mode == "CMYK":
        data = pictures.jpeg(photo.convert("CMYK"))
    elif mode == "I;16":
        data = pictures.encoded(photo.convert("L").convert("I").point(lambda level: level * 257).convert("I;16"), "PNG")
    else:
        data = pictures.encoded(photo.quantize(64) if mode == "P" else photo.convert(mode), "PNG")
    # In a fork, as a worker is: its peak begins with what it was forked with.
    read_fd, write_fd = os.pipe()
    if os.fork() == 0:
        hardening.keep_freed_memory(256 << 20)
        bench, before = Bench(folder), _kib("VmSize")
        bench.good(data, Recipe((RenditionSpec("all", "scale", scale=1.0, format=output),)))  # type: ignore[arg-type]  # One of the literals.
        os.write(write_fd, f"{bench.previews[0].needs_bytes} {(_kib('VmPeak') - before) << 10}".encode())
        os._exit(0)
    os.wait()
    estimate, peak = map(int, os.read(read_fd, 100).split())
    return estimate, peak


def _kib(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    raise AssertionError(name)


@pytest.mark.long
def test_i04_pictures_above_a_workers_budget_take_turns_and_are_published(tmp_path: Path) -> None:
    """Three of some 220 MB each, in workers of 64 MB each, with room for one at a time."""
    mill = Mill(tmp_path, workers={"processes": 2, "memory_limit_mb": 64, "memory_total_mb": 300})
    for number in range(3):
        picture = Image.new("RGBA", (4000, 3000), (number, 80, 160, 128))
        mill.drop(f"{number}.png", pictures.encoded(picture, "PNG"))
    mill.drop("small.jpg", pictures.jpeg())
    done = mill.once()
    assert done.returncode == 0, done.stderr
    assert len(mill.outputs()) == 4, mill.jobs()
    assert [job["attempts"] for job in mill.jobs()] == [1, 1, 1, 1]
