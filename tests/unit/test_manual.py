"""The manual page dropmill(1): what can follow from the code does (test_docs.py), it is well-formed, and what else it says is true."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator

import pytest

import dropmill.errors
import generated_docs
import generated_man
from dropmill.errors import DropmillError
from parts import need_programs

PAGE = generated_docs.MANUAL


def section(name: str) -> str:
    return PAGE.read_text("utf-8").partition(f".SH {name}\n")[2].partition("\n.SH ")[0]


def rendered() -> str:
    """As a terminal shows it, without bold and italics; each paragraph on one line."""
    shown = subprocess.run(["mandoc", "-Tascii", PAGE], capture_output=True, text=True, check=True).stdout
    return re.sub(r"\s+", " ", re.sub(".\b", "", shown))


@pytest.mark.parametrize(
    "lint",
    [["mandoc", "-Tlint", "-Wstyle"], ["groff", "-man", "-ww", "-z", "-rCHECKSTYLE=3"]],
    ids=["mandoc", "groff"],
)
def test_the_page_is_well_formed(lint: list[str]) -> None:
    need_programs(mandoc="mandoc", groff="groff-base")
    done = subprocess.run([*lint, PAGE], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def test_the_rendered_page_shows_what_is_typed_as_it_is_typed() -> None:
    need_programs(mandoc="mandoc")
    text = rendered()
    for typed in (
        "dropmill add [PATH|URL]...",
        "dropmill config reset KEY...",
        "dropmill resolve --all --tier exact --action link --dry-run",
        "-o, --output str",
        "DROPMILL_INBOX=~/in DROPMILL_OUTPUT=~/out",
    ):
        assert typed in text
    assert "NAME dropmill - turn every picture" in text


def kinds(kind: type[DropmillError]) -> Iterator[type[DropmillError]]:
    yield kind
    for inner in kind.__subclasses__():
        yield from kinds(inner)


def test_every_exit_status_of_an_error_is_told() -> None:
    codes = {kind.exit_code for kind in kinds(DropmillError) if kind.__module__ == dropmill.errors.__name__}
    told = {int(code) for code in re.findall(r"^\.B (\d+)$", section("EXIT STATUS"), re.MULTILINE)}
    assert told == {0, 3, *codes}


def test_signals_that_are_named_are_signals() -> None:
    named = set(re.findall(r"SIG[A-Z]+", section("SIGNALS")))
    assert named == {"SIGTERM", "SIGINT", "SIGHUP"}
    assert named <= {one.name for one in signal.Signals}


@pytest.mark.parametrize(
    ("text", "roff"),
    [
        ("Only with --dry-run, or `a b`.", r"Only with \fB\-\-dry\-run\fR, or \fBa b\fR."),
        ("well-known and re-encoded", "well-known and re-encoded"),
        (".csv is one", r"\&.csv is one"),
        ("a\\b …", r"a\eb \[u2026]"),
    ],
)
def test_prose_is_neither_markup_nor_typography(text: str, roff: str) -> None:
    assert generated_man.prose(text) == roff
