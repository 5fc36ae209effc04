"""A decoder that never comes back costs its own worker, within its deadline, and nobody else anything (I04)."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
from workers_handlers import content_of
from workers_support import FOLDER, a_pool, eventually, gone, run, said

from dropmill.model.outcome import Reason
from dropmill.model.work import Recognised, WorkerLost

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _handlers_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", FOLDER)


@pytest.mark.parametrize("behaviour", ["spin", "spin_in_native_code"])
async def test_i04_a_decoder_that_spins_is_stopped_at_its_deadline_and_the_next_job_is_done(behaviour: str) -> None:
    async with a_pool(1) as pool:
        await run(pool, "answer")
        (pid,) = pool.stats().pids
        with anyio.fail_after(20):
            lost = await run(pool, behaviour, timeout_seconds=0.2)
        assert isinstance(lost, WorkerLost)
        assert (lost.reason, "deadline" in lost.detail) == (Reason.TIMEOUT, True)
        assert gone(pid)
        assert await run(pool, "answer", job_id=2) == Recognised(content_of(2, 1))
        assert pool.stats().lost_total == 1


async def test_i04_the_rest_of_the_queue_goes_on_while_one_spins(tmp_path: Path) -> None:
    async with a_pool(2) as pool, anyio.create_task_group() as tasks:
        tasks.start_soon(run, pool, "spin", tmp_path)
        await eventually(lambda: said(tmp_path, "started-1"))
        for job_id in range(2, 10):
            assert await run(pool, "answer", tmp_path, job_id=job_id) == Recognised(content_of(job_id, 1))
        assert pool.stats().lost_total == 0
        tasks.cancel_scope.cancel()
