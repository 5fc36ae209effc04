"""Reader and teller of one drop-file on a real catalog and real files, with a clock of the test's own and deaths on order."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar, cast

import anyio

from dropmill.fetch.dropfile import Tail
from dropmill.fetch.results import Results
from dropmill.files.lane import Lane
from dropmill.model.inbox import Inbox, Root
from dropmill.model.tailing import Dropfile
from dropmill.observe.facts import Fact
from dropmill.store import boot
from dropmill.store.catalog import Catalog, catalog_path
from dropmill.store.connection import Session

T = TypeVar("T")
QUIET_SECONDS = 2.0
POLL_SECONDS = 0.5


class Killed(BaseException):
    """The daemon dies here."""


class Clock:
    """Time passes only where somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: Callable[[], None] | None = None

    def monotonic(self) -> float:
        return self.now

    def now_ms(self) -> int:
        return int(self.now * 1000)

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await anyio.lowlevel.checkpoint()
        if self.slept is not None:
            self.slept()


class Pressure:
    said = ""

    def __init__(self) -> None:
        self.room = True

    async def full(self) -> bool:
        self.said = "" if self.room else "waits"
        return not self.room


class Mortal:
    """A catalog whose user dies at the ``dies_at``-th write counted from now: before it, or when it is committed."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self.dies_at = 0
        self.after_commit = False

    async def write(self, action: Callable[[Session], T]) -> T:
        self.dies_at -= 1
        if self.dies_at == 0 and not self.after_commit:
            raise Killed
        result = await self._catalog.write(action)
        if self.dies_at == 0:
            raise Killed
        return result

    async def read(self, action: Callable[[Session], T]) -> T:
        return await self._catalog.read(action)


class Rig:
    def __init__(self, folder: Path, **options: Any) -> None:
        self.path = folder / "urls.txt"
        self.results_path = folder / "urls.txt.results.jsonl"
        state = folder / "state"
        state.mkdir()
        self.catalog = Catalog(catalog_path(str(state)))
        self.mortal = Mortal(self.catalog)
        self.clock = Clock()
        self.pressure = Pressure()
        self.lane = Lane("tail")
        self.facts: list[Fact] = []
        self.woken = 0
        self.dropfile = Dropfile(
            name="list",
            path=os.fsencode(self.path),
            results=os.fsencode(self.results_path),
            on_repeat=options.get("on_repeat", "skip"),
            quiet_seconds=QUIET_SECONDS,
            poll_seconds=POLL_SECONDS,
        )

    async def open(self) -> None:
        def put(session: Session) -> int:
            boot.begin(session, "boot", 1, "0", 0)
            boot.put_root(session, "output", "out", b"/out")
            return boot.put_root(session, "inbox", "list", b"/state/downloads/list")

        root_id = await self.catalog.write(put)
        root, output = Root(root_id, b"/state/downloads/list"), Root(root_id - 1, b"/out")
        inbox = SimpleNamespace(name="list", root=root, output=output, priority=3, label="", mode=0o640, gid=-1)
        self.inbox = cast("Inbox", inbox)
        self.start()

    def start(self) -> None:
        """A new process, as far as reader and teller know."""
        catalog = cast("Catalog", self.mortal)
        self.tail = Tail(
            self.dropfile,
            self.inbox,
            catalog,
            self.lane,
            lambda: None,
            self.pressure,
            self._nothing,
            self.clock,
            self.facts.append,
            self._woke,
        )
        self.results = Results(self.dropfile, self.inbox, catalog, self.lane, self.clock, self.facts.append)

    def close(self) -> None:
        self.lane.close()
        self.catalog.close()

    async def _nothing(self) -> None:
        return

    def _woke(self) -> None:
        self.woken += 1

    async def read(self, until: Callable[[], bool] | None = None, *, turns: int = 2000) -> None:
        """Let the reader run until all is read, or as told."""
        done = until or (lambda: self.tail.quiet)
        await self._run(self.tail.run, done, turns)

    async def tell(self, *, turns: int = 20) -> None:
        """Let the teller run for so many pauses of its own, which is more than it needs."""
        await self._run(self.results.run, lambda: False, turns)

    async def _run(self, run: Callable[[], Any], done: Callable[[], bool], turns: int) -> None:
        """In steps of what the clock sleeps. A reader that had ended is as good as new: what it knows is in the catalog."""
        left = turns

        class Enough(Exception):
            pass

        def step() -> None:
            nonlocal left
            left -= 1
            if done() or left <= 0:
                raise Enough

        self.clock.slept = step
        try:
            await run()
        except Enough:
            pass
        finally:
            self.clock.slept = None
        assert done() or turns < 100, "it does not come to an end"

    async def rows(self, text: str) -> list[tuple[Any, ...]]:
        return await self.catalog.read(lambda session: session.connection.execute(text).fetchall())

    async def lines(self) -> list[tuple[Any, ...]]:
        """``(generation, line, url, job_id, reason)`` of every line, in order."""
        return await self.rows("SELECT generation, line, url, job_id, reason FROM lines ORDER BY id")

    async def urls(self) -> list[str]:
        return [row[2] for row in await self.lines()]

    async def jobs(self) -> list[tuple[Any, ...]]:
        return await self.rows(
            "SELECT j.id, d.canonical, j.state FROM jobs AS j JOIN downloads AS d ON d.job_id = j.id ORDER BY 1"
        )

    async def end(self, job_id: int, state: str = "discarded", *, reason: str | None = "http-404") -> None:
        """The job ends, as the fetcher and the committer would have it."""
        outcome = None if state in {"discarded", "cancelled"} else state
        text = (
            "UPDATE jobs SET state = ?, outcome = ?, reason = ?, detail = 'so it ended', finished_at_ms = ?, "
            "sha256 = ? WHERE id = ?"
        )
        values = (
            "completed" if outcome else state,
            outcome,
            reason,
            self.clock.now_ms(),
            "ab" * 32 if outcome else None,
            job_id,
        )
        await self.catalog.write(lambda session: session.connection.execute(text, values).fetchall())

    def told(self) -> list[dict[str, Any]]:
        if not self.results_path.exists():
            return []
        return [json.loads(line) for line in self.results_path.read_bytes().splitlines()]
