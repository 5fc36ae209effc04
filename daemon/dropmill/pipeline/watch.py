"""One inbox under watch: events are hints, scans are the authority, and whatever finds a file, it goes the same way."""

from __future__ import annotations

import os
import random
import stat
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import anyio
from watchdog.observers.inotify_c import InotifyFD

from dropmill.files.events import EventTree, Pending
from dropmill.files.fstype import delivers_no_events
from dropmill.files.lane import Lane
from dropmill.files.scan import Entry, Leftover, Scanner
from dropmill.model.file import Signature
from dropmill.model.inbox import Inbox
from dropmill.model.job import FoundBy
from dropmill.model.settling import Hint
from dropmill.observe.facts import (
    Emit,
    EventsLost,
    InboxBack,
    InboxGone,
    Scanned,
    ScanTrouble,
    WatchDegraded,
)
from dropmill.ports import Clock, Ledger

RETURN_SECONDS: Final = 2.0
# A folder that was removed, or whose disk was unmounted or mounted, is noticed within this time.
ROOT_SECONDS: Final = 2.0
JITTER: Final = 0.1
_LIMIT_HINT: Final = (
    'raise fs.inotify.max_user_watches and fs.inotify.max_user_instances (sysctl), or set watch = "poll"'
)


class Watch:
    """Runs until cancelled. ``mode`` and ``trouble`` say how it is going, for health."""

    def __init__(
        self,
        inbox: Inbox,
        lane: Lane,
        reader: Callable[[], InotifyFD],
        ledger: Ledger,
        clock: Clock,
        chance: random.Random,
        emit: Emit,
        hint: Callable[[bytes, Hint], None],
        wake_from_thread: Callable[[Callable[[], None]], None],
        scanned: Callable[[Inbox], Awaitable[None]],
        leftover: Callable[[Inbox, Leftover], Awaitable[None]],
    ) -> None:
        self.inbox = inbox
        self.mode = "starting"
        self.trouble = ""
        self.started = False
        """Whether the first scan is over, so that nothing that was there before the start is unknown."""
        self._lane = lane
        self._reader = reader
        self._ledger = ledger
        self._clock = clock
        self._chance = chance
        self._emit = emit
        self._hint = hint
        self._scanned = scanned
        self._leftover = leftover
        self._wake = anyio.Event()
        self._pending = Pending(lambda: wake_from_thread(lambda: self._wake.set()))
        self._tree: EventTree | None = None
        self._scanning = False
        self._busy = False
        self._armed_on: tuple[int, int] | None = None

    def look_for(self, rels: Iterable[bytes], found_by: FoundBy) -> None:
        """Hints from elsewhere: ``dropmill add``, a superseded version, an original that was put back."""
        for rel in rels:
            self._hint(rel, Hint(found_by))

    @property
    def quiet(self) -> bool:
        """Whether nothing is known to be left to look for."""
        return self.started and not self._busy and not self._scanning and self._pending.empty

    async def run(self) -> None:
        await self._arm()
        await self._scan(FoundBy.STARTUP)
        self.started = True
        next_scan = self._next_scan()
        while True:
            self._wake = anyio.Event()
            if not self._pending.empty:
                self._wake.set()
            until_scan = max(0.0, next_scan - self._clock.monotonic())
            with anyio.move_on_after(min(until_scan, ROOT_SECONDS)):
                await self._wake.wait()
            self._busy = True  # From here on something may be left to look for, whatever has to be waited for.
            found_by = await self._take_events()
            if found_by is None and self._clock.monotonic() >= next_scan:
                found_by = FoundBy.EVENT if self.mode == "poll" else FoundBy.RECONCILE
            if found_by is not None:
                await self._scan(found_by)
                next_scan = self._next_scan()
            self._busy = False

    def close(self) -> None:
        if self._tree is not None:
            self._tree.disarm()

    def _next_scan(self) -> float:
        polling = self.mode == "poll"
        seconds = self.inbox.poll_seconds if polling else self.inbox.reconcile_seconds
        return self._clock.monotonic() + seconds * (1 + JITTER * (2 * self._chance.random() - 1))

    async def _take_events(self) -> FoundBy | None:
        """Pass hints on; returns what asks for a scan, if anything does."""
        # We hold the root open for its lock, so its removal makes no event; nor does a mount over it or away from it.
        if await self._lane.call(identity, self.inbox.root.path) != self._armed_on:
            self._pending.lose_root()
        paths, overflowed, lost, unwatched = self._pending.take()
        for rel in paths:
            self._hint(rel, Hint(FoundBy.EVENT))
        if unwatched:
            self._degrade(f"{len(unwatched)} directories have no watch (errno {next(iter(unwatched.values()))})")
        if lost:
            await self._wait_for_return()
            return FoundBy.STARTUP
        if overflowed:
            self._emit(EventsLost(self.inbox.name))
            if self._tree is not None:
                await self._lane.call(self._tree.rearm)
            return FoundBy.OVERFLOW
        return None

    async def _arm(self) -> None:
        """Watch by events where they work; else, or where the limits are reached, poll."""
        self.trouble = ""
        self._armed_on = await self._lane.call(identity, self.inbox.root.path)
        wanted = self.inbox.watch
        if wanted == "auto" and await self._lane.call(delivers_no_events, self.inbox.root.path):
            wanted = "poll"
        if wanted == "poll":
            self.mode = "poll"
            return
        try:
            self._tree = EventTree(
                self._reader(),
                self.inbox.root.path,
                self._pending,
                recursive=self.inbox.recursive,
                ignore=self.inbox.ignore,
            )
            self.mode = "events"
            await self._lane.call(self._tree.arm)
        except FileNotFoundError:
            await self._wait_for_return()
        except OSError as error:
            self._degrade(error.strerror or str(error))

    def _degrade(self, detail: str) -> None:
        """Some or all directories go unwatched: the whole inbox is polled until the next start (W14)."""
        self.mode = "poll"
        self.trouble = f"polled instead of watched: {detail}"
        self._emit(WatchDegraded(self.inbox.name, detail, _LIMIT_HINT))

    async def _wait_for_return(self) -> None:
        """Vanished is not deleted: nothing is forgotten, and the watch is armed anew once the folder is back (W26)."""
        self.trouble = "the folder is gone; waiting for it to come back"
        self._emit(InboxGone(self.inbox.name, self.trouble))
        if self._tree is not None:
            self._tree.disarm()
            self._tree = None
        while await self._lane.call(identity, self.inbox.root.path) is None:
            await self._clock.sleep(RETURN_SECONDS)
        self._emit(InboxBack(self.inbox.name))
        await self._arm()

    async def _scan(self, found_by: FoundBy) -> None:
        self._scanning = True
        try:
            await self._scan_once(found_by)
        finally:
            self._scanning = False

    async def _scan_once(self, found_by: FoundBy) -> None:
        started = self._clock.monotonic()
        scanner = Scanner(self.inbox.root.path, recursive=self.inbox.recursive, ignore=self.inbox.ignore)
        files = new = 0
        complete = True
        try:
            while (chunk := await self._lane.call(scanner.next_chunk)) is not None:
                files += len(chunk.entries)
                new += await self._meet(chunk.entries, found_by)
                for leftover in chunk.leftovers:
                    await self._put_back(leftover)
                for error in chunk.errors:
                    complete = False
                    if error.rel == b"" and self.mode == "events":
                        self._pending.lose_root()
                    self._emit(ScanTrouble(self.inbox.name, error.rel, f"errno {error.errno}"))
        finally:
            scanner.close()
        self._emit(Scanned(self.inbox.name, found_by, files, new, self._clock.monotonic() - started))
        if complete:
            await self._scanned(self.inbox)

    async def _put_back(self, leftover: Leftover) -> None:
        try:
            await self._leftover(self.inbox, leftover)
        except OSError as error:
            self._emit(ScanTrouble(self.inbox.name, leftover.rel, error.strerror or str(error)))

    async def _meet(self, entries: tuple[Entry, ...], found_by: FoundBy) -> int:
        # Oldest first, so that of two copies the one that came first is the original.
        ordered = sorted(entries, key=lambda entry: (entry.signature.mtime_ns, entry.rel))
        seen: list[tuple[bytes, Signature]] = [(entry.rel, entry.signature) for entry in ordered]
        known = await self._ledger.known(self.inbox.root.id, seen)
        new = 0
        for rel, signature in seen:
            if rel not in known:
                new += 1
                self._hint(rel, Hint(found_by, signature))
        return new


def identity(path: bytes) -> tuple[int, int] | None:
    """Blocking. Which directory is there, by device and inode; None if none is, or none can be seen."""
    try:
        seen = os.stat(path)
    except OSError:
        return None
    return (seen.st_dev, seen.st_ino) if stat.S_ISDIR(seen.st_mode) else None
