"""Pairs of images that resemble each other, and the images whose neighbours are not known yet."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from dropmill.model.resemblance import MOST_NEIGHBOURS, Neighbour, Relation, bears_out, hamming
from dropmill.store.connection import Row, Session, sql

PIXELS = "pixels"


@dataclass(frozen=True, slots=True)
class Pair:
    """As in the table: ``a`` is the smaller id, distances are in bits."""

    a: int
    b: int
    how: str
    phash_distance: int
    dhash_distance: int
    phash256_distance: int
    relation: str = ""

    def other(self, image_id: int) -> int:
        return self.b if image_id == self.a else self.a


def resembling(session: Session, image_id: int, neighbours: Sequence[Neighbour], min_texture: float) -> list[Pair]:
    """The pairs of a catalogued image: with those of the same coded image, and with what the index found near it.

    Hashes are believed of two pictures that have ``min_texture`` only. Flat ones of the same hashes and size in pixels
    are pairs by ``pixels``, which are in force once their pixels were compared. At most ``MOST_NEIGHBOURS``, nearest first.
    What a window suggests is none yet (``store/windows.py``).
    """
    near = {found.image_id: found for found in reversed(neighbours) if _counts(found, image_id)}
    rows = {row["id"]: row for row in session.all("images_looks", ids=json.dumps([image_id, *near]))}
    own = rows.pop(image_id, None)
    if own is None:
        return []
    alike = session.all("images_coded_alike", id=image_id, coded_sha256=own["coded_sha256"], limit=MOST_NEIGHBOURS)
    beyond = json.dumps([row["id"] for row in alike if row["id"] not in rows])
    rows |= {row["id"]: row for row in session.all("images_looks", ids=beyond)}
    found = [_pair(own, row, near.get(other), min_texture) for other, row in rows.items()]
    pairs = [pair for pair in found if pair is not None]
    pairs.sort(key=lambda pair: (pair.how != "coded", pair.phash_distance, pair.dhash_distance, pair.a, pair.b))
    return pairs[:MOST_NEIGHBOURS]


def _counts(found: Neighbour, image_id: int) -> bool:
    return found.image_id != image_id and found.how != "window"


def _pair(own: Row, other: Row, found: Neighbour | None, min_texture: float) -> Pair | None:
    # The finer hash tells nothing of pictures that were turned or cut before their hashes were compared.
    phash_distance, dhash_distance, fine = apart(own, other)
    relation = ""
    if own["coded_sha256"] == other["coded_sha256"]:
        how, relation = "coded", Relation.IDENTICAL.value
    elif found is None:
        return None
    elif own["texture"] >= min_texture and other["texture"] >= min_texture:
        if found.how == "hash" and not bears_out(fine, min(own["texture"], other["texture"])):
            return None
        how, phash_distance, dhash_distance = found.how, found.phash_distance, found.dhash_distance
    elif phash_distance == dhash_distance == 0 and _size(own) == _size(other):
        how = PIXELS
    else:
        return None
    a, b = sorted((own["id"], other["id"]))
    return Pair(a, b, how, phash_distance, dhash_distance, fine, relation)


def apart(own: Row, other: Row) -> tuple[int, int, int]:
    """In bits: of phash and dhash (of 64) and of the finer phash (of 256), upright and whole. Rows as ``looks`` gives them."""
    fine = (int(own["phash256"], 16) ^ int(other["phash256"], 16)).bit_count()
    return hamming(own["phash"], other["phash"]), hamming(own["dhash"], other["dhash"]), fine


def _size(row: Row) -> tuple[int, int]:
    """Width and height, whichever way it is held."""
    return min(row["width"], row["height"]), max(row["width"], row["height"])


def put(session: Session, pairs: Iterable[Pair]) -> None:
    """Remember pairs; those that are known as they are stay as they are, with what their pixels told."""
    for pair in pairs:
        session.run(
            "pair_put",
            a=pair.a,
            b=pair.b,
            how=pair.how,
            phash_distance=pair.phash_distance,
            dhash_distance=pair.dhash_distance,
            phash256_distance=pair.phash256_distance,
            relation=pair.relation,
        )


def of_images(session: Session, image_ids: Collection[int]) -> list[Pair]:
    # A burst has a hundred thousand of them, each of which would be a dictionary on the way.
    rows = session.connection.execute(sql("pairs_of_images"), {"ids": json.dumps(sorted(image_ids))})
    return [Pair(*row) for row in rows]


def relate(session: Session, a: int, b: int, relation: str, detail: str) -> None:
    """What the pixels of a pair tell. Where the hashes of flat pictures agree and their pixels do not, it is none."""
    session.run("pair_relate", a=min(a, b), b=max(a, b), relation=relation, detail=detail)


def remove(session: Session, a: int, b: int) -> None:
    session.run("pair_remove", a=min(a, b), b=max(a, b))


def to_prove(session: Session, after: tuple[int, int], limit: int) -> list[tuple[int, int]]:
    """Pairs of flat pictures whose pixels are to be compared, beyond ``after`` in order."""
    return [(row["a"], row["b"]) for row in session.all("pairs_to_prove", a=after[0], b=after[1], limit=limit)]


def uncompared(session: Session, limit: int) -> list[Row]:
    """Images whose neighbours are to be looked for (rows of ``images_looks``), in the order of their ids."""
    return looks(session, [row["image_id"] for row in session.all("uncompared_lot", limit=limit)])


def looks(session: Session, image_ids: Collection[int]) -> list[Row]:
    return sorted(session.all("images_looks", ids=json.dumps(sorted(image_ids))), key=lambda row: row["id"])


def compare_later(session: Session, image_ids: Iterable[int]) -> None:
    """To be called where an image is committed without its neighbours, or its hashes have changed."""
    session.run("uncompared_put", ids=json.dumps(list(image_ids)))


def compared(session: Session, image_ids: Iterable[int]) -> None:
    session.run("uncompared_remove", ids=json.dumps(list(image_ids)))


def uncompared_count(session: Session) -> int:
    count: int = session.value("uncompared_count")
    return count


def page(session: Session, after: tuple[int, int], limit: int) -> list[Row]:
    """The next pairs in order, with textures and sizes in pixels; ``judged``: a person has said what they are."""
    return session.all("pairs_page", a=after[0], b=after[1], limit=limit)
