"""Prometheus metrics: counters follow the facts, gauges are filled in when somebody asks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from dropmill.observe import facts
from dropmill.observe.catalogue import METRICS, Metric
from dropmill.observe.facts import Fact
from dropmill.observe.facts_batches import DEED_RESULTS

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
WATCH_MODES: Final = ("starting", "events", "poll")
_OWED_KINDS: Final = frozenset({"publication", "disposal", "receipt"})
_STATE_STAGES: Final = frozenset(
    {
        "enqueue",
        "claim",
        "fetch",
        "commit",
        "publish",
        "prune",
        "clock",
        "catalog",
        "batch",
        "cataloguing",
        "comparing",
        "grouping",
        "examining",
    }
)
_FILE_ACTIONS: Final = frozenset({"move", "delete", "link"})
OTHER: Final = "other"


@dataclass(frozen=True, slots=True)
class Gauges:
    """How things stand at the moment of a scrape."""

    ready: bool = False
    queue: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Unfinished jobs by inbox and state."""
    oldest_seconds: float = 0.0
    settling: Mapping[str, int] = field(default_factory=dict)
    paused: Mapping[str, bool] = field(default_factory=dict)
    watch_modes: Mapping[str, str] = field(default_factory=dict)
    workers: Mapping[str, int] = field(default_factory=dict)
    owed: Mapping[str, int] = field(default_factory=dict)
    downloads_running: int = 0
    downloads_waiting: Mapping[str, int] = field(default_factory=dict)
    """URLs that are not fetched yet, by state."""
    hosts_resting: int = 0
    dropfile_behind_bytes: Mapping[str, int] = field(default_factory=dict)
    groups: Mapping[str, int] = field(default_factory=dict)
    """Of pictures that resemble each other, by tier."""
    reclaimable_bytes: int = 0
    uncompared_images: int = 0
    index_images: int = 0
    index_bytes: int = 0
    catalog_bytes: int = 0
    catalog_wal_bytes: int = 0


