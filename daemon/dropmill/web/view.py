"""What the page shows, made from what the desk says: pure, plain values for the templates."""

from __future__ import annotations

import posixpath
from typing import Any, Final
from urllib.parse import urlsplit

from dropmill.model.inbox import URLS_SUFFIX
from dropmill.model.outcome import Reason, explained, with_detail
from dropmill.model.url import is_url
from dropmill.web import fetching
from dropmill.web.fetching import number as number  # Callers name it with what it is for.

Json = dict[str, Any]

# A thumbnail cell is at most about this wide on a dense display.
THUMBNAIL_PIXELS: Final = 400
_NO_URLS: Final[Json] = {"queue": {}, "completed": 0, "discarded": 0, "refused_lines": 0}
_STATES: Final = {
    "starting": "Starting",
    "running": "Running",
    "reloading": "Applying the changed configuration",
    "draining": "Stopping: jobs in hand finish",
    "stopped": "Not running",
}
_OUTCOMES: Final = {
    "published": ("check", "Published"),
    "duplicate": ("same", "Duplicate"),
    "unchanged": ("same", "Unchanged"),
    "moved": ("arrow", "Moved"),
    "superseded": ("arrow", "Superseded"),
    "discarded": ("cross", "Discarded"),
    "cancelled": ("stop", "Cancelled"),
}


def page(status: Json, jobs: list[Json]) -> Json:
    """``status`` as from ``Desk.status``; ``jobs`` finished ones as from ``Desk.jobs``, in any order."""
    queue, health = status["queue"], status["health"]
    finished = sorted(jobs, key=lambda job: (job["finished_at"] or "", job["id"]), reverse=True)
    several = len(status["inboxes"]) + len(status["dropfiles"]) > 1
    return {
        "state": "Paused" if status["paused"] and status["state"] == "running" else _STATES[status["state"]],
        "paused": status["paused"],
        "workers": f"{status['workers']['busy']} of {status['workers']['size']} workers busy"
        if status["state"] != "stopped"
        else "",
        "figures": _figures(status),
        "review": _review(status["duplicates"]),
        "scans": [_scan(scan) for scan in status["scans"]],
        "problems": [part for part in health["parts"] if part["status"] != "ok"],
        "failing": health["status"] == "failing",
        "inboxes": [_inbox(inbox) for inbox in status["inboxes"]],
        "dropfiles": [fetching.dropfile(one) for one in status["dropfiles"]],
        "webhooks": [_webhook(one) for one in status["webhooks"]],
        "downloads": fetching.downloads(status),
        "several": several,
        "outputs": list(dict.fromkeys(one["output"] for one in (*status["inboxes"], *status["dropfiles"]))),
        "tiles": [tile(job, several) for job in finished],
        "discarded": queue["discarded"],
        "untouched": not finished and not any(queue[state] for state in ("scheduled", "available", "executing")),
    }


def _figures(status: Json) -> list[Json]:
    """The numbers at the top, with what they count."""
    queue, urls = status["queue"], status["downloads"]
    to_fetch = urls["queue"]
    completed = queue["completed"]
    settling = sum(inbox["settling"] for inbox in status["inboxes"])
    others = sum(count for outcome, count in completed.items() if outcome not in {"published", "duplicate"})
    figures = [
        (settling, "settling", "seen, not known to be complete"),
        (urls["waiting"], "to fetch", "URLs that are to be downloaded"),
        (urls["running"], "fetching", "URLs that are being downloaded"),
        (queue["available"] - to_fetch["available"], "waiting", "ready to be processed"),
        (queue["scheduled"] - to_fetch["scheduled"], "to be retried", "failed for a passing reason"),
        (queue["executing"] - to_fetch["executing"], "in work", "claimed, or being rendered"),
        (completed.get("published", 0), "published", "renditions were made"),
        (completed.get("duplicate", 0), "duplicates", "seen before"),
        (others, "unchanged", "known, moved or overtaken by a newer version"),
        (queue["discarded"], "discarded", "cannot be processed"),
    ]
    always = {"waiting", "in work", "published", "duplicates", "discarded"}
    if status["dropfiles"]:
        always |= {"to fetch", "fetching"}
    return [
        {"count": number(count), "word": word, "title": title, "attention": word == "discarded" and count > 0}
        for count, word, title in figures
        if count or word in always
    ]


def _review(duplicates: Json) -> Json | None:
    """What waits for a person to decide; None where nothing does."""
    groups = duplicates["groups"]
    if not groups:
        return None
    word = "group of duplicates" if groups == 1 else "groups of duplicates"
    return {"groups": f"{number(groups)} {word}", "gain": fetching.size(duplicates["reclaimable_bytes"])}


