"""Asks for a URL, hop by hop: every redirect is a new request that is checked like the first (U06)."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import anyio
import httpx

from dropmill.fetch.failing import Stopped, failed
from dropmill.fetch.ranges import length_of
from dropmill.model.netpolicy import Policy
from dropmill.model.url import Url
from dropmill.net import Belongings, Hops, ResolveFailed, classify, is_redirect, peer_address, redirected

# An answer that nobody reads to its end costs its connection, so a short one is read.
_SHORT_BYTES: Final = 16 << 10
_SHORT_SECONDS: Final = 1.0

# No format is asked for by name: hosts that choose one by that would send another than everybody else gets.
_ACCEPT: Final = "image/*,*/*;q=0.5"

Check = Callable[[Url], Awaitable[None]]


@dataclass(slots=True)
class Trail:
    """Where a request has got to, also when it fails."""

    url: Url
    chain: tuple[str, ...] = ()
    status: int = 0
    address: str = ""
    http_version: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    """Of the last answer, by lower-case name; those that came several times are joined by commas (RFC 9110, 5.3)."""

    def answered(self, response: httpx.Response) -> None:
        self.status = response.status_code
        self.address = peer_address(response)
        self.http_version = response.http_version
        # Looked up many times for each download, which takes long in httpx's own.
        self.headers = dict(response.headers)


class Asker:
    """Asks over the guarded client; ``belongings`` go to the host of the line and to no other."""

    def __init__(self, client: httpx.AsyncClient, policy: Policy, belongings: Belongings, max_redirects: int) -> None:
        self._client = client
        self._policy = policy
        self._belongings = belongings
        self._max_redirects = max_redirects

    @asynccontextmanager
    async def ask(
        self, trail: Trail, headers: Mapping[str, str], check: Check | None = None
    ) -> AsyncIterator[httpx.Response]:
        """The answer that is no redirect, its body unread. ``trail`` begins at the URL to ask for, with its credentials.

        ``check`` is awaited before each request, and raises what forbids it. Raises ``UrlRefused`` and ``Stopped``, the latter also for what breaks while the body is read.
        """
        first = trail.url
        hops = Hops(first, self._policy, max_redirects=self._max_redirects)
        while True:
            if check is not None:
                await check(trail.url)
            response = await self._send(trail.url, first, headers)
            try:
                trail.answered(response)
                if is_redirect(response):
                    trail.url = hops.next(response)
                    trail.chain = hops.chain
                    await _read_short(response)
                else:
                    try:
                        yield response
                    except Stopped:
                        await _read_short(response)
                        raise
                    await _read_short(response)
                    return
            except (httpx.HTTPError, ssl.SSLError) as error:
                # It had answered, so this is a matter of this download and not of the host.
                found = classify(error)
                raise failed(found.reason, found.detail, permanent=found.permanent) from error
            finally:
                await response.aclose()

    async def _send(self, url: Url, first: Url, headers: Mapping[str, str]) -> httpx.Response:
        # httpx makes a Host of its own only by way of the Unicode form of a name, which some that exist do not have.
        asked = {"Host": url.authority, **self._belongings.headers(first, url), "Accept": _ACCEPT, **headers}
        request = self._client.build_request("GET", url.canonical, headers=asked)
        try:
            return await self._client.send(request, stream=True)
        except (httpx.HTTPError, ResolveFailed, ssl.SSLError) as error:
            found = classify(error)
            detail = found.detail if url is first else redirected(url, found.detail)
            raise failed(found.reason, detail, permanent=found.permanent, blames_host=found.blames_host) from error


async def _read_short(response: httpx.Response) -> None:
    """Read a short answer that nobody has begun to read, so that its connection can be used again."""
    announced_bytes = length_of(response.headers) if response.status_code != httpx.codes.NOT_MODIFIED else 0
    if response.is_stream_consumed or (announced_bytes or 0) > _SHORT_BYTES:
        return
    came_bytes = 0
    try:
        with anyio.move_on_after(_SHORT_SECONDS):
            async for data in response.aiter_raw():
                came_bytes += len(data)
                if came_bytes > _SHORT_BYTES:
                    return
    except httpx.HTTPError:
        return  # The connection is lost, and the answer was not wanted.
