"""One try at one URL: asks for all of it or for what is missing, takes it in, and verifies it."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

import anyio
import anyio.lowlevel
import anyio.to_thread
import httpx

from dropmill.fetch import content
from dropmill.fetch.asking import Asker, Trail
from dropmill.fetch.decoding import decoder_for
from dropmill.fetch.failing import Stopped, failed, of_status
from dropmill.fetch.partial import Part, Place, Sidecar
from dropmill.fetch.ranges import Splice, Version, can_be_sent, judge_partial, length_of, version_of
from dropmill.fetch.rate import Pace, Throttle
from dropmill.fetch.robots import Robots, forbidden_by
from dropmill.files.sniff import HEAD_BYTES
from dropmill.model.download import Fetch, Fetched, FetchResult, NotModified, Provenance
from dropmill.model.file import Signature
from dropmill.model.outcome import Reason
from dropmill.model.politeness import retry_after_seconds
from dropmill.model.url import Url, parse_url
from dropmill.ports import Clock
from dropmill.settings.downloads import Downloads

# Thousands of pieces this small come with one read, and others want to go on meanwhile.
_SMALL_BYTES: Final = 1024

T = TypeVar("T")
OnBytes = Callable[[int, int | None], None]


@dataclass(frozen=True, slots=True)
class Means:
    """What all downloads share."""

    settings: Downloads
    asker: Asker
    clock: Clock
    throttle: Throttle
    robots: Robots | None
    agent: str
    boot: str
    allow_heif: bool
    threads: anyio.CapacityLimiter
    """For what waits for the disk."""

    def rest_seconds(self, trail: Trail) -> float | None:
        """What the last answer asks for by Retry-After."""
        told = trail.headers.get("retry-after", "")
        return retry_after_seconds(told, self.clock.now_ms(), self.settings.max_rest_seconds) if told else None


class Attempt:
    """``run`` may ask twice: a part that does not fit what the host has is dropped once, and all of it asked for."""

    def __init__(self, means: Means, fetch: Fetch, place: Place, on_bytes: OnBytes) -> None:
        self._of = means
        self._fetch = fetch
        self._wanted = fetch.wanted
        self._place = place
        self._on_bytes = on_bytes
        self._first = parse_url(fetch.wanted.url)
        self._started_at_ms = means.clock.now_ms()
        self._part: Part | None = None
        self.trail = Trail(self._first)
        self.scope = anyio.CancelScope()
        """Its deadline is moved along by what ``max_bytes_per_second`` makes us wait."""

    def close(self) -> None:
        """Whatever happened; a part that can be taken up again stays. Raises OSError."""
        if self._part is not None:
            self._part.close()

    async def run(self) -> FetchResult:
        """Raises ``Stopped``, ``UrlRefused`` and OSError (of the disk)."""
        finished = await self._take_up()
        if finished is not None:
            return finished
        for _ in range(2):
            part = self._part
            self.trail = Trail(self._first)
            async with self._of.asker.ask(self.trail, self._asking(part), self._check) as response:
                result = await self._answered(response, part)
            if result is not None:
                return result
            self._restart()
        raise failed(Reason.PROTOCOL_ERROR, "the host answers for a part of the file that was not asked for")

    async def _take_up(self) -> FetchResult | None:
        """What an earlier attempt left: a part to go on with, or the whole file, which is not asked for again."""
        sidecar = Sidecar.read(self._place)
        if sidecar is None or sidecar.canonical != self._first.canonical:
            return None
        if sidecar.boot == self._of.boot:
            self._part = await self._in_thread(Part.reopen, self._place, sidecar)
        if self._part is not None and not self._part.complete:
            return None
        named = self._part is None
        if named and sidecar.job_id == self._fetch.job.id:
            self._part = await self._in_thread(Part.of_complete, self._place, sidecar)
        if self._part is None:
            return None
        self.trail = _trail_of(sidecar.provenance)
        self._started_at_ms = sidecar.provenance.started_at_ms
        return await self._finish(self._part, named=named)

    def _asking(self, part: Part | None) -> dict[str, str]:
        if part is not None and part.sidecar is not None:
            return {"Range": f"bytes={part.size_bytes}-", "If-Range": part.sidecar.validator}
        if can_be_sent(self._fetch.etag):
            return {"If-None-Match": self._fetch.etag}
        if can_be_sent(self._fetch.last_modified):
            return {"If-Modified-Since": self._fetch.last_modified}
        return {}

    async def _check(self, url: Url) -> None:
        if self._of.robots is not None:
            await self._of.robots.check(url)

    async def _answered(self, response: httpx.Response, part: Part | None) -> FetchResult | None:
        """None: what is here does not fit what the host has, so it is to be dropped and all of it asked for."""
        status = response.status_code
        if status in {200, 203}:
            self._check_tags(response)
            return await self._receive(response, self._begin(self.trail.headers))
        if part is not None and part.sidecar is not None:
            if status == 206 and self._goes_on(self.trail.headers, part, part.sidecar):
                self._check_tags(response)
                return await self._receive(response, part)
            if status in {206, 416}:
                return None
        if status == 206:
            raise failed(Reason.PROTOCOL_ERROR, "the host answers with a part of a file of which all was asked for")
        if status == 304 and part is None and self._asking(None):
            return NotModified(self.provenance())
        raise Stopped(of_status(status, self._of.rest_seconds(self.trail)))

    def _goes_on(self, headers: dict[str, str], part: Part, sidecar: Sidecar) -> bool:
        """Only at the place that it began: two places may use the same ETag for two files. A query may be a signature
        that changes with every redirect."""
        begun, now = (url.partition("?")[0] for url in (sidecar.provenance.final_url, self.trail.url.canonical))
        here = Version(sidecar.validator, sidecar.total_bytes)
        return begun == now and judge_partial(here, part.size_bytes, headers) is Splice.FITS

    def _check_tags(self, response: httpx.Response) -> None:
        if self._of.settings.robots_tag == "off":
            return
        rule = forbidden_by(response.headers.get_list("x-robots-tag"), self._of.agent)
        if rule:
            raise failed(Reason.NO_AI, f"X-Robots-Tag: {rule}", permanent=True)

    def _begin(self, headers: dict[str, str]) -> Part:
        """A new part for an answer with all of the file; one that was there is another version, or of no use."""
        self._restart()
        if not headers.get("content-encoding"):
            content.check_announced(self._wanted, length_of(headers), self._of.settings.max_bytes)
        version = version_of(headers)
        sidecar = None
        if version is not None:
            validator, total_bytes = version.validator, version.total_bytes
            about = self._first.canonical, validator, total_bytes, self._of.boot, self._fetch.job.id
            sidecar = Sidecar(*about, self.provenance())
        self._part = Part.begin(self._place, sidecar)
        return self._part

    def _restart(self) -> None:
        if self._part is not None:
            self._part.close()
            self._part = None
        self._place.drop()

    async def _receive(self, response: httpx.Response, part: Part) -> FetchResult:
        headers = self.trail.headers
        decoder = decoder_for(headers.get("content-encoding", ""))
        total_bytes = part.sidecar.total_bytes if part.sidecar else None if decoder else length_of(headers)
        pace = Pace(self._of.settings.min_bytes_per_second, self._of.clock.monotonic())
        judged, came_bytes = False, 0
        self._on_bytes(part.size_bytes, total_bytes)
        async for data in response.aiter_raw():
            await self._keep_pace(pace, len(data))
            came_bytes += len(data)
            if decoder:
                # What is compressed may go on for ever and come to nothing.
                content.check_compressed(came_bytes, self._of.settings.max_bytes)
            if len(data) < _SMALL_BYTES:
                await anyio.lowlevel.checkpoint()
            for piece in decoder.feed(data) if decoder else (data,):
                content.check_growing(self._wanted, part.size_bytes + len(piece), self._of.settings.max_bytes)
                part.write(piece)
                if not judged and len(part.head) == HEAD_BYTES:
                    self._check_kind(part)
                    judged = True
                if decoder:
                    # A few bytes may become many pieces, and others want to go on meanwhile.
                    await anyio.lowlevel.checkpoint()
            self._on_bytes(part.size_bytes, total_bytes)
        if decoder:
            decoder.end()
        if total_bytes is not None and part.size_bytes != total_bytes:
            raise failed(Reason.CONNECTION_LOST, f"{part.size_bytes} of {total_bytes} bytes came")
        return await self._finish(part, encoded=decoder is not None)

    async def _keep_pace(self, pace: Pace, size_bytes: int) -> None:
        """Not above the one that is allowed, and not below the one that is asked for."""
        least = self._of.settings.min_bytes_per_second
        if not pace.kept(size_bytes, self._of.clock.monotonic()):
            raise failed(Reason.TOO_SLOW, f"less than {least} bytes a second came")
        wait_seconds = self._of.throttle.claim(size_bytes)
        if wait_seconds:
            pace.excuse(wait_seconds)
            self.scope.deadline += wait_seconds
            await self._of.clock.sleep(wait_seconds)

    def _check_kind(self, part: Part) -> None:
        name = self._wanted.hint or posixpath.basename(self._first.target.partition("?")[0])
        content.check_kind(self._wanted, os.fsencode(name), part.head, part.size_bytes, self._of.allow_heif)

    async def _finish(self, part: Part, *, named: bool = False, encoded: bool = False) -> FetchResult:
        """Verify all of it, and make it durable. ``named``: it has its name already."""
        headers = self.trail.headers
        try:
            self._check_kind(part)
            content.check_whole(self._wanted, part.size_bytes, part.sha256, headers, not encoded)
        except Stopped:
            self._restart()
            raise
        try:
            signature = await self._in_thread(self._make_durable, part, named, self._ends_by_closing(part))
        except OSError:
            # After an fsync that failed nobody knows what the disk has, and the next one would succeed (fsync(2), S12).
            self._restart()
            raise
        return Fetched(signature, replace(self.provenance(), size_bytes=part.size_bytes, sha256=part.sha256))

    def _ends_by_closing(self, part: Part) -> bool:
        headers = self.trail.headers
        framed = "content-length" in headers or "transfer-encoding" in headers
        return part.sidecar is None and not framed and self.trail.http_version.startswith("HTTP/1")

    @staticmethod
    def _make_durable(part: Part, named: bool, ended_by_closing: bool) -> Signature:
        if ended_by_closing:
            content.check_end(part.fd, part.head, part.size_bytes)
        return part.settle() if named else part.finish()

    async def _in_thread(self, function: Callable[..., T], *args: Any) -> T:
        return await anyio.to_thread.run_sync(function, *args, limiter=self._of.threads)

    def provenance(self) -> Provenance:
        """As far as it is known."""
        trail, headers = self.trail, self.trail.headers
        return Provenance(
            final_url=trail.url.canonical,
            chain=trail.chain,
            address=trail.address,
            status=trail.status,
            etag=headers.get("etag", ""),
            last_modified=headers.get("last-modified", ""),
            content_type=headers.get("content-type", ""),
            http_version=trail.http_version,
            started_at_ms=self._started_at_ms,
            ended_at_ms=self._of.clock.now_ms(),
        )


def _trail_of(told: Provenance) -> Trail:
    """Of a download that came before the daemon was last started."""
    headers = {"etag": told.etag, "last-modified": told.last_modified, "content-type": told.content_type}
    return Trail(parse_url(told.final_url), told.chain, told.status, told.address, told.http_version, headers)
