"""The log: a subscriber that words each fact once and writes it as JSON, for eyes, or into the journal."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Set
from typing import Any, Final, Literal

import structlog

from dropmill.errors import ConfigurationError
from dropmill.observe import journal
from dropmill.observe.facts import Fact
from dropmill.observe.render import Console, as_journal, as_json, with_priority
from dropmill.observe.sink import Destination, File, Sink, stderr
from dropmill.observe.wording import Wording
from dropmill.observe.words import DETAILS, Line
from dropmill.ports import Clock
from dropmill.settings import Log as LogSettings

_LEVELS: Final[Mapping[str, int]] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
Format = Literal["json", "console", "journald"]


class Log:
    """A subscriber of facts. ``close`` writes out what waits; what comes later is lost."""

    def __init__(
        self, sink: Sink, renderer: structlog.typing.Processor, level: str, wording: Wording, clock: Clock
    ) -> None:
        self._sink = sink
        self._wording = wording
        wrapper = structlog.make_filtering_bound_logger(_LEVELS[level])
        # Bound once: what wrap_logger gives binds itself anew for every line.
        self._logger: Any = structlog.wrap_logger(
            _Puts(sink), processors=[renderer, _as_argument], wrapper_class=wrapper
        ).bind()
        self._clock = clock
        self._left_out: Set[type[Fact]] = frozenset() if level == "debug" else DETAILS

    def __call__(self, fact: Fact) -> None:
        if type(fact) in self._left_out:
            return
        line = self._wording(fact)
        self.say(line.level, line.event, **line.fields)

    def say(self, level: str, event: str, **fields: Any) -> None:
        """A line that no fact stands for: what libraries report, what the log says about itself."""
        getattr(self._logger, level)(event, timestamp_ms=self._clock.now_ms(), level=level, **fields)

    @property
    def lost_total(self) -> int:
        """Lines that the destination did not take."""
        return self._sink.lost_total

    def close(self) -> None:
        self._sink.close()


def configure(
    settings: LogSettings, clock: Clock, roots: Mapping[str, bytes], environ: Mapping[str, str] | None = None
) -> Log:
    """The log as configured, ready to subscribe. ``roots``: the folder of each inbox by its name.

    Raises ``ConfigurationError`` where a log file is named that cannot be opened. From then on no destination, full,
    slow or closed, stops or delays the daemon.
    """
    environ = os.environ if environ is None else environ
    into_journal = not settings.file and _stderr_leads_to_journal(environ)
    chosen, send, complaint = _choose(settings, into_journal)
    renderer: Callable[[object, str, Any], Any]
    destination: Destination = _file(settings.file) if settings.file and send is None else stderr()
    if send is not None:
        destination, renderer = journal.Journal(send, destination, prefixed=into_journal), as_journal
    else:
        colours = not settings.file and sys.stderr.isatty() and not environ.get("NO_COLOR")
        renderer = Console(colours=colours) if chosen == "console" else as_json
        renderer = with_priority(renderer) if into_journal else renderer

    def lost_line(count: int) -> object:
        fields = {"timestamp_ms": clock.now_ms(), "level": "warning", "lines": count}
        return renderer(None, "warning", {**fields, "event": "lines of the log were lost; its destination was full"})

    log = Log(Sink(destination, lost_line), renderer, settings.level, Wording(roots), clock)
    _take_over_logging(log)
    if complaint is not None:
        log.say(complaint.level, complaint.event, **complaint.fields)
    return log


def _choose(settings: LogSettings, into_journal: bool) -> tuple[Format, journal.Send | None, Line | None]:
    """The format to use, what sends to the journal if that is it, and what to say where it is not what was meant."""
    wanted = settings.format
    if wanted == "journald" and not journal.is_there():
        remedy = 'leave log.format at "auto" where there is no journal, as in containers'
        fields = {"detail": f"there is no journal at {journal.SOCKET}", "remedy": remedy}
        return "json", None, Line("warning", "writing JSON instead of to the journal", fields)
    if wanted == "journald" or (wanted == "auto" and into_journal):
        send = journal.sender()
        if send is not None and journal.is_there():
            return "journald", send, None
        fields = {"detail": "systemd-python is not installed", "remedy": "pip install 'dropmill[systemd]'"}
        if wanted == "journald":
            return "json", None, Line("warning", "writing JSON instead of to the journal", fields)
        return "json", None, Line("info", "entries of the journal have no fields of their own", fields)
    if wanted != "auto":
        return wanted, None, None
    for_eyes = not settings.file and sys.stderr is not None and not sys.stderr.closed and sys.stderr.isatty()
    return ("console" if for_eyes else "json"), None, None


def _stderr_leads_to_journal(environ: Mapping[str, str]) -> bool:
    try:
        return sys.__stderr__ is not None and journal.leads_there(sys.__stderr__.fileno(), environ)
    except (OSError, ValueError):
        return False  # Closed from the start.


def _file(path: str) -> File:
    file = File(path)
    try:
        file.open()
    except OSError as error:
        raise ConfigurationError(
            f"{path}: the log file cannot be opened: {error.strerror}",
            hint="make its folder and let the daemon's user write there, or leave log.file out",
        ) from error
    return file


def _as_argument(_logger: object, _method: str, rendered: Any) -> tuple[tuple[object, ...], dict[str, Any]]:
    """structlog would pass a mapping on as keyword arguments."""
    return (rendered,), {}


class _Puts:
    """What structlog calls a logger: one method per level, all of them to the sink."""

    def __init__(self, sink: Sink) -> None:
        self.debug = self.info = self.warning = self.error = sink.put


class _Handler(logging.Handler):
    """Libraries that log, such as the HTTP server, are heard from warnings on."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, Any] = {"logger": record.name}
        if record.exc_info and record.exc_info[1] is not None:
            fields["exception"] = "".join(traceback.format_exception(record.exc_info[1])).rstrip()
        level = "error" if record.levelno >= logging.ERROR else "warning"
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001  # A library's wrong format string is its own affair.
            message = str(record.msg)
        self._log.say(level, message.strip(), **fields)


def _take_over_logging(log: Log) -> None:
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _Handler)]:
        root.removeHandler(handler)
    root.addHandler(_Handler(log))
    # A stranger's broken request is no news, so the server is heard only from errors on.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    logging.raiseExceptions = False
