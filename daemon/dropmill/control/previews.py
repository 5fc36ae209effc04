"""Small pictures of catalogued images, made by a worker when somebody first wants to see them, and kept in ``state_dir``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import anyio

from dropmill.control.house import House, Live
from dropmill.errors import Conflict, NotFound, Unavailable
from dropmill.files import previews
from dropmill.files.lane import Lane
from dropmill.model.errand import ErrandResult, MakePreview, Previewed, preview_name
from dropmill.model.outcome import Reason, explained
from dropmill.model.work import NotOurs, Rejected, Superseded, WorkerLost
from dropmill.store import previews as store

TIMEOUT_SECONDS: Final = 20.0
# People wait for these, but jobs need the workers too.
MOST_AT_ONCE: Final = 2
MOST_WAITING: Final = 256
MOST_PLACES: Final = 3
# A folder in which a worker got stuck is left alone that long, so that the other folders' pictures are shown.
DOUBT_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class PreviewFile:
    """``name`` in ``folder``; ``tag`` changes when its pixels do."""

    folder: bytes
    name: bytes
    tag: str


class Previews:
    """Makes each one once, however many ask for it at the same time."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._folder = previews.folder_in(house.settings.state_dir)
        self._under_way: dict[bytes, anyio.Event] = {}
        self._workers = anyio.CapacityLimiter(MOST_AT_ONCE)
        self._doubts: dict[bytes, float] = {}
        self._lane: Lane | None = None

    async def file(self, image_id: int, side: int) -> PreviewFile:
        """Raises ``NotFound`` where the image is not known or none of its files can be shown, ``Unavailable`` where
        that may pass."""
        sources = await self._house.catalog.read(lambda session: store.sources(session, image_id, MOST_PLACES))
        if sources is None:
            raise NotFound(f"there is no image {image_id}", hint="it may have been forgotten; look at its group anew")
        name = preview_name(sources.sha256, side)
        file = PreviewFile(self._folder, name, f"{sources.sha256[:32]}-{side}")
        while not await self._used(name):
            if name in self._under_way:
                await self._under_way[name].wait()
                continue
            await self._make(name, sources, side)
        return file

    async def _used(self, name: bytes) -> bool:
        """Whether it is there; if so it is now the one that was used last."""
        if self._lane is None:
            self._lane = Lane("previews")
        return await self._lane.call(previews.use, self._folder, name)

    async def _make(self, name: bytes, sources: store.Sources, side: int) -> None:
        if len(self._under_way) >= MOST_WAITING:
            raise Unavailable("too many previews are asked for at a time", hint="ask again in a moment")
        done = self._under_way[name] = anyio.Event()
        try:
            async with self._workers:
                # Somebody else may have made it while this one was still being told that it is not there.
                if not await self._used(name):
                    await self._from_any(sources, side)
        finally:
            del self._under_way[name]
            done.set()

    async def _from_any(self, sources: store.Sources, side: int) -> None:
        """From the first of its files that still is what it was. Raises for the last of them."""
        live = self._house.live
        if live is None:
            raise Conflict("no daemon runs", hint="previews are made by its workers", reason="not-running")
        if live.course.stopping:
            raise Unavailable("the daemon is stopping or reloading", hint="ask again in a moment")
        failure: NotFound | Unavailable = NotFound(
            "no file is known to hold this image any more",
            hint="forget it, or put it back where it was",
            reason="preview-unavailable",
        )
        for root, rel in sources.places:
            if self._doubts.get(root, 0.0) > self._house.clock.monotonic():
                failure = Unavailable("its folder does not answer", hint="check the disk or mount it is on")
                continue
            answer = await self._ask(live, root, rel, sources.sha256, side)
            if isinstance(answer, Previewed):
                return
            failure = _failure(answer)
            if isinstance(answer, WorkerLost) and answer.reason is Reason.TIMEOUT:
                self._doubts[root] = self._house.clock.monotonic() + DOUBT_SECONDS
        raise failure

    async def _ask(self, live: Live, root: bytes, rel: bytes, sha256: str, side: int) -> ErrandResult | WorkerLost:
        errand = MakePreview(root, rel, sha256, self._folder, side, self._house.settings.workers.limits())
        return await live.pool.errand(errand, timeout_seconds=TIMEOUT_SECONDS, urgent=True)

    def close(self) -> None:
        if self._lane is not None:
            self._lane.close()


def _failure(answer: ErrandResult | WorkerLost) -> NotFound | Unavailable:
    if isinstance(answer, Superseded):
        return NotFound(
            "the file is gone, or holds another picture by now",
            hint="put it back, or have its folder looked through again",
            reason="preview-unavailable",
        )
    if isinstance(answer, NotOurs | Rejected):
        told = explained(answer.reason, of_url=False)
        return NotFound(f"it cannot be shown: {told.cause}", hint=told.remedy, reason="preview-unavailable")
    detail = getattr(answer, "detail", "") or "the worker gave no answer"
    return Unavailable(f"it cannot be shown now: {detail}", hint="ask again in a moment")
