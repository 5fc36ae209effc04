"""What a decided picture resembles and what was done about it, as it is kept with its job and told."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from dropmill.model.duplicates import Policy
from dropmill.model.file import shown
from dropmill.model.inbox import Inbox
from dropmill.model.verdict import Alike
from dropmill.store.anchor import anchor_of, source_of
from dropmill.store.connection import Session

# So many of what a picture resembles are told of; the groups know all.
MOST_TOLD: Final = 5

Size = Literal["smaller", "larger", "same"]


@dataclass(frozen=True, slots=True)
class Resembles:
    """``path``: of the other one, as text, or its URL; empty where its job is forgotten. ``size``: this one's beside it."""

    path: str
    job: int | None
    tier: str
    phash_distance: int
    dhash_distance: int
    size: Size


def told(session: Session, inbox: Inbox, pixels: int, found: Sequence[Alike]) -> list[Resembles]:
    """The surest of ``found`` in words. ``pixels``: width times height of the one that resembles them."""
    result = []
    for one in found[:MOST_TOLD]:
        anchor = anchor_of(session, inbox, one.image_id)
        image = session.one("image_get", id=one.image_id)
        source = source_of(anchor) if anchor else None
        theirs = image["width"] * image["height"] if image else pixels
        size: Size = "smaller" if pixels < theirs else "larger" if pixels > theirs else "same"
        job_id = anchor["job_id"] if anchor else None
        path = shown(source) if source is not None else ""
        result.append(Resembles(path, job_id, one.tier.value, one.phash_distance, one.dhash_distance, size))
    return result


def to_json(policy: Policy, resembles: Sequence[Resembles], extra: dict[str, Any]) -> str:
    """As the column ``jobs.resemblance`` holds it; empty for nothing."""
    if not resembles:
        return ""
    return json.dumps({"policy": policy.value, "resembles": [asdict(one) for one in resembles], **extra})


def from_json(text: str) -> dict[str, Any]:
    """What ``to_json`` wrote: ``policy``, ``resembles`` and, of a changed copy, ``changes``; empty for nothing."""
    found: dict[str, Any] = json.loads(text) if text else {}
    return found
