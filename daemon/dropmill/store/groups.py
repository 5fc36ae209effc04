"""Groups of pictures that resemble each other, as people and programs are shown them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from dropmill.store.connection import Row, Session

LAST: Final = (1 << 63) - 1
FEW: Final = 2_000
"""So many groups, or files of a folder, are read at once."""


class Sort(NamedTuple):
    """``first``: what the key of the first page is compared with."""

    statement: str
    column: str
    first: int

    def place(self, key: int, group_id: int) -> tuple[int, int]:
        """Sorts as the statement does."""
        return (key if self.first < 0 else -key), group_id


SORTS: Final = {
    "reclaimable": Sort("groups_by_gain", "reclaimable_bytes", LAST),
    "similarity": Sort("groups_by_likeness", "phash_distance", -1),
    "newest": Sort("groups_by_age", "changed_at_ms", LAST),
}


@dataclass(frozen=True, slots=True)
class Place:
    """Files of a root below one of its folders; ``folder`` is empty for all of them."""

    root_id: int
    folder: bytes = b""

    @property
    def bounds(self) -> tuple[bytes, bytes]:
        """Paths from the first on, and before the second: "0" is what comes after the slash. No name is all 0xff."""
        return (self.folder + b"/", self.folder + b"0") if self.folder else (b"", b"\xff" * 8)


@dataclass(frozen=True, slots=True)
class Filter:
    """``places``: groups with a file in one of them; None for any. ``threshold``: farthest member's phash distance."""

    state: str = "open"
    tier: str | None = None
    relation: str | None = None
    threshold: int | None = None
    places: tuple[Place, ...] | None = None

    @property
    def folders(self) -> tuple[Place, ...]:
        """Places that are not whole roots."""
        return tuple(place for place in self.places or () if place.folder)

    @property
    def roots(self) -> list[str] | None:
        """What the column has of roots one of which is wanted whole; None where none is, or any will do."""
        if self.places is None or self.folders:
            return None
        return [f",{place.root_id}," for place in self.places]

    @property
    def selective(self) -> bool:
        return (self.tier, self.relation, self.threshold, self.places) != (None, None, None, None)

    def values(self) -> dict[str, Any]:
        ranges = [[place.root_id, *(bound.hex() for bound in place.bounds)] for place in self.places or ()]
        return {
            "state": self.state,
            "tier": self.tier,
            "relation": self.relation,
            "threshold": self.threshold,
            "roots": None if self.roots is None else json.dumps(self.roots),
            "places": json.dumps(ranges) if self.folders else None,
        }

    def fits(self, row: Row) -> bool:
        """Of a group or a kind of groups, folders apart."""
        return (
            row["state"] == self.state
            and self.tier in {None, row["tier"]}
            and self.relation in {None, row["relation"]}
            and (self.threshold is None or row["phash_distance"] <= self.threshold)
            and (self.roots is None or any(root in row["roots"] for root in self.roots))
        )