class Metrics:
    """A subscriber of facts with a registry of its own."""

    def __init__(self, version: str, started_at_seconds: float, lost_lines: Callable[[], int] = lambda: 0) -> None:
        """``started_at_seconds`` since 1970 UTC; ``lost_lines`` says how many lines of the log were lost so far."""
        self.registry = CollectorRegistry()
        self._metrics: dict[str, Any] = {metric.name: _make(metric, self.registry) for metric in METRICS}
        self._children: dict[tuple[object, ...], Any] = {}
        self._lost_lines = lost_lines
        self._lost_told = 0
        self._gone: set[str] = set()
        self._on: dict[type[Fact], Callable[[Any], None]] = {
            facts.Enqueued: lambda fact: self._count("files_found", inbox=fact.inbox, found_by=fact.found_by.value),
            facts.FileIgnored: lambda fact: self._count("files_ignored", inbox=fact.inbox, reason=fact.reason.value),
            facts.Completed: self._completed,
            facts.Discarded: lambda fact: self._count("jobs_discarded", inbox=fact.inbox, reason=fact.reason.value),
            facts.Rescheduled: lambda fact: self._count("job_retries", inbox=fact.inbox, reason=fact.reason.value),
            facts.Interrupted: self._interrupted,
            facts.LinesTaken: self._lines_taken,
            facts.ResultsTold: lambda fact: self._count("results", fact.lines, inbox=fact.dropfile),
            facts.Downloaded: self._downloaded,
            facts.DownloadFailed: self._download_failed,
            facts.HostResting: lambda fact: self._count("host_rests", cause="failing" if fact.failing else "asked"),
            facts.HostGivenUp: lambda _fact: self._count("hosts_given_up"),
            facts.IndexAnswered: lambda fact: self._observe("index_query_seconds", fact.seconds),
            facts.IndexLost: lambda _fact: self._count("index_losses"),
            facts.DeedEnded: lambda fact: self._count(
                "deeds", action=_known(fact.action, _FILE_ACTIONS), result=_known(fact.result, DEED_RESULTS)
            ),
            facts.WorkerDied: lambda fact: self._count("workers_lost", reason=fact.reason.value),
            facts.RenditionVisible: self._rendition_visible,
            facts.OriginalDisposed: lambda fact: self._count(
                "originals_moved", inbox=fact.inbox, disposition=fact.disposition
            ),
            facts.OwedLater: lambda fact: self._count("owed_postponed", kind=_known(fact.what, _OWED_KINDS)),
            facts.PublicationFailed: lambda _fact: self._count("publications_failed"),
            facts.Scanned: self._scanned,
            facts.ScanTrouble: lambda fact: self._count("scan_errors", inbox=fact.inbox),
            facts.EventsLost: lambda fact: self._count("events_lost", inbox=fact.inbox),
            facts.InboxGone: lambda fact: self._gone.add(fact.inbox),
            facts.InboxBack: lambda fact: self._gone.discard(fact.inbox),
            facts.StateTrouble: lambda fact: self._count("state_errors", stage=_known(fact.what, _STATE_STAGES)),
            facts.CataloguingEnded: self._cataloguing_ended,
            facts.ClockSet: lambda _fact: self._count("clock_set"),
            facts.Started: lambda _fact: self._gone.clear(),
            facts.Reloaded: lambda _fact: self._count("reloads", outcome="applied"),
            facts.ReloadRefused: lambda _fact: self._count("reloads", outcome="refused"),
            facts.StageTimed: lambda fact: self._observe("stage_seconds", fact.seconds, stage=fact.stage),
        }
        self._metrics["dropmill_build_info"].labels(version=version).set(1)
        self._metrics["dropmill_start_time_seconds"].set(started_at_seconds)
        ProcessCollector(registry=self.registry)

    def __call__(self, fact: Fact) -> None:
        count = self._on.get(type(fact))
        if count is not None:
            count(fact)

    async def render(self, gauges: Callable[[], Awaitable[Gauges]]) -> bytes:
        """The exposition, in Prometheus' text format, as things stand now."""
        self._fill(await gauges())
        lost = self._lost_lines()
        self._metrics["dropmill_log_lines_lost_total"].inc(lost - self._lost_told)
        self._lost_told = lost
        return generate_latest(self.registry)

    def _count(self, name: str, amount: float = 1, **labels: str) -> None:
        self._child(f"dropmill_{name}_total", labels).inc(amount)

    def _observe(self, name: str, seconds: float, **labels: str) -> None:
        self._child(f"dropmill_{name}", labels).observe(seconds)

    def _child(self, name: str, labels: dict[str, str]) -> Any:
        """What ``labels()`` gives is looked up there under a lock and by text, which costs more than to count."""
        key = (name, *labels.items())
        child = self._children.get(key)
        if child is None:
            metric = self._metrics[name]
            child = self._children[key] = metric.labels(**labels) if labels else metric
        return child

    def _completed(self, fact: facts.Completed) -> None:
        self._count("jobs", inbox=fact.inbox, outcome=fact.outcome.value)
        self._count("source_bytes", fact.size_bytes, inbox=fact.inbox)
        self._observe("job_seconds", fact.seconds, inbox=fact.inbox)
        if fact.tier is not None:
            tier = "exact" if fact.tier in {"bytes", "coded"} else fact.tier
            self._count("duplicates", inbox=fact.inbox, tier=tier, policy=fact.policy.value)

    def _interrupted(self, fact: facts.Interrupted) -> None:
        self._count("jobs_interrupted", inbox=fact.inbox)
        if fact.discarded:
            self._count("jobs_discarded", inbox=fact.inbox, reason="interrupted")

    def _lines_taken(self, fact: facts.LinesTaken) -> None:
        known = fact.lines - fact.fresh - fact.refused
        for outcome, lines in (("new", fact.fresh), ("known", known), ("refused", fact.refused)):
            self._count("lines", lines, inbox=fact.dropfile, outcome=outcome)

    def _downloaded(self, fact: facts.Downloaded) -> None:
        self._download(fact, "not-modified" if fact.not_modified else "fetched")

    def _download_failed(self, fact: facts.DownloadFailed) -> None:
        self._download(fact, fact.reason.value)

    def _download(self, fact: facts.Downloaded | facts.DownloadFailed, outcome: str) -> None:
        self._count("downloads", inbox=fact.inbox, outcome=outcome)
        self._count("download_bytes", fact.received_bytes, inbox=fact.inbox)
        self._observe("download_seconds", fact.seconds, inbox=fact.inbox)

    def _rendition_visible(self, fact: facts.RenditionVisible) -> None:
        self._count("renditions", inbox=fact.inbox)
        self._count("rendition_bytes", fact.size_bytes, inbox=fact.inbox)

    def _scanned(self, fact: facts.Scanned) -> None:
        self._count("scans", inbox=fact.inbox, found_by=fact.found_by.value)
        self._observe("scan_seconds", fact.seconds, inbox=fact.inbox)

    def _cataloguing_ended(self, fact: facts.CataloguingEnded) -> None:
        for outcome in ("indexed", "unchanged", "ignored", "refused", "vanished"):
            self._count("catalogued_files", getattr(fact, outcome), outcome=outcome)

    def _fill(self, now: Gauges) -> None:
        """What has left a gauge is not exposed any more."""
        modes = {(name, mode): mode == actual for name, actual in now.watch_modes.items() for mode in WATCH_MODES}
        self._metrics["dropmill_ready"].set(now.ready)
        self._metrics["dropmill_queue_oldest_seconds"].set(now.oldest_seconds)
        self._metrics["dropmill_downloads_running"].set(now.downloads_running)
        self._metrics["dropmill_hosts_resting"].set(now.hosts_resting)
        self._metrics["dropmill_index_images"].set(now.index_images)
        self._metrics["dropmill_reclaimable_bytes"].set(now.reclaimable_bytes)
        self._metrics["dropmill_uncompared_images"].set(now.uncompared_images)
        self._metrics["dropmill_index_bytes"].set(now.index_bytes)
        self._metrics["dropmill_catalog_bytes"].set(now.catalog_bytes)
        self._metrics["dropmill_catalog_wal_bytes"].set(now.catalog_wal_bytes)
        for name, values in (
            ("queue_jobs", now.queue),
            ("settling_files", now.settling),
            ("inbox_up", {name: name not in self._gone for name in now.watch_modes}),
            ("inbox_paused", now.paused),
            ("inbox_watch_mode", modes),
            ("workers", now.workers),
            ("owed", now.owed),
            ("groups", now.groups),
            ("downloads_waiting", now.downloads_waiting),
            ("dropfile_behind_bytes", now.dropfile_behind_bytes),
        ):
            gauge = self._metrics[f"dropmill_{name}"]
            gauge.clear()
            for labels, value in values.items():
                gauge.labels(*((labels,) if isinstance(labels, str) else labels)).set(value)


def _make(metric: Metric, registry: CollectorRegistry) -> Counter | Gauge | Histogram:
    if metric.kind == "counter":
        return Counter(metric.name, metric.help, metric.labels, registry=registry)
    if metric.kind == "gauge":
        return Gauge(metric.name, metric.help, metric.labels, registry=registry)
    return Histogram(metric.name, metric.help, metric.labels, registry=registry, buckets=metric.buckets)


def _known(value: str, words: frozenset[str]) -> str:
    """Labels come from closed sets, whatever a fact says (S13)."""
    return value if value in words else OTHER
