"""How many workers this machine, or this container, has room for, and how much memory for their pictures."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator

from dropmill.settings.sections import Workers


def effective_processes(workers: Workers, *, cpus: int | None = None, root: str = "/") -> int:
    """``workers.processes``, or for 0 the least of CPUs, CPU quota and memory limit over a worker's budget; at least 1.

    Args:
        cpus: CPUs this process may run on; None asks the system.
        root: where ``proc/self/cgroup`` and ``sys/fs/cgroup`` are looked for.

    The limits are those of the control group and of all groups above it, of version 2 (``cpu.max``, ``memory.max``, and
    ``memory.high``, above which the kernel slows everything down) and of version 1 (``cpu.cfs_quota_us``,
    ``memory.limit_in_bytes``); what cannot be read limits nothing.
    """
    if workers.processes:
        return workers.processes
    bounds = [cpus if cpus is not None else len(os.sched_getaffinity(0))]
    groups = _groups(root)
    for folder in groups["cpu"]:
        quota = _quota(folder)
        if quota:
            bounds.append(math.ceil(quota))
    for folder in groups["memory"]:
        memory = _memory_limit(folder)
        if memory:
            bounds.append(int(memory // (workers.memory_limit_mb << 20)))
    return max(1, min(bounds))


def memory_room_bytes(workers: Workers, *, root: str = "/") -> int:
    """``workers.memory_total_mb``, or for 0 three quarters of what is free now; at least the budget of one worker.

    Free is what the kernel calls available, or less where the limit of our control group, or of one above it, is less.
    """
    if workers.memory_total_mb:
        return workers.memory_total_mb << 20
    bounds = [limit for folder in _groups(root)["memory"] if (limit := _memory_limit(folder))]
    told = _read(os.path.join(root, "proc/meminfo")).splitlines()
    bounds += [int(line.split()[1]) << 10 for line in told if line.startswith("MemAvailable:")]
    budget_bytes = workers.memory_limit_mb << 20
    return max(min(bounds) * 3 // 4, budget_bytes) if bounds else budget_bytes * effective_processes(workers)


def memory_limit_bytes(*, root: str = "/") -> int | None:
    """The least limit of our control group and of those above it; None where nothing limits the memory."""
    found = [limit for folder in _groups(root)["memory"] if (limit := _memory_limit(folder))]
    # Version 1 says "unlimited" as the largest number of whole pages.
    return min((limit for limit in found if limit < 1 << 60), default=None)


def _memory_limit(folder: str) -> int | None:
    found = [_number(folder, name) for name in ("memory.max", "memory.high", "memory.limit_in_bytes")]
    return min((limit for limit in found if limit), default=None)


def _groups(root: str) -> dict[str, list[str]]:
    """The folders of our control groups for CPU and memory, innermost first."""
    mount = os.path.join(root, "sys/fs/cgroup")
    result: dict[str, list[str]] = {"cpu": [], "memory": []}
    for line in _read(os.path.join(root, "proc/self/cgroup")).splitlines():
        number, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        for controller, folders in result.items():
            if number == "0" and not names:
                folders += _upwards(mount, path)
            elif controller in names.split(","):
                for name in {names, controller}:
                    folders += _upwards(os.path.join(mount, name), path)
    return result


def _upwards(mount: str, path: str) -> Iterator[str]:
    # Inside a container the path may be the host's and not exist here; the mount itself is then our own group.
    parts = [part for part in path.split("/") if part not in {"", ".."}]
    for length in range(len(parts), -1, -1):
        yield os.path.join(mount, *parts[:length])


def _quota(folder: str) -> float | None:
    """CPUs worth of time; None where unlimited."""
    words = _read(os.path.join(folder, "cpu.max")).split()
    if len(words) == 2 and words[0].isdecimal() and words[1].isdecimal() and int(words[1]):
        return int(words[0]) / int(words[1])
    quota, period = _number(folder, "cpu.cfs_quota_us"), _number(folder, "cpu.cfs_period_us")
    return quota / period if quota and period else None


def _number(folder: str, name: str) -> int | None:
    """The number in a file; None where there is none (``max``, ``-1``, no such file)."""
    text = _read(os.path.join(folder, name)).strip()
    return int(text) if text.isdecimal() else None


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read(65536)
    except OSError:
        return ""
