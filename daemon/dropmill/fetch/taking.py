"""Lines on their way into the queue: a lot and the mark behind it in one transaction, and what is told of them."""

from __future__ import annotations

from collections.abc import Callable

from dropmill.files.dropfile import Lot
from dropmill.model.dropline import Bad
from dropmill.model.inbox import Inbox
from dropmill.model.job import FoundBy
from dropmill.model.tailing import Dropfile, Mark
from dropmill.observe.facts import DropfileBegun, Emit, Enqueued, LineRefused, LinesTaken
from dropmill.ports import Clock
from dropmill.store import dropfiles
from dropmill.store.catalog import Catalog
from dropmill.store.dropfiles import Taken


class Taker:
    """Of one drop-file or list. Raises ``DropmillError`` where nothing was committed."""

    def __init__(
        self, dropfile: Dropfile, inbox: Inbox, catalog: Catalog, clock: Clock, emit: Emit, wake: Callable[[], None]
    ) -> None:
        """``wake`` tells that there is something to fetch."""
        self._dropfile = dropfile
        self._inbox = inbox
        self._catalog = catalog
        self._clock = clock
        self._emit = emit
        self._wake = wake

    async def begin(self, mark: Mark, *, rewritten: bool, unread_bytes: int = 0) -> None:
        """Another file, or another content, is read from its start."""
        now_ms = self._clock.now_ms()
        await self._catalog.write(lambda session: dropfiles.put_mark(session, self._dropfile, mark, now_ms))
        path = self._dropfile.path
        self._emit(DropfileBegun(self._inbox.name, path, mark.generation, rewritten, unread_bytes))

    async def take(self, lot: Lot, found_by: FoundBy) -> None:
        now_ms = self._clock.now_ms()
        answers = await self._catalog.write(
            lambda session: dropfiles.take_lines(
                session, self._inbox, self._dropfile, lot.lines, lot.mark, found_by, now_ms
            )
        )
        self._tell(lot, answers, found_by)

    def _tell(self, lot: Lot, answers: list[Taken | None], found_by: FoundBy) -> None:
        inbox, path, fresh = self._inbox.name, self._dropfile.path, 0
        for line, taken in zip(lot.lines, answers, strict=True):
            said = line.said
            if isinstance(said, Bad):
                self._emit(LineRefused(inbox, path, line.number, said.url, said.reason, said.detail))
            elif taken is not None and taken.fresh:
                fresh += 1
                size_bytes = said.expected_size_bytes or 0
                self._emit(Enqueued(taken.job_id, inbox, said.canonical.encode(), found_by, size_bytes))
        if lot.lines:
            self._emit(LinesTaken(inbox, path, len(lot.lines), fresh, answers.count(None)))
        if fresh:
            self._wake()
