"""What the desk works on: the settings, the catalog, and, where a daemon runs, its parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar

import anyio

from dropmill.control.events import Hub
from dropmill.control.history import History
from dropmill.control.watchful import Chronicle
from dropmill.errors import Conflict, NotFound
from dropmill.fetch.dropfile import Tail
from dropmill.fetch.results import Results
from dropmill.files.lane import Lane
from dropmill.maintenance.batches import Batches
from dropmill.maintenance.indexing import Indexer
from dropmill.maintenance.pulse import Pulse
from dropmill.maintenance.surroundings import Surroundings
from dropmill.model.errand import Errand, ErrandResult
from dropmill.model.inbox import URLS_SUFFIX, Inbox
from dropmill.model.webhook import Posted
from dropmill.model.work import WorkerLost
from dropmill.observe.facts import Emit
from dropmill.pipeline.claim import Claimer
from dropmill.pipeline.enqueue import Enqueuer
from dropmill.pipeline.settle import Settling
from dropmill.pipeline.watch import Watch
from dropmill.ports import Clock, IndexStats, JobEngine, PoolStats
from dropmill.settings import Inbox as InboxSettings
from dropmill.settings import Loaded, Settings
from dropmill.store.connection import Session

T = TypeVar("T")

# How long a folder may take to answer a question from the desk before it counts as not answering (W40).
ANSWER_SECONDS: Final = 5.0


class Reads(Protocol):
    """A catalog. ``write`` raises ``Conflict`` where it was opened for reading only."""

    async def read(self, action: Callable[[Session], T]) -> T: ...

    async def write(self, action: Callable[[Session], T], *, patient: bool = False) -> T: ...


class Course(Protocol):
    """How far the supervisor has come."""

    ready: bool
    stopping: bool


class Configuration(Protocol):
    """The configuration in force, and what became of the latest wish for another one."""

    loaded_ms: int
    """When it was applied, in milliseconds of UTC."""
    number: int
    """How many times another one was asked for."""
    under_way: bool
    findings: tuple[str, ...]
    """Why the latest one was refused; empty where it was not."""
    loaded: Loaded

    async def reload(self, cause: str) -> int:
        """Load and check it; on return it is being applied. Raises ``Refused`` and ``Conflict``."""


class Downloads(Protocol):
    """The stage that downloads."""

    def wake(self) -> None: ...

    def cancel(self, job_id: int) -> None: ...

    async def give_back(self, inbox: str | None) -> None: ...

    def progress(self) -> Sequence[Mapping[str, Any]]:
        """What is under way: ``{job, url, bytes, total, bytes_per_second}``."""


class Mail(Protocol):
    """What tells applications by webhook; each by its name."""

    def wake(self, name: str) -> None:
        """What is owed to it, or whether it is asked, has changed."""

    async def post(self, name: str, webhook_id: str, body: bytes) -> Posted: ...

    def keys(self, name: str) -> Sequence[bytes]: ...


class Workers(Protocol):
    def stats(self) -> PoolStats: ...

    async def errand(
        self, errand: Errand, *, timeout_seconds: float, urgent: bool = False
    ) -> ErrandResult | WorkerLost: ...


class Index(Protocol):
    """What finds similar images."""

    def stats(self) -> IndexStats: ...


@dataclass(frozen=True, slots=True)
class Live:
    """The parts of a running daemon."""

    pid: int
    boot: str
    started_at: float
    """Seconds of the clock that never jumps."""
    course: Course
    inboxes: Mapping[str, Inbox]
    watches: Mapping[str, Watch]
    settlings: Mapping[str, Settling]
    lanes: Mapping[bytes, Lane]
    pool: Workers
    index: Index
    indexer: Indexer
    batches: Batches
    claimer: Claimer
    fetcher: Downloads
    tails: Mapping[str, Tail]
    results: Mapping[str, Results]
    enqueuer: Enqueuer
    mail: Mail
    engine: JobEngine
    chronicle: Chronicle
    hub: Hub
    history: History
    surroundings: Surroundings
    pulse: Pulse
    configuration: Configuration


@dataclass(slots=True)
class House:
    settings: Settings
    catalog: Reads
    clock: Clock
    emit: Emit
    heif: bool
    live: Live | None = None
    _lanes: dict[str, Lane] = field(default_factory=dict)

    def inbox(self, name: str) -> InboxSettings:
        """Raises ``NotFound`` naming those that exist."""
        try:
            return self.settings.inbox(name)
        except KeyError:
            names = [inbox.name for inbox in self.settings.inboxes] + [item.name for item in self.settings.dropfiles]
            known = ", ".join(names) or "none is configured"
            raise NotFound(f"there is no inbox {name!r}", hint=f"inboxes: {known}") from None

    def held(self, inbox: str) -> str:
        """Why nothing of an inbox is begun, with the remedy: ``output camera: …; …``; empty where that is not so."""
        if all(known.name != inbox for known in self.settings.every_inbox):
            return f"inbox {inbox} is not configured any more; put it back into the configuration, or cancel the job"
        inbox = inbox.removesuffix(URLS_SUFFIX)
        trouble = self.live.surroundings.held.get(inbox) if self.live is not None else None
        if self.live is None or trouble is None:
            return ""
        words = (f.word for f in self.live.surroundings.folders if f.inbox == inbox and f.trouble == trouble)
        return f"{next(words, 'inbox')} {inbox}: {trouble.detail}; {trouble.remedy}"

    async def blocking(self, inbox: str, function: Callable[..., T], *args: Any, patient: bool = False) -> T:
        """Run a blocking call that touches the folders of one inbox, in a thread of the desk's own for that inbox.

        Raises ``Conflict`` where it has not answered after a while, unless ``patient``; it then runs on unheard.
        """
        lane = self._lanes.setdefault(inbox, Lane(f"desk-{inbox}"))
        if patient:
            return await lane.call(function, *args)
        with anyio.move_on_after(ANSWER_SECONDS):
            return await lane.call(function, *args)
        raise Conflict(
            f"the folders of inbox {inbox!r} do not answer",
            hint="check the disk or mount they are on",
            reason="unresponsive",
            retryable=True,
        )

    def close(self) -> None:
        for lane in self._lanes.values():
            lane.close()


def running(house: House) -> Live:
    """Raises ``Conflict`` where no daemon runs."""
    if house.live is None:
        raise Conflict("no daemon runs", hint="start it: dropmill run", reason="not-running")
    return house.live


def names(inboxes: Iterable[InboxSettings]) -> list[str]:
    return [inbox.name for inbox in inboxes]
