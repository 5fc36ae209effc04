"""Tells what came of each line of a drop-file, in JSON lines in a file beside it; each end of a line once.

The catalog knows how large the file was after what was told last. What stands behind that was written by a run that
ended before it could commit: whole lines count as told, a torn one is cut off and written again. What others wrote stays.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from dropmill.errors import DropmillError
from dropmill.fetch.reach import Reach
from dropmill.files.access import NotRegularFile
from dropmill.files.dropfile import ResultsFile, append_results, open_results, whole_results
from dropmill.files.lane import Lane
from dropmill.model.file import shown
from dropmill.model.inbox import Inbox
from dropmill.model.tailing import Dropfile
from dropmill.model.watching import Trouble
from dropmill.observe.facts import Emit, ResultsTold, StateTrouble
from dropmill.ports import Clock
from dropmill.store import dropfiles
from dropmill.store.catalog import Catalog
from dropmill.store.dropfiles import Result

LOT: Final = 1000
AGAIN_SECONDS: Final = 5.0


class Results:
    """Runs until cancelled. While the file cannot be written, ``trouble`` says why; jobs do not wait for it."""

    def __init__(
        self, dropfile: Dropfile, inbox: Inbox, catalog: Catalog, lane: Lane, clock: Clock, emit: Emit
    ) -> None:
        self.dropfile = dropfile
        self._inbox = inbox
        self._catalog = catalog
        self._reach = Reach(inbox.name, dropfile.results, lane, emit)
        self._clock = clock
        self._emit = emit
        self._file: ResultsFile | None = None
        self._bytes: int | None = None
        self._after = 0

    @property
    def name(self) -> str:
        return self.dropfile.name

    @property
    def path(self) -> bytes:
        return self.dropfile.results

    @property
    def trouble(self) -> str:
        return self._reach.trouble

    @property
    def remedy(self) -> str:
        return self._reach.remedy

    async def finished(self) -> bool:
        """Whether nothing is left that could be told. What cannot be written is left for another run."""
        if self._reach.trouble:
            return True
        after = 0
        while True:
            page = await self._page(after)
            if page.results:
                return False
            if page.last is None:
                return True
            after = page.last

    async def run(self) -> None:
        self._bytes = None
        while True:
            pause = await self.turn()
            if pause:
                await self._clock.sleep(pause)

    async def turn(self) -> float:
        """Tell the next page of what may be told; returns how long to wait for more, in seconds."""
        try:
            return await self._turn()
        except OSError as error:
            self._reach.begin(_trouble_of(error))
        except DropmillError as error:
            self._emit(StateTrouble("telling results", f"drop-file {self.name}: {error}"))
        return AGAIN_SECONDS

    async def _turn(self) -> float:
        page = await self._page(self._after)
        if page.results:
            await self._tell(page.results)
        self._after = page.last or 0
        return 0.0 if page.results else self.dropfile.poll_seconds

    async def _page(self, after: int) -> dropfiles.Page:
        return await self._catalog.read(lambda session: dropfiles.to_tell(session, self._inbox, self.name, after, LOT))

    async def _tell(self, results: Sequence[Result]) -> None:
        if self._bytes is None:
            position = await self._catalog.read(lambda session: dropfiles.position(session, self.name))
            self._file, self._bytes = None, position.results_bytes
        mode, gid = self._inbox.mode, self._inbox.gid
        found = await self._reach.ask(open_results, *self.dropfile.results_place, mode, gid)
        if found.size_bytes < self._bytes or (self._file is not None and found.file != self._file.file):
            # Rotated or removed by its user: a new one is begun, and that is known before anything is in it.
            await self._commit([], 0)
        self._file = found
        if found.size_bytes > (self._bytes or 0):
            known = await self._take_up(self._bytes or 0)
            results = [result for result in results if result.id not in known]
        self._reach.end()
        if not results:
            return
        lines = b"".join(result_line(result) for result in results)
        expected = ResultsFile(found.file, self._bytes or 0)
        size_bytes = await self._reach.ask(append_results, *self.dropfile.results_place, expected, lines)
        await self._commit([result.id for result in results], size_bytes)
        self._emit(ResultsTold(self._inbox.name, self.dropfile.results, len(results)))

    async def _take_up(self, at_bytes: int) -> set[int]:
        """Count as told what stands behind what is known to have been told, as far as it is whole."""
        known: set[int] = set()
        while True:
            lines = await self._reach.ask(_some_lines, *self.dropfile.results_place, at_bytes)
            if not lines:
                break
            at_bytes = lines[-1][1]
            at_ms = {key[0]: key[1] for line, _ in lines if (key := _key(line)) is not None}
            ended = await self._catalog.read(partial(dropfiles.ended, ids=list(at_ms)))
            ids = [line_id for line_id, ended_ms in ended.items() if at_ms[line_id] == _utc(ended_ms)]
            await self._commit(ids, at_bytes)
            known |= set(ids)
        return known

    async def _commit(self, ids: Sequence[int], results_bytes: int) -> None:
        await self._catalog.write(lambda session: dropfiles.told(session, self.name, ids, results_bytes))
        self._bytes = results_bytes


def result_line(result: Result) -> bytes:
    """One line of a results file, newline included. Empty values are left out."""
    several = any(rendition.page > 1 for rendition in result.renditions)
    document: dict[str, Any] = {
        "line": result.line,
        "url": result.url,
        "outcome": result.outcome,
        "reason": result.reason.value if result.reason else "",
        "detail": result.detail,
        "job": result.job_id,
        "sha256": result.sha256,
        "label": result.label,
        "resembles": list(result.resembles),
        "renditions": [
            {"name": rendition.name, "path": shown(rendition.path)} | ({"page": rendition.page} if several else {})
            for rendition in result.renditions
        ],
        "at": _utc(result.at_ms),
        "id": result.id,
    }
    return json.dumps({key: value for key, value in document.items() if value not in ("", None, [])}).encode() + b"\n"


def _utc(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _key(line: bytes) -> tuple[int, str] | None:
    """Which line a result is of and when it ended; None for what is none of ours."""
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or not isinstance(document.get("id"), int):
        return None
    return document["id"], str(document.get("at"))


def _some_lines(root: bytes, rel: bytes, offset_bytes: int) -> list[tuple[bytes, int]]:
    """Some whole lines from an offset on, each with the offset behind it."""
    found: list[tuple[bytes, int]] = []
    for item in whole_results(root, rel, offset_bytes):
        found.append(item)
        if len(found) == LOT:
            break
    return found


def _trouble_of(error: OSError) -> Trouble:
    if isinstance(error, NotRegularFile):
        return Trouble(f"results cannot be written: it is no file but a {error.kind}", "name another file in results")
    said = error.strerror or str(error)
    hint = "let the daemon's user write the file, and its folder, or name another one in results; nothing is lost"
    return Trouble(f"results cannot be written: {said}", hint)
