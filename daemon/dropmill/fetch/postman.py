"""The rounds of a webhook: what is owed to it is sent, in a task of its own, so that one that hangs keeps nobody waiting."""

from __future__ import annotations

import math
import random
from typing import Final, Protocol

import anyio
from anyio.abc import TaskGroup

from dropmill.fetch.bulletin import body_of
from dropmill.model.webhook import Posted, Rules, after_failure
from dropmill.observe import facts
from dropmill.observe.facts import Emit, Fact, StateTrouble
from dropmill.ports import Clock
from dropmill.store import webhooks
from dropmill.store.catalog import Catalog
from dropmill.store.connection import Session

AT_ONCE: Final = 4
"""Requests to one webhook."""
# Whatever brings something about is heard of, and pauses have a known end; what was missed is seen within this time.
LOOK_SECONDS: Final = 60.0
# Under load what comes about is taken in lots.
PACE_SECONDS: Final = 0.05
KEPT_MS: Final = 30 * 86_400_000
"""What nobody came for is kept so long: dead letters, and what is owed to webhooks that are disabled or configured no more."""
GRACE_SECONDS: Final = 2.0
"""For requests under way when the work ends: what a receiver takes by then is not sent again."""
_FORGET_EVERY_SECONDS: Final = 3600.0


class Posts(Protocol):
    async def post(self, webhook_id: str, body: bytes) -> Posted: ...


_BRINGING: Final = (
    facts.Completed,
    facts.Discarded,
    facts.Interrupted,
    facts.PublicationFailed,
    facts.RenditionVisible,
)


class Bulletins:
    """Writes down what is to be sent, once everything of a job is visible: one task for all webhooks."""

    def __init__(self, catalog: Catalog, clock: Clock, emit: Emit, postmen: list[Postman]) -> None:
        self._catalog = catalog
        self._clock = clock
        self._emit = emit
        self._postmen = postmen
        self._wake = anyio.Event()

    def heard(self, fact: Fact) -> None:
        """What decides a job, or makes something of it visible, may have brought about what is to be told."""
        if isinstance(fact, _BRINGING):
            self._wake.set()

    async def run(self) -> None:
        """For ever."""
        forget_at = self._clock.monotonic()
        while True:
            self._wake = anyio.Event()
            try:
                while await self._catalog.read(webhooks.any_unwritten):
                    await self._catalog.write(lambda session: webhooks.write(session, body_of))
                    for postman in self._postmen:
                        postman.wake()
                with anyio.move_on_after(LOOK_SECONDS):
                    await self._wake.wait()
                    await self._clock.sleep(PACE_SECONDS)
                if self._clock.monotonic() >= forget_at:
                    forget_at = self._clock.monotonic() + _FORGET_EVERY_SECONDS
                    await self._forget()
            except Exception as error:  # noqa: BLE001  # Nobody else would write anything down.
                self._emit(StateTrouble("webhooks", f"{type(error).__name__}: {error}"))
                await self._clock.sleep(1.0)

    async def _forget(self) -> None:
        before_ms = self._clock.now_ms() - KEPT_MS
        while lot := await self._catalog.write(lambda session: webhooks.forget(session, before_ms)):
            for webhook, events in lot.items():
                self._emit(facts.WebhookExpired(webhook, events))
            await self._clock.sleep(PACE_SECONDS)


