"""The files of a batch: each is recorded as begun, then dealt with, then recorded as done with what the catalog knows now."""

from __future__ import annotations

import errno
from collections.abc import Callable, Collection, Container, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final, Protocol, TypeVar

from dropmill.files.batch import Done, Elsewhere, Performed, Prospect, TargetTaken, free_name, perform, prospect
from dropmill.files.batch_undo import UNMOUNTED_TARGET, Back, take_back
from dropmill.files.compared import Checked, Task
from dropmill.files.lane import Lane
from dropmill.files.library import away_below
from dropmill.files.moving import Target
from dropmill.files.standing import disk_is_away, mounts_below, standing
from dropmill.files.trash import UNMOUNTED, Kept, Place, Refused, purge, refused
from dropmill.model.batch import Action
from dropmill.model.file import Signature
from dropmill.observe.facts import BatchHeldUp, DeedEnded, Emit
from dropmill.ports import Clock
from dropmill.store import batches as store
from dropmill.store import boot, scans
from dropmill.store.connection import Row, Session

T = TypeVar("T")

DAY_MS: Final = 86_400_000
_MOST_NAMES: Final = 50
# So long a batch waits for jobs of ours on its files, before it leaves these as they are.
PATIENCE_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.1

_NO_PLACE: Final = Refused("its disk takes no trash beside it", "it may be a mount of its own; move the file by hand")
_AWAY: Final = Refused(
    f"the folder to move to: {UNMOUNTED}", "mount it; or, to use the empty folder, make a folder .dropmill in it"
)
_AT_WORK: Final = Refused("dropmill is still at work on it or on its keeper", "try again in a moment")


class Books(Protocol):
    """A catalog that may be written."""

    async def read(self, action: Callable[[Session], T]) -> T: ...

    async def write(self, action: Callable[[Session], T], *, patient: bool = False) -> T: ...


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
        self._given: set[bytes] = set()
        """Paths that files are on their way to, which have to get there before they can be seen there."""

    def be_patient(self) -> None:
        """With jobs that are under way: for a while from now, and no longer for all files of a batch together."""
        self._patient_until = self._clock.monotonic() + PATIENCE_SECONDS

    def close(self) -> None:
        self._lane.close()

    async def carry_out(self, batch: Row, lot: Sequence[Row], checked: Checked, *, resumed: bool) -> bool:
        tasks = lot if resumed else await self._begin(lot)
        self._given |= {_kept_at(deed) for deed in tasks if deed["target_root_path"] is not None}
        answers = []
        free = True
        for deed in tasks:
            answer = await self._perform(batch, deed, checked, resumed=resumed)
            if answer is None:
                free = False
            else:
                answers.append((deed, answer))
        await self._record(answers)
        self._given -= {_kept_at(deed) for deed, _ in answers}
        return free

    async def _begin(self, lot: Sequence[Row]) -> list[Row]:
        """Record what each is about to go through; those that cannot be begun are skipped."""
        await self._wait_for_jobs(lot)
        prospects = []
        stood: dict[bytes, str] = {}
        below: dict[int, list[bytes]] = {}
        for deed in lot:
            found = await self._lane.call(_prospect_there, deed)
            name = None
            if isinstance(found, Prospect) and deed["action"] == Action.MOVE:
                named = await self._free_name(deed)
                found, name = (named, None) if isinstance(named, Refused) else (found, named)
            prospects.append((deed, found, name))
            if name:
                below.setdefault(deed["target_root_id"], []).extend(await self._lane.call(_mounts_there, deed, name))
            for path in _roots(deed):
                if path not in stood:
                    stood[path] = await self._lane.call(_identity, path)

        def begin(session: Session) -> tuple[list[Row], list[tuple[Row, Refused]]]:
            begun, left = [], []
            for root_id, met in below.items():
                scans.put_mounts(session, root_id, met)
            # Asked before any is begun: the keeper of one may not be taken for one that is just leaving.
            busy = {deed["id"] for deed, _, _ in prospects if store.busy(session, deed)}
            for deed, found, name in prospects:
                answer = _AT_WORK if deed["id"] in busy else found
                if isinstance(answer, Refused):
                    store.skip(session, deed, answer.detail, answer.hint, self._clock.now_ms())
                    left.append((deed, answer))
                    continue
                store.begin(session, deed["id"], answer.asides[0], name, answer.ino)
                _recognise(session, deed, stood)
                begun.append({**deed, "aside_name": answer.asides[0], "target_name": name, "ino": answer.ino})
            return begun, left

        begun, left = await self._catalog.write(begin)
        for deed, answer in left:
            self._tell(deed, "skipped", None, answer)
        kept = {deed["id"] for deed in begun}
        self._given -= {_named(deed, name) for deed, _, name in prospects if name and deed["id"] not in kept}
        return begun

    async def _wait_for_jobs(self, lot: Sequence[Row]) -> None:
        """What just came back by an undo, or was just dropped, is dropmill's own for a moment."""
        while self._clock.monotonic() < self._patient_until:
            if not await self._catalog.read(lambda session: any(store.busy(session, deed) for deed in lot)):
                return
            await self._clock.sleep(_POLL_SECONDS)

    async def _free_name(self, deed: Row) -> bytes | Refused:
        """It is given to this file alone, until that is there."""
        try:
            mounts = await self._mounts(deed)
            named = await self._lane.call(_name_there, deed, self._given, mounts)
        except OSError as error:
            return replace(refused(error), detail=f"the folder to move to: {error.strerror or error}")
        if not isinstance(named, Refused):
            self._given.add(_named(deed, named))
        return named

    async def _mounts(self, deed: Row) -> list[bytes]:
        """Where disks were below the folder that it is moved to."""
        root_id = deed["target_root_id"]
        if root_id is None:
            return []
        return await self._catalog.read(lambda session: scans.mounts(session, root_id))

    async def _perform(self, batch: Row, deed: Row, checked: Checked, *, resumed: bool) -> Done | Refused | None:
        """None: neither done nor as it was; the deed stays begun."""
        task = self._task(batch, deed, resumed=resumed)
        mounts = await self._mounts(deed)
        tried = set()
        for _ in range(_MOST_NAMES):
            try:
                answer = await self._lane.call(_perform_there, task, deed["target_root_identity"], mounts, checked)
            except OSError as error:
                self._emit(BatchHeldUp(batch["id"], task.file.path, error.strerror or str(error)))
                return None
            match answer:
                case Done() | Refused():
                    return answer
                case Elsewhere():
                    tried.add(task.aside)
                    found = await self._lane.call(prospect, task.file, deed["batch_id"], deed["id"])
                    if isinstance(found, Refused):
                        return found
                    untried = [aside for aside in found.asides if aside not in tried]
                    if not untried:
                        return _NO_PLACE
                    task = replace(task, aside=untried[0])
                case TargetTaken():
                    named = await self._free_name(deed)
                    if isinstance(named, Refused) or task.target is None:
                        told = named.detail if isinstance(named, Refused) else "it has no folder to move to"
                        self._emit(BatchHeldUp(batch["id"], task.file.path, told))
                        return None
                    self._given.discard(_kept_at(deed))
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
            deed["root_identity"],
            deed["keeper_root_identity"],
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
        answers = [
            (deed, await self._lane.call(_take_back_there, _back(deed), await self._mounts(deed))) for deed in lot
        ]
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
            kept = Kept(deed["size_bytes"], store.unsigned(deed["ino"]), deed["sha256"])
            gone = await self._lane.call(purge, deed["root_path"], deed["aside_name"], kept, deed["root_identity"])
            detail = "" if gone else UNMOUNTED
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


