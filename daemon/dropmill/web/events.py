"""Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html): what happens, as it happens."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Final

import anyio
from fastapi import APIRouter, Header
from starlette.responses import Response, StreamingResponse

from dropmill.control.events import Event, Hub
from dropmill.control.reporter import Reporter
from dropmill.errors import Unavailable
from dropmill.ports import Clock

MOST_LISTENERS: Final = 32
# Proxies and browsers give up a connection on which nothing comes.
KEEP_ALIVE_SECONDS: Final = 15.0
# Events that come together are sent together.
GATHER_SECONDS: Final = 0.1
RETRY_MS: Final = 2_000
# So many events are worded at a time; a page that does not read them holds no more than these and the socket's buffer.
LOT: Final = 64


class Events:
    """``GET /events``, for a bounded number of listeners."""

    def __init__(self, hub: Hub, reporter: Reporter, clock: Clock, most: int = MOST_LISTENERS) -> None:
        self._hub = hub
        self._reporter = reporter
        self._clock = clock
        self._most = most

    def install(self, api: APIRouter) -> None:
        # A stream without end is nothing that a machine-made client of the OpenAPI document could wait for.
        @api.get("/events", include_in_schema=False)
        async def events(last_event_id: Annotated[str | None, Header()] = None) -> Response:
            return self.response(last_event_id)

    def end(self) -> None:
        """All streams end, so that nobody holds up the end of the server."""
        self._hub.close()

    def response(self, last_event_id: str | None) -> Response:
        """Raises ``Unavailable`` where too many listen already."""
        if self._reporter.listeners >= self._most or self._hub.closed:
            raise Unavailable(
                f"{self._most} pages listen already" if not self._hub.closed else "the daemon stops",
                hint="close some of them, or ask for /api/v1/status now and then",
                reason="too-many-listeners" if not self._hub.closed else "stopping",
            )
        headers = {"x-accel-buffering": "no"}  # nginx would keep events until it has a bufferful.
        return StreamingResponse(self._stream(last_event_id), headers=headers, media_type="text/event-stream")

    async def _stream(self, last_event_id: str | None) -> AsyncIterator[str]:
        if self._reporter.listeners >= self._most:
            return  # Others came at the same moment; the page tries again by itself.
        self._reporter.come()
        try:
            at = self._begin(last_event_id)
            yield f"retry: {RETRY_MS}\n\n"
            if at is None:
                at = self._hub.latest
                yield self._anew(at, "hello" if last_event_id is None else "reset")
            while not self._hub.closed:
                found = self._hub.after(at)
                if found is None:  # It reads more slowly than things happen.
                    at = self._hub.latest
                    yield self._anew(at, "reset")
                elif found:
                    lot = found[:LOT]
                    at = lot[-1].number
                    yield self._all(lot)
                elif not await self._happens(at):
                    yield ": still here\n\n"
        finally:
            self._reporter.leave()

    def _anew(self, at: int, kind: str) -> str:
        """For a listener of whom nothing is known: from here on, and how things stand."""
        standing = self._reporter.latest.items()
        return self._all([Event(at, kind, {"run": self._hub.mark}), *(Event(at, *one) for one in standing)])

    def _begin(self, last_event_id: str | None) -> int | None:
        """The number of the last event that the page has; None where what came after it cannot be told."""
        mark, _, number = (last_event_id or "").rpartition("-")
        if mark != self._hub.mark or not number.isdecimal() or len(number) > 18:
            return None
        return int(number) if self._hub.after(int(number)) is not None else None

    async def _happens(self, at: int) -> bool:
        """Wait until something does; False where nothing did for long."""
        with anyio.move_on_after(KEEP_ALIVE_SECONDS):
            await self._hub.news(at)
            if not self._hub.closed:
                await self._clock.sleep(GATHER_SECONDS)
            return True
        return False

    def _all(self, events: Sequence[Event]) -> str:
        return "".join(map(self._worded, events))

    def _worded(self, event: Event) -> str:
        data = json.dumps(event.data, ensure_ascii=False, separators=(",", ":"))
        return f"id: {self._hub.mark}-{event.number}\nevent: {event.kind}\ndata: {data}\n\n"
