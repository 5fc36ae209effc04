"""Whether the folders around the work answer, take files and have room; where they do not, nothing of theirs is begun.

Nothing is lost by beginning later: jobs stay in the queue, originals stay where they are, and work goes on by itself
once a folder is well again (W27, W40, S12).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import anyio

from dropmill.errors import DropmillError
from dropmill.files.lane import Lane
from dropmill.files.room import Room, answers, room_of, room_of_output, room_of_target
from dropmill.model.inbox import URLS_SUFFIX, Inbox, Root
from dropmill.model.outcome import Reason
from dropmill.observe.facts import Completed, Emit, Fact, Held, Rescheduled, StateTrouble, Unheld
from dropmill.ports import ALL_INBOXES, Clock

LOOK_SECONDS: Final = 2.0
# A look that takes longer is told of; one that takes this much longer means that its disk hangs.
ANSWER_SECONDS: Final = 1.0
SILENT_SECONDS: Final = 5.0
# One call of a stage may copy an original of many gigabytes; only after this long it is told of.
LONG_CALL_SECONDS: Final = 30.0
# Where a worker could not write although a look finds nothing (a quota, a bad disk), one job is let try this often.
DOUBT_SECONDS: Final = 5.0
MOST_DOUBT_SECONDS: Final = 60.0
# Free room that says that somebody made some. Less comes and goes with every file, our own included, and under a quota
# says nothing at all.
MORE_BYTES: Final = 1 << 20
MORE_INODES: Final = 100

Word = Literal["inbox", "output", "archive", "duplicates", "quarantine", "state"]

_REMEDIES: Final[dict[Word, str]] = {
    "output": "check the output folder's mount, owner and mode; what is owed to it is tried again",
    "inbox": "check the disk or share that the inbox is on; it goes on by itself",
    "state": "check the disk of state_dir; work then resumes",
}
_FOLDER_REMEDY: Final = "check the folder's mount, owner and mode; what is owed to it is tried again by itself"


@dataclass(frozen=True, slots=True)
class Trouble:
    """``holds``: nothing that needs the folder is begun meanwhile. ``silent``: it does not answer at all."""

    detail: str
    remedy: str
    holds: bool = False
    silent: bool = False


@dataclass(slots=True)
class _Doubt:
    """A worker could not write there. ``base``: the room at the first look after that; much more room lifts the doubt."""

    detail: str
    until: float
    full: bool
    base: Room | None = None


@dataclass(slots=True)
class Folder:
    """A folder of one inbox (or the state directory, for which ``inbox`` is empty) and what is known of it."""

    word: Word
    inbox: str
    path: bytes
    look: Callable[[], Room]
    essential: bool
    lane: Lane
    stage_lane: Lane | None = None
    trouble: Trouble | None = None
    room: Room = field(default_factory=Room)
    doubts: int = 0
    doubt: _Doubt | None = None
    asked_at: float = 0.0
    answer: asyncio.Task[Room] | None = None
    turn: tuple[int, float] = (0, 0.0)
    """The call of a stage that is under way there, and since when it is known."""


class Surroundings:
    """Looks at every folder in a thread of its own, so that one that hangs keeps no other from being looked at."""

    def __init__(
        self,
        inboxes: Mapping[str, Inbox],
        state_dir: bytes,
        lanes: Mapping[bytes, Lane],
        reserve_bytes: int,
        clock: Clock,
        emit: Emit,
        on_held: Callable[[str, bool], Awaitable[None]],
        on_well: Callable[[Collection[str]], Awaitable[None]],
    ) -> None:
        """``on_held(inbox, silent)``: nothing more of it may begin. ``on_well(inboxes)``: what waited may go on."""
        self._reserve_bytes = reserve_bytes
        self._clock = clock
        self._emit = emit
        self._on_held = on_held
        self._on_well = on_well
        self._held: dict[str, Trouble] = {}
        # What is still to be told of, because telling failed.
        self._untold_held: set[str] = set()
        self._untold_well: set[str] = set()
        self._room_for_more = anyio.Event()
        self._room_for_more.set()
        self.folders: Sequence[Folder] = [*_folders(inboxes, lanes), _state(state_dir)]

    @property
    def held(self) -> Mapping[str, Trouble]:
        """By inbox (``*``: nothing more is taken in): why nothing of it is begun."""
        return self._held

    async def intake(self) -> None:
        """Return once the state directory has room for more jobs."""
        await self._room_for_more.wait()

    @property
    def intake_open(self) -> bool:
        return self._room_for_more.is_set()

    def answering(self, folders: Collection[bytes]) -> bool:
        """Whether none of these folders is known to hang."""
        return not any(f.trouble is not None and f.trouble.silent for f in self.folders if f.path in folders)

    def __call__(self, fact: Fact) -> None:
        """A subscriber of facts: what workers meet in an output is believed, whatever a look finds (S12)."""
        match fact:
            case Rescheduled(
                inbox=inbox, reason=(Reason.DISK_FULL | Reason.OUTPUT_UNAVAILABLE) as reason, detail=detail
            ):
                now = self._clock.monotonic()
                for folder in self._outputs(inbox):
                    if folder.doubt is None or now >= folder.doubt.until:
                        wait = min(DOUBT_SECONDS * 2.0**folder.doubts, MOST_DOUBT_SECONDS)
                        folder.doubt = _Doubt(detail, now + wait, reason is Reason.DISK_FULL)
                        folder.doubts += 1
            case Completed(inbox=inbox):
                now = self._clock.monotonic()
                for folder in self._outputs(inbox):
                    folder.doubts = 0
                    if folder.doubt is not None and now >= folder.doubt.until:
                        folder.doubt = None

    def _outputs(self, inbox: str) -> list[Folder]:
        inbox = inbox.removesuffix(URLS_SUFFIX)
        paths = {folder.path for folder in self.folders if folder.word == "output" and folder.inbox == inbox}
        return [folder for folder in self.folders if folder.word == "output" and folder.path in paths]

    async def run(self) -> None:
        while True:
            try:
                await self.look()
            except DropmillError as error:  # A catalog that cannot be written just now: the next look tries again.
                self._emit(StateTrouble("looking after the folders", str(error)))
            await self._clock.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Ask every folder, wait a moment for the answers, and draw the consequences."""
        now = self._clock.monotonic()
        for folder in self.folders:
            if folder.answer is None or folder.answer.done():
                folder.asked_at = now
                folder.answer = asyncio.ensure_future(folder.lane.call(folder.look))
        await asyncio.wait([f.answer for f in self.folders if f.answer is not None], timeout=ANSWER_SECONDS)
        for folder in self.folders:
            folder.trouble = self._judge(folder)
        await self._draw_consequences()

    def _judge(self, folder: Folder) -> Trouble | None:
        now = self._clock.monotonic()
        remedy = _REMEDIES.get(folder.word, _FOLDER_REMEDY)
        if folder.answer is not None and not folder.answer.done():
            waited = now - folder.asked_at
            silent = waited >= SILENT_SECONDS
            return Trouble(f"has not answered for {waited:.0f} s", remedy, silent and folder.essential, silent)
        if folder.answer is not None:
            folder.room = folder.answer.result()
        room = folder.room
        if room.trouble:
            remedy = room.remedy or remedy
            # An archive that cannot be written holds nothing up: the result is kept, the move tried again (W25).
            return Trouble(room.trouble, remedy, folder.word in {"output", "state"})
        short = self._shortage(room)
        if short:
            return Trouble(short, _space_remedy(folder.word), folder.essential)
        if self._doubted(folder, now) and folder.doubt is not None:
            doubt = folder.doubt
            helps = _space_remedy(folder.word) if doubt.full else remedy
            holds = folder.essential and now < doubt.until
            return Trouble(f"a worker could not write there: {doubt.detail}", helps, holds)
        return self._long_call(folder, now)

    def _shortage(self, room: Room) -> str:
        if not room.counted:
            return ""
        if room.free_bytes < self._reserve_bytes:
            free, kept = room.free_bytes >> 20, self._reserve_bytes >> 20
            return f"{free} MiB are free and {kept} MiB are to stay free (min_free_mb)"
        if room.free_inodes == 0:
            return "its disk has no room for another file (no free inodes)"
        return ""

    def _doubted(self, folder: Folder, now: float) -> bool:
        """Once its time is over one job is let try; until that has ended, or there is none, it is still told of."""
        doubt = folder.doubt
        if doubt is None:
            return False
        if doubt.base is None:
            doubt.base = folder.room
        grown = folder.room.free_bytes > doubt.base.free_bytes + MORE_BYTES or (
            (folder.room.free_inodes or 0) > (doubt.base.free_inodes or 0) + MORE_INODES
        )
        if grown or now >= doubt.until + MOST_DOUBT_SECONDS:
            folder.doubt = None
        return folder.doubt is not None

    def _long_call(self, folder: Folder, now: float) -> Trouble | None:
        turn = folder.stage_lane.turn if folder.stage_lane is not None else 0
        if turn == 0 or turn != folder.turn[0]:
            folder.turn = (turn, now)
            return None
        waited = now - folder.turn[1]
        if waited < LONG_CALL_SECONDS:
            return None
        return Trouble(f"one call to it has been under way for {waited:.0f} s", _FOLDER_REMEDY)

    async def _draw_consequences(self) -> None:
        before, now = self._held, self._reasons_to_hold()
        self._held = {name: trouble for name, (_, trouble) in now.items()}
        if ALL_INBOXES not in now:
            self._room_for_more.set()
        elif self.intake_open:
            self._room_for_more = anyio.Event()
        for name, (folder, trouble) in now.items():
            known = before.get(name)
            if known is None:
                self._emit(Held(name, folder.word, folder.path, trouble.detail, trouble.remedy))
            if name != ALL_INBOXES and (known is None or trouble.silent > known.silent):
                self._untold_held.add(name)
        for name in sorted(before.keys() - now.keys()):
            self._emit(Unheld(name))
            self._untold_held.discard(name)
            self._untold_well.add(name)
        await self._tell()

    async def _tell(self) -> None:
        """Whatever fails here is tried again by the next look: nothing but what was told is forgotten."""
        for name in sorted(self._untold_held):
            await self._on_held(name, self._held[name].silent)
            self._untold_held.discard(name)
        well = self._untold_well - self._held.keys()
        if well:
            await self._on_well(well - {ALL_INBOXES})
        self._untold_well.clear()

    def _reasons_to_hold(self) -> dict[str, tuple[Folder, Trouble]]:
        reasons: dict[str, tuple[Folder, Trouble]] = {}
        for folder in self.folders:
            if folder.trouble is not None and folder.trouble.holds:
                name = folder.inbox or ALL_INBOXES
                # What hangs is the graver of two reasons: work in hand is given back only for that.
                if name not in reasons or folder.trouble.silent:
                    reasons[name] = (folder, folder.trouble)
        return reasons

    def close(self) -> None:
        for folder in self.folders:
            folder.lane.close()


