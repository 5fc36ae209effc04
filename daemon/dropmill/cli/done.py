"""What would be done, batches, and their files, for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from dropmill.cli.tables import Shortened, size, table, word
from dropmill.control.describe import counted

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


def sentence(batch: Json) -> str:
    """What became of a batch."""
    files = counted(batch["done"], "file")
    what = {
        "delete": f"{files} deleted for good" if batch["permanent"] else f"{files} moved to the trash",
        "move": f"{files} moved",
        "link": f"{files} replaced by a hard link",
        "keep": "all are kept",
        "dismiss": "these are no duplicates",
    }[batch["action"]]
    back = f"; to take that back: dropmill undo {batch['id']}" if batch["undoable"] else ""
    return f"batch {batch['id']}: {what}{back}"


def overview(plan: Json, what: str) -> str:
    """``what``: the action, and where files go."""
    lines = [
        f"{counted(plan['groups'], 'group')}, {counted(plan['members'], 'file')}, {plan['bytes']:,} bytes",
        f"  {what}",
    ]
    if not plan["members"] and not plan["left"] and not plan["skipped"]:
        lines[0] = "no open group fits"
    lines += [
        f"  {tier}: {counted(of['groups'], 'group')}, {counted(of['members'], 'file')}, {of['bytes']:,} bytes"
        for tier, of in plan["by_tier"].items()
    ]
    lines += [f"  for example {one['path']}, of which {one['keeper']} stays" for one in plan["examples"]]
    lines += [
        f"  {counted(one['members'], 'file')} would be left: {one['detail']}; {one['hint']}" for one in plan["left"]
    ]
    if plan["skipped"]:
        lines.append(f"  without {counted(plan['skipped'], 'group')} that changed since then")
    if plan["members"]:
        lines.append(f"  to do just this, whatever changes meanwhile: --as-of {plan['as_of']}")
    return "\n".join(lines) + "\n"
