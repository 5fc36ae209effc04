"""One attempt at a job: the request, the deadline, and the early word on whether renditions are wanted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from dropmill.model.bearing import Bearing, Looked
from dropmill.model.fingerprint import Content
from dropmill.model.inbox import Inbox
from dropmill.model.job import Job
from dropmill.model.work import Preview, WorkerLost, WorkRequest, WorkResult
from dropmill.ports import WorkerPool
from dropmill.settings import Workers

STAGING = b".dropmill"


@dataclass(frozen=True, slots=True)
class Deadline:
    """A base plus an allowance per megabyte (known before), per megapixel and per rendition (known from the header)."""

    base_seconds: float
    per_megabyte_seconds: float
    per_megapixel_seconds: float
    per_rendition_seconds: float

    @classmethod
    def of(cls, workers: Workers) -> Deadline:
        return cls(
            workers.job_timeout_seconds,
            workers.timeout_per_megabyte_seconds,
            workers.timeout_per_megapixel_seconds,
            workers.timeout_per_rendition_seconds,
        )

    def for_bytes(self, size_bytes: int) -> float:
        return self.base_seconds + self.per_megabyte_seconds * size_bytes / 1e6

    def for_work(self, pixels: int, renditions: int) -> float:
        return self.per_megapixel_seconds * pixels / 1e6 + self.per_rendition_seconds * renditions


class Processor:
    """Runs jobs in the pool. ``wanted`` and ``bearing`` ask the catalog whether it would be published, and how.

    ``windows``: what is cut from a picture is looked for too.
    """

    def __init__(
        self,
        pool: WorkerPool,
        deadline: Deadline,
        wanted: Callable[[Job, Inbox, Preview], Awaitable[bool]],
        bearing: Callable[[Job, Inbox, Content, Looked], Awaitable[Bearing]],
        *,
        windows: bool = False,
    ) -> None:
        self._pool = pool
        self._deadline = deadline
        self._wanted = wanted
        self._bearing = bearing
        self._windows = windows

    async def process(self, job: Job, inbox: Inbox, root: bytes, rel: bytes) -> WorkResult | WorkerLost:
        """``root`` and ``rel`` say where the bytes are now: the inbox, or wherever an earlier job took them."""

        told: Content | None = None

        async def wanted(preview: Preview) -> bool:
            nonlocal told
            told = preview.content
            return await self._wanted(job, inbox, preview)

        async def bearing(looked: Looked) -> Bearing:
            return await self._bearing(job, inbox, told, looked) if told is not None else Bearing(go=True)

        def allowance_seconds(preview: Preview) -> float:
            return self._deadline.for_work(preview.pixels, preview.pages * len(inbox.recipe.renditions))

        request = WorkRequest(
            job_id=job.id,
            epoch=job.epoch,
            root=root,
            rel=rel,
            signature=job.signature,
            staging=inbox.output.path + b"/" + STAGING,
            recipe=inbox.recipe,
            limits=inbox.limits,
            mode=inbox.mode,
            gid=inbox.gid,
            asks_looks=inbox.policies.asks_first,
            windows=self._windows,
        )
        return await self._pool.run(
            request,
            timeout_seconds=self._deadline.for_bytes(job.signature.size_bytes),
            wanted=wanted,
            allowance_seconds=allowance_seconds,
            bearing=bearing,
        )
