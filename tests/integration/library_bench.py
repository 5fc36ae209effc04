"""Cataloguing with everything real but the workers: these hash a file in this process, and count what they read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from dropmill.assembly.libraries import make_indexer
from dropmill.control.indexing import describe
from dropmill.maintenance.indexing import Indexer
from dropmill.model.errand import Errand, ErrandResult
from dropmill.model.file import Signature
from dropmill.model.fingerprint import FINGERPRINT_VERSION, Content, Looks, Window
from dropmill.model.image import Picture
from dropmill.model.outcome import Reason
from dropmill.model.work import Preview, Processed, Recognised, Rejected, WorkerLost, WorkRequest, WorkResult
from dropmill.observe.clock import SystemClock
from dropmill.observe.facts import Fact
from dropmill.ports import PoolStats
from dropmill.settings import Settings
from dropmill.store import scans
from dropmill.store.catalog import Catalog, catalog_path
from dropmill.store.connection import Row

BROKEN = b"broken"
CRASHES = b"crashes"


class Readers:
    """A pool of no processes. A file that begins with ``broken`` is truncated; one with ``crashes`` takes its worker along."""

    def __init__(self) -> None:
        self.read: list[bytes] = []
        self.hashed: list[bytes] = []
        self.version = FINGERPRINT_VERSION
        self.meanwhile: Callable[[WorkRequest], Awaitable[None]] | None = None

    async def run(
        self,
        request: WorkRequest,
        *,
        timeout_seconds: float,
        wanted: Callable[[Preview], Awaitable[bool]],
        allowance_seconds: Callable[[Preview], float],
    ) -> WorkResult | WorkerLost:
        assert request.job_id == 0
        assert timeout_seconds > 0
        assert not request.recipe.renditions
        path = os.path.join(request.root, request.rel)
        self.read.append(path)
        if self.meanwhile is not None:
            await self.meanwhile(request)
        data = Path(os.fsdecode(path)).read_bytes()
        assert Signature.of(os.lstat(path)) == request.signature
        if data.startswith(BROKEN):
            return Rejected(Reason.TRUNCATED, "cut")
        if data.startswith(CRASHES):
            return WorkerLost(Reason.WORKER_CRASHED, "signal 11")
        sha256 = hashlib.sha256(data).hexdigest()
        content = Content(sha256, sha256)
        if not await wanted(Preview(content, 1000, 1)):
            return Recognised(content)
        self.hashed.append(path)
        number = int(sha256[:15], 16)
        parts = (Window(number, number, sha256),) if request.windows else None
        looks = Looks(number, number, number, sha256, 40.0, self.version, parts)
        return Processed(content, looks, Picture("jpeg", 40, 30, "RGB"), ())

    async def errand(
        self, errand: Errand, *, timeout_seconds: float, urgent: bool = False
    ) -> ErrandResult | WorkerLost:
        raise AssertionError("nobody asks for errands here")

    def stats(self) -> PoolStats:
        return PoolStats(4, 0, (), 0, 0)


class Bench:
    def __init__(self, root: Path, settings: Settings, catalog: Catalog) -> None:
        self.root = root
        self.settings = settings
        self.catalog = catalog
        self.readers = Readers()
        self.facts: list[Fact] = []
        self.busy = 0

    def indexer(self, by: scans.By = "command") -> Indexer:
        return make_indexer(
            self.settings,
            self.catalog,
            self.readers,
            SystemClock(),
            self.facts.append,
            by=by,
            heif=False,
            busy=lambda: self.busy,
        )

    async def index(self, *folders: Path | bytes, workers: int = 0, rehash: bool = False) -> dict[str, Any]:
        """One scan to its end, as a command would carry it out."""
        indexer = self.indexer()
        await indexer.start()
        wanted = [folder if isinstance(folder, bytes) else os.fsencode(folder) for folder in folders]
        scan_id = await indexer.begin(wanted, workers, rehash)
        await indexer.carry_out(await self.row(scan_id), again=False)
        return describe(await self.row(scan_id), None)

    async def row(self, scan_id: int) -> Row:
        row = await self.catalog.read(lambda session: scans.get(session, scan_id))
        assert row is not None
        return row

    async def held(self) -> list[tuple[str, str]]:
        """Kind of the root and whole path of each holding, in order of the paths."""

        def held(session: scans.Session) -> list[tuple[str, str]]:
            rows = session.connection.execute(
                "SELECT r.kind, r.path, h.rel FROM holdings AS h JOIN roots AS r ON r.id = h.root_id"
            )
            return [(kind, os.fsdecode(path + b"/" + rel)) for kind, path, rel in rows]

        return sorted(await self.catalog.read(held), key=lambda pair: pair[1])

    async def paths(self) -> list[str]:
        return [os.path.relpath(path, self.root) for _, path in await self.held()]

    async def number(self, query: str) -> int:
        return int(await self.catalog.read(lambda session: session.connection.execute(query).fetchall()[0][0]))

    async def change(self, statement: str) -> None:
        await self.catalog.write(lambda session: session.connection.execute(statement).fetchall())


@asynccontextmanager
async def bench(root: Path, **settings: Any) -> AsyncIterator[Bench]:
    """In ``root``: the state, an inbox ``in`` with output ``out`` and archive ``done``, and what the test puts there."""
    for folder in ("in", "out", "done", "state"):
        (root / folder).mkdir(exist_ok=True)
    inbox = {"name": "camera", "path": f"{root}/in", "output": f"{root}/out", "archive": f"{root}/done"}
    made = Settings(state_dir=f"{root}/state", inboxes=[inbox], **settings)
    catalog = Catalog(catalog_path(made.state_dir))
    try:
        yield Bench(root, made, catalog)
    finally:
        catalog.close()


def put(folder: Path, *names: str | bytes, data: bytes | None = None) -> None:
    """Files of a library, each with bytes of its own unless ``data`` is given."""
    for name in names:
        path = os.path.join(os.fsencode(folder), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(b"\xff\xd8\xff" + path if data is None else data)
