"""What the parts stand on: the catalog opened, folders locked and identified, this boot recorded."""

from __future__ import annotations

import asyncio
import os
import random
import uuid
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

from dropmill import __version__
from dropmill.files import roots
from dropmill.files.lane import Lane
from dropmill.maintenance.prepare import lanes_of, prepare_inbox
from dropmill.model.inbox import Inbox
from dropmill.observe.clock import SteadyClock
from dropmill.observe.facts import Beginning, Emit, Fact, PreviousRunDied, Started
from dropmill.observe.flight import Flight, last_flight
from dropmill.ports import Clock
from dropmill.settings import Settings
from dropmill.store import boot as boots
from dropmill.store.catalog import Catalog, catalog_path

FLIGHT_NAME = "flight"
# What takes longer is told of so often.
TOLD_SECONDS = 2.0


@dataclass(slots=True)
class Bus:
    """Facts go to every subscriber, in order, on the event loop."""

    subscribers: list[Callable[[Fact], None]] = field(default_factory=list)

    def emit(self, fact: Fact) -> None:
        for subscriber in self.subscribers:
            subscriber(fact)


@dataclass(slots=True)
class Ground:
    """What every part stands on: locked, opened and recorded as a new boot."""

    settings: Settings
    bus: Bus
    hearing: list[Callable[[Fact], None]]
    """Parts that act on what others met."""
    emit: Emit
    clock: SteadyClock
    started_at: float
    chance: random.Random
    boot: str
    catalog: Catalog
    locks: Mapping[str, roots.InboxLock]
    lanes: Mapping[bytes, Lane]
    inboxes: Mapping[str, Inbox]
    flight: Flight
    resources: ExitStack
    closing: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    """What has to be awaited once the run is over."""


async def prepare(settings: Settings, bus: Bus, resources: ExitStack, *, heif: bool) -> Ground:
    clock = SteadyClock()
    started_at = clock.monotonic()
    hearing: list[Callable[[Fact], None]] = []

    def emit(fact: Fact) -> None:
        bus.emit(fact)
        for part in hearing:
            part(fact)

    boot = uuid.uuid4().hex
    catalog = await _opened(catalog_path(settings.state_dir), clock, emit)
    resources.callback(catalog.close)
    emit(Started(__version__, os.getpid(), boot, settings.state_dir))
    # Before this boot is recorded, so that a start that is refused is not mourned as a crash.
    locks = {item.name: roots.InboxLock(os.fsencode(item.path)) for item in settings.every_inbox}
    for inbox_lock in locks.values():
        resources.callback(inbox_lock.close)
    lanes = lanes_of(settings)
    for lane in dict.fromkeys(lanes.values()):
        resources.callback(lane.close)
    inboxes: dict[str, Inbox] = {}
    for item in settings.every_inbox:
        emit(Beginning(f"looking at the folders of {item.name}", clock.monotonic() - started_at))
        inboxes[item.name] = await prepare_inbox(catalog, settings, item, locks[item.name], lanes, emit)
    flight = await _begin(catalog, settings, boot, clock, emit)
    resources.callback(flight.close)
    for inbox in [inbox for inbox in inboxes.values() if not inbox.urls]:
        await catalog.write(partial(boots.reconsider_ignored, inbox=inbox, heif=heif))
    return Ground(
        settings,
        bus,
        hearing,
        emit,
        clock,
        started_at,
        random.Random(),  # noqa: S311  # Spreads retries and scans; nothing secret hangs on it.
        boot,
        catalog,
        locks,
        lanes,
        inboxes,
        flight,
        resources,
    )


async def _opened(path: str, clock: Clock, emit: Emit) -> Catalog:
    """In a thread of its own: to bring a large catalog to a new version may take minutes, in which others want to hear of us.

    Raises as ``Catalog`` does.
    """
    lane, began = Lane("opening"), clock.monotonic()
    try:
        opening = lane.send(Catalog, path)
        while not (await asyncio.wait([opening], timeout=TOLD_SECONDS))[0]:
            emit(Beginning("opening the catalog", clock.monotonic() - began))
        return opening.result()
    finally:
        lane.close()


async def _begin(catalog: Catalog, settings: Settings, boot: str, clock: SteadyClock, emit: Emit) -> Flight:
    path = os.path.join(settings.state_dir, FLIGHT_NAME)
    previous = await catalog.read(boots.last_boot)
    if previous is not None and not previous.ended:
        emit(PreviousRunDied(previous.id, previous.pid, last_flight(path)))
    now_ms = clock.now_ms()
    await catalog.write(lambda session: boots.begin(session, boot, os.getpid(), __version__, now_ms))
    return Flight(path, clock, emit)
