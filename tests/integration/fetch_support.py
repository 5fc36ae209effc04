"""The fetcher on real SQLite in simulated time: hosts that do what a test says, and who asked them for what and when."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar, cast

import anyio
import anyio.lowlevel
import apsw

from bench.cycles import INBOX
from dropmill.fetch.fetcher import Bounds, Fetcher
from dropmill.model.download import Failed, Fetch, Fetched, FetchResult, NotModified, Provenance, Wanted
from dropmill.model.file import Signature
from dropmill.model.inbox import Inbox, Root
from dropmill.model.job import FoundBy
from dropmill.model.outcome import Reason
from dropmill.model.politeness import Rules
from dropmill.observe.facts import Fact
from dropmill.observe.flight import Flight
from dropmill.store import boot, dropfiles, queue
from dropmill.store.catalog import Catalog, catalog_path
from dropmill.store.connection import Row, Session, connect, snapshot, trouble
from dropmill.store.fetches import CatalogFetches
from simulation.sim_loop import SimulatedClock, SimulatedLoop, Time

T = TypeVar("T")
F = TypeVar("F", bound=Fact)
RULES = Rules(
    per_host=8,
    requests_per_second=0,
    breaker_failures=5,
    breaker_rest_seconds=15.0,
    max_rest_seconds=3600.0,
    give_up_seconds=86_400.0,
    retry_base_seconds=2.0,
    retry_cap_seconds=300.0,
    max_attempts=5,
)
BOUNDS = Bounds(connections=64, backlog_files=100_000)
GONE = Failed(Reason.HTTP_404, "no such file", permanent=True)
DEAD = Failed(Reason.CONNECT_FAILED, "nobody answers", permanent=False, blames_host=True)


def busy(retry_after_seconds: float | None, reason: Reason = Reason.HTTP_429) -> Failed:
    return Failed(reason, "slow down", permanent=False, retry_after_seconds=retry_after_seconds, blames_host=True)


def file_of(fetch: Fetch) -> Fetched:
    provenance = Provenance(fetch.wanted.canonical, (), "192.0.2.1", 200, '"1"', size_bytes=10, sha256="ab" * 32)
    return Fetched(Signature(1, fetch.job.id, 10, 5, 5), provenance)


def not_modified(fetch: Fetch) -> NotModified:
    return NotModified(Provenance(fetch.wanted.canonical, status=304))


Behaviour = Callable[[Fetch, Callable[[int, int | None], None]], Awaitable[FetchResult]]


def takes(seconds: float, result: Callable[[Fetch], FetchResult] | FetchResult = file_of) -> Behaviour:
    """A host that takes so long, and then says that; of a file the first bytes come after half of the time."""

    async def behave(fetch: Fetch, note: Callable[[int, int | None], None]) -> FetchResult:
        said = result(fetch) if callable(result) else result
        await anyio.sleep(seconds / 2)
        if isinstance(said, Fetched):
            note(0, 10)
        await anyio.sleep(seconds / 2)
        if isinstance(said, Fetched):
            note(10, 10)
        return said

    return behave


def then(*behaviours: Behaviour) -> Behaviour:
    """One after the other, by request; the last one from then on."""
    left = list(behaviours)

    async def behave(fetch: Fetch, note: Callable[[int, int | None], None]) -> FetchResult:
        return await (left.pop(0) if len(left) > 1 else left[0])(fetch, note)

    return behave


class SetClock(SimulatedClock):
    """One that somebody sets."""

    ahead_ms = 0

    def now_ms(self) -> int:
        return super().now_ms() + self.ahead_ms

    def set(self, by_ms: int) -> None:
        self.ahead_ms += by_ms


class SimulatedCatalog:
    """The catalog without its threads."""

    def __init__(self, path: str) -> None:
        Catalog(path).close()
        self._session = Session(connect(path))
        self.locked: Exception | None = None
        self.reads = 0

    async def write(self, action: Callable[[Session], T], *, patient: bool = False) -> T:
        await anyio.lowlevel.cancel_shielded_checkpoint()
        if self.locked is not None:
            raise self.locked
        try:
            with self._session.connection:
                return action(self._session)
        except apsw.Error as error:
            raise trouble(error) from error

    async def read(self, action: Callable[[Session], T]) -> T:
        await anyio.lowlevel.checkpoint()
        self.reads += 1
        return snapshot(self._session, action)

    def rows(self, statement: str, **values: Any) -> list[Row]:
        cursor = self._session.connection.execute(statement, values)
        return [dict(zip([column[0] for column in cursor.get_description()], row, strict=True)) for row in cursor]

    def close(self) -> None:
        self._session.connection.close()


@dataclass
class Net:
    """All hosts there are, by origin; one that is not named sends files at once."""

    hosts: dict[str, Behaviour] = field(default_factory=dict)
    asked: list[tuple[float, str, int]] = field(default_factory=list)
    """``(seconds, origin, job id)`` of each request."""
    running: Counter[str] = field(default_factory=Counter)
    most: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    """Most requests at a time, by origin; ``*`` for all."""
    forgotten: list[int] = field(default_factory=list)
    validators: list[tuple[str, str]] = field(default_factory=list)

    async def download(self, fetch: Fetch, inbox: Inbox, note: Callable[[int, int | None], None]) -> FetchResult:
        origin = fetch.wanted.origin
        assert fetch.job.inbox == inbox.name
        self.asked.append((asyncio.get_running_loop().time(), origin, fetch.job.id))
        self.validators.append((fetch.etag, fetch.last_modified))
        self.running[origin] += 1
        self.most[origin] = max(self.most[origin], self.running[origin])
        self.most["*"] = max(self.most["*"], self.running.total())
        try:
            return await self.hosts.get(origin, takes(0.1))(fetch, note)
        finally:
            self.running[origin] -= 1

    async def forget(self, fetch: Fetch, inbox: Inbox) -> None:
        self.forgotten.append(fetch.job.id)

    def times(self, origin: str) -> list[float]:
        return [seconds for seconds, asked, _ in self.asked if asked == origin]


class Mill:
    """What is there of a daemon: the catalog outlives each :meth:`running`, as it does a process."""

    def __init__(self, folder: Path, *names: str, rules: Rules = RULES, bounds: Bounds = BOUNDS) -> None:
        self.time = Time()
        self.clock = SetClock(self.time)
        self.net = Net()
        self.rules = rules
        self.bounds = bounds
        self.catalog = SimulatedCatalog(catalog_path(str(folder)))
        self.facts: list[Fact] = []
        self.closed: set[str] = set()
        self.woken = 0
        self.boots = 0
        self._folder = folder
        self.inboxes = {name: self._inbox(name) for name in names or ("list",)}

    def _inbox(self, name: str) -> Inbox:
        def make(session: Session) -> tuple[int, int]:
            return (
                boot.put_root(session, "inbox", name, b"/in/" + name.encode()),
                boot.put_root(session, "output", "out", b"/out"),
            )

        session = self.catalog._session
        with session.connection:
            root, output = make(session)
        return replace(INBOX, name=name, root=Root(root, b"/in"), output=Root(output, b"/out"), urls=True)

    def add(
        self, origin: str, count: int, inbox: str = "list", first: int = 0, priority: int | None = None
    ) -> list[int]:
        """So many URLs of a host; returns the ids of their jobs."""
        urls = [f"{origin.rpartition(':')[0]}/{number}.jpg" for number in range(first, first + count)]
        wanted = [Wanted(url, url, origin, priority=priority) for url in urls]
        session = self.catalog._session
        with session.connection:
            taken = dropfiles.take_urls(
                session, self.inboxes[inbox], wanted, FoundBy.MANUAL, on_repeat="fetch", now_ms=self.clock.now_ms()
            )
        return [one.job_id for one in taken]

    def run(self, main: Callable[[], Awaitable[T]]) -> T:
        """In simulated time, which stands still between two calls."""
        loop = SimulatedLoop(self.time)
        try:
            asyncio.set_event_loop(loop)
            return loop.run_until_complete(main())
        finally:
            loop.abandon()
            asyncio.set_event_loop(None)

    @asynccontextmanager
    async def running(self, *, killed: bool = False) -> AsyncIterator[Fetcher]:
        """A daemon's fetcher, from its start to its stop, or to a SIGKILL, which lets it say nothing more."""
        self.boots += 1
        owner = f"boot-{self.boots}"
        await self.catalog.write(lambda session: boot.begin(session, owner, 1, "0", self.clock.now_ms()))
        await self.catalog.write(lambda session: queue.rescue(session, owner, 20, self.clock.now_ms()))
        fetcher = self.fetcher(owner)
        async with anyio.create_task_group() as group:
            group.start_soon(fetcher.run)
            yield fetcher
            if killed:
                self.catalog.locked = SystemExit()
                group.cancel_scope.cancel()
            else:
                await fetcher.close()
        self.catalog.locked = None

    def port(self, owner: str) -> CatalogFetches:
        async def closed() -> set[str]:
            return self.closed

        return CatalogFetches(cast(Catalog, self.catalog), self.clock, owner, list(self.inboxes), closed)

    def fetcher(self, owner: str) -> Fetcher:
        def woken() -> None:
            self.woken += 1

        flight = Flight(str(self._folder / "flight"), self.clock, lambda _: None)
        return Fetcher(
            self.port(owner),
            self.net,
            self.inboxes,
            self.bounds,
            self.rules,
            self.clock,
            random.Random(7),
            self.facts.append,
            flight,
            woken,
        )

    async def until(self, holds: Callable[[], bool], every_seconds: float = 0.5) -> None:
        """Simulated time passes until then; a day is more than anything here takes."""
        with anyio.fail_after(86_400):
            while not holds():  # noqa: ASYNC110  # What it waits for is in the catalog.
                await anyio.sleep(every_seconds)

    def jobs(self, ids: Iterable[int] | None = None) -> dict[int, Row]:
        wanted = None if ids is None else set(ids)
        rows = self.catalog.rows("SELECT * FROM jobs")
        return {row["id"]: row for row in rows if wanted is None or row["id"] in wanted}

    def states(self, ids: Iterable[int] | None = None) -> Counter[str]:
        """``fetched`` stands for available to a worker."""
        told = (
            "CASE WHEN phase = 'process' AND state = 'available' THEN 'fetched' ELSE state END AS said, count(*) AS n"
        )
        if ids is None:
            rows = self.catalog.rows(f"SELECT {told} FROM jobs GROUP BY said")
        else:
            rows = self.catalog.rows(
                f"SELECT {told} FROM json_each(:ids) JOIN jobs ON jobs.id = value GROUP BY said",
                ids=json.dumps(list(ids)),
            )
        return Counter({row["said"]: row["n"] for row in rows})

    def host(self, origin: str) -> Row:
        return self.catalog.rows("SELECT * FROM hosts WHERE origin = :origin", origin=origin)[0]

    def told(self, kind: type[F]) -> list[F]:
        return [fact for fact in self.facts if isinstance(fact, kind)]
