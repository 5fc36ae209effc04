"""The state of the whole at a glance."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from dropmill import __version__
from dropmill.control import describe, duplicates, health, indexing, urls, webhooks
from dropmill.control.house import House, Live
from dropmill.model.file import shown
from dropmill.ports import ALL_INBOXES, IndexStats
from dropmill.settings import Inbox as InboxSettings
from dropmill.settings import effective_processes
from dropmill.store import owed, queue, views
from dropmill.store.catalog import catalog_path, file_bytes
from dropmill.store.connection import Session
from dropmill.store.urls import Urls
from dropmill.store.urls import urls as url_numbers

Json = dict[str, Any]


async def status(house: House) -> Json:
    live = house.live
    now_ms = house.clock.now_ms()
    dropfiles = [item.name for item in house.settings.dropfiles]
    counts, debts, paused, fetching, alike = await house.catalog.read(
        lambda session: (*_numbers(session, now_ms, dropfiles), duplicates.numbers(session))
    )
    oldest = counts.oldest_available_ms
    return {
        "state": state_of(live),
        "version": __version__,
        "pid": live.pid if live else None,
        "boot": live.boot if live else None,
        "uptime_seconds": round(house.clock.monotonic() - live.started_at, 3) if live else 0.0,
        "configuration": _configuration(live),
        "paused": ALL_INBOXES in paused,
        "inboxes": [_inbox(house, item, counts, paused, fetching) for item in house.settings.inboxes],
        "dropfiles": urls.dropfiles(house, counts, fetching, paused),
        "downloads": urls.downloads(house, fetching, now_ms),
        "queue": {
            "scheduled": counts.all("scheduled"),
            "available": counts.all("available"),
            "executing": counts.all("executing"),
            "oldest_available_seconds": None if oldest is None else round(max(0, now_ms - oldest) / 1000, 3),
            "discarded": counts.all("discarded"),
            "cancelled": counts.all("cancelled"),
            "completed": dict(counts.outcomes),
        },
        "owed": {
            "publications": debts.publications,
            "retirements": debts.retirements,
            "disposals": debts.disposals,
            "notices": debts.notices,
            "tried_in_vain": debts.tried_in_vain,
        },
        "webhooks": await webhooks.at_a_glance(house),
        "workers": _workers(house),
        "index": _index(house),
        "duplicates": alike,
        "scans": await indexing.under_way(house),
        "catalog": _catalog(house),
        "folders": _folders(live),
        "min_free_bytes": house.settings.min_free_mb << 20,
        "health": await health.health(house),
    }


def state_of(live: Live | None) -> str:
    if live is None:
        return "stopped"
    if live.configuration.under_way:
        return "reloading"
    if live.course.stopping:
        return "draining"
    return "running" if live.course.ready else "starting"


def _configuration(live: Live | None) -> Json | None:
    if live is None:
        return None
    return {
        "applied_at": describe.iso(live.configuration.loaded_ms),
        "reloads": live.configuration.number,
        "reloading": live.configuration.under_way,
        "refused": list(live.configuration.findings),
    }


def _numbers(session: Session, now_ms: int, dropfiles: list[str]) -> tuple[views.Counts, owed.Owed, set[str], Urls]:
    fetching = url_numbers(session, now_ms, dropfiles)
    return views.counts(session), owed.counts(session), queue.paused(session), fetching


def _inbox(house: House, item: InboxSettings, counts: views.Counts, paused: set[str], fetching: Urls) -> Json:
    counter: Mapping[str, int] = counts.by_inbox.get(item.name, {})
    live = house.live
    told: Json = {
        "name": item.name,
        "path": shown(os.fsencode(item.path)),
        "output": shown(os.fsencode(item.output)),
        "profile": item.profile,
        "paused": item.name in paused or ALL_INBOXES in paused,
        "watch": "stopped",
        "trouble": "",
        "settling": 0,
        "queue": {state: counter.get(state, 0) for state in ("scheduled", "available", "executing")},
        "discarded": counter.get("discarded", 0),
        "completed": counter.get("completed", 0),
        "last_scan": None,
        "urls": urls.of_inbox(house, item.name, counts, fetching),
    }
    if live is not None and item.name in live.watches:
        watch = live.watches[item.name]
        told["watch"] = watch.mode
        told["trouble"] = watch.trouble or live.settlings[item.name].trouble
        told["settling"] = live.settlings[item.name].count
        told["last_scan"] = _last_scan(live, item.name)
    return told


def _last_scan(live: Live, inbox: str) -> Json | None:
    if inbox not in live.chronicle.scans:
        return None
    at_ms, scan = live.chronicle.scans[inbox]
    return {
        "at": describe.iso(at_ms),
        "cause": scan.found_by,
        "files": scan.files,
        "new": scan.new,
        "seconds": round(scan.seconds, 3),
    }


def _folders(live: Live | None) -> list[Json]:
    """Those that files are put into, and what is free on their disks; ``inbox`` is empty for the state directory."""
    return [
        {
            "folder": folder.word,
            "inbox": folder.inbox,
            "ok": folder.trouble is None,
            "free_bytes": folder.room.free_bytes if folder.room.counted else None,
            "size_bytes": folder.room.size_bytes if folder.room.counted else None,
            "free_inodes": folder.room.free_inodes if folder.room.counted else None,
        }
        for folder in (live.surroundings.folders if live is not None else ())
        if folder.word != "inbox"
    ]


def _catalog(house: House) -> Json:
    path = catalog_path(house.settings.state_dir)
    return {"bytes": file_bytes(path), "wal_bytes": file_bytes(f"{path}-wal")}


def _index(house: House) -> Json:
    stats = house.live.index.stats() if house.live is not None else IndexStats()
    return {
        "state": stats.state,
        "images": stats.images,
        "memory_bytes": stats.memory_bytes,
        "window_bytes": stats.window_bytes,
        "pid": stats.pid,
        "trouble": stats.trouble,
    }


def _workers(house: House) -> Json:
    if house.live is None:
        return {
            "size": effective_processes(house.settings.workers),
            "busy": 0,
            "pids": [],
            "started_total": 0,
            "lost_total": 0,
            "trouble": "",
            "guards": None,
            "waiting_for_memory": 0,
        }
    stats = house.live.pool.stats()
    return {
        "size": stats.size,
        "busy": stats.busy,
        "pids": list(stats.pids),
        "started_total": stats.started_total,
        "lost_total": stats.lost_total,
        "trouble": stats.trouble,
        "guards": stats.guards if stats.guards is None else list(stats.guards),
        "waiting_for_memory": stats.waiting_for_memory,
    }
