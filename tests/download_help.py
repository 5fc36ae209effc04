"""The real Downloader over the real guarded client, for tests against ``web.WebServer``."""

from __future__ import annotations

import functools
import hashlib
import io
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import anyio
from PIL import Image

from dropmill.fetch.download import Downloader, RobotsStore
from dropmill.model.download import Fetch, FetchResult, Host, Wanted
from dropmill.model.file import Signature
from dropmill.model.job import FoundBy, Job
from dropmill.model.netpolicy import Policy
from dropmill.model.url import parse_url
from dropmill.net import Belongings, ClientOptions, ResolveFailed, SystemResolver, open_client
from dropmill.observe.clock import SystemClock
from dropmill.settings.downloads import Downloads
from dropmill.settings.net import Net

T = TypeVar("T")
NOWHERE = Signature(0, 0, 0, 0, 0)


def jpeg(size_bytes: int = 0, seed: int = 1) -> bytes:
    """A small picture; with ``size_bytes``, one of that very size, padded with comments before its first scan."""
    out = io.BytesIO()
    chance = random.Random(seed)
    Image.frombytes("RGB", (64, 64), chance.randbytes(64 * 64 * 3)).save(out, "JPEG", quality=90)
    data = out.getvalue()
    missing = size_bytes - len(data)
    padding = b""
    while missing > len(padding):
        left = missing - len(padding)
        take = min(left, 60_000) if left - min(left, 60_000) not in {1, 2, 3} else left // 2
        assert take >= 4, "too small to be padded to"
        padding += b"\xff\xfe" + (take - 2).to_bytes(2, "big") + chance.randbytes(take - 4)
    return data[:2] + padding + data[2:]


@functools.cache
def nobody_in_particular() -> ssl.SSLContext:
    """Whom to trust; made once, because reading the lists takes longer than a download."""
    return ssl.create_default_context()


def no_name_servers(host: str) -> NoReturn:
    raise ResolveFailed(host, "there is no such name", missing=True)


def rel_of(canonical: str) -> bytes:
    """Where the rig keeps the download of a URL; in a folder, which the mill's own names need not have."""
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    return f"{digest[:2]}/{digest[:40]}".encode()


def asked_for(url: str, job_id: int = 1, *, etag: str = "", last_modified: str = "", **fields: Any) -> Fetch:
    parsed = parse_url(url)
    job = Job(job_id, 1, "list", rel_of(parsed.canonical), NOWHERE, FoundBy.EVENT, "", 1, 0, 0, False, None, None, None)
    wanted = Wanted(url, parsed.canonical, parsed.origin, **fields)
    return Fetch(job, wanted, Host(1, parsed.origin), etag, last_modified)


class Rig:
    """A folder for downloads, and the settings for those that go into it. ``hosts``: what names lead to."""

    def __init__(
        self,
        folder: Path,
        *,
        hosts: Mapping[str, str] | None = None,
        robots_store: RobotsStore | None = None,
        logins: Mapping[str, tuple[str, str]] | None = None,
        **settings: Any,
    ) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        self.folder = folder
        self.settings = Downloads(**settings)
        self.notes: list[tuple[int, int | None]] = []
        self._hosts = {host: (ip_address(address),) for host, address in (hosts or {}).items()}
        self._robots = robots_store
        self._logins = dict(logins or {})

    @asynccontextmanager
    async def downloader(self) -> AsyncIterator[Downloader]:
        clock = SystemClock()
        policy: Policy = Net(allow_networks=("127.0.0.0/8",), ports=("1-65535",)).policy
        resolver = SystemResolver(self._hosts, clock, lookup=no_name_servers)
        options = ClientOptions(
            connections=self.settings.connections,
            connect_timeout_seconds=self.settings.connect_timeout_seconds,
            read_timeout_seconds=self.settings.read_timeout_seconds,
            http2=False,
            user_agent=self.settings.user_agent,
            tls=nobody_in_particular(),
        )
        belongings = Belongings(self.settings.headers, self._logins)
        async with open_client(policy, resolver, clock, options) as client:
            yield Downloader(self.settings, client, policy, belongings, clock, allow_heif=False, robots=self._robots)
        resolver.close()

    async def fetch(self, downloader: Downloader, fetch: Fetch) -> FetchResult:
        return await downloader.fetch(fetch, bytes(self.folder), fetch.job.rel, self.note)

    def note(self, size_bytes: int, total_bytes: int | None) -> None:
        self.notes.append((size_bytes, total_bytes))

    def run(self, story: Callable[[Downloader], Awaitable[T]]) -> T:
        async def main() -> T:
            async with self.downloader() as downloader:
                return await story(downloader)

        return anyio.run(main)

    def get(self, url: str, job_id: int = 1, **more: Any) -> FetchResult:
        """One download, by a daemon that is started for it."""
        return self.run(lambda downloader: self.fetch(downloader, asked_for(url, job_id, **more)))

    def path(self, url: str) -> Path:
        return self.folder / rel_of(parse_url(url).canonical).decode()

    def part(self, url: str) -> Path:
        return self.path(url).with_name(self.path(url).name + ".part")

    def sidecar(self, url: str) -> Path:
        return self.path(url).with_name(self.path(url).name + ".part.json")

    def files(self) -> list[str]:
        """What lies in the folder, by the last part of its name: ``""`` (complete), ``.part``, ``.part.json``."""
        return sorted(path.name[38:] for path in self.folder.rglob("*") if path.is_file())
