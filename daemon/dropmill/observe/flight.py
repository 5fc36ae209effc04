"""The flight recorder: how many jobs are in each stage, kept in a mapped file so that it outlives a SIGKILL.

After a crash the next start reads it and can say what was in hand. Writing costs a store to memory, no system call;
the page cache survives the process (not a power cut, for which it is only a hint anyway).
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from dropmill.observe.facts import Emit, StageTimed
from dropmill.ports import Clock

STAGES: Final = ("settle", "enqueue", "claim", "fetch", "process", "commit", "publish", "dispose", "notify")
_FORMAT: Final = struct.Struct(f"<8s{len(STAGES)}I")
_MAGIC: Final = b"dmflight"


class Flight:
    """Counts entries into and exits from stages; ``stage`` also emits how long each took."""

    def __init__(self, path: str, clock: Clock, emit: Emit) -> None:
        self._clock = clock
        self._emit = emit
        self._counts = dict.fromkeys(STAGES, 0)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            os.ftruncate(descriptor, _FORMAT.size)
            self._map = mmap.mmap(descriptor, _FORMAT.size)
        finally:
            os.close(descriptor)
        self._write()

    @contextmanager
    def stage(self, name: str, job_id: int | None = None) -> Iterator[None]:
        started = self._clock.monotonic()
        self._counts[name] += 1
        self._write()
        try:
            yield
        finally:
            self._counts[name] -= 1
            self._write()
            self._emit(StageTimed(name, self._clock.monotonic() - started, job_id))

    def _write(self) -> None:
        _FORMAT.pack_into(self._map, 0, _MAGIC, *self._counts.values())

    def close(self) -> None:
        self._map.close()


def last_flight(path: str) -> dict[str, int]:
    """What a run that ended without a shutdown had in hand, by stage; empty if nothing is known."""
    try:
        with open(path, "rb") as file:
            data = file.read(_FORMAT.size)
    except FileNotFoundError:
        return {}
    if len(data) != _FORMAT.size:
        return {}
    magic, *counts = _FORMAT.unpack(data)
    if magic != _MAGIC:
        return {}
    return {stage: count for stage, count in zip(STAGES, counts, strict=True) if count}
