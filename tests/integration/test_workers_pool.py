"""The pool on its good days: sharing, deadlines, cancelling, refilling, letting go."""

from __future__ import annotations

import ast
import asyncio
import os
import signal
import socket
from pathlib import Path

import anyio
import pytest
from workers_handlers import content_of
from workers_support import FOLDER, a_pool, a_request, eventually, gone, nothing_more, run, said, yes

from dropmill.model.outcome import Reason
from dropmill.model.work import NotOurs, Preview, Recognised, Superseded, Troubled, WorkerLost
from dropmill.workers.nursery import received
from dropmill.workers.output import WorkerOutput

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _handlers_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", FOLDER)


async def test_many_jobs_over_few_workers_each_get_their_own_answer() -> None:
    async with a_pool(2) as pool:
        answers = await asyncio.gather(*(run(pool, "answer", job_id=n, epoch=n % 7) for n in range(1, 201)))
        assert answers == [Recognised(content_of(n, n % 7)) for n in range(1, 201)]
        stats = pool.stats()
    assert (stats.size, stats.busy, stats.started_total, stats.lost_total) == (2, 0, 2, 0)


async def test_entering_does_not_wait_for_the_zygote_and_leaving_ends_every_process() -> None:
    async with a_pool() as pool:
        assert pool.stats().pids == ()  # Nothing is awaited, nothing started that no job needs.
        await run(pool, "answer")
        pids = (pool.zygote_pid, *pool.stats().pids)
        assert len(pids) == 2
    assert all(not os.path.exists(f"/proc/{pid}") for pid in pids)  # Not even zombies.


async def test_a_worker_is_confined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DROPMILL_HTTP__TOKEN", "secret")
    async with a_pool() as pool:
        described = await run(pool, "describe")
    assert isinstance(described, NotOurs)
    assert ast.literal_eval(described.detail) == {
        "preloaded_by_parent": True,
        "own_session": True,
        "ignored": True,
        "no_new_privs": "1",
        "core": (0, 0),
        "memory_limited": True,
        "threads": ("1", "1"),
        "secrets": [],
        "stdin": "/dev/null",
        "sockets": 1,
        "umask": "0077",
    }


@pytest.mark.parametrize("answer", [True, False])
async def test_the_daemon_says_whether_renditions_are_wanted(answer: bool) -> None:
    seen = []

    async def wanted(preview: Preview) -> bool:
        seen.append(preview)
        return answer

    async with a_pool() as pool:
        result = await run(pool, "preview", wanted=wanted)
    assert seen == [Preview(content_of(1, 1), 12_000_000, 1)]
    assert result == (Superseded() if answer else Recognised(content_of(1, 1)))


async def test_a_deadline_kills_the_worker_and_the_next_job_gets_a_new_one() -> None:
    async with a_pool(1) as pool:
        await run(pool, "answer")
        (pid,) = pool.stats().pids
        lost = await run(pool, "spin", timeout_seconds=0.2)
        assert isinstance(lost, WorkerLost)
        assert lost.reason is Reason.TIMEOUT
        assert gone(pid)
        assert await run(pool, "answer", job_id=2) == Recognised(content_of(2, 1))
        assert pool.stats().pids != (pid,)
        assert pool.stats().lost_total == 1


async def test_the_deadline_does_not_count_waiting_for_a_worker_nor_for_the_daemons_answer(tmp_path: Path) -> None:
    """On a machine in a jam the work itself may take longer than a short deadline, so that longer ones are tried too."""
    for deadline in (0.4, 2.0, 10.0):
        if isinstance(result := await _with_two_waits(tmp_path, deadline), Superseded):
            return
    raise AssertionError(result)


async def _with_two_waits(folder: Path, deadline: float) -> object:
    """What comes of a job that waits for a worker and for an answer, each for longer than its deadline."""

    async def slow(preview: Preview) -> bool:
        await asyncio.sleep(deadline * 1.5)
        return True

    for word in ("started-1", "go"):
        (folder / word).unlink(missing_ok=True)
    async with a_pool(1) as pool, anyio.create_task_group() as tasks:
        tasks.start_soon(run, pool, "wait", folder)
        await eventually(lambda: (folder / "started-1").exists())
        results: list[object] = []

        async def second() -> None:
            results.append(await run(pool, "preview", job_id=2, wanted=slow, timeout_seconds=deadline))

        tasks.start_soon(second)
        await asyncio.sleep(deadline * 1.5)
        (folder / "go").touch()
        await eventually(lambda: results, seconds=60)
    return results[0]


async def test_a_large_picture_is_allowed_more_time() -> None:
    async with a_pool(1) as pool:
        await run(pool, "answer")
        lost = await run(pool, "preview:0.5", timeout_seconds=0.3)
        assert isinstance(lost, WorkerLost)
        assert lost.reason is Reason.TIMEOUT
        enough = await run(pool, "preview:0.5", timeout_seconds=0.3, allowance_seconds=lambda preview: 10.0)
        assert enough == Superseded()


