"""Is it well? Every part that is not says what to do about it; nothing here names a path, so anyone may ask."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import anyio

from dropmill.control import webhooks
from dropmill.control.describe import counted
from dropmill.control.house import House, Live
from dropmill.ports import ALL_INBOXES
from dropmill.store import owed
from dropmill.store.catalog import WAL_ALARM_BYTES, catalog_path, file_bytes
from dropmill.store.urls import urls as url_numbers

Json = dict[str, Any]

# Who asks whether all is well gets an answer in time, also while the disk of the catalog hangs.
PATIENCE_SECONDS: Final = 3.0


def not_live(house: House) -> str:
    """What only a restart helps against, or empty. A full disk, a share that is away and a shutdown are no such thing."""
    return house.live.pulse.trouble if house.live is not None else "no daemon runs"


def not_ready(house: House) -> str:
    """Why no work is taken in now, or empty. Nothing is waited for: whoever asks wants to know it at once."""
    if house.live is None:
        return "no daemon runs"
    course = house.live.course
    if course.stopping:
        return "stopping"
    if not course.ready:
        return "starting"
    catalog = _unusable(house.live)
    return f"the catalog: {catalog['detail']}" if catalog is not None and catalog["status"] == "failing" else ""


async def health(house: House) -> Json:
    """``live``: no restart is needed. ``ready``: able to accept work now."""
    if house.live is None:
        part = _part("daemon", "failing", "no daemon runs", "start it: dropmill run")
        return {"status": "failing", "live": False, "ready": False, "parts": [part]}
    parts = [
        _course(house.live),
        _configuration(house.live),
        _catalog(house, house.live),
        _workers(house.live),
        _index(house.live),
        *_watches(house.live),
        *_dropfiles(house.live),
        *await _catalogued(house, house.live),
        *_folders(house.live),
        *_hashes(house.live),
    ]
    statuses = {part["status"] for part in parts}
    overall = next((status for status in ("failing", "degraded") if status in statuses), "ok")
    return {"status": overall, "live": not not_live(house), "ready": not not_ready(house), "parts": parts}


def starting(doing: str) -> Json:
    """As ``health``, of a daemon that is not put together yet."""
    part = _part("daemon", "ok", f"starting: {doing}" if doing else "starting")
    return {"status": "ok", "live": True, "ready": False, "parts": [part]}


def _part(name: str, status: str, detail: str = "", remedy: str = "") -> Json:
    return {"name": name, "status": status, "detail": detail, "remedy": remedy}


def _course(live: Live) -> Json:
    if live.course.stopping:
        return _part("daemon", "ok", "stopping: running jobs finish")
    if live.pulse.trouble:
        return _part("daemon", "failing", live.pulse.trouble, "restart it; nothing is lost")
    return _part("daemon", "ok", "running" if live.course.ready else "starting")


def _configuration(live: Live) -> Json:
    findings = len(live.configuration.findings)
    if not findings:
        return _part("configuration", "ok")
    reasons = "one reason" if findings == 1 else f"{findings} reasons"
    detail = f"the changed one was refused, for {reasons}; the earlier one stays in force"
    return _part(
        "configuration",
        "degraded",
        detail,
        "dropmill reload says what is wrong with it, and applies it once it is right",
    )


def _unusable(live: Live) -> Json | None:
    """The catalog, where it or its disk takes nothing, or nothing new."""
    trouble = live.chronicle.trouble
    if trouble is not None:
        return _part(
            "catalog", "failing", trouble.detail, "free space on, or repair, the disk of state_dir; work then resumes"
        )
    state = next(folder for folder in live.surroundings.folders if folder.word == "state")
    if state.trouble is not None:
        # Nothing is lost, but nothing new is queued either.
        status = "failing" if state.trouble.holds else "degraded"
        return _part("catalog", status, state.trouble.detail, state.trouble.remedy)
    return None


def _catalog(house: House, live: Live) -> Json:
    unusable = _unusable(live)
    if unusable is not None:
        return unusable
    wal_bytes = file_bytes(f"{catalog_path(house.settings.state_dir)}-wal")
    if wal_bytes > WAL_ALARM_BYTES:
        return _part(
            "catalog",
            "degraded",
            f"its log has grown to {wal_bytes >> 20} MiB: a program keeps reading catalog.db",
            "end that program (fuser -v catalog.db names it); the log then shrinks by itself",
        )
    return _part("catalog", "ok")


def _hashes(live: Live) -> Iterator[Json]:
    """A note, and no trouble: what was hashed alike is compared all the same."""
    older = live.indexer.older
    if older:
        lack = "hashes of an earlier version"
        if live.indexer.tools.windows:
            lack += ", or none for what loose looks for"
        detail = f"{counted(older, 'picture')} of the catalog {'has' if older == 1 else 'have'} {lack}"
        yield _part("hashes", "ok", detail, "dropmill index --rehash")


def _workers(live: Live) -> Json:
    stats = live.pool.stats()
    if not stats.trouble:
        return _part("workers", "ok", f"{stats.busy} of {stats.size} busy")
    remedy = "look at the log for what the worker said; check memory and the limit on processes (ulimit -u)"
    return _part("workers", "degraded" if stats.pids else "failing", stats.trouble, remedy)


def _index(live: Live) -> Json:
    stats = live.index.stats()
    match stats.state:
        case "down":
            remedy = "it is started again by itself; until then new images are compared later, or wait for their answer"
            return _part("index", "degraded", stats.trouble, remedy)
        case "starting":
            return _part("index", "ok", "reading the catalog")
        case "ready":
            detail = f"{counted(stats.images, 'image')}, {-(-stats.memory_bytes >> 20)} MiB"
            return _part("index", "ok", detail)
        case "idle":
            return _part("index", "ok", "not needed yet")


async def _catalogued(house: House, live: Live) -> list[Json]:
    """What only the catalog can tell."""
    with anyio.move_on_after(PATIENCE_SECONDS):
        return [await _owed(house), *await _downloads(house, live), *await webhooks.health(house)]
    detail = f"the catalog has not answered for {PATIENCE_SECONDS:g} s"
    return [_part("owed", "degraded", detail, "if it lasts, look at the disk of state_dir, and for what keeps it busy")]


async def _owed(house: House) -> Json:
    debts, given_up = await house.catalog.read(lambda session: (owed.counts(session), owed.given_up(session)))
    if given_up:
        return _part(
            "owed",
            "degraded",
            f"{given_up} finished {'rendition was' if given_up == 1 else 'renditions were'} lost before getting into place, "
            "each time it was tried",
            "look at what removes files from .dropmill in the output, then: dropmill reprocess ID",
        )
    oldest = await house.catalog.read(owed.oldest_later)
    if oldest is None:
        return _part("owed", "ok")
    job_id, detail = oldest
    return _part(
        "owed",
        "degraded",
        f"{debts.tried_in_vain} of the renditions, originals and receipts could not be put into place yet; "
        f"of job {job_id}: {detail}",
        f"dropmill why {job_id} tells more; check the folders' mounts, modes and free space; it is tried again by itself",
    )


def _watches(live: Live) -> Iterator[Json]:
    for name, watch in live.watches.items():
        if watch.trouble:
            yield _part(f"inbox {name}", "degraded", watch.trouble, watch.remedy)
        else:
            yield _part(f"inbox {name}", "ok", f"{watch.mode}; {watch.waits}" if watch.waits else watch.mode)


def _dropfiles(live: Live) -> Iterator[Json]:
    for name, tail in live.tails.items():
        results = live.results[name]
        trouble, remedy = (tail.trouble, tail.remedy) if tail.trouble else (results.trouble, results.remedy)
        if trouble:
            yield _part(f"drop-file {name}", "degraded", trouble, remedy)
        elif tail.missing:
            yield _part(f"drop-file {name}", "ok", "not there yet")
        else:
            yield _part(f"drop-file {name}", "ok", tail.waits)


async def _downloads(house: House, live: Live) -> list[Json]:
    """Hosts that rest are nobody's fault here, so they are told of and degrade nothing; none is named."""
    now_ms = house.clock.now_ms()
    urls = await house.catalog.read(lambda session: url_numbers(session, now_ms))
    running = len(live.fetcher.progress())
    to_fetch = sum(urls.all(state) for state in ("scheduled", "available", "executing"))
    waiting = max(0, to_fetch - running)
    if not (running or waiting or house.settings.dropfiles):
        return []
    held = live.surroundings.held.get(ALL_INBOXES)
    if held is not None:
        # They are written below the state directory.
        return [_part("downloads", "degraded", f"none is begun: {held.detail}", held.remedy)]
    told = [f"{running} running", f"{waiting:,} waiting"]
    if urls.resting_hosts:
        told.append(f"{counted(urls.resting_hosts, 'host')} at rest")
    return [_part("downloads", "ok", ", ".join(told))]


def _folders(live: Live) -> Iterator[Json]:
    """The inbox itself is told of by its watch, unless it hangs, and the state directory with the catalog."""
    for folder in live.surroundings.folders:
        trouble = folder.trouble
        if folder.word == "state" or (folder.word == "inbox" and trouble is None):
            continue
        name = f"{folder.word} {folder.inbox}" if folder.word != "inbox" else f"folder of inbox {folder.inbox}"
        yield _part(name, "degraded", trouble.detail, trouble.remedy) if trouble else _part(name, "ok")
