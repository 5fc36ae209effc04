"""One history: what a seed decides, the runs of the daemon between its deaths, and what was seen of them."""

from __future__ import annotations

import asyncio
import errno
import os
import random
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import apsw

from dropmill import assembly
from dropmill.errors import DropmillError
from dropmill.model.job import FoundBy
from dropmill.model.settling import Hint
from dropmill.observe.facts import Fact, PublicationFailed, Ready, RenditionLost, StageTimed, StateTrouble
from dropmill.settings import Settings
from dropmill.settings.dedupe import TierPolicies
from dropmill.store.connection import connect
from simulation import sim_check, sim_check_urls
from simulation.sim_disk import Crash, Disk
from simulation.sim_loop import SimulatedLoop, Stuck, Time
from simulation.sim_people import People
from simulation.sim_urls import Urls
from simulation.sim_wiring import in_place_of_the_real_ones, settings_of

AREAS = ("in", "in/sub", "out", "archive", "duplicates", "quarantine", "state", "graves")
# A run that has not come to rest after so many starts, an hour apart, never will.
MOST_STARTS = 30
_DEFECTS = (
    "TypeError",
    "KeyError",
    "AttributeError",
    "AssertionError",
    "ValueError",
    "IndexError",
    "refused a statement",
)


@dataclass(slots=True)
class Spell:
    """A time of bad weather on one disk."""

    start: float
    end: float
    area: str
    code: int
    share: float

    def __str__(self) -> str:
        return f"{errno.errorcode[self.code]} in {self.area} from {self.start:.1f} to {self.end:.1f} s"


