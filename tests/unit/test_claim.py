"""The claimer with an engine that answers when the test says so."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any, cast

import anyio
import anyio.lowlevel
import pytest

from dropmill.errors import StateError
from dropmill.model.file import Signature
from dropmill.model.job import FoundBy, Job
from dropmill.observe.clock import SystemClock
from dropmill.observe.flight import Flight
from dropmill.pipeline.claim import Claimer
from dropmill.ports import JobEngine

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def a_job(number: int, *, alone: bool = False) -> Job:
    signature = Signature(1, number, 3, 4, 5)
    return Job(number, 1, "in", b"a", signature, FoundBy.EVENT, "", 1, 0, 0, alone, None, None, None)


class Engine:
    """Hands out ``waiting`` jobs; while ``gate`` is closed, a claim that has begun does not come back."""

    def __init__(self, *jobs: Job) -> None:
        self.waiting = deque(jobs)
        self.released: list[int] = []
        self.gate = anyio.Event()
        self.asked = anyio.Event()
        self.paused_inboxes: set[str] = set()
        self.locked = False

    async def claim(self, limit: int, *, idle: bool) -> list[Job]:
        self.asked.set()
        await self.gate.wait()
        return [self.waiting.popleft() for _ in range(min(limit, len(self.waiting)))]

    async def release(self, job: Job) -> bool:
        await anyio.lowlevel.checkpoint()
        if self.locked:
            raise StateError("the catalog cannot be written")
        self.released.append(job.id)
        return True

    async def next_due_ms(self) -> None:
        return None

    async def paused(self) -> set[str]:
        return self.paused_inboxes


def claimer(engine: Engine, handler: Any, tmp_path: Path, slots: int = 2) -> Claimer:
    clock = SystemClock()
    facts: list[object] = []
    flight = Flight(str(tmp_path / "flight"), clock, facts.append)
    return Claimer(cast(JobEngine, engine), handler, slots, clock, facts.append, flight)


async def test_s09_what_a_claim_brings_after_the_stop_is_given_back_and_never_begun(tmp_path: Path) -> None:
    engine = Engine(a_job(1), a_job(2), a_job(3))
    begun: list[int] = []

    async def handle(job: Job) -> None:
        begun.append(job.id)

    subject = claimer(engine, handle, tmp_path)
    async with anyio.create_task_group() as group:
        group.start_soon(subject.run)
        await engine.asked.wait()
        group.start_soon(subject.close, 5.0)
        await anyio.wait_all_tasks_blocked()
        engine.gate.set()
    assert begun == []
    assert engine.released == [1, 2, 3]


async def test_s09_running_jobs_finish_and_those_claimed_ahead_are_given_back(tmp_path: Path) -> None:
    engine = Engine(*(a_job(number) for number in range(1, 5)))
    engine.gate.set()
    finish = anyio.Event()
    ended: list[int] = []

    async def handle(job: Job) -> None:
        await finish.wait()
        ended.append(job.id)

    subject = claimer(engine, handle, tmp_path)
    async with anyio.create_task_group() as group:
        group.start_soon(subject.run)
        await anyio.wait_all_tasks_blocked()
        assert subject.in_hand == [1, 2, 3, 4]
        group.start_soon(subject.close, 60.0)
        await anyio.wait_all_tasks_blocked()
        finish.set()
    assert ended == [1, 2]
    assert engine.released == [3, 4]


async def test_s09_those_that_do_not_finish_in_time_are_cut_off_and_given_back(tmp_path: Path) -> None:
    engine = Engine(a_job(1))
    engine.gate.set()
    subject = claimer(engine, lambda job: anyio.sleep_forever(), tmp_path)
    async with anyio.create_task_group() as group:
        group.start_soon(subject.run)
        await anyio.wait_all_tasks_blocked()
        assert await subject.close(0.01) == 1
    assert engine.released == [1]


async def test_s12_what_cannot_be_given_back_now_is_given_back_once_the_catalog_can_be_written(tmp_path: Path) -> None:
    engine = Engine(*(a_job(number) for number in range(1, 5)))
    engine.gate.set()
    finish = anyio.Event()
    ended: list[int] = []

    async def handle(job: Job) -> None:
        await finish.wait()
        ended.append(job.id)

    subject = claimer(engine, handle, tmp_path)
    async with anyio.create_task_group() as group:
        group.start_soon(subject.run)
        await anyio.wait_all_tasks_blocked()
        engine.locked = True
        await subject.give_back(None)
        assert subject.in_hand == [1, 2, 3, 4]
        engine.locked = False
        subject.wake()
        await anyio.wait_all_tasks_blocked()
        assert engine.released == [3, 4]
        assert subject.in_hand == [1, 2]
        finish.set()
        await anyio.wait_all_tasks_blocked()
        await subject.close(1.0)
    assert ended == [1, 2]


async def test_w40_s12_what_is_taken_back_while_the_catalog_is_locked_is_released_later(tmp_path: Path) -> None:
    """Its folder has stopped answering and its handler was cut off: nobody else would let go of it in this boot."""
    engine = Engine(a_job(1), a_job(2), a_job(3))
    engine.gate.set()
    subject = claimer(engine, lambda job: anyio.sleep_forever(), tmp_path)
    async with anyio.create_task_group() as group:
        group.start_soon(subject.run)
        await anyio.wait_all_tasks_blocked()
        engine.locked = True
        await subject.take_back("in")
        await anyio.wait_all_tasks_blocked()
        assert sorted(subject.in_hand) == [1, 2, 3]
        assert engine.released == []
        engine.locked = False
        subject.wake()
        await anyio.wait_all_tasks_blocked()
        assert sorted(engine.released) == [1, 2, 3]
        assert subject.in_hand == []
        assert await subject.close(1.0) == 3


async def test_s12_what_cannot_be_given_back_at_the_stop_is_left_to_the_next_start(tmp_path: Path) -> None:
    engine = Engine(a_job(1))
    engine.gate.set()
    subject = claimer(engine, lambda job: anyio.sleep_forever(), tmp_path)
    async with anyio.create_task_group() as group:
        group.start_soon(subject.run)
        await anyio.wait_all_tasks_blocked()
        engine.locked = True
        assert await subject.close(0.01) == 0
    assert engine.released == []


async def test_a_pause_that_comes_during_a_claim_holds_for_what_it_brings(tmp_path: Path) -> None:
    engine = Engine(a_job(1))
    begun: list[int] = []

    async def handle(job: Job) -> None:
        begun.append(job.id)

    subject = claimer(engine, handle, tmp_path)
    async with anyio.create_task_group() as group:
        group.start_soon(subject.run)
        await engine.asked.wait()
        engine.paused_inboxes = {"in"}
        engine.gate.set()
        await anyio.wait_all_tasks_blocked()
        assert engine.released == [1]
        await subject.close(1.0)
    assert begun == []


async def test_q18_a_job_that_must_run_alone_waits_for_the_others_and_holds_the_next_back(tmp_path: Path) -> None:
    engine = Engine(a_job(1), a_job(2, alone=True), a_job(3))
    engine.gate.set()
    running: set[int] = set()
    seen: list[set[int]] = []
    all_ended = anyio.Event()

    async def handle(job: Job) -> None:
        running.add(job.id)
        seen.append(set(running))
        await anyio.sleep(0.01)
        running.remove(job.id)
        if len(seen) == 3:
            all_ended.set()

    subject = claimer(engine, handle, tmp_path)
    async with anyio.create_task_group() as group:
        group.start_soon(subject.run)
        await all_ended.wait()
        await subject.close(1.0)
    assert seen == [{1}, {2}, {3}]
