"""How many groups there would be under other thresholds: the same stars, without drawing them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from dropmill.model.resemblance import Thresholds, Tier
from dropmill.similarity.grouping import Edge, edge_of, stars

Row = Mapping[str, Any]
_SURENESS: Final = {tier: number for number, tier in enumerate(Tier)}


@dataclass(frozen=True, slots=True)
class Tally:
    """Groups by tier, and images in all of them."""

    groups: Mapping[Tier, int]
    images: int


def tally(pairs: Iterable[Row], thresholds: Thresholds, tiers: Collection[Tier]) -> Tally:
    """``pairs`` as ``store.pairs.page`` gives them. The larger picture stands for the keeper of a star, which decides
    about the number of groups in rare cases only."""
    edges: list[Edge] = []
    pixels: dict[int, tuple[int, int]] = {}
    for row in pairs:
        if row["judged"] or not row["held"]:
            continue
        distances = (row["phash_distance"], row["dhash_distance"], row["phash256_distance"])
        textures = (row["texture_a"], row["texture_b"])
        edge = edge_of(row["a"], row["b"], row["how"], distances, row["relation"], textures, thresholds, tiers)
        if edge is None:
            continue
        edges.append(edge)
        pixels[edge.a] = (row["pixels_a"], -edge.a)
        pixels[edge.b] = (row["pixels_b"], -edge.b)
    groups: Counter[Tier] = Counter()
    images = 0
    for star in stars(pixels, edges, pixels):
        groups[max((edge.tier for _, edge in star.members), key=_SURENESS.__getitem__)] += 1
        images += 1 + len(star.members)
    return Tally(groups, images)
