"""Writes that nobody waits for share a transaction; nothing else is kept waiting for them, and none is forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from dropmill.store.connection import LOT_SECONDS, LOT_SIZE, Lot, Session, _Write


class Loop:
    """Time passes when the test says so."""

    def __init__(self) -> None:
        self.later: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []

    def call_later(self, seconds: float, function: Callable[..., Any], *args: Any) -> None:
        assert seconds == LOT_SECONDS
        self.later.append((function, args))

    def pass_time(self) -> None:
        (function, args), self.later = self.later[0], self.later[1:]
        function(*args)


def named(name: str) -> Callable[[Session], str]:
    return lambda _session: name


class Lots:
    def __init__(self) -> None:
        self.sent: list[str] = []
        self.lot = Lot(lambda write: self.sent.append(write.action(cast(Session, None))))
        self.loop = Loop()

    def add(self, name: str, *, patient: bool, loop: Loop | None = None) -> None:
        on = cast(asyncio.AbstractEventLoop, loop or self.loop)
        self.lot.add(_Write(named(name), on, cast("asyncio.Future[Any]", None), False), patient=patient)


def test_one_alone_goes_at_once_and_those_after_it_go_together() -> None:
    lots = Lots()
    lots.add("a", patient=True)
    assert lots.sent == ["a"]
    lots.add("b", patient=True)
    lots.add("c", patient=True)
    assert lots.sent == ["a"]
    lots.loop.pass_time()
    assert lots.sent == ["a", "b", "c"]
    lots.add("d", patient=True)
    assert lots.sent == ["a", "b", "c"]
    lots.loop.pass_time()
    lots.loop.pass_time()
    assert lots.sent == ["a", "b", "c", "d"] and not lots.loop.later
    lots.add("e", patient=True)
    assert lots.sent[-1] == "e"


def test_one_that_is_waited_for_goes_at_once_after_those_that_came_before_it() -> None:
    lots = Lots()
    lots.add("a", patient=True)
    lots.add("b", patient=True)
    lots.add("c", patient=False)
    assert lots.sent == ["a", "b", "c"]


def test_many_do_not_wait_for_more() -> None:
    lots = Lots()
    for number in range(LOT_SIZE + 1):
        lots.add(str(number), patient=True)
    assert len(lots.sent) == LOT_SIZE + 1


def test_what_waits_at_the_end_is_sent() -> None:
    lots = Lots()
    lots.add("a", patient=True)
    lots.add("b", patient=True)
    lots.lot.send()
    assert lots.sent == ["a", "b"]


def test_a_loop_that_has_ended_keeps_nothing_waiting() -> None:
    lots = Lots()
    lots.add("a", patient=True)
    lots.add("b", patient=True, loop=Loop())
    assert lots.sent == ["a", "b"]
