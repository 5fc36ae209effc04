"""``make bench``: runs the figures and prints the table. Exit 0, or with ``--strict`` 1 where a bar falls short."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Final

from bench import burst, cycles, overhead, presence, round_trip, similar, urls, urls_dead
from bench.plan import Plan
from bench.record import DOCUMENT, record
from bench.report import Row, short, table

FIGURES: Final[dict[str, Callable[[Plan], list[Row]]]] = {
    "presence": presence.measure,
    "burst": burst.measure,
    "round-trip": round_trip.measure,
    "cycles": cycles.measure,
    "overhead": overhead.measure,
    "similar": similar.measure,
    "urls": urls.measure,
    "dead-hosts": urls_dead.measure,
}


def main(arguments: list[str]) -> int:
    parser = _parser()
    chosen = parser.parse_args(arguments)
    if chosen.record and chosen.only:
        parser.error("--record wants all figures, not some")
    machine = f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}"
    print(machine, file=sys.stderr)
    rows: list[Row] = []
    failed: list[str] = []
    for name in chosen.only or FIGURES:
        began = time.monotonic()
        print(f"{name} …", file=sys.stderr)
        try:
            with tempfile.TemporaryDirectory(prefix=f"dropmill-bench-{name}-") as scratch:
                rows += FIGURES[name](Plan(chosen.quick, Path(scratch)))
        except Exception:  # One figure that cannot be had must not hide the others.
            traceback.print_exc()
            failed.append(name)
        print(f"  {time.monotonic() - began:.0f} s", file=sys.stderr)
    print(table(rows))
    missed = short(rows)
    for row in missed:
        print(f"short: {row.figure.strip()}")
    for name in failed:
        print(f"not measured: {name} (see above)")
    if chosen.json is not None:
        chosen.json.write_text(json.dumps([asdict(row) | {"verdict": row.verdict} for row in rows], indent=2) + "\n")
    if chosen.record:
        command = "make bench BENCH=--quick" if chosen.quick else "make bench"
        record(DOCUMENT, rows, f"From `{command}` on {machine}.")
    return 1 if chosen.strict and (missed or failed) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make bench", description="Measure dropmill's figures on this machine.")
    parser.add_argument("--quick", action="store_true", help="fewer pictures and shorter waits: about two minutes")
    parser.add_argument("--strict", action="store_true", help="exit 1 where a bar falls short")
    parser.add_argument("--only", action="append", choices=FIGURES, help="this figure alone; may be repeated")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there as well")
    parser.add_argument("--record", action="store_true", help="put the table into docs/performance.md as well")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
