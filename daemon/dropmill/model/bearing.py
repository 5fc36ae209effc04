"""The second question of a worker, once it knows how a picture looks: whether to render it, and changed in which way."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

from dropmill.model.duplicates import CHANGE_METHODS, ChangeMethod
from dropmill.model.fingerprint import Looks
from dropmill.model.resemblance import hamming
from dropmill.model.wire import Wire, count, finite, uint64

Hashes = tuple[int, int]
"""phash and dhash, unsigned."""


@dataclass(frozen=True, slots=True)
class Looked:
    """Sent before the renditions are made, where the request asks for it."""

    looks: Looks


@dataclass(frozen=True, slots=True)
class Changes:
    """A copy is to be changed until, of each of ``avoid``, its phash or its dhash is farther than those distances."""

    methods: tuple[ChangeMethod, ...]
    max_tries: int
    strength_percent: float
    avoid: tuple[Hashes, ...]
    phash_distance: int
    dhash_distance: int


@dataclass(frozen=True, slots=True)
class Bearing:
    """``go``: renditions are wanted. ``changes``: of a copy."""

    go: bool
    changes: Changes | None = None


@dataclass(frozen=True, slots=True)
class Changed:
    """What was done to a copy, and how it looks then. Not ``enough``: nothing was done, for all tries did not suffice."""

    methods: tuple[ChangeMethod, ...]
    tries: int
    percent: float
    enough: bool
    phash: int
    dhash: int


def outside(hashes: Hashes, avoid: Iterable[Hashes], phash_distance: int, dhash_distance: int) -> bool:
    """Whether each of ``avoid`` is farther away by one of the two hashes at least."""
    return all(
        hamming(hashes[0], other[0]) > phash_distance or hamming(hashes[1], other[1]) > dhash_distance
        for other in avoid
    )


def bearing_from_wire(wire: Wire) -> Bearing:
    """In a worker, which trusts the daemon."""
    changes = wire["changes"]
    if changes is None:
        return Bearing(wire["go"])
    avoid = tuple((one[0], one[1]) for one in changes["avoid"])
    return Bearing(wire["go"], Changes(**{**changes, "methods": tuple(changes["methods"]), "avoid": avoid}))


def changed_from_wire(wire: Wire) -> Changed:
    """Raises ``ValueError`` for anything that a sound worker would not send."""
    methods = tuple(wire["methods"])
    if not all(method in CHANGE_METHODS for method in methods) or type(wire["enough"]) is not bool:
        raise ValueError("no changes")
    return Changed(
        cast(tuple[ChangeMethod, ...], methods),
        count(wire["tries"]),
        finite(wire["percent"]),
        wire["enough"],
        uint64(wire["phash"]),
        uint64(wire["dhash"]),
    )
