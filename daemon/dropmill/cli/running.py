"""``dropmill run``: the daemon in the foreground, or one pass over everything with a progress display."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dropmill.cli import common
from dropmill.cli.common import ConfigOption, guarded

if TYPE_CHECKING:
    from dropmill.assembly import Daemon
    from dropmill.cli.progress import Tally
    from dropmill.control.desk import Desk
    from dropmill.observe.facts import Fact
    from dropmill.settings import Settings


def install(app: typer.Typer) -> None:
    app.command(epilog=common.example("dropmill run --config dropmill.toml", "dropmill run --once"))(run)


@guarded
def run(
    config: ConfigOption = None,
    once: Annotated[
        bool, typer.Option("--once", help="Process what is there, then end; exit code 3 if anything was discarded.")
    ] = False,
) -> None:
    """Watch the inboxes until told to stop, or once over.

    SIGTERM or Ctrl-C ends it. With --once standard output tells of each file; on standard error only warnings are logged
    then, unless log.level is set or it is a terminal.
    """
    loaded = common.settings_of(config, need_inboxes=True, log__level=common.log_level())
    settings = loaded.settings
    if once and not settings.log.file and not sys.stderr.isatty() and loaded.origin.get("log.level") == "default":
        # Standard output tells of each file already.
        quieter = settings.log.model_copy(update={"level": "warning"})
        settings = settings.model_copy(update={"log": quieter})
    import anyio

    from dropmill.files.lease import ignore_sigio

    ignore_sigio()
    os.umask(0o022)  # The modes of outputs are set one by one; this one is for the catalog, which others may read.
    try:
        code = anyio.run(_run, settings, once, config, backend="asyncio")
    except BaseException as error:  # noqa: BLE001  # Whatever ended the daemon, its user gets one line and we leave.
        code = common.tell(error)
    _leave(code)


def _leave(code: int) -> None:
    """End now: a thread that hangs on a dead share must not hold the process (W40); all else is closed already."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            continue  # Nobody reads it any more.
    os._exit(code)


async def _run(settings: Settings, once: bool, config: Path | None) -> int:
    from dropmill.assembly import Bus, assemble
    from dropmill.cli.progress import Display, Tally
    from dropmill.cli.reach import heif_installed
    from dropmill.observe import log
    from dropmill.observe.clock import SystemClock

    clock = SystemClock()
    bus = Bus()
    roots = {inbox.name: os.fsencode(inbox.path) for inbox in settings.inboxes}
    tally = Tally(clock)
    display = Display(tally, roots) if once else None
    if display is not None:
        bus.subscribers += [tally, display]
    told = None
    if display is None or not display.is_live or settings.log.file:
        # A progress display has the terminal for itself, and shows what matters above its bar.
        told = log.configure(settings.log, clock, roots)
        bus.subscribers.append(told)
    _tell_service_manager(bus.subscribers, clock)
    if not once and _is_for_eyes(settings):
        bus.subscribers.append(_Greeting(settings, _status_command(config)))
    try:
        serve = _Serving(settings, bus.subscribers, told, once, tally)
        daemon = await assemble(settings, bus, once=once, heif=heif_installed(), serve=serve)
        if display is not None:
            with display:
                await daemon.run()
            display.summary()
        else:
            await daemon.run()
    finally:
        if told is not None:
            told.close()
    return tally.exit_code if once else 0


def _tell_service_manager(subscribers: list[Any], clock: Any) -> None:
    from dropmill.observe.notify_service import ServiceManager, sender

    send = sender(os.environ)
    if send is not None:
        subscribers.append(ServiceManager(send, clock))


def _is_for_eyes(settings: Settings) -> bool:
    """Whether plain words on standard output reach a person, and not whatever collects the log."""
    return sys.stdout.isatty() or settings.log.format == "console"


def _status_command(config: Path | None) -> str:
    """``dropmill status`` as it is to be typed in the same folder: this program, and this configuration."""
    program = sys.argv[0]
    found = shutil.which("dropmill")
    if found is not None and os.path.realpath(found) == os.path.realpath(program):
        program = "dropmill"
    return shlex.join([program, "status", *(["--config", str(config)] if config is not None else [])])


class _Greeting:
    """Says, once all is ready, where to drop pictures and where to look."""

    def __init__(self, settings: Settings, status: str) -> None:
        self._settings = settings
        self._status = status

    def __call__(self, fact: Fact) -> None:
        from dropmill.model.file import shown
        from dropmill.observe.facts import Ready

        if not isinstance(fact, Ready):
            return
        lines = [
            f"drop pictures into {shown(os.fsencode(inbox.path))}  ({inbox.name}; renditions appear in "
            f"{shown(os.fsencode(inbox.output))})"
            for inbox in self._settings.inboxes
        ]
        lines.append(f"status page: {fact.http}   ·   stop with Ctrl-C")
        lines.append(f"or, in another terminal: {self._status}")
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()


class _Serving:
    """The part of the supervisor's nest that answers questions: desk, HTTP, and the beacon by which commands find it."""

    def __init__(self, settings: Settings, subscribers: list[Any], told: Any, once: bool, tally: Tally) -> None:
        self._settings = settings
        self._subscribers = subscribers
        self._told = told
        self._once = once
        self._tally = tally

    @asynccontextmanager
    async def __call__(self, daemon: Daemon) -> AsyncIterator[str]:
        desk = live_desk(daemon, self._subscribers)
        try:
            if self._once:
                yield "none"
                await self._tally.settle_up(daemon.catalog)
            else:
                async with self._http(daemon, desk) as address:
                    yield address
        finally:
            desk.house.close()
            if desk.house.live is not None:
                desk.house.live.probes.close()

    @asynccontextmanager
    async def _http(self, daemon: Daemon, desk: Desk) -> AsyncIterator[str]:
        from dropmill import __version__
        from dropmill.cli.reach import Beacon, remove_beacon, write_beacon
        from dropmill.control.describe import iso
        from dropmill.observe.metrics import Metrics
        from dropmill.web.server import serve

        now_ms = daemon.clock.now_ms()
        metrics = Metrics(__version__, now_ms / 1000, (lambda: self._told.lost_total) if self._told else lambda: 0)
        self._subscribers.append(metrics)
        state_dir = self._settings.state_dir
        remove_beacon(state_dir)  # One that a killed daemon left (W19).
        async with serve(desk, metrics, self._settings.http) as address:
            write_beacon(state_dir, Beacon(os.getpid(), daemon.boot, address, str(iso(now_ms))))
            try:
                yield address
            finally:
                remove_beacon(state_dir)


def live_desk(daemon: Daemon, subscribers: list[Any]) -> Desk:
    """A desk on the daemon's parts; it subscribes to what it has to remember."""
    from dropmill.cli.reach import heif_installed
    from dropmill.control.desk import Desk
    from dropmill.control.house import House, Live
    from dropmill.control.watchful import Chronicle, Probes

    chronicle = Chronicle(daemon.clock)
    subscribers.append(chronicle)
    live = Live(
        pid=os.getpid(),
        boot=daemon.boot,
        started_at=daemon.clock.monotonic(),
        course=daemon.supervisor,
        inboxes=daemon.inboxes,
        watches=daemon.watches,
        settlings=daemon.settlings,
        lanes=daemon.lanes,
        pool=daemon.pool,
        claimer=daemon.claimer,
        enqueuer=daemon.enqueuer,
        engine=daemon.engine,
        chronicle=chronicle,
        probes=Probes(daemon.clock),
    )
    return Desk(House(daemon.settings, daemon.catalog, daemon.clock, daemon.bus.emit, heif_installed(), live))
