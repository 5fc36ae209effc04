"""Every metric, as data: the registry is built from this table and docs/metrics.md is held against it.

Labels come from closed sets only: inbox names from the configuration and the words of ``model``. Names of files and
hosts and texts of errors never become labels (S13).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Metric:
    """``name`` as it is exposed, with ``_total`` for counters."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str
    buckets: tuple[float, ...] = ()


_STAGE_SECONDS: Final = (0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0)
_QUERY_SECONDS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0)
_JOB_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0)
# From "at once" to a backlog of a day.
_WAIT_SECONDS: Final = (0.05, 0.25, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0)
# From an icon, 4 KiB, to a scan of 1 GiB, each four times the one before.
_SIZE_BYTES: Final = tuple(float(4**exponent) for exponent in range(6, 16))

METRICS: Final[tuple[Metric, ...]] = (
    # What comes in.
    Metric(
        "dropmill_files_found_total",
        "counter",
        ("inbox", "found_by"),
        "Settled files that became jobs, but for files met before that a scan found changed.",
    ),
    Metric("dropmill_files_ignored_total", "counter", ("inbox", "reason"), "Files that are not ours, left in place."),
    Metric("dropmill_source_bytes_total", "counter", ("inbox",), "Size of the originals that were decided."),
    Metric("dropmill_source_size_bytes", "histogram", ("inbox",), "Size of one such original.", _SIZE_BYTES),
    Metric("dropmill_scans_total", "counter", ("inbox", "found_by"), "Scans of a whole inbox, by what asked for them."),
    Metric("dropmill_scan_seconds", "histogram", ("inbox",), "How long one scan of an inbox took.", _STAGE_SECONDS),
    Metric("dropmill_scan_errors_total", "counter", ("inbox",), "Folders that a scan could not read."),
    Metric("dropmill_events_lost_total", "counter", ("inbox",), "Overflows of the kernel's queue of events."),
    Metric("dropmill_inbox_up", "gauge", ("inbox",), "1 if the inbox's folder is there."),
    Metric("dropmill_inbox_paused", "gauge", ("inbox",), "1 if no jobs of the inbox are started, by a person's wish."),
    Metric("dropmill_inbox_watch_mode", "gauge", ("inbox", "mode"), "1 for the way in which the inbox is watched."),
    Metric(
        "dropmill_inbox_degraded",
        "gauge",
        ("inbox",),
        "1 if an inbox or drop-file is not watched or read as it should be; /healthz says why.",
    ),
    Metric("dropmill_settling_files", "gauge", ("inbox",), "Files that were seen and are not known to be complete."),
    # What people had done to duplicates.
    Metric(
        "dropmill_deeds_total",
        "counter",
        ("action", "result"),
        "Files of batches: move, delete or link; done, skipped, purged (gone for good), undone, or refused to be undone.",
    ),
    # Drop-files.
    Metric("dropmill_lines_total", "counter", ("inbox", "outcome"), "Lines of drop-files: new, known or refused."),
    Metric("dropmill_results_total", "counter", ("inbox",), "Lines whose result was written beside the drop-file."),
    # Downloads.
    Metric("dropmill_downloads_total", "counter", ("inbox", "outcome"), "Attempts to download a URL, by their end."),
    Metric("dropmill_download_bytes_total", "counter", ("inbox",), "Bytes that downloads received."),
    Metric("dropmill_download_seconds", "histogram", ("inbox",), "How long one attempt took.", _JOB_SECONDS),
    Metric("dropmill_downloads_running", "gauge", (), "Downloads that are under way."),
    Metric("dropmill_downloads_waiting", "gauge", ("state",), "URLs that are to be downloaded, at once or later."),
    Metric("dropmill_hosts_resting", "gauge", (), "Hosts that are left alone for a while although URLs wait for them."),
    Metric("dropmill_hosts_failing", "gauge", (), "Those of them that failed too often: their circuit is open."),
    Metric("dropmill_dropfile_behind_bytes", "gauge", ("inbox",), "What of a drop-file is not read yet."),
    Metric("dropmill_host_rests_total", "counter", ("cause",), "Times that a host was left alone for a while."),
    Metric(
        "dropmill_hosts_given_up_total", "counter", (), "Hosts that failed for so long that their URLs were dropped."
    ),
    # Libraries.
    Metric(
        "dropmill_catalogued_files_total",
        "counter",
        ("outcome",),
        "Files of libraries that were looked at: indexed, unchanged, ignored or refused; and those that have vanished.",
    ),
    # The queue.
    Metric("dropmill_queue_jobs", "gauge", ("inbox", "state"), "Jobs that are not finished."),
    Metric("dropmill_queue_oldest_seconds", "gauge", (), "Age of the oldest job that could be started; 0 for none."),
    Metric(
        "dropmill_queue_wait_seconds",
        "histogram",
        ("inbox",),
        "From a job's arrival in the queue to its first attempt, a download before that included.",
        _WAIT_SECONDS,
    ),
    # What becomes of jobs.
    Metric(
        "dropmill_duplicates_total",
        "counter",
        ("inbox", "tier", "policy"),
        "Pictures that resembled an earlier one, by how much and by what was done about it.",
    ),
    Metric("dropmill_jobs_total", "counter", ("inbox", "outcome"), "Jobs that were completed."),
    Metric("dropmill_jobs_discarded_total", "counter", ("inbox", "reason"), "Jobs that cannot be completed."),
    Metric("dropmill_job_retries_total", "counter", ("inbox", "reason"), "Failed attempts that will be repeated."),
    Metric("dropmill_jobs_interrupted_total", "counter", ("inbox",), "Jobs that an earlier run had in hand."),
    Metric(
        "dropmill_job_seconds", "histogram", ("inbox",), "From the start of an attempt to the commit.", _JOB_SECONDS
    ),
    Metric("dropmill_stage_seconds", "histogram", ("stage",), "Time spent in one passage of a stage.", _STAGE_SECONDS),
    # What goes out.
    Metric("dropmill_renditions_total", "counter", ("inbox",), "Renditions that became visible."),
    Metric("dropmill_rendition_bytes_total", "counter", ("inbox",), "Size of the renditions that became visible."),
    Metric("dropmill_rendition_size_bytes", "histogram", ("inbox",), "Size of one such rendition.", _SIZE_BYTES),
    Metric(
        "dropmill_originals_moved_total", "counter", ("inbox", "disposition"), "Originals archived, set apart, deleted."
    ),
    Metric("dropmill_publications_failed_total", "counter", (), "Renditions that could not be moved into place."),
    Metric("dropmill_owed", "gauge", ("kind",), "What decided jobs still owe to the file system."),
    Metric("dropmill_owed_postponed_total", "counter", ("kind",), "What was owed, tried in vain and put off."),
    # Folders that files are put into.
    Metric(
        "dropmill_folder_up",
        "gauge",
        ("folder", "inbox"),
        "1 if the folder answers, takes files and has room; without inbox: of the state directory.",
    ),
    Metric("dropmill_disk_free_bytes", "gauge", ("folder", "inbox"), "What is free on the folder's disk."),
    Metric("dropmill_disk_size_bytes", "gauge", ("folder", "inbox"), "Size of that disk."),
    Metric("dropmill_disk_free_inodes", "gauge", ("folder", "inbox"), "How many more files it can hold, if it counts."),
    Metric(
        "dropmill_disk_reserve_bytes", "gauge", (), "What is to stay free: with less, nothing is begun (min_free_mb)."
    ),
    # Webhooks.
    Metric(
        "dropmill_webhook_attempts_total",
        "counter",
        ("webhook", "outcome"),
        "Attempts to tell a webhook of a picture: delivered, failed, dead (the last of too many), or gone (410).",
    ),
    Metric("dropmill_webhook_seconds", "histogram", ("webhook",), "How long those took that arrived.", _STAGE_SECONDS),
    Metric("dropmill_webhook_waiting", "gauge", ("webhook",), "What it is still to be told."),
    Metric(
        "dropmill_webhook_dead_letters", "gauge", ("webhook",), "What it could not be told however often it was tried."
    ),
    Metric("dropmill_webhook_enabled", "gauge", ("webhook",), "0 if it said that it is gone for good (410)."),
    # Clients of the page and the API.
    Metric(
        "dropmill_http_audited_total",
        "counter",
        ("result",),
        "Requests that were to change something, or brought a wrong token: done, refused or failed. Of very many refusals, "
        "those that the log tells.",
    ),
    Metric(
        "dropmill_http_refused_total",
        "counter",
        ("cause",),
        "Requests that did not come in: host, token, attempts (too many wrong tokens), origin, rate, crowd (too many at once), "
        "size.",
    ),
    # The index of similar images.
    Metric(
        "dropmill_index_images", "gauge", (), "Images that the index of similar images knows; 0 while it is not there."
    ),
    Metric("dropmill_index_bytes", "gauge", (), "Memory of its process."),
    Metric(
        "dropmill_index_query_seconds",
        "histogram",
        (),
        "From a question (of up to 100 images) to its answer.",
        _QUERY_SECONDS,
    ),
    Metric("dropmill_index_losses_total", "counter", (), "Times that its process ended, or could not be started."),
    Metric(
        "dropmill_groups", "gauge", ("tier",), "Groups of pictures that resemble each other and wait for a decision."
    ),
    Metric("dropmill_reclaimable_bytes", "gauge", (), "What their members but the keepers take."),
    Metric("dropmill_uncompared_images", "gauge", (), "Images whose neighbours are still to be looked for."),
    # Workers and the daemon itself.
    Metric("dropmill_workers", "gauge", ("state",), "Worker processes: busy, idle, and how many there may be."),
    Metric("dropmill_workers_lost_total", "counter", ("reason",), "Workers that ended during a job."),
    Metric("dropmill_clock_set_total", "counter", (), "Times that the system clock was found to have been set."),
    Metric("dropmill_catalog_bytes", "gauge", (), "Size of the catalog."),
    Metric("dropmill_catalog_wal_bytes", "gauge", (), "Size of the log beside it; grows while somebody keeps reading."),
    Metric("dropmill_state_errors_total", "counter", ("stage",), "Writes to the catalog that were held up."),
    Metric("dropmill_log_lines_lost_total", "counter", (), "Lines that the log's destination did not take."),
    Metric("dropmill_reloads_total", "counter", ("outcome",), "Changed configurations: applied, or refused."),
    Metric(
        "dropmill_config_last_reload_successful",
        "gauge",
        (),
        "0 while a changed configuration is refused, and the earlier one stays in force.",
    ),
    Metric(
        "dropmill_config_last_reload_success_timestamp_seconds",
        "gauge",
        (),
        "When the configuration in force was applied, in seconds since 1970 UTC.",
    ),
    Metric("dropmill_ready", "gauge", (), "1 if the daemon accepts work."),
    Metric("dropmill_start_time_seconds", "gauge", (), "When the daemon started, in seconds since 1970 UTC."),
    Metric(
        "dropmill_build_info",
        "gauge",
        ("version", "python", "pillow"),
        "1, with the versions of dropmill, of Python, and of what decodes.",
    ),
)
