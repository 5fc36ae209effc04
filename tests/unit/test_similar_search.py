"""The search is exact at every radius, and turned hashes are what turned pictures have."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from scipy.fftpack import dct

import photographs
from dropmill.imaging.fingerprint import looks_of
from dropmill.similarity.index import BANDS, LEAST_TAIL, Index, reaches
from dropmill.similarity.turns import TURNS, Turn, turned_dhash, turned_phash, turned_phash256

EVERY = 64
"""A radius within which everything lies."""
HASHES = st.integers(0, (1 << 64) - 1)


def flipped(value: int, bits: int, chance: random.Random) -> int:
    for bit in chance.sample(range(64), bits):
        value ^= 1 << bit
    return value


def filled(phash: NDArray[np.uint64], dhash: NDArray[np.uint64]) -> Index:
    index = Index()
    index.add(np.arange(1, len(phash) + 1), phash, dhash)
    index.settle()
    return index


@pytest.mark.parametrize("radius", range(16))
def test_no_hash_within_the_radius_escapes_all_bands(radius: int) -> None:
    """One that did would be further than ``reach`` in each band: so many bits are more than the radius."""
    reach = reaches(radius)
    assert len(reach) == BANDS
    assert sum(each + 1 for each in reach) == radius + 1


@pytest.mark.long
def test_of_a_million_hashes_the_index_finds_at_every_radius_what_brute_force_finds() -> None:
    """Random ones, planted ones at every distance up to 14 from those that are asked for, and copies of one."""
    chance, numbers = random.Random(11), np.random.default_rng(11)
    phash = numbers.integers(0, 1 << 64, 1_000_000, dtype=np.uint64)
    dhash = numbers.integers(0, 1 << 64, len(phash), dtype=np.uint64)
    asked = phash[numbers.choice(len(phash), 30, replace=False)].tolist()
    places = iter(numbers.permutation(len(phash)).tolist())
    for value in asked:
        for distance in range(15):
            for _ in range(3):
                phash[next(places)] = flipped(value, distance, chance)
    # Bits that all lie in few bands, and a hash that very many share.
    for band in range(BANDS):
        phash[next(places)] = asked[0] ^ 0xFFF << 16 * band
    for _ in range(2_000):
        phash[next(places)] = asked[1]
    index = filled(phash[:-5_000], dhash[:-5_000])
    index.add(np.arange(len(phash) - 4_999, len(phash) + 1), phash[-5_000:], dhash[-5_000:])
    index.settle()
    assert len(index) == 1_000_000
    for value in [*asked, *numbers.integers(0, 1 << 64, 10, dtype=np.uint64).tolist()]:
        away = np.bitwise_count(phash ^ np.uint64(value))
        for radius in range(13):
            found = index.search(value, 0, radius, EVERY, len(phash))
            assert sorted(match.image_id for match in found) == (np.flatnonzero(away <= radius) + 1).tolist()
            assert all(match.phash_distance == away[match.image_id - 1] for match in found)


def test_the_tail_sorted_rows_and_removals_answer_as_one() -> None:
    chance = random.Random(12)
    images: dict[int, tuple[int, int]] = {}
    index = Index()
    asked = [chance.getrandbits(64) for _ in range(4)]
    for first in (1, LEAST_TAIL * 2, LEAST_TAIL * 2 + 500):
        fresh = {
            number: (flipped(chance.choice(asked), chance.randrange(16), chance), chance.getrandbits(64))
            for number in range(first, first + (LEAST_TAIL + 100 if first == 1 else 400))
        }
        columns = (np.array([hashes[at] for hashes in fresh.values()], np.uint64) for at in (0, 1))
        index.add(np.array(list(fresh)), *columns)
        images |= fresh
        gone = chance.sample(sorted(images), 150)
        index.remove(np.array([*gone, 10**6]))
        for number in gone:
            del images[number]
        index.settle()
        assert len(index) == len(images)
        for value in asked:
            expected = [
                (number, (phash ^ value).bit_count(), dhash.bit_count())
                for number, (phash, dhash) in images.items()
                if (phash ^ value).bit_count() <= 10 and dhash.bit_count() <= 30
            ]
            expected.sort(key=lambda found: (found[1], found[2], found[0]))
            found = index.search(value, 0, 10, 30, len(images))
            assert [(match.image_id, match.phash_distance, match.dhash_distance) for match in found] == expected
            assert index.search(value, 0, 10, 30, 7) == found[:7]


def test_an_image_takes_40_bytes_at_most() -> None:
    numbers = np.random.default_rng(13)
    count = 400_000
    index = filled(*(numbers.integers(0, 1 << 64, count, dtype=np.uint64) for _ in range(2)))
    fixed = index.size_bytes - 36 * count
    # The starts of bands, and room for the tail, are there once.
    assert 0 < fixed < 3 << 20
    assert fixed / 1_000_000 + 36 < 40


def signs(pixels: NDArray[np.float64], side: int) -> int:
    """A hash whose bits are the signs of the lowest coefficients themselves."""
    low = dct(dct(pixels, axis=0), axis=1)[:side, :side]
    return int.from_bytes(np.packbits(low > 0).tobytes(), "big")


def lying(pixels: NDArray[np.float64], turn: Turn) -> NDArray[np.float64]:
    if turn.diagonal:
        pixels = pixels.T
    return pixels[:: -1 if turn.down else 1, :: -1 if turn.across else 1]


@given(st.integers(0, (1 << 32) - 1), st.sampled_from(TURNS))
def test_turned_by_their_bits_the_signs_of_a_dct_are_those_of_the_turned_picture(seed: int, turn: Turn) -> None:
    pixels = np.random.default_rng(seed).normal(size=(64, 64))
    turned = lying(pixels, turn)
    assert turned_phash(signs(pixels, 8), turn) == signs(turned, 8)
    assert turned_phash256(f"{signs(pixels, 16):064x}", turn) == f"{signs(turned, 16):064x}"


@given(st.integers(0, (1 << 32) - 1), st.sampled_from([turn for turn in TURNS if not turn.diagonal]))
def test_mirrored_by_its_bits_a_dhash_is_that_of_the_mirrored_picture(seed: int, turn: Turn) -> None:
    """Where no two neighbours are alike."""
    pixels = np.random.default_rng(seed).permutation(72).reshape(8, 9).astype(float)

    def dhash(pixels: NDArray[np.float64]) -> int:
        return int.from_bytes(np.packbits(pixels[:, 1:] > pixels[:, :-1]).tobytes(), "big")

    assert turned_dhash(dhash(pixels), turn) == dhash(lying(pixels, turn))


@given(HASHES, HASHES, st.sampled_from(TURNS))
def test_turning_keeps_distances(one: int, other: int, turn: Turn) -> None:
    assert (turned_phash(one, turn) ^ turned_phash(other, turn)).bit_count() == (one ^ other).bit_count()
    if not turn.diagonal:
        assert turned_phash(turned_phash(one, turn), turn) == one
        assert turned_dhash(turned_dhash(one, turn) or 0, turn) == one


@pytest.mark.long
def test_really_turned_photographs_have_nearly_the_turned_hashes() -> None:
    """A phash compares with a median near zero, and not with zero: some bits differ."""
    far, far_larger = [], []
    for path in photographs.paths()[::4]:
        picture = photographs.load(path, 600)
        own = looks_of(picture)
        for turn in TURNS:
            turned = picture.transpose(Image.Transpose.TRANSPOSE) if turn.diagonal else picture
            turned = turned.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if turn.across else turned
            turned = turned.transpose(Image.Transpose.FLIP_TOP_BOTTOM) if turn.down else turned
            looks = looks_of(turned)
            far.append((turned_phash(own.phash, turn) ^ looks.phash).bit_count())
            larger = int(turned_phash256(own.phash256, turn), 16) ^ int(looks.phash256, 16)
            far_larger.append(larger.bit_count())
    assert sum(away <= 10 for away in far) >= 0.95 * len(far)
    assert max(far_larger) <= 24
