"""Room in memory for the pictures that are worked on at once, shared by all workers."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable

from dropmill.model.work import Preview
from dropmill.workers import hardening
from dropmill.workers.member import Member


class Admission:
    """First come, first served, so that a huge picture is not passed over for ever by small ones.

    One that says that it needs more than there is asks for all of it, and has to make do with that.
    """

    def __init__(self, room_bytes: int) -> None:
        self.room_bytes = room_bytes
        self._held_bytes = 0
        self._line: deque[tuple[asyncio.Future[None], int]] = deque()

    @property
    def waiting(self) -> int:
        """How many wait for room."""
        return len(self._line)

    def gate(
        self, member: Member, wanted: Callable[[Preview], Awaitable[bool]], held: list[int]
    ) -> Callable[[Preview], Awaitable[bool]]:
        """``wanted``, and then room, which ``held`` tells of; one that needs more than its worker may take gets it."""

        async def gate(preview: Preview) -> bool:
            if not await wanted(preview):
                return False
            needs_bytes = min(preview.needs_bytes, self.room_bytes)
            await self.enter(needs_bytes)
            held.append(needs_bytes)
            more_bytes = needs_bytes - member.budget_bytes
            if more_bytes > 0:
                member.leaving = True
                member.budget_bytes += more_bytes
                with contextlib.suppress(OSError):  # Gone, or not ours to change: it tries with what it has.
                    hardening.raise_memory_limit(member.pid, more_bytes)
            return True

        return gate

    async def enter(self, needs_bytes: int) -> None:
        """Return once there is room for this much of it; to be followed by ``leave`` with the same number."""
        if not self._line and self._fits(needs_bytes):
            self._held_bytes += needs_bytes
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append((turn, needs_bytes))
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                self.leave(needs_bytes)
            else:
                self._line = deque(place for place in self._line if place[0] is not turn)
                self._let_in()
            raise

    def leave(self, needs_bytes: int) -> None:
        self._held_bytes -= needs_bytes
        self._let_in()

    def _fits(self, needs_bytes: int) -> bool:
        return self._held_bytes + needs_bytes <= self.room_bytes

    def _let_in(self) -> None:
        while self._line and self._fits(self._line[0][1]):
            turn, needs_bytes = self._line.popleft()
            if not turn.done():  # Cancelled, and on its way to say so.
                self._held_bytes += needs_bytes
                turn.set_result(None)
