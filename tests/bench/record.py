"""Puts the figures of a run into a document, between two marks that it already holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.report import Row

DOCUMENT = Path(__file__).parents[2] / "docs" / "performance.md"
BEGIN = "<!-- bench: begin (written by make bench) -->"
END = "<!-- bench: end -->"


def record(document: Path, rows: Sequence[Row], words: str) -> None:
    """Replace what stands between the marks. Raises ``ValueError`` where the document does not have both of them."""
    text = document.read_text("utf-8")
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{document}: lacks the lines {BEGIN} and {END}")
    document.write_text(f"{head}{BEGIN}\n\n{words}\n\n{as_markdown(rows)}\n\n{END}{tail}", "utf-8")


def as_markdown(rows: Sequence[Row]) -> str:
    lines = ["| figure | value | bar | |", "|---|---:|---:|---|"]
    for row in rows:
        figure, value, bar, verdict = row.cells()
        inset = "&nbsp;" * (len(figure) - len(figure.lstrip()))
        lines.append(f"| {inset}{figure.strip()} | {value} | {bar} | {verdict} |")
    return "\n".join(lines)
