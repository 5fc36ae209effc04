"""One inbox under watch: events are hints, scans are the authority, and whatever finds a file, it goes the same way."""

from __future__ import annotations

import errno
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

import anyio

from dropmill.errors import AlreadyRunning
from dropmill.files.events import Pending
from dropmill.files.lane import Lane
from dropmill.files.roots import InboxLock
from dropmill.files.scan import Entry, Leftover, ScanError, Scanner
from dropmill.files.standing import EXHAUSTED, Standing, holds_nothing, standing
from dropmill.files.vigil import Armed, Vigil
from dropmill.model import watching
from dropmill.model.doubt import Doubt
from dropmill.model.file import Signature
from dropmill.model.inbox import Inbox
from dropmill.model.job import FoundBy
from dropmill.model.settling import Hint
from dropmill.model.watching import Kind, Trouble
from dropmill.observe.facts import Emit, EventsLost, Scanned, ScanTrouble
from dropmill.observe.troubles import Troubles
from dropmill.ports import Clock, Ledger, Pressure

RETURN_SECONDS: Final = 2.0
# A folder that was removed, or whose disk was unmounted or mounted, is noticed within this time.
ROOT_SECONDS: Final = 2.0
# How soon it is asked again whether there is room for more.
ROOM_SECONDS: Final = 0.2
JITTER: Final = 0.1
# A reader that ends again so soon would go on like that.
REVIVAL_SECONDS: Final = 60.0
# Whatever was wrong with watching, these are judged anew when the folder is armed.
_JUDGED_BY_ARMING: Final = frozenset(Kind) - {Kind.NOT_MOUNTED}


