"""How worker processes end, and what that says about the job in hand."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from typing import Final

from dropmill.model.outcome import Reason

# Exit codes of a worker, above those of shells and sysexits.h and below those of signals.
EXIT_OVER_MEMORY: Final = 97
EXIT_NOT_STARTED: Final = 98

# How libraries word a failed allocation before they abort: libstdc++, Rust, GLib, and libc's ENOMEM.
_OUT_OF_MEMORY_WORDS: Final = (
    b"std::bad_alloc",
    b"memory allocation of",
    b"failed to allocate",
    b"cannot allocate memory",
    b"out of memory",
)
# What native code dies of when it goes on without the memory that it asked for.
_HARD_DEATHS: Final = frozenset({signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGTRAP})


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a worker as the zygote saw it; ``status`` is as ``wait`` gives it.

    ``grown_bytes`` is how far its resident memory rose above the zygote's, ``out_of_memory_killer`` whether the
    kernel counted a kill of its own.
    """

    status: int
    grown_bytes: int = 0
    out_of_memory_killer: bool = False
    zygote_lost: bool = False
    """It went down with the zygote, so nothing is known of its own end."""


def cause(ended: Ended, *, budget_bytes: int, last_words: bytes = b"") -> tuple[Reason, str]:
    """Reason and detail of an end that the daemon did not ask for.

    A process that cannot map more memory leaves no trace of why it died, so three signs count: what it says with its
    last words, how near it was to its budget, and the kernel's own count of kills.
    """
    if ended.zygote_lost:
        return Reason.INTERRUPTED, "the worker pool was interrupted: its zygote ended, and all workers with it"
    code = os.waitstatus_to_exitcode(ended.status)
    told = how(ended.status)
    if code == EXIT_OVER_MEMORY:
        return Reason.MEMORY_LIMIT, f"needed more than its {budget_bytes >> 20} MiB"
    if code == -signal.SIGKILL and ended.out_of_memory_killer:
        return Reason.MEMORY_LIMIT, "killed by the kernel's out-of-memory killer"
    if code < 0 and -code in _HARD_DEATHS:
        spoken = any(words in last_words.lower() for words in _OUT_OF_MEMORY_WORDS)
        if spoken or ended.grown_bytes >= budget_bytes - (budget_bytes >> 3):
            return Reason.MEMORY_LIMIT, f"{told} for want of memory, within its {budget_bytes >> 20} MiB"
    return Reason.WORKER_CRASHED, told


def how(status: int) -> str:
    """A wait status in words: ``ended with exit code 1``, ``killed by SIGSEGV``."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:  # A real-time signal has a number only.
        return f"killed by signal {-code}"


def out_of_memory_kills() -> int:
    """How many processes of our cgroup (or else of the machine) the kernel has killed for memory; 0 where unknown."""
    for path, key in ((_cgroup_events(), b"oom_kill"), ("/proc/vmstat", b"oom_kill")):
        try:
            with open(path, "rb") as file:
                for line in file:
                    name, _, count = line.partition(b" ")
                    if name == key:
                        return int(count)
        except OSError:  # Neither cgroup v2 nor, under ProcSubset=pid, vmstat need be there.
            continue
    return 0


def _cgroup_events() -> str:
    try:
        with open("/proc/self/cgroup", encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                if line.startswith("0::"):
                    return "/sys/fs/cgroup" + line[3:].rstrip("\n").rstrip("/") + "/memory.events"
    except OSError:
        pass  # No /proc: the caller goes on to its next source.
    return "/sys/fs/cgroup/memory.events"
