"""With ``--once``: when nothing is left to do."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dropmill.fetch.dropfile import COUNTED_SECONDS
from dropmill.pipeline.pressure import COUNT_SECONDS, HighWater
from dropmill.supervisor import Parts, Supervisor


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Road:
    """A drop-file that waits for room; what is read of it is left to fetch."""

    def __init__(self, on_finished: Callable[[Road], bool]) -> None:
        self.standing = True
        self.to_fetch = 0
        self._on_finished = on_finished
        self.in_hand = False

    async def finished(self) -> bool:
        return self._on_finished(self)

    async def left(self) -> bool:
        return self.to_fetch > 0


def supervisor(road: Road) -> Supervisor:
    async def yes() -> bool:
        return True

    async def none() -> list[str]:
        return []

    parts: Any = SimpleNamespace(
        claimer=road,
        fetcher=road,
        watches=[],
        settlings={},
        tails={"list": road},
        tellers={},
        surroundings=SimpleNamespace(intake_open=True),
        closed=none,
        finished=yes,
    )
    return Supervisor(cast(Parts, parts), once=True)


@pytest.mark.anyio
async def test_lines_that_are_read_while_a_drop_file_is_asked_are_waited_for() -> None:
    def read_the_rest(road: Road) -> bool:
        road.to_fetch = 39
        return True

    assert not await supervisor(Road(read_the_rest)).is_finished()


@pytest.mark.anyio
async def test_what_is_in_hand_once_a_drop_file_was_asked_makes_room_for_more_of_it() -> None:
    def begin(road: Road) -> bool:
        road.in_hand = True
        return True

    assert not await supervisor(Road(begin)).is_finished()


@pytest.mark.anyio
async def test_a_drop_file_that_waits_for_longer_keeps_nobody() -> None:
    assert await supervisor(Road(lambda _: True)).is_finished()
    assert not await supervisor(Road(lambda _: False)).is_finished()


@pytest.mark.anyio
async def test_room_is_counted_anew_for_whoever_asks_while_another_counts() -> None:
    """Whoever asks while another one's count is under way is not told what was counted before that."""
    holds = True

    async def queue_holds(_most: int) -> bool:
        nonlocal asked_within
        if not asked_within:
            asked_within = True
            assert not await water.full()  # The other one, for which nothing is held any more.
            return False
        return holds

    now = 0.0
    asked_within = True
    water = HighWater(lambda: 0, queue_holds, 5, cast(Any, SimpleNamespace(monotonic=lambda: now)))
    assert await water.full()
    now, holds, asked_within = COUNTED_SECONDS, False, False
    assert not await water.full()
    assert COUNTED_SECONDS > COUNT_SECONDS
