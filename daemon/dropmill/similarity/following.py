"""Keeps an index like the catalog: what was added, hashed anew and removed, read through a connection of its own."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from dropmill.similarity.index import Index
from dropmill.store import hashes
from dropmill.store.connection import Session, connect, snapshot


class Follower:
    """Raises :class:`StateError` and ``apsw.Error`` where the catalog cannot be read."""

    def __init__(self, catalog: str) -> None:
        self.index = Index()
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
        self.index.settle()

    def phash256(self, image_id: int) -> str | None:
        """The larger phash of an image; None where it was removed meanwhile."""
        return hashes.phash256(self._session, image_id)

    def _begin(self, session: Session) -> int:
        change = hashes.latest_change(session)
        self._add_new(session)
        self.index.settle()
        return change

    def _look(self, session: Session) -> None:
        for lot in hashes.changed_after(session, self._change):
            # Of what is beyond, the newest state is read below.
            now = {image_id: hashed for _, image_id, *hashed in lot if image_id <= self.upto}
            self.index.remove(np.array(list(now), np.int64))
            self._add([(image_id, phash, dhash) for image_id, (phash, dhash) in now.items() if phash is not None])
            self._change = lot[-1][0]
            # The id of the newest image is given again once it was removed.
            self.upto = min(self.upto, hashes.latest_image(session))
        self._add_new(session)

    def _add_new(self, session: Session) -> None:
        for lot in hashes.after(session, self.upto):
            self._add(lot)
            self.upto = lot[-1][0]

    def _add(self, rows: Sequence[tuple[int, int | None, int | None]]) -> None:
        if rows:
            columns = np.array(rows, np.int64)
            self.index.add(columns[:, 0], columns[:, 1].view(np.uint64), columns[:, 2].view(np.uint64))
