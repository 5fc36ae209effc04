"""The committer with an engine that writes down what it is told."""

from __future__ import annotations

import errno
import random
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dropmill.errors import Unavailable
from dropmill.files.presence import HomeOutOfReach
from dropmill.model.attempt import Policy
from dropmill.model.duplicates import Policies
from dropmill.model.duplicates import Policy as TierPolicy
from dropmill.model.file import Signature
from dropmill.model.fingerprint import Content, Looks
from dropmill.model.image import Picture
from dropmill.model.inbox import Inbox
from dropmill.model.job import FoundBy, Job
from dropmill.model.outcome import Outcome, Reason
from dropmill.model.verdict import Decided, LookFirst
from dropmill.model.work import Processed, Recognised
from dropmill.observe.clock import SystemClock
from dropmill.observe.facts import Rescheduled
from dropmill.pipeline.commit import Committer
from dropmill.ports import Decisions, JobEngine, Similar

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


@pytest.mark.parametrize(("near", "waits"), [("flag", False), ("skip", True)])
async def test_a_job_waits_for_the_index_only_if_its_renditions_hang_on_the_answer(near: str, waits: bool) -> None:
    engine, asked, forgotten = Engine(), list[object](), list[int]()

    async def neighbours(looks: object) -> Any:
        raise Unavailable("the index of similar images is not there: it ended")

    async def conclude(*arguments: object) -> Decided:
        asked.append(arguments[4])
        return Decided(Outcome.PUBLISHED, 1)

    async def forget_staged(job: Job, inbox: Inbox) -> None:
        forgotten.append(job.id)

    committer = Committer(
        cast(JobEngine, engine),
        cast(Decisions, SimpleNamespace(conclude=conclude)),
        cast(Any, None),
        forget_staged,
        Policy(5, 2.0, 300.0, 20),
        SystemClock(),
        random.Random(1),
        lambda fact: None,
        lambda inbox, rel: None,
        cast(Similar, SimpleNamespace(neighbours=neighbours)),
    )
    inbox = cast(Inbox, SimpleNamespace(name="in", urls=False, policies=Policies(near=TierPolicy(near))))
    job = Job(1, 1, "in", b"b.jpg", Signature(1, 2, 3, 4, 5), FoundBy.EVENT, "", 99, 0, 0, False, None, None, None)
    looks = Looks(1, 2, 3, "0" * 64, 50.0)
    made = Processed(Content("a" * 64, "b" * 64), looks, Picture("jpeg", 4, 3, "RGB"), ())
    await committer.conclude(job, inbox, made, 0.0)
    detail = "the index of similar images is not there: it ended"
    assert engine.waiting == ([(Reason.INDEX_UNAVAILABLE, detail)] if waits else [])
    assert asked == ([] if waits else [None])
    assert forgotten == ([1] if waits else [])
