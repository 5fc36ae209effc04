"""How downloads end: each end is one fenced transaction, and is told of once it is durable."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Final

import anyio

from dropmill.errors import DropmillError
from dropmill.fetch.active import Active
from dropmill.fetch.line import Queued
from dropmill.model.download import Failed, Fetched, FetchResult, Host, NotModified
from dropmill.model.inbox import Inbox
from dropmill.model.outcome import Outcome, Reason
from dropmill.model.politeness import Rules, after_giving_up, retry_seconds
from dropmill.observe.facts import (
    Completed,
    Discarded,
    Downloaded,
    DownloadFailed,
    Emit,
    HostGivenUp,
    Rescheduled,
    StateTrouble,
)
from dropmill.ports import Clock, Downloader, Fetches

TROUBLE_SECONDS: Final = 1.0
# URLs of a host that is given up are discarded in lots, so that the writer has time for others in between.
GIVE_UP_LOT: Final = 500


class Ends:
    """``fetched`` is told of files that wait for a worker. After ``closing``, what cannot be written is left as it is."""

    def __init__(
        self,
        fetches: Fetches,
        downloader: Downloader,
        inboxes: Mapping[str, Inbox],
        rules: Rules,
        clock: Clock,
        chance: random.Random,
        emit: Emit,
        fetched: Callable[[], None],
        closing: anyio.Event,
    ) -> None:
        self._fetches = fetches
        self._downloader = downloader
        self._inboxes = inboxes
        self._rules = rules
        self._clock = clock
        self._chance = chance
        self._emit = emit
        self._fetched = fetched
        self._closing = closing

    async def write(self, active: Active, result: FetchResult) -> None:
        """Write down what came of a download, and what is known of its host now.

        Where the catalog takes nothing just now, it is tried again; the file is complete and durable meanwhile (S12).
        """
        job, queued = active.fetch.job, active.queued
        seconds = self._clock.monotonic() - active.began
        while True:
            host = queued.host if queued.host != queued.saved else None
            try:
                await self._commit(active, result, host, seconds)
                queued.saved = host or queued.saved
                return
            except Exception as error:  # noqa: BLE001  # Whatever it was, one job's end must not be that of the daemon.
                self._emit(StateTrouble("fetch", f"job {job.id}: {error}"))
                if not (isinstance(error, DropmillError) and error.retryable):
                    if isinstance(result, Failed) and result.reason is Reason.UNEXPECTED:
                        return  # The next start gives the job back.
                    result = Failed(Reason.UNEXPECTED, str(error), permanent=False)
            if self._closing.is_set():
                return
            await self._clock.sleep(TROUBLE_SECONDS)

    async def _commit(self, active: Active, result: FetchResult, host: Host | None, seconds: float) -> None:
        """A late or doubled attempt changes nothing of the job and says nothing (Q03)."""
        job, inbox = active.fetch.job, self._inboxes[active.fetch.job.inbox]
        about = (job.id, job.inbox, active.path)
        match result:
            case Fetched(signature=signature, provenance=provenance):
                if await self._fetches.fetched(job, signature, provenance, host):
                    size_bytes, received = signature.size_bytes, active.received_bytes
                    self._emit(Downloaded(*about, provenance.status, size_bytes, received, seconds, False))
                    self._fetched()
                await self.forget(active)
            case NotModified(provenance=provenance):
                if await self._fetches.unchanged(job, inbox, provenance, host):
                    self._emit(Downloaded(*about, provenance.status, 0, 0, seconds, True))
                    self._emit(Completed(*about, Outcome.UNCHANGED, seconds, 0))
            case Failed():
                await self._fail(active, result, host, seconds)

    async def _fail(self, active: Active, failed: Failed, host: Host | None, seconds: float) -> None:
        job, inbox = active.fetch.job, self._inboxes[active.fetch.job.inbox]
        about = (job.id, job.inbox, active.path, failed.reason, failed.detail)
        after_seconds = retry_seconds(job.attempts, failed, self._rules, self._chance)
        if after_seconds is None:
            ended = await self._fetches.discard(job, inbox, failed.reason, failed.detail, failed.provenance, host)
        else:
            ended = await self._fetches.reschedule(job, after_seconds, failed.reason, failed.detail, host)
        if not ended:
            return
        self._emit(DownloadFailed(*about, active.received_bytes, seconds))
        if after_seconds is not None:
            # What its host asks for comes on top.
            rest_seconds = (active.queued.host.ready_at_ms - self._clock.now_ms()) / 1000
            self._emit(Rescheduled(*about, max(after_seconds, rest_seconds), job.attempts))
            return
        self._emit(Discarded(*about, False))
        await self.forget(active)

    async def forget(self, active: Active) -> None:
        """Nothing goes on with this attempt."""
        try:
            await self._downloader.forget(active.fetch, self._inboxes[active.fetch.job.inbox])
        except OSError:
            return  # The sweep of the next start finds what is left.

    async def give_up(self, queued: Queued) -> None:
        """Discard what waits for a host that has been failing for too long."""
        host, urls = queued.host, 0
        failing_seconds = (self._clock.now_ms() - (host.opened_at_ms or 0)) / 1000
        try:
            while lot := await self._fetches.give_up(host.id, host.detail, GIVE_UP_LOT):
                urls += len(lot)
                for job_id, inbox, url in lot:
                    self._emit(Discarded(job_id, inbox, url.encode(), Reason.HOST_UNAVAILABLE, host.detail, False))
            queued.host = after_giving_up(host, self._rules)
            await self._fetches.save_host(queued.host)
            queued.saved = queued.host
        except DropmillError as error:  # The next probe that fails leads here again.
            self._emit(StateTrouble("fetch", str(error)))
            return
        self._emit(HostGivenUp(host.origin, urls, failing_seconds, host.detail))
