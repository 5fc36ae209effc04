"""What ``dropmill duplicates`` prints, and how many groups there are."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from dropmill.control import describe
from dropmill.control.groups import filter_of
from dropmill.control.house import House
from dropmill.model.fingerprint import from_int64, to_hex
from dropmill.model.resemblance import Relation, Tier
from dropmill.store import drawing, groups, pairs
from dropmill.store.connection import Row, Session

Json = dict[str, Any]
MOST: Final = 1000
_ALL: Final = 1 << 31


async def duplicates(
    house: House, tier: str | None, inbox: str | None, folder: str | bytes | None, after: int, limit: int
) -> list[Json]:
    """As ``Desk.duplicates``."""
    limit = max(1, min(limit, MOST))

    def read(session: Session) -> list[Json]:
        filter_of(house, session, tier)
        rows = groups.following(session, filter_of(house, session, None, inbox, folder), tier, after, limit)
        members = groups.members(session, [row["id"] for row in rows], _ALL)
        return [told for row in rows for told in _groups(row, members[row["id"]], tier)]

    return await house.catalog.read(read)


def _groups(row: Row, members: list[Row], tier: str | None) -> Iterator[Json]:
    """With the keeper and all members; where a tier is asked for, with those of that tier. Copies of the same bytes are
    exact among each other, however they resemble the keeper."""
    if tier is None:
        yield _group(row, members, row["tier"], row["relation"])
        return
    chosen = [member for member in members if member["keeper"] or member["tier"] == tier]
    if len(chosen) > 1:
        yield _group(row, chosen, tier, chosen[-1]["relation"])
    if tier == Tier.EXACT:
        copies: dict[int, list[Row]] = {}
        for member in members:
            if member["tier"] != tier:
                copies.setdefault(member["image_id"], []).append(member)
        for alike in copies.values():
            if len(alike) > 1:
                yield _group(row, alike, tier, Relation.IDENTICAL.value)


def _group(row: Row, members: Sequence[Row], tier: str, relation: str) -> Json:
    """The first one is kept."""
    keeper, *others = members
    return {
        "id": row["id"],
        "tier": tier,
        "relation": relation,
        "keeper": _path(keeper),
        "reasons": json.loads(row["reasons"]) if keeper["keeper"] else [],
        "reclaimable_bytes": row["reclaimable_bytes"]
        if len(members) == row["members"]
        else sum(member["size_bytes"] for member in others),
        "members": [
            {
                "path": _path(member),
                "sha256": member["sha256"],
                "phash": to_hex(from_int64(member["phash"])),
                "distance": member["phash_distance"] - keeper["phash_distance"],
                "relation": member["relation"] if keeper["keeper"] else relation,
                "tier": member["tier"] if keeper["keeper"] else tier,
                "size_bytes": member["size_bytes"],
                "width": member["width"],
                "height": member["height"],
                "keeper": member is keeper,
            }
            for member in members
        ],
    }


def _path(member: Row) -> str:
    return describe.joined(member["root_path"], member["rel"])


def numbers(session: Session) -> Json:
    """For ``status`` and metrics: open groups by tier, and what is still to be looked at."""
    by_tier = groups.by_tier(session)
    return {
        "groups": sum(total.groups for total in by_tier.values()),
        "by_tier": {tier.value: by_tier[tier].groups if tier in by_tier else 0 for tier in Tier},
        "files": sum(total.members for total in by_tier.values()),
        "reclaimable_bytes": sum(total.reclaimable_bytes for total in by_tier.values()),
        "uncompared": pairs.uncompared_count(session),
        "to_group": drawing.wished(session),
        "unmeasured": drawing.unmeasured_count(session),
    }
