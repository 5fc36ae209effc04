"""What an action on many groups would come to, before it is asked for."""

from __future__ import annotations

import json
from collections.abc import Sequence

from dropmill.store.connection import Row, Session


def overview(session: Session, group_ids: Sequence[int], tier: str | None, *, same_bytes: bool) -> list[Row]:
    """By ``tier``: in how many ``groups`` an action comes to anything, how many ``members`` it is for, and their ``bytes``;
    how many it leaves (``left_members``), and in how many groups all of them (``left_groups``). ``tier``: only of what is that alike."""
    return session.all("batch_overview", ids=json.dumps(list(group_ids)), tier=tier, same_bytes=int(same_bytes))


def largest(session: Session, group_ids: Sequence[int], tier: str | None, limit: int, *, same_bytes: bool) -> list[Row]:
    """``id``, ``members`` and ``bytes`` of those in which an action comes to most. ``tier``: as of ``overview``."""
    ids = json.dumps(list(group_ids))
    return session.all("groups_largest", ids=ids, tier=tier, limit=limit, same_bytes=int(same_bytes))
