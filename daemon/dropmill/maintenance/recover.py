"""Boot mourns the dead: what an earlier run had in hand is given back before anything new is claimed (PROTOCOL 15)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from dropmill.files.lane import Lane
from dropmill.files.private import put_back
from dropmill.files.roots import sweep_staging
from dropmill.files.scan import Leftover
from dropmill.model.inbox import Inbox
from dropmill.observe.facts import Emit, Interrupted, Recovered
from dropmill.ports import Clock
from dropmill.store import owed, queries, queue
from dropmill.store.catalog import Catalog


@dataclass(slots=True)
class Recovery:
    catalog: Catalog
    boot: str
    max_interruptions: int
    inboxes: Mapping[str, Inbox]
    lanes: Mapping[bytes, Lane]
    drains: Sequence[Callable[[], Awaitable[bool]]]
    clock: Clock
    emit: Emit

    async def run(self) -> None:
        """Give interrupted jobs back, try each owed row once, then remove staged files that nobody owes.

        What cannot be done now has its next attempt on the calendar and holds back nothing else.
        """
        rescued = await self.catalog.write(
            lambda session: queue.rescue(session, self.boot, self.max_interruptions, self.clock.now_ms())
        )
        for job in rescued:
            self.emit(Interrupted(job.job_id, job.inbox, job.rel, job.discarded))
        while any([await drain() for drain in self.drains]):
            pass
        strays = 0
        for output_id, path in {(inbox.output.id, inbox.output.path) for inbox in self.inboxes.values()}:
            strays += await self._sweep(output_id, path)
        if rescued or strays:
            self.emit(Recovered(len(rescued), strays))

    async def _sweep(self, output_id: int, path: bytes) -> int:
        staged = await self.catalog.read(lambda session: owed.staged_names(session, output_id))
        try:
            return len(await self.lanes[path].call(sweep_staging, path, staged))
        except OSError:
            return 0  # An output that cannot be read now is reported by whatever publishes into it.


def put_back_strays(
    catalog: Catalog, lanes: Mapping[bytes, Lane], hint: Callable[[str, bytes], None]
) -> Callable[[Inbox, Leftover], Awaitable[None]]:
    """Private names that no disposal owes any more get their public name back (PROTOCOL 15)."""

    async def leftover(inbox: Inbox, found: Leftover) -> None:
        owed = await catalog.read(lambda session: queries.owes_disposal(session, found.job_id))
        if owed:
            return
        name = await catalog.read(lambda session: queries.name_of(session, found.job_id, inbox.root.id, found.rel))
        try:
            rel = await lanes[inbox.root.path].call(put_back, inbox.root.path, found.rel, name)
        except FileNotFoundError:
            return  # Somebody else has dealt with it.
        hint(inbox.name, rel)

    return leftover
