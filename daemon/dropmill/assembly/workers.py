"""Puts together the pool of workers."""

from __future__ import annotations

from typing import Final

from dropmill.observe.facts import Emit, WorkerSaid
from dropmill.ports import Clock
from dropmill.settings import Workers, effective_processes, memory_room_bytes
from dropmill.workers.pool import ProcessPool

WORKER_MODULE: Final = "dropmill.imaging.entry"


def make_pool(workers: Workers, clock: Clock, emit: Emit) -> ProcessPool:
    return ProcessPool(
        effective_processes(workers),
        workers.memory_limit_mb,
        memory_room_bytes(workers),
        workers.idle_seconds,
        clock,
        WORKER_MODULE,
        lambda line: emit(WorkerSaid(line.pid, line.job_id, line.text)),
    )
