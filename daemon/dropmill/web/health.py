"""Whether it lives, whether it takes work, how every part is, and the metrics: open to everybody, without paths."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from dropmill.control.desk import Desk
from dropmill.control.health import not_live, not_ready
from dropmill.model.inbox import URLS_SUFFIX
from dropmill.observe.metrics import Gauges, Metrics, wanted_type

Json = dict[str, Any]


def install(app: FastAPI, desk: Desk, metrics: Metrics) -> None:
    async def livez(_request: Request) -> Response:
        # Answering at all proves that the event loop runs; the pulse tells of what works beside it (S11).
        stuck = not_live(desk.house)
        return JSONResponse({"status": "stuck", "detail": stuck}, 503) if stuck else JSONResponse({"status": "ok"})

    async def readyz(_request: Request) -> Response:
        lack = not_ready(desk.house)
        return JSONResponse({"status": "not ready", "detail": lack}, 503) if lack else JSONResponse({"status": "ok"})

    async def healthz(_request: Request) -> Response:
        told = await desk.health()
        return JSONResponse(told, 503 if told["status"] == "failing" else 200)

    async def exposition(request: Request) -> Response:
        async def gauges() -> Gauges:
            return gauges_of(await desk.status())

        content_type = wanted_type(",".join(request.headers.getlist("accept")))
        return Response(await metrics.render(gauges, content_type), media_type=content_type, headers={"Vary": "Accept"})

    for path, endpoint in (
        ("/livez", livez),
        ("/readyz", readyz),
        ("/healthz", healthz),
        ("/metrics", exposition),
    ):
        app.add_route(path, endpoint, methods=["GET"], include_in_schema=False)


def gauges_of(status: Json) -> Gauges:
    """The numbers of ``Desk.status`` as gauges."""
    inboxes, workers, owed = status["inboxes"], status["workers"], status["owed"]
    dropfiles, downloads = status["dropfiles"], status["downloads"]
    folders = [((one["folder"], one["inbox"]), one) for one in status["folders"]]
    paused = {one["name"]: one["paused"] for one in (*inboxes, *dropfiles)}
    paused |= {inbox["name"] + URLS_SUFFIX: inbox["paused"] for inbox in inboxes if inbox["urls"]}
    queues = [(one["name"], one["queue"]) for one in (*inboxes, *dropfiles)]
    queues += [(inbox["name"] + URLS_SUFFIX, inbox["urls"]["queue"]) for inbox in inboxes if inbox["urls"]]
    webhooks = [one for one in status["webhooks"] if one["configured"]]
    return Gauges(
        ready=bool(status["health"]["ready"]),
        queue={(name, state): count for name, queue in queues for state, count in queue.items()},
        oldest_seconds=status["queue"]["oldest_available_seconds"] or 0.0,
        settling={inbox["name"]: inbox["settling"] for inbox in inboxes},
        paused=paused,
        watch_modes={inbox["name"]: inbox["watch"] for inbox in inboxes},
        degraded={one["name"]: bool(one["trouble"]) for one in (*inboxes, *dropfiles)},
        folders_up={key: one["ok"] for key, one in folders},
        disk_free_bytes=_counted(folders, "free_bytes"),
        disk_size_bytes=_counted(folders, "size_bytes"),
        disk_free_inodes=_counted(folders, "free_inodes"),
        disk_reserve_bytes=status["min_free_bytes"],
        workers={
            "busy": workers["busy"],
            "idle": max(0, len(workers["pids"]) - workers["busy"]),
            "limit": workers["size"],
        },
        groups=status["duplicates"]["by_tier"],
        reclaimable_bytes=status["duplicates"]["reclaimable_bytes"],
        uncompared_images=status["duplicates"]["uncompared"],
        index_images=status["index"]["images"],
        index_bytes=status["index"]["memory_bytes"],
        catalog_bytes=status["catalog"]["bytes"],
        catalog_wal_bytes=status["catalog"]["wal_bytes"],
        downloads_running=downloads["running"],
        downloads_waiting={state: downloads["queue"][state] for state in ("available", "scheduled")},
        hosts_resting=downloads["resting"]["hosts"],
        hosts_failing=downloads["resting"]["failing"],
        dropfile_behind_bytes={one["name"]: one["behind_bytes"] or 0 for one in dropfiles},
        webhooks_waiting={one["name"]: one["waiting"] for one in webhooks},
        webhooks_dead_letters={one["name"]: one["dead_letters"] for one in webhooks},
        webhooks_enabled={one["name"]: one["disabled_at"] is None for one in webhooks},
        configured_at_seconds=_seconds(status["configuration"]["applied_at"]) if status["configuration"] else 0.0,
        owed={kind: owed[kind] for kind in ("publications", "retirements", "disposals", "notices")},
    )


def _seconds(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()


def _counted(folders: list[tuple[tuple[str, str], Json]], number: str) -> dict[tuple[str, str], int]:
    return {key: one[number] for key, one in folders if one[number] is not None}
