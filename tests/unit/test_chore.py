"""Work in the background: when it counts as done, and what is told where it fails."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import pytest

from dropmill.errors import StateError, Unavailable
from dropmill.maintenance.chore import PATIENCE_SECONDS, Chore
from dropmill.observe.facts import Fact, StateTrouble

pytestmark = pytest.mark.anyio


class HastyClock:
    """Time that passes by being waited for."""

    def __init__(self) -> None:
        self.now = 100.0

    def now_ms(self) -> int:
        return int(self.now * 1000)

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await anyio.lowlevel.checkpoint()


async def run_until(turn: Callable[[], Awaitable[bool]], done: Callable[[Chore], bool]) -> list[Fact]:
    told: list[Fact] = []
    chore = Chore("grouping", turn, HastyClock(), told.append)
    async with anyio.create_task_group() as group:
        group.start_soon(chore.run)
        with anyio.fail_after(60):
            while not done(chore):  # noqa: ASYNC110  # A chore that has become quiet sets no event.
                await anyio.sleep(0.01)
        group.cancel_scope.cancel()
    return told


async def test_it_goes_on_while_there_is_something_and_is_quiet_then() -> None:
    left = [1, 2, 3]
    asked: list[Chore] = []

    async def turn() -> bool:
        assert not any(chore.quiet for chore in asked)
        return bool(left and left.pop())

    def done(chore: Chore) -> bool:
        if chore.quiet and not asked:
            # Somebody tells of more, and at once it is quiet no more.
            asked.append(chore)
            left.append(4)
            chore.wake()
        return chore.quiet

    assert not await run_until(turn, done)
    assert not left


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (Unavailable("the index is not there"), []),
        (StateError("the disk is full"), [StateTrouble("grouping", "the disk is full")]),
        (ValueError("a defect"), [StateTrouble("grouping", "ValueError: a defect")]),
    ],
)
async def test_what_fails_is_tried_again_told_once_and_waited_for_with_patience(
    error: Exception, told: list[Fact]
) -> None:
    tries = 0

    async def turn() -> bool:
        nonlocal tries
        tries += 1
        raise error

    def done(chore: Chore) -> bool:
        # Each try wakes it for the next one, so that no real time passes.
        if not chore.quiet:
            chore.wake()
        return chore.quiet

    assert await run_until(turn, done) == told
    assert tries > PATIENCE_SECONDS / 2
