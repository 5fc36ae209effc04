"""CPU time and memory of other processes and of all that they started (Linux).

CPU time comes from the kernel's own accounts, to the nanosecond or microsecond, not from samples. That of a tree is
what its processes leave to those that wait for them; orphans come to us (PR_SET_CHILD_SUBREAPER), so nothing escapes.
"""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_PR_SET_CHILD_SUBREAPER = 36  # <linux/prctl.h>
_CPUCLOCK_SCHED = 2  # <linux/posix-timers.h>: the clock of a process is (~pid << 3) | 2.
ORPHAN_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Spent:
    """What a command took from start to end, in seconds."""

    tree: float
    """CPU of the command and of everything it started."""
    own: float
    """CPU of the command's own process, all its threads."""
    wall: float
    code: int


def run_measured(command: Sequence[str], *, cwd: Path, env: Mapping[str, str], output: IO[bytes]) -> Spent:
    """Run ``command`` to its end, and whatever it left running to theirs. No other child of ours may be alive."""
    adopt_orphans()
    before = _of_children()
    began = time.monotonic()
    process = subprocess.Popen(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    # Its clock can be read until it is waited for; and only then are its children's accounts complete.
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    wall = time.monotonic() - began
    own = cpu_seconds(process.pid)
    code = process.wait()
    _wait_for_orphans()
    return Spent(_of_children() - before, own, wall, code)


def adopt_orphans() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, *map(ctypes.c_ulong, (1, 0, 0, 0))) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def cpu_seconds(pid: int) -> float:
    """User and system time of one process with all its threads, alive or a zombie, without its children."""
    return time.clock_gettime((~pid << 3) | _CPUCLOCK_SCHED)


def tree_of(pid: int) -> list[int]:
    """A living process and its descendants."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(") ")[2].split()[1])
            except OSError:
                continue  # Ended in between.
    family = [pid]
    for member in family:
        family += [child for child, parent in parents.items() if parent == member]
    return family


def resident_mb(pid: int) -> float:
    """VmRSS, in 10⁶ bytes."""
    return _status_mb(pid, "VmRSS:")


def peak_resident_mb(pid: int) -> float:
    """VmHWM, in 10⁶ bytes."""
    return _status_mb(pid, "VmHWM:")


def _status_mb(pid: int, field: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024 / 1e6
    raise ProcessLookupError(pid)


def _of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _wait_for_orphans() -> None:
    deadline = time.monotonic() + ORPHAN_SECONDS
    while True:
        try:
            reaped, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not reaped:
            if time.monotonic() > deadline:
                raise TimeoutError("a process that the command started does not end")
            time.sleep(0.01)
