"""Puts together what finds pictures that resemble each other."""

from __future__ import annotations

from dropmill.assembly.ground import Ground
from dropmill.model.duplicates import Policy
from dropmill.similarity.client import IndexClient


def make_index(ground: Ground) -> IndexClient:
    """Not started yet: that costs memory, and a catalog in which nothing is compared has no use for it."""
    turned = any(inbox.policies.loose is not Policy.OFF for inbox in ground.inboxes.values())
    index = IndexClient(ground.catalog, ground.clock, ground.emit, turned=turned)
    ground.closing.append(index.close)
    return index
