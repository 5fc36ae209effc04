"""``status --watch``: the same view, once a second, until it is interrupted."""

from __future__ import annotations

import anyio
from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from dropmill.cli import glance, tables
from dropmill.cli.reach import ask
from dropmill.errors import NotReachable
from dropmill.observe.clock import SystemClock
from dropmill.settings import Settings


def watch_status(settings: Settings) -> None:
    """Ends with Ctrl-C. A daemon that stops and starts again is followed."""
    console = tables.console()
    clock = SystemClock()
    with Live(_now(settings, console), console=console, auto_refresh=False, screen=console.is_terminal) as live:
        while True:
            anyio.run(clock.sleep, 1.0)
            live.update(_now(settings, console), refresh=True)


def _now(settings: Settings, console: Console) -> RenderableType:
    try:
        return glance.status(ask(settings, "status"), watching=console)
    except NotReachable as error:
        return Text(str(error), style="yellow")
