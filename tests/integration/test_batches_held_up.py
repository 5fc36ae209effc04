"""Batches among which one cannot go on, that were asked for on what has changed since, or whose pictures were forgotten."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import anyio
import pytest
from test_batches import DATA, IMAGE, SHA256, House

from dropmill.maintenance.batches import Batches, Wish
from dropmill.model.batch import Action, BatchState, plan
from dropmill.observe.clock import SystemClock
from dropmill.observe.facts import BatchEnded, StateTrouble
from dropmill.store import batches as store
from dropmill.store import forgetting
from dropmill.store.catalog import Catalog
from dropmill.store.connection import Row, Session
from review_help import tree

T = TypeVar("T")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "house")
    try:
        yield made
    finally:
        made.close()


def execute(house: House, *statements: tuple[str, tuple[Any, ...]]) -> list[Any]:
    """Returns what the last one told."""

    def run(session: Session) -> list[Any]:
        return [session.connection.execute(text, values).fetchall() for text, values in statements][-1]

    found: list[Any] = house.run(lambda: house.catalog.write(run))
    return found


@contextmanager
def refusing(house: House, when: str) -> Iterator[None]:
    """The catalog takes nothing of that kind, as where its disk is full."""
    trigger = f"CREATE TRIGGER refusing BEFORE {when} BEGIN SELECT raise(ABORT, 'no room is left'); END"
    execute(house, (trigger, ()))
    try:
        yield
    finally:
        execute(house, ("DROP TRIGGER refusing", ()))


def chosen(house: House, member: int) -> int:
    """A batch that deletes one member."""

    def write(session: Session) -> int:
        group = store.group(session, 1)
        assert group is not None
        number = store.open_batch(session, Action.DELETE, BatchState.DOING, permanent=False, groups=1, now_ms=1)
        store.put_plan(session, number, plan(group, Action.DELETE, None, {member}), None, 1)
        return number

    number: int = house.run(lambda: house.catalog.write(write))
    return number


def told(house: House, number: int) -> Row:
    row: Row = house.run(lambda: house.catalog.read(lambda session: store.batch(session, number)))
    return row


def troubles(house: House) -> list[str]:
    return [fact.detail for fact in house.facts if isinstance(fact, StateTrouble)]


@pytest.mark.parametrize("known_again", [True, False])
@pytest.mark.parametrize("action", [Action.LINK, Action.DELETE, Action.MOVE])
def test_a_batch_is_undone_after_its_picture_was_forgotten(house: House, action: Action, known_again: bool) -> None:
    """And taken in anew, under another number: its files get that one; or else they stay unknown."""
    house.ask(action)
    assert house.carry_out()
    assert house.run(lambda: house.catalog.write(lambda session: forgetting.forget(session, 1, [])))
    if known_again:
        number = "VALUES (7, " + IMAGE.partition("VALUES (1, ")[2]
        holding = "INSERT INTO holdings (image_id, root_id, rel, ino, size_bytes, mtime_ns, seen_at_ms) VALUES (7, ?, ?, 5, 5, 5, 5)"
        standing = execute(house, ("SELECT root_id, rel FROM sources", ()))
        if action is Action.MOVE:
            standing += execute(house, ("SELECT target_root_id, target_name FROM deeds", ()))
        again = [(holding, place) for place in standing]
        execute(house, (IMAGE.partition("VALUES")[0] + number, (SHA256, len(DATA))), *again)
    house.undo(1)
    assert house.carry_out() and house.state(1) == "undone" and troubles(house) == []
    assert tree(house.inbox, house.away) == house.before
    held = execute(house, ("SELECT image_id, root_id, rel FROM holdings ORDER BY rel", ()))
    everything = [b"a.jpg", b"b.jpg", b"sub/c.jpg"]
    assert held == ([(7, 1, rel) for rel in everything] if known_again else [])
    # What stood while it was forgotten stays seen; what comes back afterwards is new.
    seen = execute(house, ("SELECT rel, ino FROM sources ORDER BY rel", ()))
    stay = everything if known_again or action is Action.LINK else everything[:1]
    assert seen == [(rel, (house.inbox / os.fsdecode(rel)).stat().st_ino) for rel in stay]


def test_a_batch_that_cannot_go_on_keeps_no_other_one_waiting(house: House) -> None:
    first, second = chosen(house, 2), chosen(house, 3)
    with refusing(house, f"UPDATE ON deeds WHEN old.batch_id = {first}"):
        assert not house.carry_out()
        assert (house.state(first), house.state(second)) == ("doing", "done")
        (detail,) = troubles(house)
        assert f"batch {first}" in detail and "no room is left" in detail
        assert (house.inbox / "b.jpg").exists() and not (house.inbox / "sub/c.jpg").exists()
    assert house.carry_out() and house.state(first) == "done"
    assert not (house.inbox / "b.jpg").exists()


def test_a_batch_that_cannot_be_written_down_is_given_up_and_tells_why(house: House) -> None:
    async def wished() -> int:
        batches = Batches(house.catalog, SystemClock(), house.facts.append, 30.0)
        try:
            number = await batches.wish(Wish(Action.DELETE, [1], None, as_of_ms=1))
            with pytest.raises(Exception, match="no room is left"):
                await batches.carry_out()
            await house.catalog.write(lambda session: session.connection.execute("DROP TRIGGER refusing"))
            assert "no room is left" in batches.trouble(number)
            assert await batches.carry_out()
            assert batches.trouble(number) == ""
        finally:
            batches.close()
        return number

    execute(
        house, ("CREATE TRIGGER refusing BEFORE INSERT ON deeds BEGIN SELECT raise(ABORT, 'no room is left'); END", ())
    )
    number: int = house.run(wished)
    row = told(house, number)
    assert row["state"] == "undone" and "no room is left" in row["detail"] and "nothing was touched" in row["detail"]
    assert tree(house.inbox, house.away) == house.before
    (ended,) = [fact for fact in house.facts if isinstance(fact, BatchEnded)]
    assert (ended.batch, ended.state, ended.undo) == (number, "undone", False)


class Late:
    """A catalog whose answer to the first write comes late, though what that wrote can be read."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.read = catalog.read
        self.written, self.answer = anyio.Event(), anyio.Event()

    async def write(self, action: Callable[[Session], T], *, patient: bool = False) -> T:
        answer = await self.catalog.write(action, patient=patient)
        if not self.written.is_set():
            self.written.set()
            await self.answer.wait()
        return answer


