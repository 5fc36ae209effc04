"""The way of a job to a worker and back, with nothing done there."""

from __future__ import annotations

import os
import time
from pathlib import Path

import anyio

from bench.cycles import RECIPE
from bench.plan import Plan, tell
from bench.report import Row
from dropmill.model.file import Signature
from dropmill.model.image import Limits, Recipe
from dropmill.model.work import Preview, Recognised, WorkRequest
from dropmill.observe.clock import SystemClock
from dropmill.workers.pool import ProcessPool

HANDLER = "bench.echo"
TRIPS = 4_000


def measure(plan: Plan) -> list[Row]:
    tell("the worker pool")
    # The zygote starts without our folder on its path.
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(Path(__file__).parents[1])
    try:
        return anyio.run(_measure, TRIPS // 4 if plan.quick else TRIPS)
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


async def _measure(trips: int) -> list[Row]:
    async with ProcessPool(1, 256, 4 << 30, 60.0, SystemClock(), HANDLER, lambda line: None) as pool:
        await _trips(pool, Recipe(()), 50)
        rows = []
        for name, recipe in (("round trip to a worker", Recipe(())), ("  with a question on the way", RECIPE)):
            began, cpu_began = time.monotonic(), time.process_time()
            await _trips(pool, recipe, trips)
            wall, cpu = time.monotonic() - began, time.process_time() - cpu_began
            rows.append(Row(name, 1e6 * wall / trips, "µs"))
            rows.append(Row("  CPU of the daemon's side", 1e6 * cpu / trips, "µs"))
    return rows


async def _trips(pool: ProcessPool, recipe: Recipe, count: int) -> None:
    for number in range(count):
        request = WorkRequest(
            number, 1, b"/in", b"a.jpg", Signature(1, 2, 3, 4, 5), b"/out/.dropmill", recipe, Limits()
        )
        result = await pool.run(request, timeout_seconds=20.0, wanted=_yes, allowance_seconds=_nothing)
        if not isinstance(result, Recognised):
            raise RuntimeError(str(result))


async def _yes(preview: Preview) -> bool:
    return True


def _nothing(preview: Preview) -> float:
    return 0.0
