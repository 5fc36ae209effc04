"""Copies that are changed until they resemble nothing: what they have to keep away from, and what was done to them."""

from __future__ import annotations

from typing import Any

from dropmill.model.bearing import Changed, Changes, Hashes, outside
from dropmill.model.duplicates import Policy
from dropmill.model.fingerprint import from_int64, to_hex
from dropmill.model.inbox import Inbox
from dropmill.model.resemblance import Thresholds
from dropmill.model.verdict import Publish
from dropmill.model.work import Processed
from dropmill.store import likeness
from dropmill.store.connection import Session


def changes(session: Session, inbox: Inbox, verdict: Publish, thresholds: Thresholds) -> Changes | None:
    """None where the picture is published as it is."""
    if verdict.policy is not Policy.UNIQUIFY:
        return None
    wanted = inbox.policies.uniquify
    avoid = _avoid(session, inbox, verdict)
    return Changes(wanted.methods, wanted.max_tries, wanted.strength_percent, avoid, *inbox.policies.aim(thresholds))


def suffices(session: Session, inbox: Inbox, result: Processed, verdict: Publish, thresholds: Thresholds) -> bool:
    """Whether what was rendered can be published: a copy keeps away from what was committed meanwhile too."""
    if verdict.policy is not Policy.UNIQUIFY:
        return result.changed is None or not result.changed.enough
    changed = result.changed
    if changed is None:
        return False
    avoid = _avoid(session, inbox, verdict)
    return not changed.enough or outside((changed.phash, changed.dhash), avoid, *inbox.policies.aim(thresholds))


def _avoid(session: Session, inbox: Inbox, verdict: Publish) -> tuple[Hashes, ...]:
    """Hashes of the pictures that count, and of the changed copies that stand for them."""
    found: list[Hashes] = []
    for one in verdict.alike:
        if inbox.policies.of(one.tier) is not Policy.UNIQUIFY:
            continue
        image = session.one("image_get", id=one.image_id)
        if image is not None:
            found.append((from_int64(image["phash"]), from_int64(image["dhash"])))
        for row in session.all("jobs_changed", image_id=one.image_id):
            told = likeness.from_json(row["resemblance"]).get("changes")
            if told:
                found.append((int(told["phash"], 16), int(told["dhash"], 16)))
    return tuple(dict.fromkeys(found))


def told(changed: Changed | None) -> dict[str, Any]:
    """What was done, for the record of the job."""
    if changed is None:
        return {}
    if not changed.enough:
        return {"note": f"{changed.tries} tries to change a copy of it did not suffice, so it was published as it is"}
    return {
        "changes": {
            "methods": list(changed.methods),
            "tries": changed.tries,
            "percent": changed.percent,
            "phash": to_hex(changed.phash),
            "dhash": to_hex(changed.dhash),
        }
    }
