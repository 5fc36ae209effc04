"""What the daemon adds to the work itself: CPU per 12-megapixel JPEG against the bare recipe and a plain script."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import gallery
from bench.meter import Spent
from bench.mills import a_mill, run_once
from bench.plan import Plan, tell
from bench.report import AT_MOST, Bar, Row, median_ratio
from harness import clean_environment

TESTS = Path(__file__).parents[1]
# One part in so many is enough for the plain script, which takes five times as long for each picture.
PLAIN_PART = 5


@dataclass(slots=True)
class Rounds:
    """Milliseconds of CPU per image, one value a round."""

    plain: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)
    side_by_side: list[float] = field(default_factory=list)
    """The bare recipe in as many processes at once as there are workers."""
    mill: list[float] = field(default_factory=list)
    """The whole process tree, its start-up taken off."""
    daemon: list[float] = field(default_factory=list)
    """Of that, the daemon process alone."""
    with_start: list[float] = field(default_factory=list)
    start: list[float] = field(default_factory=list)
    """Of the whole tree for a run of one tiny picture; not per image."""
    images_per_second: list[float] = field(default_factory=list)


def measure(plan: Plan) -> list[Row]:
    folder = gallery.photographs(plan.quick)
    images = len(gallery.files_in(folder))
    workers = len(os.sched_getaffinity(0))
    rounds = Rounds()
    _warm(folder)
    for number in range(1, plan.rounds + 1):
        tell(f"round {number} of {plan.rounds}: {images} pictures, alone and in the daemon")
        rounds.plain.append(_loop(plan, "plain", folder, parts=PLAIN_PART, chosen=1))
        rounds.bare.append(_loop(plan, "bare", folder))
        _mill_round(plan, folder, images, rounds)
        rounds.side_by_side.append(_loop(plan, "bare", folder, parts=workers, chosen=workers))
    return _rows(rounds, images, workers)


def _rows(rounds: Rounds, images: int, workers: int) -> list[Row]:
    def of(name: str, values: list[float], unit: str = "ms") -> Row:
        return Row(name, statistics.median(values), unit)

    return [
        Row(f"run --once ÷ bare recipe, CPU per image ({images} JPEGs of 12 MP)",
            median_ratio(rounds.mill, rounds.bare), "×", Bar(AT_MOST, 1.35)),
        Row("  start-up included", median_ratio(rounds.with_start, rounds.bare), "×"),
        Row(f"  against {workers} bare loops at once", median_ratio(rounds.mill, rounds.side_by_side), "×"),
        Row("plain Pillow + imagehash script ÷ run --once", median_ratio(rounds.plain, rounds.with_start), "×"),
        of("CPU per image: plain Pillow + imagehash script", rounds.plain),
        of("  bare recipe", rounds.bare),
        of(f"  bare recipe, {workers} at once", rounds.side_by_side),
        of("  run --once, whole process tree", rounds.mill),
        of("    of which the daemon process", rounds.daemon),
        of("start-up of run --once, CPU of the tree", rounds.start),
        of("run --once, images per second of wall time", rounds.images_per_second, "/s"),
    ]  # fmt: skip


def _mill_round(plan: Plan, folder: Path, images: int, rounds: Rounds) -> None:
    started = _once(plan, _one_tiny(plan), 1)
    spent = _once(plan, folder, images)
    rounds.start.append(1000 * started.tree)
    rounds.mill.append(1000 * (spent.tree - started.tree) / images)
    rounds.daemon.append(1000 * (spent.own - started.own) / images)
    rounds.with_start.append(1000 * spent.tree / images)
    rounds.images_per_second.append(images / spent.wall)


def _once(plan: Plan, inbox: Path, images: int) -> Spent:
    """A fresh state and output each time; the inbox keeps its originals, so it can serve again."""
    root = plan.scratch / "mill"
    mill = a_mill(root, path=str(inbox))
    try:
        spent = run_once(mill)
        made = len(mill.outputs())
    finally:
        shutil.rmtree(root)
    if made != 2 * images:
        raise RuntimeError(f"{made} renditions instead of {2 * images}")
    return spent


def _one_tiny(plan: Plan) -> Path:
    folder = plan.scratch / "one"
    folder.mkdir(exist_ok=True)
    (folder / "tiny.jpg").write_bytes(gallery.small(0))
    return folder


def _loop(plan: Plan, what: str, folder: Path, *, parts: int = 1, chosen: int = 1) -> float:
    """Milliseconds of CPU per image. Of ``parts`` equal shares of the files, the first ``chosen`` run at once."""
    environment = {**clean_environment(), "OPENBLAS_NUM_THREADS": "1"}  # As the daemon's workers have it.
    images, seconds = 0, 0.0
    with TemporaryDirectory(dir=plan.scratch) as outs, ExitStack() as running:
        processes = []
        for index in range(chosen):
            out = Path(outs) / str(index)
            out.mkdir()
            command = [sys.executable, "-m", "bench.loops", what, str(folder), str(out), str(index), str(parts)]
            process = subprocess.Popen(command, cwd=TESTS, env=environment, stdout=subprocess.PIPE, text=True)
            running.enter_context(process)
            running.callback(process.kill)  # Of no consequence once it has been waited for.
            processes.append(process)
        for process in processes:
            answer, _ = process.communicate()
            if process.returncode != 0:
                raise RuntimeError(f"the {what} loop ended with {process.returncode}")
            told = json.loads(answer)
            images += told["images"]
            seconds += told["cpu_seconds"]
    return 1000 * seconds / images


def _warm(folder: Path) -> None:
    """Every side reads from memory; otherwise the first one would pay for the disk."""
    for path in gallery.files_in(folder):
        path.read_bytes()
