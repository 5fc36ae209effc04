"""Keeps an index like the catalog: what was added, hashed anew and removed, read through a connection of its own."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from dropmill.similarity.index import Hashes, Index
from dropmill.store import hashes, windows
from dropmill.store.connection import Session, connect, snapshot


class Follower:
    """Raises :class:`StateError` and ``apsw.Error`` where the catalog cannot be read."""

    def __init__(self, catalog: str, *, parts: bool = False) -> None:
        """``parts``: those of their windows too."""
        self.index = Index()
        self.windows = Index() if parts else None
        """Of parts of images, several rows for each; None where nobody asks for them."""
        self._window = 0
        """The number of the latest windows that are in there."""
        self.upto = 0
        """All images up to this id are in the index as they were at the latest look."""
        self._session = Session(connect(catalog, readonly=True))
        self._change = snapshot(self._session, self._begin)

    @property
    def memory_bytes(self) -> int:
        """What this process has in memory that it shares with nobody."""
        with open("/proc/self/statm", "rb") as file:
            _, resident, shared, *_ = map(int, file.read().split())
        return (resident - shared) * os.sysconf("SC_PAGE_SIZE")

    def catch_up(self) -> None:
        """One consistent look at the catalog; nearly free where nothing has changed."""
        snapshot(self._session, self._look)
        self._settle()

    def phash256(self, image_id: int) -> str | None:
        """The larger phash of an image; None where it was removed meanwhile."""
        return hashes.phash256(self._session, image_id)

    def _begin(self, session: Session) -> int:
        change = hashes.latest_change(session)
        self._add_new(session)
        self._settle()
        return change

    def _settle(self) -> None:
        self.index.settle()
        if self.windows is not None:
            self.windows.settle()

    def _look(self, session: Session) -> None:
        for lot in hashes.changed_after(session, self._change):
            # Of what is beyond, the newest state is read below.
            now = {image_id: hashed for _, image_id, *hashed in lot if image_id <= self.upto}
            self.index.remove(np.array(list(now), np.int64))
            if self.windows is not None:
                self.windows.remove(np.array([one for one, (phash, _) in now.items() if phash is None], np.int64))
            self._add([(image_id, phash, dhash) for image_id, (phash, dhash) in now.items() if phash is not None])
            self._change = lot[-1][0]
            # The id of the newest image is given again once it was removed.
            self.upto = min(self.upto, hashes.latest_image(session))
        self._add_new(session)

    def _add_new(self, session: Session) -> None:
        before = self.upto
        for lot in hashes.after(session, self.upto):
            self._add(lot)
            self.upto = lot[-1][0]
        if self.windows is not None:
            self._add_windows(session, self.windows, before)

    def _add_windows(self, session: Session, index: Index, before: int) -> None:
        """``before``: of images up to this id there may be some already, which these replace."""
        for lot in windows.after(session, self._window):
            index.remove(np.array([image_id for _, image_id, _ in lot if image_id <= before], np.int64))
            ids = np.array([image_id for _, image_id, _ in lot], np.int64)
            counts = [len(packed) // windows.WINDOW_BYTES for _, _, packed in lot]
            index.add(np.repeat(ids, counts), *_hashes(b"".join(packed for _, _, packed in lot)))
            self._window = lot[-1][0]

    def _add(self, rows: Sequence[tuple[int, int | None, int | None]]) -> None:
        if rows:
            columns = np.array(rows, np.int64)
            self.index.add(columns[:, 0], columns[:, 1].view(np.uint64), columns[:, 2].view(np.uint64))


def _hashes(packed: bytes) -> tuple[Hashes, Hashes]:
    """The phash and dhash of each window, as the catalog keeps them."""
    rows = np.frombuffer(packed, "<u8").reshape(-1, windows.WINDOW_BYTES // 8)
    return rows[:, 0], rows[:, 1]
