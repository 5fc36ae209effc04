"""The files of a batch: each is recorded as begun, then dealt with, then recorded as done with what the catalog knows now."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final, Protocol, TypeVar

from dropmill.files.batch import Done, Elsewhere, Prospect, TargetTaken, free_name, perform, prospect
from dropmill.files.batch_undo import Back, take_back
from dropmill.files.compared import Checked, Task
from dropmill.files.lane import Lane
from dropmill.files.moving import Target
from dropmill.files.trash import Place, Refused, purge, refused
from dropmill.model.batch import Action
from dropmill.model.file import Signature
from dropmill.observe.facts import BatchHeldUp, DeedEnded, Emit
from dropmill.ports import Clock
from dropmill.store import batches as store
from dropmill.store.connection import Row, Session

T = TypeVar("T")

DAY_MS: Final = 86_400_000
_MOST_NAMES: Final = 50
# So long a batch waits for jobs of ours on its files, before it leaves these as they are.
PATIENCE_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.1

_NO_PLACE: Final = Refused("its disk takes no trash beside it", "it may be a mount of its own; move the file by hand")
_AT_WORK: Final = Refused("dropmill is still at work on it or on its keeper", "try again in a moment")


class Books(Protocol):
    """A catalog that may be written."""

    async def read(self, action: Callable[[Session], T]) -> T: ...

    async def write(self, action: Callable[[Session], T]) -> T: ...


class Deeds:
    """One file after another, in a thread of their own. ``trash_days`` is 0 for ever; ``made`` are mode and group of new
    folders."""

    def __init__(self, catalog: Books, clock: Clock, emit: Emit, trash_days: float, made: tuple[int, int]) -> None:
        self._catalog = catalog
        self._clock = clock
        self._emit = emit
        self._trash_days = trash_days
        self._made = made
        self._lane = Lane("batches")
        self._patient_until = 0.0

    def be_patient(self) -> None:
        """With jobs that are under way: for a while from now, and no longer for all files of a batch together."""
        self._patient_until = self._clock.monotonic() + PATIENCE_SECONDS

    def close(self) -> None:
        self._lane.close()

    async def carry_out(self, batch: Row, lot: Sequence[Row], checked: Checked, *, resumed: bool) -> bool:
        tasks = lot if resumed else await self._begin(lot)
        answers = []
        free = True
        for deed in tasks:
            answer = await self._perform(batch, deed, checked, resumed=resumed)
            if answer is None:
                free = False
            else:
                answers.append((deed, answer))
        await self._record(answers)
        return free

    async def _begin(self, lot: Sequence[Row]) -> list[Row]:
        """Record what each is about to go through; those that cannot be begun are skipped."""
        await self._wait_for_jobs(lot)
        prospects = []
        for deed in lot:
            found = await self._lane.call(prospect, _file(deed), deed["batch_id"], deed["id"])
            name = deed["target_name"]
            if isinstance(found, Prospect) and deed["action"] == Action.MOVE:
                named = await self._free_name(deed)
                found, name = (named, name) if isinstance(named, Refused) else (found, named)
            prospects.append((deed, found, name))

        def begin(session: Session) -> tuple[list[Row], list[tuple[Row, Refused]]]:
            begun, left = [], []
            # Asked before any is begun: the keeper of one may not be taken for one that is just leaving.
            busy = {deed["id"] for deed, _, _ in prospects if store.busy(session, deed)}
            for deed, found, name in prospects:
                answer = _AT_WORK if deed["id"] in busy else found
                if isinstance(answer, Refused):
                    store.skip(session, deed, answer.detail, answer.hint, self._clock.now_ms())
                    left.append((deed, answer))
                    continue
                store.begin(session, deed["id"], answer.asides[0], name, answer.ino)
                begun.append({**deed, "aside_name": answer.asides[0], "target_name": name, "ino": answer.ino})
            return begun, left

        begun, left = await self._catalog.write(begin)
        for deed, answer in left:
            self._tell(deed, "skipped", None, answer)
        return begun

    async def _wait_for_jobs(self, lot: Sequence[Row]) -> None:
        """What just came back by an undo, or was just dropped, is dropmill's own for a moment."""
        while self._clock.monotonic() < self._patient_until:
            if not await self._catalog.read(lambda session: any(store.busy(session, deed) for deed in lot)):
                return
            await self._clock.sleep(_POLL_SECONDS)

    async def _free_name(self, deed: Row) -> bytes | Refused:
        folder, _, name = deed["target_name"].rpartition(b"/")
        try:
            return await self._lane.call(free_name, deed["target_root_path"], folder, name, deed["sha256"])
        except OSError as error:
            return replace(refused(error), detail=f"the folder to move to: {error.strerror or error}")

    async def _perform(self, batch: Row, deed: Row, checked: Checked, *, resumed: bool) -> Done | Refused | None:
        """None: neither done nor as it was; the deed stays begun."""
        task = self._task(batch, deed, resumed=resumed)
        asides = [task.aside]
        for number in range(_MOST_NAMES):
            try:
                answer = await self._lane.call(perform, task, checked)
            except OSError as error:
                self._emit(BatchHeldUp(batch["id"], task.file.path, error.strerror or str(error)))
                return None
            match answer:
                case Done() | Refused():
                    return answer
                case Elsewhere():
                    if not number:
                        found = await self._lane.call(prospect, task.file, deed["batch_id"], deed["id"])
                        asides = list(found.asides) if isinstance(found, Prospect) else asides
                    asides = asides[1:]
                    if not asides:
                        return _NO_PLACE
                    task = replace(task, aside=asides[0])
                case TargetTaken():
                    named = await self._free_name(deed)
                    if isinstance(named, Refused) or task.target is None:
                        self._emit(BatchHeldUp(batch["id"], task.file.path, "no free name in the folder to move to"))
                        return None
                    task = replace(task, target=replace(task.target, name=named), resumed=True)
            deed |= {"aside_name": task.aside, "target_name": task.target.name if task.target else None}
            await self._catalog.write(partial(_begin_at, deed["id"], task))
        return _NO_PLACE

    def _task(self, batch: Row, deed: Row, *, resumed: bool) -> Task:
        target = None
        if deed["target_root_path"] is not None:
            target = Target(deed["target_root_path"], deed["target_name"], *self._made)
        return Task(
            Action(deed["action"]),
            _file(deed),
            deed["size_bytes"],
            deed["sha256"],
            store.unsigned(deed["ino"]),
            Place(deed["keeper_root_path"], deed["keeper_rel"]),
            deed["keeper_sha256"],
            deed["aside_name"],
            target,
            bool(batch["permanent"]),
            resumed,
        )

    async def _record(self, answers: Sequence[tuple[Row, Done | Refused]]) -> None:
        def record(session: Session) -> None:
            now_ms = self._clock.now_ms()
            purge_at_ms = now_ms + int(self._trash_days * DAY_MS) if self._trash_days else None
            for deed, answer in answers:
                if isinstance(answer, Done):
                    store.done(session, deed, answer.ino, answer.stands, purge_at_ms=purge_at_ms, now_ms=now_ms)
                else:
                    store.skip(session, deed, answer.detail, answer.hint, now_ms)

        if answers:
            await self._catalog.write(record)
        for deed, answer in answers:
            if isinstance(answer, Refused):
                self._tell(deed, "skipped", None, answer)
            else:
                self._tell(deed, "done" if answer.ino else "purged", _kept_at(deed) if answer.ino else None, None)

    async def take_back(self, lot: Sequence[Row]) -> None:
        """What is in the way stays, and is told."""
        answers = [(deed, await self._lane.call(take_back, _back(deed))) for deed in lot]
        await self._catalog.write(lambda session: self._put_back(session, answers))
        for deed, answer in answers:
            refusal = answer if isinstance(answer, Refused) else None
            self._tell(deed, "refused" if refusal else "undone", None, refusal)

    def _put_back(self, session: Session, answers: Iterable[tuple[Row, Signature | Refused]]) -> None:
        for deed, answer in answers:
            if isinstance(answer, Refused):
                store.refuse_back(session, deed, answer.detail, answer.hint)
            else:
                store.undone(session, deed, answer, self._clock.now_ms())

    async def purge(self, deed: Row) -> None:
        """Delete for good what is kept aside; one that cannot be reached is tried again a day later."""
        try:
            gone = await self._lane.call(purge, deed["root_path"], deed["aside_name"])
            detail = "" if gone else "its disk seems not to be mounted"
        except OSError as error:
            gone, detail = False, error.strerror or str(error)
        now_ms = self._clock.now_ms()
        if gone:
            await self._catalog.write(lambda session: store.purged(session, deed, now_ms))
            self._tell(deed, "purged", None, None)
        else:
            await self._catalog.write(lambda session: store.purge_later(session, deed["id"], now_ms + DAY_MS, detail))

    def _tell(self, deed: Row, result: str, target: bytes | None, refusal: Refused | None) -> None:
        told = (refusal.detail, refusal.hint) if refusal else ("", "")
        self._emit(DeedEnded(deed["batch_id"], deed["action"], result, _file(deed).path, target, *told))


def _begin_at(deed_id: int, task: Task, session: Session) -> None:
    store.begin(session, deed_id, task.aside, task.target.name if task.target else None, task.ino)


def _file(deed: Row) -> Place:
    return Place(deed["root_path"], deed["rel"])


def _kept_at(deed: Row) -> bytes:
    if deed["target_root_path"] is not None:
        return Place(deed["target_root_path"], deed["target_name"]).path
    return Place(deed["root_path"], deed["aside_name"]).path


def _back(deed: Row) -> Back:
    target = None
    if deed["target_root_path"] is not None:
        target = Target(deed["target_root_path"], deed["target_name"])
    return Back(
        Action(deed["action"]),
        _file(deed),
        deed["size_bytes"],
        deed["sha256"],
        store.unsigned(deed["ino"]),
        store.unsigned(deed["link_ino"]),
        deed["aside_name"],
        target,
    )