def _prospect_there(deed: Row) -> Prospect | Refused:
    """Blocking."""
    found = prospect(_file(deed), deed["batch_id"], deed["id"])
    if isinstance(found, Refused) and disk_is_away(deed["root_path"], deed["root_identity"]):
        return Refused(UNMOUNTED, "mount it, then look at the group again")
    return found


def _name_there(deed: Row, given: Container[bytes], mounts: Collection[bytes]) -> bytes | Refused:
    """Blocking. Raises OSError."""
    root = deed["target_root_path"]
    folder, _, name = deed["target_name"].rpartition(b"/")
    # Whether it is the bare place of a disk was asked when it was named: since then it was made, and may be empty still.
    if disk_is_away(root, deed["target_root_identity"]) or away_below(root, folder, mounts):
        return _AWAY
    return free_name(root, folder, name, deed["sha256"], given)


def _perform_there(task: Task, target_recorded: str | None, mounts: Collection[bytes], checked: Checked) -> Performed:
    """Blocking. Nothing is made in the place of a disk, and what may be on that is waited for. Raises OSError."""
    target = task.target
    if target is not None and (
        disk_is_away(target.root, target_recorded or "")
        or away_below(target.root, target.name.rpartition(b"/")[0], mounts)
    ):
        if task.resumed:
            raise OSError(errno.ENODEV, _AWAY.detail, target.root)
        return _AWAY
    return perform(task, checked)


def _take_back_there(back: Back, mounts: Collection[bytes]) -> Signature | Refused:
    """Blocking."""
    target = back.target
    if target is not None and away_below(target.root, target.name.rpartition(b"/")[0], mounts):
        return UNMOUNTED_TARGET
    return take_back(back)


def _roots(deed: Row) -> list[bytes]:
    return [path for path in (deed["root_path"], deed["target_root_path"]) if path is not None]


def _identity(path: bytes) -> str:
    """Blocking. Empty where nothing can be told."""
    try:
        seen = standing(path)
    except OSError:
        return ""
    return seen.identity if seen is not None else ""


def _mounts_there(deed: Row, name: bytes) -> list[bytes]:
    """Blocking. Empty where nothing can be told."""
    try:
        return mounts_below(deed["target_root_path"], name.rpartition(b"/")[0])
    except OSError:
        return []


def _recognise(session: Session, deed: Row, stood: Mapping[bytes, str]) -> None:
    """What its disks were, so that their empty places are not taken for them later. Of an inbox, scans know best."""
    if deed["root_kind"] != "inbox" or not deed["root_identity"]:
        boot.put_standing(session, deed["root_id"], stood[deed["root_path"]] or deed["root_identity"])
    if deed["target_root_path"] is not None:
        identity = stood[deed["target_root_path"]] or deed["target_root_identity"]
        boot.put_standing(session, deed["target_root_id"], identity)


def _file(deed: Row) -> Place:
    return Place(deed["root_path"], deed["rel"])


def _named(deed: Row, name: bytes) -> bytes:
    return Place(deed["target_root_path"], name).path


def _kept_at(deed: Row) -> bytes:
    if deed["target_root_path"] is not None:
        return _named(deed, deed["target_name"])
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
        deed["root_identity"],
        deed["target_root_identity"] or "",
    )
