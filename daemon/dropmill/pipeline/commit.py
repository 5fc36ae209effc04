"""A finished attempt becomes a decision: one fenced transaction that records what the job is and what it owes."""

from __future__ import annotations

import os
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from dropmill.errors import Unavailable
from dropmill.files.presence import HomeOutOfReach
from dropmill.model.attempt import Dead, GivenBack, Policy, Retry, judge
from dropmill.model.bearing import Bearing, Looked
from dropmill.model.file import shown
from dropmill.model.fingerprint import Content, Looks
from dropmill.model.inbox import Inbox
from dropmill.model.job import Job
from dropmill.model.outcome import Outcome, Reason
from dropmill.model.publication import Standing
from dropmill.model.resemblance import Neighbours
from dropmill.model.verdict import Decided, LinkFirst, LookFirst, Presence
from dropmill.model.work import (
    Linked,
    Preview,
    Processed,
    Recognised,
    Rendered,
    Superseded,
    Troubled,
    WorkerLost,
    WorkResult,
)
from dropmill.observe.facts import Completed, Discarded, Emit, Interrupted, Rescheduled, WorkerDied
from dropmill.ports import Clock, Decisions, JobEngine, Similar

# Every round looks at homes that the one before named; new ones can appear only as fast as files are committed.
MAX_LOOKS: Final = 5

LookAtHomes = Callable[[Job, Inbox, str], Awaitable[Mapping[bytes, Presence]]]
"""What the other paths of these bytes (SHA-256) hold now. Raises ``HomeOutOfReach``."""
ForgetStaged = Callable[[Job, Inbox], Awaitable[None]]
"""Removes what an attempt has staged and nobody will publish."""


StageLinks = Callable[[Job, Inbox, Sequence[Standing]], Awaitable[tuple[Rendered, ...]]]
"""Stages links to renditions that stand already; empty where one is gone. Raises OSError."""


