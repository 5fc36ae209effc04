"""One run over libraries: walk, leave out what is known, have the rest read by workers, commit in lots, see what is gone.

Whatever cuts it off costs the files of the lot at hand: the next run passes over all that was committed.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

import anyio
from anyio.abc import ObjectReceiveStream

from dropmill.errors import DropmillError
from dropmill.files import library
from dropmill.files.lane import Lane
from dropmill.files.library import Claim, Judged, LibraryScanner, Part
from dropmill.files.scan import Chunk, Entry
from dropmill.maintenance.counting import Counts
from dropmill.maintenance.reading import Tools, Turns, read
from dropmill.model.file import shown
from dropmill.model.outcome import Ignored, Reason
from dropmill.model.work import (
    NotOurs,
    Preview,
    Processed,
    Recognised,
    Rejected,
    Superseded,
    Troubled,
    WorkerLost,
    WorkResult,
)
from dropmill.observe.facts import CataloguingProgressed, CataloguingRefused, CataloguingTrouble, StateTrouble
from dropmill.store import scans
from dropmill.store.connection import Session
from dropmill.store.scans import Found, Turned, Why

T = TypeVar("T")

LOT: Final = 100
LOT_SECONDS: Final = 2.0
# How often a file is tried whose worker was lost, before it is told as refused.
TRIES: Final = 2
RETRY_SECONDS: Final = 2.0
# A folder that takes longer than this to answer is said to hang.
SILENT_SECONDS: Final = 10.0
# Of the machine or the moment, and not of the file: it is tried again by the next run.
_PASSING: Final = frozenset(
    {Reason.IO_ERROR, Reason.UNREADABLE, Reason.INTERRUPTED, Reason.UNEXPECTED, Reason.DISK_FULL}
)


@dataclass(frozen=True, slots=True)
class Item:
    part: Part
    entry: Entry


class Scan:
    """One run; ``run`` returns at its end, and raises what keeps it from going on."""

    def __init__(self, tools: Tools, scan_id: int, workers: int) -> None:
        self.id = scan_id
        self.counts = Counts()
        self._tools = tools
        self._turns = Turns(tools, workers)
        self._lane = Lane(f"index-{scan_id}")
        self._lots: dict[Part, list[Found | Turned]] = {}
        self._held = 0
        self._serial = 0
        self._committed_at = tools.clock.monotonic()
        self._committing = anyio.Lock()
        self._over = False

    async def run(self, folders: Sequence[bytes], claims: Sequence[Claim]) -> None:
        """``folders`` as they were asked for, ``claims`` by real paths."""
        try:
            parts, notes = library.plan(await self._real(folders), claims)
            for note in notes:
                self.counts.note(note)
            async with anyio.create_task_group() as beside:
                beside.start_soon(self._count, parts)
                beside.start_soon(self._tell)
                for part in parts:
                    try:
                        await self._part(part)
                    except OSError as error:  # It went away meanwhile; the other parts have nothing to do with that.
                        self._trouble(part.folder, f"{error.strerror}; nothing of it is forgotten")
                self._over = True
                beside.cancel_scope.cancel()
        finally:
            self._over = True
            with anyio.CancelScope(shield=True):
                await self._keep_what_is_there()
            self._lane.close()

    async def _real(self, folders: Sequence[bytes]) -> list[bytes]:
        found = []
        for folder in folders:
            try:
                real = await self._blocking(folder, library.real_folder, folder)
                allowed = self._tools.allowed
                # Asked when it was begun, too; it may lead elsewhere by now, or others may be allowed.
                if allowed is None or await self._blocking(folder, library.within_any, real, allowed):
                    found.append(real)
                else:
                    self._trouble(folder, "it is outside library_roots; nothing of it is read or forgotten")
            except OSError as error:
                self._trouble(folder, f"{error.strerror}; nothing of it is forgotten")
        return found

    # The way of a part.

    async def _part(self, part: Part) -> None:
        rooted = await self._rooted(part)
        if await self._blocking(part.folder, library.is_empty, part):
            if await self._was_filled(rooted):
                self._trouble(part.folder, "it is empty, as where its disk is not mounted; nothing of it is forgotten")
            return
        scanner = await self._blocking(part.folder, LibraryScanner, rooted)
        try:
            send, receive = anyio.create_memory_object_stream[Item](self._turns.workers)
            async with anyio.create_task_group() as group:
                for _ in range(self._turns.workers):
                    group.start_soon(self._work, receive.clone())
                receive.close()
                async with send:
                    async for chunk in self._chunks(rooted, scanner):
                        for item in await self._to_read(rooted, chunk):
                            await send.send(item)
            await self._commit()
            await self._forget_gone(rooted, scanner.mounts)
        finally:
            self._lane.send(scanner.close)

    async def _rooted(self, part: Part) -> Part:
        if part.roots:
            return part
        root_id = await self._write(lambda session: scans.put_library(session, part.path))
        return Part(part.path, (root_id,), part.top, part.excluded)

    async def _chunks(self, part: Part, scanner: LibraryScanner) -> AsyncIterator[Chunk]:
        while (chunk := await self._blocking(part.folder, scanner.next_chunk)) is not None:
            for error in chunk.errors:
                self._trouble(os.path.join(part.path, error.rel), os.strerror(error.errno))
            yield chunk

    async def _to_read(self, part: Part, chunk: Chunk) -> list[Item]:
        """Those that a worker has to see; the others are counted."""
        entries = chunk.entries
        rels = [entry.rel for entry in entries]
        tools = self._tools
        known = await tools.catalog.read(lambda session: scans.known(session, part.roots, rels, tools.rules))
        new = []
        for entry in entries:
            version = entry.rel, scans.as_known(entry.signature)
            if version in known:
                self._pass(entry)
                self._count_known(part, entry, known[version])
            else:
                new.append(entry)
        judged = (
            await self._blocking(part.folder, partial(library.judge_many, part.path, new, heif=tools.heif))
            if new
            else []
        )
        return [Item(part, one.entry) for one in judged if self._is_to_read(part, one)]

    def _count_known(self, part: Part, entry: Entry, why: Why | None) -> None:
        if why is None:
            self.counts.unchanged += 1
        elif why.ignored:
            self.counts.ignored += 1
        else:
            self.counts.refuse(os.path.join(part.path, entry.rel), why.reason, why.detail)

    def _is_to_read(self, part: Part, judged: Judged) -> bool:
        entry, ignored = judged.entry, judged.ignored
        if ignored is None and not judged.trouble:
            return True
        self._pass(entry)
        if ignored is None:
            self._trouble(os.path.join(part.path, entry.rel), judged.trouble)
        elif ignored.reason is Reason.UNREADABLE:
            self._trouble(os.path.join(part.path, entry.rel), "it may not be read")
        else:
            self.counts.ignored += 1
            self._turn(part, entry, ignored, ignored=True)
        return False

    async def _work(self, receive: ObjectReceiveStream[Item]) -> None:
        async with receive:
            async for item in receive:
                for left in reversed(range(TRIES)):
                    async with self._turns:
                        result = await self._read(item)
                    if not isinstance(result, WorkerLost) or not left:
                        break
                await self._take(item, result)

    async def _read(self, item: Item) -> WorkResult | WorkerLost:
        self._serial += 1
        return await read(self._tools, self._serial, item.part.path, item.entry.rel, item.entry.signature, self._wanted)

    async def _wanted(self, preview: Preview) -> bool:
        version = await self._tools.catalog.read(lambda session: scans.version_of(session, preview.content.sha256))
        return version is None

    async def _take(self, item: Item, result: WorkResult | WorkerLost) -> None:
        part, entry = item.part, item.entry
        self._pass(entry)
        self.counts.read_bytes += entry.signature.size_bytes
        match result:
            case Processed(content=content, looks=looks, picture=picture):
                self.counts.indexed += 1
                self._put(part, Found(entry.rel, entry.signature, content, looks, picture))
            case Recognised(content=content):
                self.counts.indexed += 1
                self._put(part, Found(entry.rel, entry.signature, content, None, None))
            case Superseded():
                self.counts.ignored += 1
                self.counts.note(f"{shown(os.path.join(part.path, entry.rel))} changed while it was read; run it again")
            case NotOurs(reason=reason, detail=detail):
                self.counts.ignored += 1
                self._turn(part, entry, Ignored(reason, detail), ignored=True)
            case Rejected() | Troubled() | WorkerLost():
                self._refuse(part, entry, result.reason, result.detail)
        if self._held >= LOT or self._tools.clock.monotonic() - self._committed_at >= LOT_SECONDS:
            await self._commit()

    def _refuse(self, part: Part, entry: Entry, reason: Reason, detail: str) -> None:
        path = os.path.join(part.path, entry.rel)
        self.counts.refuse(path, reason.value, detail)
        self._tools.emit(CataloguingRefused(self.id, path, reason, detail))
        if reason not in _PASSING:
            self._turn(part, entry, Ignored(reason, detail), ignored=False)

    def _turn(self, part: Part, entry: Entry, told: Ignored, *, ignored: bool) -> None:
        rules = "" if told.reason in library.LASTING else self._tools.rules
        self._put(part, Turned(entry.rel, entry.signature, Why(told.reason.value, told.detail, ignored), rules))

    def _pass(self, entry: Entry) -> None:
        self.counts.files += 1
        if entry.kind == "file":
            self.counts.passed_bytes += entry.signature.size_bytes

    def _put(self, part: Part, item: Found | Turned) -> None:
        self._lots.setdefault(part, []).append(item)
        self._held += 1

    # The catalog.

    async def _commit(self) -> None:
        async with self._committing:
            self._committed_at = self._tools.clock.monotonic()
            while self._lots:
                part, lot = next(iter(self._lots.items()))
                del self._lots[part]
                self._held -= len(lot)
                await self._commit_lot(part, lot)

    async def _commit_lot(self, part: Part, lot: list[Found | Turned]) -> None:
        now_ms = self._tools.clock.now_ms()
        counts, told = self.counts.columns(), self.counts.told()

        def put(session: Session) -> list[bytes]:
            scans.progress(session, self.id, counts, told)
            return scans.put(session, part.roots, lot, now_ms)

        for rel in await self._write(put):
            self.counts.indexed -= 1
            self.counts.note(f"{shown(os.path.join(part.path, rel))} was forgotten while it was read; run it again")

    async def _write(self, action: Callable[[Session], T]) -> T:
        """Durable on return. A catalog that cannot be written now is waited for."""
        while True:
            try:
                return await self._tools.catalog.write(action)
            except DropmillError as error:
                if not error.retryable or self._over:
                    raise
                self._tools.emit(StateTrouble("cataloguing", str(error)))
                await self._tools.clock.sleep(RETRY_SECONDS)

    async def _keep_what_is_there(self) -> None:
        """What was read is not to be read again, whatever ends the scan."""
        try:
            await self._commit()
        except DropmillError as error:
            self._tools.emit(StateTrouble("cataloguing", str(error)))

    # What is gone.

    async def _was_filled(self, part: Part) -> bool:
        for root_id in part.roots:
            if await self._paths(root_id, part.top, b"", refused=False):
                return True
        return False

    async def _forget_gone(self, part: Part, met: Sequence[bytes]) -> None:
        """Files that are no more lose their holding, each looked at by itself: a walk alone may miss what is renamed."""
        for root_id in part.roots:
            known = await self._tools.catalog.read(partial(scans.mounts, root_id=root_id))
            mounts = list(dict.fromkeys((*known, *met)))
            for refused in (False, True):
                await self._forget_page_by_page(part, root_id, mounts, refused=refused)
            await self._write(partial(scans.put_mounts, root_id=root_id, met=met))

    async def _forget_page_by_page(self, part: Part, root_id: int, mounts: Sequence[bytes], *, refused: bool) -> None:
        after = b""
        while rels := await self._paths(root_id, part.top, after, refused=refused):
            after = rels[-1]
            gone = await self._blocking(part.folder, partial(library.gone, part, rels, mounts, plain=not refused))
            if gone:
                dropped = await self._write(partial(scans.drop, root_id=root_id, rels=gone, refused=refused))
                self.counts.vanished += 0 if refused else dropped

    async def _paths(self, root_id: int, top: bytes, after: bytes, *, refused: bool) -> list[bytes]:
        find = partial(scans.paths, root_id=root_id, top=top, after=after, refused=refused)
        return await self._tools.catalog.read(find)

    # What is told meanwhile.

    async def _count(self, parts: Sequence[Part]) -> None:
        """A walk of its own that runs ahead, so that it can be said how long it takes."""
        lane = Lane(f"index-{self.id}-count")

        def heard(files: int, size_bytes: int) -> None:
            self.counts.total_files += files
            self.counts.total_bytes += size_bytes

        try:
            for part in parts:
                try:
                    await lane.call(library.each_chunk, part, heard, lambda: self._over)
                except OSError:
                    continue  # The walk proper says so.
            self.counts.counted = True
        finally:
            lane.close()

    async def _tell(self) -> None:
        clock, counts = self._tools.clock, self.counts
        while True:
            counts.sample(clock.monotonic())
            self._tools.emit(
                CataloguingProgressed(
                    self.id,
                    counts.files,
                    counts.total_files,
                    counts.indexed,
                    counts.files_per_second(),
                    counts.eta_seconds(),
                )
            )
            await clock.sleep(1.0)

    def _trouble(self, path: bytes, detail: str) -> None:
        self._tools.emit(CataloguingTrouble(self.id, path, detail))
        self.counts.note(f"{shown(path)}: {detail}")

    async def _blocking(self, folder: bytes, function: Callable[..., T], *args: Any) -> T:
        call: asyncio.Future[T] = self._lane.send(function, *args)
        with anyio.move_on_after(SILENT_SECONDS):
            return await asyncio.shield(call)
        self.counts.silent = shown(folder)
        try:
            return await call
        finally:
            self.counts.silent = ""
