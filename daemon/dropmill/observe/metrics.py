"""Prometheus metrics: counters follow the facts, gauges are filled in when somebody asks."""

from __future__ import annotations

import platform
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
    openmetrics,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from dropmill.model.job import FoundBy
from dropmill.observe import beginnings, facts
from dropmill.observe.beginnings import CATALOGUED, FILE_ACTIONS, OTHER, OWED_KINDS, STATE_STAGES, Series
from dropmill.observe.catalogue import METRICS, Metric
from dropmill.observe.facts import Fact
from dropmill.observe.facts_batches import DEED_RESULTS
from dropmill.observe.facts_http import AUDIT_RESULTS, REFUSALS

PLAIN: Final = CONTENT_TYPE_PLAIN_0_0_4
# Version 1.0 of https://openmetrics.io, the only text format that carries exemplars.
OPENMETRICS: Final = openmetrics.exposition.CONTENT_TYPE_LATEST
# Gauges that are true before anything is known of the work; ready is 0 until it is set.
_OF_A_START: Final = ("dropmill_ready", "dropmill_build_info", "dropmill_start_time_seconds")
WATCH_MODES: Final = ("starting", "events", "poll")


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
    degraded: Mapping[str, bool] = field(default_factory=dict)
    """Of inboxes and drop-files."""
    folders_up: Mapping[tuple[str, str], bool] = field(default_factory=dict)
    """By what the folder is for, and inbox; so are those that follow, where the file system counts its room."""
    disk_free_bytes: Mapping[tuple[str, str], int] = field(default_factory=dict)
    disk_size_bytes: Mapping[tuple[str, str], int] = field(default_factory=dict)
    disk_free_inodes: Mapping[tuple[str, str], int] = field(default_factory=dict)
    disk_reserve_bytes: int = 0
    workers: Mapping[str, int] = field(default_factory=dict)
    owed: Mapping[str, int] = field(default_factory=dict)
    downloads_running: int = 0
    downloads_waiting: Mapping[str, int] = field(default_factory=dict)
    """URLs that are not fetched yet, by state."""
    hosts_resting: int = 0
    hosts_failing: int = 0
    dropfile_behind_bytes: Mapping[str, int] = field(default_factory=dict)
    groups: Mapping[str, int] = field(default_factory=dict)
    """Of pictures that resemble each other, by tier."""
    reclaimable_bytes: int = 0
    uncompared_images: int = 0
    index_images: int = 0
    index_bytes: int = 0
    catalog_bytes: int = 0
    catalog_wal_bytes: int = 0
    webhooks_waiting: Mapping[str, int] = field(default_factory=dict)
    webhooks_dead_letters: Mapping[str, int] = field(default_factory=dict)
    webhooks_enabled: Mapping[str, bool] = field(default_factory=dict)
    configured_at_seconds: float = 0.0
    """When the configuration in force was applied, since 1970 UTC."""


