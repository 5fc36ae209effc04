"""Puts together what finds pictures that resemble each other."""

from __future__ import annotations

from dropmill.model.resemblance import Tier
from dropmill.observe.facts import Emit
from dropmill.ports import Clock
from dropmill.settings import Settings
from dropmill.similarity.client import IndexClient
from dropmill.store.catalog import Catalog


def make_index(settings: Settings, catalog: Catalog, clock: Clock, emit: Emit) -> IndexClient:
    """Not started yet: that costs memory, and a catalog in which nothing is compared has no use for it."""
    return IndexClient(catalog, clock, emit, turned=Tier.LOOSE in settings.tiers)
