"""How things stand, told to listening pages when it changes: the queue and downloads once a second, health less often."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Final

import anyio

from dropmill.control.events import Hub
from dropmill.ports import Clock

Json = dict[str, Any]

PAUSE_SECONDS: Final = 1.0
# Health may change without a fact, as a disk that is filled by somebody else does.
QUIET_SECONDS: Final = 5.0


class Reporter:
    """Looks only while somebody listens and something has happened, or a while has passed."""

    def __init__(
        self,
        hub: Hub,
        status: Callable[[], Awaitable[Json]],
        newest_group: Callable[[], Awaitable[Json]],
        clock: Clock,
    ) -> None:
        """``status`` and ``newest_group`` (a page of one group) are asked of the desk."""
        self._hub = hub
        self._status = status
        self._newest_group = newest_group
        self._clock = clock
        self._told: dict[str, Json] = {}
        self._listeners = 0
        self._wanted = anyio.Event()

    @property
    def listeners(self) -> int:
        return self._listeners

    @property
    def latest(self) -> Mapping[str, Json]:
        """How things stood when they were last told, by kind."""
        return self._told

    def come(self) -> None:
        self._listeners += 1
        self._wanted.set()

    def leave(self) -> None:
        self._listeners -= 1
        if not self._listeners:
            self._wanted = anyio.Event()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._wanted.wait()
            self._hub.stale = anyio.Event()
            await self._look()
            await self._clock.sleep(PAUSE_SECONDS)
            with anyio.move_on_after(QUIET_SECONDS - PAUSE_SECONDS):
                await self._hub.stale.wait()

    async def _look(self) -> None:
        # Whatever keeps one from being told, who asks for it is told why, and we look again.
        with suppress(Exception):
            self._compare(standing(await self._status()))
        with suppress(Exception):
            self._compare({"groups": _groups(await self._newest_group())})

    def _compare(self, now: Mapping[str, Json]) -> None:
        for kind, told in now.items():
            if self._told.get(kind) != told:
                self._told[kind] = told
                self._hub.tell(kind, told)


def standing(status: Json) -> dict[str, Json]:
    """The events that tell how things stand, from what ``Desk.status`` says."""
    workers, health, downloads = status["workers"], status["health"], status["downloads"]
    return {
        "queue": {
            **{name: count for name, count in status["queue"].items() if name != "oldest_available_seconds"},
            "settling": sum(inbox["settling"] for inbox in status["inboxes"]),
            "state": status["state"],
            "paused": status["paused"],
            "workers": {"busy": workers["busy"], "size": workers["size"]},
        },
        "downloads": {
            name: downloads[name] for name in ("running", "waiting", "bytes_per_second", "queue", "progress")
        },
        "health": {
            "status": health["status"],
            "ready": health["ready"],
            "parts": [part for part in health["parts"] if part["status"] != "ok"],
        },
    }


def _groups(page: Json) -> Json:
    newest = page["groups"]
    return {
        "open": page["total"],
        "reclaimable_bytes": page["reclaimable_bytes"],
        "changed_at": newest[0]["changed_at"] if newest else None,
    }
