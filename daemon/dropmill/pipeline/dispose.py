"""Originals leave the inbox by PROTOCOL 10 to 12: only after everything that leans on them is visible."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, TypeVar

import anyio

from dropmill.errors import DropmillError
from dropmill.files import dispose as files
from dropmill.files.downloads import remove
from dropmill.files.lane import Lane
from dropmill.files.moving import Target
from dropmill.files.private import private_name
from dropmill.files.reason import forget_reason, write_reason
from dropmill.files.roots import read_identity
from dropmill.files.standing import disk_is_away
from dropmill.model.backoff import owed_wait_seconds
from dropmill.model.file import shown
from dropmill.model.inbox import Inbox
from dropmill.model.names import with_suffix
from dropmill.model.outcome import Reason, explained
from dropmill.model.publication import Disposal, Disposition
from dropmill.model.url import is_url
from dropmill.observe.facts import Emit, OriginalDisposed, OwedLater, StateTrouble
from dropmill.observe.flight import Flight
from dropmill.ports import Clock
from dropmill.store import owed
from dropmill.store.catalog import Catalog

MOST_NAMES: Final = 50
ANSWER_SECONDS: Final = 5.0
# So many calls keep a lane busy; with all of a lot in it, whoever looks after the inbox would come after hundreds of them.
MOST_IN_LANE: Final = 4
# A share over a poor line still gets the rendition of an anchor read.
SLOWEST_BYTES_PER_SECOND: Final = 100_000


T = TypeVar("T")


class Disposer:
    def __init__(
        self,
        catalog: Catalog,
        inboxes: Mapping[str, Inbox],
        lanes: Mapping[bytes, Lane],
        clock: Clock,
        chance: random.Random,
        emit: Emit,
        flight: Flight,
        hint: Callable[[str, bytes], None],
        reopened: Callable[[], None],
    ) -> None:
        """``lanes``: by the path of an inbox or output. ``hint(inbox, rel)``: another version was met there."""
        self._catalog = catalog
        self._inboxes = inboxes
        self._lanes = lanes
        self._clock = clock
        self._chance = chance
        self._emit = emit
        self._flight = flight
        self._hint = hint
        self._reopened = reopened
        self._room = {path: anyio.Semaphore(MOST_IN_LANE) for path in lanes}

    async def drain(self, inboxes: Collection[str]) -> bool:
        """Do what is due in some inboxes once over; True if anything was done, so that more may be due."""
        due = await self._catalog.read(lambda session: owed.due_disposals(session, inboxes, self._clock.now_ms()))
        spent: dict[bytes, list[Disposal]] = {}
        # Side by side, so that the transactions of many share one sync; the lanes keep the file operations in order.
        async with anyio.create_task_group() as group:
            for disposal in due:
                inbox = self._inboxes[disposal.inbox]
                if inbox.urls and disposal.disposition is Disposition.DELETE and disposal.anchor_image_id is None:
                    spent.setdefault(disposal.root, []).append(disposal)
                else:
                    group.start_soon(self._dispose, disposal, inbox)
            for root, disposals in spent.items():
                group.start_soon(self._remove, root, disposals)
        return bool(due)

    async def _remove(self, root: bytes, downloads: Sequence[Disposal]) -> None:
        """Downloads that were published: ours alone, in a folder of ours, named by their jobs, so that no other version
        can have taken their place, and one look and one transaction do for all."""
        names = [name for disposal in downloads for name in (disposal.rel, private_name(str(disposal.job_id)))]
        with self._flight.stage("dispose"):
            try:
                await self._call(root, remove, root, names)
                await self._done(downloads, "deleted", None)
            except OSError as error:
                for disposal in downloads:
                    await self._later(disposal, error.strerror or str(error))
            except DropmillError as error:
                self._emit(StateTrouble("dispose", str(error)))
                await self._clock.sleep(1.0)

    async def _dispose(self, disposal: Disposal, inbox: Inbox) -> None:
        with self._flight.stage("dispose", disposal.job_id):
            try:
                await self._attempt(disposal, inbox)
            except OSError as error:
                await self._later(disposal, error.strerror or str(error))
            except DropmillError as error:
                # One that fails must not take the others of its lot along.
                self._emit(StateTrouble("dispose", str(error)))
                await self._clock.sleep(1.0)

    async def _attempt(self, disposal: Disposal, inbox: Inbox) -> None:
        if (
            disposal.anchor_image_id is not None
            and not await self._is_finished(disposal)
            and not await self._anchor_stands(disposal.anchor_image_id)
        ):
            reopened = await self._catalog.write(
                lambda session: owed.reopen_duplicate(session, disposal.job_id, disposal.anchor_image_id)
            )
            if reopened:
                self._reopened()
            return
        name = disposal.target_name or await self._record_target(disposal, disposal.rel)
        for number in range(1, MOST_NAMES):
            result = await self._call(disposal.root, take_out, disposal, name, inbox)
            if not isinstance(result, files.TargetTaken):
                break
            # A name of its own, recorded before it is used (PROTOCOL 12).
            suffix = (disposal.sha256 or f"{disposal.job_id:08d}")[:8] + (f"-{number}" if number > 1 else "")
            name = await self._record_target(disposal, with_suffix(disposal.target_name or disposal.rel, suffix))
        await self._conclude(disposal, result)

    async def _call(self, root: bytes, function: Callable[..., T], *args: Any) -> T:
        async with self._room[root]:
            return await self._lanes[root].call(function, *args)

    async def _is_finished(self, disposal: Disposal) -> bool:
        """Whether an interrupted run has moved it already, so that what it leans on need not be there any more."""
        if disposal.target is None or disposal.target_name is None:
            return False
        return await self._call(
            disposal.root,
            files.already_moved,
            disposal.root,
            disposal.rel,
            str(disposal.job_id),
            disposal.signature,
            disposal.sha256,
            Target(disposal.target, disposal.target_name),
        )

    async def _record_target(self, disposal: Disposal, name: bytes) -> bytes:
        if disposal.target is not None:
            await self._catalog.write(lambda session: owed.record_target(session, disposal.id, name))
        return name

    async def _conclude(self, disposal: Disposal, result: files.DisposeResult) -> None:
        match result:
            case files.Moved(name=name, left=left) | files.AlreadyDone(name=name, left=left):
                await self._done([disposal], "moved", name)
                if left is not None:
                    self._hint(disposal.inbox, left)
            case files.Deleted():
                await self._done([disposal], "deleted", None)
            case files.Gone():
                # Its user took it away first, which is his right (W29).
                await self._done([disposal], "gone", None)
            case files.NotOurs(rel=rel):
                await self._done([disposal], "replaced by its user", None)
                self._hint(disposal.inbox, rel)
            case files.Busy():
                await self._later(disposal, "somebody has it open for writing")
            case files.TargetTaken():
                await self._later(disposal, "no free name in the target folder")

    async def _done(self, disposals: Sequence[Disposal], result: str, name: bytes | None) -> None:
        def record(session: owed.Session) -> None:
            for disposal in disposals:
                owed.disposed(session, disposal.id, result, name, self._clock.now_ms())

        await self._catalog.write(record, patient=True)
        for disposal in disposals:
            target = disposal.target + b"/" + name if disposal.target is not None and name is not None else None
            self._emit(
                OriginalDisposed(disposal.job_id, disposal.inbox, disposal.source, disposal.disposition, result, target)
            )

    async def _later(self, disposal: Disposal, detail: str) -> None:
        wait = owed_wait_seconds(disposal.attempts, self._chance)
        at_ms = self._clock.now_ms() + int(wait * 1000)
        await self._catalog.write(lambda session: owed.disposal_later(session, disposal.id, at_ms, detail))
        self._emit(OwedLater("disposal", disposal.job_id, disposal.root + b"/" + disposal.rel, detail, wait))

    async def _anchor_stands(self, image_id: int) -> bool:
        """Whether a rendition of the bytes that make this a duplicate really exists (PROTOCOL 10).

        Raises OSError where that cannot be told now.
        """
        standing = await self._catalog.read(lambda session: owed.standing_files(session, image_id))
        for output, name, size_bytes, sha256 in standing:
            # Another inbox's output, perhaps: one that hangs holds back this duplicate alone (W40).
            lane = self._lanes.get(output)
            if lane is None or await lane.call_within(ANSWER_SECONDS, read_identity, output) is None:
                raise OSError(0, "the output of the picture that this one duplicates is not there")
            patience = ANSWER_SECONDS + size_bytes / SLOWEST_BYTES_PER_SECOND
            if await lane.call_within(patience, files.stands, output, name, size_bytes, sha256):
                return True
        return False


def take_out(disposal: Disposal, name: bytes, inbox: Inbox) -> files.DisposeResult:
    """Blocking. For quarantine the reason is written beside the original before it counts as done."""
    delete = disposal.disposition is Disposition.DELETE
    target = None if delete or disposal.target is None else Target(disposal.target, name)
    folders = (inbox.archive, inbox.duplicates, inbox.quarantine)
    if target is not None and any(f and f.path == target.root and disk_is_away(f.path, f.standing) for f in folders):
        raise OSError(0, f"the disk of {shown(target.root)} is not mounted")
    result = files.dispose(
        disposal.root,
        disposal.rel,
        str(disposal.job_id),
        disposal.signature,
        disposal.sha256,
        target,
        delete=delete,
        companions=inbox.companions,
    )
    if disposal.disposition is Disposition.QUARANTINE and target:
        if isinstance(result, files.Moved | files.AlreadyDone):
            write_reason(Target(target.root, result.name), reason_document(disposal))
        elif isinstance(result, files.Gone | files.NotOurs):
            forget_reason(target)
    return result


def reason_document(disposal: Disposal) -> bytes:
    """The JSON that stands beside a quarantined original."""
    known = disposal.reason in set(Reason)
    explanation = explained(Reason(disposal.reason), of_url=is_url(disposal.source)) if known else None
    document = {
        "job": disposal.job_id,
        "inbox": disposal.inbox,
        "path": shown(disposal.source or disposal.rel),
        "reason": disposal.reason,
        "detail": disposal.detail,
        "cause": explanation.cause if explanation else "",
        "remedy": explanation.remedy if explanation else "",
        "retry": f"dropmill retry {disposal.job_id}",
    }
    return json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n"