class Watch:
    """Runs until cancelled. ``mode``, ``trouble`` with ``remedy``, and ``waits`` say how it is going, for health."""

    def __init__(
        self,
        inbox: Inbox,
        lane: Lane,
        lock: InboxLock,
        ledger: Ledger,
        pressure: Pressure,
        clock: Clock,
        chance: random.Random,
        emit: Emit,
        hint: Callable[[bytes, Hint], None],
        wake_from_thread: Callable[[Callable[[], None]], None],
        recognise: Callable[[Inbox, Standing, bool], Awaitable[bool]],
        scanned: Callable[[Inbox], Awaitable[None]],
        leftover: Callable[[Inbox, Leftover], Awaitable[None]],
    ) -> None:
        """``recognise(inbox, standing, empty)``: False where an empty folder only is the place of a missing disk."""
        self.inbox = inbox
        self.mode = "starting"
        self.started = False
        """Whether the first scan is over, so that nothing that was there before the start is unknown."""
        self._lane = lane
        self._ledger = ledger
        self._pressure = pressure
        self._clock = clock
        self._chance = chance
        self._emit = emit
        self._hint = hint
        self._recognise = recognise
        self._scanned = scanned
        self._leftover = leftover
        self._wake = anyio.Event()
        self._pending = Pending(lambda: wake_from_thread(lambda: self._wake.set()))
        self._vigil = Vigil(
            inbox.root.path,
            lock,
            self._pending,
            recursive=inbox.recursive,
            ignore=inbox.ignore,
            watch=inbox.watch,
        )
        self._troubles = Troubles(inbox.name, emit)
        self._armed: Armed | None = None
        self._scanning = False
        self._busy = False
        self._rescan = False
        self._next_scan = 0.0
        self._next_part = 0.0
        self._next_try = 0.0
        self._revived_at: float | None = None
        self._doubt = Doubt()
        self.turned_at = clock.monotonic()
        """When something was last done. Where all is well that never takes long, unless a disk keeps us waiting."""
        self.ask_reader = self._vigil.ask_reader

    @property
    def trouble(self) -> str:
        """What keeps the inbox from being watched as it should be, or empty."""
        return worst.detail if (worst := self._worst()) else ""

    @property
    def remedy(self) -> str:
        return worst.remedy if (worst := self._worst()) else ""

    @property
    def waits(self) -> str:
        """What discovery waits for, where there is too much already; not a trouble."""
        return self._pressure.said

    def _worst(self) -> Trouble | None:
        if self._vigil.reader_ended:  # Told from the first moment, not from when we look again (W17).
            return self._troubles.worst or watching.reader_ended()
        return self._troubles.worst

    def turned(self) -> None:
        self.turned_at = self._clock.monotonic()

    def look_for(self, rels: Iterable[bytes], found_by: FoundBy) -> None:
        """Hints from elsewhere: ``dropmill add``, a superseded version, an original that was put back."""
        for rel in rels:
            self._hint(rel, Hint(found_by))

    def missed(self, rel: bytes) -> None:
        """A scan at intervals brought a file that became a job: did the events keep silent about it (W16)?"""
        if self.mode == "events":
            self._doubt.suspect(rel)

    @property
    def quiet(self) -> bool:
        """Whether nothing is known to be left to look for."""
        return self.started and not (self._busy or self._scanning or self._rescan) and self._pending.empty

    def close(self) -> None:
        """No more events, once what is under way in the folder is over: where its disk hangs, nobody waits for that."""
        self._lane.send(self._vigil.unwatch)

    async def run(self) -> None:
        self.turned()
        await self._arm()
        await self._scan(FoundBy.STARTUP)
        self.started = True
        self._plan()
        while True:
            self._busy = False
            await self._wait()
            self._busy = True  # From here on something may be left to look for, whatever has to be waited for.
            found_by = await self._look_after()
            if found_by is not None:
                await self._scan(found_by)
                self._plan()

    async def _wait(self) -> None:
        """Until something happened, a scan is due, or it is time to look whether all is as it was."""
        self.turned()
        if Kind.DESCRIPTORS in self._troubles or self._pressure.said:
            # Nothing can be looked at, or nothing is to be looked for: it would only be asked again and again.
            await self._clock.sleep(ROOT_SECONDS if Kind.DESCRIPTORS in self._troubles else ROOM_SECONDS)
            return
        self._wake = anyio.Event()
        if not self._pending.empty:
            return
        due = self._next_part if self.mode == "events" and self._vigil.unwatched else self._next_scan
        seconds = max(0.0, min(due, self._next_scan) - self._clock.monotonic())
        with anyio.move_on_after(min(seconds, ROOT_SECONDS)):
            await self._wake.wait()

    def _plan(self) -> None:
        now = self._clock.monotonic()
        seconds = self.inbox.poll_seconds if self.mode == "poll" else self.inbox.reconcile_seconds
        self._next_scan = now + seconds * (1 + JITTER * (2 * self._chance.random() - 1))
        self._next_part = now + self.inbox.poll_seconds

    async def _look_after(self) -> FoundBy | None:
        """See that all is as it was, and pass hints on; returns what asks for a scan, if anything does."""
        try:
            # We hold the root open for its lock, so its removal makes no event; nor does a mount over it or away from it.
            seen = await self._lane.call(standing, self.inbox.root.path)
        except OSError as error:
            self._troubles.begin(Kind.DESCRIPTORS, watching.out_of_descriptors(error.strerror or str(error)))
            return None
        if self._armed is None or not self._armed.standing.same(seen):
            self._troubles.begin(Kind.GONE, watching.gone(""))
            await self._lane.call(self._vigil.close)
            self._pending.take()  # What was told of the other folder: of this one a scan tells.
            await self._arm()
            return FoundBy.STARTUP
        if Kind.DESCRIPTORS in self._troubles:
            self._troubles.end({Kind.DESCRIPTORS})
        if self._vigil.reader_ended:
            return await self._revive()
        await self._judge_events()
        if await self._pressure.full():
            return None
        return await self._take_events() or await self._due()

    async def _take_events(self) -> FoundBy | None:
        happened = self._pending.take()
        for rel in happened.paths:
            self._doubt.told(rel)
            self._hint(rel, Hint(FoundBy.EVENT))
        if happened.overflowed or happened.lost:
            # A root that is lost and yet the same has lost its watches only.
            self._emit(EventsLost(self.inbox.name))
            await self._arm()
            return FoundBy.OVERFLOW
        if happened.directories:
            await self._lane.call(self._vigil.extend, list(happened.directories))
            self._note_limit()
        if happened.paths and Kind.NOT_MOUNTED in self._troubles:
            await self._meet_again()
        return None

    async def _due(self) -> FoundBy | None:
        now = self._clock.monotonic()
        if self._rescan:
            return FoundBy.OVERFLOW
        if Kind.LIMIT in self._troubles and now >= self._next_try:
            await self._arm()
            return FoundBy.OVERFLOW
        if now >= self._next_scan:
            return FoundBy.EVENT if self.mode == "poll" else FoundBy.RECONCILE
        if self._vigil.unwatched and now >= self._next_part:
            await self._lane.call(self._vigil.heal)
            self._note_limit()
            await self._scan(FoundBy.EVENT, self._vigil.unwatched)
            self._next_part = self._clock.monotonic() + self.inbox.poll_seconds
        return None

    async def _arm(self) -> None:
        """Lock and watch what is at the path; while that is nothing, or another's, wait for it (W26, W41).

        Vanished is not deleted: nothing is forgotten meanwhile.
        """
        while (armed := await self._armed_once()) is None:
            self.turned()
            await self._clock.sleep(RETURN_SECONDS)
        self._armed = armed
        self.mode = armed.mode
        self._doubt.begin(canary=armed.canary)
        self._next_try = self._clock.monotonic() + self.inbox.reconcile_seconds
        for kind, trouble in armed.troubles.items():
            self._troubles.begin(kind, trouble)
        await self._meet_folder(armed.standing, armed.empty)
        self._troubles.end(_JUDGED_BY_ARMING - set(armed.troubles))

    async def _armed_once(self) -> Armed | None:
        try:
            return await self._lane.call(self._vigil.arm)
        except AlreadyRunning as error:
            self._troubles.begin(Kind.HELD, watching.held(error.holder))
            self._troubles.end({Kind.GONE})
        except OSError as error:
            said = error.strerror or str(error)
            if error.errno in EXHAUSTED:
                self._troubles.begin(Kind.DESCRIPTORS, watching.out_of_descriptors(said))
            else:
                missing = error.errno in {errno.ENOENT, errno.ENOTDIR}
                self._troubles.begin(Kind.GONE, watching.gone("" if missing else said))
        return None

    async def _meet_folder(self, seen: Standing, empty: bool) -> None:
        if await self._recognise(self.inbox, seen, empty):
            self._troubles.end({Kind.NOT_MOUNTED})
        else:
            self._troubles.begin(Kind.NOT_MOUNTED, watching.not_mounted())

    async def _meet_again(self) -> None:
        """Something came into a folder that was taken for the place of a missing disk: it is meant, then."""
        if self._armed is None:
            return
        try:
            empty = await self._lane.call(holds_nothing, self.inbox.root.path)
        except OSError:
            return  # It goes just now; the next look tells.
        await self._meet_folder(self._armed.standing, empty)

    async def _revive(self) -> FoundBy:
        """Nobody reads the events any more: start anew, and look what was missed (W17)."""
        now = self._clock.monotonic()
        again = self._revived_at is not None and now - self._revived_at < REVIVAL_SECONDS
        self._revived_at = now
        if again:
            await self._demote(Kind.READER, watching.reader_ends_again())
        else:
            self._troubles.begin(Kind.READER, watching.reader_ended())
            await self._arm()
        return FoundBy.OVERFLOW

    async def _judge_events(self) -> None:
        """Demote to polling where events keep silent. Nothing but a new start, or return, of the folder promotes."""
        if self.mode != "events" or not self._doubt.look(self._clock.monotonic()):
            return
        if self._doubt.canary_is_dead(told=self._vigil.told):
            await self._demote(Kind.SILENT, watching.no_event_of_test())
            return
        for rel in self._doubt.due():
            if await self._was_silent(rel):
                await self._demote(Kind.SILENT, watching.no_event_of_file())
                return

    async def _was_silent(self, rel: bytes) -> bool:
        """Whether events should have told of a file, and did not: a new path, in a directory that is watched."""
        directory = rel.rpartition(b"/")[0]
        if not self._vigil.watches(directory):
            await self._lane.call(self._vigil.extend, [directory])  # It has become readable since.
            return False
        return True

    async def _demote(self, kind: Kind, trouble: Trouble) -> None:
        await self._lane.call(self._vigil.unwatch)
        self.mode = "poll"
        self._doubt.begin(canary=False)
        self._troubles.begin(kind, trouble)
        self._troubles.end({Kind.LIMIT})  # To arm anew once the limit is raised would promote it again.
        self._plan()

    def _note_limit(self) -> None:
        limited = self._vigil.limited()
        for kind, trouble in limited.items():
            self._troubles.begin(kind, trouble)
        if not limited:
            self._troubles.end({Kind.LIMIT})

    async def _scan(self, found_by: FoundBy, tops: Sequence[bytes] = (b"",)) -> None:
        self._scanning = True
        try:
            await self._scan_once(found_by, tops)
        finally:
            self._scanning = False

    async def _scan_once(self, found_by: FoundBy, tops: Sequence[bytes]) -> None:
        started = self._clock.monotonic()
        whole = tuple(tops) == (b"",)
        self._rescan = self._rescan and not whole
        scanner = Scanner(self.inbox.root.path, recursive=self.inbox.recursive, ignore=self.inbox.ignore, tops=tops)
        files = new = 0
        complete = True
        try:
            while (chunk := await self._lane.call(scanner.next_chunk)) is not None:
                self.turned()
                files += len(chunk.entries)
                new += await self._meet(chunk.entries, found_by)
                for leftover in chunk.leftovers:
                    await self._put_back(leftover)
                complete = complete and not chunk.errors
                self._note_errors(chunk.errors)
                if not await self._room():
                    self._rescan = True
                    return
        finally:
            # Cut off, the scan goes on in the lane to the end of its lot.
            self._lane.send(scanner.close)
        self._emit(Scanned(self.inbox.name, found_by, files, new, self._clock.monotonic() - started))
        if files and Kind.NOT_MOUNTED in self._troubles:
            await self._meet_again()
        if complete and whole:
            await self._scanned(self.inbox)

    async def _room(self) -> bool:
        """Wait until there is room for more, perhaps for days; False once the folder is another, or nobody reads events."""
        while await self._pressure.full():
            self.turned()
            await self._clock.sleep(ROOM_SECONDS)
            try:
                seen = await self._lane.call(standing, self.inbox.root.path)
            except OSError:
                continue  # Nothing can be opened anywhere, which says nothing about the folder.
            if self._armed is None or not self._armed.standing.same(seen) or self._vigil.reader_ended:
                return False
            await self._judge_events()
        return True

    def _note_errors(self, errors: Iterable[ScanError]) -> None:
        for error in errors:
            self._emit(ScanTrouble(self.inbox.name, error.rel, f"errno {error.errno}"))
            if error.errno in EXHAUSTED:
                self._rescan = True
                self._troubles.begin(Kind.DESCRIPTORS, watching.out_of_descriptors(f"errno {error.errno}"))

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
