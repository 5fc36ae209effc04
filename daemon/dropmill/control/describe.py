"""Rows of the catalog as the plain values that people and programs are shown."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from dropmill.control import likeness
from dropmill.model.download import stored_name
from dropmill.model.file import shown
from dropmill.model.outcome import Explanation, Reason, explained
from dropmill.model.url import is_url
from dropmill.store.connection import Row
from dropmill.store.views import ToldJob

Json = dict[str, Any]


def iso(at_ms: int | None) -> str | None:
    """Wall milliseconds as ISO 8601 in UTC, ``2026-01-31T12:00:00.000Z``."""
    if at_ms is None:
        return None
    told = datetime.fromtimestamp(at_ms / 1000, tz=UTC).isoformat(timespec="milliseconds")
    return told.removesuffix("+00:00") + "Z"


def counted(number: int, noun: str) -> str:
    """``1 file``, ``2 files``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def joined(root: bytes, rel: bytes) -> str:
    """A path as people are shown it. The path of a URL's job is the URL itself, in whichever folder its bytes are."""
    return shown(rel if is_url(rel) else root + b"/" + rel)


def explain(row: Row) -> Explanation | None:
    """Cause and remedy of a job's reason; None for none, and for codes of other versions."""
    reason = row["reason"]
    return explained(Reason(reason), of_url=row["url"] is not None) if reason in set(Reason) else None


def original_of(row: Row) -> tuple[bytes, bytes] | None:
    """Where the original of a ``jobs_told`` row is now as far as the catalog knows: (root, path). None: it is no more."""
    if row["outcome"] == "superseded":
        return None
    if row["disposal_state"] == "done" and row["disposal_result"] != "put back":
        if row["disposal_result"] == "moved" and row["target_path"] is not None:
            return row["target_path"], row["target_name"]
        return None
    if row["url"] is not None and (row["phase"] == "fetch" or row["outcome"] == "unchanged"):
        return None
    if row["read_path"] is not None:
        return row["read_path"], row["read_rel"]
    if row["overwritten"]:
        return None
    if row["url"] is not None:
        return row["root_path"], stored_name(row["id"])
    if row["state"] == "completed" and not row["catalogued"]:
        # Another path of these bytes took over when this one was left.
        return (row["root_path"], row["moved_to"]) if row["moved_to"] is not None else None
    return row["root_path"], row["rel"]


def source(row: Row) -> str:
    """What a ``jobs_told`` row is a job of: the file's path, or the URL without its credentials."""
    return str(row["url"]) if row["url"] is not None else joined(row["root_path"], row["rel"])


def download(row: Row) -> Json | None:
    """Where the bytes of a URL's job came from; None for a file's job."""
    if row["url"] is None:
        return None
    return {
        "url": row["url"],
        "final_url": row["final_url"] or None,
        "redirects": json.loads(row["chain"]),
        "address": row["address"] or None,
        "status": row["status"] or None,
        "etag": row["etag"] or None,
        "last_modified": row["last_modified"] or None,
        "content_type": row["content_type"] or None,
        "http_version": row["http_version"] or None,
        "size_bytes": row["fetched_bytes"] or None,
        "started_at": iso(row["fetch_started_at_ms"] or None),
        "fetched_at": iso(row["fetched_at_ms"] or None),
    }


def rendition(row: Row) -> Json:
    return {
        "id": row["id"],
        "name": row["rendition"],
        "page": row["page"],
        "path": joined(row["output_path"], row["final_name"]),
        "format": row["format"],
        "width": row["width"],
        "height": row["height"],
        "size_bytes": row["size_bytes"],
    }


def job(told: ToldJob) -> Json:
    row = told.row
    own = told.own
    original = original_of(row)
    why = explain(row)
    anchor = own[0] if row["outcome"] == "duplicate" and own else None
    resembles = likeness.of_row(row)
    return {
        "id": row["id"],
        "inbox": row["inbox"],
        "source": source(row),
        "state": row["state"],
        "outcome": row["outcome"],
        "reason": row["reason"],
        "detail": row["detail"],
        "remedy": why.remedy if why else None,
        "attempts": row["attempts"],
        "crashes": row["crashes"],
        "interruptions": row["interruptions"],
        "found_by": row["found_by"],
        "priority": row["priority"],
        "label": row["label"],
        "size_bytes": row["size_bytes"],
        "sha256": row["sha256"],
        "outputs": [joined(one["output_path"], one["final_name"]) for one in own],
        "renditions": [rendition(one) for one in own],
        "original": joined(*original) if original else None,
        "download": download(row),
        "phase": row["phase"] if row["url"] is not None else None,
        "duplicate_of": _anchor(anchor, row["duplicate_tier"]) if anchor else None,
        "duplicate_tier": "exact" if row["duplicate_tier"] in {"bytes", "coded"} else row["duplicate_tier"],
        "resembles": resembles.get("resembles", []),
        "policy": resembles.get("policy"),
        "changes": resembles.get("changes"),
        "moved_from": joined(row["root_path"], row["moved_from"]) if row["moved_from"] is not None else None,
        "reprocess_of": row["reprocess_of"],
        "found_at": iso(row["found_at_ms"]),
        "settled_at": iso(row["settled_at_ms"]),
        "enqueued_at": iso(row["enqueued_at_ms"]),
        "scheduled_at": iso(row["scheduled_at_ms"]),
        "started_at": iso(row["started_at_ms"]),
        "finished_at": iso(row["finished_at_ms"]),
    }


def _anchor(shown_by: Row, tier: str | None) -> Json:
    """The job whose renditions stand for this duplicate's; ``tier``: ``bytes``, ``coded`` (other metadata), or as named."""
    return {"job": shown_by["job_id"], "source": anchor_source(shown_by), "tier": tier}


def anchor_source(shown_by: Row) -> str | None:
    """What a rendition (a row of ``renditions_told``) was made from."""
    if shown_by["source_url"] is not None:
        return str(shown_by["source_url"])
    if shown_by["source_root"] is None:
        return None
    return joined(shown_by["source_root"], shown_by["source_rel"])
