"""The desk without a daemon: on the catalog alone, for reading, or locked against daemons for a change."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dropmill.control.desk import Desk
from dropmill.control.house import House
from dropmill.maintenance.state import take_state
from dropmill.observe.facts import Fact
from dropmill.ports import Clock
from dropmill.settings import Settings
from dropmill.store.catalog import Catalog, ReadOnlyCatalog, catalog_path


@asynccontextmanager
async def reading(settings: Settings, clock: Clock, *, heif: bool) -> AsyncIterator[Desk]:
    """Raises ``StateError`` where the catalog cannot be read."""
    catalog = ReadOnlyCatalog(catalog_path(settings.state_dir))
    house = House(settings, catalog, clock, _unheard, heif)
    try:
        yield Desk(house)
    finally:
        house.close()
        catalog.close()


@asynccontextmanager
async def changing(settings: Settings, clock: Clock, *, heif: bool) -> AsyncIterator[Desk]:
    """No daemon can start meanwhile. Raises ``Conflict`` where one has just started, ``StateError``."""
    lock = take_state(settings.state_dir)
    try:
        catalog = Catalog(catalog_path(settings.state_dir))
        house = House(settings, catalog, clock, _unheard, heif)
        try:
            yield Desk(house)
        finally:
            house.close()
            catalog.close()
    finally:
        lock.release()


def _unheard(fact: Fact) -> None:
    """The catalog tells what was done; no log runs that could."""
