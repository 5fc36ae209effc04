"""Having a worker look at a file that belongs to no job, while the jobs of inboxes leave one free."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from dropmill.model.file import Signature
from dropmill.model.image import Limits, Recipe
from dropmill.model.work import Preview, WorkerLost, WorkRequest, WorkResult
from dropmill.observe.facts import Emit
from dropmill.pipeline.process import Deadline
from dropmill.ports import Clock, WorkerPool
from dropmill.store.catalog import Catalog

POLL_SECONDS: Final = 0.05
NO_RENDITIONS: Final = Recipe(())
# Nothing is staged, so there is no folder that a worker might write to.
NOWHERE: Final = b"/nonexistent"


@dataclass(frozen=True, slots=True)
class Tools:
    """What every scan works with. ``busy`` is how many jobs of inboxes are in hand, which go first."""

    catalog: Catalog
    pool: WorkerPool
    processes: int
    deadline: Deadline
    limits: Limits
    heif: bool
    rules: str
    """Tells limits, codecs and deadlines from others."""
    allowed: tuple[bytes, ...] | None
    """Folders outside which no library is read; None where any may be."""
    busy: Callable[[], int]
    clock: Clock
    emit: Emit
    windows: bool = False
    """What is cut from a picture is looked for too."""


class Turns:
    """Entered for each picture that a worker is to read: at once, where one is free that no job of an inbox needs."""

    def __init__(self, tools: Tools, workers: int) -> None:
        """``workers``: how many pictures may be read at a time; 0 for as many as there are processes."""
        self.workers = min(workers, tools.processes) if workers else tools.processes
        self._tools = tools
        self._running = 0

    async def __aenter__(self) -> None:
        while self._running + self._tools.busy() >= self._tools.processes:
            await self._tools.clock.sleep(POLL_SECONDS)
        self._running += 1

    async def __aexit__(self, *_: object) -> None:
        self._running -= 1


async def read(
    tools: Tools,
    serial: int,
    root: bytes,
    rel: bytes,
    signature: Signature,
    wanted: Callable[[Preview], Awaitable[bool]],
) -> WorkResult | WorkerLost:
    """One look of a worker at one file. ``serial`` is echoed; ``wanted`` as in ``WorkerPool.run``."""
    request = WorkRequest(
        job_id=0,  # None of the jobs, whose numbers begin at 1.
        epoch=serial,
        root=root,
        rel=rel,
        signature=signature,
        staging=NOWHERE,
        recipe=NO_RENDITIONS,
        limits=tools.limits,
        windows=tools.windows,
    )
    return await tools.pool.run(
        request,
        timeout_seconds=tools.deadline.for_bytes(signature.size_bytes),
        wanted=wanted,
        allowance_seconds=lambda preview: tools.deadline.for_work(preview.pixels, 0),
    )
