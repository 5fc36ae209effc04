"""Every command line of dropmill in README.md and docs/ is one that dropmill understands: its command, options and choices."""

from __future__ import annotations

import enum
import re
from pathlib import Path
from typing import Any

import pytest
import typer.main

from dropmill.cli.app import app

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# As a shell divides a line; what follows belongs to something else.
END = re.compile(r"\s(?:#|\||&&|>)|[;`·)]|$")
LINE = re.compile(r"(?:^|[\s`(/\"])dropmill ((?:-|[a-z]).*)", re.MULTILINE)


def code_of(text: str) -> list[str]:
    """Lines of code in Markdown: fenced, indented by four, and between backticks, with continued lines joined."""
    fences = re.findall(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    fenced = [code for language, code in fences if language in {"", "console", "sh"}]
    prose = re.sub(r"^```\w*\n.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    indented = re.findall(r"^ {4}(.*)$", prose, re.MULTILINE)
    spans = re.findall(r"`([^`\n]+)`", prose)
    return re.sub(r"\\\n\s*", "", "\n".join([*fenced, *indented])).splitlines() + spans


def told(text: str) -> list[list[str]]:
    """The words behind ``dropmill`` of each line that has it in the place of a command."""
    found = []
    for line in code_of(text):
        for rest in LINE.findall(line):
            words = rest[: END.search(rest).start()].split()  # type: ignore[union-attr]  # It finds the end of the line at least.
            if words and (words[0].startswith("--") or re.fullmatch("[a-z]+", words[0])):
                found.append(words)
    return found


# It takes a while to be made.
PROGRAM = typer.main.get_command(app)


def lack(words: list[str]) -> str:
    """What dropmill would not understand of a command line, or nothing."""
    command, rest = PROGRAM, list(words)
    while rest and rest[0] in getattr(command, "commands", {}):
        command = command.commands[rest.pop(0)]  # type: ignore[attr-defined]  # As was just asked.
    if getattr(command, "commands", {}) and rest and not rest[0].startswith("-"):
        return f"no command {rest[0]!r}"
    options = {name: parameter for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    for place, word in enumerate(rest):
        name, _, value = word.partition("=")
        if not re.fullmatch("--?[a-z][a-z-]*", name) or name in {"--help", "-h"}:
            continue
        if name not in options:
            return f"no option {name}"
        kind: Any = options[name].type_descriptor.annotation  # type: ignore[attr-defined]  # Typer's own parameters have it.
        choices = [str(one.value) for one in kind] if isinstance(kind, enum.EnumMeta) else []
        given = value or " ".join(rest[place + 1 : place + 2])
        if choices and given not in choices and not given.isupper():
            return f"{name} {given}"
    return ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.name))
def test_command_lines_are_understood(page: Path) -> None:
    wrong = {" ".join(words): lack(words) for words in told(page.read_text("utf-8")) if lack(words)}
    assert not wrong


def test_command_lines_are_found_and_what_is_wrong_with_them_is_noticed() -> None:
    text = (ROOT / "docs" / "operations.md").read_text("utf-8")
    assert ["backup", "/var/backups/dropmill.db"] in told(text)
    assert ["version", "--components"] in told(text)
    assert len(told(text)) > 30
    assert told("Then\n\n    /opt/x/bin/dropmill pause \\\n      camera   # comment\n") == [["pause", "camera"]]
    assert lack(["paus"]) == "no command 'paus'"
    assert lack(["add", "--prio", "5", "PATH"]) == "no option --prio"
    assert lack(["duplicates", "--tier", "alike"]) == "--tier alike"
    assert not lack(["duplicates", "--tier", "near"])
    assert not lack(["config", "show", "--config", "new.toml"])
