"""``dropmill run``: the daemon in the foreground, or one pass over everything with a progress display."""

from __future__ import annotations

import gc
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dropmill.cli import NEW_OBJECTS_AT_WORK, common
from dropmill.cli.common import ConfigOption, guarded
from dropmill.errors import AlreadyRunning

if TYPE_CHECKING:
    from dropmill.observe.facts import Fact
    from dropmill.settings import Loaded, Settings


def install(app: typer.Typer) -> None:
    app.command(epilog=common.example("dropmill run --config dropmill.toml", "dropmill run --once"))(run)


@guarded
def run(
    config: ConfigOption = None,
    once: Annotated[
        bool,
        typer.Option(
            "--once", help="Process what is there, then end; exit code 3 if anything was discarded, 130 after Ctrl-C."
        ),
    ] = False,
) -> None:
    """Watch the inboxes and drop-files until told to stop, or once over.

    SIGTERM or Ctrl-C ends it, SIGHUP or `dropmill reload` applies a changed configuration. With --once standard output tells of each file; on standard error only warnings are logged
    then, unless log.level is set or it is a terminal.
    """
    loaded = common.settings_of(config, need_inboxes=True, log__level=common.log_level())
    settings = loaded.settings
    if once and not settings.log.file and not sys.stderr.isatty() and loaded.origin.get("log.level") == "default":
        # Standard output tells of each file already.
        quieter = settings.log.model_copy(update={"level": "warning"})
        loaded = replace(loaded, settings=settings.model_copy(update={"log": quieter}))
    import anyio

    from dropmill.files.lease import ignore_sigio

    ignore_sigio()
    os.umask(0o022)  # The modes of outputs are set one by one; this one is for the catalog, which others may read.
    try:
        code = anyio.run(_run, loaded, once, config, backend="asyncio")
    except KeyboardInterrupt:  # Before it listened for signals.
        common.say_error("interrupted before it had begun; nothing is changed")
        code = 128 + signal.SIGINT
    except BaseException as error:  # noqa: BLE001  # Whatever ended the daemon, its user gets one line and we leave.
        known = common.first_known(error)
        if once and isinstance(known, AlreadyRunning):
            known.hint = "it takes in what is there by itself: dropmill status"
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


async def _run(loaded: Loaded, once: bool, config: Path | None) -> int:
    from dropmill.cli.life import Life
    from dropmill.cli.progress import Display, Tally
    from dropmill.observe.clock import SystemClock

    tally = Tally(SystemClock(), {inbox.name for inbox in loaded.settings.url_inboxes})
    roots = {inbox.name: os.fsencode(inbox.path) for inbox in loaded.settings.inboxes}
    display = Display(tally, roots) if once else None

    def load() -> Loaded:
        from dropmill.settings import load

        return load(config, os.environ, {"log.level": common.log_level()})

    def greet(settings: Settings) -> Callable[[Fact], None]:
        if not _is_for_eyes(settings):
            return lambda _fact: None
        return _Greeting(settings, _status_command(config))

    life = Life(
        loaded,
        load,
        once=once,
        tally=tally,
        watching=[tally, display] if display is not None else [],
        greet=None if once else greet,
        # A progress display has the terminal for itself, and shows what matters above its bar.
        has_log=display is None or not display.is_live,
    )
    gc.freeze()  # What is loaded stays for as long as the process.
    gc.set_threshold(NEW_OBJECTS_AT_WORK)
    if display is None:
        await life.run()
        return 0
    with display:
        await life.run()
    display.summary()
    return tally.exit_code


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
    """Says, once all is ready, where to drop pictures, where to append URLs, and where to look."""

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
        lines += [
            f"append URLs to {shown(os.fsencode(one.path))}  ({one.name}; renditions appear in "
            f"{shown(os.fsencode(one.output))}, results in {shown(os.fsencode(one.results_path))})"
            for one in self._settings.dropfiles
        ]
        lines.append(f"status page: {fact.http}   ·   stop with Ctrl-C")
        lines.append(f"or, in another terminal: {self._status}")
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()
