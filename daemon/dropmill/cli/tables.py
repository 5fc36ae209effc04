"""Tables and stories for a terminal. Every text goes out as it is: names of files are no markup (W18)."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

Json = Mapping[str, Any]

_STYLES: Final = {
    "ok": "green",
    "running": "green",
    "published": "green",
    "unchanged": "green",
    "moved": "green",
    "duplicate": "cyan",
    "degraded": "yellow",
    "scheduled": "yellow",
    "starting": "yellow",
    "draining": "yellow",
    "failing": "red",
    "disabled": "red",
    "discarded": "red",
    "stopped": "red",
}
# Where output goes into a file or a pipe, lines are not folded at the width of a terminal that is not there.
_PIPE_COLUMNS: Final = 240
_NARROWEST_COLUMNS: Final = 20
BLANK: Final = Text("")


def console(*, errors: bool = False) -> Console:
    stream = sys.stderr if errors else sys.stdout
    width = None if stream.isatty() else _PIPE_COLUMNS
    return _Printer(stderr=errors, markup=False, highlight=False, emoji=False, width=width)


class _Printer(Console):
    def on_broken_pipe(self) -> None:
        """Whoever read it has seen enough; the work and its exit code go on."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def show(what: RenderableType, to: Console | None = None) -> None:
    """Print to standard output; outside a terminal without the blanks that fill the last column of a table."""
    to = to or console()
    if to.is_terminal:
        to.print(what)
        return
    with to.capture() as captured:
        to.print(what)
    _write("".join(text.rstrip() + "\n" for text in captured.get().splitlines()), to)


def say(line: str, to: Console) -> None:
    """Print a line as it is; outside a terminal without laying it out, which would cost more than what it tells of."""
    if to.is_terminal:
        to.print(Text(line))
    else:
        _write(line + "\n", to)


def _write(text: str, to: Console) -> None:
    if to.quiet:
        return
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        to.on_broken_pipe()


def word(text: str) -> Text:
    return Text(text, style=_STYLES.get(text, ""))


def table(*columns: str, right: Sequence[str] = ()) -> Table:
    made = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for column in columns:
        # A number that is broken in two is none; names and paths give way before.
        number = column in right
        made.add_column(column, justify="right" if number else "left", overflow="fold", no_wrap=number)
    return made


class Shortened:
    """Paths or URLs of a cell: side by side, else each on a line of its own, with its middle left out on a terminal that
    is too narrow. What goes into a file or a pipe is whole."""

    def __init__(self, *parts: str) -> None:
        self._parts = parts

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        whole = " ".join(self._parts)
        if len(whole) <= options.max_width or not console.is_terminal:
            yield Text(whole, overflow="fold")
            return
        for part in self._parts:
            yield Text(shortened(part, options.max_width), no_wrap=True)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        widest = cell_len(" ".join(self._parts))
        return Measurement(min(_NARROWEST_COLUMNS, widest), widest).with_maximum(options.max_width)


def shortened(text: str, columns: int) -> str:
    """Its middle left out where it is too long: host and file name tell most.

    >>> shortened("https://example.com/a/long/path/to/picture.jpg", 30)
    'https://example…to/picture.jpg'
    """
    if len(text) <= columns:
        return text
    tail = (columns - 1) // 2
    return f"{text[: columns - 1 - tail]}…{text[len(text) - tail :]}"


def health(told: Json) -> RenderableType:
    head = Text.assemble(word(told["status"]), "" if told["ready"] else "  not ready for work")
    parts = table("part", "status", "detail", "remedy")
    for part in told["parts"]:
        parts.add_row(Text(part["name"]), word(part["status"]), Text(part["detail"]), Text(part["remedy"]))
    return Group(head, parts)


def jobs(told: Sequence[Json]) -> RenderableType:
    if not told:
        return Text("no jobs")
    made = table("id", "inbox", "state", "outcome", "source", right=("id",))
    for job in told:
        made.add_row(
            str(job["id"]),
            Text(job["inbox"]),
            word(job["state"]),
            word(job["outcome"] or job["reason"] or ""),
            Shortened(job["source"]),
        )
    return made


def webhooks(told: Sequence[Json]) -> RenderableType:
    if not told:
        return Text("no webhooks")
    made = table(
        "webhook",
        "url",
        "state",
        "delivered",
        "waiting",
        "dead",
        "next",
        "detail",
        right=("delivered", "waiting", "dead"),
    )
    for one in told:
        made.add_row(
            Text(one["name"]),
            Shortened(one["url"] or ""),
            word(one["state"]),
            str(one["delivered"]),
            str(one["waiting"]),
            str(one["dead_letters"]),
            Text(moment(one["next_attempt_at"])),
            Text("; ".join(filter(None, (one["detail"], one["remedy"])))),
        )
    letters = [(one["name"], letter) for one in told for letter in one["letters"]]
    if not letters:
        return made
    dead = table("dead letter of", "event", "job", "at", "attempts", "why", right=("job", "attempts"))
    for name, letter in letters:
        dead.add_row(
            Text(name),
            Text(letter["type"]),
            str(letter["job"]),
            Text(moment(letter["at"])),
            str(letter["attempts"]),
            Text(letter["detail"]),
        )
    return Group(made, BLANK, dead)


_KINDS: Final = {"file": "a file", "directory": "a folder", "symlink": "a symbolic link"}


def story(told: Json) -> RenderableType:
    head = Text.assemble((told["target"], "bold"), "\n", word(told["verdict"]))
    lines = Table(box=None, pad_edge=False, show_header=False)
    lines.add_column(no_wrap=True)
    lines.add_column(overflow="fold")
    for entry in told["story"]:
        lines.add_row(Text(moment(entry["at"]), style="dim"), Text(entry["text"]))
    now = table("now", "")
    for name, value in told["now"].items():
        if name == "missing":
            continue
        for text in value if isinstance(value, list) else [value]:
            if text is not None:
                missing = "  (missing: nothing has this path now)" if text in told["now"].get("missing", ()) else ""
                if name == "there":
                    now.add_row(Text("at that path now"), Text(_KINDS.get(str(text), str(text))))
                else:
                    now.add_row(Text(name), Text(f"{text}{missing}"))
    return Group(head, BLANK, lines, BLANK, now)


def moment(at: str | None) -> str:
    return at.replace("T", " ") if at else ""


def duration(seconds: float) -> str:
    """``42 s``, ``3 min``, ``5 h``, ``2 d``."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def size(size_bytes: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if size_bytes < 1000 or unit == "GB":
            return f"{size_bytes:.0f} {unit}" if unit == "bytes" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1000
    raise AssertionError("unreachable")
