"""Files settle: carries out what ``model.settling`` asks for, in the inbox's lane, and hands on what is ready."""

from __future__ import annotations

import heapq
from collections.abc import Awaitable, Callable
from typing import Final

import anyio

from dropmill.errors import DropmillError
from dropmill.files.inspect import Inspection, Policy, inspect_many
from dropmill.files.lane import Lane
from dropmill.model.file import shown
from dropmill.model.inbox import Inbox
from dropmill.model.names import is_companion_name, owner_names, split_extension
from dropmill.model.pace import Pace
from dropmill.model.settling import Hint, Look, Nudge, Ready, Rules, Settled, Waiting, settle
from dropmill.observe.facts import Emit, FilesHeldUp, StateTrouble
from dropmill.observe.flight import Flight
from dropmill.ports import Clock

# So many files are looked at in one call, which keeps the lane free for others in between.
LOT: Final = 500
IDLE_SECONDS: Final = 3600.0
# Files that only others can bring on are kept in mind up to here. What is forgotten is met again by the next scan.
MOST_IDLE: Final = 10_000
# How soon a file that the catalog refused, while it took others, is offered again.
REFUSED_SECONDS: Final = 60.0


class Settling:
    """All paths of one inbox that are not finished yet."""

    def __init__(
        self,
        inbox: Inbox,
        policy: Policy,
        lane: Lane,
        clock: Clock,
        emit: Emit,
        flight: Flight,
        enqueue: Callable[[Inbox, list[Ready]], Awaitable[int]],
    ) -> None:
        self._inbox = inbox
        self._policy = policy
        self._lane = lane
        self._clock = clock
        self._emit = emit
        self._flight = flight
        self._enqueue = enqueue
        self._pace = Pace(inbox.settle_seconds, inbox.settle_max_seconds)
        self._waiting: dict[bytes, Waiting] = {}
        self._agenda: list[tuple[float, bytes]] = []
        self._idle: dict[bytes, None] = {}
        self._forgot_idle = False
        self._troubled: dict[bytes, str] = {}
        self._busy = False
        self._wake = anyio.Event()
        self.turned_at = clock.monotonic()
        """When it last looked what is due."""

    def hint(self, rel: bytes, hint: Hint) -> None:
        """Something may be at ``rel``; to be called on the event loop."""
        now = self._clock.monotonic()
        if hint.signature is not None:
            self._pace.seen(rel, hint.signature, now)
        self._observe(rel, hint, now)
        if self._policy.done_suffix and is_companion_name(rel, (self._policy.done_suffix,)):
            for picture in dict.fromkeys((split_extension(rel)[0], *owner_names(rel))):
                if picture in self._waiting:
                    self._observe(picture, Nudge(), now)
                elif self._forgot_idle:
                    self._observe(picture, Hint(hint.found_by), now)

    def nudge(self) -> None:
        """Look what is due, though nothing may be."""
        self._wake.set()

    def waiting(self, rel: bytes) -> Waiting | None:
        return self._waiting.get(rel)

    @property
    def count(self) -> int:
        """Paths that wait, and those just being handed on."""
        return len(self._waiting) + self._busy

    @property
    def hands_on(self) -> bool:
        """Whether what has settled is on its way into the queue, which may wait for room on the disk."""
        return self._busy

    @property
    def active(self) -> int:
        """As ``count``, without what only others can bring on, with a done-file or by healing a disk."""
        return self.count - len(self._idle)

    @property
    def quiet(self) -> bool:
        """Whether nothing is on its way but what only others can bring on."""
        return self.active == 0

    @property
    def trouble(self) -> str:
        """Which files cannot be looked at for the time being, and why; empty where there are none (W04)."""
        if not self._troubled:
            return ""
        rel, detail = next(iter(self._troubled.items()))
        others = f" and {len(self._troubled) - 1} more" if len(self._troubled) > 1 else ""
        return f"cannot be looked at, tried again: {shown(rel)} ({detail}){others}"

    @property
    def settle_seconds(self) -> float:
        """How long a file has to stay as it is at present (W01)."""
        return self._pace.settle_seconds(self._clock.monotonic())

    def _rules(self, waiting: Waiting | None, now: float) -> Rules:
        waited = now - waiting.found_at if waiting is not None else 0.0
        return Rules(self._pace.settle_seconds(now, waited), self._inbox.incomplete_timeout_seconds)

    async def run(self) -> None:
        # Whatever an earlier run that failed had in hand is looked at again.
        self._agenda = [(waiting.look_at, rel) for rel, waiting in self._waiting.items()]
        heapq.heapify(self._agenda)
        while True:
            self._wake = anyio.Event()
            self.turned_at = self._clock.monotonic()
            due = self._due()
            if due:
                await self._look(due)
                continue
            delay = self._agenda[0][0] - self._clock.monotonic() if self._agenda else IDLE_SECONDS
            with anyio.move_on_after(max(0.0, delay)):
                await self._wake.wait()

    def _observe(self, rel: bytes, observation: Hint | Nudge, now: float) -> None:
        before = self._waiting.get(rel)
        waiting, _ = settle(before, observation, now, self._rules(before, now))
        if waiting is not None:
            self._keep(rel, waiting, asked=before is not None and before.look_at == waiting.look_at)
            if self._agenda and self._agenda[0][1] == rel:
                self._wake.set()

    def _keep(self, rel: bytes, waiting: Waiting, *, asked: bool = False) -> None:
        """Remember the state. ``asked``: the look is on the agenda, where ``_due`` passes over overtaken entries."""
        self._waiting[rel] = waiting
        if not asked:
            heapq.heappush(self._agenda, (waiting.look_at, rel))
        if not waiting.idle:
            self._idle.pop(rel, None)
            return
        self._idle[rel] = None
        if len(self._idle) > MOST_IDLE:
            self._forgot_idle = True
            self._drop(next(iter(self._idle)))

    def _drop(self, rel: bytes) -> None:
        del self._waiting[rel]
        self._idle.pop(rel, None)
        self._troubled.pop(rel, None)

    def _due(self) -> list[bytes]:
        now = self._clock.monotonic()
        due: dict[bytes, None] = {}
        while self._agenda and self._agenda[0][0] <= now and len(due) < LOT:
            at, rel = heapq.heappop(self._agenda)
            waiting = self._waiting.get(rel)
            if waiting is not None and waiting.look_at == at:
                due[rel] = None
        return list(due)

    async def _look(self, due: list[bytes]) -> None:
        now = self._clock.monotonic()
        looks = []
        rules = {rel: self._rules(self._waiting[rel], now) for rel in due}
        for rel in due:
            waiting = self._waiting[rel]
            seems_finished = waiting.signature is not None and now >= waiting.changed_at + rules[rel].settle_seconds
            looks.append((rel, seems_finished))
        with self._flight.stage("settle"):
            inspections = await self._lane.call(inspect_many, self._inbox.root.path, looks, self._policy)
        ready = [item for inspection in inspections if (item := self._step(inspection, now, rules[inspection.rel]))]
        if ready:
            await self._hand_on(ready)

    def _step(self, inspection: Inspection, now: float, rules: Rules) -> Ready | None:
        """``now`` is when the look began, so that only what was judged can count as settled; ``rules`` held then."""
        rel = inspection.rel
        before = self._waiting.get(rel)
        if before is None:
            return None
        if inspection.signature is not None:
            self._pace.seen(rel, inspection.signature, now)
        look = Look(
            inspection.signature,
            inspection.writer,
            inspection.ignored is None,
            inspection.trouble,
            inspection.complete,
            inspection.released,
        )
        self._note_trouble(rel, inspection.trouble)
        waiting, request = settle(before, look, now, rules)
        if waiting is not None:
            self._keep(rel, waiting)
            return None
        self._drop(rel)
        if isinstance(request, Settled):
            waited = now - before.found_at
            return Ready(rel, request.signature, request.found_by, waited, inspection.ignored)
        return None

    def _note_trouble(self, rel: bytes, trouble: str) -> None:
        if not trouble:
            self._troubled.pop(rel, None)
            return
        if not self._troubled:
            self._emit(FilesHeldUp(self._inbox.name, rel, trouble))
        self._troubled[rel] = trouble

    async def _hand_on(self, ready: list[Ready]) -> None:
        """Until the queue has them for sure they count as ours; a full disk only means trying again (S12).

        A lot that is refused for good is halved until it is known which file is to blame; the others are taken (W30).
        """
        self._busy = True
        told = False
        lots = [ready]
        try:
            while lots:
                lot = lots.pop()
                try:
                    with self._flight.stage("enqueue"):
                        await self._enqueue(self._inbox, lot)
                except Exception as error:  # noqa: BLE001  # Whatever it was, it must not keep the others from the queue.
                    if isinstance(error, DropmillError) and error.retryable:
                        self._emit(StateTrouble("enqueue", str(error)))
                        await self._clock.sleep(2.0)
                        lots.append(lot)
                    elif len(lot) > 1:
                        middle = len(lot) // 2
                        lots += [lot[middle:], lot[:middle]]
                    else:
                        if not told:  # A catalog that takes nothing would refuse them all.
                            self._emit(StateTrouble("enqueue", f"{shown(lot[0].rel)}: {error!r}"))
                        told = True
                        self._refused(lot[0], str(error) or type(error).__name__)
        finally:
            self._busy = False

    def _refused(self, item: Ready, detail: str) -> None:
        """It stays in its folder, is named with the reason, and is offered again later."""
        now = self._clock.monotonic()
        if item.rel not in self._waiting:  # Else something has happened there meanwhile, which is judged by itself.
            self._troubled[item.rel] = detail
            found_at, again = now - item.waited_seconds, now + REFUSED_SECONDS
            self._keep(item.rel, Waiting(item.found_by, found_at, now, again, item.signature, detail, idle=True))