class Metrics:
    """A subscriber of facts with a registry of its own."""

    def __init__(
        self, version: str, started_at_seconds: float, lost_lines: Callable[[], int] = lambda: 0, pillow: str = ""
    ) -> None:
        """``started_at_seconds`` since 1970 UTC; ``lost_lines`` says how many lines of the log were lost so far.

        ``pillow``: its version, as far as it is known.
        """
        self.registry = CollectorRegistry()
        self._metrics: dict[str, Any] = {metric.name: _make(metric, self.registry) for metric in METRICS}
        self._children: dict[tuple[object, ...], Any] = {}
        self._lost_lines = lost_lines
        self._lost_told = 0
        self._gone: set[str] = set()
        self._begun: set[tuple[str, str]] = set()
        self._on: dict[type[Fact], Callable[[Any], None]] = {
            facts.Enqueued: self._enqueued,
            facts.FileIgnored: lambda fact: self._count("files_ignored", inbox=fact.inbox, reason=fact.reason.value),
            facts.Claimed: self._claimed,
            facts.Completed: self._completed,
            facts.Discarded: lambda fact: self._count(
                "jobs_discarded", job_id=fact.job_id, inbox=fact.inbox, reason=fact.reason.value
            ),
            facts.Rescheduled: lambda fact: self._count(
                "job_retries", job_id=fact.job_id, inbox=fact.inbox, reason=fact.reason.value
            ),
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
                "deeds", action=_known(fact.action, FILE_ACTIONS), result=_known(fact.result, DEED_RESULTS)
            ),
            facts.WorkerDied: lambda fact: self._count("workers_lost", job_id=fact.job_id, reason=fact.reason.value),
            facts.RenditionVisible: self._rendition_visible,
            facts.OriginalDisposed: lambda fact: self._count(
                "originals_moved", inbox=fact.inbox, disposition=fact.disposition
            ),
            facts.OwedLater: lambda fact: self._count("owed_postponed", kind=_known(fact.what, OWED_KINDS)),
            facts.PublicationFailed: lambda _fact: self._count("publications_failed"),
            facts.Scanned: self._scanned,
            facts.ScanTrouble: lambda fact: self._count("scan_errors", inbox=fact.inbox),
            facts.EventsLost: lambda fact: self._count("events_lost", inbox=fact.inbox),
            facts.InboxGone: lambda fact: self._gone.add(fact.inbox),
            facts.InboxBack: lambda fact: self._gone.discard(fact.inbox),
            facts.StateTrouble: lambda fact: self._count("state_errors", stage=_known(fact.what, STATE_STAGES)),
            facts.CataloguingEnded: self._cataloguing_ended,
            facts.ClockSet: lambda _fact: self._count("clock_set"),
            facts.Started: lambda _fact: self._gone.clear(),
            facts.Reloaded: lambda _fact: self._reloaded("applied"),
            facts.ReloadRefused: lambda _fact: self._reloaded("refused"),
            facts.Audited: lambda fact: self._count("http_audited", result=_known(fact.result, AUDIT_RESULTS)),
            facts.HttpRefused: lambda fact: self._count("http_refused", cause=_known(fact.cause, REFUSALS)),
            facts.WebhookDelivered: self._webhook_told,
            facts.WebhookFailed: lambda fact: self._count(
                "webhook_attempts",
                job_id=fact.job_id,
                webhook=fact.webhook,
                outcome="dead" if fact.after_seconds is None else "failed",
            ),
            facts.WebhookDisabled: lambda fact: self._count("webhook_attempts", webhook=fact.webhook, outcome="gone"),
            facts.StageTimed: lambda fact: self._observe(
                "stage_seconds", fact.seconds, job_id=fact.job_id, stage=fact.stage
            ),
        }
        # When a series began is told by its first zero; as series of their own these would double what is stored.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # The library gives this one no types.
        self._metrics["dropmill_build_info"].labels(version, platform.python_version(), pillow).set(1)
        self._metrics["dropmill_start_time_seconds"].set(started_at_seconds)
        self._metrics["dropmill_config_last_reload_successful"].set(1)
        for metric, labels in beginnings.of_the_daemon():
            self._child(metric, labels)
        ProcessCollector(registry=self.registry)

    def __call__(self, fact: Fact) -> None:
        count = self._on.get(type(fact))
        if count is not None:
            count(fact)

    async def render(self, gauges: Callable[[], Awaitable[Gauges]], content_type: str = PLAIN) -> bytes:
        """The exposition as things stand now; as ``OPENMETRICS`` with exemplars, which name a job."""
        now = await gauges()
        self._begin_at_zero(now)
        self._fill(now)
        lost = self._lost_lines()
        self._metrics["dropmill_log_lines_lost_total"].inc(lost - self._lost_told)
        self._lost_told = lost
        return _exposition(self.registry, content_type)

    def while_starting(self, content_type: str = PLAIN) -> bytes:
        """What can be said before there is a daemon to ask: that it is not ready, and which one it is."""
        return _exposition(self.registry.restricted_registry(_OF_A_START), content_type)

    def _count(self, name: str, amount: float = 1, job_id: int | None = None, **labels: str) -> None:
        self._child(f"dropmill_{name}_total", labels).inc(amount, _exemplar(job_id))

    def _observe(self, name: str, value: float, job_id: int | None = None, **labels: str) -> None:
        self._child(f"dropmill_{name}", labels).observe(value, _exemplar(job_id))

    def _child(self, name: str, labels: dict[str, str]) -> Any:
        """What ``labels()`` gives is looked up there under a lock and by text, which costs more than to count."""
        key = (name, *labels.items())
        child = self._children.get(key)
        if child is None:
            metric = self._metrics[name]
            child = self._children[key] = metric.labels(**labels) if labels else metric
        return child

    def _enqueued(self, fact: facts.Enqueued) -> None:
        # A scan tells of what the watcher missed; a file that was met before, and has new permissions, say, is none of that.
        if not (fact.found_by is FoundBy.RECONCILE and fact.met_before):
            self._count("files_found", inbox=fact.inbox, found_by=fact.found_by.value)

    def _claimed(self, fact: facts.Claimed) -> None:
        if fact.attempt == 1:
            self._observe("queue_wait_seconds", fact.waited_seconds, job_id=fact.job_id, inbox=fact.inbox)

    def _completed(self, fact: facts.Completed) -> None:
        self._count("jobs", job_id=fact.job_id, inbox=fact.inbox, outcome=fact.outcome.value)
        self._count("source_bytes", fact.size_bytes, inbox=fact.inbox)
        self._observe("source_size_bytes", fact.size_bytes, job_id=fact.job_id, inbox=fact.inbox)
        self._observe("job_seconds", fact.seconds, job_id=fact.job_id, inbox=fact.inbox)
        if fact.tier is not None:
            tier = "exact" if fact.tier in {"bytes", "coded"} else fact.tier
            self._count("duplicates", inbox=fact.inbox, tier=tier, policy=fact.policy.value)

    def _interrupted(self, fact: facts.Interrupted) -> None:
        self._count("jobs_interrupted", inbox=fact.inbox)
        if fact.discarded:
            self._count("jobs_discarded", job_id=fact.job_id, inbox=fact.inbox, reason="interrupted")

    def _lines_taken(self, fact: facts.LinesTaken) -> None:
        known = fact.lines - fact.fresh - fact.refused
        for outcome, lines in (("new", fact.fresh), ("known", known), ("refused", fact.refused)):
            self._count("lines", lines, inbox=fact.dropfile, outcome=outcome)

    def _downloaded(self, fact: facts.Downloaded) -> None:
        self._download(fact, "not-modified" if fact.not_modified else "fetched")

    def _download_failed(self, fact: facts.DownloadFailed) -> None:
        self._download(fact, fact.reason.value)

    def _download(self, fact: facts.Downloaded | facts.DownloadFailed, outcome: str) -> None:
        self._count("downloads", job_id=fact.job_id, inbox=fact.inbox, outcome=outcome)
        self._count("download_bytes", fact.received_bytes, inbox=fact.inbox)
        self._observe("download_seconds", fact.seconds, job_id=fact.job_id, inbox=fact.inbox)

    def _rendition_visible(self, fact: facts.RenditionVisible) -> None:
        self._count("renditions", inbox=fact.inbox)
        self._count("rendition_bytes", fact.size_bytes, inbox=fact.inbox)
        self._observe("rendition_size_bytes", fact.size_bytes, job_id=fact.job_id, inbox=fact.inbox)

    def _scanned(self, fact: facts.Scanned) -> None:
        self._count("scans", inbox=fact.inbox, found_by=fact.found_by.value)
        self._observe("scan_seconds", fact.seconds, inbox=fact.inbox)

    def _cataloguing_ended(self, fact: facts.CataloguingEnded) -> None:
        for outcome in CATALOGUED:
            self._count("catalogued_files", getattr(fact, outcome), outcome=outcome)

    def _begin_at_zero(self, now: Gauges) -> None:
        """Also what came with a reload, and what is added to an inbox by URL for the first time."""
        self._begin("files", now.watch_modes, beginnings.of_an_inbox)
        urls = {inbox for inbox, _ in now.queue} | now.degraded.keys()
        self._begin("urls", urls - now.watch_modes.keys(), beginnings.of_urls)
        self._begin("webhooks", now.webhooks_enabled, beginnings.of_a_webhook)

    def _begin(self, kind: str, names: Iterable[str], series: Callable[[str], Iterable[Series]]) -> None:
        for name in names:
            if (kind, name) not in self._begun:
                self._begun.add((kind, name))
                for metric, labels in series(name):
                    self._child(metric, labels)

    def _reloaded(self, outcome: str) -> None:
        self._count("reloads", outcome=outcome)
        self._metrics["dropmill_config_last_reload_successful"].set(outcome == "applied")

    def _webhook_told(self, fact: facts.WebhookDelivered) -> None:
        self._count("webhook_attempts", job_id=fact.job_id, webhook=fact.webhook, outcome="delivered")
        self._observe("webhook_seconds", fact.seconds, job_id=fact.job_id, webhook=fact.webhook)

    def _fill(self, now: Gauges) -> None:
        """What has left a gauge is not exposed any more."""
        modes = {(name, mode): mode == actual for name, actual in now.watch_modes.items() for mode in WATCH_MODES}
        self._metrics["dropmill_ready"].set(now.ready)
        self._metrics["dropmill_queue_oldest_seconds"].set(now.oldest_seconds)
        self._metrics["dropmill_downloads_running"].set(now.downloads_running)
        self._metrics["dropmill_hosts_resting"].set(now.hosts_resting)
        self._metrics["dropmill_hosts_failing"].set(now.hosts_failing)
        self._metrics["dropmill_disk_reserve_bytes"].set(now.disk_reserve_bytes)
        self._metrics["dropmill_config_last_reload_success_timestamp_seconds"].set(now.configured_at_seconds)
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
            ("inbox_degraded", now.degraded),
            ("folder_up", now.folders_up),
            ("disk_free_bytes", now.disk_free_bytes),
            ("disk_size_bytes", now.disk_size_bytes),
            ("disk_free_inodes", now.disk_free_inodes),
            ("workers", now.workers),
            ("owed", now.owed),
            ("groups", now.groups),
            ("downloads_waiting", now.downloads_waiting),
            ("dropfile_behind_bytes", now.dropfile_behind_bytes),
            ("webhook_waiting", now.webhooks_waiting),
            ("webhook_dead_letters", now.webhooks_dead_letters),
            ("webhook_enabled", now.webhooks_enabled),
        ):
            gauge = self._metrics[f"dropmill_{name}"]
            gauge.clear()
            for labels, value in values.items():
                gauge.labels(*((labels,) if isinstance(labels, str) else labels)).set(value)


