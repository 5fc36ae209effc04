"""docs/ and README say what the code does: what can follow from the code does, and the rest is looked up in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

import dropmill
import generated_docs
from dropmill import __version__
from dropmill.cli.app import app
from dropmill.model.outcome import EXPLANATIONS, Reason

ROOT = Path(__file__).parents[2]
PACKAGE = Path(dropmill.__file__).parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
TEXTS = {page: page.read_text("utf-8") for page in {*PAGES, *generated_docs.PAGES}}
TOP = "".join(text for page, text in TEXTS.items() if page.name == "README.md" or page.parent.name == "docs")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT)) if page.is_relative_to(ROOT) else page.name


@pytest.mark.parametrize("page", sorted({*PAGES, *generated_docs.PAGES}), ids=name_of)
def test_generated_parts_are_what_the_code_says(page: Path) -> None:
    assert generated_docs.brought_up_to_date(TEXTS[page]) == TEXTS[page], "run: python tests/generated_docs.py"


def test_every_part_that_can_be_generated_has_a_place() -> None:
    placed = [part for text in TEXTS.values() for part in generated_docs.parts_of(text)]
    assert sorted(placed) == sorted(generated_docs.PARTS)


def test_every_reason_is_explained_once() -> None:
    listed = [
        *generated_docs.DISCARDED,
        *generated_docs.RETRIED,
        *generated_docs.REFUSED,
        *generated_docs.DOWNLOADS,
        *generated_docs.IGNORED,
    ]
    assert sorted(listed) == sorted(Reason) == sorted(EXPLANATIONS)
    assert len(set(listed)) == len(listed)


def links(text: str) -> Iterator[str]:
    without_code = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)
    yield from re.findall(r"\]\(([^)\s]+)\)", without_code)


def anchors(text: str) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(TEXTS[page]):
        if "://" in link:
            continue
        target, _, anchor = link.partition("#")
        found = page.parent / target if target else page
        assert found.exists(), f"{name_of(page)}: {link}"
        if anchor:
            assert anchor in anchors(found.read_text("utf-8")), f"{name_of(page)}: {link}"


@pytest.mark.parametrize("page", [p for p in PAGES if p.parent.name in {"docs", "decisions"}], ids=name_of)
def test_files_that_are_named_exist(page: Path) -> None:
    for name in re.findall(r"`((?:[\w.]+/)*[\w.]+\.(?:py|sql|toml|service))`", TEXTS[page]):
        ours = PACKAGE.parent / name.removeprefix("daemon/")
        places = [ROOT / name, ours, PACKAGE / name, ROOT / "tests" / name, ROOT / "tests" / "unit" / name]
        inside = list(PACKAGE.rglob(name)) if "/" not in name else []
        planned = page.parent.name == "decisions" and "| " in TEXTS[page]  # A table may name what the design has.
        assert any(place.exists() for place in places) or inside or planned, f"{name_of(page)} names {name}"


def test_the_architecture_names_every_table_and_every_layer() -> None:
    text = TEXTS[ROOT / "docs" / "architecture.md"]
    migrations = "".join(path.read_text("utf-8") for path in (PACKAGE / "store" / "sql" / "migrations").glob("*.sql"))
    for table in re.findall(r"CREATE TABLE (\w+)", migrations):
        assert f"| `{table}` |" in text, table
    for layer in sorted(PACKAGE.iterdir()):
        if (layer / "__init__.py").exists():
            assert f"`{layer.name}/`" in text, layer.name
    for step in sorted((PACKAGE / "pipeline").glob("[a-z]*.py")):
        assert f"`pipeline/{step.name}`" in text, step.name


def commands() -> Iterator[str]:
    root = typer.main.get_command(app)
    todo = [("", root)]
    while todo:
        prefix, command = todo.pop()
        inner = getattr(command, "commands", None)
        if inner is None:
            yield prefix.strip()
        else:
            todo += [(f"{prefix} {name}", below) for name, below in inner.items() if not below.hidden]


def test_every_command_is_told_of() -> None:
    missing = [name for name in commands() if f"dropmill {name}" not in TOP]
    assert not missing


def code_of(text: str) -> str:
    """What is code in Markdown: fenced, indented by four, and between backticks."""
    fenced = re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    prose = re.sub(r"^```\w*\n.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    indented = re.findall(r"^ {4}(.*)$", prose, re.MULTILINE)
    return "\n".join([*fenced, *indented, *re.findall(r"`([^`\n]+)`", prose)])


def test_what_the_documents_tell_to_run_exists() -> None:
    code = code_of(TOP)
    told = set(re.findall(r"(?:^|[/ ])dropmill ((?:config )?[a-z]+)\b", code, re.MULTILINE))
    assert told <= {*commands(), "config", "webhooks"}
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert set(re.findall(r"^(?:\$ )?make ([a-z-]+)", code, re.MULTILINE)) <= targets


def test_the_changelog_tells_of_this_version() -> None:
    text = TEXTS[ROOT / "CHANGELOG.md"]
    versions = re.findall(r"^## \[?([\w.]+)\]?", text, re.MULTILINE)
    assert versions[0] in {"Unreleased", __version__}
    assert __version__ in versions
