"""The benchmark's arithmetic and its accounts; no figure is judged here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.meter import cpu_seconds, resident_mb, tree_of
from bench.record import BEGIN, END, record
from bench.report import AT_LEAST, AT_MOST, EXACTLY, Bar, Row, median_ratio, number, short, table

TESTS = Path(__file__).parents[1]
BURN = "import time\nwhile time.process_time() < {seconds}: pass\n"


@pytest.mark.parametrize(
    ("relation", "below", "same", "above"),
    [(AT_MOST, True, True, False), (AT_LEAST, False, True, True), (EXACTLY, False, True, False)],
)
def test_a_bar_is_met_up_to_its_limit(relation: str, below: bool, same: bool, above: bool) -> None:
    bar = Bar(relation, 1.35)
    assert [bar.is_met_by(value) for value in (1.34, 1.35, 1.36)] == [below, same, above]


def test_the_table_judges_rows_with_a_bar_only() -> None:
    rows = [
        Row("good", 1.0, "s", Bar(AT_MOST, 1.5)),
        Row("bad", 2.0, "s", Bar(AT_MOST, 1.5)),
        Row("told", 12_345.6, "/s"),
    ]
    assert [row.verdict for row in rows] == ["ok", "short", ""]
    assert short(rows) == [rows[1]]
    lines = table(rows).splitlines()
    assert lines[2].split() == ["good", "1", "s", "≤", "1.50", "s", "ok"]
    assert lines[4].split() == ["told", "12,346", "/s"]


def test_numbers_have_the_digits_that_mean_something() -> None:
    assert [number(value) for value in (0, 0.2264, 1.3456, 71.83, 20_000)] == ["0", "0.226", "1.35", "71.8", "20,000"]


def test_ratios_are_taken_within_each_round() -> None:
    """A round on a busy machine takes twice as long on both sides, and says the same."""
    assert median_ratio([2.4, 1.2, 1.3], [2.0, 1.0, 1.0]) == pytest.approx(1.2)
    with pytest.raises(ValueError):
        median_ratio([1.0], [1.0, 2.0])


def test_cpu_of_children_and_orphans_is_counted(tmp_path: Path) -> None:
    """The child burns 0.05 s, and so do its child, which it waits for, and its grandchild, which it abandons."""
    orphan = f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', {BURN.format(seconds=0.05)!r}])\n"
    script = (
        "import subprocess, sys\n"
        f"subprocess.run([sys.executable, '-c', {orphan!r}])\n"
        f"subprocess.run([sys.executable, '-c', {BURN.format(seconds=0.05)!r}])\n"
        f"{BURN.format(seconds=0.05)}"
        "sys.exit(7)\n"
    )
    # In a process of its own, because it adopts orphans and must have no other children.
    measure = (
        "import os, sys\nfrom pathlib import Path\nfrom bench.meter import run_measured\n"
        "with open(sys.argv[2], 'wb') as log:\n"
        "    spent = run_measured([sys.executable, '-c', sys.argv[1]], cwd=Path('.'), env=dict(os.environ), output=log)\n"
        "print(spent.code, spent.own, spent.tree)\n"
    )
    command = [sys.executable, "-c", measure, script, str(tmp_path / "log")]
    done = subprocess.run(command, cwd=TESTS, capture_output=True, text=True, check=True)
    code, own, tree = map(float, done.stdout.split())
    assert code == 7
    assert 0.05 <= own < tree
    assert tree >= 0.15


def test_a_living_process_and_its_family_can_be_read() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert child.pid in tree_of(os.getpid())
        assert cpu_seconds(os.getpid()) > 0
        assert resident_mb(os.getpid()) > 1
    finally:
        child.communicate(b"\n")


def test_the_record_replaces_what_stands_between_its_marks(tmp_path: Path) -> None:
    document = tmp_path / "performance.md"
    document.write_text(f"before\n\n{BEGIN}\nold\n{END}\nafter\n")
    for _ in range(2):
        record(document, [Row("  good", 1.5, "s", Bar(AT_MOST, 2))], "Measured today.")
    text = document.read_text()
    assert text.startswith("before\n") and text.endswith(f"{END}\nafter\n")
    assert "old" not in text
    assert text.count("| &nbsp;&nbsp;good | 1.50 s | ≤ 2 s | ok |") == 1
    document.write_text("no marks\n")
    with pytest.raises(ValueError, match="lacks the lines"):
        record(document, [], "")
