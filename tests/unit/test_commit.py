"""The committer with an engine that writes down what it is told."""

from __future__ import annotations

import errno
import random
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dropmill.files.presence import HomeOutOfReach
from dropmill.model.attempt import Policy
from dropmill.model.file import Signature
from dropmill.model.fingerprint import Content
from dropmill.model.inbox import Inbox
from dropmill.model.job import FoundBy, Job
from dropmill.model.outcome import Reason
from dropmill.model.verdict import LookFirst
from dropmill.model.work import Recognised
from dropmill.observe.clock import SystemClock
from dropmill.observe.facts import Rescheduled
from dropmill.pipeline.commit import Committer
from dropmill.ports import Decisions, JobEngine

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Engine:
    def __init__(self) -> None:
        self.waiting: list[tuple[Reason, str]] = []

    async def reschedule(
        self, job: Job, after_seconds: float, reason: Reason, detail: str, *, crashed: bool, alone: bool
    ) -> bool:
        self.waiting.append((reason, detail))
        return True


async def test_w39_a_home_that_cannot_be_looked_at_keeps_the_job_waiting_and_never_discards_it() -> None:
    """Without holding a place among the commits meanwhile, and however often it is tried."""
    engine, facts, forgotten = Engine(), list[object](), list[int]()

    async def look_at_homes(job: Job, inbox: Inbox, sha256: str) -> Any:
        raise HomeOutOfReach(errno.EACCES, "Permission denied", b"locked/a.jpg")

    async def conclude(*_: object) -> LookFirst:
        return LookFirst((b"locked/a.jpg",))

    async def forget_staged(job: Job, inbox: Inbox) -> None:
        forgotten.append(job.id)

    committer = Committer(
        cast(JobEngine, engine),
        cast(Decisions, SimpleNamespace(conclude=conclude)),
        look_at_homes,
        forget_staged,
        Policy(5, 2.0, 300.0, 20),
        SystemClock(),
        random.Random(1),
        facts.append,
        lambda inbox, rel: None,
    )
    inbox = cast(Inbox, SimpleNamespace(name="in"))
    job = Job(1, 1, "in", b"b.jpg", Signature(1, 2, 3, 4, 5), FoundBy.EVENT, "", 99, 0, 0, False, None, None, None)
    await committer.conclude(job, inbox, Recognised(Content("a" * 64, "b" * 64)), 0.0)
    detail = "locked/a.jpg, where these bytes were before, cannot be looked at: Permission denied"
    assert engine.waiting == [(Reason.UNREADABLE, detail)]
    assert [type(fact) for fact in facts] == [Rescheduled]
    assert forgotten == [1]
