"""Stories of files that no job brought: those of libraries, which ``dropmill index`` found."""

from __future__ import annotations

from typing import Any, Final

from dropmill.control import describe, elsewhere, places
from dropmill.control.house import House
from dropmill.control.places import Place
from dropmill.model.file import Signature, shown
from dropmill.model.outcome import EXPLANATIONS, Reason, explained_as_ignored
from dropmill.store import scans
from dropmill.store.connection import Row

Json = dict[str, Any]

MOST_FILES: Final = 20


async def in_library(house: House, path: bytes, place: Place) -> Json | None:
    """None for a path of which no scan has told anything."""
    root_id = place.root.id
    if root_id is None:
        return None
    holding, refusal = await house.catalog.read(
        lambda session: (scans.holding(session, root_id, place.rel), scans.refusal(session, root_id, place.rel))
    )
    seen = await house.blocking("*", places.look, path)
    told = elsewhere.blank(path, seen)
    if holding is not None and holding["job_id"] is None:
        told["verdict"] = "catalogued in place"
        told["story"] += await _of_image(house, holding)
        told["story"] += _since(holding, seen.signature, seen.kind)
        return told
    if refusal is not None:
        why = _explained(refusal)
        told["verdict"] = f"{'no picture' if refusal['ignored'] else 'cannot be catalogued'}: {refusal['reason']}"
        told["story"].append(elsewhere.line(why, describe.iso(refusal["seen_at_ms"])))
        told["story"] += _since(refusal, seen.signature, seen.kind)
        return told
    return None


async def of_sha256(house: House, sha256: str) -> Json | None:
    """Of bytes that no job has met, but a scan."""
    image = await house.catalog.read(lambda session: scans.image(session, sha256))
    if image is None:
        return None
    rows = await house.catalog.read(lambda session: scans.holdings_of(session, image["id"], MOST_FILES))
    story = [elsewhere.line(_picture(image), describe.iso(image["created_at_ms"]))]
    story += [elsewhere.line(f"held by {describe.joined(row['root_path'], row['rel'])}") for row in rows]
    return {"target": sha256, "verdict": "catalogued in place", "story": story, "now": {}, "jobs": []}


async def _of_image(house: House, holding: Row) -> list[Json]:
    image, rows = await house.catalog.read(
        lambda session: (
            scans.image_of(session, holding["image_id"]),
            scans.holdings_of(session, holding["image_id"], MOST_FILES),
        )
    )
    if image is None:
        return []
    told = [elsewhere.line(f"indexed: {_picture(image)}", describe.iso(holding["seen_at_ms"]))]
    others = [describe.joined(row["root_path"], row["rel"]) for row in rows if row["id"] != holding["id"]]
    return told + [elsewhere.line(f"the same bytes are in {other}") for other in others]


def _picture(image: Row) -> str:
    size = f"{image['width']}x{image['height']} pixels"
    return f"{image['format']}, {size}, SHA-256 {image['sha256']}, image {image['id']}"


def _since(row: Row, signature: Signature | None, kind: str) -> list[Json]:
    if kind == "nothing":
        return [elsewhere.line("nothing has this path now; the next dropmill index of its folder forgets it")]
    if signature is not None and scans.as_known(signature) != (row["ino"], row["size_bytes"], row["mtime_ns"]):
        return [elsewhere.line("it has changed since; the next dropmill index of its folder reads it again")]
    return []


def _explained(refusal: Row) -> str:
    detail = f" ({shown(refusal['detail'])})" if refusal["detail"] else ""
    if refusal["reason"] not in set(Reason):
        return f"{refusal['reason']}{detail}"
    reason = Reason(refusal["reason"])
    why = explained_as_ignored(reason) if refusal["ignored"] else EXPLANATIONS[reason]
    return f"left where it is: {why.cause}{detail}; {why.remedy}"
