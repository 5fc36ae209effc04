"""A finished attempt becomes a decision: one fenced transaction that records what the job is and what it owes."""

from __future__ import annotations

import os
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from dropmill.files.presence import HomeOutOfReach
from dropmill.model.attempt import Dead, GivenBack, Policy, Retry, judge
from dropmill.model.file import shown
from dropmill.model.inbox import Inbox
from dropmill.model.job import Job
from dropmill.model.outcome import Outcome, Reason
from dropmill.model.verdict import LookFirst, Presence
from dropmill.model.work import Preview, Processed, Recognised, Superseded, Troubled, WorkerLost, WorkResult
from dropmill.observe.facts import Completed, Discarded, Emit, Interrupted, Rescheduled, WorkerDied
from dropmill.ports import Clock, Decisions, JobEngine

# Every round looks at homes that the one before named; new ones can appear only as fast as files are committed.
MAX_LOOKS: Final = 5

LookAtHomes = Callable[[Job, Inbox, str], Awaitable[Mapping[bytes, Presence]]]
"""What the other paths of these bytes (SHA-256) hold now. Raises ``HomeOutOfReach``."""
ForgetStaged = Callable[[Job, Inbox], Awaitable[None]]
"""Removes what an attempt has staged and nobody will publish."""


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
    ) -> None:
        self._engine = engine
        self._decisions = decisions
        self._look_at_homes = look_at_homes
        self._forget_staged = forget_staged
        self._policy = policy
        self._clock = clock
        self._chance = chance
        self._emit = emit
        self._hint = hint

    async def wanted(self, job: Job, inbox: Inbox, preview: Preview) -> bool:
        """Whether this content would be published as far as can be told before the commit."""
        published = await self._decisions.would_publish(job, inbox, preview.content, {})
        if published is None:
            presences = await self._look_at_homes(job, inbox, preview.content.sha256)
            published = await self._decisions.would_publish(job, inbox, preview.content, presences)
        return published is not False

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
                    self._completed(job, Outcome.SUPERSEDED, started, None)
                # Whatever stands there now has to settle and become a job of its own (PROTOCOL 3), or be fetched again.
                self._hint(job.inbox, job.rel)
            case _:
                try:
                    await self._decide(job, inbox, consequence.result, started)
                except HomeOutOfReach as error:
                    await self._forget_staged(job, inbox)
                    await self.conclude(job, inbox, out_of_reach(error), started)

    async def _decide(self, job: Job, inbox: Inbox, result: Processed | Recognised, started: float) -> None:
        sha256 = result.content.sha256
        presences: Mapping[bytes, Presence] = {}
        for _ in range(1 + MAX_LOOKS):
            decided = await self._decisions.conclude(job, inbox, result, presences)
            if not isinstance(decided, LookFirst):
                break
            presences = await self._look_at_homes(job, inbox, sha256)
        else:
            await self._engine.release(job)
            decided = None
        if isinstance(result, Processed) and (decided is None or decided.outcome is not Outcome.PUBLISHED):
            await self._forget_staged(job, inbox)
        if decided is not None:
            self._completed(job, decided.outcome, started, decided.anchor)

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

    def _completed(self, job: Job, outcome: Outcome, started: float, anchor: bytes | None) -> None:
        seconds = self._clock.monotonic() - started
        self._emit(Completed(job.id, job.inbox, job.rel, outcome, seconds, job.signature.size_bytes, anchor))


def out_of_reach(error: HomeOutOfReach) -> Troubled:
    """Whether the file is a copy or was moved cannot be told until that other path can be looked at."""
    home = shown(os.fsencode(error.filename))
    return Troubled(Reason.UNREADABLE, f"{home}, where these bytes were before, cannot be looked at: {error.strerror}")
