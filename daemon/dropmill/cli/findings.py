"""How findings are told on a terminal: gravest first, each with why and what to do, quiet about what is well."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, TextIO

from dropmill.cli import common

if TYPE_CHECKING:
    from dropmill.control.doctor.finding import Finding

# Nobody sees the ends of lines in a pipe, and whoever searches there wants each finding on one.
_UNBROKEN: Final = 100_000
_MOST: Final = 120
_COLOURS: Final = {"error": "\x1b[1;31m", "warning": "\x1b[1;33m", "note": "\x1b[1;36m", "ok": "\x1b[32m"}
_PLAIN: Final = "\x1b[0m"


def tell(findings: Sequence[Finding], *, everything: bool) -> None:
    """Errors go to standard error, the rest to standard output, a summary last."""
    told = [one for one in findings if everything or one.severity != "ok"]
    for one in told:
        stream = sys.stderr if one.severity == "error" else sys.stdout
        for line in _lines(one, stream):
            stream.write(f"{common.printable(line)}\n")
        stream.flush()
    sys.stdout.write(f"{summary(findings)}\n")
    if not everything and any(one.severity == "ok" for one in findings) and sys.stdout.isatty():
        sys.stdout.write("`dropmill check --all` lists what is well too\n")


def summary(findings: Sequence[Finding]) -> str:
    """As in ``31 things checked: 1 error, 2 warnings``."""
    from dropmill.control.describe import counted

    things = len({(one.check, one.key, one.path, one.found if one.severity == "ok" else "") for one in findings})
    parts = []
    for severity in ("error", "warning", "note"):
        number = sum(one.severity == severity for one in findings)
        if number:
            parts.append(counted(number, severity))
    return f"{counted(things, 'thing')} checked: {', '.join(parts) or 'all is well'}"


def _lines(one: Finding, stream: TextIO) -> Iterator[str]:
    width = min(shutil.get_terminal_size().columns, _MOST) if stream.isatty() else _UNBROKEN
    first = f"{one.severity}: "
    colour = _COLOURS[one.severity] if stream.isatty() else ""
    broken = _broken(one.headline, width, first, "  ")
    yield colour + first + (_PLAIN if colour else "") + broken[0][len(first) :]
    yield from broken[1:]
    if one.why:
        yield from _broken(one.why, width, "  why: ", "       ")
    if one.remedy:
        yield from _broken(one.remedy, width, "  do:  ", "       ")
    for number, command in enumerate(one.fix.splitlines()):
        # A command is copied, so it is never broken.
        yield f"  {'fix:' if not number else '    '} {command}"


def _broken(text: str, width: int, first: str, rest: str) -> list[str]:
    return textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    ) or [first]