def _exposition(registry: Collector, content_type: str) -> bytes:
    return (openmetrics.exposition.generate_latest if content_type == OPENMETRICS else generate_latest)(registry)


def _make(metric: Metric, registry: CollectorRegistry) -> Counter | Gauge | Histogram:
    if metric.kind == "counter":
        return Counter(metric.name, metric.help, metric.labels, registry=registry)
    if metric.kind == "gauge":
        return Gauge(metric.name, metric.help, metric.labels, registry=registry)
    return Histogram(metric.name, metric.help, metric.labels, registry=registry, buckets=metric.buckets)


def _exemplar(job_id: int | None) -> dict[str, str] | None:
    return None if job_id is None else {"job_id": str(job_id)}


def wanted_type(accept: str) -> str:
    """``OPENMETRICS`` or ``PLAIN``: what an Accept header (RFC 9110, 12.5.1) likes better, ``PLAIN`` where it names neither."""
    liking = {"application/openmetrics-text": 0.0, "text/plain": 0.0}
    for item in accept.lower().split(","):
        name, *parameters = (part.strip() for part in item.split(";"))
        if name in liking:
            weights = [part.removeprefix("q=") for part in parameters if part.startswith("q=")]
            liking[name] = max(liking[name], _weight(weights[0]) if weights else 1.0)
    wanted = liking["application/openmetrics-text"]
    return OPENMETRICS if wanted > 0 and wanted >= liking["text/plain"] else PLAIN


def _weight(text: str) -> float:
    try:
        return min(1.0, max(0.0, float(text)))
    except ValueError:
        return 0.0


def _known(value: str, words: frozenset[str]) -> str:
    """Labels come from closed sets, whatever a fact says (S13)."""
    return value if value in words else OTHER
