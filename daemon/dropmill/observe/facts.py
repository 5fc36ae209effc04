"""Everything worth telling, as values. Emitted once; logs, metrics and the progress display word them (ANCHORS 13)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dropmill.model.duplicates import Policy
from dropmill.model.job import FoundBy
from dropmill.model.outcome import Outcome, Reason
from dropmill.model.verdict import Kind
from dropmill.observe.fact import Fact as Fact
from dropmill.observe.facts_batches import BatchBegun as BatchBegun
from dropmill.observe.facts_batches import BatchEnded as BatchEnded
from dropmill.observe.facts_batches import BatchHeldUp as BatchHeldUp
from dropmill.observe.facts_batches import BatchProgressed as BatchProgressed
from dropmill.observe.facts_batches import DeedEnded as DeedEnded
from dropmill.observe.facts_batches import PreferencesChanged as PreferencesChanged
from dropmill.observe.facts_http import AuditCutShort as AuditCutShort
from dropmill.observe.facts_http import Audited as Audited
from dropmill.observe.facts_http import ClientHasty as ClientHasty
from dropmill.observe.facts_http import HttpRefused as HttpRefused
from dropmill.observe.facts_http import ProxyUnnamed as ProxyUnnamed
from dropmill.observe.facts_http import TokenExposed as TokenExposed
from dropmill.observe.facts_inboxes import EventsLost as EventsLost
from dropmill.observe.facts_inboxes import Held as Held
from dropmill.observe.facts_inboxes import InboxBack as InboxBack
from dropmill.observe.facts_inboxes import InboxGone as InboxGone
from dropmill.observe.facts_inboxes import OutputChanged as OutputChanged
from dropmill.observe.facts_inboxes import ScanTrouble as ScanTrouble
from dropmill.observe.facts_inboxes import SourceDeleted as SourceDeleted
from dropmill.observe.facts_inboxes import Unheld as Unheld
from dropmill.observe.facts_inboxes import WatchDegraded as WatchDegraded
from dropmill.observe.facts_inboxes import WatchRestored as WatchRestored
from dropmill.observe.facts_index import IndexAnswered as IndexAnswered
from dropmill.observe.facts_index import IndexLost as IndexLost
from dropmill.observe.facts_index import IndexReady as IndexReady
from dropmill.observe.facts_libraries import CataloguingBegun as CataloguingBegun
from dropmill.observe.facts_libraries import CataloguingEnded as CataloguingEnded
from dropmill.observe.facts_libraries import CataloguingProgressed as CataloguingProgressed
from dropmill.observe.facts_libraries import CataloguingRefused as CataloguingRefused
from dropmill.observe.facts_libraries import CataloguingTrouble as CataloguingTrouble
from dropmill.observe.facts_libraries import Forgotten as Forgotten
from dropmill.observe.facts_libraries import OlderHashes as OlderHashes
from dropmill.observe.facts_urls import Downloaded as Downloaded
from dropmill.observe.facts_urls import DownloadFailed as DownloadFailed
from dropmill.observe.facts_urls import DropfileBegun as DropfileBegun
from dropmill.observe.facts_urls import DropfileTrouble as DropfileTrouble
from dropmill.observe.facts_urls import DropfileWell as DropfileWell
from dropmill.observe.facts_urls import FetchStarted as FetchStarted
from dropmill.observe.facts_urls import HostBack as HostBack
from dropmill.observe.facts_urls import HostGivenUp as HostGivenUp
from dropmill.observe.facts_urls import HostResting as HostResting
from dropmill.observe.facts_urls import LeftResting as LeftResting
from dropmill.observe.facts_urls import LineRefused as LineRefused
from dropmill.observe.facts_urls import LinesTaken as LinesTaken
from dropmill.observe.facts_urls import ResultsTold as ResultsTold
from dropmill.observe.facts_webhooks import WebhookDelivered as WebhookDelivered
from dropmill.observe.facts_webhooks import WebhookDisabled as WebhookDisabled
from dropmill.observe.facts_webhooks import WebhookEnabled as WebhookEnabled
from dropmill.observe.facts_webhooks import WebhookExpired as WebhookExpired
from dropmill.observe.facts_webhooks import WebhookFailed as WebhookFailed
from dropmill.observe.facts_webhooks import WebhookForgot as WebhookForgot
from dropmill.observe.facts_webhooks import WebhookRetried as WebhookRetried


@dataclass(frozen=True, slots=True)
class Started(Fact):
    version: str
    pid: int
    boot: str
    state_dir: str


@dataclass(frozen=True, slots=True)
class Ready(Fact):
    inboxes: int
    http: str
    seconds: float
    dropfiles: int = 0


@dataclass(frozen=True, slots=True)
class Beginning(Fact):
    """Told every few seconds until ``Ready``: what the start is at."""

    doing: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Stopping(Fact):
    cause: str


@dataclass(frozen=True, slots=True)
class Draining(Fact):
    """Told every few seconds while what is in hand is finished, at a stop as at a reload."""

    in_hand: int
    commits: int
    left_seconds: float
    """The rest of the time in which it ends, whatever happens."""


@dataclass(frozen=True, slots=True)
class Stopped(Fact):
    released: int


@dataclass(frozen=True, slots=True)
class Reloading(Fact):
    """The configuration is read anew. ``ReloadRefused``, or ``Ready`` and ``Reloaded``, follow."""

    cause: str


@dataclass(frozen=True, slots=True)
class Reloaded(Fact):
    """Another configuration is in force. ``changed``: the dotted keys that differ."""

    changed: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReloadRefused(Fact):
    """The configuration cannot be applied; the earlier one stays in force, or is again."""

    findings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PreviousRunDied(Fact):
    """Found at start: the run before ended without a shutdown. ``in_flight`` counts what it had in hand by stage."""

    boot: str
    pid: int
    in_flight: dict[str, int]


@dataclass(frozen=True, slots=True)
class Recovered(Fact):
    interrupted: int
    strays: int


@dataclass(frozen=True, slots=True)
class Enqueued(Fact):
    job_id: int
    inbox: str
    path: bytes
    found_by: FoundBy
    size_bytes: int
    met_before: bool = False
    """Whether the path was known, so that perhaps only times or modes changed, of which no event tells."""


@dataclass(frozen=True, slots=True)
class FileIgnored(Fact):
    inbox: str
    path: bytes
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class FilesHeldUp(Fact):
    """A file cannot be looked at, the first of its inbox after a time without such."""

    inbox: str
    path: bytes
    detail: str


@dataclass(frozen=True, slots=True)
class Claimed(Fact):
    job_id: int
    inbox: str
    path: bytes
    attempt: int
    waited_seconds: float


@dataclass(frozen=True, slots=True)
class Completed(Fact):
    job_id: int
    inbox: str
    path: bytes
    outcome: Outcome
    seconds: float
    size_bytes: int
    anchor: bytes | None = None
    """What it duplicates, or resembles most: as ``tier`` says; ``policy`` is what was done about it."""
    tier: Kind | None = None
    policy: Policy = Policy.OFF


@dataclass(frozen=True, slots=True)
class Discarded(Fact):
    job_id: int
    inbox: str
    path: bytes
    reason: Reason
    detail: str
    moves: bool


@dataclass(frozen=True, slots=True)
class Rescheduled(Fact):
    job_id: int
    inbox: str
    path: bytes
    reason: Reason
    detail: str
    after_seconds: float
    attempt: int


@dataclass(frozen=True, slots=True)
class Interrupted(Fact):
    """A job that an earlier run had in hand was given back, or discarded after too many such ends."""

    job_id: int
    inbox: str
    path: bytes
    discarded: bool


@dataclass(frozen=True, slots=True)
class WorkerDied(Fact):
    job_id: int
    inbox: str
    path: bytes
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class WorkerSaid(Fact):
    pid: int
    job_id: int | None
    text: str


@dataclass(frozen=True, slots=True)
class RenditionVisible(Fact):
    job_id: int
    inbox: str
    path: bytes
    size_bytes: int
    adopted: bool


@dataclass(frozen=True, slots=True)
class OriginalDisposed(Fact):
    job_id: int
    inbox: str
    path: bytes
    disposition: str
    result: str
    target: bytes | None


@dataclass(frozen=True, slots=True)
class OwedLater(Fact):
    """A publication, disposal or receipt could not be done yet."""

    what: str
    job_id: int
    path: bytes
    detail: str
    after_seconds: float


@dataclass(frozen=True, slots=True)
class PublicationFailed(Fact):
    job_id: int
    path: bytes
    detail: str


@dataclass(frozen=True, slots=True)
class RenditionLost(Fact):
    """A staged rendition is gone before it became visible; its picture is rendered again."""

    job_id: int
    inbox: str
    path: bytes


@dataclass(frozen=True, slots=True)
class Scanned(Fact):
    inbox: str
    found_by: FoundBy
    files: int
    new: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Paused(Fact):
    inbox: str


@dataclass(frozen=True, slots=True)
class Resumed(Fact):
    inbox: str


@dataclass(frozen=True, slots=True)
class StateTrouble(Fact):
    what: str
    detail: str


@dataclass(frozen=True, slots=True)
class ClockSet(Fact):
    """The system clock was set forward by so many seconds, or back where negative; what waits has been moved along."""

    seconds: float


@dataclass(frozen=True, slots=True)
class CatalogLogGrown(Fact):
    """A program that keeps the catalog open for reading keeps its log from being written back (Q10)."""

    size_bytes: int


@dataclass(frozen=True, slots=True)
class Alive(Fact):
    """All parts that do the work have answered."""


@dataclass(frozen=True, slots=True)
class Stuck(Fact):
    detail: str


@dataclass(frozen=True, slots=True)
class StageTimed(Fact):
    """``job_id``: where the passage was one job's."""

    stage: str
    seconds: float
    job_id: int | None = None


Emit = Callable[[Fact], None]
