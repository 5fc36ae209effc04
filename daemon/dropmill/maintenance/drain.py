"""What is owed to one place, in a task of its own: a disk that hangs holds back nothing but itself (PROTOCOL 15, W40)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import anyio

from dropmill.observe.facts import Emit, StateTrouble
from dropmill.ports import Clock

# What is owed but was tried in vain is looked at again this often; everything else comes by a wake-up.
OWED_SECONDS: Final = 1.0

Step = Callable[[], Awaitable[bool]]


class Drain:
    """``steps`` do what is due to the place once over, in order, and say whether they did anything."""

    def __init__(
        self, inboxes: frozenset[str], folders: Sequence[bytes], steps: Sequence[Step], clock: Clock, emit: Emit
    ) -> None:
        """``inboxes``: whose jobs owe something here. ``folders``: those without which it cannot go on."""
        self.inboxes = inboxes
        self.folders = folders
        self.quiet = False
        """Nothing that is due was left when it was last looked at, and nothing was committed since."""
        self.looked = anyio.Event()
        """Each owed row was tried once in this run."""
        self._steps = steps
        self._clock = clock
        self._emit = emit
        self._wake = anyio.Event()

    def wake(self) -> None:
        """Something was committed that may be due here."""
        self.quiet = False
        self._wake.set()

    async def run(self, spread: Callable[[frozenset[str]], None]) -> None:
        """For ever. ``spread`` wakes the places that other steps of the same inboxes belong to."""
        while True:
            self._wake = anyio.Event()
            self.quiet = False
            if await self._once():
                spread(self.inboxes)
                continue
            self.quiet = not self._wake.is_set()
            self.looked.set()
            with anyio.move_on_after(OWED_SECONDS):
                await self._wake.wait()

    async def _once(self) -> bool:
        done = False
        for step in self._steps:
            try:
                done = await step() or done
            except Exception as error:  # noqa: BLE001  # What is owed stays owed; the other steps go on.
                self._emit(StateTrouble("publish", f"{type(error).__name__}: {error}"))
                await self._clock.sleep(1.0)
        return done