class Postman:
    def __init__(
        self, name: str, posts: Posts, rules: Rules, catalog: Catalog, clock: Clock, chance: random.Random, emit: Emit
    ) -> None:
        self.name = name
        self._posts = posts
        self._rules = rules
        self._catalog = catalog
        self._clock = clock
        self._chance = chance
        self._emit = emit
        self._wake = anyio.Event()
        self._in_hand: set[int] = set()
        self._failures = 0
        """In a row, while anything is in hand."""
        self._under_way: set[anyio.CancelScope] = set()
        self._ends_at = math.inf

    def wake(self) -> None:
        self._wake.set()

    async def finished(self) -> bool:
        """Whether nothing is left that could be sent now and was never tried. What fails is left for another run."""

        def look(session: Session) -> bool:
            now_ms, state = self._clock.now_ms(), webhooks.state(session, self.name)
            return state.disabled or state.ready_at_ms > now_ms or not webhooks.fresh(session, self.name, now_ms)

        return await self._catalog.read(look)

    async def run(self) -> None:
        """Until it is cancelled; then for as long as requests are under way, ``GRACE_SECONDS`` at most."""
        async with anyio.create_task_group() as group:
            try:
                await self._rounds(group)
            finally:
                self._ends_at = anyio.move_on_after(GRACE_SECONDS).deadline
                for scope in self._under_way:
                    scope.deadline = self._ends_at

    async def _rounds(self, group: TaskGroup) -> None:
        while True:
            self._wake = anyio.Event()
            wait_seconds = 0.0
            try:
                wait_seconds = await self._begin(group)
            except Exception as error:  # noqa: BLE001  # What is owed stays owed, and nobody else would send it.
                await self._stumbled(error)
            with anyio.move_on_after(wait_seconds):
                await self._wake.wait()

    async def _begin(self, group: TaskGroup) -> float:
        """Begin as much of what is due as there is room for. One that fails is asked one thing at a time.

        Returns for how many seconds nothing more is due, unless somebody wakes us.
        """
        # What ends while the catalog is read may still be owed in what was read.
        busy, now_ms = frozenset(self._in_hand), self._clock.now_ms()
        state, due, next_due_ms = await self._catalog.read(
            lambda session: (
                webhooks.state(session, self.name),
                webhooks.due(session, self.name, now_ms, 2 * AT_ONCE),
                webhooks.next_due_ms(session, self.name, now_ms),
            )
        )
        if state.disabled:
            return LOOK_SECONDS
        if state.ready_at_ms > now_ms:
            return min(LOOK_SECONDS, (state.ready_at_ms - now_ms) / 1000)
        if not self._in_hand:
            self._failures = state.failures
        for delivery in due:
            if len(self._in_hand) >= (1 if self._failures else AT_ONCE):
                return LOOK_SECONDS
            if delivery.id not in busy:
                self._in_hand.add(delivery.id)
                group.start_soon(self._deliver, delivery)
        return LOOK_SECONDS if next_due_ms is None else min(LOOK_SECONDS, (next_due_ms - now_ms) / 1000)

    async def _deliver(self, delivery: webhooks.Delivery) -> None:
        try:
            await self._send_to_the_end(delivery)
        except Exception as error:  # noqa: BLE001  # As above.
            await self._stumbled(error)
        finally:
            self._in_hand.discard(delivery.id)
            self._wake.set()

    async def _stumbled(self, error: Exception) -> None:
        self._emit(StateTrouble("webhooks", f"webhook {self.name}: {type(error).__name__}: {error}"))
        await self._clock.sleep(1.0)

    async def _send_to_the_end(self, delivery: webhooks.Delivery) -> None:
        if self._ends_at < math.inf:
            return  # It was about to begin when the work ended.
        with anyio.CancelScope(shield=True) as scope:
            self._under_way.add(scope)
            try:
                await self._send(delivery)
            finally:
                self._under_way.discard(scope)

    async def _send(self, delivery: webhooks.Delivery) -> None:
        posted = await self._posts.post(delivery.webhook_id, delivery.body)
        now_ms = self._clock.now_ms()
        if posted.reason is None:
            self._failures = 0
            await self._catalog.write(lambda session: webhooks.delivered(session, self.name, delivery, now_ms))
            self._emit(
                facts.WebhookDelivered(self.name, delivery.type, delivery.job_id, delivery.attempts + 1, posted.seconds)
            )
        elif posted.gone:
            if await self._catalog.write(lambda session: webhooks.disable(session, self.name, posted, now_ms)):
                self._emit(facts.WebhookDisabled(self.name, posted.detail))
        else:
            await self._failed(delivery, posted, now_ms)

    async def _failed(self, delivery: webhooks.Delivery, posted: Posted, now_ms: int) -> None:
        then = after_failure(posted, delivery.attempts + 1, self._failures, self._rules, self._chance)
        self._failures = then.failures
        next_at_ms = None if then.after_seconds is None else now_ms + int(then.after_seconds * 1000)
        await self._catalog.write(
            lambda session: webhooks.failed(
                session,
                self.name,
                delivery,
                posted,
                failures=then.failures,
                ready_at_ms=now_ms + int(then.rest_seconds * 1000) if then.rest_seconds else 0,
                next_at_ms=next_at_ms,
                now_ms=now_ms,
            )
        )
        reason = posted.reason.value if posted.reason is not None else ""
        self._emit(
            facts.WebhookFailed(
                self.name,
                delivery.type,
                delivery.job_id,
                delivery.attempts + 1,
                reason,
                posted.detail,
                then.after_seconds,
            )
        )
