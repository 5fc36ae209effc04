"""One attempt to tell a webhook something: a signed POST over the guarded client, and what its answer means."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import anyio
import httpx

from dropmill.fetch.failing import of_status
from dropmill.model.file import shown
from dropmill.model.outcome import Reason
from dropmill.model.politeness import retry_after_seconds
from dropmill.model.url import UrlRefused, parse_url
from dropmill.model.webhook import LONGEST_REST_SECONDS, Posted, signatures
from dropmill.net import ClientOptions, ResolveFailed, SystemResolver, classify, is_redirect, open_client
from dropmill.net.redirects import LOCATION
from dropmill.ports import Clock
from dropmill.settings import Settings, Webhook

MOST_CONNECTIONS: Final = 8
"""To one webhook; more than are ever used at once, as one that was left unread may take a moment to go."""

# The answer's status is all that counts. What is longer costs its connection, which is then not used again.
_MOST_BODY_BYTES: Final = 16 << 10
_BODY_SECONDS: Final = 1.0
_LONGEST_DETAIL: Final = 300


@dataclass(frozen=True, slots=True)
class Poster:
    """``client``: of the network policy of this webhook. ``url`` in canonical spelling."""

    client: httpx.AsyncClient
    url: str
    keys: Sequence[bytes]
    timeout_seconds: float
    clock: Clock
    close: Callable[[], Awaitable[None]]

    async def post(self, webhook_id: str, body: bytes) -> Posted:
        """Raises nothing that a receiver, or the way to it, could cause."""
        began = self.clock.monotonic()
        posted = Posted(0, Reason.DOWNLOAD_TIMEOUT, f"no answer within {self.timeout_seconds:g} s", blames_host=True)
        with anyio.move_on_after(self.timeout_seconds):
            posted = await self._post(webhook_id, body)
        return replace(posted, seconds=self.clock.monotonic() - began)

    async def _post(self, webhook_id: str, body: bytes) -> Posted:
        timestamp_seconds = self.clock.now_ms() // 1000
        headers = {
            "Host": parse_url(self.url).authority,
            "Content-Type": "application/json",
            "webhook-id": webhook_id,
            "webhook-timestamp": str(timestamp_seconds),
            "webhook-signature": signatures(self.keys, webhook_id, timestamp_seconds, body),
        }
        request = self.client.build_request("POST", self.url, headers=headers, content=body)
        try:
            response = await self.client.send(request, stream=True)
        except (httpx.HTTPError, ResolveFailed, UrlRefused, ssl.SSLError) as error:
            found = classify(error)
            # What forbids it here and now forbids every other event as well.
            return Posted(0, found.reason, found.detail[:_LONGEST_DETAIL], blames_host=True)
        try:
            posted = self._judged(response)
            await _discard(response)
        finally:
            await response.aclose()
        return posted

    def _judged(self, response: httpx.Response) -> Posted:
        status = response.status_code
        if 200 <= status <= 299:
            return Posted(status)
        told = response.headers.get("retry-after", "")
        rest = retry_after_seconds(told, self.clock.now_ms(), LONGEST_REST_SECONDS) if told else None
        if is_redirect(response):
            target = shown(response.extensions[LOCATION])
            detail = f"it answered {status} and points to {target}; redirects are not followed: name that URL instead"
            return Posted(status, Reason.HTTP_ERROR, detail[:_LONGEST_DETAIL], rest)
        failed = of_status(status, rest)
        return Posted(status, failed.reason, f"it answered {status}", rest, failed.blames_host)


async def _discard(response: httpx.Response) -> None:
    came_bytes = 0
    with anyio.move_on_after(_BODY_SECONDS), contextlib.suppress(httpx.HTTPError, ssl.SSLError):
        # Whatever breaks now, it has answered.
        async for data in response.aiter_raw():
            came_bytes += len(data)
            if came_bytes > _MOST_BODY_BYTES:
                return


def open_poster(webhook: Webhook, settings: Settings, keys: Sequence[bytes], clock: Clock) -> Poster:
    """To be closed by ``close``. Connections of its own, so that one that hangs takes none from others."""
    downloads = settings.downloads
    wait_seconds = webhook.timeout_seconds
    options = ClientOptions(
        connections=MOST_CONNECTIONS,
        connect_timeout_seconds=min(downloads.connect_timeout_seconds, wait_seconds),
        read_timeout_seconds=wait_seconds,
        http2=False,
        proxy=downloads.proxy,
    )
    resolver = SystemResolver(settings.net.static_addresses, clock=clock)
    client = open_client(webhook.policy(settings.net), resolver, clock, options)

    async def close() -> None:
        await client.aclose()
        resolver.close()

    return Poster(client, webhook.url, keys, wait_seconds, clock, close)