class Committer:
    """The handler's second half: attempt caps, retries and quarantine live here and nowhere else."""

    def __init__(
        self,
        engine: JobEngine,
        decisions: Decisions,
        look_at_homes: LookAtHomes,
        forget_staged: ForgetStaged,
        policy: Policy,
        clock: Clock,
        chance: random.Random,
        emit: Emit,
        hint: Callable[[str, bytes], None],
        similar: Similar | None = None,
        stage_links: StageLinks | None = None,
    ) -> None:
        """``similar``: none where nothing is compared at ingest."""
        self._engine = engine
        self._decisions = decisions
        self._look_at_homes = look_at_homes
        self._forget_staged = forget_staged
        self._policy = policy
        self._clock = clock
        self._chance = chance
        self._emit = emit
        self._hint = hint
        self._similar = similar
        self._links = stage_links

    async def wanted(self, job: Job, inbox: Inbox, preview: Preview) -> bool:
        """Whether this content would be published as far as can be told before the commit."""
        published = await self._decisions.would_publish(job, inbox, preview.content, {})
        if published is None:
            presences = await self._look_at_homes(job, inbox, preview.content.sha256)
            published = await self._decisions.would_publish(job, inbox, preview.content, presences)
        return published is not False

    async def bearing(self, job: Job, inbox: Inbox, content: Content, looked: Looked) -> Bearing:
        """Whether a picture that looks like this would be published as far as can be told, and how it is to be changed."""
        try:
            neighbours = await self._neighbours(inbox, looked.looks)
        except Unavailable:
            return Bearing(go=False)  # The commit says so, without anything having been rendered for it.
        bearing = await self._decisions.bearing(job, inbox, content, looked.looks, {}, neighbours)
        if bearing is None:
            presences = await self._look_at_homes(job, inbox, content.sha256)
            bearing = await self._decisions.bearing(job, inbox, content, looked.looks, presences, neighbours)
        return bearing or Bearing(go=True)

    async def abandon(self, job: Job, inbox: Inbox) -> None:
        """The attempt was cut off and its worker killed: what it had staged is nobody's."""
        await self._forget_staged(job, inbox)

    async def postpone(self, job: Job, detail: str) -> None:
        """The commit itself failed for a reason that is not the file's: another attempt, later."""
        await self._retry(job, Retry(self._policy.retry_cap_seconds, Reason.UNEXPECTED, detail))

    async def conclude(self, job: Job, inbox: Inbox, reply: WorkResult | WorkerLost, started: float) -> None:
        """Commit what follows from ``reply``. A late or doubled attempt changes nothing and says nothing (Q03)."""
        if isinstance(reply, WorkerLost):
            self._emit(WorkerDied(job.id, job.inbox, job.rel, reply.reason, reply.detail))
            await self._forget_staged(job, inbox)
        consequence = judge(job, reply, self._policy, self._chance)
        match consequence:
            case Retry():
                await self._retry(job, consequence)
            case GivenBack():
                if await self._engine.interrupt(job, consequence.detail):
                    self._emit(Interrupted(job.id, job.inbox, job.rel, False))
            case Dead():
                await self._give_up(job, inbox, consequence)
            case _ if isinstance(consequence.result, Superseded):
                if await self._engine.supersede(job) and not inbox.urls:
                    self._completed(job, Decided(Outcome.SUPERSEDED, 0), started)
                # Whatever stands there now has to settle and become a job of its own (PROTOCOL 3), or be fetched again.
                self._hint(job.inbox, job.rel)
            case _:
                try:
                    await self._decide(job, inbox, consequence.result, started)
                except HomeOutOfReach as error:
                    await self._forget_staged(job, inbox)
                    await self.conclude(job, inbox, out_of_reach(error), started)
                except Unavailable as error:
                    await self._forget_staged(job, inbox)
                    await self.conclude(job, inbox, Troubled(Reason.INDEX_UNAVAILABLE, str(error)), started)

    async def _decide(self, job: Job, inbox: Inbox, result: Processed | Recognised, started: float) -> None:
        sha256 = result.content.sha256
        neighbours = await self._neighbours(inbox, result.looks)
        presences: Mapping[bytes, Presence] = {}
        links: Linked | None = None
        for _ in range(1 + MAX_LOOKS):
            decided = await self._decisions.conclude(job, inbox, result, presences, neighbours, links)
            if isinstance(decided, LookFirst):
                presences = await self._look_at_homes(job, inbox, sha256)
            elif isinstance(decided, LinkFirst):
                links = Linked(decided.image_id, await self._stage_links(job, inbox, decided.standing))
            else:
                break
        else:
            await self._engine.release(job)
            decided = None
        # Where links were put out, what was rendered for nothing goes; what is owed stays.
        if isinstance(result, Processed) and (decided is None or decided.outcome is not Outcome.PUBLISHED or links):
            await self._forget_staged(job, inbox)
        if decided is not None:
            self._completed(job, decided, started)

    async def _stage_links(self, job: Job, inbox: Inbox, standing: Sequence[Standing]) -> tuple[Rendered, ...]:
        """Empty where that cannot be done: then the job has its own renditions."""
        if self._links is None or not standing:
            return ()
        try:
            return await self._links(job, inbox, standing)
        except OSError:
            return ()

    async def _neighbours(self, inbox: Inbox, looks: Looks | None) -> Neighbours | None:
        """None where nothing hangs on them. Raises ``Unavailable`` where something does and the index is not there."""
        if looks is None or not inbox.policies.looks_alike:
            return None
        try:
            if self._similar is None:
                raise Unavailable("nothing is compared here")
            # What a part of it meets is no pair before pixels were compared, so nothing is decided by it.
            return (await self._similar.neighbours([replace(looks, windows=None)]))[0]
        except Unavailable:
            if inbox.policies.needs_index:
                raise
            return None

    async def _retry(self, job: Job, retry: Retry) -> None:
        if await self._engine.reschedule(
            job, retry.after_seconds, retry.reason, retry.detail, crashed=retry.crashed, alone=retry.alone
        ):
            self._emit(
                Rescheduled(job.id, job.inbox, job.rel, retry.reason, retry.detail, retry.after_seconds, job.attempts)
            )

    async def _give_up(self, job: Job, inbox: Inbox, dead: Dead) -> None:
        move = dead.move or (dead.reason is Reason.UNSUPPORTED_FORMAT and inbox.on_unsupported == "quarantine")
        if await self._engine.discard(job, inbox, dead.reason, dead.detail, crashed=dead.crashed, move=move):
            self._emit(
                Discarded(job.id, job.inbox, job.rel, dead.reason, dead.detail, move and inbox.quarantine is not None)
            )

    def _completed(self, job: Job, decided: Decided, started: float) -> None:
        seconds = self._clock.monotonic() - started
        self._emit(
            Completed(
                job.id,
                job.inbox,
                job.rel,
                decided.outcome,
                seconds,
                job.signature.size_bytes,
                decided.anchor,
                decided.tier,
                decided.policy,
            )
        )


def out_of_reach(error: HomeOutOfReach) -> Troubled:
    """Whether the file is a copy or was moved cannot be told until that other path can be looked at."""
    home = shown(os.fsencode(error.filename))
    return Troubled(Reason.UNREADABLE, f"{home}, where these bytes were before, cannot be looked at: {error.strerror}")
