"""What the page shows of drop-files and downloads, made from what the desk says: pure, plain values."""

from __future__ import annotations

from typing import Any, Final

Json = dict[str, Any]

# A file name that is longer is cut off like the rest of its URL where there is no room.
TAIL_CHARACTERS: Final = 28
_STATES: Final = {"missing": "not there yet", "starting": "starting", "stopped": "not read"}


def dropfile(one: Json) -> Json:
    """A row for one drop-file. Refused lines became no jobs: they are counted apart."""
    return {
        "name": one["name"],
        "path": one["path"],
        "output": one["output"],
        "results": one["results"],
        "paused": one["paused"],
        "state": _STATES.get(one["watch"], ""),
        "lines": number(one["line"]),
        "to_fetch": number(one["waiting_to_fetch"]),
        "in_work": number(sum(one["queue"].values()) - one["waiting_to_fetch"]),
        "completed": number(one["completed"]),
        "discarded": number(one["discarded"]),
        "refused": number(one["refused_lines"]),
    }


def downloads(status: Json) -> Json | None:
    """Running downloads and hosts at rest; None where nobody has to do with URLs."""
    told = status["downloads"]
    if not status["dropfiles"] and not any(inbox["urls"] for inbox in status["inboxes"]):
        return None
    return {
        "running": number(told["running"]),
        "rate": f"{size(told['bytes_per_second'])}/s" if told["running"] else "",
        "waiting": number(told["waiting"]) if told["waiting"] else "",
        "rows": [_row(one) for one in told["progress"]],
        "more": number(told["running"] - len(told["progress"])) if told["running"] > len(told["progress"]) else "",
        "hosts": [_host(one) for one in told["resting_hosts"]],
        "more_hosts": max(0, told["resting"]["hosts"] - len(told["resting_hosts"])),
    }


def _row(one: Json) -> Json:
    head, tail, query = pieces(one["url"])
    total = one["total_bytes"]
    return {
        "id": one["job"],
        "url": one["url"],
        "head": head,
        "tail": tail,
        "query": query,
        "bytes": size(one["bytes"]) if total is None else f"{size(one['bytes'])} of {size(total)}",
        "percent": None if not total else min(100, 100 * one["bytes"] // total),
        "rate": f"{size(one['bytes_per_second'])}/s",
    }


def _host(one: Json) -> Json:
    return {
        "id": one["origin"],
        "origin": one["origin"],
        "waiting": f"{number(one['waiting'])} {'URL waits' if one['waiting'] == 1 else 'URLs wait'}",
        "until": one["until"],
        "clock": (one["until"] or "")[11:16],
        "detail": one["detail"],
    }


def pieces(url: str) -> tuple[str, str, str]:
    """A canonical URL as what may be cut off, its file name, and its query, which may be cut off too.

    >>> pieces("https://example.com/albums/2026/picture.jpg?size=full")
    ('https://example.com/albums/2026/', 'picture.jpg', '?size=full')
    """
    path, mark, query = url.partition("?")
    head, _, name = path.rpartition("/")
    if len(name) > TAIL_CHARACTERS:
        return path[:-TAIL_CHARACTERS], path[-TAIL_CHARACTERS:], mark + query
    return f"{head}/", name, mark + query


def size(size_bytes: float) -> str:
    """``900 B``, ``1.2 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 1000:
            return f"{size_bytes:.0f}\u202fB" if unit == "B" else f"{size_bytes:.1f}\u202f{unit}"
        size_bytes /= 1000
    return f"{size_bytes:.1f}\u202fTB"


def number(count: int) -> str:
    """With thin spaces between thousands, which tabular figures keep aligned."""
    return f"{count:,}".replace(",", "\u202f")
