"""Groups of pictures that resemble each other, for a terminal."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.text import Text

from dropmill.cli.tables import BLANK, Shortened, size, table
from dropmill.control.describe import counted

Json = Mapping[str, Any]
_MEMBERS: Final = 50


def waiting(counts: Json) -> str:
    """What is still to be compared or grouped, so that groups may come or change; empty for nothing."""
    most = max(counts["uncompared"], counts["to_group"])
    which = counted(most, "picture")
    by = "by the daemon, or the next dropmill index"
    return f"{which} still to be compared or grouped, {by}: groups may change" if most else ""


def overview(groups: Iterable[Json], limit: int, none: str = "no duplicates") -> RenderableType:
    """The ``limit`` groups that would give back most, and the sum of all; ``none``: what is said where there are none."""
    total = reclaimable_bytes = 0
    best: list[tuple[int, int, Json]] = []
    for group in groups:
        total += 1
        reclaimable_bytes += group["reclaimable_bytes"]
        found = (group["reclaimable_bytes"], -group["id"], group)
        (heapq.heappush if len(best) < limit else heapq.heappushpop)(best, found)
    if not total:
        return Text(none)
    parts: list[RenderableType] = []
    for *_, group in sorted(best, key=lambda item: item[:2], reverse=True):
        parts += [_head(group), _members(group), BLANK]
    shown = "" if total == len(best) else f", {len(best):,} of them shown"
    parts.append(Text(f"{total:,} group{'' if total == 1 else 's'}{shown}; {size(reclaimable_bytes)} to give back"))
    return Group(*parts)


def _head(group: Json) -> Text:
    relation = f", {group['relation']}" if group["relation"] else ""
    told = f"  {group['tier']}{relation}, {size(group['reclaimable_bytes'])} to give back"
    return Text.assemble((f"group {group['id']}", "bold"), told)


def _members(group: Json) -> RenderableType:
    rows = table("", "size", "pixels", "bits", "relation", "path", right=("size", "pixels", "bits"))
    for member in group["members"][:_MEMBERS]:
        kept = member["keeper"]
        rows.add_row(
            "keep" if kept else "",
            size(member["size_bytes"]),
            f"{member['width']}x{member['height']}",
            "" if kept else str(member["distance"]),
            "" if kept else member["relation"],
            Shortened(member["path"]),
        )
    parts: list[RenderableType] = [rows]
    if len(group["members"]) > _MEMBERS:
        parts.append(Text(f"and {len(group['members']) - _MEMBERS:,} more"))
    if group["reasons"]:
        parts.append(Text(" ".join(group["reasons"]), style="dim"))
    return Group(*parts)
