"""How one picture came from another: a labelled set of photographs, of what people do to copies, and of bursts."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import pytest
from PIL import Image

import photographs
from dropmill.imaging.compare import relation_of
from dropmill.model.errand import EXAMINED_SIDE
from dropmill.model.resemblance import Relation
from photographs import CHANGES, known, load, noisy, recoded, shot, shown

_SIDE = 1200
# Of each photograph that many changes of each kind are looked at, in turn, so that all strengths have their share.
_EACH = 2
_BURSTS = ((0.03, 0.0), (0.06, 0.0), (0.1, 0.0), (0.04, 0.6))
"""How far the view moves, as a share of the frame, and by how many degrees it turns."""

Pair = tuple[str, str, Image.Image, Image.Image]


def _labelled() -> Iterator[Pair]:
    for number, path in enumerate(photographs.paths()):
        chance = random.Random(number)
        original = recoded(load(path, _SIDE), 94)
        for kind, changes in CHANGES.items():
            names = sorted(changes)
            for name in (names[(_EACH * number + turn) % len(names)] for turn in range(_EACH)):
                yield kind, name, original, changes[name](original, chance)
        for turn in range(_EACH):
            shift, degrees = _BURSTS[(_EACH * number + turn) % len(_BURSTS)]
            one, other = (recoded(shot(load(path, _SIDE), chance, shift, degrees), 90) for _ in range(2))
            yield "burst", f"{shift} {degrees}", one, other
        yield "identical", "other metadata", original, original.copy()


@pytest.mark.long
@pytest.mark.timeout(900)
def test_relations_of_a_labelled_set(capsys: pytest.CaptureFixture[str]) -> None:
    found: dict[str, Counter[str]] = {}
    wrong = []
    previews: dict[str, Image.Image] = {}
    for kind, name, one, other in _labelled():
        known_one, known_other = known(one), known(other)
        if known_one.sha256 not in previews:
            previews = {known_one.sha256: shown(one)}
        answer = relation_of(known_one, known_other, previews[known_one.sha256], shown(other))
        found.setdefault(kind, Counter())[answer.relation.value] += 1
        if answer.relation != kind:
            wrong.append(f"{kind} ({name}): {answer.relation.value}, {answer.detail}")
    words = [relation.value for relation in Relation]
    with capsys.disabled():
        print("\n" + " " * 13 + "".join(f"{word:>12}" for word in words))
        for kind, counts in found.items():
            print(f"{kind:13}" + "".join(f"{counts[word] or '':>12}" for word in words))
    assert set(found) == set(words) - {"unknown"}
    for kind, counts in found.items():
        assert counts[kind] >= 0.9 * counts.total(), (kind, wrong)
    total = sum(counts.total() for counts in found.values())
    assert sum(counts["unknown"] for counts in found.values()) <= 0.05 * total, wrong


def test_strangers_are_no_relations() -> None:
    """Pictures that only a hash could confuse: no word is made up for them."""
    small = [load(path, EXAMINED_SIDE) for path in photographs.paths()[::3]]
    pairs = list(pairwise(small))
    told = [relation_of(known(one), known(other), one, other).relation for one, other in pairs]
    assert told.count(Relation.UNKNOWN) >= 0.9 * len(told), told


def test_a_turned_picture_says_how() -> None:
    """``turn`` shows the other as the one is."""
    original = load(photographs.paths()[0], 400)
    for turn, way in ((3, Image.Transpose.ROTATE_180), (2, Image.Transpose.FLIP_LEFT_RIGHT)):
        answer = relation_of(known(original), known(original.transpose(way)), original, original.transpose(way))
        assert (answer.relation, answer.turn) == (Relation.TURNED, turn)
    quarter = original.transpose(Image.Transpose.ROTATE_90)
    assert relation_of(known(original), known(quarter), original, quarter).turn == 6


def test_the_place_of_a_crop_is_told() -> None:
    original = load(photographs.paths()[1], EXAMINED_SIDE)
    width, height = original.size
    part = original.crop((width // 10, height // 20, width, height))
    answer = relation_of(known(original), known(part), original, part)
    assert answer.relation is Relation.CROPPED
    assert answer.box == pytest.approx((0.1, 0.05, 1.0, 1.0), abs=0.006)
    back = relation_of(known(part), known(original), part, original)
    assert back.relation is Relation.CROPPED
    assert back.box == pytest.approx((-1 / 9, -1 / 19, 1.0, 1.0), abs=0.01)


@pytest.mark.parametrize("size", [(8, 8), (1, 300), (300, 1), (16, 512)])
def test_no_shape_is_too_strange(size: tuple[int, int]) -> None:
    """Flat, tiny and narrow pictures get an answer, whatever it is."""
    flat = Image.new("RGB", size, (90, 120, 200))
    grain = noisy(flat, 20.0, random.Random(1))
    wide = load(photographs.paths()[2], 300)
    for one, other in ((flat, grain), (grain, flat), (flat, wide), (wide, grain)):
        answer = relation_of(replace(known(one), coded_sha256="a" * 64), known(other), one, other)
        assert answer.relation in Relation
