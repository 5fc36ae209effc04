"""Groups are stars: each member resembles its keeper, never one another by way of a third.

Chains (a like b, b like c) would merge strangers: with 1 % of false links a library becomes one group. So the best picture
that is left takes those that resemble it, and this goes on with what remains. Pure, and the same in any order of input.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dropmill.model.resemblance import Relation, Thresholds, Tier, bears_out, tier_of

_SURENESS: Final = {tier: number for number, tier in enumerate(Tier)}


@dataclass(frozen=True, slots=True)
class Edge:
    """Two pictures that resemble each other within the thresholds in force. Distances in bits."""

    a: int
    b: int
    tier: Tier
    phash_distance: int = 0
    dhash_distance: int = 0
    phash256_distance: int = 0
    relation: str = ""

    def other(self, node: int) -> int:
        return self.b if node == self.a else self.a

    @property
    def farness(self) -> tuple[int, int, int, int]:
        """Sorts the surest and nearest first."""
        return _SURENESS[self.tier], self.phash_distance, self.dhash_distance, self.phash256_distance


@dataclass(frozen=True, slots=True)
class Star:
    """``members``: without the keeper, nearest first, with what ties each to it."""

    keeper: int
    members: tuple[tuple[int, Edge], ...]


def _by_hash(distances: tuple[int, int, int], textures: tuple[float, float], thresholds: Thresholds) -> Tier | None:
    least = min(textures)
    believed = least >= thresholds.min_texture and bears_out(distances[2], least)
    return tier_of(distances[0], distances[1], thresholds) if believed else None


def edge_of(
    a: int,
    b: int,
    how: str,
    distances: tuple[int, int, int],
    relation: str,
    textures: tuple[float, float],
    thresholds: Thresholds,
    tiers: Collection[Tier],
) -> Edge | None:
    """A remembered pair as an edge, or None where it is not in force: beyond the thresholds, of a tier that is not looked
    for, of flat pictures, or not proven yet. ``how``, ``relation`` and the three ``distances`` as in the table ``pairs``.
    """
    tier: Tier | None
    match how:
        case "coded":
            tier = Tier.EXACT
        case "pixels":
            tier = Tier.NEAR if relation == Relation.IDENTICAL else None
        case "hash":
            tier = _by_hash(distances, textures, thresholds)
        case _:
            believed = min(textures) >= thresholds.min_texture and relation != Relation.UNKNOWN
            # A window of one picture lies near many others: only what the pixels bear out counts.
            tier = Tier.LOOSE if believed and (how != "window" or relation) else None
            if how == "window" and tier is not None:
                # The whole pictures may be near enough too, by wider thresholds than when it was met.
                tier = _by_hash(distances, textures, thresholds) or tier
    if tier is None or tier not in tiers:
        return None
    return Edge(a, b, tier, *distances, relation)


def stars(
    nodes: Iterable[int],
    edges: Iterable[Edge],
    score: Mapping[int, Any],
    apart: Collection[tuple[int, int]] = (),
) -> list[Star]:
    """Each node is in at most one star, and each star has two nodes at least.

    ``score``: anything that can be compared, larger for what is rather kept; of equals the smaller number is. ``apart``:
    pairs (smaller number first) that never share a star, whatever resembles whom.
    """
    left = set(nodes)
    near: dict[int, list[Edge]] = {node: [] for node in left}
    for edge in edges:
        if edge.a in left and edge.b in left and edge.a != edge.b:
            near[edge.a].append(edge)
            near[edge.b].append(edge)
    strangers: dict[int, set[int]] = {}
    for one, other in apart:
        strangers.setdefault(one, set()).add(other)
        strangers.setdefault(other, set()).add(one)
    found = []
    for keeper in _best_first(left, score):
        if keeper not in left:
            continue
        left.discard(keeper)
        members = _members(keeper, near[keeper], left, strangers)
        if members:
            left.difference_update(node for node, _ in members)
            found.append(Star(keeper, tuple(members)))
    return found


def _best_first(nodes: Iterable[int], score: Mapping[int, Any]) -> Sequence[int]:
    by_number = sorted(nodes)
    return sorted(by_number, key=lambda node: score[node], reverse=True)  # Stable also in reverse.


def _members(
    keeper: int, edges: Iterable[Edge], left: Collection[int], strangers: Mapping[int, set[int]]
) -> list[tuple[int, Edge]]:
    met = {keeper}
    members = []
    for edge in sorted(edges, key=lambda edge: (edge.farness, edge.other(keeper))):
        node = edge.other(keeper)
        if node in left and node not in met and met.isdisjoint(strangers.get(node, ())):
            met.add(node)
            members.append((node, edge))
    return members
