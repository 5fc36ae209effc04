"""Groups of pictures that resemble each other, page by page, and one by one."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any, Final

from dropmill.control import describe
from dropmill.control.house import House
from dropmill.errors import NotFound
from dropmill.model.chance import expected_false_pairs
from dropmill.model.fingerprint import from_int64, to_hex
from dropmill.model.inbox import URLS_SUFFIX
from dropmill.model.resemblance import Relation, Tier
from dropmill.store import groups, views
from dropmill.store.connection import Row, Session
from dropmill.store.groups import Filter, Place

Json = dict[str, Any]
MOST: Final = 200
MEMBERS: Final = 50
"""That are told of each group of a page."""
MEMBERS_OF_ONE: Final = 1000
STATES: Final = ("open", "settled")
_PICTURES: Final = frozenset({"inbox", "archive", "duplicates", "library", "move"})


async def page(
    house: House,
    tier: str | None,
    inbox: str | None,
    folder: str | bytes | None,
    relation: str | None,
    state: str,
    sort: str,
    cursor: str | None,
    limit: int,
    threshold: int | None,
) -> Json:
    """As ``Desk.groups``."""
    if sort not in groups.SORTS:
        raise NotFound(f"groups are not sorted by {sort!r}", hint=f"sorts: {', '.join(groups.SORTS)}")
    after = _after(cursor, sort)
    limit = max(1, min(limit, MOST))
    column = groups.SORTS[sort].column

    def read(session: Session) -> Json:
        wanted = filter_of(house, session, tier, inbox, folder, relation, state, threshold)
        found = groups.page(session, wanted, sort, after, limit)
        last = found.rows[-1] if len(found.rows) == limit else None
        return {
            "groups": told(session, found.rows, MEMBERS),
            "next": None if last is None else f"{sort}.{last[column]}.{last['id']}",
            "total": found.total.groups,
            "reclaimable_bytes": found.total.reclaimable_bytes,
        }

    return await house.catalog.read(read)


def filter_of(
    house: House,
    session: Session,
    tier: str | None = None,
    inbox: str | None = None,
    folder: str | bytes | None = None,
    relation: str | None = None,
    state: str = "open",
    threshold: int | None = None,
) -> Filter:
    """Which groups are meant. Raises ``NotFound`` for what there is none of."""
    _known("tier", tier, [one.value for one in Tier])
    _known("relation", relation, [one.value for one in Relation])
    _known("state", state, STATES)
    return Filter(state, tier, relation, threshold, _places(house, session, inbox, folder))


def _known(word: str, value: str | None, known: Sequence[str]) -> None:
    if value is not None and value not in known:
        raise NotFound(f"there is no {word} {value!r}", hint=f"{word}s: {', '.join(known)}")


def _places(house: House, session: Session, inbox: str | None, folder: str | bytes | None) -> tuple[Place, ...] | None:
    """Where a group needs to have a file: in a folder of the inbox, and below ``folder``."""
    if inbox is None and folder is None:
        return None
    roots = [row for row in views.roots(session) if row["kind"] in _PICTURES]
    if inbox is not None:
        roots = [row for row in roots if row["name"] in {inbox, inbox + URLS_SUFFIX}]
        if not roots:
            house.inbox(inbox)  # Nothing has come into one that is configured.
    if folder is None:
        return tuple(Place(row["id"]) for row in roots)
    below = os.path.normpath(os.path.join(b"/", os.fsencode(folder)))
    return tuple(place for row in roots if (place := _below(row, below)) is not None)


def _below(root: Row, folder: bytes) -> Place | None:
    """What of a root lies in ``folder`` or below it."""
    path: bytes = root["path"]
    if path == folder or path.startswith(folder.rstrip(b"/") + b"/"):
        return Place(root["id"])
    if folder.startswith(path + b"/"):
        return Place(root["id"], folder[len(path) + 1 :])
    return None


def _after(cursor: str | None, sort: str) -> tuple[int, int] | None:
    if cursor is None:
        return None
    parts = cursor.split(".")
    try:
        key, last_id = int(parts[1]), int(parts[2])
    except (ValueError, IndexError):
        key = last_id = -1
    if len(parts) != 3 or parts[0] != sort or not (0 <= key < 1 << 63 and 0 < last_id < 1 << 63):
        raise NotFound(f"{cursor!r} is no cursor of groups by {sort}", hint="it is what next says on the page before")
    return key, last_id


async def one(house: House, group_id: int) -> Json:
    """Raises ``NotFound``."""

    def read(session: Session) -> Json:
        row = groups.get(session, group_id) if 0 < group_id < 1 << 63 else None
        if row is None:
            raise NotFound(
                f"there is no group {group_id}", hint="it was resolved, or its files have gone; list them anew"
            )
        return told(session, [row], MEMBERS_OF_ONE)[0]

    return await house.catalog.read(read)


def told(session: Session, rows: Sequence[Row], most: int) -> list[Json]:
    """Groups with their first ``most`` members, the keeper first."""
    members = groups.members(session, [row["id"] for row in rows], most)
    images = groups.images(session) if rows else 0
    return [_group(row, members[row["id"]], images) for row in rows]


def _group(row: Row, members: Sequence[Row], images: int) -> Json:
    by_hash = row["tier"] != Tier.EXACT
    return {
        "id": row["id"],
        "tier": row["tier"],
        "relation": row["relation"],
        "state": row["state"],
        "members_count": row["members"],
        "reclaimable_bytes": row["reclaimable_bytes"],
        "phash_distance": row["phash_distance"],
        "expected_false_pairs": expected_false_pairs(row["phash_distance"], images) if by_hash else 0.0,
        "keeper": row["keeper_holding_id"],
        "keeper_chosen": bool(row["chosen"]),
        "reasons": json.loads(row["reasons"]),
        "members": [_member(member) for member in members],
        "members_truncated": row["members"] > len(members),
        "changed_at": describe.iso(row["changed_at_ms"]),
    }


def _member(row: Row) -> Json:
    path = row["root_path"] + b"/" + row["rel"]
    return {
        "id": row["holding_id"],
        "image": row["image_id"],
        **file(row),
        "folder": describe.joined(*os.path.split(path)).rpartition("/")[0] or "/",
        "sha256": row["sha256"],
        "phash": to_hex(from_int64(row["phash"])),
        "width": row["width"],
        "height": row["height"],
        "format": row["format"],
        "captured_at": row["captured_at"] or None,
        "tier": row["tier"],
        "phash_distance": row["phash_distance"],
        "dhash_distance": row["dhash_distance"],
        "phash256_distance": row["phash256_distance"],
        "relation": row["relation"],
        "keeper": bool(row["keeper"]),
    }


def file(row: Row) -> Json:
    """Where a holding is, and what it was when it was last seen."""
    return {
        "path": describe.joined(row["root_path"], row["rel"]),
        "inbox": row["root_name"],
        "kind": row["root_kind"],
        "size_bytes": row["size_bytes"],
        "modified_at": describe.iso(row["mtime_ns"] // 1_000_000),
    }
