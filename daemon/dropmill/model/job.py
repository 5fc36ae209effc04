"""Jobs: one file version to process, and the states it goes through."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from dropmill.model.file import Signature


class JobState(StrEnum):
    SCHEDULED = "scheduled"
    AVAILABLE = "available"
    EXECUTING = "executing"
    COMPLETED = "completed"
    DISCARDED = "discarded"
    CANCELLED = "cancelled"


class Event(StrEnum):
    """What moves a job from one state to the next."""

    ENQUEUED = "enqueued"
    DUE = "due"
    CLAIMED = "claimed"
    FETCHED = "fetched"
    DECIDED = "decided"
    REJECTED = "rejected"
    RETRIED_LATER = "retried later"
    RELEASED = "released"
    CANCELLED = "cancelled"
    RETRIED = "retried by a person"
    ANCHOR_FAILED = "anchor failed"
    RENDITION_LOST = "rendition lost"
    HOST_GIVEN_UP = "host given up"


ACTIVE: Final = frozenset({JobState.SCHEDULED, JobState.AVAILABLE, JobState.EXECUTING})
TERMINAL: Final = frozenset(JobState) - ACTIVE

# The whole life of a job; docs/architecture.md draws its diagram from this table. None is "not there yet".
TRANSITIONS: Final[dict[tuple[JobState | None, Event], JobState]] = {
    (None, Event.ENQUEUED): JobState.AVAILABLE,
    (JobState.SCHEDULED, Event.DUE): JobState.AVAILABLE,
    (JobState.SCHEDULED, Event.CANCELLED): JobState.CANCELLED,
    (JobState.AVAILABLE, Event.CLAIMED): JobState.EXECUTING,
    (JobState.AVAILABLE, Event.CANCELLED): JobState.CANCELLED,
    (JobState.AVAILABLE, Event.HOST_GIVEN_UP): JobState.DISCARDED,
    (JobState.SCHEDULED, Event.HOST_GIVEN_UP): JobState.DISCARDED,
    (JobState.EXECUTING, Event.FETCHED): JobState.AVAILABLE,
    (JobState.EXECUTING, Event.DECIDED): JobState.COMPLETED,
    (JobState.EXECUTING, Event.REJECTED): JobState.DISCARDED,
    (JobState.EXECUTING, Event.RETRIED_LATER): JobState.SCHEDULED,
    (JobState.EXECUTING, Event.RELEASED): JobState.AVAILABLE,
    (JobState.EXECUTING, Event.CANCELLED): JobState.CANCELLED,
    (JobState.DISCARDED, Event.RETRIED): JobState.AVAILABLE,
    (JobState.COMPLETED, Event.ANCHOR_FAILED): JobState.AVAILABLE,
    (JobState.COMPLETED, Event.RENDITION_LOST): JobState.AVAILABLE,
}


class FoundBy(StrEnum):
    """What brought a file to our notice. ``reconcile`` above zero means that the watcher missed something."""

    EVENT = "event"
    STARTUP = "startup"
    RECONCILE = "reconcile"
    OVERFLOW = "overflow"
    MANUAL = "manual"


PRIORITY_DEFAULT: Final = 3
# One step of priority is worth this much waiting, so a job of priority 1 passes fresh ones of priority 5 after 4 minutes.
PRIORITY_STEP_MS: Final = 60_000


def rank_ms(enqueued_at_ms: int, priority: int) -> int:
    """The order of claiming, smallest first: the time of arrival, brought forward by the priority (1 to 5, 5 most urgent).

    Because it is a constant of the job, ageing needs no updates: later arrivals get later ranks, so nothing starves (Q09).
    """
    return enqueued_at_ms - (priority - 1) * PRIORITY_STEP_MS


@dataclass(frozen=True, slots=True)
class NewJob:
    """A settled file version on its way into the queue."""

    inbox: str
    rel: bytes
    signature: Signature
    found_by: FoundBy
    found_at_ms: int
    settled_at_ms: int
    priority: int = PRIORITY_DEFAULT
    label: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed job: who may finish it is told by ``epoch`` (a fencing token that grows with each claim)."""

    id: int
    epoch: int
    inbox: str
    rel: bytes
    signature: Signature
    found_by: FoundBy
    label: str
    attempts: int
    crashes: int
    interruptions: int
    alone: bool
    """Interrupted or crashed before, so it runs while nothing else does (PROTOCOL 14)."""
    reprocess_of: int | None
    read_root_id: int | None
    read_rel: bytes | None
    """Where the bytes are if not under the inbox: a root's id and the path below it."""
    enqueued_at_ms: int = 0
