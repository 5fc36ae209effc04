"""Is it well? Every part that is not says what to do about it; nothing here names a path, so anyone may ask."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from typing import Any, Final

from dropmill.control.house import House, Live
from dropmill.errors import DropmillError
from dropmill.files.roots import read_identity, staging_of
from dropmill.model.inbox import Inbox
from dropmill.store import owed

Json = dict[str, Any]

# Below this the folder of renditions, or of the catalog, is about to stop the work.
LOW_BYTES: Final = 64 << 20

_OUTPUT_REMEDY: Final = "check the output folder's mount, owner, mode and free space; what is owed to it is tried again"
_FOLDER_REMEDY: Final = "check the folder's mount, owner and mode; what is owed to it is tried again by itself"


async def health(house: House) -> Json:
    """``live``: this answer itself. ``ready``: able to accept work now."""
    if house.live is None:
        part = _part("daemon", "failing", "no daemon runs", "start it: dropmill run")
        return {"status": "failing", "live": False, "ready": False, "parts": [part]}
    parts = [
        _course(house.live),
        _catalog(house, house.live),
        _workers(house.live),
        await _owed(house),
        *_watches(house.live),
        *await _folders(house.live),
    ]
    statuses = {part["status"] for part in parts}
    overall = next((status for status in ("failing", "degraded") if status in statuses), "ok")
    course = house.live.course
    catalog_works = parts[1]["status"] != "failing"
    return {
        "status": overall,
        "live": True,
        "ready": course.ready and not course.stopping and catalog_works,
        "parts": parts,
    }


def _part(name: str, status: str, detail: str = "", remedy: str = "") -> Json:
    return {"name": name, "status": status, "detail": detail, "remedy": remedy}


def _course(live: Live) -> Json:
    if live.course.stopping:
        return _part("daemon", "ok", "stopping: running jobs finish")
    return _part("daemon", "ok", "running" if live.course.ready else "starting")


def _catalog(house: House, live: Live) -> Json:
    trouble = live.chronicle.trouble
    if trouble is not None:
        return _part(
            "catalog", "failing", trouble.detail, "free space on, or repair, the disk of state_dir; work then resumes"
        )
    try:
        # The state directory is on a local disk, so this does not hang.
        disk = os.statvfs(house.settings.state_dir)
    except OSError as error:
        return _part("catalog", "failing", error.strerror or str(error), "bring the folder of state_dir back")
    free_bytes = disk.f_bavail * disk.f_frsize
    if free_bytes < LOW_BYTES:
        return _part("catalog", "degraded", f"{free_bytes >> 20} MiB free beside it", "free space on its disk")
    return _part("catalog", "ok")


def _workers(live: Live) -> Json:
    stats = live.pool.stats()
    if not stats.trouble:
        return _part("workers", "ok", f"{stats.busy} of {stats.size} busy")
    remedy = "look at the log for what the worker said; check memory and the limit on processes (ulimit -u)"
    return _part("workers", "degraded" if stats.pids else "failing", stats.trouble, remedy)


async def _owed(house: House) -> Json:
    debts = await house.catalog.read(owed.counts)
    if not debts.tried_in_vain:
        return _part("owed", "ok")
    return _part(
        "owed",
        "degraded",
        f"{debts.tried_in_vain} renditions, originals or receipts could not be put into place yet",
        "dropmill why ID tells what stands in the way of one; check the folders' mounts, modes and free space",
    )


def _watches(live: Live) -> Iterator[Json]:
    for name, watch in live.watches.items():
        if not watch.trouble:
            yield _part(f"inbox {name}", "ok", watch.mode)
        elif watch.mode == "poll":
            remedy = 'raise fs.inotify.max_user_watches and max_user_instances (sysctl), or set watch = "poll"'
            yield _part(f"inbox {name}", "degraded", watch.trouble, remedy)
        else:
            remedy = "bring the folder, or the disk it is on, back; the inbox then goes on by itself"
            yield _part(f"inbox {name}", "degraded", watch.trouble, remedy)


async def _folders(live: Live) -> list[Json]:
    asked = {}
    for name, inbox in live.inboxes.items():
        asked[f"output {name}"] = (inbox.output.path, output_trouble(inbox), _OUTPUT_REMEDY)
        for word, root in (
            ("archive", inbox.archive),
            ("duplicates", inbox.duplicates),
            ("quarantine", inbox.quarantine),
        ):
            if root is not None:
                asked[f"{word} {name}"] = (root.path, folder_trouble, _FOLDER_REMEDY)
    looks = [live.probes.look(path, function) for path, function, _ in asked.values()]
    troubles = await asyncio.gather(*looks)
    return [
        _part(name, "degraded", trouble, remedy) if trouble else _part(name, "ok")
        for (name, (_, _, remedy)), trouble in zip(asked.items(), troubles, strict=True)
    ]


def output_trouble(inbox: Inbox) -> Callable[[bytes], str]:
    """A blocking look that says what keeps renditions from being put there, or nothing."""

    def look(path: bytes) -> str:
        try:
            if read_identity(path) != inbox.output_uuid:
                return "it is not the folder that was recorded: is its disk mounted?"
        except DropmillError as error:
            return error.hint
        except OSError as error:
            return error.strerror or str(error)
        return folder_trouble(staging_of(path))

    return look


def folder_trouble(path: bytes) -> str:
    """What keeps files from being put into a folder, or nothing. Blocking."""
    try:
        disk = os.statvfs(path)
    except OSError as error:
        return error.strerror or str(error)
    if disk.f_flag & os.ST_RDONLY:
        return "its disk is mounted read-only"
    if not os.access(path, os.W_OK | os.X_OK):
        return "it is not writable"
    free_bytes = disk.f_bavail * disk.f_frsize
    # Some file systems (overlays, shares) count nothing at all.
    if disk.f_blocks and free_bytes < LOW_BYTES:
        return f"only {free_bytes >> 20} MiB are free"
    return ""
