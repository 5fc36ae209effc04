"""The hosts that URLs are asked of: an httpx transport underneath the real downloader, whose answers the seed decides.

Everything above it is the daemon's own: redirects, ranges, verification, files. What is below, names and connections, is
not there: an answer comes after a while, in pieces, in part or not at all.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio
import httpx

from dropmill.model.download import Fetch
from dropmill.net.redirects import LOCATION
from simulation.sim_disk import Crash
from simulation.sim_parts import picture

if TYPE_CHECKING:
    from simulation.sim_run import Run

HOSTS = ("a.example", "b.example", "c.example")
PAGES = 4
# What a URL always answers with, whoever asks and how often.
_LASTING = {"gone": 404, "closed": 410, "forbidden": 403}


@dataclass(slots=True)
class Page:
    """``versions``: from which second on the page holds which bytes. ``etag``: "strong", "weak" or empty for none."""

    nature: str
    versions: list[tuple[float, bytes]]
    etag: str
    ranges: bool
    length: bool

    def now(self, seconds: float) -> bytes:
        return next(content for since, content in reversed(self.versions) if since <= seconds)

    def tag(self, content: bytes) -> str:
        return {"": "", "weak": "W/"}.get(self.etag, "") + f'"{hashlib.sha256(content).hexdigest()[:12]}"'


@dataclass(slots=True)
class Mood:
    """A time in which a host is down, has had enough (429), or cannot answer (503)."""

    host: str
    start: float
    end: float
    kind: str

    def __str__(self) -> str:
        return f"{self.host} is {self.kind} from {self.start:.1f} to {self.end:.1f} s"


@dataclass(slots=True)
class Web:
    """``served``: the SHA-256 of everything that a URL ever had. ``open``: the requests that are under way, by URL."""

    run: Run
    chance: random.Random
    seconds: float
    pages: dict[str, Page] = field(default_factory=dict)
    served: dict[str, set[str]] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)
    moods: list[Mood] = field(default_factory=list)
    pace: float = 0.0
    requests: int = 0

    def __post_init__(self) -> None:
        self.pace = self.chance.choice((0.01, 0.1, 1.0))
        for host in HOSTS:
            for number in range(PAGES):
                self.pages[f"http://{host}/{number}.png"] = self._page()
        for _ in range(self.chance.choice((0, 1, 2, 3))):
            start = self.chance.uniform(0, self.seconds)
            kind = self.chance.choice(("down", "tired", "sick"))
            self.moods.append(Mood(self.chance.choice(HOSTS), start, start + self.chance.uniform(1, 30), kind))
            self.run.tell(f"weather: {self.moods[-1]}")

    def _page(self) -> Page:
        pick, chance = self.chance.choice, self.chance
        kinds = ("picture", "broken", "text", "empty", "moved", *_LASTING)
        nature = chance.choices(kinds, (20, 1, 1, 1, 4, 1, 1, 1))[0]
        versions = [(0.0, self._content(nature))]
        while chance.random() < 0.3:
            versions.append((versions[-1][0] + chance.uniform(1, self.seconds), self._content(nature)))
        return Page(
            nature, versions, pick(("strong", "strong", "weak", "")), chance.random() < 0.8, chance.random() < 0.8
        )

    def _content(self, nature: str) -> bytes:
        """The pictures are those that people drop too, so that the two ways meet."""
        if nature == "text":
            return b"not a picture"
        if nature == "empty":
            return b""
        subject = "broken0" if nature == "broken" else f"s{self.chance.randint(1, 4)}"
        return picture(subject, f"n{self.chance.choice((0, 0, 1001, 1002, 1003))}")

    async def answer(self, request: httpx.Request) -> httpx.Response:
        url = str(request.url)
        self.requests += 1
        if url in self.open:
            self.run.wrong(f"{url} is asked for twice at the same time")
        self.open.add(url)
        try:
            await anyio.sleep(self.pause())
            return self._answer(request, url)
        except BaseException:
            self.open.discard(url)
            raise

    def pause(self) -> float:
        return self.chance.expovariate(1 / self.pace) + 1e-6

    def _answer(self, request: httpx.Request, url: str) -> httpx.Response:
        now, host = self.run.time.seconds, request.url.host
        mood = next((m.kind for m in self.moods if m.host == host and m.start <= now < m.end and not self.run.calm), "")
        if not mood and not self.run.calm and self.chance.random() < 0.25:
            mood = self.chance.choice(("down", "tired", "sick", "silent", "wrong", "short", "short", "short"))
        if mood == "down":
            raise httpx.ConnectError("Connection refused")
        if mood == "silent":
            raise httpx.ReadTimeout("")
        if mood in {"tired", "sick", "wrong"}:
            rest = {"retry-after": str(self.chance.randint(1, 40))} if self.chance.random() < 0.6 else {}
            return self._plain(url, {"tired": 429, "sick": 503, "wrong": 500}[mood], rest)
        return self._page_answer(request, url, short=mood == "short")

    def _page_answer(self, request: httpx.Request, url: str, *, short: bool) -> httpx.Response:
        target = url.replace("/moved/", "/")
        page = self.pages.get(target)
        if page is None:
            return self._plain(url, 404)
        if page.nature in _LASTING:
            return self._plain(url, _LASTING[page.nature])
        if page.nature == "moved" and target == url:
            answer = self._plain(url, 302)
            answer.extensions[LOCATION] = url.replace(".example/", ".example/moved/")
            return answer
        content = page.now(self.run.time.seconds)
        self.served.setdefault(target, set()).add(hashlib.sha256(content).hexdigest())
        return self._content_answer(request, url, page, content, short)

    def _content_answer(
        self, request: httpx.Request, url: str, page: Page, content: bytes, short: bool
    ) -> httpx.Response:
        tag, asked = page.tag(content) if page.etag else "", request.headers
        headers = {"content-type": "image/png", **({"etag": tag} if tag else {})}
        if tag and asked.get("if-none-match") == tag:
            return self._plain(url, 304, headers)
        status, first = 200, 0
        if page.ranges and page.length and "range" in asked and asked.get("if-range") == tag:
            first = int(asked["range"].removeprefix("bytes=").partition("-")[0])
            if first >= len(content):
                return self._plain(url, 416)
            status = 206
            headers["content-range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
        body = content[first:]
        headers |= {"content-length": str(len(body))} if page.length else {"transfer-encoding": "chunked"}
        if not page.ranges:
            headers["accept-ranges"] = "none"
        stop = self.chance.randint(0, max(0, len(body) - 1)) if short and body else None
        return self._response(url, status, headers, body, stop)

    def _plain(self, url: str, status: int, headers: dict[str, str] | None = None) -> httpx.Response:
        told = {"content-length": "0"} if status != 304 else {}
        return self._response(url, status, {**told, **(headers or {})}, b"", None)

    def _response(
        self, url: str, status: int, headers: dict[str, str], body: bytes, stop: int | None
    ) -> httpx.Response:
        rest = headers.get("retry-after")
        self.run.tell(f"  {url} answers {status}{f', rest {rest} s' if rest else ''}")
        return httpx.Response(
            status, headers=headers, stream=_Body(self, url, body, stop), extensions={"http_version": b"HTTP/1.1"}
        )


@dataclass(slots=True)
class _Body(httpx.AsyncByteStream):
    """``stop``: after so many bytes the connection is lost."""

    web: Web
    url: str
    body: bytes
    stop: int | None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        at, chance = 0, self.web.chance
        end = len(self.body) if self.stop is None else self.stop
        while at < end:
            await anyio.sleep(self.web.pause() / 4)
            size = chance.randint(1, min(60, end - at)) if chance.random() < 0.8 else end - at
            yield self.body[at : at + size]
            at += size
        if self.stop is not None:
            raise httpx.ReadError("Connection reset by peer")

    async def aclose(self) -> None:
        self.web.open.discard(self.url)


class SimulatedTransport(httpx.AsyncBaseTransport):
    """In the place of ``net``'s guarded one."""

    def __init__(self, web: Web) -> None:
        self._web = web

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._web.answer(request)


def client_of(web: Web, *_: Any) -> httpx.AsyncClient:
    """``net.open_client`` without a net."""
    return httpx.AsyncClient(transport=SimulatedTransport(web), follow_redirects=False, trust_env=False)


async def in_no_thread(run: Run, function: Callable[..., Any], *args: Any, limiter: Any, **_: Any) -> Any:
    """``anyio.to_thread.run_sync``: at once, when its time has come; not to be cancelled meanwhile."""
    async with limiter:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(run.pause("thread"))
        return function(*args)


def dying(run: Run, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """A method of the downloader's port, within which the process may die."""

    async def called(stored: Any, fetch: Fetch, *args: Any) -> Any:
        try:
            return await call(stored, fetch, *args)
        except Crash as crash:
            run.die(f"{crash} (job {fetch.job.id})")
            raise

    return called
