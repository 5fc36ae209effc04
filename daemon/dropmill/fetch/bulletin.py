"""What an application is told of a picture: a closed set of fields, which docs/webhooks.md lists."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from dropmill.model.file import shown
from dropmill.model.url import is_url
from dropmill.model.webhook import TEST_TYPE, EventType
from dropmill.store.connection import Row
from dropmill.store.views import ToldJob
from dropmill.store.webhooks import Event

Json = dict[str, Any]


def body_of(event: Event, told: ToldJob) -> str:
    """JSON as the specification wants it: ``type``, ``timestamp`` and ``data``."""
    row = told.row
    own = told.own if event.type != EventType.DISCARDED else ()
    data = {
        "job": row["id"],
        "inbox": row["inbox"],
        "source": _source(row),
        "label": row["label"],
        "outcome": row["outcome"] or row["state"],
        "reason": row["reason"],
        "sha256": row["sha256"],
        "size_bytes": row["size_bytes"] or row["fetched_bytes"],
        "outputs": [_output(one) for one in own],
        "duplicate_of": _original(own[0], row["duplicate_tier"]) if event.type == EventType.DUPLICATE and own else None,
        "found_at": utc(row["found_at_ms"]),
        "enqueued_at": utc(row["enqueued_at_ms"]),
        "finished_at": utc(row["finished_at_ms"]),
    }
    return _text(event.type, event.at_ms, data)


def trial_body(webhook: str, now_ms: int) -> str:
    """What ``dropmill webhooks test`` sends."""
    return _text(TEST_TYPE, now_ms, {"webhook": webhook})


def utc(at_ms: int | None) -> str | None:
    """``2026-01-31T12:00:00.000Z``."""
    if at_ms is None:
        return None
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _text(kind: str, at_ms: int, data: Json) -> str:
    return json.dumps({"type": kind, "timestamp": utc(at_ms), "data": data}, ensure_ascii=False, separators=(",", ":"))


def _source(row: Row) -> str:
    """The file's path, or the URL without its credentials."""
    if row["url"] is not None:
        return str(row["url"])
    return shown(row["rel"] if is_url(row["rel"]) else row["root_path"] + b"/" + row["rel"])


def _output(one: Row) -> Json:
    return {
        "name": one["rendition"],
        "page": one["page"],
        "path": shown(one["output_path"] + b"/" + one["final_name"]),
        "format": one["format"],
        "width": one["width"],
        "height": one["height"],
        "size_bytes": one["size_bytes"],
        "sha256": one["sha256"],
    }


def _original(shown_by: Row, tier: str | None) -> Json:
    """The job whose outputs stand for this picture's."""
    source = shown_by["source_url"]
    if source is None and shown_by["source_root"] is not None:
        source = shown(shown_by["source_root"] + b"/" + shown_by["source_rel"])
    return {"job": shown_by["job_id"], "source": source, "tier": "exact" if tier in {"bytes", "coded"} else tier}
