"""What the stages ask of the world. ``assembly`` alone says which adapter answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from dropmill.model.file import Signature
from dropmill.model.fingerprint import Content
from dropmill.model.inbox import Inbox
from dropmill.model.job import Job, NewJob
from dropmill.model.outcome import Ignored, Reason
from dropmill.model.verdict import Decided, LookFirst, Presence
from dropmill.model.work import Preview, Processed, Recognised, WorkerLost, WorkRequest, WorkResult

T = TypeVar("T")
# Stands for every inbox where one is named to pause or resume.
ALL_INBOXES: Final = "*"


class Clock(Protocol):
    """The only reader of clocks."""

    def now_ms(self) -> int:
        """Wall time in milliseconds since 1970 UTC, for what is stored and shown."""
        ...

    def monotonic(self) -> float:
        """Seconds that never jump, for intervals."""
        ...

    async def sleep(self, seconds: float) -> None: ...


@dataclass(frozen=True, slots=True)
class PoolStats:
    size: int
    busy: int
    pids: tuple[int, ...]
    started_total: int
    lost_total: int
    trouble: str = ""
    """Why no further worker can be started at the moment, or empty."""
    guards: tuple[str, ...] | None = None
    """What confines the workers (``landlock``, ``seccomp``); None before the first one has started."""
    waiting_for_memory: int = 0
    """Jobs whose picture waits until others have given memory back."""


class WorkerPool(Protocol):
    """Processes that may crash, hang or swell at the cost of one attempt each."""

    async def run(
        self,
        request: WorkRequest,
        *,
        timeout_seconds: float,
        wanted: Callable[[Preview], Awaitable[bool]],
        allowance_seconds: Callable[[Preview], float],
    ) -> WorkResult | WorkerLost:
        """One attempt in one worker. ``wanted`` is asked once the content is hashed; False spares the rendering.

        ``timeout_seconds`` starts when a worker takes the job; waiting for a free worker does not count, nor does
        waiting for ``wanted``. ``allowance_seconds`` says how much a picture of that size adds to it.
        Cancelling the call kills the worker, so nothing of the attempt goes on.
        """
        ...

    def stats(self) -> PoolStats: ...


class Pressure(Protocol):
    """Whether there is too much already for more to be looked for (W33)."""

    @property
    def said(self) -> str:
        """What discovery waits for, as a sentence; empty where it does not wait."""
        ...

    async def full(self) -> bool: ...


class Ledger(Protocol):
    """What is known of files, and the way into the queue."""

    async def known(self, root_id: int, seen: Sequence[tuple[bytes, Signature]]) -> set[bytes]:
        """Those paths whose latest version in the ledger is the one that was seen."""
        ...

    async def queue_holds(self, inbox: str, jobs: int) -> bool:
        """Whether so many jobs of the inbox or more wait to be begun."""
        ...

    async def enqueue(
        self,
        root_id: int,
        jobs: Sequence[NewJob],
        ignored: Sequence[tuple[bytes, Signature, Ignored]],
        now_ms: int,
    ) -> tuple[list[int | None], list[bool], set[bytes]]:
        """Durable on return. Ids of new jobs (None: known already), which ignored files were new to the journal, and the
        paths of jobs that were met before, with another version.
        """
        ...


class JobEngine(Protocol):
    """Delivery of jobs. Every method that ends an attempt is fenced by the job's epoch and says whether it counted."""

    async def claim(self, limit: int, *, idle: bool) -> list[Job]:
        """Start up to ``limit`` jobs, best rank first; ``idle`` says that nothing runs, so a lone one may."""
        ...

    async def next_due_ms(self) -> int | None:
        """When the next scheduled job becomes available, in wall milliseconds."""
        ...

    async def release(self, job: Job) -> bool:
        """Give a claimed job back unharmed."""
        ...

    async def interrupt(self, job: Job, detail: str) -> bool:
        """Give back a job whose attempt was cut short and counts as an interruption, not as a crash."""
        ...

    async def reschedule(
        self, job: Job, after_seconds: float, reason: Reason, detail: str, *, crashed: bool, alone: bool
    ) -> bool: ...

    async def discard(
        self, job: Job, inbox: Inbox, reason: Reason, detail: str, *, crashed: bool, move: bool
    ) -> bool: ...

    async def supersede(self, job: Job) -> bool: ...

    async def paused(self) -> set[str]:
        """Names of paused inboxes; ``*`` stands for all."""
        ...

    async def pause(self, inbox: str) -> None: ...

    async def resume(self, inbox: str) -> None: ...


class Decisions(Protocol):
    """The commit's transaction, fenced by the job's epoch."""

    async def would_publish(
        self, job: Job, inbox: Inbox, content: Content, presences: Mapping[bytes, Presence]
    ) -> bool: ...

    async def conclude(
        self,
        job: Job,
        inbox: Inbox,
        result: Processed | Recognised,
        presences: Mapping[bytes, Presence],
    ) -> Decided | LookFirst | None:
        """Decide and record, durable on return. None: the job was no longer ours, or was given back to be rendered."""
        ...
