"""How far one scan of an inbox goes when there is too much already (W33)."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from workers_support import eventually

from bench.cycles import INBOX
from dropmill.files.lane import Lane
from dropmill.files.roots import InboxLock
from dropmill.files.scan import CHUNK_ENTRIES
from dropmill.files.standing import Standing
from dropmill.model.file import Signature
from dropmill.model.inbox import Inbox, Root
from dropmill.observe.facts import Fact, Scanned
from dropmill.pipeline.watch import Watch

SECONDS = 20.0
LOTS = 4


class Impatient:
    """Real time, but nobody sleeps for long."""

    def monotonic(self) -> float:
        return time.monotonic()

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(min(seconds, 0.001))


class Nothing:
    """A ledger that knows no file."""

    async def known(self, root_id: int, seen: Sequence[tuple[bytes, Signature]]) -> set[bytes]:
        return set()

    async def held_before(self, root_id: int, rel: bytes, job_id: int) -> bool:
        return False


class Mark:
    """Full from so many hints on, until the mark is raised."""

    said = ""

    def __init__(self, hints: list[bytes]) -> None:
        self.hints = hints
        self.most = CHUNK_ENTRIES
        self.refused = 0

    async def full(self) -> bool:
        full = len(self.hints) >= self.most
        self.refused += full
        return full


def watch(folder: Path, lane: Lane, hints: list[bytes], mark: Mark, facts: list[Fact]) -> Watch:
    async def recognise(inbox: Inbox, standing: Standing, empty: bool) -> bool:
        return True

    async def nothing(*_: Any) -> None:
        pass

    inbox = replace(INBOX, root=Root(1, os.fsencode(folder)), watch="poll", poll_seconds=3600.0)
    return Watch(
        inbox=inbox,
        lane=lane,
        lock=InboxLock(inbox.root.path),
        ledger=Nothing(),
        pressure=mark,
        clock=Impatient(),
        chance=random.Random(1),
        emit=facts.append,
        hint=lambda rel, hint: hints.append(rel),
        wake_from_thread=lambda wake: wake(),
        recognise=recognise,
        scanned=nothing,
        leftover=nothing,
    )


@pytest.mark.anyio
async def test_w33_a_scan_stops_where_the_mark_is_reached_and_goes_on_once_there_is_room(tmp_path: Path) -> None:
    names = {b"%05d.jpg" % number for number in range(LOTS * CHUNK_ENTRIES)}
    for name in names:
        (tmp_path / os.fsdecode(name)).touch()
    hints: list[bytes] = []
    facts: list[Fact] = []
    mark = Mark(hints)
    lane = Lane("inbox")
    watching = watch(tmp_path, lane, hints, mark, facts)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watching.run)
        for lots in range(1, LOTS + 1):
            enough = mark.refused + 5
            await eventually(lambda enough=enough: mark.refused >= enough, SECONDS)  # type: ignore[misc]  # Binds the value.
            assert len(hints) == lots * CHUNK_ENTRIES, "no further than to the end of its lot"
            mark.most += CHUNK_ENTRIES
        await eventually(lambda: any(isinstance(fact, Scanned) for fact in facts), SECONDS)
        tasks.cancel_scope.cancel()
    watching.close()
    lane.close()
    assert set(hints) == names
    assert len(hints) == len(names), "each of them once"
