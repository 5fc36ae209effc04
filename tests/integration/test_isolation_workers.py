"""What a worker cannot reach: the network, other processes, and every file but its source and its staging."""

from __future__ import annotations

import ast
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest
from workers_handlers import content_of
from workers_support import FOLDER, a_pool, a_request, eventually, gone, nothing_more, run, yes

from dropmill.model.outcome import Reason
from dropmill.model.work import NotOurs, Recognised, Troubled, WorkerLost, WorkResult
from dropmill.workers import landlock, seccomp
from dropmill.workers.pool import ProcessPool
from parts import need_root

pytestmark = pytest.mark.anyio

# No package brings these: they are the kernel's own, so their lack is no fault of the machine that tests.
with_seccomp = pytest.mark.skipif(not seccomp.supported(), reason="no seccomp here, or no filter for this architecture")
with_landlock = pytest.mark.skipif(landlock.version() == 0, reason="this kernel has no Landlock, or it is switched off")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _handlers_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", FOLDER)


@pytest.fixture
def place(tmp_path: Path) -> tuple[Path, Path]:
    """An inbox with a picture, and the staging folder of an output with somebody else's rendition."""
    root, staging = tmp_path / "in", tmp_path / "out" / ".dropmill"
    root.mkdir()
    staging.mkdir(parents=True)
    (root / "a.jpg").write_text("a picture")
    (staging / "others").write_text("a rendition")
    return root, staging


async def attempt(pool: ProcessPool, behaviour: str, place: tuple[Path, Path], job_id: int) -> WorkResult | WorkerLost:
    request = a_request(behaviour, *place, job_id=job_id)
    return await pool.run(request, timeout_seconds=20, wanted=yes, allowance_seconds=nothing_more)


@with_seccomp
@with_landlock
async def test_i04_a_worker_reaches_its_source_and_its_staging_and_nothing_else(
    tmp_path: Path, place: tuple[Path, Path]
) -> None:
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "secret").write_text("secret")
    async with a_pool(1) as pool:
        described = await attempt(pool, f"break_out:{tmp_path / 'else'}", place, 1)
        assert pool.stats().guards == ("landlock", "seccomp")
    assert isinstance(described, NotOurs), described
    found = ast.literal_eval(described.detail)
    assert (found.pop("its own work"), found.pop("a thread")) == ("a picture", "True")
    assert {name: told for name, told in found.items() if told not in {"EPERM", "EACCES"}} == {}
    assert len(found) >= 43
    assert sorted(path.name for path in tmp_path.rglob("*")) == sorted(
        [".dropmill", "a.jpg", "else", "in", "others", "out", "secret"]
    )


