"""One question to the index: what resembles these looks, upright and, if that is wanted, turned, or a part of the other."""

from __future__ import annotations

from typing import Final

from dropmill.model.fingerprint import MOST_WINDOWS, Looks
from dropmill.model.resemblance import MOST_NEIGHBOURS, WIDEST_DHASH, WIDEST_PHASH, Neighbour
from dropmill.similarity.following import Follower
from dropmill.similarity.turns import TURNS, turned_dhash, turned_phash, turned_phash256

# In how many of 256 bits the larger phash of a picture may differ from what a turn of it would have: 16 at most did of 30
# photographs in all turns, and some more once they are re-encoded or a little cropped; 44 at least did of unrelated pages.
FARTHEST_TURNED: Final = 40
# Of those as many as one bit of the small hashes stands for.
_BITS_PER_BIT: Final = 4
# Between a part of one picture and the whole of another. The dhash is less sure of pictures with smooth grounds, where a
# pixel more or less of a border turns its bits.
_WINDOW_PHASH: Final = 10
_WINDOW_DHASH: Final = 16


def neighbours(follower: Follower, looks: Looks, *, turned: bool) -> list[Neighbour]:
    """Nearest first; an image that resembles it upright is not told of again as turned. Those of which one is like a part of
    the other come after all others, and may be among these too."""
    upright = follower.index.search(looks.phash, looks.dhash, WIDEST_PHASH, WIDEST_DHASH, MOST_NEIGHBOURS)
    found = {
        match.image_id: Neighbour(match.image_id, "hash", match.phash_distance, match.dhash_distance)
        for match in upright
    }
    if turned:
        known = set(found)
        for neighbour in _turned(follower, looks):
            earlier = found.get(neighbour.image_id)
            if neighbour.image_id not in known and (earlier is None or _order(neighbour) < _order(earlier)):
                found[neighbour.image_id] = neighbour
    return [*sorted(found.values(), key=_order)[:MOST_NEIGHBOURS], *_parts(follower, looks)]


def _turned(follower: Follower, looks: Looks) -> list[Neighbour]:
    """Those that the larger phash bears out: pages of text resemble other pages' mirror images by the small hashes."""
    found = []
    for turn in TURNS:
        phash, dhash = turned_phash(looks.phash, turn), turned_dhash(looks.dhash, turn)
        phash256 = int(turned_phash256(looks.phash256, turn), 16)
        # Of quarter turns the dhash knows nothing.
        radius = WIDEST_DHASH if dhash is not None else 64
        for match in follower.index.search(phash, dhash or 0, WIDEST_PHASH, radius, MOST_NEIGHBOURS):
            other = follower.phash256(match.image_id)
            away = (phash256 ^ int(other, 16)).bit_count() if other is not None else 256
            if away <= FARTHEST_TURNED:
                dhash_distance = match.dhash_distance if dhash is not None else -(-away // _BITS_PER_BIT)
                found.append(Neighbour(match.image_id, "turned", match.phash_distance, dhash_distance))
    return found


def _parts(follower: Follower, looks: Looks) -> list[Neighbour]:
    """Of the one that is asked about a part, or the whole, meets the whole of another, or its part."""
    if follower.windows is None or looks.windows is None:
        return []
    asked = [(follower.windows, looks.phash, looks.dhash)]
    asked += [(follower.index, part.phash, part.dhash) for part in looks.windows]
    found: dict[int, Neighbour] = {}
    for index, phash, dhash in asked:
        # Each image may be met by all of its windows.
        for match in index.search(phash, dhash, _WINDOW_PHASH, _WINDOW_DHASH, MOST_NEIGHBOURS * MOST_WINDOWS):
            neighbour = Neighbour(match.image_id, "window", match.phash_distance, match.dhash_distance)
            earlier = found.get(match.image_id)
            if earlier is None or _order(neighbour) < _order(earlier):
                found[match.image_id] = neighbour
    return sorted(found.values(), key=_order)[:MOST_NEIGHBOURS]


def _order(neighbour: Neighbour) -> tuple[int, int, int]:
    return neighbour.phash_distance, neighbour.dhash_distance, neighbour.image_id