def _space_remedy(word: Word) -> str:
    what = "nothing new is queued" if word == "state" else "no picture of it is begun"
    return f"free space on its disk; until then {what}, and work resumes by itself"


def _state(state_dir: bytes) -> Folder:
    return Folder("state", "", state_dir, lambda: room_of(state_dir), True, Lane("look-state"))


def _folders(inboxes: Mapping[str, Inbox], lanes: Mapping[bytes, Lane]) -> list[Folder]:
    found: list[Folder] = []

    def add(word: Word, inbox: str, path: bytes, look: Callable[[], Room], *, essential: bool) -> None:
        lane = Lane(f"look-{word}")
        found.append(Folder(word, inbox, path, look, essential, lane, lanes.get(path)))

    for name, inbox in inboxes.items():
        if name.endswith(URLS_SUFFIX):
            continue  # Its folders are those of the inbox, and of the state directory.
        if not inbox.urls:
            add("inbox", name, inbox.root.path, _bound(answers, inbox.root.path), essential=True)
        add("output", name, inbox.output.path, _bound_output(inbox), essential=True)
        goes_there = {"archive": inbox.on_success == "archive", "duplicates": False, "quarantine": False}
        words: tuple[Word, ...] = ("archive", "duplicates", "quarantine")
        for word, root in zip(words, (inbox.archive, inbox.duplicates, inbox.quarantine), strict=True):
            if root is not None:
                add(word, name, root.path, _bound_target(root), essential=goes_there[word])
    return found


def _bound(look: Callable[[bytes], Room], path: bytes) -> Callable[[], Room]:
    return lambda: look(path)


def _bound_target(root: Root) -> Callable[[], Room]:
    return lambda: room_of_target(root.path, root.standing)


def _bound_output(inbox: Inbox) -> Callable[[], Room]:
    return lambda: room_of_output(inbox.output.path, inbox.output_uuid)
