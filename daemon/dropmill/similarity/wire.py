"""Questions and answers of the index, as the bodies of frames."""

from __future__ import annotations

from collections.abc import Sequence

from dropmill.model.fingerprint import Looks, Window
from dropmill.model.resemblance import Neighbour, Neighbours
from dropmill.model.wire import Wire


def question_to_wire(asked: Sequence[Looks]) -> Wire:
    return {"looks": [[looks.phash, looks.dhash, looks.phash256, looks.windows] for looks in asked]}


def question_from_wire(body: Wire) -> list[Looks]:
    return [
        Looks(phash, dhash, 0, phash256, 0.0, windows=None if parts is None else tuple(Window(*part) for part in parts))
        for phash, dhash, phash256, parts in body["looks"]
    ]


def answer_to_wire(found: Sequence[Sequence[Neighbour]]) -> Wire:
    return {"found": [[[n.image_id, n.how, n.phash_distance, n.dhash_distance] for n in each] for each in found]}


def answer_from_wire(body: Wire) -> list[Neighbours]:
    return [Neighbours([Neighbour(*each) for each in found], body["upto"]) for found in body["found"]]