@dataclass(slots=True)
class Run:
    """One history. ``violations`` is what went wrong, ``trace`` all that happened."""

    seed: int
    base: bytes
    chance: random.Random = field(init=False)
    time: Time = field(default_factory=Time)
    disk: Disk = field(init=False)
    people: People = field(init=False)
    facts: list[Fact] = field(default_factory=list)
    trace: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    calm: bool = False
    deletes: bool = False
    renditions: int = 1
    committed: apsw.Connection | None = None
    """Shows what is committed and nothing else."""
    daemon: assembly.Daemon | None = None
    urls: Urls | None = None
    boots_of_the_machine: int = 1
    _settings: Settings = field(init=False)
    _spells: list[Spell] = field(default_factory=list)
    _late: list[tuple[Any, Any]] = field(default_factory=list)
    """Jobs and the answers to them that are heard again by the next run of the daemon."""
    _answers: list[tuple[Any, Any]] = field(default_factory=list)
    _ready: bool = False
    """Whether the daemon has come up, so that nothing may end it any more."""
    _eager: float = 0.0
    _pace: float = 0.0

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        for area in AREAS:
            os.makedirs(self.base + b"/" + area.encode())
        self.disk = Disk(
            self.base, self.chance, self.trouble, self._between, self._renamed, separate=self.chance.random() < 0.2
        )
        self.people = People(self.base, self.chance, self.time, self.disk, self.tell)
        self.people.hinted = self._hinted
        seconds = self.chance.uniform(3, 15)
        self.people.plan(self.chance.randint(2, 14), seconds)
        # Every second history has URLs, whose chances are a stream of their own: what the others do is not moved by it.
        self.urls = self._begin_urls(seconds) if self.seed % 2 else None
        self._settings = self._choose_settings()
        self._eager = self.chance.choice((0.0, 0.01, 0.05))
        self._pace = self.chance.choice((0.002, 0.02, 0.2))
        for _ in range(self.chance.choice((0, 0, 1, 3))):
            start = self.chance.uniform(0, seconds)
            code = self.chance.choice((errno.ENOSPC, errno.EIO, errno.EROFS))
            area = self.chance.choice(("in", "out", "archive", "duplicates", "quarantine", "state"))
            self._spells.append(
                Spell(start, start + self.chance.uniform(0.5, 10), area, code, self.chance.choice((0.05, 0.5, 1.0)))
            )
            self.tell(f"weather: {self._spells[-1]}")

    def _begin_urls(self, seconds: float) -> Urls:
        os.makedirs(self.base + b"/lists")
        urls = Urls(self, seconds)
        for spell in urls.spells():
            self._spells.append(Spell(*spell))
            self.tell(f"weather: {self._spells[-1]}")
        return urls

    # What the parts ask

    def tell(self, line: str) -> None:
        self.trace.append(f"{self.time.seconds:10.3f}  {line}")

    def pause(self, _who: str) -> float:
        """How long the next call takes to be done, in seconds."""
        return self.chance.expovariate(1 / self._pace) + 1e-6

    def worker_dies(self) -> bool:
        return not self.calm and self.chance.random() < 0.01

    def trouble(self, call: str, area: str) -> OSError | None:
        for spell in self._spells:
            if self.calm or spell.area != area or not spell.start <= self.time.seconds < spell.end:
                continue
            if call == "read" and spell.code != errno.EIO:
                continue
            if call in {"unlink", "fsync"} and spell.code == errno.ENOSPC:
                continue
            if self.chance.random() < spell.share:
                self.tell(f"{call} in {area} fails: {errno.errorcode[spell.code]}")
                return OSError(spell.code, os.strerror(spell.code))
        return None

    def die(self, where: str) -> None:
        """The process dies here. What runs beside the call in which it died goes on for an instant."""
        self.disk.dead = True
        self.tell(f"CRASH at step {self.disk.steps}: {where}")
        loop = asyncio.get_running_loop()
        turns = self.chance.choice((0, 1, 3))

        def stop(left: int) -> None:
            if left:
                loop.call_soon(stop, left - 1)
            else:
                loop.stop()

        stop(turns)

    def _between(self, path: bytes) -> None:
        if not self.calm and self.chance.random() < self._eager:
            self.people.next(path)

    def _hinted(self, rel: bytes) -> None:
        if self.daemon is not None and not self.disk.dead:
            self.daemon.settlings["camera"].hint(rel, Hint(FoundBy.EVENT))

    def _renamed(self, source: bytes, target: bytes, ino: int) -> None:
        self.tell(f"  {source[len(self.base) + 1 :]!r} is now {target[len(self.base) + 1 :]!r}")
        wrong = sim_check.on_rename(self, source, target, ino)
        if wrong:
            self.wrong(wrong)

    def wrong(self, what: str) -> None:
        self.tell(f"WRONG: {what}")
        self.violations.append(what)

    def _heard(self, fact: Fact) -> None:
        if isinstance(fact, StageTimed):
            return
        self._ready = self._ready or isinstance(fact, Ready)
        self.facts.append(fact)
        if self.urls is not None:
            self.urls.heard(fact)
        self.tell(repr(fact))
        if isinstance(fact, (RenditionLost, PublicationFailed)):
            self.wrong(f"a rendition that was committed is lost: {fact.path!r}")  # Nobody but us touches them here.
        if isinstance(fact, StateTrouble) and any(name in fact.detail for name in _DEFECTS):
            self.wrong(f"a defect: {fact.detail}")

    # The history

    def play(self) -> None:
        """Boots, crashes and stops, then a calm end; afterwards ``violations`` is complete."""
        with in_place_of_the_real_ones(self):
            for _ in range(self.chance.choice((0, 1, 1, 2, 3, 5))):
                self.disk.crash_at = self.disk.steps + self.chance.randint(1, self.chance.choice((15, 60, 250)))
                if self.urls is not None:
                    self.urls.aim(self.disk)
                self._boot(self.time.seconds + self.chance.uniform(2, 20))
                if self.violations:
                    return
            self.disk.crash_at = self.disk.aim = None
            last = max((deed.at for deed in self.people.deeds), default=0.0)
            self._boot(max(last, self.time.seconds, *(spell.end for spell in self._spells)) + 5)
            self.calm = True
            while self.people.deeds:
                self.people.next()
            self._boot(self.time.seconds + 12)
            for _ in range(MOST_STARTS):
                if self.violations:
                    return
                self.time.seconds += 3600
                self._boot(None)
                if not self._unrest():
                    break
        self.violations += sim_check.at_rest(self)
        if self.urls is not None:
            self.violations += sim_check_urls.at_rest(self, self.urls)

    def close(self) -> None:
        """Let go of what was open; nothing can be asked any more."""
        self.disk.keep_everything()
        if self.committed is not None:
            self.committed.close()
            self.committed = None

    def _unrest(self) -> bool:
        return bool(sim_check.rows(self.committed, _UNREST)[0][0])

    def _boot(self, until: float | None) -> None:
        """One run of the daemon, to its death, to its stop at ``until``, or, without that, to its own end."""
        self.disk.dead = self._ready = False
        loop = SimulatedLoop(self.time)
        asyncio.set_event_loop(loop)
        with ExitStack() as resources, self.disk.installed():
            self.tell(f"START{'' if until is not None else ' to the end'}")
            task = loop.create_task(self._live(until, resources))
            task.add_done_callback(lambda _: loop.stop())
            try:
                loop.run_forever()
            except Stuck as stuck:
                self.wrong(f"the daemon is stuck: {stuck}")
            self._ended(task)
            self.daemon = None
            if not task.done():
                self.disk.dead = True
            resources.close()
            loop.abandon()
            asyncio.set_event_loop(None)
        with self.disk.others():
            if self.disk.dead and self.chance.random() < 0.6:
                self.tell(f"POWER LOSS, {self.disk.power_loss()}")
                self.boots_of_the_machine += 1
            elif self.disk.dead and self.urls is None:
                self.disk.keep_everything()  # Else it is as volatile after the death as it was before.
        self.time.seconds += self.chance.uniform(0.1, 3)
        self.people.due()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.done():
            return
        error = None if task.cancelled() else task.exception()
        while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]  # As the command line does.
        if isinstance(error, Crash):
            self.disk.dead = True
            self.tell(f"CRASH at step {self.disk.steps}: {error}")
        elif isinstance(error, (DropmillError, OSError)) and not self._ready:
            self.tell(f"the daemon does not start: {error}")
            if self.calm:
                self.wrong(f"the daemon does not run although nothing is in its way: {error}")
            self.time.seconds += 5
        elif error is not None and not self.disk.dead:
            self.wrong(f"the daemon ends with {error!r}")

    async def _live(self, until: float | None, resources: ExitStack) -> None:
        bus = assembly.Bus()
        alive = True

        def hear(fact: Fact) -> None:
            if alive:
                self._heard(fact)

        def end() -> None:
            nonlocal alive
            alive = False

        resources.callback(end)
        bus.subscribers.append(hear)
        once = until is None
        daemon = await assembly.assemble(self._settings, bus, once=once, heif=False, serve=_no_web)
        self.daemon = daemon
        resources.callback(daemon.resources.close)
        if self.committed is None:
            self.committed = connect(os.fsdecode(self.base + b"/state/catalog.db"), readonly=True)
        loop = asyncio.get_running_loop()
        if until is not None:
            loop.call_at(until, daemon.supervisor.stop, "simulated")
        for deed in self.people.deeds:
            loop.call_at(deed.at, self._people)
        self._double(daemon, loop)
        if self.urls is not None:
            self.urls.boots(daemon, loop)
        await daemon.run()
        self.tell("END")

    def call_people_at(self, seconds: float) -> None:
        """They have something more to do then."""
        if self.daemon is not None:
            asyncio.get_event_loop().call_at(seconds, self._people)

    def _people(self) -> None:
        if not self.disk.dead:
            with self.disk.others():
                self.people.due()
                # A slow writer has put another deed on the list.
                for deed in self.people.deeds[:1]:
                    asyncio.get_running_loop().call_at(deed.at, self._people)

    def _double(self, daemon: assembly.Daemon, loop: asyncio.AbstractEventLoop) -> None:
        """Answers of workers that come twice, or come late: after a crash, to another run of the daemon (PROTOCOL 4)."""
        committer = daemon.supervisor.parts.committer
        conclude = committer.conclude

        async def again(job: Any, inbox: Any, reply: Any, started: float) -> None:
            self.tell(f"the answer to job {job.id}, epoch {job.epoch}, comes again")
            try:
                await conclude(job, inbox, reply, started)
            except (DropmillError, OSError) as error:
                self.tell(f"which fails: {error}")

        async def heard(job: Any, inbox: Any, reply: Any, started: float) -> None:
            late = (job, reply)
            overtaken = [(old, answer) for old, answer in self._answers if old.id == job.id and old.epoch < job.epoch]
            self._answers.append(late)
            if overtaken and not self.calm and self.chance.random() < 0.5:
                old, answer = self.chance.choice(overtaken)
                await again(old, inbox, answer, started)
            self._late.append(late)  # Should the process die now, it may still come.
            await conclude(job, inbox, reply, started)
            turn = 1.0 if self.calm else self.chance.random()
            if turn > 0.1:
                self._late.remove(late)
            if turn > 0.9 and not self.calm:
                loop.call_later(self.chance.uniform(0, 3), later, job, inbox, reply)

        def later(job: Any, inbox: Any, reply: Any) -> None:
            loop.create_task(again(job, inbox, reply, loop.time()))

        committer.conclude = heard
        late, self._late = self._late, []
        for job, reply in late:
            loop.call_later(self.chance.uniform(0, 2), later, job, daemon.inboxes[job.inbox], reply)

    def _choose_settings(self) -> Settings:
        pick = self.chance.choice
        options: dict[str, Any] = {
            "on_success": pick(("archive", "archive", "keep", "delete")),
            "on_duplicate": pick(("move", "move", "keep", "delete")),
            "on_source_changed": pick(("replace", "version")),
            "on_source_deleted": pick(("keep", "keep", "remove")),
            "receipts": pick((True, False)),
            "settle_seconds": pick((0.2, 1.0)),
        }
        # A stream of its own, so that the chances of the others are as they were.
        near = random.Random(self.seed + 3).choice(("flag", "flag", "skip", "rename", "hardlink"))
        options["dedupe"] = TierPolicies(near=near)
        self.renditions = pick((1, 2))
        processes = pick((1, 2, 3))
        self.deletes = "delete" in {options["on_success"], options["on_duplicate"]}
        self.tell(f"seed {self.seed}: {options}, {self.renditions} renditions, {processes} workers")
        urls = self.urls.options() if self.urls is not None else None
        return settings_of(os.fsdecode(self.base), options, self.renditions, processes, urls)


_UNREST = """SELECT EXISTS (SELECT 1 FROM jobs WHERE state NOT IN ('completed', 'discarded', 'cancelled'))
  OR EXISTS (SELECT 1 FROM publications WHERE state IN ('owed', 'retiring'))
  OR EXISTS (SELECT 1 FROM disposals WHERE state = 'owed') OR EXISTS (SELECT 1 FROM notices WHERE state = 'owed')
  OR EXISTS (SELECT 1 FROM lines WHERE told = 0)"""


@asynccontextmanager
async def _no_web(_daemon: object) -> AsyncIterator[str]:
    yield ""
