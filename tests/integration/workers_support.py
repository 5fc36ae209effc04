"""What the tests of the worker pool share."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from dropmill.model.file import Signature
from dropmill.model.image import Limits, Recipe, RenditionSpec
from dropmill.model.work import Preview, WorkerLost, WorkRequest, WorkResult
from dropmill.workers.output import WorkerOutput
from dropmill.workers.pool import ProcessPool

HANDLERS = "workers_handlers"
FOLDER = str(Path(__file__).parent)


class RealClock:
    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@asynccontextmanager
async def a_pool(
    size: int = 2,
    *,
    memory_budget_mb: int = 256,
    memory_room_mb: int = 4096,
    idle_seconds: float = 60.0,
    load: str = HANDLERS,
    output: list[WorkerOutput] | None = None,
) -> AsyncIterator[ProcessPool]:
    said = [] if output is None else output
    clock, room_bytes = RealClock(), memory_room_mb << 20
    async with ProcessPool(size, memory_budget_mb, room_bytes, idle_seconds, clock, load, said.append) as pool:
        yield pool


def a_request(
    behaviour: str, root: Path | str = "/", staging: Path | str | None = None, *, job_id: int = 1, epoch: int = 1
) -> WorkRequest:
    """Staging is the same folder, where a worker is to leave word for a test; below ``/`` it must not write at all."""
    if staging is None:
        staging = "/nowhere" if root == "/" else root
    return WorkRequest(
        job_id=job_id,
        epoch=epoch,
        root=os.fsencode(root),
        rel=behaviour.encode(),
        signature=Signature(1, 2, 3, 4, 5),
        staging=os.fsencode(staging),
        recipe=Recipe((RenditionSpec("thumb", "fit", 400, 400),)),
        limits=Limits(),
    )


async def run(
    pool: ProcessPool, behaviour: str, root: Path | str = "/", *, timeout_seconds: float = 20.0, **more: Any
) -> WorkResult | WorkerLost:
    wanted = more.pop("wanted", yes)
    allowance_seconds = more.pop("allowance_seconds", nothing_more)
    request = a_request(behaviour, root, **more)
    return await pool.run(request, timeout_seconds=timeout_seconds, wanted=wanted, allowance_seconds=allowance_seconds)


async def yes(preview: Preview) -> bool:
    return True


def said(folder: Path, word: str) -> str:
    """What a worker has left word of there, or nothing."""
    path = folder / word
    return path.read_text() if path.exists() else ""


def nothing_more(preview: Preview) -> float:
    return 0.0


async def eventually(fact: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until ``fact()`` is true; fail when it does not become so."""
    until = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < until, f"not so within {seconds} s"
        await asyncio.sleep(0.005)


def gone(pid: int) -> bool:
    """Whether no code of this process runs any more; a zombie runs none."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(") ")[2][0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True
