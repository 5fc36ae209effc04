"""How drop-files and downloads stand, as ``dropmill status --json`` says it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from dropmill.control import describe
from dropmill.control.house import House
from dropmill.fetch.dropfile import Tail
from dropmill.model.file import shown
from dropmill.model.inbox import URLS_SUFFIX
from dropmill.ports import ALL_INBOXES
from dropmill.store.urls import Urls
from dropmill.store.views import Counts

Json = dict[str, Any]

# Running downloads that are told one by one, those that have run longest first.
MOST_DOWNLOADS: Final = 64
_WAITING: Final = ("scheduled", "available", "executing")


def dropfiles(house: House, counts: Counts, fetching: Urls, paused: set[str]) -> list[Json]:
    """One for each configured drop-file. ``line``: lines read of the file that stands there now; ``behind_bytes``: what
    of it is not read yet, None where no daemon runs."""
    told = []
    for item in house.settings.dropfiles:
        read = fetching.dropfiles.get(item.name)
        tail = house.live.tails.get(item.name) if house.live is not None else None
        told.append(
            {
                "name": item.name,
                "path": shown(os.fsencode(item.path)),
                "output": shown(os.fsencode(item.output)),
                "profile": item.profile,
                "results": shown(os.fsencode(item.results_path)),
                "paused": item.name in paused or ALL_INBOXES in paused,
                "watch": _watch(tail),
                "trouble": _trouble(house, item.name),
                "line": read["line"] if read is not None else 0,
                "behind_bytes": tail.behind_bytes if tail is not None else None,
                **_numbers(house, item.name, counts, fetching),
            }
        )
    return told


def _trouble(house: House, name: str) -> str:
    if house.live is None or name not in house.live.tails:
        return ""
    return house.live.tails[name].trouble or house.live.results[name].trouble


def _watch(tail: Tail | None) -> str:
    if tail is None:
        return "stopped"
    return tail.watch


def of_inbox(house: House, inbox: str, counts: Counts, fetching: Urls) -> Json | None:
    """The URLs that were added to an inbox, also by lists that were dropped into it; None where there were none."""
    name = inbox + URLS_SUFFIX
    met = any(counts.by_inbox.get(name, {}).values()) or fetching.refused.get(name)
    return _numbers(house, name, counts, fetching) if met else None


def _numbers(house: House, inbox: str, counts: Counts, fetching: Urls) -> Json:
    """``queue`` counts all of its jobs that have not ended; ``fetching`` and ``waiting_to_fetch`` are among them."""
    counter: Mapping[str, int] = counts.by_inbox.get(inbox, Counter())
    to_fetch = fetching.of(inbox)
    running = sum(one["inbox"] == inbox for one in _under_way(house))
    return {
        "queue": {state: counter.get(state, 0) for state in _WAITING},
        "fetching": running,
        # Those that are claimed ahead wait as well.
        "waiting_to_fetch": max(0, sum(to_fetch[state] for state in _WAITING) - running),
        "discarded": counter.get("discarded", 0),
        "refused_lines": fetching.refused.get(inbox, 0),
        "completed": counter.get("completed", 0),
    }


def downloads(house: House, fetching: Urls, now_ms: int) -> Json:
    """All of them together. ``queue`` counts the jobs that are not fetched yet, ``waiting`` those of them that do not run
    (claimed ahead, or put off, or of a host that rests). ``progress``: at most ``MOST_DOWNLOADS``, the oldest first."""
    under_way = sorted(_under_way(house), key=lambda one: (-one["seconds"], one["job_id"]))
    to_fetch = sum(fetching.all(state) for state in _WAITING)
    return {
        "running": len(under_way),
        "bytes_per_second": round(sum(one["bytes_per_second"] for one in under_way)),
        "waiting": max(0, to_fetch - len(under_way)),
        "queue": {state: fetching.all(state) for state in _WAITING},
        "resting": {
            "hosts": fetching.resting_hosts,
            "urls": fetching.resting_urls,
            "failing": fetching.failing_hosts,
        },
        "resting_hosts": [
            {
                "origin": row["origin"],
                "until": describe.iso(row["ready_at_ms"]),
                "rest_seconds": round((row["ready_at_ms"] - now_ms) / 1000, 1),
                "detail": row["detail"],
                "waiting": row["waiting"],
            }
            for row in fetching.resting
        ],
        "progress": [_progress(one) for one in under_way[:MOST_DOWNLOADS]],
    }


def _under_way(house: House) -> Sequence[Mapping[str, Any]]:
    return house.live.fetcher.progress() if house.live is not None else ()


def _progress(one: Mapping[str, Any]) -> Json:
    return {
        "job": one["job_id"],
        "inbox": one["inbox"],
        "url": one["url"],
        "bytes": one["size_bytes"],
        "total_bytes": one["total_bytes"],
        "bytes_per_second": round(one["bytes_per_second"]),
        "seconds": round(one["seconds"], 1),
    }
