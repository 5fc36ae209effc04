"""What a history with URLs has beside the rest: hosts, a drop-file, people at the desk, and ends that are told late.

What must hold while it goes on is looked at here; what must hold at rest is in ``sim_check_urls``.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from dropmill import assembly
from dropmill.control import jobs, retry
from dropmill.control.house import House
from dropmill.errors import DropmillError
from dropmill.model.download import Fetch
from dropmill.observe.facts import (
    Discarded,
    Downloaded,
    DownloadFailed,
    Fact,
    FetchStarted,
    HostBack,
    HostGivenUp,
    HostResting,
    ResultsTold,
)
from simulation.sim_check import rows
from simulation.sim_disk import Crash, Disk
from simulation.sim_people import Deed
from simulation.sim_web import Web
from simulation.sim_writers import Writers

if TYPE_CHECKING:
    from simulation.sim_run import Run


@dataclass(slots=True)
class Urls:
    """``seconds``: for how long people act."""

    run: Run
    seconds: float
    chance: random.Random = field(init=False)
    web: Web = field(init=False)
    writers: Writers = field(init=False)
    quiet_seconds: float = field(init=False)
    ends: list[tuple[Any, ...]] = field(default_factory=list)
    """What ``Fetches.fetched`` was called with, to be heard again."""
    _resting: dict[str, float] = field(default_factory=dict)
    """Until when an origin is to be left alone, as this run of the daemon has said."""
    _failing: dict[str, set[int]] = field(default_factory=dict)
    """Origins whose circuit is open, each with the jobs that were asking it already when it opened."""
    _running: dict[int, str] = field(default_factory=dict)
    _heard_bytes: dict[int, int] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        run = self.run
        self.chance = chance = random.Random(f"{run.seed} urls")
        self.web = Web(run, chance, self.seconds)
        self.quiet_seconds = chance.choice((0.5, 2.0))
        self.writers = Writers(
            run.base,
            chance,
            run.time,
            run.disk,
            run.tell,
            lambda: run.committed,
            self.quiet_seconds,
            list(self.web.pages),
            self._later,
        )
        run.disk.kept = {b"state/downloads": "downloads"}
        run.people.deeds += self.writers.plan(chance.randint(2, 12), self.seconds)
        for do in chance.choices((self._cancel, self._retry), k=chance.choice((0, 0, 1, 4))):
            run.people.deeds.append(Deed(chance.uniform(0, 2 * self.seconds), do.__name__, do))
        run.people.deeds.sort()

    def spells(self) -> list[tuple[float, float, str, int, float]]:
        """Bad weather on the disks of downloads and drop-files, as ``Spell`` takes it."""
        chance, found = self.chance, []
        for _ in range(chance.choice((0, 0, 1, 2))):
            start = chance.uniform(0, self.seconds)
            code = chance.choice((errno.ENOSPC, errno.EIO))
            area = chance.choice(("lists", "downloads", "downloads"))
            found.append((start, start + chance.uniform(0.5, 10), area, code, chance.choice((0.05, 0.5, 1.0))))
        return found

    def options(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Settings of the drop-file and of downloads."""
        pick, base = self.chance.choice, os.fsdecode(self.run.base)
        dropfile = {
            "originals": pick(("discard", base + "/archive")),
            "quarantine": pick(("", base + "/quarantine")),
            "on_repeat": pick(("skip", "skip", "revalidate", "fetch")),
            "names": pick(("{sha256:2}/{sha256}-{rendition}.{ext}", "{stem}-{rendition}.{ext}")),
            "receipts": pick((True, False)),
            "quiet_seconds": self.quiet_seconds,
        }
        downloads = {
            "connections": pick((1, 3, 8)),
            "per_host": pick((1, 2, 4)),
            "requests_per_second_per_host": pick((0.0, 0.0, 2.0)),
            "max_attempts": pick((2, 5)),
            "breaker_failures": pick((1, 3)),
            "backlog_files": pick((1, 3, 1000)),
            "give_up_seconds": pick((4.0, 86_400.0)),
        }
        self.run.tell(f"drop-file: {dropfile}; {downloads}")
        return dropfile, downloads

    def aim(self, disk: Disk) -> None:
        """Let every second death be where URLs are dealt with: the rest of the way has its own histories."""
        what = self.chance.choice(("", "", "in downloads", "in lists", "COMMIT"))
        disk.aim = (what, self.chance.randint(1, 12)) if what else None
        if what:
            disk.crash_at = None

    # While it goes on

    def boots(self, daemon: assembly.Daemon, loop: asyncio.AbstractEventLoop) -> None:
        self.web.open.clear()
        self._resting.clear()
        self._failing.clear()
        self._running.clear()
        if self.ends and not self.run.calm:
            for end in self.chance.choices(self.ends, k=2):
                loop.call_later(self.chance.uniform(0, 4), self._again, daemon, end)

    def begins(self, fetch: Fetch) -> None:
        """A download is about to ask its host, of which the catalog has to let."""
        asked = "SELECT h.ready_at_ms, j.state FROM jobs AS j JOIN hosts AS h ON h.id = j.host_id WHERE j.id = ?"
        for ready_at_ms, _ in rows(self.run.committed, asked, fetch.job.id):
            if ready_at_ms > self.run.time.now_ms():
                self.run.wrong(f"{fetch.wanted.origin} is asked by job {fetch.job.id} while it is known to rest")
        overtaken = [end for end in self.ends if end[0].id == fetch.job.id and end[0].epoch < fetch.job.epoch]
        if overtaken and self.run.daemon is not None and self.chance.random() < 0.5:
            self._again(self.run.daemon, self.chance.choice(overtaken))

    def heard(self, fact: Fact) -> None:
        now = self.run.time.seconds
        match fact:
            case FetchStarted():
                origin = _origin(fact.path)
                if self._resting.get(origin, 0.0) > now + 0.001:
                    self.run.wrong(f"{origin} is asked {self._resting[origin] - now:.3f} s before its time")
                asking = {job for job, asked in self._running.items() if asked == origin}
                if origin in self._failing and asking - self._failing[origin]:
                    self.run.wrong(f"{origin} is asked by job {fact.job_id} and by {asking} while it fails")
                self._running[fact.job_id] = origin
            case Downloaded() | DownloadFailed() | Discarded():
                self._running.pop(fact.job_id, None)
            case HostResting():
                origin = fact.origin.removesuffix(":80")
                self._resting[origin] = max(self._resting.get(origin, 0.0), now + fact.seconds)
                if not fact.failing:
                    self._failing.pop(origin, None)
                elif origin not in self._failing:
                    self._failing[origin] = {job for job, asked in self._running.items() if asked == origin}
            case HostBack() | HostGivenUp():
                self._failing.pop(fact.origin.removesuffix(":80"), None)
            case ResultsTold():
                self._told()

    def _told(self) -> None:
        """What was told just now can be seen: whatever is owed of it is not told yet."""
        if not os.path.exists(self.writers.results):
            return  # Its user has it now.
        with open(self.writers.results, "rb") as file:
            ino = os.fstat(file.fileno()).st_ino
            file.seek(self._heard_bytes.get(ino, 0))
            new = file.read()
            self._heard_bytes[ino] = file.tell()
        for line in new.splitlines():
            told = parsed(line)
            if told is None or told["outcome"] != "published":
                continue
            owed = rows(
                self.run.committed,
                "SELECT final_name FROM publications WHERE job_id = ? AND state = 'owed'",
                told["job"],
            )
            if owed or not told.get("renditions"):
                self.run.wrong(f"job {told['job']} is told as published, and {owed} are still to be")

    def fetched(self, real: Callable[..., Awaitable[bool]]) -> Callable[..., Awaitable[bool]]:
        """``CatalogFetches.fetched`` that remembers what it was told, so that it can be told late."""

        async def remembered(fetches: Any, job: Any, signature: Any, provenance: Any, host: Any) -> bool:
            self.ends.append((job, signature, provenance, None))
            return await real(fetches, job, signature, provenance, host)

        return remembered

    def _again(self, daemon: assembly.Daemon, end: tuple[Any, ...]) -> None:
        async def late() -> None:
            self.run.tell(f"the end of the download of job {end[0].id}, epoch {end[0].epoch}, comes again")
            await daemon.fetcher._fetches.fetched(*end)

        self._start(late)

    # At the desk

    def _later(self, deed: Deed) -> None:
        people = self.run.people
        people.deeds.append(deed)
        people.deeds.sort()
        self.run.call_people_at(deed.at)

    def _cancel(self) -> None:
        self._ask("cancel", jobs.cancel, "state IN ('scheduled', 'available', 'executing')")

    def _retry(self) -> None:
        self._ask("retry", retry.retry, "state = 'discarded'")

    def _ask(self, what: str, do: Callable[[House, int], Awaitable[Any]], which: str) -> None:
        found = rows(self.run.committed, f"SELECT id FROM jobs WHERE host_id IS NOT NULL AND {which}")
        daemon = self.run.daemon
        if not found or daemon is None or self.run.disk.dead or not asyncio.get_event_loop().is_running():
            return
        (job,) = self.chance.choice(found)
        live: Any = SimpleNamespace(claimer=daemon.claimer, fetcher=daemon.fetcher)
        house = House(daemon.settings, daemon.catalog, daemon.clock, daemon.bus.emit, False, live)

        async def asked() -> None:
            self.run.tell(f"people {what} job {job}")
            await do(house, job)

        self._start(asked)

    def _start(self, do: Callable[[], Awaitable[None]]) -> None:
        async def done() -> None:
            try:
                await do()
            except DropmillError as error:
                self.run.tell(f"which fails: {error}")
            except Crash as crash:
                self.run.die(str(crash))
            except Exception as error:  # Whatever it is, nobody at the desk knows what to do about it.
                # What is closed with its loop says that there is none.
                if not self.run.disk.dead and asyncio.get_event_loop().is_running():
                    self.run.wrong(f"the desk answers with {error!r}")

        task = asyncio.get_running_loop().create_task(done())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def parsed(line: bytes) -> dict[str, Any] | None:
    """A line of a results file; None for what is none of ours."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and "outcome" in found else None


def _origin(url: bytes) -> str:
    parts = urlsplit(os.fsdecode(url))
    return f"{parts.scheme}://{parts.netloc}"
