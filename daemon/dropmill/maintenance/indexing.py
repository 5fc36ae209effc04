"""Libraries are catalogued one scan after another: in the daemon beside the jobs of its inboxes, or by a command alone."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import anyio

from dropmill.errors import DropmillError
from dropmill.files import library
from dropmill.files.lane import Lane
from dropmill.files.library import Claim
from dropmill.maintenance.counting import Counts
from dropmill.maintenance.reading import Tools
from dropmill.maintenance.rehashing import Rehash
from dropmill.maintenance.scanning import Scan
from dropmill.model.file import shown
from dropmill.observe.facts import CataloguingBegun, CataloguingEnded, OlderHashes, StateTrouble
from dropmill.settings import Settings
from dropmill.store import scans, views
from dropmill.store.connection import Row, Session
from dropmill.store.scans import By

RETRY_SECONDS: Final = 2.0
ANSWER_SECONDS: Final = 5.0
# Folders whose files are nobody's library.
_LEFT_OUT: Final = {
    "inbox": "the inbox {name}, whose pictures are taken in by themselves",
    "output": "the output of {name}, and holds renditions",
    "quarantine": "the quarantine of {name}",
}
_TAKEN_IN: Final = ("archive", "duplicates")


@dataclass(slots=True)
class Indexer:
    """``run`` carries out what ``begin`` asked for, until it is cancelled; a scan is resumed by the next daemon then."""

    tools: Tools
    settings: Settings
    by: By
    carries_out: bool = True
    """False for a daemon that ends once its inboxes are empty: scans are left for another."""
    older: int = field(default=0, init=False)
    """How many images had hashes of an earlier version, or none of parts that are wanted, at the start, or after the latest
    scan."""
    _wake: anyio.Event = field(default_factory=anyio.Event, init=False)
    _current: Scan | Rehash | None = field(default=None, init=False)
    _scope: anyio.CancelScope | None = field(default=None, init=False)
    _cancelled: set[int] = field(default_factory=set, init=False)

    async def begin(self, folders: Sequence[bytes], workers: int, rehash: bool) -> int:
        """Durable on return: the id of the new scan. Without folders, only ``rehash`` has anything to do."""
        now_ms = self.tools.clock.now_ms()
        scan_id = await self.tools.catalog.write(
            lambda session: scans.begin(session, folders, rehash, workers, self.by, now_ms)
        )
        self._wake.set()
        return scan_id

    async def cancel(self, scan_id: int) -> bool:
        """What was catalogued so far stays. False where it is not running any more."""
        now_ms = self.tools.clock.now_ms()
        ended = await self.tools.catalog.write(lambda session: scans.end(session, scan_id, "cancelled", "", now_ms))
        if ended and self._current is not None and self._current.id == scan_id and self._scope is not None:
            self._cancelled.add(scan_id)
            self._scope.cancel()
        return ended

    def counts(self, scan_id: int) -> Counts | None:
        """Of the scan that is under way; None of any other, of which the catalog tells."""
        return self._current.counts if self._current is not None and self._current.id == scan_id else None

    async def run(self) -> None:
        started = False
        while True:
            self._wake = anyio.Event()
            try:
                if not started:
                    await self.start()
                    started = True
                if not self.carries_out:
                    return
                await self._carry_out_all()
                await self._wake.wait()
            except DropmillError as error:
                self.tools.emit(StateTrouble("cataloguing", str(error)))
                await self.tools.clock.sleep(RETRY_SECONDS)

    async def start(self) -> None:
        """Before the first scan: those that died with their command are ended, a file that has two roots by now keeps the
        inner one, and older hashes are told of."""
        now_ms = self.tools.clock.now_ms()
        await self.tools.catalog.write(lambda session: scans.end_cut_off(session, now_ms))
        await self._give_up_claimed()
        self.older = await self._count_older()
        if self.older:
            self.tools.emit(OlderHashes(self.older, self.tools.windows))

    async def carry_out(self, row: Row, *, again: bool) -> None:
        """One scan to its end, which is recorded unless this is cancelled from outside."""
        tools, clock = self.tools, self.tools.clock
        folders, scan_id, began = scans.folders_of(row), row["id"], clock.monotonic()
        tools.emit(CataloguingBegun(scan_id, tuple(map(shown, folders)), bool(row["rehash"]), again))
        kind = Rehash if row["rehash"] else Scan
        self._current = scan = kind(tools, scan_id, row["workers"])
        state, detail = "done", ""
        with anyio.CancelScope() as self._scope:
            try:
                await scan.run(folders, await self.claims())
            except (DropmillError, OSError) as error:
                state, detail = "failed", str(error)
            except ExceptionGroup as group:
                state, detail = "failed", str(_innermost(group))
        if self._scope.cancelled_caught or scan_id in self._cancelled:
            state = "cancelled"
        await self._end(scan, state, detail, clock.monotonic() - began)

    async def claims(self) -> list[Claim]:
        """Every folder of which something is known, by its real path."""
        rows = await self.tools.catalog.read(views.roots)
        claims = claims_of(self.settings, rows)
        real: dict[bytes, bytes] = {}
        for path in dict.fromkeys(claim.path for claim in claims):
            real[path] = await _real(path)
        return library.merged(Claim(real[claim.path], claim.roots, claim.why) for claim in claims)

    async def _carry_out_all(self) -> None:
        first = True
        while rows := await self.tools.catalog.read(lambda session: scans.running(session, self.by)):
            await self.carry_out(rows[0], again=first and rows[0]["files"] > 0)
            first = False

    async def _end(self, scan: Scan | Rehash, state: str, detail: str, seconds: float) -> None:
        tools, counts, now_ms = self.tools, scan.counts, self.tools.clock.now_ms()

        def end(session: Session) -> None:
            scans.progress(session, scan.id, counts.columns(), counts.told())
            scans.end(session, scan.id, state, detail, now_ms)

        await tools.catalog.write(end)
        self.older = await self._count_older()
        self._current = None
        self._cancelled.discard(scan.id)
        tools.emit(
            CataloguingEnded(
                scan.id,
                state,
                counts.indexed,
                counts.unchanged,
                counts.ignored,
                counts.refused,
                counts.vanished,
                seconds,
                detail,
            )
        )

    async def _count_older(self) -> int:
        windows = self.tools.windows
        return await self.tools.catalog.read(lambda session: scans.count_older(session, windows=windows))

    async def _give_up_claimed(self) -> None:
        """What lies in a folder that was configured since it was catalogued belongs to that folder: no file is held twice."""
        claims = await self.claims()
        for outer in claims:
            for inner in claims:
                if outer.roots and inner.path != outer.path and library.within(inner.path, outer.path):
                    await self._drop_below(outer, library.below(inner.path, outer.path))

    async def _drop_below(self, outer: Claim, top: bytes) -> None:
        rows = await self.tools.catalog.read(views.roots)
        libraries = {row["id"] for row in rows if row["kind"] == "library"}
        for root_id in libraries.intersection(outer.roots):
            for refused in (False, True):
                find = partial(scans.paths, root_id=root_id, top=top, after=b"", refused=refused)
                while rels := await self.tools.catalog.read(find):
                    await self.tools.catalog.write(partial(scans.drop, root_id=root_id, rels=rels, refused=refused))


def claims_of(settings: Settings, rows: Sequence[Row]) -> list[Claim]:
    """By the paths as they are written: the folders of the configuration, the state, and those that the catalog knows."""
    ids: Mapping[tuple[str, str], int] = {(row["kind"], row["name"]): row["id"] for row in rows}
    found = [Claim(_absolute(settings.state_dir), (), "dropmill's own state")]
    for inbox in settings.every_inbox:
        for kind, why in _LEFT_OUT.items():
            folder = inbox.path if kind == "inbox" else getattr(inbox, kind)
            if folder:
                found.append(Claim(_absolute(folder), _id(ids, kind, inbox.name), why.format(name=inbox.name)))
        for kind in _TAKEN_IN:
            folder = getattr(inbox, kind)
            if folder and (kind, inbox.name) in ids:
                found.append(Claim(_absolute(folder), _id(ids, kind, inbox.name)))
    configured = {root_id for claim in found for root_id in claim.roots}
    former = {"library", "move", "inbox", *_TAKEN_IN}
    return found + [
        Claim(row["path"], (row["id"],)) for row in rows if row["kind"] in former and row["id"] not in configured
    ]


def _id(ids: Mapping[tuple[str, str], int], kind: str, name: str) -> tuple[int, ...]:
    return (ids[kind, name],) if (kind, name) in ids else ()


def _absolute(path: str) -> bytes:
    return os.path.abspath(os.fsencode(path))


async def _real(path: bytes) -> bytes:
    """Where a path leads; as it is written where that is not said soon, as of a share that hangs (W40)."""
    lane = Lane("index-roots")
    try:
        return await lane.call_within(ANSWER_SECONDS, os.path.realpath, path)
    except OSError:
        return path
    finally:
        lane.close()


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
