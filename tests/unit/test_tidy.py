"""House rules that no linter knows."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from pathlib import Path

import dropmill

ROOT = Path(__file__).parents[2]
PACKAGE = Path(dropmill.__file__).parent  # Of the tree or, where a wheel is tested, as it was installed.
MODULES = sorted(PACKAGE.rglob("*.py"))
MAX_LINES = 400

# Whatever reads a clock or waits for one; asyncio's own timeouts are not among them.
_CLOCKS = {
    "time": {
        "time",
        "time_ns",
        "monotonic",
        "monotonic_ns",
        "perf_counter",
        "perf_counter_ns",
        "process_time",
        "sleep",
    },
    "anyio": {"sleep", "sleep_until", "current_time"},
    "asyncio": {"sleep"},
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
}
_CLOCK_ADAPTER = PACKAGE / "observe" / "clock.py"


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT if path.is_relative_to(ROOT) else PACKAGE.parent))


def our_files() -> list[Path]:
    """What is, or would be, in the repository; everything below the root where there is no git."""
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard", "-z"], capture_output=True, check=False
    )
    if listed.returncode:
        skipped = {".venv", "var", ".git"}
        return [p for p in ROOT.rglob("*") if p.is_file() and not skipped & set(p.relative_to(ROOT).parts)]
    return [path for name in listed.stdout.split(b"\0") if name and (path := ROOT / name.decode()).is_file()]


def our_texts() -> Iterator[tuple[Path, str]]:
    for path in our_files():
        try:
            yield path, path.read_text("utf-8")
        except UnicodeDecodeError:
            continue  # A picture.


def comments(path: Path) -> Iterator[tuple[int, str]]:
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string


def clock_reads(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Attributes such as ``time.sleep`` and names imported from such modules."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            holder = node.value
            name = holder.attr if isinstance(holder, ast.Attribute) else getattr(holder, "id", "")
            if node.attr in _CLOCKS.get(name, ()):
                yield node.lineno, f"{name}.{node.attr}"
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if alias.name in _CLOCKS.get(node.module or "", ()):
                    yield node.lineno, f"{node.module}.{alias.name}"


def test_clocks_are_read_by_their_adapter_alone() -> None:
    found = [
        f"{shown(path)}:{line}: {what}"
        for path in MODULES
        if path != _CLOCK_ADAPTER and "workers" not in path.relative_to(PACKAGE).parts
        for line, what in clock_reads(ast.parse(path.read_text("utf-8")))
    ]
    assert not found, "take a Clock as argument instead:\n" + "\n".join(found)


def test_clock_reads_are_recognised() -> None:
    text = "import time, datetime, anyio\nfrom time import sleep\ntime.time_ns()\ndatetime.datetime.now()\nanyio.sleep(1)\nclock.monotonic()"
    assert [line for line, _ in clock_reads(ast.parse(text))] == [2, 3, 4, 5]


def test_every_exception_to_a_rule_has_its_reason() -> None:
    mark = re.compile(r"#\s*(?:noqa(?::\s*[A-Z0-9, ]+)?|type:\s*ignore(?:\[[\w\-, ]+\])?|pragma:.*|nosec\S*)(?=\s|$)")
    bare = [
        f"{shown(path)}:{line}: {comment}"
        for path in [*MODULES, *sorted((ROOT / "tests").rglob("*.py"))]
        for line, comment in comments(path)
        if mark.match(comment) and len(re.findall(r"\w{2,}", mark.sub("", comment))) < 2
    ]
    assert not bare, "say why, in words, behind it:\n" + "\n".join(bare)


def test_files_are_of_a_size_to_feel_at_home_in() -> None:
    counts = {path: path.read_text("utf-8").count("\n") for path in MODULES}
    assert not {shown(path): count for path, count in counts.items() if count > MAX_LINES}


def test_nothing_is_left_for_later() -> None:
    words = re.compile(r"\b(?:TODO|FIXME|XXX|HACK|stub|NotImplementedError)\b")
    found = [
        f"{shown(path)}:{number}: {line.strip()}"
        for path in MODULES
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if words.search(line)
    ]
    assert not found, "\n".join(found)


def test_only_the_command_line_prints() -> None:
    found = [
        f"{shown(path)}:{node.lineno}"
        for path in MODULES
        if "cli" not in path.relative_to(PACKAGE).with_suffix("").parts
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"print", "breakpoint", "input"}
    ]
    assert not found, "emit a fact instead:\n" + "\n".join(found)


def test_nothing_names_the_machine_it_was_made_on() -> None:
    # Spelled in parts, so that this file passes its own test.
    names = (
        "/".join(["", "work", ""]),
        "files.pythonhosted" + ".org",
        "pypi" + ".org",
        "registry.npmjs" + ".org",
        "index-" + "url",
    )
    found = [f"{shown(path)}: {name}" for path, text in our_texts() for name in names if name in text]
    assert not found, "\n".join(found)


def test_texts_end_with_one_newline_and_have_no_tabs_or_trailing_spaces() -> None:
    wrong = []
    for path, text in our_texts():
        if path.suffix in {".py", ".md", ".toml", ".sql", ".service", ".conf"} and text:
            if not text.endswith("\n") or text.endswith("\n\n"):
                wrong.append(f"{shown(path)}: its end")
            wrong += [
                f"{shown(path)}:{n}" for n, line in enumerate(io.StringIO(text), 1) if re.search(r"[ \t]+\n|\t", line)
            ]
    assert not wrong, "\n".join(wrong)
