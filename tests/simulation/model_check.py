"""Every state that can be reached, breadth first, and what must hold in it: the promises, as PROTOCOL.md keeps them."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain

from simulation.model_state import STANDING, WORKER, Config, Job, State, start
from simulation.model_steps import daemon
from simulation.model_troubles import crashes, idle, users, workers


@dataclass
class Explored:
    """What an exploration met. ``wrong`` is the broken invariant and ``trace`` the shortest way to it, in words."""

    states: int = 0
    quiet: int = 0
    complete: bool = True
    kinds: Counter[str] = field(default_factory=Counter)
    wrong: str = ""
    trace: list[str] = field(default_factory=list)

    def story(self) -> str:
        return "\n".join(
            [*(f"{number:3} {words}" for number, words in enumerate(self.trace, 1)), f"    → {self.wrong}"]
        )


def explore(config: Config, most_states: int = 2_000_000) -> Explored:
    explored = Explored()
    first = start(config)
    came_from: dict[State, tuple[State, str] | None] = {first: None}
    frontier = [first]
    gc.disable()  # Millions of tuples that live until the end, and no cycles among them.
    try:
        while frontier:
            coming: list[State] = []
            for state in frontier:
                for words, after, wrong in _successors(state, config, explored):
                    new = after not in came_from
                    if new:
                        came_from[after] = (state, words)
                        coming.append(after)
                    wrong = wrong or (broken(after, config) if new else "")
                    if wrong:
                        explored.wrong = wrong
                        explored.trace = [*_way(came_from, state), words]
                        explored.states = len(came_from)
                        return explored
                if explored.wrong:
                    explored.trace = _way(came_from, state)
                    explored.states = len(came_from)
                    return explored
            frontier = coming
            if len(came_from) > most_states:
                explored.complete = False
                break
    finally:
        gc.enable()
    explored.states = len(came_from)
    return explored


def _successors(state: State, config: Config, explored: Explored) -> Iterator[tuple[str, State, str]]:
    ours = list(daemon(state, config))
    others = chain(workers(state, config), crashes(state, config), idle(state, config), users(state, config))
    quiet = not ours and state.mounted and not state.writer and not state.orphans
    if quiet:
        if config.holds("sweep") and any(place.startswith("st/") for place, _ in state.live):
            # A worker that outlived the daemon, or an output that was away, can leave something to the next start.
            explored.kinds["start"] += 1
            yield "start: the daemon is stopped and started", state._replace(booting=True), ""
        else:
            explored.quiet += 1
            explored.wrong = unfinished(state, config)
    for words, world in chain(ours, others):
        explored.kinds[words.partition(":")[0]] += 1
        yield words, world.freeze(), world.wrong


def _way(came_from: dict[State, tuple[State, str] | None], state: State) -> list[str]:
    words: list[str] = []
    step = came_from[state]
    while step is not None:
        words.append(step[1])
        step = came_from[step[0]]
    return words[::-1]


def broken(s: State, config: Config) -> str:
    """What must hold in every state; empty if it does."""
    live, contents = dict(s.live), {ino: (content, synced) for ino, content, synced in s.inodes}
    disk = dict(s.disk)
    names = {job.final for job in s.jobs} | {job.pstep.partition(":")[2] for job in s.jobs}
    for place, ino in s.live:
        if place.startswith("out/") and f"put {place}" not in s.gone:
            if contents[ino][0] == "~":
                return f"torn: {place} is visible and not whole"
            if contents[ino][0] != "f" and place not in names:
                return f"unaccounted: {place} belongs to no publication"
    shown: set[str] = set()
    for number, job in enumerate(s.jobs, 1):
        if job.outcomes > 1:
            return f"twice: job {number} ended {job.outcomes} times"
        if job.pub in STANDING:
            if job.image in shown:
                return f"twice: {job.image!r} is published under two names"
            shown.add(job.image)
        if job.pub == "visible" and job.final not in s.gone:
            if job.final not in live or contents[live[job.final]][0] != job.image.upper():
                return f"lost: {job.final} counts as visible and is not there"
            if contents.get(disk.get(job.final, 0)) != (job.image.upper(), True):
                return f"not durable: {job.final} counts as visible and a power cut would take it"
        if job.pub == "failed" and not {job.staged, job.final} & s.gone:
            return f"failed: the rendition of job {number} counts as lost, though nothing happened to it"
        if job.state == "discarded" and job.bytes != "p" and config.worker_crashes - s.budgets[WORKER] < 2:
            return f"discarded: job {number} was given up for interruptions"
        if job.crashes > 2:
            return f"endless: job {number} takes down worker after worker"
        # Of one that was to be deleted, an interrupted call and a user leave the same: nothing.
        if job.result == "gone" and job.target and "in/" + job.path not in s.gone:
            return f"guessing: the original of job {number} is recorded as gone and nobody took it"
    return ""


def unfinished(s: State, config: Config) -> str:
    """What must hold once nothing is left to be done."""
    live, contents = dict(s.live), {ino: content for ino, content, _ in s.inodes}
    met = {(job.path, job.ino, job.bytes) for job in s.jobs}
    for place, ino in s.live:
        if place.startswith(("in/.", "st/", "ar/.")):
            return f"left over: {place}"
        if place.startswith("in/") and (place[3:], ino, contents[ino]) not in met:
            return f"lost: {place} with {contents[ino]!r} never became a job"
    archived = Counter(contents[ino] for place, ino in s.live if place.startswith("ar/"))
    for number, job in enumerate(s.jobs, 1):
        if job.state not in ("completed", "discarded") or job.pub == "owed":
            return f"unfinished: job {number} is {job.state} {job.pub}"
        if job.disp == "owed" and job.pub not in ("failed", "missing"):
            return f"unfinished: the original of job {number} is still there"
        if job.outcome == "duplicate" and "in/" + job.path in live and not _backed(s, job):
            return f"lost: job {number} is a duplicate of nothing"
        if archived[job.bytes] > sum(one.bytes == job.bytes and one.result == "moved" for one in s.jobs):
            return f"twice: {job.bytes!r} is in the archive more often than it was moved there"
    return ""


def _backed(s: State, job: Job) -> bool:
    return any(one.image == job.image and one.pub in ("visible", "retired", "retiring") for one in s.jobs)
