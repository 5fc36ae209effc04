"""What is owed to one place, in a task of its own: a disk that hangs holds back nothing but itself (PROTOCOL 15, W40)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Final

import anyio

from dropmill.model.inbox import URLS_SUFFIX, Inbox
from dropmill.observe.facts import Emit, StateTrouble
from dropmill.pipeline.dispose import Disposer
from dropmill.pipeline.notify import Notifier
from dropmill.pipeline.publish import Publisher
from dropmill.ports import Clock

# What is owed but was tried in vain is looked at again this often; everything else comes by a wake-up.
OWED_SECONDS: Final = 1.0
# While there is much to do, it is done in lots: a turn for each picture would cost more than the picture's own work.
PACE_SECONDS: Final = 0.05

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
        began = self._clock.monotonic() - PACE_SECONDS
        while True:
            await self._clock.sleep(max(0.0, began + PACE_SECONDS - self._clock.monotonic()))
            began = self._clock.monotonic()
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


def drains_of(
    inboxes: Mapping[str, Inbox], publisher: Publisher, disposer: Disposer, notifier: Notifier, clock: Clock, emit: Emit
) -> list[Drain]:
    """One for each output, which gets renditions and receipts, and one for each inbox, which originals leave."""
    outputs = {inbox.output.id: inbox.output.path for inbox in inboxes.values()}
    drains = []
    for output_id, path in outputs.items():
        leaning = frozenset(name for name, inbox in inboxes.items() if inbox.output.id == output_id)
        steps = [partial(publisher.drain, output_id), partial(notifier.drain, leaning)]
        drains.append(Drain(leaning, [path], steps, clock, emit))
    for name, inbox in inboxes.items():
        if name.endswith(URLS_SUFFIX):
            continue
        # What was added to an inbox by URL leaves the same disks.
        names = [name, *([name + URLS_SUFFIX] if name + URLS_SUFFIX in inboxes else [])]
        folders = [root.path for root in (inbox.root, inbox.archive, inbox.duplicates, inbox.quarantine) if root]
        drains.append(Drain(frozenset(names), folders, [partial(disposer.drain, names)], clock, emit))
    return drains
