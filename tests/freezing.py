"""A daemon with a part that stands still once a file appears: ``python tests/freezing.py FOLDER SECONDS run …``.

A file ``FOLDER/<part>`` freezes that part, for good: ``loop``, ``claimer``, ``reader`` (who reads the events of the inbox),
``watch`` (the stage that looks after it), ``settling``, ``tail`` (of a drop-file), and ``disk``, on which every call of the
inbox's lane hangs until the file goes. ``SECONDS``: the patience of the pulse, which is minutes otherwise.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dropmill.cli import main
from dropmill.fetch.dropfile import Tail
from dropmill.files import lane
from dropmill.files.events import EventTree
from dropmill.maintenance import pulse
from dropmill.pipeline import claim
from dropmill.pipeline.settle import Settling
from dropmill.pipeline.watch import Watch
from dropmill.store.engine import EmbeddedEngine

FOR_GOOD = 100_000.0


def freeze_coroutine(owner: Any, name: str, frozen: Callable[[], bool]) -> None:
    """From then on its calls do not return."""
    real = getattr(owner, name)

    async def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if frozen():
            await asyncio.sleep(FOR_GOOD)
        return await real(self, *args, **kwargs)

    setattr(owner, name, call)


def freeze_call(owner: Any, name: str, frozen: Callable[[Any], bool]) -> None:
    """As above, for what runs in a thread."""
    real = getattr(owner, name)

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if frozen(self):
            time.sleep(FOR_GOOD)
        return real(self, *args, **kwargs)

    setattr(owner, name, call)


def freeze_loop(frozen: Callable[[], bool]) -> None:
    real = asyncio.BaseEventLoop.run_forever

    def run(self: asyncio.BaseEventLoop) -> None:
        def look() -> None:
            while not frozen():
                time.sleep(0.02)
            self.call_soon_threadsafe(time.sleep, FOR_GOOD)

        threading.Thread(target=look, daemon=True).start()
        real(self)

    asyncio.BaseEventLoop.run_forever = run


def install(folder: Path, patience_seconds: float) -> None:
    def frozen(part: str) -> Callable[[], bool]:
        return (folder / part).exists

    pulse.STILL_SECONDS = pulse.PATIENCE_SECONDS = patience_seconds
    # A call that hangs is known by the second look at it, which has to come before patience is over.
    pulse.BEAT_SECONDS = patience_seconds / 3
    claim.IDLE_SECONDS = 1.0
    freeze_loop(frozen("loop"))
    freeze_coroutine(EmbeddedEngine, "claim", frozen("claimer"))
    freeze_coroutine(Watch, "_look_after", frozen("watch"))
    freeze_coroutine(Settling, "_look", frozen("settling"))
    freeze_coroutine(Tail, "_turn", frozen("tail"))
    reading, hanging = frozen("reader"), frozen("disk")
    freeze_call(EventTree, "on_event", lambda _tree: reading())
    real = lane.Lane.send

    def send(self: lane.Lane, function: Callable[..., Any], *args: Any) -> Any:
        def hangs(*given: Any) -> Any:
            while hanging():
                time.sleep(0.02)
            return function(*given)

        return real(self, hangs if self.name == "lane-camera" else function, *args)

    lane.Lane.send = send


if __name__ == "__main__":
    install(Path(sys.argv[1]), float(sys.argv[2]))
    del sys.argv[1:3]
    main()
