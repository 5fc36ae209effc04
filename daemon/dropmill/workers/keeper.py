"""Keeps a zygote: starts one, notices its end, and starts the next after a while that grows while nothing comes of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from dropmill.ports import Clock
from dropmill.workers.ending import Ended
from dropmill.workers.nursery import Nursery
from dropmill.workers.output import WorkerOutput

_RETRY_FIRST_SECONDS: Final = 0.1
_RETRY_LAST_SECONDS: Final = 30.0
# A zygote that was ready for so long ended of something new, and not of what ended those before it.
_LONG_LIFE_SECONDS: Final = 30.0


class Patience:
    """Pauses, each twice as long as the one before, until something has gone well."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.seconds = _RETRY_FIRST_SECONDS
        """Of the next pause."""

    async def pause(self) -> None:
        seconds, self.seconds = self.seconds, min(self.seconds * 2, _RETRY_LAST_SECONDS)
        await self._clock.sleep(seconds)

    def restore(self) -> None:
        self.seconds = _RETRY_FIRST_SECONDS


class Keeper:
    """Being ready proves nothing: one that something kills again and again takes every job in hand along each time.

    ``on_end(pid, ended)`` is told of each worker's end, ``on_start()`` of each new zygote, ``on_lost(nursery)`` of the end
    of one, with all its workers.
    """

    def __init__(
        self,
        load: str,
        budget_bytes: int,
        clock: Clock,
        on_end: Callable[[int, Ended], None],
        on_start: Callable[[], None],
        on_lost: Callable[[Nursery], None],
        on_output: Callable[[WorkerOutput], None],
    ) -> None:
        self._load = load
        self._budget_bytes = budget_bytes
        self._clock = clock
        self._on_end = on_end
        self._on_start = on_start
        self._on_lost = on_lost
        self._on_output = on_output
        self._patience = Patience(clock)
        self.nursery: Nursery | None = None
        """None between the end of one and the start of the next."""
        self.trouble = ""

    def start(self) -> None:
        """Start a zygote and wait for nothing; where that fails, ``trouble`` says why."""
        nursery = Nursery(self._clock, self._on_end, self._on_output)
        try:
            nursery.start(self._load, self._budget_bytes)
        except OSError as error:
            self.trouble = f"the worker pool cannot be started: {error}"
            self.nursery = None
        else:
            self.nursery = nursery

    async def run(self) -> None:
        """After ``start``: until cancelled."""
        while True:
            if self.nursery is not None:
                await self._see_out(self.nursery)
            await self._patience.pause()
            self.start()
            self._on_start()

    async def _see_out(self, nursery: Nursery) -> None:
        ready_at = None
        if await nursery.loaded():
            ready_at = self._clock.monotonic()
            self.trouble = ""
        await nursery.lost()
        self.trouble = nursery.trouble or "the worker pool's zygote ended and is started again"
        self.nursery = None
        self._on_lost(nursery)
        if ready_at is not None and self._clock.monotonic() - ready_at >= _LONG_LIFE_SECONDS:
            self._patience.restore()

    def proved(self) -> None:
        """A worker of it has finished a job: should it end now, the next one starts without delay."""
        self._patience.restore()

    async def close(self) -> None:
        """End the zygote and its workers, and wait until they have gone. ``run`` must have been cancelled."""
        nursery = self.nursery
        if nursery is not None:
            await nursery.close()
            self._on_lost(nursery)
