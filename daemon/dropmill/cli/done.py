"""Batches and their files, for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from dropmill.cli.tables import Shortened, size, table, word

Json = Mapping[str, Any]


def batches(told: Sequence[Json]) -> RenderableType:
    if not told:
        return Text("nothing was done yet")
    made = table(
        "id", "when", "action", "state", "groups", "done", "left", "size", "", right=("id", "groups", "done", "left")
    )
    for batch in told:
        when = (batch["created_at"] or "")[:16].replace("T", " ")
        action = f"{batch['action']} for good" if batch["permanent"] else batch["action"]
        made.add_row(
            str(batch["id"]),
            Text(when),
            Text(action),
            word(batch["state"]),
            str(batch["groups"]),
            str(batch["done"] + batch["undone"]),
            str(batch["skipped"]),
            Text(size(batch["bytes"]) if batch["bytes"] else ""),
            Text(f"dropmill undo {batch['id']}" if batch["undoable"] else ""),
        )
    return made


def files(items: Sequence[Json]) -> RenderableType:
    made = table("state", "file", "where it is now", "why")
    for item in items:
        made.add_row(
            word(item["state"]),
            Shortened(item["path"]),
            Shortened(item["kept_at"] or ""),
            Text("; ".join(text for text in (item["detail"], item["hint"]) if text)),
        )
    return made if items else Text("no file was touched")
