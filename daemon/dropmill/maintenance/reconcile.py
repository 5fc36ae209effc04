"""After a complete scan: which sources have gone, so that no group offers them, and that their renditions go with them where
the inbox asks for that."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from dropmill.files.access import closing, components, look, open_dir_beneath, open_root
from dropmill.files.lane import Lane
from dropmill.files.standing import Standing, disk_is_missing, standing
from dropmill.model.inbox import Inbox
from dropmill.observe.facts import Emit, SourceDeleted
from dropmill.ports import Clock
from dropmill.store import deleted
from dropmill.store.catalog import Catalog

# Between two scans that count lies at least this, and twice the longest settle time: what was renamed is found, settles
# and is recognised in between.
LEAST_SECONDS: Final = 2.0


@dataclass(slots=True)
class Reconciler:
    """``settling``: whether files of the inbox are on their way, one of which may be a missing one under a new name."""

    catalog: Catalog
    lanes: Mapping[bytes, Lane]
    clock: Clock
    emit: Emit
    wake_owed: Callable[[], None]
    settling: Callable[[str], bool]
    goes_on: Callable[[str], None] = lambda _inbox: None
    """Told of each page of an inbox that was gone through."""
    _counted_at: dict[str, float] = field(default_factory=dict)

    async def recognise(self, inbox: Inbox, seen: Standing, empty: bool) -> bool:
        """Record which directory the inbox is now, so that what was seen on another one never counts as deleted.

        False, and nothing is recorded, where it is an empty folder that seems to be only the place of a disk that is not
        mounted: the one that was recorded lay on a mount of its own (W26).
        """
        root_id = inbox.root.id
        recorded = await self.catalog.read(lambda session: deleted.recorded(session, root_id))
        if disk_is_missing(recorded, seen, empty=empty):
            return False
        if recorded != seen.identity:
            now_ms = self.clock.now_ms()
            await self.catalog.write(lambda session: deleted.identify(session, root_id, seen.identity, now_ms))
        return True

    async def after_scan(self, inbox: Inbox) -> None:
        """To be called after a scan that met no error, so that an unreadable folder is never "everything deleted"."""
        if self._counted_lately(inbox) or await self._is_busy(inbox):
            return
        self._counted_at[inbox.name] = self.clock.monotonic()
        if inbox.on_source_deleted != "remove":
            await self._look_for_copies(inbox)
            return
        after = b""
        lane = self.lanes[inbox.root.path]
        identity = await self.catalog.read(lambda session: deleted.recorded(session, inbox.root.id))
        while True:
            start = after
            page = await self.catalog.read(lambda session, start=start: deleted.page(session, inbox.root.id, start))  # type: ignore[misc]  # The default binds the loop's value.
            self.goes_on(inbox.name)
            if not page:
                return
            after = page[-1].rel
            try:
                gone = await lane.call(gone_from, inbox.root.path, page)
                # Looked at afterwards: a disk that went away meanwhile took nothing with it for good.
                seen = await lane.call(standing, inbox.root.path)
            except OSError:
                return  # What cannot be looked at is not missing; the next scan tells what is the matter.
            if seen is None or seen.identity != identity:
                return
            await self._count(inbox, page, gone)

    async def _look_for_copies(self, inbox: Inbox) -> None:
        """Of files that are in a group; no rendition hangs on it."""
        root, after = inbox.root, 0
        identity = await self.catalog.read(lambda session: deleted.recorded(session, root.id))
        while True:
            start = after
            page = await self.catalog.read(lambda session, start=start: deleted.held(session, root.id, start))  # type: ignore[misc]  # The default binds the loop's value.
            self.goes_on(inbox.name)
            if not page:
                return
            after = page[-1][0]
            try:
                gone = await self.lanes[root.path].call(gone_from, root.path, [known for _, known in page])
                seen = await self.lanes[root.path].call(standing, root.path)
            except OSError:
                return  # As above.
            if seen is None or seen.identity != identity:
                return
            await self._count_copies(page, gone)

    async def _count_copies(self, page: Sequence[tuple[int, deleted.KnownSource]], gone: set[bytes]) -> None:
        changed = []
        for holding_id, known in page:
            missing = min(known.missing_scans + 1, deleted.SCANS_UNTIL_GONE) if known.rel in gone else 0
            if missing != known.missing_scans:
                changed.append((holding_id, missing))
        if changed:
            await self.catalog.write(lambda session: deleted.set_missing_holdings(session, changed))

    async def _count(self, inbox: Inbox, page: Sequence[deleted.KnownSource], gone: set[bytes]) -> None:
        counts = [
            (known.rel, known.missing_scans + 1 if known.rel in gone else 0)
            for known in page
            if known.rel in gone or known.missing_scans
        ]
        if not counts:
            return
        await self.catalog.write(lambda session: deleted.set_missing(session, inbox.root.id, counts))
        for rel, missing_scans in counts:
            if missing_scans >= deleted.SCANS_UNTIL_GONE and await self._forget(inbox, rel):
                self.emit(SourceDeleted(inbox.name, rel))
        self.wake_owed()

    def _counted_lately(self, inbox: Inbox) -> bool:
        before = self._counted_at.get(inbox.name)
        least = max(LEAST_SECONDS, 2 * inbox.settle_max_seconds)
        return before is not None and self.clock.monotonic() - before < least

    async def _is_busy(self, inbox: Inbox) -> bool:
        """Whether a file is settling, or a job is under way, that may say that a missing file has only moved."""
        return self.settling(inbox.name) or await self.catalog.read(
            lambda session: deleted.is_busy(session, inbox.name)
        )

    async def _forget(self, inbox: Inbox, rel: bytes) -> bool:
        if await self._is_busy(inbox):
            return False
        return await self.catalog.write(lambda session: deleted.forget(session, inbox, rel))


def gone_from(root: bytes, known: Sequence[deleted.KnownSource]) -> set[bytes]:
    """Blocking. Those paths below ``root`` where nothing is, on the very file system on which they were seen.

    What lay on a disk that was mounted below the inbox and is not any more is out of reach and not gone (W26). Raises
    OSError if one cannot be looked at.
    """
    return {source.rel for source in known if _is_gone(root, source)}


def _is_gone(root: bytes, source: deleted.KnownSource) -> bool:
    """Each step looks into a directory that is open, so that what is mounted meanwhile cannot come in between."""
    fd = open_root(root)
    parts = components(source.rel)
    for number, part in enumerate(parts):
        with closing(fd):
            seen = look(fd, part)
            if seen is None:
                return os.fstat(fd).st_dev == source.dev
            if number == len(parts) - 1 or stat.S_ISLNK(seen.st_mode):
                return False
            if not stat.S_ISDIR(seen.st_mode):
                return seen.st_dev == source.dev
            fd = open_dir_beneath(fd, part)
    return False
