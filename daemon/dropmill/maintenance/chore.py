"""Work that nobody waits for, in turns, beside what people do wait for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import anyio

from dropmill.errors import DropmillError, Unavailable
from dropmill.observe.facts import Emit, StateTrouble
from dropmill.ports import Clock

# What nobody told of is met by then.
LOOK_SECONDS: Final = 2.0
# Between two turns others have theirs.
PAUSE_SECONDS: Final = 0.01
# What is told of meanwhile is done in one lot: a turn for each picture would cost more than the picture's own work.
PACE_SECONDS: Final = 0.1
TROUBLE_SECONDS: Final = 1.0
# After a turn that takes so long, others have the catalog for so many times as long.
LONG_SECONDS: Final = 0.5
REST: Final = 3.0
# For so long a run that ends by itself waits for what cannot be had at the moment.
PATIENCE_SECONDS: Final = 30.0


class Chore:
    """``turn`` does a lot of it, and says whether there was anything to do."""

    def __init__(self, name: str, turn: Callable[[], Awaitable[bool]], clock: Clock, emit: Emit) -> None:
        self._name = name
        self._turn = turn
        self._clock = clock
        self._emit = emit
        self._wake = anyio.Event()
        self._failing_since: float | None = None
        self._told = ""
        self._quiet = False

    @property
    def quiet(self) -> bool:
        """Nothing was left when it was last looked, and nobody told of anything since; or it has been failing for long."""
        since = self._failing_since
        return self._quiet or (since is not None and self._clock.monotonic() - since > PATIENCE_SECONDS)

    def wake(self) -> None:
        """There may be something to do."""
        self._quiet = False
        self._wake.set()

    async def run(self) -> None:
        """For ever."""
        while True:
            self._wake = anyio.Event()
            began = self._clock.monotonic()
            if await self._take_turn():
                self._quiet = False
                took = self._clock.monotonic() - began
                await self._clock.sleep(PAUSE_SECONDS if took < LONG_SECONDS else took * REST)
                continue
            self._quiet = self._failing_since is None and not self._wake.is_set()
            failing = self._failing_since is not None
            await self._clock.sleep(TROUBLE_SECONDS if failing else PACE_SECONDS)
            with anyio.move_on_after(LOOK_SECONDS):
                await self._wake.wait()

    async def _take_turn(self) -> bool:
        try:
            busy = await self._turn()
        except Unavailable:
            self._fails("")  # Whoever cannot be reached tells of it.
            return False
        except DropmillError as error:
            self._fails(str(error))
            return False
        except Exception as error:  # noqa: BLE001  # A defect costs one turn, not the daemon.
            self._fails(f"{type(error).__name__}: {error}")
            return False
        self._failing_since, self._told = None, ""
        return busy

    def _fails(self, detail: str) -> None:
        """Told once, however often it is tried in vain."""
        if self._failing_since is None:
            self._failing_since = self._clock.monotonic()
        if detail and detail != self._told:
            self._told = detail
            self._emit(StateTrouble(self._name, detail))
