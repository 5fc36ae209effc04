"""Groups are stars, whatever resembles whom, in whatever order it is told."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropmill.model.resemblance import Relation, Thresholds, Tier
from dropmill.similarity.grouping import Edge, Star, edge_of, stars

NODES = st.integers(0, 11)
ALL_TIERS = frozenset(Tier)


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[int], list[Edge], dict[int, int], set[tuple[int, int]]]:
    pairs = draw(st.sets(st.tuples(NODES, NODES).filter(lambda pair: pair[0] < pair[1]), max_size=40))
    edges = [
        Edge(a, b, draw(st.sampled_from(list(Tier))), draw(st.integers(0, 6)) * 2, draw(st.integers(0, 12)))
        for a, b in sorted(pairs)
    ]
    score = {node: draw(st.integers(0, 4)) for node in range(12)}
    apart = draw(st.sets(st.tuples(NODES, NODES).filter(lambda pair: pair[0] < pair[1]), max_size=8))
    return list(range(12)), edges, score, apart


@given(graphs(), st.randoms())
def test_the_same_stars_whatever_the_order(
    graph: tuple[list[int], list[Edge], dict[int, int], set[tuple[int, int]]], chance: random.Random
) -> None:
    nodes, edges, score, apart = graph
    before = stars(nodes, edges, score, apart)
    chance.shuffle(nodes)
    chance.shuffle(edges)
    assert stars(nodes, edges, score, apart) == before


@given(graphs())
def test_each_member_resembles_its_keeper_and_is_in_no_other_star(
    graph: tuple[list[int], list[Edge], dict[int, int], set[tuple[int, int]]],
) -> None:
    nodes, edges, score, apart = graph
    met: list[int] = []
    for star in stars(nodes, edges, score, apart):
        here = [star.keeper, *(node for node, _ in star.members)]
        assert len(here) >= 2
        assert all(edge in edges and {edge.a, edge.b} == {star.keeper, node} for node, edge in star.members)
        assert all(score[star.keeper] >= score[node] for node, _ in star.members)
        assert not any((min(one, other), max(one, other)) in apart for one in here for other in here)
        met += here
    assert len(met) == len(set(met))


@given(graphs())
def test_whoever_is_in_no_star_resembles_no_keeper_but_those_it_is_kept_apart_from(
    graph: tuple[list[int], list[Edge], dict[int, int], set[tuple[int, int]]],
) -> None:
    nodes, edges, score, _ = graph
    found = stars(nodes, edges, score)
    inside = {node for star in found for node in (star.keeper, *(member for member, _ in star.members))}
    keepers = {star.keeper for star in found}
    for edge in edges:
        assert edge.a in inside or edge.b in inside
        for alone, other in ((edge.a, edge.b), (edge.b, edge.a)):
            assert alone in inside or other not in keepers


@given(graphs(), st.integers(0, 9))
def test_an_unrelated_picture_changes_nothing(
    graph: tuple[list[int], list[Edge], dict[int, int], set[tuple[int, int]]], its_score: int
) -> None:
    nodes, edges, score, apart = graph
    assert stars([*nodes, 99], edges, {**score, 99: its_score}, apart) == stars(nodes, edges, score, apart)


def told(found: Sequence[Star]) -> dict[int, list[int]]:
    return {star.keeper: [node for node, _ in star.members] for star in found}


def test_a_chain_merges_no_strangers() -> None:
    chain = [Edge(number, number + 1, Tier.SIMILAR, 8, 8) for number in range(1, 5)]
    assert told(stars(range(1, 6), chain, dict.fromkeys(range(1, 6), 0))) == {1: [2], 3: [4]}
    best_in_the_middle = {1: 0, 2: 0, 3: 9, 4: 0, 5: 0}
    assert told(stars(range(1, 6), chain, best_in_the_middle)) == {3: [2, 4]}


def test_the_nearest_members_come_first_and_strangers_share_no_star() -> None:
    edges = [Edge(1, 2, Tier.SIMILAR, 8, 8), Edge(1, 3, Tier.NEAR, 2, 2), Edge(1, 4, Tier.EXACT), Edge(2, 3, Tier.NEAR)]
    score = {1: 9, 2: 5, 3: 5, 4: 5}
    assert told(stars(score, edges, score)) == {1: [4, 3, 2]}
    assert told(stars(score, edges, score, {(2, 3)})) == {1: [4, 3]}
    assert told(stars(score, edges, score, {(1, 3)})) == {1: [4, 2]}


@pytest.mark.parametrize(
    ("how", "distances", "relation", "textures", "tier"),
    [
        ("coded", (0, 0, 0), "identical", (1.0, 1.0), Tier.EXACT),
        ("pixels", (0, 0, 0), "", (1.0, 1.0), None),
        ("pixels", (0, 0, 0), Relation.IDENTICAL, (1.0, 1.0), Tier.NEAR),
        ("hash", (4, 8, 20), "", (30.0, 30.0), Tier.NEAR),
        ("hash", (4, 9, 20), "", (30.0, 30.0), Tier.SIMILAR),
        ("hash", (10, 10, 70), Relation.BURST, (70.0, 70.0), Tier.SIMILAR),
        ("hash", (10, 10, 70), "", (30.0, 30.0), None),
        ("hash", (12, 10, 20), "", (30.0, 30.0), None),
        ("hash", (0, 0, 0), "", (30.0, 2.0), None),
        ("turned", (0, 0, 128), "", (30.0, 30.0), Tier.LOOSE),
        ("turned", (0, 0, 128), Relation.UNKNOWN, (30.0, 30.0), None),
        ("window", (2, 2, 128), "", (30.0, 30.0), None),
        ("window", (2, 2, 128), Relation.CROPPED, (30.0, 30.0), Tier.LOOSE),
    ],
)
def test_which_pairs_are_in_force(
    how: str, distances: tuple[int, int, int], relation: str, textures: tuple[float, float], tier: Tier | None
) -> None:
    edge = edge_of(1, 2, how, distances, relation, textures, Thresholds(min_texture=8.0), ALL_TIERS)
    assert (edge.tier if edge else None) == tier
    if tier is not None:
        assert (
            edge_of(1, 2, how, distances, relation, textures, Thresholds(min_texture=8.0), ALL_TIERS - {tier}) is None
        )