@dataclass(frozen=True, slots=True)
class Total:
    groups: int
    members: int
    reclaimable_bytes: int


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of groups, and how many there are on all pages."""

    rows: list[Row]
    total: Total


def page(session: Session, wanted: Filter, sort: str, after: tuple[int, int] | None, limit: int) -> Page:
    """``after``: key and id of the last one of the page before.

    Where few fit, all of them are read by what they have in common, and sorted here; where many do, they are met soon
    on the way along the order.
    """
    by = SORTS[sort]
    few = _few(session, wanted)
    if few is not None:
        few.sort(key=lambda row: by.place(row[by.column], row["id"]))
        beyond = None if after is None else by.place(*after)
        rows = [row for row in few if beyond is None or by.place(row[by.column], row["id"]) > beyond]
        return Page(rows[:limit], _sum(few, of_groups=True))
    key, last_id = after or (by.first, 0)
    rows = session.all(by.statement, **wanted.values(), key=key, id=last_id, limit=limit)
    return Page(rows, total(session, wanted))


def following(session: Session, wanted: Filter, having: str | None, after: int, limit: int) -> list[Row]:
    """In the order of their ids, to go through all. ``having``: those with a member of that tier."""
    return session.all("groups_next", **wanted.values(), having=having, id=after, limit=limit)


def total(session: Session, wanted: Filter) -> Total:
    """From the counters, but for folders, where the groups themselves are counted."""
    if not wanted.folders:
        return _sum(_kinds(session, wanted), of_groups=False)
    few = _few(session, wanted)
    if few is not None:
        return _sum(few, of_groups=True)
    row = session.one("groups_counted", **wanted.values()) or {}
    return Total(row["groups"], row["members"], row["reclaimable_bytes"])


def _kinds(session: Session, wanted: Filter) -> list[Row]:
    return [row for row in session.all("group_counts") if wanted.fits(row)]


def _few(session: Session, wanted: Filter) -> list[Row] | None:
    """All that fit, or None where they are too many to be read at once."""
    if wanted.folders:
        ids = _ids_in(session, wanted.places or ())
        if ids is None:
            return None
        return [row for row in session.all("groups_of_ids", ids=json.dumps(ids)) if wanted.fits(row)]
    if not wanted.selective:
        return None
    kinds = _kinds(session, wanted)
    if sum(row["groups"] for row in kinds) > FEW:
        return None
    names = ("tier", "relation", "phash_distance", "roots")
    told = json.dumps([[row[name] for name in names] for row in kinds])
    return session.all("groups_of_kinds", state=wanted.state, kinds=told)


def _ids_in(session: Session, places: Iterable[Place]) -> list[int] | None:
    """Of the groups with a file in these places; None where these hold too many files."""
    found: set[int] = set()
    for place in places:
        first, beyond = place.bounds
        rows = session.all("groups_in_place", root_id=place.root_id, first=first, beyond=beyond, limit=FEW)
        if len(rows) == FEW:
            return None
        found.update(row["group_id"] for row in rows)
    return sorted(found)


def _sum(rows: Iterable[Row], *, of_groups: bool) -> Total:
    """Of groups, or of their counters."""
    found = [(1 if of_groups else row["groups"], row["members"], row["reclaimable_bytes"]) for row in rows]
    return Total(*(sum(column) for column in zip(*found, strict=True))) if found else Total(0, 0, 0)


def by_tier(session: Session, state: str = "open") -> dict[str, Total]:
    found: dict[str, Total] = {}
    for row in session.all("group_counts"):
        if row["state"] == state:
            before = found.get(row["tier"], Total(0, 0, 0))
            found[row["tier"]] = Total(
                before.groups + row["groups"],
                before.members + row["members"],
                before.reclaimable_bytes + row["reclaimable_bytes"],
            )
    return found


def get(session: Session, group_id: int) -> Row | None:
    return session.one("group_get", id=group_id)


def members(session: Session, group_ids: Iterable[int], most: int) -> dict[int, list[Row]]:
    """By group, the keeper first, then the nearest: at most so many of each."""
    found: dict[int, list[Row]] = {group_id: [] for group_id in group_ids}
    for row in session.all("members_told", ids=json.dumps(list(found)), most=most):
        found[row["group_id"]].append(row)
    return found


def of_image(session: Session, image_id: int) -> Sequence[int]:
    return [row["group_id"] for row in session.all("groups_of_image", image_id=image_id)]


def membership(session: Session, holding_id: int) -> Row | None:
    """The group that a file is in, with its keeper and how the file resembles that; None for none."""
    return session.one("member_of_holding", holding_id=holding_id)


def waits(session: Session, image_id: int) -> bool:
    """Whether an image is still to be compared, or its groups are to be drawn anew."""
    return bool(session.value("image_waits", image_id=image_id))


def holdings_of(session: Session, image_id: int, limit: int) -> list[Row]:
    return session.all("holdings_of_image", image_id=image_id, limit=limit)


def image(session: Session, image_id: int) -> Row | None:
    return session.one("image_get", id=image_id)


def images(session: Session) -> int:
    count: int = session.value("images_count")
    return count
