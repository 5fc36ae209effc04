"""What follows from one attempt at a job: a pure function of the job and the worker's reply (ANCHORS 5)."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from dropmill.model.backoff import backoff_seconds
from dropmill.model.job import Job
from dropmill.model.outcome import Reason
from dropmill.model.work import (
    NotOurs,
    Processed,
    Recognised,
    Rejected,
    Superseded,
    Troubled,
    WorkerLost,
    WorkResult,
)

# A job that took its worker down is tried once more, alone; the second time it is the file (PROTOCOL 14).
MAX_CRASHES: Final = 2
# Trouble that only waiting can end: it never uses up a job's attempts.
PATIENT: Final = frozenset({Reason.DISK_FULL, Reason.OUTPUT_UNAVAILABLE, Reason.INDEX_UNAVAILABLE, Reason.UNREADABLE})


@dataclass(frozen=True, slots=True)
class Policy:
    max_attempts: int
    retry_base_seconds: float
    retry_cap_seconds: float
    max_interruptions: int


@dataclass(frozen=True, slots=True)
class Done:
    """The worker has something to commit."""

    result: Processed | Recognised | Superseded


@dataclass(frozen=True, slots=True)
class Retry:
    after_seconds: float
    reason: Reason
    detail: str
    crashed: bool = False
    alone: bool = False


@dataclass(frozen=True, slots=True)
class GivenBack:
    """The attempt was cut short by something that is not the file's doing; the next one begins at once, alone."""

    detail: str


@dataclass(frozen=True, slots=True)
class Dead:
    """Given up for good. ``move``: the original belongs into quarantine, if there is one."""

    reason: Reason
    detail: str
    crashed: bool = False
    move: bool = True


Consequence = Done | Retry | GivenBack | Dead


def judge(job: Job, reply: WorkResult | WorkerLost, policy: Policy, chance: random.Random) -> Consequence:
    """``job.attempts`` counts this attempt already, because attempts are counted at their start (Q02)."""
    match reply:
        case Processed() | Recognised() | Superseded():
            return Done(reply)
        case NotOurs(reason=reason, detail=detail):
            return Dead(reason, detail, move=False)
        case Rejected(reason=reason, detail=detail):
            return Dead(reason, detail)
        case WorkerLost(reason=Reason.INTERRUPTED, detail=detail):
            if job.interruptions >= policy.max_interruptions:
                return Dead(Reason.INTERRUPTED, f"{detail}; interrupted {job.interruptions + 1} times")
            return GivenBack(detail)
        case WorkerLost(reason=reason, detail=detail):
            if job.crashes + 1 >= min(MAX_CRASHES, policy.max_attempts):
                return Dead(reason, detail, crashed=True)
            return Retry(_after(job, policy, chance), reason, detail, crashed=True, alone=True)
        case Troubled(reason=reason, detail=detail):
            if job.attempts >= policy.max_attempts and reason not in PATIENT:
                return Dead(reason, detail, move=reason is Reason.MEMORY_LIMIT)
            # A decode that failed near the memory limit gets the whole of it next time (PROTOCOL 14).
            return Retry(_after(job, policy, chance), reason, detail, alone=reason is Reason.MEMORY_LIMIT)


def _after(job: Job, policy: Policy, chance: random.Random) -> float:
    return backoff_seconds(max(1, job.attempts), policy.retry_base_seconds, policy.retry_cap_seconds, chance)