def test_a_batch_that_is_just_being_opened_is_not_taken_for_that_of_a_dead_run(house: House) -> None:
    async def meanwhile() -> None:
        late = Late(house.catalog)
        batches = Batches(late, SystemClock(), house.facts.append, 30.0)
        async with anyio.create_task_group() as group:
            group.start_soon(batches.wish, Wish(Action.DELETE, [1], None, as_of_ms=1))
            await late.written.wait()
            assert not await batches.carry_out()
            late.answer.set()
        assert await batches.carry_out()
        batches.close()

    house.run(meanwhile)
    assert (told(house, 1)["state"], told(house, 1)["done"]) == ("done", 2)


def test_groups_that_change_before_they_are_written_down_are_left_and_told(house: House) -> None:
    async def wished() -> None:
        batches = Batches(house.catalog, SystemClock(), house.facts.append, 30.0)
        await batches.wish(Wish(Action.DELETE, [1], None, as_of_ms=0))
        assert await batches.carry_out()
        batches.close()

    house.run(wished)
    assert tree(house.inbox, house.away) == house.before
    row = told(house, 1)
    assert (row["state"], row["done"], row["skipped"]) == ("done", 0, 2)
    deeds = execute(house, ("SELECT DISTINCT state, detail, hint FROM deeds", ()))
    assert deeds == [("skipped", "its group has changed since it was looked at", "look at that group again")]
