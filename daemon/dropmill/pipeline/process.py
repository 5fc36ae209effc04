"""One attempt at a job: the request, the deadline, and the early word on whether renditions are wanted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from dropmill.model.inbox import Inbox
from dropmill.model.job import Job
from dropmill.model.work import Preview, WorkerLost, WorkRequest, WorkResult
from dropmill.ports import WorkerPool

STAGING = b".dropmill"


@dataclass(frozen=True, slots=True)
class Deadline:
    """A base plus an allowance per megabyte (known before), per megapixel and per rendition (known from the header)."""

    base_seconds: float
    per_megabyte_seconds: float
    per_megapixel_seconds: float
    per_rendition_seconds: float

    def for_bytes(self, size_bytes: int) -> float:
        return self.base_seconds + self.per_megabyte_seconds * size_bytes / 1e6

    def for_work(self, pixels: int, renditions: int) -> float:
        return self.per_megapixel_seconds * pixels / 1e6 + self.per_rendition_seconds * renditions


class Processor:
    """Runs jobs in the pool. ``wanted`` asks the catalog whether the content would be published."""

    def __init__(
        self,
        pool: WorkerPool,
        deadline: Deadline,
        wanted: Callable[[Job, Inbox, Preview], Awaitable[bool]],
    ) -> None:
        self._pool = pool
        self._deadline = deadline
        self._wanted = wanted

    async def process(self, job: Job, inbox: Inbox, root: bytes, rel: bytes) -> WorkResult | WorkerLost:
        """``root`` and ``rel`` say where the bytes are now: the inbox, or wherever an earlier job took them."""

        async def wanted(preview: Preview) -> bool:
            return await self._wanted(job, inbox, preview)

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
        )
        return await self._pool.run(
            request,
            timeout_seconds=self._deadline.for_bytes(job.signature.size_bytes),
            wanted=wanted,
            allowance_seconds=allowance_seconds,
        )
