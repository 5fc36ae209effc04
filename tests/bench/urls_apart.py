"""Measures a command from a process of its own, so that servers which the figures run beside it are not counted."""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from bench.meter import Spent, run_measured


def run_apart(command: Sequence[str], *, cwd: Path, env: Mapping[str, str], output: Path) -> Spent:
    """As ``run_measured``; other children of ours may be alive. Raises ``RuntimeError`` where it could not be measured."""
    fork = multiprocessing.get_context("fork")  # Spawning would start a tracker that outlives the figure.
    told, tells = fork.Pipe(duplex=False)
    process = fork.Process(target=_measure, args=(tells, command, cwd, env, output))
    process.start()
    tells.close()
    try:
        answer = told.recv()
    except EOFError:
        answer = "the measuring process ended without a word"
    process.join()
    told.close()
    if not isinstance(answer, Spent):
        raise RuntimeError(answer)
    return answer


def _measure(tells: Connection, command: Sequence[str], cwd: Path, env: Mapping[str, str], output: Path) -> None:
    try:
        with output.open("wb") as file:
            tells.send(run_measured(command, cwd=cwd, env=env, output=file))
    except Exception:  # It is raised again on the other side.
        tells.send(traceback.format_exc())
