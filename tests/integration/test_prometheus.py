"""A real Prometheus that scrapes a real dropmill under load: every query of dashboard and rules brings numbers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import pictures
from harness import Mill
from hooks import SECRET, Answer, receiving
from parts import need_programs
from prometheus_server import PACKAGE, Prometheus, filled, prometheus, queries, variables
from web import WebServer, document

pytestmark = pytest.mark.long

NET = {"allow_networks": ["127.0.0.0/8"], "ports": ["1-65535"], "addresses": {"dead.example": ["127.0.0.1"]}}
# One failure opens a circuit, for longer than the test takes; and is tried again soon, so that it counts as repeated.
DOWNLOADS = {"breaker_failures": 1, "breaker_rest_seconds": 600, "retry_base_seconds": 0.1}


class Load:
    """What people do to a mill: each call of it brings a few files and lines of every kind."""

    def __init__(self, mill: Mill, web: WebServer) -> None:
        self.mill = mill
        self.web = web
        self.turns = 0

    def __call__(self) -> None:
        self.turns += 1
        photo = pictures.photo(320, 240, self.turns)
        fresh = pictures.jpeg(photo)
        self.mill.drop(f"fresh-{self.turns}.jpg", fresh)
        self.mill.drop(f"again-{self.turns}.jpg", fresh)
        self.mill.drop(f"resaved-{self.turns}.jpg", pictures.jpeg(photo, quality=60))
        self.mill.drop(f"broken-{self.turns}.jpg", fresh[: len(fresh) // 2])
        path = f"/{self.turns}.jpg"
        self.web.on(path, document(pictures.jpeg(pictures.photo(64, 48, 1000 + self.turns))))
        with (self.mill.root / "urls.txt").open("a") as lines:
            lines.write(f"{self.web.url(path)}\nhttp://dead.example:1/{self.turns}.jpg\n")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Mill, Prometheus, Load]]:
    need_programs(prometheus=PACKAGE)
    folder = tmp_path_factory.mktemp("prometheus")
    (folder / "secret").write_text(SECRET)
    # One takes what it is told, another takes nothing.
    with WebServer() as web, receiving() as well, receiving(lambda number, request: Answer(500)) as broken:
        hooks = [
            {
                "name": name,
                "url": one.url,
                "secret_file": "secret",
                "allow_networks": ["127.0.0.0/8"],
                "max_attempts": 1,
            }
            for name, one in (("well", well), ("broken", broken))
        ]
        mill = Mill(
            folder,
            archive="archive",
            quarantine="quarantine",
            receipts=True,
            incomplete_timeout_seconds=0.5,
            # It is scanned all the time, so that how long scans take has a rate.
            second_inbox={"watch": "poll", "poll_seconds": 1.0},
            dropfiles=[{}],
            net=NET,
            downloads=DOWNLOADS,
            webhooks=hooks,
        )
        mill.start()
        try:
            with prometheus(folder / "prometheus", mill.address.removeprefix("http://")) as server:
                yield mill, server, Load(mill, web)
        finally:
            mill.stop()


def until(load: Load, fact: Callable[[], Any], seconds: float = 120.0) -> None:
    """Work goes on until it is so."""
    deadline = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < deadline, "waited in vain"
        load()
        time.sleep(0.3)


def all_finite(server: Prometheus, load: Load, wanted: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """What of this has had no finite sample while work went on."""
    left = list(wanted)

    def none_left() -> bool:
        left[:] = [one for one in left if not server.is_finite(one[1])]
        return not left

    try:
        until(load, none_left)
    except AssertionError:
        return left
    return []


def test_every_query_of_the_dashboard_brings_finite_samples(scene: tuple[Mill, Prometheus, Load]) -> None:
    _, server, load = scene
    until(load, lambda: server.values("dropmill_ready"))
    chosen: dict[str, str] = {}
    for variable in variables():
        until(load, lambda asked=variable["definition"]: server.choices(asked, chosen))
        offered = server.choices(variable["definition"], chosen)
        # Of those that allow it, all are chosen at once.
        chosen[variable["name"]] = variable["allValue"] if variable["includeAll"] else offered[0]
        if variable["name"] == "inbox":
            assert offered == ["camera", "list", "second"]
    wanted = [(title, filled(expression, chosen)) for title, expression in queries()]
    assert len(wanted) > 50
    missing = all_finite(server, load, wanted)
    assert not missing, "\n".join(f"{title}: {expression}" for title, expression in missing)


def test_every_rule_is_well_and_every_recorded_series_has_finite_samples(
    scene: tuple[Mill, Prometheus, Load],
) -> None:
    _, server, load = scene
    until(load, lambda: all(rule["health"] == "ok" for rule in server.rules()))
    recorded = [(rule["name"], rule["name"]) for rule in server.rules() if rule["type"] == "recording"]
    assert len(recorded) > 5
    assert not all_finite(server, load, recorded)


def test_open_circuits_broken_pictures_and_dead_letters_make_alerts_pending(
    scene: tuple[Mill, Prometheus, Load],
) -> None:
    mill, server, load = scene

    def state(alert: str) -> str:
        (rule,) = [rule for rule in server.rules() if rule["name"] == alert]
        return str(rule["state"])

    # A tenth of all, and ten, are discarded; each picture in the list has a neighbour of a host that does not answer.
    until(load, lambda: state("DropmillBreakerOpen") == "pending" and state("DropmillQuarantineRate") == "pending")
    until(load, lambda: state("DropmillWebhookDeadLetters") == "pending")
    assert mill.metric("dropmill_hosts_failing") == 1
    assert state("DropmillWebhookDisabled") == state("DropmillReloadRefused") == "inactive"
    assert state("DropmillFolderDown") == state("DropmillInboxGone") == "inactive"
    # A scrape has a second here, which a loaded machine may exceed once.
    until(load, lambda: state("DropmillDown") == "inactive")
    assert state("DropmillCatalogTrouble") == state("DropmillReconcileFinds") == "inactive"


def test_exemplars_lead_from_a_histogram_to_a_job(scene: tuple[Mill, Prometheus, Load]) -> None:
    mill, server, load = scene

    def exemplars(metric: str) -> list[dict[str, Any]]:
        now = time.time()
        found = server.ask("query_exemplars", query=metric, start=str(now - 600), end=str(now + 60))
        return [exemplar for series in found for exemplar in series["exemplars"]]

    for metric in ("dropmill_job_seconds_bucket", 'dropmill_stage_seconds_bucket{stage="process"}'):
        until(load, lambda asked=metric: exemplars(asked))
        path = f"/api/v1/jobs/{exemplars(metric)[0]['labels']['job_id']}"
        until(load, lambda asked=path: mill.get(asked).json()["state"] in {"completed", "discarded"})


def test_both_formats_are_served_and_name_no_file(scene: tuple[Mill, Prometheus, Load]) -> None:
    mill, _, load = scene
    until(load, lambda: mill.metric("dropmill_jobs_total") > 0)
    plain = mill.get("/metrics")
    assert plain.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "job_id" not in plain.text and plain.headers["vary"] == "Accept"
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    open_metrics = mill.get("/metrics", headers=accept)
    assert open_metrics.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert open_metrics.text.endswith("# EOF\n") and 'job_id="' in open_metrics.text
    assert not {"fresh-1", "dead.example", str(mill.root)} & set(open_metrics.text.split('"'))
