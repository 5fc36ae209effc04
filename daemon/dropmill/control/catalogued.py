"""Stories of files that no job brought: those of libraries, which ``dropmill index`` found."""

from __future__ import annotations

from typing import Any, Final

from dropmill.control import describe, elsewhere, places
from dropmill.control.house import House
from dropmill.control.places import Place, Seen
from dropmill.model.file import shown
from dropmill.model.outcome import EXPLANATIONS, Reason, explained_as_ignored
from dropmill.store import groups, scans
from dropmill.store.connection import Row, Session

Json = dict[str, Any]

MOST_FILES: Final = 20
IN_PLACE: Final = "catalogued in place"


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
        told["verdict"] = IN_PLACE
        told["story"] += await _of_image(house, holding)
        told["story"] += await _since(house, holding, seen, place)
        return told
    if refusal is not None:
        why = _explained(refusal)
        told["verdict"] = f"{'no picture' if refusal['ignored'] else 'cannot be catalogued'}: {refusal['reason']}"
        told["story"].append(elsewhere.line(why, describe.iso(refusal["seen_at_ms"])))
        told["story"] += await _since(house, refusal, seen, place)
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
    return {"target": sha256, "verdict": IN_PLACE, "story": story, "now": {}, "jobs": []}


async def _of_image(house: House, holding: Row) -> list[Json]:
    image, rows = await house.catalog.read(
        lambda session: (
            scans.image_of(session, holding["image_id"]),
            scans.holdings_of(session, holding["image_id"], MOST_FILES),
        )
    )
    if image is None:
        return []
    told = [elsewhere.line(f"catalogued here: {_picture(image)}", describe.iso(holding["seen_at_ms"]))]
    others = [describe.joined(row["root_path"], row["rel"]) for row in rows if row["id"] != holding["id"]]
    return told + [elsewhere.line(f"the same bytes are in {other}") for other in others]


async def _is_away(house: House, place: Place) -> bool:
    """Whether a library's disk seems not to be mounted, so that no scan forgets what lay on it."""
    root_id = place.root.id or 0
    mounts = await house.catalog.read(lambda session: scans.mounts(session, root_id))
    return await house.blocking("*", places.away, place.root.path, place.rel, mounts)


def _picture(image: Row) -> str:
    size = f"{image['width']}x{image['height']} pixels"
    return f"{image['format']}, {size}, SHA-256 {image['sha256']}, image {image['id']}"


async def _since(house: House, row: Row, seen: Seen, place: Place) -> list[Json]:
    again, signature = f"dropmill index {shown(place.root.path)}", seen.signature
    if seen.kind == "nothing" and await _is_away(house, place):
        text = (
            "nothing has this path now, and its folder is empty, as where its disk is not mounted: nothing is forgotten"
        )
        return [elsewhere.line(text)]
    if seen.kind == "nothing":
        return [elsewhere.line(f"nothing has this path now; the next {again} forgets it")]
    if signature is not None and scans.as_known(signature) != (row["ino"], row["size_bytes"], row["mtime_ns"]):
        return [elsewhere.line(f"it has changed since; the next {again} reads it again")]
    return [elsewhere.line("it has not changed since")] if signature is not None else []


async def with_group(house: House, place: Place, told: Json) -> Json:
    """The story with the group that the file is in, or that it is not known yet whether it is in one."""
    root_id = place.root.id
    if root_id is None:
        return told

    def read(session: Session) -> tuple[Row | None, bool]:
        holding = scans.holding(session, root_id, place.rel)
        if holding is None:
            return None, False
        return groups.membership(session, holding["id"]), groups.waits(session, holding["image_id"])

    member, waits = await house.catalog.read(read)
    if member is not None:
        told["story"].append(elsewhere.line(_grouped(member)))
    elif waits:
        text = "it is still to be compared with the others: the daemon does that, or the next dropmill index"
        told["story"].append(elsewhere.line(text))
    elif told["verdict"] == IN_PLACE:
        told["story"].append(elsewhere.line("it is in no group of duplicates"))
    return told


def _grouped(member: Row) -> str:
    others = describe.counted(member["members"] - 1, "other file")
    group = f"group {member['group_id']}, with {others}"
    if member["keeper_holding_id"] == member["holding_id"]:
        group += ": this is the one to keep"
    else:
        keeper = describe.joined(member["keeper_root_path"], member["keeper_rel"])
        relation = f", {member['relation']}" if member["relation"] not in {"", "unknown"} else ""
        group += f": {member['tier']}{relation} to {keeper}, the one to keep"
    return f"{group}; a person said that all stay" if member["state"] == "settled" else group


def _explained(refusal: Row) -> str:
    detail = f" ({shown(refusal['detail'])})" if refusal["detail"] else ""
    if refusal["reason"] not in set(Reason):
        return f"{refusal['reason']}{detail}"
    reason = Reason(refusal["reason"])
    why = explained_as_ignored(reason) if refusal["ignored"] else EXPLANATIONS[reason]
    return f"left where it is: {why.cause}{detail}; {why.remedy}"
