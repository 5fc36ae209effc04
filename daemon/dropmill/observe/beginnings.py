"""Which series there are before anything has happened.

A counter that is first seen at one, or at a thousand, has never grown for who takes rates of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from dropmill.model.duplicates import Policy
from dropmill.model.job import FoundBy
from dropmill.model.outcome import (
    DISCARDING,
    DISCARDING_URLS,
    IGNORING,
    LOSING_WORKERS,
    REPEATING,
    REPEATING_URLS,
    Outcome,
    Reason,
)
from dropmill.model.publication import Disposition
from dropmill.model.resemblance import Tier
from dropmill.observe.facts_batches import DEED_RESULTS
from dropmill.observe.facts_http import AUDIT_RESULTS, REFUSALS
from dropmill.observe.flight import STAGES

OWED_KINDS: Final = frozenset({"publication", "disposal", "receipt"})
STATE_STAGES: Final = frozenset(
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
        "webhooks",
    }
)
FILE_ACTIONS: Final = frozenset({"move", "delete", "link"})
CATALOGUED: Final = ("indexed", "unchanged", "ignored", "refused", "vanished")
OTHER: Final = "other"

Series = tuple[str, dict[str, str]]
"""The name of a metric as it is exposed, and a value of each of its labels."""


def of_the_daemon() -> Iterator[Series]:
    for stage in STAGES:
        yield "dropmill_stage_seconds", {"stage": stage}
    for cause in ("asked", "failing"):
        yield "dropmill_host_rests_total", {"cause": cause}
    for result in (*AUDIT_RESULTS, OTHER):
        yield "dropmill_http_audited_total", {"result": result}
    for cause in (*REFUSALS, OTHER):
        yield "dropmill_http_refused_total", {"cause": cause}
    for result in ("applied", "refused"):
        yield "dropmill_reloads_total", {"outcome": result}
    for kind in (*OWED_KINDS, OTHER):
        yield "dropmill_owed_postponed_total", {"kind": kind}
    for stage in (*STATE_STAGES, OTHER):
        yield "dropmill_state_errors_total", {"stage": stage}
    for reason in LOSING_WORKERS:
        yield "dropmill_workers_lost_total", {"reason": reason.value}
    for outcome in CATALOGUED:
        yield "dropmill_catalogued_files_total", {"outcome": outcome}
    for action in FILE_ACTIONS:
        for result in DEED_RESULTS:
            yield "dropmill_deeds_total", {"action": action, "result": result}


def of_an_inbox(inbox: str) -> Iterator[Series]:
    """One whose files are watched."""
    yield from _of_jobs(inbox, DISCARDING, REPEATING)
    for name in ("events_lost_total", "scan_errors_total", "scan_seconds"):
        yield f"dropmill_{name}", {"inbox": inbox}
    for found_by in FoundBy:
        yield "dropmill_files_found_total", {"inbox": inbox, "found_by": found_by.value}
        yield "dropmill_scans_total", {"inbox": inbox, "found_by": found_by.value}
    for reason in IGNORING:
        yield "dropmill_files_ignored_total", {"inbox": inbox, "reason": reason.value}


def of_urls(inbox: str) -> Iterator[Series]:
    """A drop-file, or what was added to an inbox by URL."""
    yield from _of_jobs(inbox, DISCARDING_URLS, REPEATING_URLS)
    for name in ("results_total", "download_bytes_total", "download_seconds"):
        yield f"dropmill_{name}", {"inbox": inbox}
    for outcome in ("new", "known", "refused"):
        yield "dropmill_lines_total", {"inbox": inbox, "outcome": outcome}
    for word in ("fetched", "not-modified"):
        yield "dropmill_downloads_total", {"inbox": inbox, "outcome": word}


def of_a_webhook(name: str) -> Iterator[Series]:
    yield "dropmill_webhook_seconds", {"webhook": name}
    for outcome in ("delivered", "failed", "dead", "gone"):
        yield "dropmill_webhook_attempts_total", {"webhook": name, "outcome": outcome}


def _of_jobs(inbox: str, discarding: Collection[Reason], repeating: Collection[Reason]) -> Iterator[Series]:
    for name in (
        "source_bytes_total",
        "renditions_total",
        "rendition_bytes_total",
        "jobs_interrupted_total",
        "queue_wait_seconds",
        "job_seconds",
        "source_size_bytes",
        "rendition_size_bytes",
    ):
        yield f"dropmill_{name}", {"inbox": inbox}
    for outcome in Outcome:
        yield "dropmill_jobs_total", {"inbox": inbox, "outcome": outcome.value}
    for reason in discarding:
        yield "dropmill_jobs_discarded_total", {"inbox": inbox, "reason": reason.value}
    for reason in repeating:
        yield "dropmill_job_retries_total", {"inbox": inbox, "reason": reason.value}
    for disposition in Disposition:
        yield "dropmill_originals_moved_total", {"inbox": inbox, "disposition": disposition.value}
    for tier in Tier:
        for policy in Policy:
            yield "dropmill_duplicates_total", {"inbox": inbox, "tier": tier.value, "policy": policy.value}
