"""Tells the world what was published: receipts, from an outbox, at least once."""

from __future__ import annotations

import json
import random
from collections.abc import Collection, Mapping
from typing import Any

from dropmill import __version__
from dropmill.files.lane import Lane
from dropmill.files.receipt import write_receipt
from dropmill.model.backoff import owed_wait_seconds
from dropmill.model.file import shown
from dropmill.model.inbox import Inbox
from dropmill.model.names import split_extension
from dropmill.observe.facts import Emit, OwedLater
from dropmill.observe.flight import Flight
from dropmill.ports import Clock
from dropmill.store import owed, receipts
from dropmill.store.catalog import Catalog


class Notifier:
    def __init__(
        self,
        catalog: Catalog,
        inboxes: Mapping[str, Inbox],
        lanes: Mapping[bytes, Lane],
        clock: Clock,
        chance: random.Random,
        emit: Emit,
        flight: Flight,
    ) -> None:
        self._catalog = catalog
        self._inboxes = inboxes
        self._lanes = lanes
        self._clock = clock
        self._chance = chance
        self._emit = emit
        self._flight = flight

    async def drain(self, inboxes: Collection[str]) -> bool:
        """Do what is due for some inboxes once over; True if anything was done, so that more may be due."""
        due = await self._catalog.read(lambda session: owed.due_notices(session, inboxes, self._clock.now_ms()))
        for notice in due:
            with self._flight.stage("notify", notice.job_id):
                await self._send(notice)
        return bool(due)

    async def _send(self, notice: owed.Notice) -> None:
        told = await self._catalog.read(lambda session: receipts.told(session, notice.job_id))
        inbox = self._inboxes.get(told.inbox) if told else None
        if told is None or inbox is None or not told.renditions:
            await self._catalog.write(lambda session: owed.notified(session, notice.id))
            return
        try:
            await self._lanes[inbox.output.path].call(
                write_receipt,
                inbox.output.path,
                receipt_name(told),
                receipt(told),
                told.job_id,
                told.inbox,
                shown(told.rel),
                told.sha256,
                inbox.mode,
                inbox.dir_mode,
                inbox.gid,
            )
        except OSError as error:
            wait = owed_wait_seconds(notice.attempts, self._chance)
            at_ms, detail = self._clock.now_ms() + int(wait * 1000), error.strerror or str(error)
            await self._catalog.write(lambda session: owed.notice_later(session, notice.id, at_ms, detail))
            self._emit(OwedLater("receipt", notice.job_id, told.rel, detail, wait))
        else:
            await self._catalog.write(lambda session: owed.notified(session, notice.id))


def receipt_name(told: receipts.Told) -> bytes:
    """The name that all renditions share, without what tells them apart: ``a/b.json`` beside ``a/b-large.jpg``."""
    rendition, name = told.renditions[0].name, told.renditions[0].final_name
    at = name.rfind(b"-" + rendition.encode())
    base = name[:at] if at > name.rfind(b"/") + 1 else split_extension(name)[0]
    return base + b".json"


def receipt(told: receipts.Told) -> bytes:
    document: dict[str, Any] = {
        "dropmill": __version__,
        "job": told.job_id,
        "inbox": told.inbox,
        "source": shown(told.rel),
        "label": told.label,
        **({"download": told.download} if told.download is not None else {}),
        "sha256": told.sha256,
        **told.image,
        **told.likeness,
        "renditions": [
            {
                "name": rendition.name,
                "page": rendition.page,
                "path": shown(rendition.final_name),
                "format": rendition.format,
                "width": rendition.width,
                "height": rendition.height,
                "size_bytes": rendition.size_bytes,
                "sha256": rendition.sha256,
            }
            for rendition in told.renditions
        ],
    }
    return json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n"
