"""What is still to be measured and compared, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from dropmill.model.resemblance import EVIDENCE_VERSION, Evidence, Relation, evidence_from_json, evidence_to_json
from dropmill.store import pairs, windows
from dropmill.store.connection import Row, Session

NOT_COMPARED = "not compared: "
"""Begins the detail of a pair whose pixels could not be looked at."""


@dataclass(frozen=True, slots=True)
class Unmeasured:
    """``places``: root and path below it of files that hold it, the one seen last first."""

    image_id: int
    sha256: str
    places: tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Side:
    """One of two images to compare. ``evidence`` is None where it could not be measured, for ``reason``, or was not yet."""

    image_id: int
    sha256: str
    coded_sha256: str
    width: int
    height: int
    evidence: Evidence | None
    reason: str

    @property
    def tried(self) -> bool:
        return self.evidence is not None or bool(self.reason)


def unmeasured(session: Session, limit: int, most_places: int) -> list[Unmeasured]:
    ids = [row["image_id"] for row in session.all("unmeasured_lot", limit=limit)]
    places: dict[int, list[tuple[bytes, bytes]]] = {image_id: [] for image_id in ids}
    for row in session.all("holdings_of_images", ids=json.dumps(ids)):
        places[row["image_id"]].insert(0, (row["root_path"], row["rel"]))
    rows = session.all("images_looks", ids=json.dumps(ids))
    return [Unmeasured(row["id"], row["sha256"], tuple(places[row["id"]][:most_places])) for row in rows]


def measured(session: Session, image_id: int, evidence: Evidence | None, reason: str, now_ms: int) -> None:
    """With ``evidence``, or with the ``reason`` why there is none. An image that was forgotten meanwhile stays so."""
    if not session.all("images_looks", ids=json.dumps([image_id])):
        return
    text = evidence_to_json(evidence) if evidence is not None else ""
    session.run(
        "evidence_put", image_id=image_id, version=EVIDENCE_VERSION, evidence=text, reason=reason, now_ms=now_ms
    )
    session.run("unmeasured_remove", image_id=image_id)
    if evidence is not None:
        session.run("pairs_compare_again", image_id=image_id, detail=NOT_COMPARED + "%")


def measure(session: Session, image_ids: Iterable[int]) -> None:
    """Whether or not that was done before."""
    session.run("unmeasured_again", ids=json.dumps(list(image_ids)))


def retry(session: Session, reasons: Iterable[str]) -> None:
    """Measure again what failed for a reason that may have passed."""
    session.run("unmeasured_retry", reasons=json.dumps(list(reasons)))
    windows.retry(session)


def to_prove(session: Session, limit: int) -> list[tuple[Side, Side]]:
    """Pairs of flat pictures of which only their pixels tell whether they are any."""
    return _sides(session, pairs.to_prove(session, (0, 0), limit))


def to_compare(session: Session, limit: int) -> list[tuple[Side, Side]]:
    """A keeper and a member of its group of which it is not known yet how one came from the other, in the order of a pair."""
    rows = session.all("members_to_compare", limit=limit)
    pairs_met = ((row["keeper_image_id"], row["image_id"]) for row in rows)
    found = dict.fromkeys((min(pair), max(pair)) for pair in pairs_met)
    return _sides(session, list(found))


def to_confirm(session: Session, limit: int) -> list[tuple[Side, Side]]:
    """Pairs of which one is like a part of the other by its hashes."""
    return _sides(session, windows.to_confirm(session, limit))


def _sides(session: Session, found: list[tuple[int, int]]) -> list[tuple[Side, Side]]:
    ids = json.dumps(sorted({image_id for pair in found for image_id in pair}))
    measured = {row["image_id"]: row for row in session.all("evidence_of_images", ids=ids)}
    sides = {row["id"]: _side(row, measured.get(row["id"])) for row in session.all("images_looks", ids=ids)}
    return [(sides[one], sides[other]) for one, other in found]


def _side(row: Row, measured: Row | None) -> Side:
    known = measured is not None and measured["version"] == EVIDENCE_VERSION
    evidence = evidence_from_json(measured["evidence"]) if known and measured and measured["evidence"] else None
    reason = measured["reason"] if known and measured else ""
    return Side(row["id"], row["sha256"], row["coded_sha256"], row["width"], row["height"], evidence, reason)


def relate(session: Session, one: Side, other: Side, relation: Relation, detail: str) -> None:
    pairs.relate(session, one.image_id, other.image_id, relation.value, detail)


def part(session: Session, one: Side, other: Side) -> None:
    """Flat pictures whose hashes agree and whose pixels do not are no pair."""
    pairs.remove(session, one.image_id, other.image_id)
