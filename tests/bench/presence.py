"""What the daemon costs by being there: time to start, memory and CPU while nothing happens."""

from __future__ import annotations

import statistics
import time

from bench.meter import cpu_seconds, resident_mb, tree_of
from bench.mills import a_mill, pid_of, started
from bench.plan import Plan, tell
from bench.report import AT_MOST, Bar, Row

STARTS = 5
# After READY the zygote still loads its modules and the first scan ends.
QUIET_SECONDS = 4.0


def measure(plan: Plan) -> list[Row]:
    mill = a_mill(plan.scratch / "mill")
    ready_seconds, ready_cpu = [], []
    tell(f"{STARTS} starts, then {plan.idle_seconds:.0f} s of doing nothing")
    for _ in range(STARTS - 1):
        with started(mill) as seconds:
            ready_cpu.append(cpu_seconds(pid_of(mill)))
            ready_seconds.append(seconds)
    with started(mill) as seconds:
        pid = pid_of(mill)
        ready_cpu.append(cpu_seconds(pid))
        ready_seconds.append(seconds)
        time.sleep(QUIET_SECONDS)
        own, whole = _share_of_a_core(pid, plan.idle_seconds)
        resident = resident_mb(pid)
        others = sum(resident_mb(member) for member in tree_of(pid)[1:])
    return [
        Row("start to READY, median of 5", statistics.median(ready_seconds), "s", Bar(AT_MOST, 1.5)),
        Row("  CPU of the daemon until then", statistics.median(ready_cpu), "s"),
        Row("idle: memory (RSS) of the daemon", resident, "MB", Bar(AT_MOST, 120)),
        Row("  memory (RSS) of the zygote", others, "MB"),
        Row("idle: CPU of the daemon, of one core", 100 * own, "%", Bar(AT_MOST, 0.5)),
        Row("  with zygote and workers", 100 * whole, "%"),
    ]


def _share_of_a_core(pid: int, seconds: float) -> tuple[float, float]:
    """Of the process alone, and with its descendants."""
    family = tree_of(pid)
    before = [cpu_seconds(member) for member in family]
    began = time.monotonic()
    time.sleep(seconds)
    passed = time.monotonic() - began
    spent = [cpu_seconds(member) - earlier for member, earlier in zip(family, before, strict=True)]
    return spent[0] / passed, sum(spent) / passed
