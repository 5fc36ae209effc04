"""What a job's picture resembles and what was done about it, in words."""

from __future__ import annotations

from typing import Any

from dropmill.model.duplicates import Policy
from dropmill.store.connection import Row
from dropmill.store.likeness import from_json

Json = dict[str, Any]

_LIKE = {
    "exact": "the same picture as {}",
    "near": "near-duplicate of {}",
    "similar": "similar to {}",
    "loose": "turned or mirrored from {}",
}
_DONE = {
    Policy.FLAG: "flagged",
    Policy.RENAME: "renamed",
    Policy.HARDLINK: "put out as hard links to its renditions",
    Policy.UNIQUIFY: "put out as a changed copy",
}


def of_row(row: Row) -> Json:
    """``policy``, ``resembles``, ``note`` and ``changes`` of a job; empty for one that resembles nothing."""
    return from_json(row["resemblance"])


def likeness(one: Json) -> str:
    """``near-duplicate of /srv/in/a.jpg, smaller``."""
    other = one["path"] or (f"job {one['job']}" if one["job"] else "an earlier picture")
    size = "" if one["size"] == "same" else f", {one['size']}"
    return _LIKE[one["tier"]].format(other) + size


def distances(one: Json) -> str:
    return "" if one["tier"] == "exact" else f" (phash {one['phash_distance']}, dhash {one['dhash_distance']})"


def sentence(found: Json) -> str:
    """What it resembles most, what was done about it, and how many more there are; empty for nothing."""
    if not found:
        return ""
    first, *others = found["resembles"]
    done = _DONE.get(Policy(found["policy"]), "")
    more = f", and {len(others)} more" if others else ""
    parts = [f"{likeness(first)}{distances(first)}{more}", done, found.get("note", "")]
    return "; ".join(part for part in parts if part)
