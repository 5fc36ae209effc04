"""Boot mourns the dead: what an earlier run had in hand is given back before anything new is claimed (PROTOCOL 15)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import anyio

from dropmill.errors import DropmillError
from dropmill.files import downloads
from dropmill.files.copying import sweep_added
from dropmill.files.lane import Lane
from dropmill.files.private import put_back
from dropmill.files.roots import read_identity, sweep_staging
from dropmill.files.scan import Leftover
from dropmill.maintenance.drain import Drain
from dropmill.model.inbox import Inbox
from dropmill.model.job import Job
from dropmill.observe.facts import Emit, Interrupted, Recovered
from dropmill.ports import Clock
from dropmill.store import owed, queries, queue
from dropmill.store.catalog import Catalog
from dropmill.store.connection import Session
from dropmill.store.leaving import owe_rejection

# Readiness waits that long for what an earlier run left owed; what takes longer goes on beside the new work.
PATIENCE_SECONDS: Final = 10.0
# Whether an output that was away at the start is back is looked at this often.
AWAY_SECONDS: Final = 2.0
# A command that made a file and did not come to lock it in that time is dead, whatever a share's clock says.
FORGOTTEN_MS: Final = 3_600_000


@dataclass(slots=True)
class Recovery:
    catalog: Catalog
    boot: str
    max_interruptions: int
    inboxes: Mapping[str, Inbox]
    lanes: Mapping[bytes, Lane]
    drains: Sequence[Drain]
    clock: Clock
    emit: Emit
    wake: Callable[[], None]
    """An inbox has recovered, so its jobs may be claimed."""
    waiting: set[str] = field(init=False)
    """Inboxes whose leftovers are not dealt with yet: no job of theirs may be claimed, for the sweep takes away every
    staged file that nobody owes."""
    done: anyio.Event = field(default_factory=anyio.Event)
    _strays: int = 0

    def __post_init__(self) -> None:
        self.waiting = set(self.inboxes)

    async def rescue(self) -> int:
        """Give interrupted jobs back; returns how many."""
        rescued = await self.catalog.write(
            lambda session: queue.rescue(
                session, self.boot, self.max_interruptions, self.clock.now_ms(), self._owe_quarantine
            )
        )
        for job in rescued:
            self.emit(Interrupted(job.job_id, job.inbox, job.rel, job.discarded))
        return len(rescued)

    def _owe_quarantine(self, session: Session, job: Job, detail: str) -> None:
        owed.keep_unreplaced(session, job.id, self.clock.now_ms())
        inbox = self.inboxes.get(job.inbox)
        if inbox is not None:
            owe_rejection(session, job, inbox, detail)

    async def run(self, rescued: int) -> None:
        """Once each owed row of an output was tried, remove staged files there that nobody owes; outputs side by side.

        An output that hangs keeps its own inboxes waiting and nobody else. One that is away is swept when it is back.
        """
        outputs = {inbox.output.id: inbox for inbox in self.inboxes.values()}
        away: list[Inbox] = []
        async with anyio.create_task_group() as group:
            for inbox in outputs.values():
                group.start_soon(self._output, inbox, away)
            for inbox in self.inboxes.values():
                group.start_soon(self._inbox, inbox)
        if rescued or self._strays:
            self.emit(Recovered(rescued, self._strays))
        self.done.set()
        async with anyio.create_task_group() as group:
            for inbox in away:
                group.start_soon(self._returned, inbox)

    async def _output(self, inbox: Inbox, away: list[Inbox]) -> None:
        leaning = self._leaning(inbox)
        for drain in self.drains:
            if inbox.output.path in drain.folders or drain.inboxes & leaning:
                await drain.looked.wait()
        strays = await self._sweep(inbox)
        if strays is None:
            away.append(inbox)
        else:
            self._strays += strays

    async def _returned(self, inbox: Inbox) -> None:
        """No job of its inboxes is claimed while an output is away, so nothing is lost by waiting for the sweep."""
        while (strays := await self._sweep(inbox)) is None:
            await self.clock.sleep(AWAY_SECONDS)
        if strays:
            self.emit(Recovered(0, strays))

    async def _sweep(self, inbox: Inbox) -> int | None:
        """How many staged files were removed; None while the output is not the recorded one."""
        output = inbox.output
        try:
            staged = await self.catalog.read(lambda session: owed.staged_names(session, output.id))
            found = await self.lanes[output.path].call(_sweep_recorded, output.path, inbox.output_uuid, staged)
        except (OSError, DropmillError):
            found = 0  # What cannot be removed waits for another start: it harms nobody.
        if found is not None:
            self.waiting -= self._leaning(inbox)
            self.wake()
        return found

    def _leaning(self, inbox: Inbox) -> set[str]:
        return {name for name, other in self.inboxes.items() if other.output.id == inbox.output.id}

    async def _inbox(self, inbox: Inbox) -> None:
        if inbox.urls:
            await self._downloads(inbox)
            return
        before_ns = (self.clock.now_ms() - FORGOTTEN_MS) * 1_000_000
        try:
            await self.lanes[inbox.root.path].call(sweep_added, inbox.root.path, before_ns)
        except OSError:
            return  # An inbox that cannot be read now is told of by its watch.

    async def _downloads(self, inbox: Inbox) -> None:
        """Downloads, whole or in part, whose job has ended and owes them nothing."""
        lane, root = self.lanes[inbox.root.path], inbox.root
        try:
            found = await lane.call(downloads.stored, root.path)
            idle = [one.name for one in found if not await self.catalog.read(partial(_needed, one))]
            await lane.call(downloads.remove, root.path, idle)
        except (OSError, DropmillError):
            return  # They wait for another start: they harm nobody.


def _needed(one: downloads.Stored, session: Session) -> bool:
    if one.partial:
        return queries.is_active(session, one.job_id, phase="fetch")
    owes = queries.owes_disposal(session, one.job_id)
    return owes if one.leaving else owes or queries.is_active(session, one.job_id)


def _sweep_recorded(output: bytes, identity: str, staged: set[str]) -> int | None:
    """Blocking. None where the output is away, out of reach or another one: then nothing is published there either."""
    try:
        if read_identity(output) != identity:
            return None
    except (OSError, DropmillError):
        return None
    return len(sweep_staging(output, staged))


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
