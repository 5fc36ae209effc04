"""How many pairs of unrelated pictures a threshold lets through in a library of a size, so that nobody has to guess."""

from __future__ import annotations

from typing import Final

# By largest phash distance (bits of 64): the share of unrelated pairs that are as near. Measured over 54 million pairs of
# unrelated photographs: 3.7e-8 by phash <= 4, 2.9e-7 by phash <= 10 and dhash <= 10. With the texture that is asked for
# there was none among them at all, so these are upper bounds.
_MEASURED: Final = ((4, 3.7e-8), (10, 2.9e-7))


def false_pair_rate(phash_distance: int) -> float:
    """The share of unrelated pairs that are so near, at most. Between what was measured and beyond it on a straight line
    over logarithms.

    >>> false_pair_rate(10)
    2.9e-07
    """
    (low_bits, low), (high_bits, high) = _MEASURED
    rate = low * (high / low) ** ((phash_distance - low_bits) / (high_bits - low_bits))
    return float(f"{rate:.3g}")


def expected_false_pairs(phash_distance: int, images: int) -> float:
    """Among so many images, to two digits: the rate times half the square of their number.

    >>> expected_false_pairs(4, 100_000)
    180.0
    """
    return float(f"{false_pair_rate(phash_distance) * images * images / 2:.2g}")
