r"""The parts of the manual page that follow from the code, in the macros of man(7); generated_docs.py puts them into it.

A generated part stands between ``.\" generated: NAME`` and ``.\" end``.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from typing import Any, Final

import typer

from dropmill import __version__
from dropmill.cli.app import app
from dropmill.settings.environment import SHORTHANDS

_EVERYWHERE: Final = {"--config", "--help"}  # Told once, for all commands.
_TYPED: Final = re.compile(r"(`[^`]+`|(?<![\w`-])--?[a-z][\w-]*)")
_ONCE: Final = re.compile(
    r"^(?:\{(.*)\}|\[(\[.*\])\])"
)  # Typer's {NAME} is required, which NAME says, and [[NAME]] is [NAME].
_EXAMPLE: Final = re.compile(r"Example: |  ·  ")


def literal(text: str) -> str:
    """As it is typed: a hyphen is no dash of typography, and nothing is taken for markup."""
    return _ascii(text.replace("\\", "\\e").replace("-", "\\-"))


def prose(text: str) -> str:
    """Sentences as macros take them, wrapped: what stands between backticks, and options, in bold."""
    parts = _TYPED.split(" ".join(text.split()))
    parts[0::2] = [_ascii(part.replace("\\", "\\e")) for part in parts[0::2]]
    parts[1::2] = [rf"\fB{literal(part.strip('`'))}\fR" for part in parts[1::2]]
    lines = textwrap.wrap("".join(parts), 78, break_long_words=False, break_on_hyphens=False)
    return "\n".join(rf"\&{line}" if line.startswith((".", "'")) else line for line in lines)


def _ascii(text: str) -> str:
    return "".join(char if ord(char) < 128 else rf"\[u{ord(char):04X}]" for char in text)


def title() -> str:
    return f'.TH DROPMILL 1 2026-11-22 "dropmill {__version__}" "User Commands"\n.nh'


def commands() -> str:
    root: Any = typer.main.get_command(app)
    return "\n".join(_commands(typer.Context(root, info_name="dropmill")))


def _commands(holder: typer.Context) -> Iterator[str]:
    group: Any = holder.command
    for name, command in group.commands.items():
        if command.hidden:
            continue
        context = typer.Context(command, info_name=name, parent=holder)
        if getattr(command, "invoke_without_command", True):
            yield from _command(context)
        if getattr(command, "commands", None):
            yield from _commands(context)


def _command(context: typer.Context) -> Iterator[str]:
    command: Any = context.command
    usage = [piece for piece in command.collect_usage_pieces(context) if not piece.startswith(("[OPTIONS]", "COMMAND"))]
    words = " ".join([context.command_path, *(_ONCE.sub(r"\1\2", piece.replace("…", "")) for piece in usage)])
    yield f'.SS "{literal(words)}"'
    first, _, rest = command.help.partition("\n\n")
    yield prose(first)
    if rest:
        yield f".PP\n{prose(rest)}"
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is None or _EVERYWHERE & set(parameter.opts):
            continue
        yield f".TP\n{_heading(record[0])}\n{prose(record[1])}"
    examples = [line for line in _EXAMPLE.split(command.epilog or "") if line]
    if examples:
        yield ".PP\nExample:\n.PP\n.nf\n.RS 4"
        yield from (literal(line) for line in examples)
        yield ".RE\n.fi"


def _heading(record: str) -> str:
    """``-c, --config <path>`` with the options in bold and what they take in italics."""
    names, _, kind = record.partition(" <")
    bold = ", ".join(rf"\fB{literal(name)}\fR" for name in names.replace("…", "").split(", "))
    words = kind.rstrip(">").removesuffix(" range").removeprefix("list[").rstrip("]")
    return rf"{bold} \fI{literal(words)}\fR" if words and names.startswith("-") else bold


def shorthands() -> str:
    return "\n".join(
        f".TP\n.B {literal(name)}\n{prose(f'`inboxes[0].{key}`, where no file names an inbox.')}"
        for name, key in SHORTHANDS.items()
    )
