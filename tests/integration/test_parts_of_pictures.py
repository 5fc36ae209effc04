"""Copies that were cut or given a border: how many meet their original, and that strangers never do."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial
from pathlib import Path

import pytest
from PIL import Image, ImageOps

import photographs
import synthetic
from dropmill.imaging.compare import relation_of
from dropmill.imaging.fingerprint import looks_of
from dropmill.maintenance.compare import Comparer
from dropmill.model.fingerprint import Content, Looks
from dropmill.model.image import Picture
from dropmill.model.resemblance import Thresholds, Tier, is_part
from dropmill.observe.clock import SystemClock
from dropmill.similarity.client import IndexClient
from dropmill.similarity.grouping import edge_of
from dropmill.store import images, pairs, windows
from dropmill.store.catalog import Catalog, catalog_path
from dropmill.store.connection import Row, Session
from photographs import cropped, known, load, recoded, shown

pytestmark = pytest.mark.anyio

RULES = Thresholds()
Found = tuple[set[tuple[int, int]], set[tuple[int, int]]]
"""Pairs of images that are in force by the hashes of the whole, and those that a part suggests."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def catalog(tmp_path: Path) -> AsyncIterator[Catalog]:
    opened = Catalog(catalog_path(str(tmp_path)))
    yield opened
    opened.close()


def digest(number: int) -> str:
    return f"{number:064x}"


async def put(catalog: Catalog, all_looks: Iterable[Looks]) -> None:
    """Images, still to be compared, whose ids begin at 1."""
    ready = list(enumerate(all_looks, 1))

    def put(session: Session) -> None:
        picture = Picture("jpeg", 800, 600, "RGB")
        for number, looks in ready:
            images.put(session, Content(digest(number), digest(number)), looks, picture, 1000, 0)
        pairs.compare_later(session, [number for number, _ in ready])

    await catalog.write(put)


async def compared(catalog: Catalog) -> Found:
    """What the index finds of all that was put, as a daemon has it compared."""
    index = IndexClient(catalog, SystemClock(), lambda _fact: None, turned=True)
    try:
        comparer = Comparer(catalog, index, RULES, alike=True)
        while await comparer.turn():
            pass
    finally:
        await index.close()

    def found(session: Session) -> Found:
        rows = pairs.page(session, (0, 0), 100_000)
        whole = {(row["a"], row["b"]) for row in rows if _in_force(row)}
        return whole, set(windows.to_confirm(session, 100_000))

    return await catalog.read(found)


def _in_force(row: Row) -> bool:
    distances = (row["phash_distance"], row["dhash_distance"], row["phash256_distance"])
    textures = (row["texture_a"], row["texture_b"])
    edge = edge_of(1, 2, row["how"], distances, row["relation"], textures, RULES, set(Tier) - {Tier.LOOSE})
    return edge is not None


def is_pair(one: Image.Image, other: Image.Image) -> bool:
    """What the pixels say of two pictures of which a part suggests that they are one."""
    answer = relation_of(known(one), known(other), shown(one), shown(other))
    return is_part(answer.relation, answer.likeness, answer.box)


Change = Callable[[Image.Image, random.Random], Image.Image]


def _even(share: float, image: Image.Image, _chance: random.Random) -> Image.Image:
    return recoded(cropped(image, share, share, share, share), 85)


def _anyhow(image: Image.Image, chance: random.Random) -> Image.Image:
    return recoded(cropped(image, *(chance.uniform(0.0, 0.09) for _ in range(4))), 85)


def _two_sides(image: Image.Image, chance: random.Random) -> Image.Image:
    sides = [0.0] * 4
    for side in chance.sample(range(4), 2):
        sides[side] = chance.uniform(0.03, 0.09)
    return recoded(cropped(image, *sides), 85)


def _framed(image: Image.Image, chance: random.Random) -> Image.Image:
    some = tuple(chance.randrange(256) for _ in range(3))
    colour = chance.choice(((0, 0, 0), (255, 255, 255), (128, 128, 128), some, some))
    return recoded(ImageOps.expand(image, round(chance.uniform(0.02, 0.15) * min(image.size)), colour), 85)


CHANGES: dict[str, Change] = {
    "crop 5 % a side": partial(_even, 0.05),
    "crop 9 % a side": partial(_even, 0.09),
    "crop 0 to 9 %": _anyhow,
    "crop of two sides": _two_sides,
    "border 2 to 15 %": _framed,
}


@pytest.mark.long
@pytest.mark.timeout(1800)
async def test_what_was_cut_or_framed_meets_its_original_and_no_other(
    catalog: Catalog, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures: dict[int, Image.Image] = {}
    source: dict[int, tuple[int, str]] = {}
    for number, path in enumerate(photographs.paths()):
        chance = random.Random(f"part {number}")
        original = recoded(load(path, 700), 93)
        copies = {kind: change(original, chance) for kind, change in CHANGES.items()}
        for kind, picture in {"": original, **copies}.items():
            image_id = 1 + len(pictures)
            pictures[image_id], source[image_id] = picture, (number, kind)
    await put(catalog, (looks_of(picture, parts=True) for picture in pictures.values()))
    whole, suggested = await compared(catalog)
    strangers = [pair for pair in suggested if source[pair[0]][0] != source[pair[1]][0]]
    assert [pair for pair in strangers if is_pair(*(pictures[one] for one in pair))] == []

    by_whole: Counter[str] = Counter()
    by_part: Counter[str] = Counter()
    for a, b in sorted(whole | suggested):
        (number, kind), (other, copy) = source[a], source[b]
        if number != other or kind:  # The original has the smaller number.
            continue
        if (a, b) in whole:
            by_whole[copy] += 1
        elif is_pair(pictures[a], pictures[b]):
            by_part[copy] += 1
    total = len(photographs.paths())
    with capsys.disabled():
        print(f"\n{total} photographs, in percent: found by the whole, by the whole or a part")
        for kind in CHANGES:
            both = by_whole[kind] + by_part[kind]
            print(f"  {kind:18} {100 * by_whole[kind] / total:5.1f} {100 * both / total:5.1f}")
        print(f"  suggested pairs of different photographs: {len(strangers)}")
    crops = [kind for kind in CHANGES if kind.startswith("crop")]
    assert sum(by_whole[kind] + by_part[kind] for kind in crops) >= 0.95 * total * len(crops)
    assert by_whole["border 2 to 15 %"] + by_part["border 2 to 15 %"] >= 0.95 * total
    assert sum(by_whole[kind] for kind in crops) < 0.7 * total * len(crops), "the whole alone would do"


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("draw", [synthetic.document, synthetic.screenshot])
async def test_no_two_of_500_drawn_pages_or_screens_are_parts_of_each_other(
    catalog: Catalog, draw: Callable[[int], Image.Image], capsys: pytest.CaptureFixture[str]
) -> None:
    await put(catalog, (looks_of(draw(number), parts=True) for number in range(500)))
    _, suggested = await compared(catalog)
    with capsys.disabled():
        print(f"\n{draw.__name__}s: of 500 drawn, {len(suggested)} pairs are suggested by a part")
    assert [pair for pair in suggested if is_pair(*(draw(one - 1) for one in pair))] == []
    # Nor would the pixels let them be, were more suggested: of pages these are letters with the same margins.
    assert not any(is_pair(draw(number), draw(481)) for number in range(1, 481, 40))