def _scan(scan: Json) -> Json:
    """A scan of libraries that is under way."""
    total = f" of {number(scan['total_files'])}" if scan["total_files"] else ""
    what = ", ".join(scan["folders"]) or "what older versions have measured"
    return {"what": what, "files": f"{number(scan['files'])}{total} files", "detail": scan["detail"]}


def _inbox(inbox: Json) -> Json:
    # URLs that were added to it wait and end like its files.
    urls = inbox["urls"] or _NO_URLS
    waiting = sum(inbox["queue"].values()) + sum(urls["queue"].values())
    watch = {"events": "watched", "poll": "polled", "starting": "starting", "stopped": "not watched"}
    return {
        "name": inbox["name"],
        "path": inbox["path"],
        "output": inbox["output"],
        "profile": inbox["profile"],
        "paused": inbox["paused"],
        "watch": watch.get(inbox["watch"], inbox["watch"]),
        "trouble": inbox["trouble"],
        "waiting": number(waiting + inbox["settling"]),
        "completed": number(inbox["completed"] + urls["completed"]),
        "discarded": number(inbox["discarded"] + urls["discarded"]),
        "refused": number(urls["refused_lines"]),
    }


def _webhook(one: Json) -> Json:
    told = one["delivered_at"]
    return {
        "name": one["name"],
        "url": one["url"] or "",
        "state": "" if one["state"] == "ok" else one["state"],
        "waiting": number(one["waiting"]),
        "dead": number(one["dead_letters"]),
        "delivered": number(one["delivered"]),
        "told_at": told,
        "clock": (told or "")[:16].replace("T", " "),
    }


def tile(job: Json, several_inboxes: bool) -> Json:
    """One finished job: its picture if it has one, what became of it, and why."""
    outcome = job["outcome"] or job["state"]
    icon, word = _OUTCOMES[outcome]
    picture, full = _pictures(job["renditions"])
    reason = job["reason"] or ""
    of_url = is_url(job["source"])
    cause = explained(Reason(reason), of_url=of_url).cause if reason in set(Reason) else ""
    notes = [_origin(job), job["remedy"] or "", _taken_from(job["inbox"], of_url) if several_inboxes else ""]
    return {
        "id": job["id"],
        "name": _name(job["source"]),
        "host": _host(job["source"]),
        "source": job["source"],
        "outcome": outcome,
        "icon": icon,
        "word": word,
        "reason": reason,
        "cause": with_detail(reason, cause, job["detail"]),
        "notes": [note for note in notes if note],
        "picture": picture,
        "full": full,
        "finished_at": job["finished_at"],
        "clock": (job["finished_at"] or "")[11:16],
    }


def _name(source: str) -> str:
    """The last part of a path, or of a URL without its query."""
    if _host(source):
        source = source.partition("?")[0].rstrip("/")
    return posixpath.basename(source)


def _taken_from(inbox: str, of_url: bool) -> str:
    """What is added to an inbox by hand, or by lists in it, is told with that inbox."""
    kind = "drop-file" if of_url and not inbox.endswith(URLS_SUFFIX) else "inbox"
    return f"{kind} {inbox.removesuffix(URLS_SUFFIX)}"


def _host(source: str) -> str:
    """Host and port of a URL, for one name is on many hosts; empty for a path."""
    return urlsplit(source).netloc if is_url(source) else ""


def _origin(job: Json) -> str:
    """What a picture without renditions of its own goes back to."""
    twin = job["duplicate_of"]
    if twin:
        source = twin["source"] or ""
        of = _name(source) or f"job {twin['job']}"
        of += f" at {_host(source)}" if _host(source) else ""
        how = {"bytes": "", "coded": " (other metadata)", None: ""}.get(twin["tier"], f" ({twin['tier']})")
        return f"of {of}{how}"
    if job["outcome"] == "moved" and job["moved_from"]:
        return f"from {_name(job['moved_from'])}"
    return ""


def _pictures(renditions: list[Json]) -> tuple[Json | None, Json | None]:
    """The smallest rendition that fills a thumbnail, else the largest there is; and the largest, to look at."""
    if not renditions:
        return None, None
    by_size = sorted(renditions, key=lambda one: one["width"] * one["height"])
    large_enough = [one for one in by_size if max(one["width"], one["height"]) >= THUMBNAIL_PIXELS]
    return (large_enough or by_size[-1:])[0], by_size[-1]
