"""What people decided about files, carried out and taken back: journalled, one batch after another, a few files at a time.

Each deed is recorded as begun, with the place aside that it goes through, before its file is touched, and as done
afterwards, together with what the catalog then knows of the file. What a killed run had begun is gone on with: the next
run looks where each file is (``files/batch.py``, ``files/batch_undo.py``).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import anyio

from dropmill.errors import DropmillError
from dropmill.files.compared import Checked
from dropmill.maintenance.deeds import Books, Deeds
from dropmill.model.batch import Action, BatchState, DeedState, Refusal, of_tier, plan
from dropmill.model.resemblance import Tier
from dropmill.observe.facts import (
    BatchBegun,
    BatchEnded,
    BatchProgressed,
    Emit,
    StateTrouble,
)
from dropmill.ports import Clock
from dropmill.store import batches as store
from dropmill.store.connection import Row, Session

# What can neither be done nor put back is tried again that often, and what was kept long enough is looked for.
RETRY_SECONDS: Final = 5.0
PURGE_SECONDS: Final = 3600.0
# Groups that are written down in one transaction.
PLAN_LOT: Final = 100
_UNDER_WAY: Final = (BatchState.PLANNING, BatchState.DOING, BatchState.UNDOING)
_CHANGED: Final = ("its group has changed since it was looked at", "look at that group again")


@dataclass(frozen=True, slots=True)
class Wish:
    """A batch over many groups, whose deeds are still to be written down. ``as_of_ms``: the latest change of a group that
    whoever asked has seen; groups that changed later are left as they are. ``tier``: only what of them is that alike."""

    action: Action
    groups: Sequence[int]
    to: store.Destination | None
    as_of_ms: int
    tier: Tier | None = None


class Batches:
    """``trash_days``: how long what was thrown away is kept, 0 for ever. ``dir_mode``, ``gid``: of new folders."""

    def __init__(
        self, catalog: Books, clock: Clock, emit: Emit, trash_days: float, dir_mode: int = 0o755, gid: int = -1
    ) -> None:
        self._catalog = catalog
        self._clock = clock
        self._emit = emit
        self._deeds = Deeds(catalog, clock, emit, trash_days, (dir_mode, gid))
        self._wishes: deque[tuple[int, Wish]] = deque()
        self._opening = 0
        """Batches that may stand in the catalog before this run knows that they are its own."""
        self._wake = anyio.Event()
        self._turned = anyio.Event()
        self._mine: set[int] = set()
        """Batches that this run has begun with."""
        self._failed: dict[int, str] = {}
        """Why batches could not be written down whole, or be gone on with, when that was tried last."""

    def close(self) -> None:
        self._deeds.close()

    def wake(self) -> None:
        """A batch was written down."""
        self._wake.set()

    async def wish(self, wish: Wish) -> int:
        """Open a batch over many groups, which is written down and carried out in the background; returns its id."""

        def put(session: Session) -> int:
            now_ms, groups = self._clock.now_ms(), len(wish.groups)
            return store.open_batch(
                session, wish.action, BatchState.PLANNING, permanent=False, groups=groups, now_ms=now_ms
            )

        self._opening += 1
        try:
            batch_id = await self._catalog.write(put)
            self._mine.add(batch_id)
        finally:
            self._opening -= 1
        self._wishes.append((batch_id, wish))
        self.wake()
        return batch_id

    def trouble(self, batch_id: int) -> str:
        """Why it could not be gone on with; empty where nothing is known to be wrong."""
        return self._failed.get(batch_id, "")

    async def run(self) -> None:
        """For ever. What an earlier run left is gone on with first."""
        purged_at = -PURGE_SECONDS
        while True:
            self._wake = anyio.Event()
            held_up = False
            try:
                held_up = not await self.carry_out()
                if self._clock.monotonic() - purged_at >= PURGE_SECONDS:
                    purged_at = self._clock.monotonic()
                    await self.purge()
            except Exception as error:  # noqa: BLE001  # What is under way stays so, and is gone on with; the daemon lives.
                self._emit(StateTrouble("batch", _told(error)))
                held_up = True
            with anyio.move_on_after(RETRY_SECONDS if held_up else PURGE_SECONDS):
                await self._wake.wait()

    async def settled(self, batch_id: int, seconds: float) -> None:
        """Return once a batch has ended, or that time has passed."""
        self.wake()
        with anyio.move_on_after(seconds):
            while True:
                turned = self._turned
                row = await self._catalog.read(lambda session: store.batch(session, batch_id))
                if row is None or row["state"] not in _UNDER_WAY:
                    return
                await turned.wait()

    async def carry_out(self) -> bool:
        """Everything that is under way, once over. False where something is held up, to be tried again later; no other
        batch waits for that. Raises where a batch cannot be written down, which is given up the next time."""
        while self._wishes:
            await self._plan(*self._wishes.popleft())
        free = True
        for row in await self._catalog.read(store.under_way):
            try:
                if row["state"] != BatchState.PLANNING:
                    free = await self._go_on(row) and free
                    self._failed.pop(row["id"], None)
                elif self._opening:
                    free = False
                elif row["id"] not in self._mine:
                    await self._abandon(row)
            except Exception as error:  # noqa: BLE001  # It stays as it is and is tried again; the others are not to blame.
                self._failed[row["id"]] = _told(error)
                self._emit(StateTrouble("batch", f"batch {row['id']}: {_told(error)}"))
                free = False
        return free and not self._wishes

    # Writing down.

    async def _plan(self, batch_id: int, wish: Wish) -> None:
        try:
            for start in range(0, len(wish.groups), PLAN_LOT):
                lot = wish.groups[start : start + PLAN_LOT]
                await self._catalog.write(lambda session, lot=lot: self._put_plans(session, batch_id, wish, lot))  # type: ignore[misc]  # The default binds the loop's value.
            await self._catalog.write(
                lambda session: store.turn(session, batch_id, BatchState.DOING, [BatchState.PLANNING], None)
            )
        except Exception as error:
            self._mine.discard(batch_id)
            self._failed[batch_id] = _told(error)
            raise

    def _put_plans(self, session: Session, batch_id: int, wish: Wish, group_ids: Iterable[int]) -> None:
        """Groups that are gone meanwhile are left out, and so are files that the action is not for, as the overview said."""
        for group_id in group_ids:
            group = store.group(session, group_id)
            if group is None:
                continue
            changed = store.changed_since(session, group_id, wish.as_of_ms)
            for part in [group] if wish.tier is None else of_tier(group, wish.tier):
                planned = replace(plan(part, wish.action), refused=())
                if changed:
                    left = tuple(Refusal(member, *_CHANGED) for member in planned.victims)
                    planned = replace(planned, others=(), victims=(), judgements=(), refused=left)
                whole = len(part.members) == len(group.members)
                store.put_plan(session, batch_id, planned, wish.to, self._clock.now_ms(), whole=whole)

    async def _abandon(self, row: Row) -> None:
        """It was not written down whole: nothing was touched, and nothing is."""
        batch_id = row["id"]
        why = self._failed.get(batch_id, "dropmill ended meanwhile")
        detail = f"it could not be written down whole, so nothing was touched: {why}"

        def drop(session: Session) -> int:
            now_ms = self._clock.now_ms()
            store.drop_owed(session, batch_id, detail, now_ms)
            store.take_back_judgements(session, batch_id)
            store.turn(session, batch_id, BatchState.UNDONE, [BatchState.PLANNING], now_ms, detail)
            return int(store.count(session, batch_id)["skipped"])

        skipped = await self._catalog.write(drop)
        self._failed.pop(batch_id, None)
        self._emit(BatchEnded(batch_id, row["action"], BatchState.UNDONE, False, 0, skipped, 0, 0, 0.0))

    # Carrying out.

    async def _go_on(self, row: Row) -> bool:
        batch_id, action, undo = row["id"], row["action"], row["state"] == BatchState.UNDOING
        began = self._clock.monotonic()
        counted = await self._catalog.read(lambda session: store.count(session, batch_id))
        files = counted["done"] if undo else counted["owed"] + counted["begun"]
        again = batch_id not in self._mine and (undo or counted["begun"] > 0 or counted["done"] > 0)
        self._mine.add(batch_id)
        self._emit(BatchBegun(batch_id, action, row["groups"], files, undo, again))
        if undo:
            await self._drop_owed(batch_id)
        free = await self._do_all(row, files)
        undo = undo or await self._state(batch_id) == BatchState.UNDOING
        if undo:
            await self._drop_owed(batch_id)
            await self._undo_all(row)
        if free:
            await self._end(batch_id, action, undo, self._clock.monotonic() - began)
        return free

    async def _state(self, batch_id: int) -> str:
        row = await self._catalog.read(lambda session: store.batch(session, batch_id))
        return str(row["state"]) if row else BatchState.UNDONE

    async def _drop_owed(self, batch_id: int) -> None:
        detail = "the batch was taken back before this was begun"
        await self._catalog.write(lambda session: store.drop_owed(session, batch_id, detail, self._clock.now_ms()))

    async def _end(self, batch_id: int, action: str, undo: bool, seconds: float) -> None:
        def end(session: Session) -> tuple[Row, BatchState]:
            left = store.count(session, batch_id)
            state = BatchState.UNDONE if undo and not left["done"] else BatchState.DONE
            store.turn(
                session, batch_id, state, [BatchState.UNDOING if undo else BatchState.DOING], self._clock.now_ms()
            )
            return left, state

        counted, state = await self._catalog.write(end)
        numbers = (counted["done"], counted["skipped"], counted["undone"], counted["bytes"])
        self._emit(BatchEnded(batch_id, action, state, undo, *numbers, seconds))
        self._turned.set()
        self._turned = anyio.Event()

    async def _do_all(self, batch: Row, files: int) -> bool:
        """False where some file can neither be dealt with nor be put back now."""
        batch_id, finished, free = batch["id"], 0, True
        checked: Checked = {}
        self._deeds.be_patient()
        for state in (DeedState.BEGUN, DeedState.OWED):
            after = 0
            while state is DeedState.BEGUN or await self._state(batch_id) == BatchState.DOING:
                lot = await self._catalog.read(
                    lambda session, state=state, after=after: store.lot(session, batch_id, state, after)  # type: ignore[misc]  # As above.
                )
                if not lot:
                    break
                after = lot[-1]["id"]
                free = await self._deeds.carry_out(batch, lot, checked, resumed=state is DeedState.BEGUN) and free
                finished += len(lot)
                self._emit(BatchProgressed(batch_id, batch["action"], False, finished, files))
        return free

    # Taking back.

    async def _undo_all(self, batch: Row) -> None:
        batch_id, finished = batch["id"], 0
        await self._catalog.write(lambda session: store.take_back_judgements(session, batch_id))
        before: int | None = None
        files = (await self._catalog.read(lambda session: store.count(session, batch_id)))["kept"]
        while lot := await self._catalog.read(
            lambda session, before=before: store.lot_back(session, batch_id, before)  # type: ignore[misc]  # As above.
        ):
            before = lot[-1]["id"]
            await self._deeds.take_back(lot)
            finished += len(lot)
            self._emit(BatchProgressed(batch_id, batch["action"], True, finished, files))

    # The trash.

    async def purge(self) -> None:
        """Delete for good what was kept long enough."""
        while lot := await self._catalog.read(lambda session: store.to_purge(session, self._clock.now_ms())):
            for deed in lot:
                await self._deeds.purge(deed)


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, DropmillError) else f"{type(error).__name__}: {error}"
