"""Many originals leave an inbox without keeping those waiting who look after it (S11, W40)."""

from __future__ import annotations

import random
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from anyio import wait_all_tasks_blocked
from anyio.lowlevel import checkpoint

from dropmill.files import dispose as files
from dropmill.files.lane import Lane
from dropmill.model.publication import Disposition
from dropmill.observe.facts import Fact, OriginalDisposed
from dropmill.observe.flight import Flight
from dropmill.pipeline import dispose

pytestmark = pytest.mark.anyio

INBOX = b"/in"
FILES = 50


class Catalog:
    """Owes one lot, and takes note of nothing."""

    def __init__(self) -> None:
        self.due = [
            SimpleNamespace(
                id=number,
                job_id=number,
                inbox="camera",
                disposition=Disposition.DELETE,
                root=INBOX,
                rel=b"%d.jpg" % number,
                anchor_image_id=None,
                target=None,
                target_name=None,
                source=b"%d.jpg" % number,
            )
            for number in range(FILES)
        ]

    async def read(self, _action: object) -> list[Any]:
        await checkpoint()
        return self.due

    async def write(self, _action: object, *, patient: bool = False) -> None:
        await checkpoint()


async def test_s11_who_looks_after_an_inbox_comes_after_few_of_many_originals_that_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, under_way, gone, facts = threading.Event(), threading.Event(), list[bytes](), list[Fact]()

    def take_out(disposal: Any, _name: bytes, _inbox: object) -> files.Gone:
        under_way.set()
        assert go.wait(60)
        gone.append(disposal.rel)
        return files.Gone()

    monkeypatch.setattr(dispose, "take_out", take_out)
    lane, catalog = Lane("lane-camera"), Catalog()
    clock: Any = SimpleNamespace(now_ms=lambda: 0, monotonic=lambda: 0.0)
    inboxes: Any = {"camera": SimpleNamespace(urls=False)}
    disposer = dispose.Disposer(
        catalog,
        inboxes,
        {INBOX: lane},
        clock,
        random.Random(1),
        facts.append,
        Flight(str(tmp_path / "flight"), clock, facts.append),
        None,
        None,
    )
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(disposer.drain, ["camera"])
            with anyio.fail_after(60):
                while not under_way.is_set():  # noqa: ASYNC110  # A thread sets it.
                    await anyio.sleep(0.001)
            await wait_all_tasks_blocked()
            looked = lane.send(lambda: len(gone))
            go.set()
            assert await looked == dispose.MOST_IN_LANE
    finally:
        go.set()
        lane.close()
    assert sorted(gone) == sorted(disposal.rel for disposal in catalog.due)
    assert len([fact for fact in facts if isinstance(fact, OriginalDisposed)]) == FILES