async def test_cancelling_kills_the_worker_before_the_cancellation_goes_on(tmp_path: Path) -> None:
    async with a_pool(1) as pool:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(run, pool, "spin", tmp_path)
                await eventually(lambda: said(tmp_path, "started-1"))
                scope.cancel()
        pid = int(said(tmp_path, "started-1"))
        assert not os.path.exists(f"/proc/{pid}")
        assert pool.stats().busy == 0
        assert await run(pool, "answer", job_id=2) == Recognised(content_of(2, 1))


async def test_cancelling_one_that_waits_costs_no_worker(tmp_path: Path) -> None:
    async with a_pool(1) as pool, anyio.create_task_group() as tasks:
        tasks.start_soon(run, pool, "wait", tmp_path)
        await eventually(lambda: (tmp_path / "started-1").exists())
        with anyio.move_on_after(0.05):
            await run(pool, "answer", tmp_path, job_id=2)
        (tmp_path / "go").touch()
        assert await run(pool, "answer", tmp_path, job_id=3) == Recognised(content_of(3, 1))
        assert pool.stats().lost_total == 0
        assert pool.stats().started_total == 1


async def test_what_wanted_raises_reaches_the_caller_and_the_worker_is_killed() -> None:
    async def broken(preview: Preview) -> bool:
        raise TimeoutError("the store's, not the worker's")

    async with a_pool(1) as pool:
        with pytest.raises(TimeoutError, match="store"):
            await run(pool, "preview", wanted=broken)
        assert pool.stats().pids == ()
        assert await run(pool, "answer") == Recognised(content_of(1, 1))


async def test_the_pool_refills_after_an_idle_worker_is_killed_and_no_job_is_blamed() -> None:
    async with a_pool(1) as pool:
        for job_id in range(1, 6):
            assert await run(pool, "answer", job_id=job_id) == Recognised(content_of(job_id, 1))
            os.kill(pool.stats().pids[0], signal.SIGKILL)
            # At once: whether the daemon has heard of it or not, the next job must not pay.


async def test_idle_workers_are_let_go() -> None:
    async with a_pool(2, idle_seconds=0.1) as pool:
        await asyncio.gather(run(pool, "answer"), run(pool, "answer", job_id=2))
        pids = pool.stats().pids
        await eventually(lambda: not pool.stats().pids)
        assert all(gone(pid) for pid in pids)
        assert pool.stats().lost_total == 0
        assert await run(pool, "answer", job_id=3) == Recognised(content_of(3, 1))


async def test_a_defect_in_the_handler_is_told_and_costs_one_worker_only() -> None:
    output: list[WorkerOutput] = []
    async with a_pool(1, output=output) as pool:
        for behaviour, told in (("fail", "RuntimeError: a defect"), ("exit_politely", "SystemExit: 0")):
            assert await run(pool, behaviour) == Troubled(Reason.UNEXPECTED, told)
            assert await run(pool, "answer", job_id=2) == Recognised(content_of(2, 1))
        assert pool.stats().lost_total == 0
    assert any("RuntimeError: a defect" in line.text and line.job_id == 1 for line in output)


async def test_a_worker_that_keeps_much_memory_is_replaced() -> None:
    async with a_pool(1, memory_budget_mb=128) as pool:
        await run(pool, "answer")
        first = pool.stats().pids
        assert await run(pool, "hold:80", job_id=2) == Recognised(content_of(2, 1))
        assert await run(pool, "hold:80", job_id=3) == Recognised(content_of(3, 1))
        assert pool.stats().pids != first
        assert pool.stats().lost_total == 0


async def test_a_module_that_cannot_be_loaded_is_told_and_nothing_hangs(tmp_path: Path) -> None:
    output: list[WorkerOutput] = []
    async with a_pool(1, load="no_such_module", output=output) as pool:
        with anyio.move_on_after(5) as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(run, pool, "answer")
                await eventually(lambda: "cannot load no_such_module" in pool.stats().trouble)
                scope.cancel()
    assert any("ModuleNotFoundError" in line.text for line in output)


def test_what_a_zygote_said_last_is_heard_though_it_left_orders_unread() -> None:
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        ours.send(b"an order")
        its.send(b"cannot load")
        its.close()
        assert [received(ours), received(ours)] == [b"cannot load", b""]


async def test_a_module_mended_while_jobs_wait_is_taken_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{FOLDER}:{tmp_path}")
    (tmp_path / "mended_later.py").write_text("raise OSError('disk on fire')\n")
    async with a_pool(1, load="mended_later") as pool, anyio.create_task_group() as tasks:
        results: list[object] = []

        async def job() -> None:
            results.append(await run(pool, "answer"))

        tasks.start_soon(job)
        await eventually(lambda: "disk on fire" in pool.stats().trouble)
        (tmp_path / "mended_later.py").write_text("from workers_handlers import process\n")
        await eventually(lambda: results)
        assert results == [Recognised(content_of(1, 1))]
        assert pool.stats().trouble == ""


async def test_a_closed_pool_refuses() -> None:
    async with a_pool(1) as pool:
        pass
    with pytest.raises(RuntimeError):
        await pool.run(a_request("answer"), timeout_seconds=1, wanted=yes, allowance_seconds=nothing_more)
