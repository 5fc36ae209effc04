"""The ledger's page, its tests and the report agree."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import ledger

SHARED = Path(__file__).parents[3] / "shared" / "FAILURES.md"


def test_every_row_has_a_test() -> None:
    tests = ledger.held_by()
    assert [row for row in ledger.rows() if row not in tests] == []


def test_every_test_that_is_named_after_a_row_names_one_that_exists() -> None:
    assert set(ledger.held_by()) <= set(ledger.rows())


def test_the_page_has_the_rows_that_were_agreed_on() -> None:
    if not SHARED.exists():
        pytest.skip("the list that the page was written from is not here")
    agreed = re.findall(r"^\| ([A-Z][0-9]{2}) \|", SHARED.read_text("utf-8"), re.MULTILINE)
    assert sorted(ledger.rows()) == sorted(agreed)


@pytest.mark.parametrize(
    ("name", "rows"),
    [("test_w07_old_mtime", ["W07"]), ("test_q12_w41_a_second", ["Q12", "W41"]), ("test_w7_x", []), ("test_rows", [])],
)
def test_rows_are_read_from_names(name: str, rows: list[str]) -> None:
    assert ledger.rows_of(name) == rows


@pytest.mark.parametrize(
    ("outcomes", "all_required", "end"),
    [
        ([], False, "missing"),
        (["passed", "passed"], True, "passed"),
        (["passed", "failed"], False, "failed"),
        (["passed", "never run"], False, "not run"),
        (["failed", "never run"], False, "failed"),
        (["passed", "skipped"], False, "passed"),
        (["passed", "skipped"], True, "failed"),
        (["skipped"], False, "skipped"),
    ],
)
def test_a_row_is_as_good_as_its_worst_test(outcomes: list[str], all_required: bool, end: str) -> None:
    assert ledger.verdict(outcomes, all_required=all_required) == end


def test_the_worst_case_of_a_test_counts_and_reasons_are_told() -> None:
    def result(outcome: str, why: str = "", code: str = ledger.code()) -> dict[str, Any]:
        return {"outcome": outcome, "why": why, "code": code}

    known = {
        "a.py::test_w01_x[1]": result("passed"),
        "a.py::test_w01_x[2]": result("failed"),
        "a.py::test_w01_xy": result("skipped", "Skipped: no sshfs"),
        "a.py::test_w01_old": result("passed", code="another"),
    }
    assert ledger.summary("a.py::test_w01_x", known) == ("failed", "1 passed, 1 failed (2 cases)")
    assert ledger.summary("a.py::test_w01_xy", known) == ("skipped", "skipped: no sshfs")
    assert ledger.summary("a.py::test_w01_old", known) == ("passed", "passed, before the last change of the code")
    assert ledger.summary("a.py::test_w01_none", known) == ("never run", "never run")


SUITE = """
import pytest
def test_w01_good(): pass
def test_w02_bad(): assert False
@pytest.fixture
def broken():
    yield
    assert False
def test_w03_bad_at_the_end(broken): pass
@pytest.mark.skip(reason="no disk")
def test_w04_left_out(): pass
@pytest.mark.parametrize("n", [1, 2])
def test_w05_cases(n): assert n == 1
def test_of_no_row(): pass
"""


def test_pytest_leaves_the_results_in_its_cache(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("from ledger import pytest_runtest_logreport, pytest_sessionfinish\n")
    (tmp_path / "test_suite.py").write_text(SUITE)
    (tmp_path / "pytest.ini").write_text(f"[pytest]\npythonpath = {Path(ledger.__file__).parent}\n")
    command = [sys.executable, "-m", "pytest", "-q"]
    subprocess.run(command, cwd=tmp_path, stdout=subprocess.DEVNULL, timeout=60, check=False)
    known = json.loads((tmp_path / ".pytest_cache/v" / ledger.CACHE_KEY).read_text())
    assert {node.partition("::")[2]: (result["outcome"], result["why"]) for node, result in known.items()} == {
        "test_w01_good": ("passed", ""),
        "test_w02_bad": ("failed", ""),
        "test_w03_bad_at_the_end": ("failed", ""),
        "test_w04_left_out": ("skipped", "Skipped: no disk"),
        "test_w05_cases[1]": ("passed", ""),
        "test_w05_cases[2]": ("failed", ""),
    }
