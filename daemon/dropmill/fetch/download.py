"""Downloads: from a URL to a file that is complete, verified and durable, in constant memory."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import anyio
import httpx

from dropmill.fetch.asking import Asker, Trail
from dropmill.fetch.attempt import Attempt, Means, OnBytes
from dropmill.fetch.decoding import decoder_for
from dropmill.fetch.failing import Stopped, of_disk
from dropmill.fetch.partial import Place, boot_id
from dropmill.fetch.rate import Throttle
from dropmill.fetch.robots import MOST_BYTES, Robots, RobotsAnswer, RobotsStore
from dropmill.model.download import Failed, Fetch, FetchResult
from dropmill.model.netpolicy import Policy
from dropmill.model.outcome import Reason
from dropmill.model.url import Url, UrlRefused
from dropmill.net import USER_AGENT, Belongings
from dropmill.ports import Clock
from dropmill.settings.downloads import Downloads

__all__ = ["Downloader", "OnBytes", "RobotsStore"]

# fsync makes threads wait; more of them at once would not make a disk faster.
_DISK_THREADS: Final = 4
# RFC 9309, 2.3.1.2.
_ROBOTS_REDIRECTS: Final = 5


class Downloader:
    """All downloads of the daemon. ``client`` is the guarded one of ``net``, and belongs to whoever opened it."""

    def __init__(
        self,
        settings: Downloads,
        client: httpx.AsyncClient,
        policy: Policy,
        belongings: Belongings,
        clock: Clock,
        *,
        allow_heif: bool,
        robots: RobotsStore | None = None,
    ) -> None:
        # What belongs to the host of a line is not for those that it redirects to, whose robots.txt is asked for, too.
        self._robots_asker = Asker(client, policy, Belongings({}, {}), _ROBOTS_REDIRECTS)
        agent = settings.user_agent or USER_AGENT
        self._means = Means(
            settings=settings,
            asker=Asker(client, policy, belongings, settings.max_redirects),
            clock=clock,
            throttle=Throttle(settings.max_bytes_per_second, clock),
            robots=Robots(self._robots_txt, agent, clock, robots) if settings.robots == "respect" else None,
            agent=agent,
            boot=boot_id(),
            allow_heif=allow_heif,
            threads=anyio.CapacityLimiter(_DISK_THREADS),
        )

    async def fetch(self, fetch: Fetch, folder: bytes, rel: bytes, on_bytes: OnBytes) -> FetchResult:
        """Download to ``rel`` below ``folder``, or say why not. Never raises for what net, host or disk do.

        ``on_bytes`` is told the bytes that are there so far and the total, or None where that is not known: first when the
        host has answered, then as they come. A cancelled call leaves a part that can be taken up again, or nothing.
        """
        attempt = Attempt(self._means, fetch, Place(folder, rel), on_bytes)
        try:
            try:
                result = await self._tried(attempt)
            finally:
                attempt.close()
            if isinstance(result, Failed) and result.permanent:
                self.drop(folder, rel)
        except OSError as error:
            result = of_disk(error)
        if not isinstance(result, Failed):
            return result
        # Where a redirect leads says nothing about the host that sent it.
        elsewhere = attempt.trail.url.origin != fetch.wanted.origin
        blames_host = result.blames_host and not elsewhere
        told = attempt.provenance() if attempt.trail.status else None
        return replace(result, blames_host=blames_host, elsewhere=elsewhere, provenance=told)

    async def _tried(self, attempt: Attempt) -> FetchResult:
        timeout_seconds = self._means.settings.timeout_seconds
        try:
            with anyio.move_on_after(timeout_seconds) as attempt.scope:
                return await attempt.run()
        except Stopped as stopped:
            return stopped.result
        except UrlRefused as refused:
            return Failed(Reason(refused.reason), refused.detail, permanent=True)
        silent = not attempt.trail.status
        told = f"not complete after {timeout_seconds:g} s"
        return Failed(Reason.DOWNLOAD_TIMEOUT, told, permanent=False, blames_host=silent)

    def drop(self, folder: bytes, rel: bytes) -> None:
        """Remove what is kept for going on, but no complete file. Idempotent. Raises OSError.

        To be called when a download is given up, and once a ``Fetched`` is recorded: until then its sidecar keeps the
        file from being fetched again.
        """
        Place(folder, rel).drop()

    async def _robots_txt(self, url: Url) -> RobotsAnswer:
        trail, text = Trail(url), bytearray()
        try:
            async with self._robots_asker.ask(trail, {}) as response:
                rest_seconds = self._means.rest_seconds(trail)
                if response.status_code != 200:
                    return RobotsAnswer(response.status_code, "", rest_seconds)
                decoder = decoder_for(response.headers.get("content-encoding", ""))
                async for data in response.aiter_raw():
                    for piece in decoder.feed(data) if decoder else (data,):
                        text += piece[: MOST_BYTES - len(text)]
                    if len(text) == MOST_BYTES:
                        break
        except UrlRefused:
            # What it leads to may not be reached, so there is none; of the URL itself that is said when it is asked for.
            return RobotsAnswer(404, "")
        return RobotsAnswer(200, text.decode("utf-8", "replace"))
