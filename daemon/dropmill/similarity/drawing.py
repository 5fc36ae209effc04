"""From pairs, files and what a person decided to groups: which there are, who is the keeper, and what that would give back.

Pure: the same whatever order the rows come in, and whatever else is catalogued.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dropmill.model.resemblance import Relation, Thresholds, Tier
from dropmill.similarity.grouping import Edge, Star, edge_of, stars
from dropmill.store.drawing import Component, Drawn, DrawnMember

Row = Mapping[str, Any]
Order = Callable[[Sequence[Row]], Sequence[int]]
"""Of rows of holdings their ids, the one that is rather kept first."""
Why = Callable[[int, Sequence[Row]], Sequence[str]]
"""Why the holding of that id is the one to keep of these, as sentences."""
_SURENESS: Final = {tier: number for number, tier in enumerate(Tier)}


@dataclass(frozen=True, slots=True)
class Rules:
    """What groups depend on besides what is catalogued. ``tiers``: those that are looked for."""

    thresholds: Thresholds
    tiers: frozenset[Tier]


def draw(seen: Component, rules: Rules, order: Order, why: Why) -> list[Drawn]:
    """The groups of a component, each under the id of the earlier group that it continues."""
    return [_told(group, group_id, why) for group, group_id in _named(_Drawing(seen, rules, order).groups(), seen)]


@dataclass(frozen=True, slots=True)
class _Group:
    """Of holdings. ``members``: with the keeper, which comes first, and what ties each to it."""

    members: tuple[tuple[Row, Edge], ...]
    chosen: bool
    settled: bool

    @property
    def keeper(self) -> Row:
        return self.members[0][0]


class _Drawing:
    def __init__(self, seen: Component, rules: Rules, order: Order) -> None:
        places = {holding_id: place for place, holding_id in enumerate(order(seen.holdings))}
        self._holdings: dict[int, list[Row]] = {}
        for holding in sorted(seen.holdings, key=lambda row: places[row["id"]]):
            self._holdings.setdefault(holding["image_id"], []).append(holding)
        self._chosen, self._different, self._both = _judged(seen)
        self._score = {
            image_id: (self._chosen.get(image_id, 0), -places[holdings[0]["id"]])
            for image_id, holdings in self._holdings.items()
        }
        self._edges = _edges(seen, rules)
        self._left = set(self._holdings)

    def groups(self) -> list[_Group]:
        """Duplicates first; of what is left, copies of the same bytes, then pictures of a burst, which are no duplicates;
        in the end what a person said is to stay."""
        found: list[_Group] = []
        judged = self._both | self._different
        is_open = [edge for edge in self._edges if (edge.a, edge.b) not in self._both]
        found += self._stars([edge for edge in is_open if edge.relation != Relation.BURST])
        found += self._copies([image_id for image_id in self._left if (image_id, image_id) not in judged])
        found += self._stars([edge for edge in is_open if edge.relation == Relation.BURST])
        found += self._stars([edge for edge in self._edges if (edge.a, edge.b) in self._both], settled=True)
        found += self._copies([one for one in self._left if (one, one) in self._both - self._different], settled=True)
        return found

    def _stars(self, edges: Iterable[Edge], *, settled: bool = False) -> list[_Group]:
        return self._take(stars(self._left, edges, self._score, self._different), settled)

    def _copies(self, image_ids: Iterable[int], *, settled: bool = False) -> list[_Group]:
        return self._take([Star(image_id, ()) for image_id in sorted(image_ids)], settled)

    def _take(self, found: Iterable[Star], settled: bool) -> list[_Group]:
        groups = []
        for star in found:
            group = self._group(star, settled)
            if len(group.members) > 1:
                groups.append(group)
                self._left.difference_update(holding["image_id"] for holding, _ in group.members)
        return groups

    def _group(self, star: Star, settled: bool) -> _Group:
        """The files of a star. What is the keeper's file under another name takes no room, so it is no copy of it; and of
        copies that are to stay one stands for all."""
        same = Edge(star.keeper, star.keeper, Tier.EXACT, relation=Relation.IDENTICAL.value)
        keeper, *copies = self._holdings[star.keeper]
        stay = (star.keeper, star.keeper)
        if stay in self._different or (stay in self._both and not settled):
            copies = []
        members = [(keeper, same), *((copy, same) for copy in copies if file_of(copy) != file_of(keeper))]
        for image_id, edge in star.members:
            members += [(holding, edge) for holding in self._holdings[image_id]]
        return _Group(tuple(members), star.keeper in self._chosen, settled)


def file_of(holding: Row) -> tuple[int, int, int]:
    """Equal for two names of one file, as hard links are. Of holdings of one image."""
    return holding["ino"], holding["size_bytes"], holding["mtime_ns"]


def _judged(seen: Component) -> tuple[dict[int, int], set[tuple[int, int]], set[tuple[int, int]]]:
    """When a person chose which images as keepers, and the pairs that are different, and that both are to stay."""
    ids = {row["sha256"]: image_id for image_id, row in seen.images.items()}
    chosen: dict[int, int] = {}
    pairs: dict[str, set[tuple[int, int]]] = {"different": set(), "both": set()}
    for judgement in seen.judgements:
        if judgement.kind == "keeper":
            image_id = ids[judgement.sha256_a]
            chosen[image_id] = max(chosen.get(image_id, 0), judgement.decided_at_ms)
        elif judgement.sha256_b in ids:
            one, other = sorted((ids[judgement.sha256_a], ids[judgement.sha256_b]))
            pairs[judgement.kind].add((one, other))
    return chosen, pairs["different"], pairs["both"]


def _edges(seen: Component, rules: Rules) -> list[Edge]:
    found = []
    for pair in sorted(seen.pairs, key=lambda pair: (pair.a, pair.b)):
        textures = (seen.images[pair.a]["texture"], seen.images[pair.b]["texture"])
        distances = (pair.phash_distance, pair.dhash_distance, pair.phash256_distance)
        edge = edge_of(pair.a, pair.b, pair.how, distances, pair.relation, textures, rules.thresholds, rules.tiers)
        if edge is not None:
            found.append(edge)
    return found


def _named(groups: Sequence[_Group], seen: Component) -> list[tuple[_Group, int | None]]:
    """A group goes on under the id of the one with the same keeper, else of the one with which it shares most."""
    by_keeper = {row["keeper_holding_id"]: row["id"] for row in seen.groups}
    ids: dict[int, int | None] = {number: by_keeper.get(group.keeper["id"]) for number, group in enumerate(groups)}
    free = {row["id"] for row in seen.groups} - set(ids.values())
    group_of = {row["holding_id"]: row["group_id"] for row in seen.members}
    shares = []
    for number, group in enumerate(groups):
        shared: dict[int, int] = {}
        for holding, _ in group.members:
            old = group_of.get(holding["id"])
            if old is not None and old in free and ids[number] is None:
                shared[old] = shared.get(old, 0) + 1
        shares += [(-count, old, number) for old, count in shared.items()]
    for _, old, number in sorted(shares):
        if old in free and ids[number] is None:
            ids[number] = old
            free.discard(old)
    return [(group, ids[number]) for number, group in enumerate(groups)]


def _told(group: _Group, group_id: int | None, why: Why) -> Drawn:
    keeper = group.keeper
    farthest = max((edge for _, edge in group.members[1:]), key=lambda edge: edge.farness)
    return Drawn(
        id=group_id,
        keeper_holding_id=keeper["id"],
        keeper_image_id=keeper["image_id"],
        tier=farthest.tier.value,
        relation=farthest.relation,
        phash_distance=max(edge.phash_distance for _, edge in group.members),
        members=tuple(sorted((_member(*member) for member in group.members), key=lambda member: member.holding_id)),
        reclaimable_bytes=_reclaimable(group),
        chosen=group.chosen,
        reasons=tuple(why(keeper["id"], [holding for holding, _ in group.members])),
        roots=tuple(sorted({holding["root_id"] for holding, _ in group.members})),
        state="settled" if group.settled else "open",
    )


def _member(holding: Row, edge: Edge) -> DrawnMember:
    distances = edge.phash_distance, edge.dhash_distance, edge.phash256_distance
    return DrawnMember(holding["id"], holding["image_id"], edge.tier.value, edge.relation, *distances)


def _reclaimable(group: _Group) -> int:
    """Bytes that are free once only the keeper is left: a file of several names counts once."""
    files = {(holding["image_id"], file_of(holding)): holding["size_bytes"] for holding, _ in group.members[1:]}
    return sum(files.values())
