"""Settled files become jobs: many in one transaction, acknowledged only after it is committed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from dropmill.model.inbox import Inbox
from dropmill.model.job import FoundBy, NewJob
from dropmill.model.outcome import Reason
from dropmill.model.settling import Ready
from dropmill.observe.facts import Emit, Enqueued, FileIgnored
from dropmill.ports import Clock, Ledger

# Wishes for files that never settle must not pile up.
MOST_WISHES: Final = 10_000


class Enqueuer:
    """Writes what settled into the ledger and wakes the claimer."""

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        emit: Emit,
        wake: Callable[[], None],
        intake: Callable[[], Awaitable[None]],
    ) -> None:
        """``intake`` returns once the queue's disk has room for more; until then files wait in their inbox (W27)."""
        self._intake = intake
        self._ledger = ledger
        self._clock = clock
        self._emit = emit
        self._wake = wake
        self._wishes: dict[tuple[str, bytes], tuple[int | None, str | None]] = {}

    def wish(self, inbox: str, rel: bytes, priority: int | None, label: str | None) -> None:
        """What a person wants of a file that is about to settle; None leaves the inbox's own choice. Not durable."""
        if len(self._wishes) >= MOST_WISHES:
            self._wishes.pop(next(iter(self._wishes)))
        self._wishes[inbox, rel] = (priority, label)

    def _job(self, inbox: Inbox, item: Ready, now_ms: int) -> NewJob:
        wished = self._wishes.get((inbox.name, item.rel))
        priority, label = wished or (None, None)
        return NewJob(
            inbox=inbox.name,
            rel=item.rel,
            signature=item.signature,
            found_by=FoundBy.MANUAL if wished else item.found_by,
            found_at_ms=now_ms - int(item.waited_seconds * 1000),
            settled_at_ms=now_ms,
            priority=priority or inbox.priority,
            label=label if label is not None else inbox.label or label_of(item.rel),
        )

    async def enqueue(self, inbox: Inbox, ready: list[Ready]) -> int:
        """Returns how many new jobs there are. Versions that the ledger knows are passed over."""
        await self._intake()
        now_ms = self._clock.now_ms()
        jobs = [self._job(inbox, item, now_ms) for item in ready if item.ignored is None]
        ignored = [(item.rel, item.signature, item.ignored) for item in ready if item.ignored is not None]
        ids, journalled, met = await self._ledger.enqueue(inbox.root.id, jobs, ignored, now_ms)
        for item in ready:
            self._wishes.pop((inbox.name, item.rel), None)
        new = 0
        for job, job_id in zip(jobs, ids, strict=True):
            if job_id is not None:
                new += 1
                self._emit(
                    Enqueued(
                        job_id, inbox.name, job.rel, job.found_by, job.signature.size_bytes, met_before=job.rel in met
                    )
                )
        for (rel, _signature, why), fresh in zip(ignored, journalled, strict=True):
            # Where done-files are asked for they are as many as the pictures, and the picture tells the story.
            if fresh and why.reason is not Reason.DONE_FILE:
                self._emit(FileIgnored(inbox.name, rel, why.reason, why.detail))
        if new:
            self._wake()
        return new


def label_of(rel: bytes) -> str:
    """The subdirectory a file was dropped into is its label: ``2024/wedding/a.jpg`` has ``2024/wedding``."""
    head, _, _ = rel.rpartition(b"/")
    return head.decode("utf-8", "backslashreplace")
