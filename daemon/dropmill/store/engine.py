"""The embedded job engine: ``ports.JobEngine`` and ``ports.Ledger`` on our ledger in SQLite."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from dropmill.model.bearing import Bearing
from dropmill.model.download import Asked
from dropmill.model.file import Signature
from dropmill.model.fingerprint import Content, Looks
from dropmill.model.inbox import URLS_SUFFIX, Inbox
from dropmill.model.job import Job, NewJob
from dropmill.model.outcome import Ignored, Reason
from dropmill.model.resemblance import Neighbours, Thresholds
from dropmill.model.verdict import Decided, LinkFirst, LookFirst, Presence, Publish
from dropmill.model.work import Linked, Processed, Recognised, Rendered
from dropmill.ports import ALL_INBOXES, Clock
from dropmill.store import decisions, downloads, preferences, queue, weighing
from dropmill.store.catalog import Catalog
from dropmill.store.connection import Session


class EmbeddedEngine:
    """``owner`` is the id of this boot; ``inboxes`` are those configured: jobs of others wait until theirs is back."""

    def __init__(
        self,
        catalog: Catalog,
        clock: Clock,
        owner: str,
        inboxes: Collection[str],
        held: Callable[[], Collection[str]] = frozenset,
    ) -> None:
        """``held`` names inboxes of which nothing may begin now, whatever waits in the queue."""
        self._catalog = catalog
        self._clock = clock
        self._owner = owner
        self._inboxes = inboxes
        self._held = held
        self._paused: set[str] | None = None
        self._fruitful = False
        """Whether the latest claim found anything."""

    async def closed(self) -> set[str]:
        """Names of our inboxes of which nothing begins now: paused ones, and those that are held."""
        paused = await self.paused()
        held = self._held()
        return {
            name
            for name in self._inboxes
            if ALL_INBOXES in paused or name in held or not paused.isdisjoint({name, name.removesuffix(URLS_SUFFIX)})
        }

    async def known(self, root_id: int, seen: Sequence[tuple[bytes, Signature]]) -> set[bytes]:
        return await self._catalog.read(lambda session: queue.known(session, root_id, seen))

    async def queue_holds(self, inbox: str, jobs: int) -> bool:
        return bool(await self._catalog.read(lambda session: session.value("queue_holds", inbox=inbox, jobs=jobs)))

    async def enqueue(
        self,
        root_id: int,
        jobs: Sequence[NewJob],
        ignored: Sequence[tuple[bytes, Signature, Ignored]],
        now_ms: int,
    ) -> tuple[list[int | None], list[bool], set[bytes]]:
        def action(session: Session) -> tuple[list[int | None], list[bool], set[bytes]]:
            met = queue.met(session, root_id, [job.rel for job in jobs])
            ids = queue.enqueue(session, root_id, jobs, now_ms)
            fresh = [queue.ignore(session, root_id, rel, signature, why, now_ms) for rel, signature, why in ignored]
            return ids, fresh, met

        return await self._catalog.write(action)

    async def claim(self, limit: int, *, idle: bool) -> list[Job]:
        closed = await self.closed()
        open_inboxes = [name for name in self._inboxes if name not in closed]
        if not open_inboxes:
            return []
        # Looking is cheap where there is nothing, but where there was something there mostly is more.
        if not self._fruitful and not await self._catalog.read(
            lambda session: queue.any_waiting(session, open_inboxes, self._clock.now_ms())
        ):
            return []
        claimed = await self._catalog.write(
            lambda session: queue.claim(
                session, self._owner, open_inboxes, limit, idle=idle, now_ms=self._clock.now_ms()
            )
        )
        self._fruitful = bool(claimed)
        return claimed

    async def next_due_ms(self) -> int | None:
        return await self._catalog.read(lambda session: session.value("jobs_next_due"))

    async def release(self, job: Job) -> bool:
        return await self._catalog.write(lambda session: queue.release(session, job, self._clock.now_ms()))

    async def interrupt(self, job: Job, detail: str) -> bool:
        return await self._catalog.write(lambda session: queue.interrupt(session, job, detail, self._clock.now_ms()))

    async def reschedule(
        self, job: Job, after_seconds: float, reason: Reason, detail: str, *, crashed: bool, alone: bool
    ) -> bool:
        def action(session: Session) -> bool:
            now_ms = self._clock.now_ms()
            return queue.reschedule(
                session,
                job,
                at_ms=now_ms + int(after_seconds * 1000),
                reason=reason,
                detail=detail,
                crashes=job.crashes + crashed,
                alone=alone,
                now_ms=now_ms,
            )

        return await self._catalog.write(action)

    async def discard(self, job: Job, inbox: Inbox, reason: Reason, detail: str, *, crashed: bool, move: bool) -> bool:
        return await self._catalog.write(
            lambda session: decisions.discard(
                session,
                job,
                inbox,
                reason,
                detail,
                crashes=job.crashes + crashed,
                move=move,
                now_ms=self._clock.now_ms(),
            )
        )

    async def supersede(self, job: Job) -> bool:
        return await self._catalog.write(lambda session: decisions.supersede(session, job, self._clock.now_ms()))

    async def paused(self) -> set[str]:
        known = self._paused
        if known is None:
            known = await self._catalog.read(queue.paused)
            self._paused = known
        return known

    async def pause(self, inbox: str) -> None:
        await self._catalog.write(lambda session: session.run("pause_put", inbox=inbox, now_ms=self._clock.now_ms()))
        self._paused = None

    async def resume(self, inbox: str) -> None:
        await self._catalog.write(lambda session: session.run("pause_remove", inbox=inbox))
        self._paused = None


class CatalogDecisions:
    """``ports.Decisions`` on the catalog. ``name_for`` gives final names from the inbox's template."""

    def __init__(
        self,
        catalog: Catalog,
        clock: Clock,
        name_for: Callable[[Job, Inbox, Processed, Asked | None], decisions.NameFor],
        thresholds: Thresholds | None = None,
    ) -> None:
        """``thresholds``: as configured, which what is chosen at runtime goes before."""
        self._catalog = catalog
        self._clock = clock
        self._name_for = name_for
        self._thresholds = thresholds or Thresholds()

    async def homes(self, job: Job, inbox: Inbox, sha256: str) -> list[weighing.KnownHome]:
        """Other paths of these bytes that have to be looked at before the commit."""
        return await self._catalog.read(lambda session: weighing.homes_of(session, job, inbox, sha256))

    async def would_publish(
        self, job: Job, inbox: Inbox, content: Content, presences: Mapping[bytes, Presence]
    ) -> bool | None:
        verdict = await self._catalog.read(lambda session: weighing.weigh(session, job, inbox, content, presences))
        return None if isinstance(verdict, LookFirst) else isinstance(verdict, Publish)

    async def bearing(
        self,
        job: Job,
        inbox: Inbox,
        content: Content,
        looks: Looks,
        presences: Mapping[bytes, Presence],
        neighbours: Neighbours | None,
    ) -> Bearing | None:
        def action(session: Session) -> Bearing | None:
            seen = weighing.Seen(neighbours, preferences.thresholds(session, self._thresholds))
            return weighing.bearing(session, job, inbox, content, looks, presences, seen)

        return await self._catalog.read(action)

    async def conclude(
        self,
        job: Job,
        inbox: Inbox,
        result: Processed | Recognised,
        presences: Mapping[bytes, Presence],
        neighbours: Neighbours | None = None,
        links: Linked | None = None,
    ) -> Decided | LookFirst | LinkFirst | None:
        now_ms = self._clock.now_ms()

        def action(session: Session) -> Decided | LookFirst | LinkFirst | None:
            asked = downloads.asked(session, job.id) if inbox.urls else None
            name_for = self._name_for(job, inbox, result, asked) if isinstance(result, Processed) else _no_names
            seen = weighing.Seen(neighbours, preferences.thresholds(session, self._thresholds))
            return decisions.conclude(session, job, inbox, result, presences, name_for, now_ms, seen, links)

        return await self._catalog.write(action, patient=True)  # Its worker has the next job already.


def _no_names(rendered: Rendered, suffix: str) -> bytes:
    raise AssertionError("a job that rendered nothing publishes nothing")
