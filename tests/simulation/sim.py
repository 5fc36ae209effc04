"""The seeded simulator: the daemon as ``assembly/`` wires it, on simulated time, disks, workers and people.

``make simulate SEEDS=1000`` runs many and tells of the first that breaks a promise; ``SEED=N`` runs one and tells all
that happened. One seed is one history: what people did, where the process died and how often, which
disk failed when.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext, suppress

from simulation import sim_bugs
from simulation.sim_run import Run

_MOST_OPEN = 300


def simulate(seed: int) -> Run:
    """Play one seed in a folder of its own on tmpfs and leave nothing behind."""
    shm = "/dev/shm" if os.path.isdir("/dev/shm") else None
    base = os.path.join(tempfile.gettempdir() if shm is None else shm, f"dropmill-simulation-{os.getpid()}")
    shutil.rmtree(base, ignore_errors=True)
    os.makedirs(base)
    try:
        run = Run(seed, os.fsencode(base))
        run.play()
        run.close()
        return run
    finally:
        shutil.rmtree(base)
        _close_below(base)


def _close_below(base: str) -> None:
    """What a daemon that was killed had open: the kernel would close it, and its number belongs to nobody any more."""
    numbers = os.listdir("/proc/self/fd")
    if len(numbers) < _MOST_OPEN:
        return
    gc.collect()  # What an object holds, it closes itself.
    for name in numbers:
        with suppress(FileNotFoundError):
            if os.readlink(f"/proc/self/fd/{name}").startswith(f"{base}/"):
                os.close(int(name))


def first_wrong(seeds: Iterable[int]) -> Run | None:
    """The first seed's run that breaks a promise."""
    return next((run for run in map(simulate, seeds) if run.violations), None)


def report(run: Run) -> str:
    """All that happened, what was wrong with it, and how to see it again."""
    told = "\n".join(run.trace)
    wrong = "\n".join(f"  {violation}" for violation in run.violations) or "  nothing"
    return f"{told}\n\nseed {run.seed}, wrong:\n{wrong}\nAgain: make simulate SEED={run.seed}"


def search(first: int, count: int, processes: int) -> Run | None:
    """``count`` seeds from ``first`` on, spread over processes; the wrong run of the lowest seed, played here again."""
    share = [range(first + number, first + count, processes) for number in range(processes)]
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        found = [seed for seed in pool.map(_first_wrong_seed, share) if seed is not None]
    return simulate(min(found)) if found else None


def _first_wrong_seed(seeds: range) -> int | None:
    run = first_wrong(seeds)
    return run.seed if run else None


def main() -> None:
    parser = argparse.ArgumentParser(prog="make simulate", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=1000, help="how many to run")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="run this one and tell all that happens")
    parser.add_argument("--bug", choices=list(sim_bugs.BUGS), help="plant a bug first")
    options = parser.parse_args()
    with sim_bugs.planted(options.bug) if options.bug else nullcontext():
        if options.seed is not None:
            run = simulate(options.seed)
            print(report(run))
            sys.exit(bool(run.violations))
        started = time.monotonic()
        seeds = range(options.first, options.first + options.seeds)
        wrong = first_wrong(seeds) if options.bug else search(seeds.start, len(seeds), len(os.sched_getaffinity(0)))
    if wrong is not None:
        print(report(wrong))
        sys.exit(1)
    print(f"{options.seeds} seeds from {options.first} on, nothing wrong ({time.monotonic() - started:.0f} s)")


if __name__ == "__main__":
    main()
