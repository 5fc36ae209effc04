"""What the groups are drawn from, and the groups as they were drawn."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from dropmill.model.resemblance import EVIDENCE_VERSION, Evidence, Relation, border_from, evidence_from_json
from dropmill.store import judgements, pairs
from dropmill.store.connection import Row, Session
from dropmill.store.judgements import Judgement
from dropmill.store.pairs import Pair


@dataclass(frozen=True, slots=True)
class Component:
    """Images that hang together, by pairs or by the groups they are in now, and all that is known of them."""

    images: Mapping[int, Row]
    """Rows of ``images_to_draw`` by id."""
    holdings: Sequence[Row]
    pairs: Sequence[Pair]
    judgements: Sequence[Judgement]
    groups: Sequence[Row]
    members: Sequence[Row]
    upto: int
    """The newest wish that this has seen."""
    borders: Mapping[int, float] = field(default_factory=dict)
    """Of images that are another one within a border the share of their pixels within it."""

    def evidence(self, image_id: int) -> Evidence | None:
        row = self.images[image_id]
        return evidence_from_json(row["evidence"]) if _measured(row) else None


def _measured(row: Row) -> bool:
    return bool(row["evidence"]) and row["evidence_version"] == EVIDENCE_VERSION


@dataclass(frozen=True, slots=True)
class DrawnMember:
    holding_id: int
    image_id: int
    tier: str
    relation: str
    phash_distance: int
    dhash_distance: int
    phash256_distance: int


@dataclass(frozen=True, slots=True)
class Drawn:
    """A group as it should be. ``members``: with the keeper, in the order of their holdings. ``id``: None for a new one."""

    id: int | None
    keeper_holding_id: int
    keeper_image_id: int
    tier: str
    relation: str
    phash_distance: int
    members: tuple[DrawnMember, ...]
    reclaimable_bytes: int
    chosen: bool
    reasons: tuple[str, ...]
    roots: tuple[int, ...]
    """Of its files, in order."""
    state: str


def wishes(session: Session, limit: int) -> list[int]:
    """Images whose groups are to be drawn anew, those that wait longest first."""
    return [row["image_id"] for row in session.all("regroup_lot", limit=limit)]


def drop_lonely(session: Session, limit: int) -> int:
    """Of the next ``limit`` wishes take away those with which there is nothing to draw; returns how many."""
    return session.run("regroup_lonely", limit=limit)


def component(session: Session, seeds: Iterable[int], most: int) -> Component:
    """All that hangs together with ``seeds``, up to about ``most`` images: what is larger is cut.

    Of what is cut, images stay out whose group lies partly beyond, so that no group is torn.
    """
    upto: int = session.value("regroup_newest")
    known = set(seeds)
    known.update(row["image_id"] for row in session.all("mates_of_images", ids=_ids(known)))
    frontier = set(known)
    met: dict[tuple[int, int], Pair] = {}
    while frontier and len(known) < most:
        found: set[int] = set()
        for pair in pairs.of_images(session, frontier):
            met[pair.a, pair.b] = pair
            found |= {pair.a, pair.b}
        found.update(row["image_id"] for row in session.all("mates_of_images", ids=_ids(frontier)))
        frontier = set(sorted(found - known)[: most - len(known)])
        known |= frontier
    groups = session.all("groups_of_images", ids=_ids(known))
    members = session.all("members_of_groups", ids=_ids(row["id"] for row in groups))
    torn = {row["group_id"] for row in members if row["image_id"] not in known}
    if torn:
        known -= {row["image_id"] for row in members if row["group_id"] in torn}
        groups = [row for row in groups if row["id"] not in torn]
        members = [row for row in members if row["group_id"] not in torn]
    ids = _ids(known)
    return Component(
        {row["id"]: row for row in session.all("images_to_draw", ids=ids)},
        holdings_of(session, known),
        [pair for pair in met.values() if pair.a in known and pair.b in known],
        judgements.of_images(session, known),
        groups,
        members,
        upto,
        borders_of(session, _bordered(met.values())),
    )


def holdings_of(session: Session, image_ids: Iterable[int]) -> Sequence[Row]:
    """The files of which groups are drawn; not those that a batch has moved to where they are."""
    return session.all("holdings_to_draw", ids=_ids(image_ids))


def borders_of(session: Session, image_ids: Collection[int]) -> dict[int, float]:
    """As ``Component.borders``, by pairs among these images."""
    found: dict[int, float] = {}
    for row in session.all("borders_among", ids=_ids(image_ids)) if image_ids else ():
        border = border_from(row["detail"])
        if border is not None:
            image_id = row["a"] if border.first else row["b"]
            found[image_id] = min(border.share, found.get(image_id, 1.0))
    return found


def _bordered(met: Iterable[Pair]) -> set[int]:
    return {image_id for pair in met if pair.relation == Relation.BORDERED for image_id in (pair.a, pair.b)}


def apply(session: Session, seen: Component, seeds: Collection[int], drawn: Iterable[Drawn], now_ms: int) -> int:
    """Replace the groups of a component; those that stay as they are keep their time. Returns how many have changed.

    The wishes of ``seeds`` and of the component are fulfilled, as far as they were made before it was read.
    """
    before = {row["id"]: row for row in seen.groups}
    members_before: dict[int, set[DrawnMember]] = {group_id: set() for group_id in before}
    for row in seen.members:
        members_before[row["group_id"]].add(
            DrawnMember(**{name: value for name, value in row.items() if name != "group_id"})
        )
    changed = [
        group for group in drawn if group.id is None or _differs(before[group.id], members_before[group.id], group)
    ]
    kept = {group.id for group in drawn}
    gone = before.keys() - kept
    for group_id in gone:
        session.run("group_remove", id=group_id)
    for group in changed:  # All before any is filled, for a member may go from one to another.
        if group.id is not None:
            session.run("members_remove", group_id=group.id)
    # Later than any before, however the clock is set: who has seen the groups as of some time can tell what changed since.
    changed_at_ms = max(now_ms, 1 + (session.value("groups_newest") or 0)) if changed else now_ms
    for group in changed:
        _put(session, group, changed_at_ms)
    session.run("regroup_done", upto=seen.upto, ids=_ids({*seen.images, *seeds}))
    wanting = [image_id for group in drawn for image_id in _images_of(group) if not _tried(seen.images[image_id])]
    session.run("unmeasured_put", ids=_ids(wanting), version=EVIDENCE_VERSION)
    return len(changed) + len(gone)


def _tried(row: Row) -> bool:
    return bool(row["evidence_version"] == EVIDENCE_VERSION)


def _images_of(group: Drawn) -> set[int]:
    return {member.image_id for member in group.members}


def _differs(row: Row, members: set[DrawnMember], group: Drawn) -> bool:
    names = ("keeper_holding_id", "keeper_image_id", "tier", "relation", "phash_distance", "reclaimable_bytes", "state")
    return (
        any(row[name] != getattr(group, name) for name in names)
        or bool(row["chosen"]) != group.chosen
        or row["reasons"] != json.dumps(group.reasons)
        or row["roots"] != _roots(group)
        or members != set(group.members)
    )


def _roots(group: Drawn) -> str:
    return f",{','.join(map(str, group.roots))},"


def _roster(group: Drawn) -> str:
    ids = sorted(member.image_id for member in group.members)
    return f",{','.join(map(str, ids))},"


def _put(session: Session, group: Drawn, now_ms: int) -> None:
    values = {
        "keeper_holding_id": group.keeper_holding_id,
        "keeper_image_id": group.keeper_image_id,
        "tier": group.tier,
        "relation": group.relation,
        "phash_distance": group.phash_distance,
        "members": len(group.members),
        "reclaimable_bytes": group.reclaimable_bytes,
        "chosen": int(group.chosen),
        "reasons": json.dumps(group.reasons),
        "roots": _roots(group),
        "roster": _roster(group),
        "state": group.state,
        "now_ms": now_ms,
    }
    group_id = group.id
    if group_id is None:
        group_id = session.value("group_put", **values)
    else:
        session.run("group_change", id=group_id, **values)
    for member in group.members:
        session.run(
            "member_put",
            group_id=group_id,
            holding_id=member.holding_id,
            image_id=member.image_id,
            tier=member.tier,
            relation=member.relation,
            phash_distance=member.phash_distance,
            dhash_distance=member.dhash_distance,
            phash256_distance=member.phash256_distance,
        )


@dataclass(frozen=True, slots=True)
class Drawing:
    """By which rules the groups are drawn. ``after``: while all are drawn anew, the last image it was wished for."""

    rules: str
    min_texture: float
    after: int | None


def drawing(session: Session) -> Drawing | None:
    row = session.one("drawing_get")
    return Drawing(row["rules"], row["min_texture"], row["after_image_id"]) if row else None


def begin_drawing(session: Session, rules: str, min_texture: float) -> None:
    """Have all groups drawn anew, by other rules. Pictures whose hashes are believed only now are compared first."""
    before = drawing(session)
    if before is not None and min_texture < before.min_texture:
        session.run("uncompared_put_between", from_texture=min_texture, to_texture=before.min_texture)
    session.run("drawing_put", rules=rules, min_texture=min_texture, after_image_id=0 if before else None)


def go_on_drawing(session: Session, before: Drawing, lot: int) -> None:
    """Wish for the next ``lot`` images."""
    last: int | None = session.value("regroup_next_end", after=before.after, limit=lot)
    session.run("regroup_next", after=before.after, limit=lot)
    session.run("drawing_put", rules=before.rules, min_texture=before.min_texture, after_image_id=last)


def wished(session: Session) -> int:
    """How many images wait for their groups to be drawn."""
    count: int = session.value("regroup_count")
    return count


def evidence_of(session: Session, image_ids: Collection[int]) -> dict[int, Row]:
    """Rows of ``evidence`` by image."""
    return {row["image_id"]: row for row in session.all("evidence_of_images", ids=_ids(image_ids))}


def unmeasured_count(session: Session) -> int:
    count: int = session.value("unmeasured_count")
    return count


def _ids(ids: Iterable[int]) -> str:
    return json.dumps(sorted(set(ids)))
