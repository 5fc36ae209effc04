"""From the lines of drop-files to downloads that wait for a worker, and back to what is told of the lines."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final

from dropmill.assembly.ground import Ground
from dropmill.fetch.dropfile import Tail
from dropmill.fetch.fetcher import Bounds, Fetcher
from dropmill.fetch.lists import Lists
from dropmill.fetch.results import Results
from dropmill.files.holding import ResultsLock
from dropmill.files.lane import Lane
from dropmill.model.download import Fetch, FetchResult, stored_name
from dropmill.model.inbox import URLS_SUFFIX, Inbox
from dropmill.model.politeness import Rules
from dropmill.model.tailing import Dropfile
from dropmill.pipeline.pressure import HighWater
from dropmill.settings import Downloads
from dropmill.store import fetches
from dropmill.store.engine import EmbeddedEngine
from dropmill.store.robots import CatalogRobots

if TYPE_CHECKING:
    import httpx

    from dropmill.fetch.download import Downloader
    from dropmill.net import SystemResolver

# Lines that wait as jobs cost a row each; more of them wait in their file.
HIGH_WATER_LINES: Final = 200_000


class Stored:
    """Downloads into the private folder of an inbox, each under the number of its job: the port of the fetcher.

    A mill that fetches nothing loads no HTTP client, and no certificates. The netrc file is read at once, because without
    it no download would be what was meant. Raises ``ConfigurationError``.
    """

    def __init__(self, ground: Ground, *, heif: bool) -> None:
        self._ground = ground
        self._heif = heif
        self._client: httpx.AsyncClient | None = None
        self._resolver: SystemResolver | None = None
        self._downloader: Downloader | None = None
        self._logins = read_logins(ground.settings.downloads)

    async def download(self, fetch: Fetch, inbox: Inbox, note: Callable[[int, int | None], None]) -> FetchResult:
        return await self._opened().fetch(fetch, inbox.root.path, stored_name(fetch.job.id), note)

    async def forget(self, fetch: Fetch, inbox: Inbox) -> None:
        self._opened().drop(inbox.root.path, stored_name(fetch.job.id))

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()
        if self._resolver is not None:
            self._resolver.close()

    def _opened(self) -> Downloader:
        if self._downloader is None:
            self._downloader = self._open()
        return self._downloader

    def _open(self) -> Downloader:
        from dropmill.fetch.download import Downloader
        from dropmill.net import Belongings, ClientOptions, SystemResolver, open_client

        net, settings, clock = self._ground.settings.net, self._ground.settings.downloads, self._ground.clock
        options = ClientOptions(
            connections=settings.connections,
            connect_timeout_seconds=settings.connect_timeout_seconds,
            read_timeout_seconds=settings.read_timeout_seconds,
            http2=settings.http2,
            user_agent=settings.user_agent,
            proxy=settings.proxy,
        )
        self._resolver = SystemResolver(net.static_addresses, clock=clock)
        self._client = open_client(net.policy, self._resolver, clock, options)
        return Downloader(
            settings,
            self._client,
            net.policy,
            Belongings(settings.headers, self._logins),
            clock,
            allow_heif=self._heif,
            robots=CatalogRobots(self._ground.catalog),
        )


def read_logins(downloads: Downloads) -> Mapping[str, tuple[str, str]]:
    """User and password by host, of ``downloads.netrc``. Raises ``ConfigurationError``."""
    if not downloads.netrc:
        return {}
    from dropmill.net import read_netrc

    return read_netrc(downloads.netrc)


def make_fetcher(
    ground: Ground,
    closed: Callable[[], Awaitable[Collection[str]]],
    *,
    heif: bool,
    once: bool,
    wake: Callable[[], None],
) -> Fetcher:
    """``closed`` names inboxes of which nothing is begun now; ``wake``: something waits for a worker."""
    settings = ground.settings
    urls = {name: inbox for name, inbox in ground.inboxes.items() if inbox.urls}
    stored = Stored(ground, heif=heif)
    ground.closing.append(stored.close)
    return Fetcher(
        fetches.CatalogFetches(ground.catalog, ground.clock, ground.boot, list(urls), closed),
        stored,
        urls,
        Bounds(settings.downloads.connections, settings.downloads.backlog_files, once),
        rules_of(settings.downloads),
        ground.clock,
        ground.chance,
        ground.emit,
        ground.flight,
        wake,
    )


def rules_of(downloads: Downloads) -> Rules:
    return Rules(
        per_host=downloads.per_host,
        requests_per_second=downloads.requests_per_second_per_host,
        breaker_failures=downloads.breaker_failures,
        breaker_rest_seconds=downloads.breaker_rest_seconds,
        max_rest_seconds=downloads.max_rest_seconds,
        give_up_seconds=downloads.give_up_seconds,
        retry_base_seconds=downloads.retry_base_seconds,
        retry_cap_seconds=downloads.retry_cap_seconds,
        max_attempts=downloads.max_attempts,
    )


def make_lists(ground: Ground, wake: Callable[[], None]) -> Mapping[str, Lists]:
    """Where lists of URLs go that are dropped into an inbox, by its name: for those that take any."""
    lists: dict[str, Lists] = {}
    for inbox in ground.inboxes.values():
        if inbox.takes_lists:
            telling = Lane(f"results-{inbox.name}")
            ground.resources.callback(telling.close)
            urls, lane = ground.inboxes[inbox.name + URLS_SUFFIX], ground.lanes[inbox.root.path]
            lists[inbox.name] = Lists(inbox, urls, ground.catalog, lane, telling, ground.clock, ground.emit, wake)
    return lists


def make_dropfiles(
    ground: Ground, engine: EmbeddedEngine, intake: Callable[[], Awaitable[None]], wake: Callable[[], None]
) -> tuple[Mapping[str, Tail], Mapping[str, Results]]:
    """A reader and a teller for each drop-file, each with a thread of its own for what may hang."""
    tails: dict[str, Tail] = {}
    results: dict[str, Results] = {}
    limit = min(HIGH_WATER_LINES, ground.settings.queue.high_water_jobs)
    for item in ground.settings.dropfiles:
        dropfile = Dropfile(
            item.name,
            os.fsencode(os.path.abspath(item.path)),
            os.fsencode(os.path.abspath(item.results_path)),
            item.on_repeat,
            item.quiet_seconds,
            item.poll_seconds,
        )
        inbox = ground.inboxes[item.name]
        pressure = HighWater(lambda: 0, partial(engine.queue_holds, item.name), limit, ground.clock)
        reading, telling = Lane(f"tail-{item.name}"), Lane(f"results-{item.name}")
        for lane in (reading, telling):
            ground.resources.callback(lane.close)
        lock = ResultsLock(*dropfile.results_place, inbox.mode, inbox.gid)
        ground.resources.callback(lock.close)
        tails[item.name] = Tail(
            dropfile, inbox, ground.catalog, reading, lock.take, pressure, intake, ground.clock, ground.emit, wake
        )
        results[item.name] = Results(dropfile, inbox, ground.catalog, telling, ground.clock, ground.emit)
    return tails, results
