"""What the stages ask of the world. ``assembly`` alone says which adapter answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol, TypeVar

from dropmill.model.bearing import Bearing, Looked
from dropmill.model.download import Fetch, FetchResult, Host, Provenance
from dropmill.model.errand import Errand, ErrandResult
from dropmill.model.file import Signature
from dropmill.model.fingerprint import Content, Looks
from dropmill.model.inbox import Inbox
from dropmill.model.job import Job, NewJob
from dropmill.model.outcome import Ignored, Reason
from dropmill.model.politeness import Left
from dropmill.model.resemblance import Neighbours
from dropmill.model.verdict import Decided, LinkFirst, LookFirst, Presence
from dropmill.model.work import Linked, Preview, Processed, Recognised, WorkerLost, WorkRequest, WorkResult

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
        bearing: Callable[[Looked], Awaitable[Bearing]] | None = None,
    ) -> WorkResult | WorkerLost:
        """One attempt in one worker. ``wanted`` is asked once the content is hashed; False spares the rendering.
        ``bearing`` is asked, where the request says so, once it is known how the picture looks.

        ``timeout_seconds`` starts when a worker takes the job; waiting for a free worker does not count, nor does
        waiting for ``wanted``. ``allowance_seconds`` says how much a picture of that size adds to it.
        Cancelling the call kills the worker, so nothing of the attempt goes on.
        """
        ...

    async def errand(
        self, errand: Errand, *, timeout_seconds: float, urgent: bool = False
    ) -> ErrandResult | WorkerLost:
        """What belongs to no job, done while no job needs the worker, or, if ``urgent``, in turn with them.

        ``timeout_seconds`` is as for ``run``. When it returns, the preview that was asked for has its name. Cancelling
        the call kills the worker.
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
    ) -> bool | None:
        """None: other paths have to be looked at before that can be said."""
        ...

    async def bearing(
        self,
        job: Job,
        inbox: Inbox,
        content: Content,
        looks: Looks,
        presences: Mapping[bytes, Presence],
        neighbours: Neighbours | None,
    ) -> Bearing | None:
        """Whether to render a picture that looks like this, and how. None: other paths have to be looked at first."""
        ...

    async def conclude(
        self,
        job: Job,
        inbox: Inbox,
        result: Processed | Recognised,
        presences: Mapping[bytes, Presence],
        neighbours: Neighbours | None = None,
        links: Linked | None = None,
    ) -> Decided | LookFirst | LinkFirst | None:
        """Decide and record, durable on return. None: the job was no longer ours, or was given back to be rendered.

        ``neighbours``: what the index found near the result's looks; None where it is not there, or nobody asks.
        ``links``: what was staged because an earlier call had asked for it.
        """
        ...


@dataclass(frozen=True, slots=True)
class IndexStats:
    state: Literal["idle", "starting", "ready", "down"] = "idle"
    """``idle``: nobody has needed it yet."""
    images: int = 0
    memory_bytes: int = 0
    pid: int | None = None
    trouble: str = ""
    """Why it is down, or empty."""
    window_bytes: int = 0
    """Of ``memory_bytes`` what the windows take, where what was cut is looked for too."""


class Similar(Protocol):
    """The index of perceptual hashes, which runs in a process of its own. The stored hashes are the truth; it follows
    them by itself, those of images that are removed or hashed anew included.
    """

    async def neighbours(self, looks: Sequence[Looks]) -> Sequence[Neighbours]:
        """Of each, all catalogued images within the widest thresholds, nearest first, exact; of looks with windows after
        them those of which one is like a part of the other, which only suggests a pair. Whether texture lets a match
        be believed is for the caller to say, and an image may have been removed meanwhile. Of more than
        ``MOST_NEIGHBOURS`` the nearest. Raises ``Unavailable`` where the index is not there (yet).
        """
        ...

    def stats(self) -> IndexStats: ...


class Downloader(Protocol):
    """Brings one URL's bytes to where its job expects them."""

    async def download(self, fetch: Fetch, inbox: Inbox, note: Callable[[int, int | None], None]) -> FetchResult:
        """One attempt, which goes on where an earlier one ended. ``note``: bytes that are there, and of how many.

        Cancelling the call keeps what is there for the next attempt.
        """
        ...

    async def forget(self, fetch: Fetch, inbox: Inbox) -> None:
        """The catalog knows how the attempt ended: remove what is kept for going on with it, but not the file itself."""
        ...


class Fetches(Protocol):
    """Delivery of downloads. Every method that ends an attempt is fenced by the job's epoch and says whether it counted.

    ``host`` is what is remembered of it from now on, in the same transaction; None where nothing has changed.
    """

    async def open(self) -> Sequence[str]:
        """Names of inboxes of which something may begin now."""
        ...

    async def bound(self, max_rest_seconds: float) -> None:
        """No host rests for longer than that from now on."""
        ...

    async def backlog(self, most: int) -> int:
        """How many downloads wait to be processed, counted up to ``most``."""
        ...

    async def claim(
        self, limit: int, *, known: Sequence[tuple[Host, int]], newcomers: int, doubtful: int
    ) -> list[Fetch]:
        """Begin up to ``limit`` downloads: so many more of each known host, in that order, and one each of up to so many
        others, those that were served longest ago first; ``doubtful`` of others that have been failing.
        """
        ...

    async def next_ready_ms(self) -> int | None:
        """When the next retry is due or the next host has rested, in wall milliseconds."""
        ...

    async def fetched(self, job: Job, signature: Signature, provenance: Provenance, host: Host | None) -> bool: ...

    async def unchanged(self, job: Job, inbox: Inbox, provenance: Provenance, host: Host | None) -> bool | None:
        """True: completed. False: what is known of it is gone, so it was given back, to be fetched in any case. None:
        not ours any more.
        """
        ...

    async def reschedule(
        self, job: Job, after_seconds: float, reason: Reason, detail: str, host: Host | None
    ) -> bool: ...

    async def discard(
        self, job: Job, inbox: Inbox, reason: Reason, detail: str, provenance: Provenance | None, host: Host | None
    ) -> bool: ...

    async def release(self, jobs: Sequence[Job]) -> int:
        """Give claimed jobs back unharmed; returns how many were ours."""
        ...

    async def save_host(self, host: Host) -> None: ...

    async def give_up(self, host_id: int, detail: str, limit: int) -> list[tuple[int, str, str]]:
        """Discard up to ``limit`` jobs that wait for a host: job id, inbox and canonical URL of each."""
        ...

    async def hopeful(self, within_seconds: float) -> bool:
        """Whether anything that waits can be fetched within that time, as far as hosts and retries let."""
        ...

    async def left(self) -> Left: ...
