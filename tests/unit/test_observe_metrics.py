"""Metrics: what facts add up to, what the exposition looks like, and that nothing of a user's gets into a label."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

import anyio
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_families
from prometheus_client.parser import text_string_to_metric_families

from dropmill.model.job import FoundBy
from dropmill.model.outcome import Outcome, Reason
from dropmill.observe import facts
from dropmill.observe.catalogue import METRICS
from dropmill.observe.metrics import OPENMETRICS, PLAIN, Gauges, Metrics, wanted_type

SECRET = "secret-name"

TOLD: list[facts.Fact] = [
    facts.Enqueued(1, "camera", SECRET.encode(), FoundBy.EVENT, 100),
    facts.FileIgnored("camera", SECRET.encode(), Reason.JUNK_NAME, SECRET),
    facts.Completed(1, "camera", SECRET.encode(), Outcome.PUBLISHED, 0.2, 100, SECRET.encode()),
    facts.Completed(2, "camera", SECRET.encode(), Outcome.DUPLICATE, 0.1, 50),
    facts.Discarded(3, "camera", SECRET.encode(), Reason.TRUNCATED, SECRET, True),
    facts.Rescheduled(4, "camera", SECRET.encode(), Reason.IO_ERROR, SECRET, 2.0, 1),
    facts.Interrupted(5, "camera", SECRET.encode(), True),
    facts.WorkerDied(6, "camera", SECRET.encode(), Reason.WORKER_CRASHED, SECRET),
    facts.WorkerSaid(7, 1, SECRET),
    facts.RenditionVisible(1, "camera", SECRET.encode(), 40, False),
    facts.OriginalDisposed(1, "camera", SECRET.encode(), "archive", "moved", SECRET.encode()),
    facts.OwedLater("publication", 1, SECRET.encode(), SECRET, 2.0),
    facts.OwedLater(SECRET, 1, SECRET.encode(), SECRET, 2.0),
    facts.PublicationFailed(1, SECRET.encode(), SECRET),
    facts.Scanned("camera", FoundBy.RECONCILE, 10, 2, 0.1),
    facts.ScanTrouble("camera", SECRET.encode(), SECRET),
    facts.EventsLost("camera"),
    facts.InboxGone("camera", SECRET),
    facts.OutputChanged("camera", SECRET.encode()),
    facts.StateTrouble(SECRET, SECRET),
    facts.StateTrouble("commit", SECRET),
    facts.CataloguingEnded(1, "done", 5, 4, 3, 2, 1, 0.5, SECRET),
    facts.StageTimed("process", 0.2),
    facts.StageTimed("commit", 0.01, 7),
    facts.Claimed(8, "camera", SECRET.encode(), 1, 42.0),
    facts.Claimed(8, "camera", SECRET.encode(), 2, 99.0),
    facts.WebhookDelivered("app", "image.published", 1, 1, 0.02),
    facts.WebhookFailed("app", "image.published", 2, 1, "http-500", SECRET, 5.0),
    facts.WebhookFailed("app", "image.published", 2, 20, "http-500", SECRET, None),
    facts.WebhookDisabled("app", SECRET),
    facts.Audited(SECRET, SECRET, SECRET, SECRET, SECRET, {SECRET: SECRET}, 200, "done", SECRET),
    facts.Audited(SECRET, SECRET, SECRET, SECRET, SECRET, {}, 200, SECRET, SECRET),
    facts.HttpRefused(SECRET, SECRET, SECRET),
    facts.HttpRefused(SECRET, "host", SECRET),
]


def exposed(gauges: Gauges | None = None, told: list[facts.Fact] = TOLD, content_type: str = PLAIN) -> str:
    metrics = Metrics("1.2.3", 1.7e9, pillow="13.0")
    for fact in told:
        metrics(fact)

    async def now() -> Gauges:
        return gauges or Gauges(
            ready=True,
            queue={("camera", "available"): 3},
            oldest_seconds=4.5,
            settling={"camera": 1},
            paused={"camera": False},
            watch_modes={"camera": "events"},
            degraded={"camera": False, "list": True},
            folders_up={("output", "camera"): True, ("state", ""): False},
            disk_free_bytes={("output", "camera"): 5},
            disk_size_bytes={("output", "camera"): 10},
            workers={"busy": 1, "idle": 1, "limit": 4},
            owed={"publications": 2},
            webhooks_enabled={"app": True},
        )

    return anyio.run(metrics.render, now, content_type).decode()


def value(text: str, name: str, **labels: str) -> float:
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                return sample.value
    raise AssertionError(f"{name}{labels} is not exposed")


def test_facts_add_up() -> None:
    text = exposed()
    assert value(text, "dropmill_files_found_total", inbox="camera", found_by="event") == 1
    assert value(text, "dropmill_jobs_total", inbox="camera", outcome="published") == 1
    assert value(text, "dropmill_jobs_total", inbox="camera", outcome="duplicate") == 1
    assert value(text, "dropmill_jobs_discarded_total", inbox="camera", reason="truncated") == 1
    assert value(text, "dropmill_jobs_discarded_total", inbox="camera", reason="interrupted") == 1
    assert value(text, "dropmill_source_bytes_total", inbox="camera") == 150
    assert value(text, "dropmill_rendition_bytes_total", inbox="camera") == 40
    assert value(text, "dropmill_job_seconds_count", inbox="camera") == 2
    assert value(text, "dropmill_stage_seconds_sum", stage="process") == pytest.approx(0.2)
    assert value(text, "dropmill_workers_lost_total", reason="worker-crashed") == 1
    assert value(text, "dropmill_queue_jobs", inbox="camera", state="available") == 3
    assert value(text, "dropmill_inbox_up", inbox="camera") == 0
    assert value(text, "dropmill_inbox_watch_mode", inbox="camera", mode="events") == 1
    assert value(text, "dropmill_workers", state="limit") == 4
    build = {"version": "1.2.3", "python": platform.python_version(), "pillow": "13.0"}
    assert value(text, "dropmill_build_info", **build) == 1
    assert value(text, "dropmill_ready") == 1
    for outcome in ("delivered", "failed", "dead", "gone"):
        assert value(text, "dropmill_webhook_attempts_total", webhook="app", outcome=outcome) == 1
    assert value(text, "dropmill_source_size_bytes_bucket", inbox="camera", le="4096.0") == 2
    assert value(text, "dropmill_rendition_size_bytes_sum", inbox="camera") == 40
    assert value(text, "dropmill_inbox_degraded", inbox="list") == 1
    assert value(text, "dropmill_folder_up", folder="state", inbox="") == 0
    assert value(text, "dropmill_disk_free_bytes", folder="output", inbox="camera") == 5


def test_only_the_first_attempt_tells_how_long_a_job_waited() -> None:
    text = exposed()
    assert value(text, "dropmill_queue_wait_seconds_count", inbox="camera") == 1
    assert value(text, "dropmill_queue_wait_seconds_sum", inbox="camera") == 42


def test_counters_that_rates_are_taken_of_begin_at_zero() -> None:
    text = exposed(told=[])
    assert value(text, "dropmill_files_found_total", inbox="camera", found_by="reconcile") == 0
    assert value(text, "dropmill_jobs_discarded_total", inbox="camera", reason="truncated") == 0
    assert value(text, "dropmill_job_retries_total", inbox="camera", reason="disk-full") == 0
    assert value(text, "dropmill_files_ignored_total", inbox="camera", reason="junk-name") == 0
    assert value(text, "dropmill_jobs_discarded_total", inbox="list", reason="http-404") == 0
    assert value(text, "dropmill_job_retries_total", inbox="list", reason="http-503") == 0
    assert value(text, "dropmill_lines_total", inbox="list", outcome="new") == 0
    assert value(text, "dropmill_host_rests_total", cause="failing") == 0
    assert value(text, "dropmill_job_seconds_count", inbox="camera") == 0
    assert value(text, "dropmill_webhook_attempts_total", webhook="app", outcome="dead") == 0
    assert 'inbox="camera",reason="http-404"' not in text


# Of a download the outcomes are many, and fetched and not modified apart they are counted as retries and discards too.
BEGUN_IN_PART = {"dropmill_downloads_total"}


def test_whatever_is_counted_of_what_is_configured_was_exposed_before() -> None:
    """Each series that the facts make was there without them."""

    def series(text: str) -> set[tuple[str, tuple[tuple[str, str], ...]]]:
        return {
            (sample.name, tuple(sorted(sample.labels.items())))
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if family.name + "_total" not in BEGUN_IN_PART
        }

    assert series(exposed()) - series(exposed(told=[])) == set()


def test_what_is_added_by_url_and_what_comes_with_a_reload_begins_at_zero_too() -> None:
    metrics = Metrics("0", 0.0)
    gauges = [
        Gauges(watch_modes={"camera": "events"}, degraded={"camera": False}),
        Gauges(
            watch_modes={"camera": "events", "scans": "poll"},
            degraded={"camera": False, "scans": False},
            queue={("camera.urls", "available"): 1},
            webhooks_enabled={"app": True},
        ),
    ]

    async def next_one() -> Gauges:
        return gauges.pop(0)

    first, second = (anyio.run(metrics.render, next_one).decode() for _ in range(2))
    for text in ('inbox="scans"', 'inbox="camera.urls"', 'webhook="app"'):
        assert text not in first
    assert value(second, "dropmill_jobs_total", inbox="scans", outcome="published") == 0
    assert value(second, "dropmill_jobs_discarded_total", inbox="camera.urls", reason="http-404") == 0
    assert value(second, "dropmill_webhook_attempts_total", webhook="app", outcome="delivered") == 0


def test_ten_inboxes_and_their_urls_stay_a_moderate_number_of_series() -> None:
    names = [f"inbox-{number}" for number in range(10)]
    gauges = Gauges(watch_modes=dict.fromkeys(names, "events"), degraded=dict.fromkeys(names, False))
    assert len([line for line in exposed(gauges, []).splitlines() if not line.startswith("#")]) < 2000


def test_a_refused_configuration_is_told_until_one_is_applied() -> None:
    refused = [facts.ReloadRefused((SECRET,))]
    applied = [*refused, facts.Reloaded((), ())]
    gauges = Gauges(configured_at_seconds=1.7e9)
    for told, outcome in ([], 1.0), (refused, 0.0), (applied, 1.0):
        text = exposed(gauges, list(told))
        assert value(text, "dropmill_config_last_reload_successful") == outcome
        assert value(text, "dropmill_config_last_reload_success_timestamp_seconds") == 1.7e9


def test_what_a_scan_finds_of_files_that_were_met_before_is_nothing_that_the_watcher_missed() -> None:
    """Their modes were changed, say: the alert for what a scan finds is not for them."""
    found = facts.Enqueued(1, "camera", b"a", FoundBy.RECONCILE, 100)
    changed = facts.Enqueued(2, "camera", b"b", FoundBy.RECONCILE, 100, met_before=True)
    rewritten = facts.Enqueued(3, "camera", b"b", FoundBy.EVENT, 100, met_before=True)
    text = exposed(told=[found, changed, rewritten])
    assert value(text, "dropmill_files_found_total", inbox="camera", found_by="reconcile") == 1
    assert value(text, "dropmill_files_found_total", inbox="camera", found_by="event") == 1


def test_the_first_zero_takes_nothing_back() -> None:
    metrics = Metrics("0", 0.0)

    async def now() -> Gauges:
        return Gauges(degraded={"camera": False})

    metrics(facts.Completed(1, "camera", b"a", Outcome.PUBLISHED, 0.2, 100, b"a"))
    for _ in range(2):
        text = anyio.run(metrics.render, now).decode()
        assert value(text, "dropmill_jobs_total", inbox="camera", outcome="published") == 1


def test_exemplars_name_the_job_in_openmetrics_alone() -> None:
    assert "job_id" not in exposed()
    text = exposed(content_type=OPENMETRICS)
    assert text.endswith("# EOF\n") and SECRET not in text
    exemplars = {
        (sample.name, sample.exemplar.labels["job_id"])
        for family in open_families(text)
        for sample in family.samples
        if sample.exemplar
    }
    assert {
        ("dropmill_job_seconds_bucket", "1"),
        ("dropmill_stage_seconds_bucket", "7"),
        ("dropmill_queue_wait_seconds_bucket", "8"),
        ("dropmill_source_size_bytes_bucket", "2"),
        ("dropmill_jobs_total", "1"),
        ("dropmill_jobs_discarded_total", "3"),
        ("dropmill_job_retries_total", "4"),
        ("dropmill_workers_lost_total", "6"),
        ("dropmill_webhook_seconds_bucket", "1"),
        ("dropmill_webhook_attempts_total", "2"),
    } <= exemplars


# What Prometheus 2.42 and 3.0 send, browsers, curl, and those who want nothing of it or write nonsense.
ACCEPTED = {
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1": OPENMETRICS,
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.2": OPENMETRICS,
    "text/plain;version=0.0.4;q=0.9, application/openmetrics-text;q=0.3": PLAIN,
    "text/html,application/xhtml+xml,*/*;q=0.8": PLAIN,
    "*/*": PLAIN,
    "": PLAIN,
    "application/openmetrics-text;q=0": PLAIN,
    "Application/OpenMetrics-Text": OPENMETRICS,
    "application/openmetrics-text;version=9;q=nonsense": PLAIN,
}


@pytest.mark.parametrize("accept", ACCEPTED)
def test_the_format_is_what_was_asked_for(accept: str) -> None:
    assert wanted_type(accept) == ACCEPTED[accept]


def test_an_inbox_that_came_back_is_up() -> None:
    text = exposed(told=[facts.InboxGone("camera", ""), facts.InboxBack("camera")])
    assert value(text, "dropmill_inbox_up", inbox="camera") == 1


def test_s13_names_and_errors_never_become_labels() -> None:
    assert SECRET not in exposed()


def test_every_metric_is_exposed_under_its_name_and_type() -> None:
    text = exposed()
    assert "_created" not in text
    for metric in METRICS:
        assert f"# TYPE {metric.name} {metric.kind}\n" in text
        assert f"# HELP {metric.name} {metric.help}\n" in text
        assert metric.name.endswith("_total") == (metric.kind == "counter")


def test_promtool_accepts_the_exposition() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        if os.environ.get("DROPMILL_REQUIRE_ALL") == "1":
            pytest.fail("promtool is not installed")
        pytest.skip("promtool is not installed (apt-get install prometheus)")
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=exposed(), capture_output=True, text=True, timeout=60, check=False
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_the_documentation_lists_exactly_these_metrics() -> None:
    text = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
    documented = re.findall(r"^\| `(dropmill_\w+)` \| (\w+) \| (.*?) \| (.*) \|$", text, re.MULTILINE)
    expected = [
        (one.name, one.kind, ", ".join(f"`{label}`" for label in one.labels) or "–", one.help) for one in METRICS
    ]
    assert documented == expected
