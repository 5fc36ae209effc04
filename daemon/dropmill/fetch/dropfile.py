"""Tails one drop-file: each line becomes a job, or a refusal, in one transaction with how far the file was read."""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, Literal

from dropmill.errors import AlreadyRunning, DropmillError
from dropmill.fetch.reach import Reach
from dropmill.fetch.taking import Taker
from dropmill.files.access import NotRegularFile
from dropmill.files.dropfile import Reading
from dropmill.files.lane import Lane
from dropmill.model.inbox import Inbox
from dropmill.model.job import FoundBy
from dropmill.model.tailing import Dropfile, Look, Mark, Step, at_end, judge
from dropmill.model.watching import Trouble
from dropmill.observe.facts import Emit, StateTrouble
from dropmill.ports import Clock, Pressure
from dropmill.store import dropfiles
from dropmill.store.catalog import Catalog

# How soon it is asked again whether there is room for more, and what the catalog refused is offered again.
ROOM_SECONDS: Final = 0.2
# What was known of that before is out of date by then.
COUNTED_SECONDS: Final = 1.5
AGAIN_SECONDS: Final = 2.0


class Tail:
    """Runs until cancelled. ``trouble`` with ``remedy``, ``watch`` and ``waits`` say how it is going, for health."""

    def __init__(
        self,
        dropfile: Dropfile,
        inbox: Inbox,
        catalog: Catalog,
        lane: Lane,
        lock: Callable[[], None],
        pressure: Pressure,
        intake: Callable[[], Awaitable[None]],
        clock: Clock,
        emit: Emit,
        wake: Callable[[], None],
    ) -> None:
        """``lock`` is called in the lane before each look, and raises ``AlreadyRunning`` where another daemon reads the file;
        ``intake`` returns once the queue's disk has room for more; ``wake`` tells that there is something to fetch."""
        self.dropfile = dropfile
        self.quiet = False
        """Whether all that there is has been read."""
        self.behind_bytes = 0
        self._catalog = catalog
        self._lane = lane
        self._lock = lock
        self._pressure = pressure
        self._intake = intake
        self._clock = clock
        self._emit = emit
        self._taker = Taker(dropfile, inbox, catalog, clock, emit, wake)
        self._reading = Reading(dropfile.path)
        self._reach = Reach(inbox.name, dropfile.path, lane, emit)
        self._mark: Mark | None = None
        self._look: Look | None = None
        self._since = 0.0
        self._tried_bytes = 0
        self._found_by = FoundBy.STARTUP
        self.turned_at = clock.monotonic()
        """When it last went for a look at the file."""

    @property
    def name(self) -> str:
        return self.dropfile.name

    @property
    def watch(self) -> Literal["starting", "poll", "missing"]:
        """How the file is watched, as it was seen last."""
        if self._look is None:
            return "starting"
        return "missing" if self._look.at_path is None else "poll"

    @property
    def missing(self) -> bool:
        """Nothing is at the path: it is waited for, which is no trouble."""
        return self.watch == "missing"

    @property
    def trouble(self) -> str:
        """What keeps the file from being read, or empty. That there is none yet is no trouble."""
        return self._reach.trouble

    @property
    def remedy(self) -> str:
        return self._reach.remedy

    @property
    def waits(self) -> str:
        """What reading waits for, where there is too much already; not a trouble."""
        return self._pressure.said

    @property
    def call_under_way(self) -> int:
        """As ``Lane.turn``: the same one for long is a disk that hangs."""
        return self._lane.turn

    @property
    def standing(self) -> bool:
        """Whether reading does not go on at present: all is read, the file cannot be read, or too much waits already."""
        return self.quiet or bool(self.trouble or self.waits)

    async def finished(self) -> bool:
        """Whether nothing more is read, provided that no job goes on. What cannot be read is left for another run."""
        if self.waits and not self.quiet:
            await self._clock.sleep(COUNTED_SECONDS)
            # On a busy machine it may have had no turn of its own since the last job ended.
            await self._pressure.full()
        return self.standing

    def close(self) -> None:
        """Let go of the file, once what is under way is over: where its disk hangs, nobody waits for that."""
        self._lane.send(self._reading.close)

    async def run(self) -> None:
        self.turned_at = self._clock.monotonic()
        position = await self._catalog.read(lambda session: dropfiles.position(session, self.name))
        self._mark = position.mark
        while True:
            self.turned_at = self._clock.monotonic()
            pause = await self._turn()
            if pause:
                await self._clock.sleep(pause)

    async def _turn(self) -> float:
        """One look and what it asks for; returns how long to wait before the next, in seconds."""
        try:
            await self._reach.ask(self._lock)
            look = await self._reach.ask(self._reading.look, self._mark)
            self._note(look)
            step = judge(self._mark, look, self._tried_bytes, self._still())
            pause = await self._do(step, look)
        except (AlreadyRunning, OSError) as error:
            self.quiet = False
            self._reach.begin(_trouble_of(error))
            return max(self.dropfile.poll_seconds, AGAIN_SECONDS)
        self._reach.end()
        return pause

    def _note(self, look: Look) -> None:
        if look != self._look:
            self._since = self._clock.monotonic()
        self._look = look
        read = self._mark.offset_bytes if self._mark is not None and self._mark.file == look.open else 0
        self.behind_bytes = max(0, look.size_bytes - read)
        self.quiet = at_end(self._mark, look)
        if self.quiet:
            self._found_by = FoundBy.EVENT

    def _still(self) -> bool:
        return self._clock.monotonic() - self._since >= self.dropfile.quiet_seconds

    async def _do(self, step: Step, look: Look) -> float:
        match step:
            case Step.BEGIN | Step.AGAIN if look.open is not None:
                generation = self._mark.generation + 1 if self._mark else 1
                unread = self._unread(look) if step is Step.AGAIN else 0
                await self._begin_file(Mark(look.open, generation), rewritten=step is Step.AGAIN, unread_bytes=unread)
                return 0.0
            case Step.SWITCH:
                await self._reach.ask(self._reading.switch)
                return 0.0
            case Step.READ | Step.LAST:
                return await self._read(last=step is Step.LAST)
            case _:
                return self.dropfile.poll_seconds

    def _unread(self, look: Look) -> int:
        """How much is known to have been cut off before it was read."""
        return max(0, self._tried_bytes - max(self._mark.offset_bytes, look.size_bytes)) if self._mark else 0

    async def _begin_file(self, mark: Mark, *, rewritten: bool, unread_bytes: int) -> None:
        if await self._committed(self._taker.begin(mark, rewritten=rewritten, unread_bytes=unread_bytes)):
            self._mark, self._tried_bytes = mark, 0

    async def _read(self, *, last: bool) -> float:
        """Take the next lot. What the file is missing when it was rewritten meanwhile, the next look tells."""
        if self._mark is None:
            return 0.0
        if await self._pressure.full():
            return ROOM_SECONDS
        await self._intake()
        lot = await self._reach.ask(partial(self._reading.read, self._mark, last=last))
        if lot is None:
            return ROOM_SECONDS
        self._tried_bytes = lot.size_bytes
        if lot.mark.offset_bytes == self._mark.offset_bytes:
            return self.dropfile.poll_seconds
        if await self._committed(self._taker.take(lot, self._found_by)):
            self._mark = lot.mark
        return 0.0

    async def _committed(self, work: Awaitable[None]) -> bool:
        """False: nothing was committed, and it is tried again from the last mark."""
        try:
            await work
        except DropmillError as error:
            self._emit(StateTrouble("enqueue", f"drop-file {self.name}: {error}"))
            await self._clock.sleep(AGAIN_SECONDS)
            return False
        return True


def _trouble_of(error: AlreadyRunning | OSError) -> Trouble:
    if isinstance(error, AlreadyRunning):
        holder = f", pid {error.holder}" if error.holder else ""
        return Trouble(f"is read by another daemon{holder}", "stop that one, or give this one a drop-file of its own")
    if isinstance(error, NotRegularFile):
        return Trouble(f"is no file but a {error.kind}", "put a text file there, or name another path")
    said = error.strerror or str(error)
    if error.errno in {errno.EACCES, errno.EPERM}:
        return Trouble(f"cannot be read: {said}", "let the daemon's user read the file, and its folder")
    return Trouble(f"cannot be read: {said}", "check the disk or share that it is on; it is tried again")
