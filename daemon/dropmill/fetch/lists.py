"""Lists of URLs that are dropped into an inbox as files named ``*.urls``: read as a drop-file is, once they are settled."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from dropmill.errors import DropmillError
from dropmill.fetch.results import Results
from dropmill.fetch.taking import Taker
from dropmill.files.dropfile import Reading, open_list
from dropmill.files.lane import Lane
from dropmill.model.file import shown
from dropmill.model.inbox import Inbox
from dropmill.model.job import FoundBy
from dropmill.model.names import RESULTS_SUFFIX
from dropmill.model.tailing import Dropfile, Mark
from dropmill.observe.facts import Emit, StateTrouble
from dropmill.ports import Clock
from dropmill.store import dropfiles
from dropmill.store.catalog import Catalog

POLL_SECONDS: Final = 0.5


class Lists:
    """The lists in one inbox; the jobs belong to the inbox of its URLs. Runs until cancelled, to tell results."""

    def __init__(
        self,
        watched: Inbox,
        urls: Inbox,
        catalog: Catalog,
        lane: Lane,
        telling: Lane,
        clock: Clock,
        emit: Emit,
        wake: Callable[[], None],
    ) -> None:
        """``lane``: of the inbox. ``telling``: one of its own for the results. ``wake``: there is something to fetch."""
        self._watched = watched
        self._urls = urls
        self._catalog = catalog
        self._lane = lane
        self._telling = telling
        self._clock = clock
        self._emit = emit
        self._wake = wake
        self._results: dict[str, Results] = {}

    @property
    def path(self) -> bytes:
        return self._watched.root.path

    async def take(self, rel: bytes, found_by: FoundBy) -> None:
        """Every line of a settled list, each once; may be repeated after a crash. Raises OSError, ``DropmillError``."""
        dropfile = self._dropfile(rel)
        taker = Taker(dropfile, self._urls, self._catalog, self._clock, self._emit, self._wake)
        known = (await self._catalog.read(lambda session: dropfiles.position(session, dropfile.name))).mark
        reading = Reading(dropfile.path, await self._lane.call(open_list, self._watched.root.path, rel))
        try:
            look = await self._lane.call(reading.look, known)
            if look.open is None:
                return
            if known is None or known.file != look.open or known.offset_bytes > look.size_bytes or not look.same:
                known = Mark(look.open, known.generation + 1 if known else 1)
                await taker.begin(known, rewritten=known.generation > 1)
            while (lot := await self._lane.call(partial(reading.read, known, last=True))) is not None:
                if lot.mark.offset_bytes == known.offset_bytes:
                    return
                await taker.take(lot, found_by)
                known = lot.mark
        finally:
            self._lane.send(reading.close)

    async def run(self) -> None:
        while True:
            try:
                await self._tell()
            except DropmillError as error:
                self._emit(StateTrouble("telling results", f"inbox {self._watched.name}: {error}"))
            await self._clock.sleep(POLL_SECONDS)

    async def finished(self) -> bool:
        """Whether nothing is left that could be told."""
        return all([await results.finished() for results in await self._untold()])

    async def _tell(self) -> None:
        for results in await self._untold():
            while not await results.turn():
                pass

    async def _untold(self) -> list[Results]:
        """Of the lists of which something is to be told."""
        found = await self._catalog.read(lambda session: dropfiles.lists_to_tell(session, self._urls.name))
        root = self._watched.root.path.rstrip(b"/") + b"/"
        wanted: dict[str, Results] = {}
        for name, path in found:
            if path.startswith(root):
                wanted[name] = self._results.get(name) or self._made(path[len(root) :])
        self._results = wanted
        return list(wanted.values())

    def _made(self, rel: bytes) -> Results:
        return Results(self._dropfile(rel), self._urls, self._catalog, self._telling, self._clock, self._emit)

    def _dropfile(self, rel: bytes) -> Dropfile:
        path = self._watched.root.path.rstrip(b"/") + b"/" + rel
        return Dropfile(
            name=f"{self._urls.name}/{shown(rel)}",
            path=path,
            results=path + RESULTS_SUFFIX,
            on_repeat="skip",
            quiet_seconds=0.0,
            poll_seconds=POLL_SECONDS,
            root=self._watched.root.path,
        )
