"""Hashes of parts of images, and the pairs that they suggest, which count once their pixels were compared."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

from dropmill.model.fingerprint import Looks, Window
from dropmill.model.resemblance import Neighbour, Relation, Thresholds, bears_out, tier_of
from dropmill.store import pairs
from dropmill.store.connection import Session, sql
from dropmill.store.pairs import Pair

WINDOW: Final = "window"
WINDOW_BYTES: Final = 48
_LOT_ROWS: Final = 1_000


def put(session: Session, image_id: int, looks: Looks) -> None:
    """Of an image that is new or hashed anew; nothing where nobody wanted them."""
    if looks.windows is not None:
        session.run("windows_put", image_id=image_id, version=looks.version, hashes=_packed(looks.windows))


def of_images(session: Session, image_ids: Collection[int]) -> dict[int, tuple[Window, ...]]:
    """Those of which there are any; none of an image that was hashed anew without."""
    rows = session.all("windows_of_images", ids=json.dumps(sorted(image_ids)))
    return {row["image_id"]: _unpacked(row["hashes"]) for row in rows}


def after(session: Session, seq: int) -> Iterator[list[tuple[int, int, bytes]]]:
    """Lots of (number, image id, ``WINDOW_BYTES`` for each of its windows) of what was put later than ``seq``."""
    cursor = session.connection.execute(sql("windows_after"), {"after": seq})
    while lot := list(islice(cursor, _LOT_ROWS)):
        yield lot


def suggest(session: Session, image_id: int, neighbours: Iterable[Neighbour], thresholds: Thresholds) -> None:
    """Remember what of ``neighbours`` is like a part of an image, or the other way round, to be compared by pixels.

    Left out is what is a pair already, flat, or not borne out by the finer hash of the part: it is of 133 of 134 crops that
    only a window met, and of no two drawn pages or screens.
    """
    near = {one.image_id for one in neighbours if one.how == WINDOW} - {image_id}
    if not near:
        return
    for pair in pairs.of_images(session, [image_id]):
        if _settled(pair, thresholds):
            near.discard(pair.other(image_id))
    rows = {row["id"]: row for row in pairs.looks(session, [image_id, *near])}
    own = rows.pop(image_id, None)
    if own is None:
        return
    parts = of_images(session, [image_id, *rows])
    for other, row in rows.items():
        away = min(
            _apart(own["phash256"], parts.get(other, ())),
            _apart(row["phash256"], parts.get(image_id, ())),
        )
        texture = min(own["texture"], row["texture"])
        if texture >= thresholds.min_texture and bears_out(away, texture):
            session.run("candidate_put", a=min(image_id, other), b=max(image_id, other))


def to_confirm(session: Session, limit: int) -> list[tuple[int, int]]:
    """Pairs of images that are suggested and were not compared yet."""
    return [(row["a"], row["b"]) for row in session.all("candidates_open", limit=limit)]


def confirm(session: Session, a: int, b: int, relation: Relation, detail: str) -> None:
    """Their pixels bear it out. Nothing is done where one of them was forgotten, or hashed anew, meanwhile.

    The distances of the pair are those of the whole pictures, which other thresholds may find near enough one day.
    """
    a, b = sorted((a, b))
    if session.one("candidate_get", a=a, b=b) is not None:
        one, other = pairs.looks(session, [a, b])
        pairs.put(session, [Pair(a, b, WINDOW, *pairs.apart(one, other), relation.value)])
        pairs.relate(session, a, b, relation.value, detail)
        refuse(session, a, b)


def refuse(session: Session, a: int, b: int) -> None:
    session.run("candidate_remove", a=min(a, b), b=max(a, b))


def put_off(session: Session, a: int, b: int, reason: str) -> None:
    """They cannot be compared; ``retry`` has that tried again."""
    session.run("candidate_put_off", a=min(a, b), b=max(a, b), reason=reason)


def retry(session: Session) -> None:
    session.run("candidates_retry")


def _settled(pair: Pair, thresholds: Thresholds) -> bool:
    return pair.how != "hash" or tier_of(pair.phash_distance, pair.dhash_distance, thresholds) is not None


def _apart(phash256: str, parts: Sequence[Window]) -> int:
    whole = int(phash256, 16)
    return min(((whole ^ int(part.phash256, 16)).bit_count() for part in parts), default=256)


def _packed(parts: Iterable[Window]) -> bytes:
    return b"".join(
        part.phash.to_bytes(8, "little") + part.dhash.to_bytes(8, "little") + bytes.fromhex(part.phash256)
        for part in parts
    )


def _unpacked(hashes: bytes) -> tuple[Window, ...]:
    return tuple(
        Window(
            int.from_bytes(hashes[at : at + 8], "little"),
            int.from_bytes(hashes[at + 8 : at + 16], "little"),
            hashes[at + 16 : at + WINDOW_BYTES].hex(),
        )
        for at in range(0, len(hashes), WINDOW_BYTES)
    )