@with_seccomp
async def test_i04_a_worker_cannot_connect_where_the_kernel_has_no_landlock(
    place: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNGUARDED", "landlock")
    async with a_pool(1) as pool:
        described = await attempt(pool, "break_out:/nowhere", place, 1)
        assert pool.stats().guards == ("seccomp",)
    assert isinstance(described, NotOurs), described
    found = ast.literal_eval(described.detail)
    for name in ("inet", "inet6", "unix", "netlink", "socketpair", "execute", "fork", "rename what is staged"):
        assert found[name] == "EPERM", name
    # Only the filter stands between it and SIGKILL for the daemon, sent by way of its own socket.
    for name in ("have the zygote signalled", "have a thread signalled", "choose the signal", "outlive the zygote"):
        assert found[name] == "EPERM", name
    assert found["list /"].startswith("allowed")


async def test_a_kernel_without_guards_still_runs_jobs(
    place: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNGUARDED", "all")
    async with a_pool(1) as pool:
        assert await attempt(pool, "read:a.jpg", place, 1) == Recognised(content_of(1, 1))
        assert pool.stats().guards == ()


async def test_a_worker_stays_with_its_folders_and_others_are_given_to_others(tmp_path: Path) -> None:
    places = []
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_text(name)
        places.append((tmp_path / name, tmp_path / name))
    async with a_pool(2, memory_budget_mb=64, memory_room_mb=64 * 4) as pool:
        for job_id in range(1, 13):
            which = places[job_id % 2]
            assert await attempt(pool, "read:a", which, job_id) == Recognised(content_of(job_id, 1))
            assert (which[0] / str(job_id)).read_text() == which[0].name
        assert pool.stats().started_total == 2
        for job_id in range(13, 19):
            assert await attempt(pool, "read:a", places[job_id % 3], job_id) == Recognised(content_of(job_id, 1))
        assert len(pool.stats().pids) <= 4
    async with a_pool(1, memory_budget_mb=64, memory_room_mb=64) as pool:  # No memory for idle ones: one makes way.
        for job_id in range(21, 25):
            assert await attempt(pool, "read:a", places[job_id % 2], job_id) == Recognised(content_of(job_id, 1))
            assert len(pool.stats().pids) == 1
        assert pool.stats().lost_total == 0


@pytest.mark.parametrize("which", ["in", "out"])
async def test_w26_a_folder_that_was_replaced_is_reached_again(
    tmp_path: Path, place: tuple[Path, Path], which: str
) -> None:
    async with a_pool(1) as pool:
        assert await attempt(pool, "read:a.jpg", place, 1) == Recognised(content_of(1, 1))
        (tmp_path / which).rename(tmp_path / "old")
        place[0].mkdir(exist_ok=True)
        place[1].mkdir(parents=True, exist_ok=True)
        (place[0] / "a.jpg").write_text("another picture")
        assert await attempt(pool, "read:a.jpg", place, 2) == Recognised(content_of(2, 1))
        assert (place[1] / "2").read_text() == "another picture"
        assert pool.stats().lost_total == 0


@contextmanager
def mounted(folder: Path) -> Iterator[None]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


async def test_w26_an_inbox_and_an_output_that_are_mounted_anew_are_reached_again(place: tuple[Path, Path]) -> None:
    need_root()
    async with a_pool(1) as pool:
        assert await attempt(pool, "read:a.jpg", place, 1) == Recognised(content_of(1, 1))
        for job_id in (2, 3):
            # Not even the numbers of device and inode need differ from the mount before; a worker must not keep it busy.
            with mounted(place[0]), mounted(place[1]):
                (place[0] / "a.jpg").write_text("mounted")
                assert await attempt(pool, "read:a.jpg", place, job_id) == Recognised(content_of(job_id, 1))
                assert (place[1] / str(job_id)).read_text() == "mounted"
        assert await attempt(pool, "read:a.jpg", place, 4) == Recognised(content_of(4, 1))
        assert (place[1] / "4").read_text() == "a picture"
        assert pool.stats().lost_total == 0


async def test_a_file_that_may_really_not_be_read_is_told_as_such(place: tuple[Path, Path]) -> None:
    async with a_pool(1) as pool:
        assert await attempt(pool, "read:a.jpg", place, 1) == Recognised(content_of(1, 1))
        (pid,) = pool.stats().pids
        assert await attempt(pool, "read:.", place, 2) == Troubled(Reason.UNREADABLE, "Is a directory")
        assert pool.stats().pids == (pid,)


async def test_a_worker_that_lies_about_its_folders_is_killed() -> None:
    async with a_pool(1) as pool:
        lost = await run(pool, "claim_to_be_elsewhere")
        assert isinstance(lost, WorkerLost)
        assert (lost.reason, "its own folders" in lost.detail) == (Reason.WORKER_CRASHED, True)
        await run(pool, "answer", job_id=2)
        (pid,) = pool.stats().pids
        # The second time it is believed, and costs it its place; the job then fails in a fresh worker.
        lost = await run(pool, "claim_to_be_elsewhere", job_id=3)
        assert isinstance(lost, WorkerLost)
        assert gone(pid)


@with_landlock
async def test_a_worker_that_cannot_be_confined_begins_no_job_and_is_told_of(
    tmp_path: Path, place: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNCONFINED_WITHOUT", str(tmp_path / "mended"))
    results: list[object] = []
    async with a_pool(1) as pool, anyio.create_task_group() as tasks:

        async def job() -> None:
            results.append(await attempt(pool, "read:a.jpg", place, 1))

        tasks.start_soon(job)
        await eventually(lambda: "cannot be confined" in pool.stats().trouble)
        assert "Argument list too long" in pool.stats().trouble
        (tmp_path / "mended").touch()
        await eventually(lambda: results, seconds=60)
        assert results == [Recognised(content_of(1, 1))]
        assert (pool.stats().trouble, pool.stats().lost_total, pool.stats().busy) == ("", 0, 0)


@pytest.mark.parametrize(
    ("machine", "header", "prefix"),
    [
        ("x86_64", "/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "__NR_"),
        ("aarch64", "/usr/include/asm-generic/unistd.h", "__NR(?:3264)?_"),
    ],
)
def test_the_denied_system_calls_have_the_kernels_numbers(machine: str, header: str, prefix: str) -> None:
    if not os.path.exists(header):
        pytest.skip("the kernel's headers are not installed: apt-get install linux-libc-dev")
    defined = re.findall(rf"#define {prefix}(\w+)\s+(\d+)", Path(header).read_text())
    numbers = {name: int(number) for name, number in defined}
    denied = seccomp.denied(machine)
    assert len(denied) > 100
    assert {name: number for name, number in denied.items() if numbers.get(name, number) != number} == {}
    later_than_headers = {"fchmodat2", "file_setattr", "setxattrat", "removexattrat", "open_tree_attr"}
    assert denied.keys() - numbers.keys() <= later_than_headers
