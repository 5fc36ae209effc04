"""Rows of the table, the bars they are held to, and how both are shown."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

AT_MOST: Literal["≤"] = "≤"
AT_LEAST: Literal["≥"] = "≥"
EXACTLY: Literal["="] = "="


@dataclass(frozen=True, slots=True)
class Bar:
    """What a value has to be; the limit itself is good enough."""

    relation: Literal["≤", "≥", "="]
    limit: float

    def is_met_by(self, value: float) -> bool:
        if self.relation == AT_MOST:
            return value <= self.limit
        if self.relation == AT_LEAST:
            return value >= self.limit
        return value == self.limit


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. Without a bar it is told and not judged."""

    figure: str
    value: float
    unit: str = ""
    bar: Bar | None = None

    @property
    def verdict(self) -> Literal["ok", "short", ""]:
        if self.bar is None:
            return ""
        return "ok" if self.bar.is_met_by(self.value) else "short"

    def cells(self) -> tuple[str, str, str, str]:
        unit = f" {self.unit}" if self.unit else ""
        bar = f"{self.bar.relation} {number(self.bar.limit)}{unit}" if self.bar is not None else ""
        return self.figure, number(self.value) + unit, bar, self.verdict


def number(value: float) -> str:
    """Three significant digits, and counts in full."""
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    digits = 3 if abs(value) < 1 else 2 if abs(value) < 10 else 1
    return f"{value:.{digits}f}"


def table(rows: Sequence[Row]) -> str:
    """Columns as wide as their widest cell; values and bars to the right."""
    cells = [("figure", "value", "bar", ""), *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(4)]
    lines = [f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c:>{widths[2]}}  {d}".rstrip() for a, b, c, d in cells]
    return "\n".join([lines[0], "─" * max(map(len, lines)), *lines[1:]])


def short(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if row.verdict == "short"]


def median_ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """Median of the ratios of each round, so that what slows a whole round down cancels out."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True))
