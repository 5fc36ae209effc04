"""A desk without a daemon, for what the web does by itself: hosts, tokens, errors, limits, and how the page looks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import httpx

from dropmill.control.desk import Desk
from dropmill.control.events import Hub
from dropmill.control.history import History
from dropmill.errors import Conflict, NotFound, Unavailable
from dropmill.observe.clock import SystemClock
from dropmill.observe.facts import Fact
from dropmill.observe.metrics import Metrics
from dropmill.settings import Http
from dropmill.web.server import serve

Json = dict[str, Any]


def inbox(name: str = "camera", **more: Any) -> Json:
    told: Json = {
        "name": name,
        "path": f"/srv/{name}/inbox",
        "output": f"/srv/{name}/outbox",
        "profile": "web",
        "paused": False,
        "watch": "events",
        "trouble": "",
        "settling": 0,
        "queue": {"scheduled": 0, "available": 0, "executing": 0},
        "discarded": 0,
        "completed": 0,
        "last_scan": None,
        "urls": None,
    }
    return told | more


def dropfile(name: str = "list", **more: Any) -> Json:
    told: Json = {
        "name": name,
        "path": f"/srv/lists/{name}.txt",
        "output": "/srv/camera/outbox",
        "profile": "web",
        "results": f"/srv/lists/{name}.txt.results.jsonl",
        "paused": False,
        "watch": "poll",
        "trouble": "",
        "line": 0,
        "behind_bytes": 0,
        "refused_lines": 0,
        "queue": {"scheduled": 0, "available": 0, "executing": 0},
        "fetching": 0,
        "waiting_to_fetch": 0,
        "discarded": 0,
        "completed": 0,
    }
    return told | more


def download(number: int, url: str = "", **more: Any) -> Json:
    told: Json = {
        "job": number,
        "inbox": "list",
        "url": url or f"https://images.example.com/picture-{number}.jpg",
        "bytes": 1_000_000,
        "total_bytes": 4_000_000,
        "bytes_per_second": 500_000,
        "seconds": 2.0,
    }
    return told | more


def job(number: int, **more: Any) -> Json:
    told: Json = {
        "id": number,
        "inbox": "camera",
        "source": f"/srv/camera/inbox/picture-{number}.jpg",
        "state": "completed",
        "outcome": "published",
        "reason": None,
        "detail": "",
        "remedy": None,
        "renditions": [],
        "duplicate_of": None,
        "moved_from": None,
        "finished_at": f"2026-03-04T05:{number % 60:02d}:00.000Z",
    }
    return told | more


def rendition(number: int, width: int, height: int) -> Json:
    return {"id": number, "name": "thumb", "page": 0, "path": "x", "format": "jpeg", "width": width, "height": height}


class _Course:
    """How far the daemon has come whose desk this is."""

    stopping = False

    def __init__(self, desk: FakeDesk) -> None:
        self._desk = desk

    @property
    def ready(self) -> bool:
        return self._desk.state == "running"


class FakeDesk:
    """Says what it was made with, and remembers what it was asked to do."""

    def __init__(self, inboxes: Sequence[Json] | None = None, jobs: Sequence[Json] = ()) -> None:
        self.inboxes = list(inboxes) if inboxes is not None else [inbox()]
        self.all_jobs = list(jobs)
        self.parts: list[Json] = [{"name": "daemon", "status": "ok", "detail": "running", "remedy": ""}]
        self.files: dict[int, tuple[bytes, bytes, str]] = {}
        self.queue: Json = {"available": 0, "scheduled": 0, "executing": 0}
        self.state = "running"
        self.paused = False
        self.dropfiles: list[Json] = []
        self.downloads: Json = {
            "running": 0,
            "bytes_per_second": 0,
            "waiting": 0,
            "queue": {"scheduled": 0, "available": 0, "executing": 0},
            "resting": {"hosts": 0, "urls": 0, "failing": 0},
            "resting_hosts": [],
            "progress": [],
        }
        self.asked: list[tuple[Any, ...]] = []
        self.failure: Exception | None = None
        self.hub = Hub("run", most=256)
        clock = SystemClock()
        live = SimpleNamespace(
            pulse=SimpleNamespace(trouble=""),
            course=_Course(self),
            chronicle=SimpleNamespace(trouble=None),
            surroundings=SimpleNamespace(folders=[SimpleNamespace(word="state", trouble=None)]),
            hub=self.hub,
            history=History(clock),
        )
        self.told: list[Fact] = []
        self.house = SimpleNamespace(live=live, clock=clock, emit=self.told.append)

    def __getattr__(self, name: str) -> Any:
        """What the desk can do besides: asked for, and not there."""
        if not callable(getattr(Desk, name, None)):
            raise AttributeError(name)

        async def ask(*arguments: Any) -> Json:
            self.asked.append((name, *arguments))
            raise Unavailable("only a real desk can do that")

        return ask

    async def status(self) -> Json:
        if self.failure is not None:
            raise self.failure
        completed = [told for told in self.all_jobs if told["state"] == "completed"]
        outcomes = {told["outcome"] for told in completed}
        return {
            "state": self.state,
            "version": "0",
            "paused": self.paused,
            "inboxes": self.inboxes,
            "dropfiles": self.dropfiles,
            "webhooks": [],
            "configuration": None,
            "downloads": self.downloads,
            "queue": self.queue
            | {
                "oldest_available_seconds": None,
                "discarded": sum(told["state"] == "discarded" for told in self.all_jobs),
                "cancelled": 0,
                "completed": {one: sum(told["outcome"] == one for told in completed) for one in outcomes},
            },
            "catalog": {"bytes": 4096, "wal_bytes": 0},
            "duplicates": {
                "groups": 0,
                "by_tier": {},
                "files": 0,
                "reclaimable_bytes": 0,
                "uncompared": 0,
                "to_group": 0,
            },
            "scans": [],
            "folders": [],
            "min_free_bytes": 64 << 20,
            "index": {"state": "ready", "images": 0, "memory_bytes": 0, "pid": 13, "trouble": ""},
            "owed": {"publications": 0, "retirements": 0, "disposals": 0, "notices": 0, "tried_in_vain": 0},
            "workers": {"size": 4, "busy": 1, "pids": [11, 12], "started_total": 2, "lost_total": 0, "trouble": ""},
            "health": await self.health(),
        }

    async def health(self) -> Json:
        statuses = {part["status"] for part in self.parts}
        status = next((one for one in ("failing", "degraded") if one in statuses), "ok")
        return {"status": status, "live": True, "ready": self.state == "running", "parts": self.parts}

    async def jobs(
        self, state: str | None = None, inbox: str | None = None, limit: int = 100, before: int | None = None
    ) -> list[Json]:
        if state not in {None, "completed", "discarded", "available"}:
            raise NotFound(f"there is no job state {state!r}", hint="states: …")
        return [told for told in reversed(self.all_jobs) if state in {None, told["state"]}][:limit]

    async def job(self, job_id: int) -> Json:
        for told in self.all_jobs:
            if told["id"] == job_id:
                return told
        raise NotFound(f"there is no job {job_id}", hint="dropmill jobs lists them")

    async def why(self, target: str | bytes) -> Json:
        self.asked.append(("why", target))
        return {"target": repr(target), "verdict": "never seen", "story": [], "now": {}, "jobs": []}

    async def retry(self, job_id: int) -> Json:
        self.asked.append(("retry", job_id))
        told = await self.job(job_id)
        if told["state"] != "discarded":
            raise Conflict(f"job {job_id} is not discarded", hint="only discarded jobs can be retried")
        return told

    async def retry_all(self) -> Json:
        self.asked.append(("retry_all",))
        return {"retried": [], "skipped": []}

    async def cancel(self, job_id: int) -> Json:
        self.asked.append(("cancel", job_id))
        return await self.job(job_id)

    async def pause(self, inbox: str | None = None) -> Json:
        self.asked.append(("pause", inbox))
        return {"paused": [inbox or "*"]}

    async def resume(self, inbox: str | None = None) -> Json:
        self.asked.append(("resume", inbox))
        return {"paused": []}

    async def reload(self) -> Json:
        self.asked.append(("reload",))
        if self.failure is not None:
            raise self.failure
        return {"number": 1}

    async def reprocess(self, target: str | bytes) -> Json:
        self.asked.append(("reprocess", target))
        return {"queued": [], "skipped": []}

    async def add(
        self, paths: Sequence[str | bytes], inbox: str | None, priority: int | None, label: str | None
    ) -> Json:
        self.asked.append(("add", list(paths), inbox, priority, label))
        return {"added": [], "refused": []}

    async def rendition_file(self, rendition_id: int) -> tuple[bytes, bytes, str]:
        if rendition_id not in self.files:
            raise NotFound(f"there is no rendition {rendition_id}")
        return self.files[rendition_id]


@asynccontextmanager
async def served(desk: Any, **http: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a real server on a real socket."""
    settings = Http(**{"bind": "127.0.0.1:0", **http})
    async with serve(desk, Metrics("0", 0.0), settings) as url:
        if url.startswith("unix:"):
            transport = httpx.AsyncHTTPTransport(uds=url.removeprefix("unix:"), verify=False)
            client = httpx.AsyncClient(transport=transport, base_url="http://localhost/")
        else:
            client = httpx.AsyncClient(base_url=url, verify=False)  # Nothing here speaks TLS.
        async with client:
            yield client
