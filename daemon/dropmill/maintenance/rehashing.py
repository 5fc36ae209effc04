"""``dropmill index --rehash``: pictures whose hashes an earlier version took are read again, and no others."""

from __future__ import annotations

import os
from collections.abc import Sequence

import anyio
from anyio.abc import ObjectReceiveStream

from dropmill.files import library
from dropmill.files.lane import Lane
from dropmill.files.library import Claim, Part
from dropmill.maintenance.counting import Counts
from dropmill.maintenance.reading import Tools, Turns, read
from dropmill.model.file import Signature, shown
from dropmill.model.work import Preview, Processed
from dropmill.observe.facts import CataloguingProgressed
from dropmill.store import scans
from dropmill.store.connection import Row, Session


class Rehash:
    """One run; ``run`` returns at its end. Each picture is committed by itself, so that nothing is read twice."""

    def __init__(self, tools: Tools, scan_id: int, workers: int) -> None:
        self.id = scan_id
        self.counts = Counts()
        self._tools = tools
        self._turns = Turns(tools, workers)
        self._lane = Lane(f"index-{scan_id}")
        self._serial = 0

    async def run(self, folders: Sequence[bytes], claims: Sequence[Claim]) -> None:
        """All that is catalogued, or what has a file in ``folders``."""
        try:
            parts = await self._parts(folders, claims)
            self.counts.total_files = await self._tools.catalog.read(
                lambda session: scans.count_older(session, windows=self._tools.windows)
            )
            send, receive = anyio.create_memory_object_stream[Row](self._turns.workers)
            async with anyio.create_task_group() as group:
                for _ in range(self._turns.workers):
                    group.start_soon(self._work, receive.clone(), parts)
                receive.close()
                async with send:
                    after = 0
                    while rows := await self._older(after):
                        for row in rows:
                            await send.send(row)
                        after = rows[-1]["id"]
        finally:
            self._lane.close()

    async def _parts(self, folders: Sequence[bytes], claims: Sequence[Claim]) -> list[Part]:
        real = [await self._lane.call(os.path.realpath, folder) for folder in folders]
        parts, notes = library.plan(real, claims)
        for note in notes:
            self.counts.note(note)
        return parts

    async def _older(self, after: int) -> list[Row]:
        return await self._tools.catalog.read(lambda session: scans.older(session, after, windows=self._tools.windows))

    async def _work(self, receive: ObjectReceiveStream[Row], parts: Sequence[Part]) -> None:
        async with receive:
            async for row in receive:
                await self._rehash(row["id"], row["sha256"], parts)
                self._tell()

    async def _rehash(self, image_id: int, sha256: str, parts: Sequence[Part]) -> None:
        """By the first of its files that still holds it."""
        counts = self.counts
        counts.files += 1
        holdings = await self._tools.catalog.read(lambda session: scans.holdings_of(session, image_id))
        wanted = [row for row in holdings if not parts or any(_in(part, row) for part in parts)]
        if parts and not wanted:
            counts.ignored += 1
            return
        for row in wanted:
            if await self._from(row, sha256):
                counts.indexed += 1
                return
        counts.refused += 1
        where = shown(os.path.join(wanted[0]["root_path"], wanted[0]["rel"])) if wanted else f"SHA-256 {sha256}"
        counts.note(f"{where}: no file holds it any more, or none can be read; it keeps its older hashes")

    async def _from(self, row: Row, sha256: str) -> bool:
        tools, root, rel = self._tools, row["root_path"], row["rel"]
        try:
            signature: Signature | None = await self._lane.call(library.standing_now, root, rel)
        except OSError:
            return False
        if signature is None:
            return False
        self._serial += 1
        async with self._turns:
            result = await read(tools, self._serial, root, rel, signature, _always)
        self.counts.read_bytes += signature.size_bytes
        if not isinstance(result, Processed) or result.content.sha256 != sha256:
            return False
        now_ms = tools.clock.now_ms()
        size_bytes, counts, told = signature.size_bytes, self.counts.columns(), self.counts.told()

        def put(session: Session) -> int | None:
            scans.progress(session, self.id, counts, told)
            return scans.rehash(session, result.content, result.looks, result.picture, size_bytes, now_ms)

        return await tools.catalog.write(put, patient=True) is not None

    def _tell(self) -> None:
        counts = self.counts
        counts.sample(self._tools.clock.monotonic())
        speed = counts.files_per_second()
        left = counts.total_files - counts.files
        eta_seconds = round(left / speed) if speed > 0 and left >= 0 else None
        self._tools.emit(
            CataloguingProgressed(self.id, counts.files, counts.total_files, counts.indexed, speed, eta_seconds)
        )


def _in(part: Part, row: Row) -> bool:
    return row["root_id"] in part.roots and part.holds(row["rel"])


async def _always(_preview: Preview) -> bool:
    return True
