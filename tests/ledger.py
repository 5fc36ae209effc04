"""``make ledger``: each row of docs/ledger.md with the tests that hold it and how they last ended.

The results are those that pytest left in its cache at its last runs (``make test``, ``make test-long``); conftest.py has
the two hooks. Tests of rows that have no result yet are run first; ``--fresh`` runs them all.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "ledger.md"
CACHE_KEY = "ledger/results"

_ROW = re.compile(r"^\| ([A-Z][0-9]{2}) \| (.+) \|$", re.MULTILINE)
_NAME = re.compile(r"test_((?:[a-z][0-9]{2}_)+)")
_WORST_FIRST = ("failed", "never run", "passed", "skipped")


def rows() -> dict[str, str]:
    """Id → situation, in the order of the page."""
    found = _ROW.findall(PAGE.read_text("utf-8"))
    assert len(dict(found)) == len(found), "an id is given twice"
    return dict(found)


def rows_of(name: str) -> list[str]:
    """``test_q12_w41_…`` → ``["Q12", "W41"]``; nothing for a test that is named after no row."""
    match = _NAME.match(name)
    return match[1].upper().strip("_").split("_") if match else []


def held_by(folder: Path = ROOT / "tests") -> dict[str, list[str]]:
    """Row → node ids of its test functions, without parameters."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for path in sorted(folder.rglob("test_*.py")):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for row in rows_of(node.name):
                    found[row].append(f"{path.relative_to(folder.parent)}::{node.name}")
    return dict(found)


@cache
def code() -> str:
    """A digest of the program and its tests, by which a result of earlier code is known."""
    digest = hashlib.sha256()
    for folder in ("daemon", "tests"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in {".py", ".sql"}:
                digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


# Hooks of pytest, by way of conftest.py.

_ended: dict[str, dict[str, str]] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """A test has passed if all of its phases have."""
    if not rows_of(report.nodeid.partition("[")[0].rpartition("::")[2]):
        return
    before = _ended.get(report.nodeid, {"outcome": "passed"})["outcome"]
    if before == "passed":
        why = str(report.longrepr[2]) if report.skipped and isinstance(report.longrepr, tuple) else ""
        _ended[report.nodeid] = {"outcome": report.outcome, "why": why}


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workerinput"):
        return  # A process of pytest-xdist; the one that started it knows all results.
    cache_of_pytest = getattr(session.config, "cache", None)  # Left out by `-p no:cacheprovider`.
    if _ended and cache_of_pytest is not None:
        known = cache_of_pytest.get(CACHE_KEY, {})
        known.update({node: {**result, "code": code()} for node, result in _ended.items()})
        cache_of_pytest.set(CACHE_KEY, known)


# The report.


def results() -> dict[str, dict[str, Any]]:
    """Node id → ``{outcome, why, code}``, as the last runs left them."""
    try:
        found: dict[str, dict[str, Any]] = json.loads((ROOT / ".pytest_cache/v" / CACHE_KEY).read_text("utf-8"))
    except FileNotFoundError:
        return {}
    return found


def cases(test: str, known: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """The results of a test function, one for each set of its parameters."""
    return [result for node, result in known.items() if node.split("[")[0] == test]


def summary(test: str, known: Mapping[str, dict[str, Any]]) -> tuple[str, str]:
    """``(outcome, words)`` of a test function: the worst of its cases counts."""
    found = cases(test, known)
    counts = Counter(result["outcome"] for result in found)
    outcome = next((word for word in _WORST_FIRST if counts[word]), "never run")
    words = outcome if len(counts) < 2 else ", ".join(f"{count} {word}" for word, count in counts.most_common())
    if len(found) > 1:
        words += f" ({len(found)} cases)"
    why = next((result["why"] for result in found if result["why"]), "")
    if why:
        words += f": {why.removeprefix('Skipped: ')}"
    if any(result["code"] != code() for result in found):
        words += ", before the last change of the code"
    return outcome, words


def verdict(outcomes: Iterable[str], *, all_required: bool) -> str:
    """``passed``, ``failed``, ``not run``, ``skipped`` or ``missing`` for a row with such tests."""
    found = set(outcomes)
    if not found:
        return "missing"
    if "failed" in found or (all_required and "skipped" in found):
        return "failed"
    if "never run" in found:
        return "not run"
    return "passed" if "passed" in found else "skipped"


def run(tests: list[str]) -> None:
    """Their results are read afterwards, whatever the exit status says."""
    print(
        f"{len(tests)} tests have no result yet and are run first, which may take a quarter of an hour; "
        "make test and make test-long leave their results for later",
        file=sys.stderr,
        flush=True,
    )
    command = [sys.executable, "-m", "pytest", "-q", "-m", "", *tests]
    subprocess.run(command, cwd=ROOT, check=False)


def report() -> int:
    """Print it; returns how many rows are not held."""
    known, tests, ends = results(), held_by(), Counter[str]()
    all_required = os.environ.get("DROPMILL_REQUIRE_ALL") == "1"
    for row, situation in rows().items():
        told = [(test, *summary(test, known)) for test in tests.get(row, [])]
        end = verdict((outcome for _, outcome, _ in told), all_required=all_required)
        ends[end] += 1
        print(f"{row}  {end:8} {situation}")
        for test, _, words in told:
            print(f"              {test}  {words}")
    print(", ".join(f"{count} {end}" for end, count in ends.most_common()))
    return ends["missing"] + ends["failed"] + ends["not run"]


def main() -> int:
    parser = argparse.ArgumentParser(prog="make ledger", description=__doc__)
    parser.add_argument("--fresh", action="store_true", help="run the tests of all rows")
    arguments = parser.parse_args()
    known = {} if arguments.fresh else results()
    tests = dict.fromkeys(test for found in held_by().values() for test in found)
    unknown = [test for test in tests if not cases(test, known)]
    if unknown:
        run(unknown)
    return 1 if report() else 0


if __name__ == "__main__":
    sys.exit(main())
