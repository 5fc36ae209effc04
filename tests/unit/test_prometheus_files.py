"""config/prometheus and config/grafana: valid, about metrics that there are, each alert tried, and told of in its runbook."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from dropmill.observe.catalogue import METRICS
from parts import need_programs
from prometheus_server import CONFIG, ROOT, RULE_TESTS, RULES, dashboard, metrics_in, queries, variables

GROUPS: list[dict[str, Any]] = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
EVERY = [rule for group in GROUPS for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in EVERY if "alert" in rule}
RECORDED = {rule["record"]: rule for rule in EVERY if "record" in rule}
LABELS = {one.name: {*one.labels} for one in METRICS}
# Of those that Grafana knows: https://github.com/grafana/grafana/blob/main/packages/grafana-data/src/valueFormats/categories.ts
UNITS = {"none", "short", "percentunit", "bytes", "s", "Bps", "ops"}
# Those that Prometheus itself, or its client library, brings.
FOREIGN_LABELS = {"job", "instance", "le"}


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    need_programs(promtool="prometheus")
    command = ["promtool", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(
    "arguments", [("check", "config", CONFIG), ("check", "rules", "--lint=all", "--lint-fatal", RULES)], ids=str
)
def test_promtool_has_nothing_to_say_against_them(arguments: tuple[str, ...]) -> None:
    checked = promtool(*arguments)
    said = [line for line in (checked.stdout + checked.stderr).splitlines() if line.strip()]
    assert checked.returncode == 0, said
    assert all("SUCCESS" in line or line.startswith("Checking ") for line in said), said


def test_every_alert_does_what_its_cases_say() -> None:
    tried = promtool("test", "rules", RULE_TESTS)
    assert tried.returncode == 0, tried.stdout + tried.stderr


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    cases = [
        case for test in yaml.safe_load(RULE_TESTS.read_text("utf-8"))["tests"] for case in test["alert_rule_test"]
    ]
    assert {case["alertname"] for case in cases if case["exp_alerts"]} == set(ALERTS)
    assert {case["alertname"] for case in cases if not case["exp_alerts"]} == set(ALERTS)


@pytest.mark.long
def test_the_cases_notice_alerts_that_do_not_fire_any_more(tmp_path: Path) -> None:
    """What holds the cases themselves: each alert is missed by its own."""
    rules = yaml.safe_load(RULES.read_text("utf-8"))
    for group in rules["groups"]:
        for rule in group["rules"]:
            if "alert" in rule:
                rule["expr"] = f"({rule['expr']}) and absent(absent(nothing_is_named_like_this))"
    (tmp_path / RULES.name).write_text(yaml.safe_dump(rules), "utf-8")
    (tmp_path / RULE_TESTS.name).write_text(RULE_TESTS.read_text("utf-8"), "utf-8")
    tried = promtool("test", "rules", tmp_path / RULE_TESTS.name)
    assert tried.returncode != 0
    assert set(re.findall(r"alertname: (\w+)", tried.stdout + tried.stderr)) == set(ALERTS)


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_leads_to_its_section_of_the_runbook(alert: str) -> None:
    rule = ALERTS[alert]
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    text = (ROOT / page).read_text("utf-8")
    section = re.search(rf"^### {alert}\n\n(.+?)(?=^##)", text, re.DOTALL | re.MULTILINE)
    assert section is not None and anchor == alert.lower()
    assert len(section[1]) > 150, "it tells too little of what to do"
    assert rule["labels"]["severity"] in {"critical", "warning"} and rule["annotations"]["summary"]


def test_every_section_of_the_runbook_is_about_an_alert() -> None:
    text = (ROOT / "docs" / "operations.md").read_text("utf-8")
    assert set(re.findall(r"^### (Dropmill\w+)$", text, re.MULTILINE)) == set(ALERTS)


def expressions() -> list[str]:
    asked = [expr for _, expr in queries()] + [one["definition"] for one in variables()]
    return asked + [rule["expr"] for rule in EVERY]


def test_rules_and_dashboard_are_about_metrics_that_there_are() -> None:
    for expression in expressions():
        assert metrics_in(expression) <= LABELS.keys(), expression
        recorded = set(re.findall(r"\b[a-z]+:dropmill_\w+:\w+", expression))
        assert recorded <= RECORDED.keys(), expression


def test_rules_and_dashboard_select_and_group_by_labels_that_there_are() -> None:
    for expression in expressions():
        metrics = metrics_in(expression)
        if not metrics:
            continue
        known = set.union(FOREIGN_LABELS, *(LABELS[name] for name in metrics))
        used = {name for part in re.findall(r"\bby \(([^)]*)\)", expression) for name in part.split(", ")}
        used |= set(re.findall(r'(\w+)(?:=~|!~|!=|=)"', expression))
        assert used <= known, expression


def test_the_dashboard_fits_together() -> None:
    made = dashboard()
    panels = made["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert [one["name"] for one in made["templating"]["list"] if one["type"] == "datasource"] == ["datasource"]
    taken = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken and at["x"] + at["w"] <= 24, panel["title"]
        taken |= cells
        if panel["type"] == "row":
            continue
        assert panel["targets"], panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, panel["title"]
        for target in panel["targets"]:
            assert target["datasource"] == panel["datasource"], panel["title"]
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references), panel["title"]
        if panel["type"] != "heatmap":
            assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, panel["title"]
    titles = {panel["title"] for panel in panels if panel["type"] == "row"}
    assert len(titles) == len([panel for panel in panels if panel["type"] == "row"])


def test_what_is_counted_is_shown() -> None:
    """All that is exposed has a place on the dashboard or in a rule, apart from what says nothing over time."""
    shown = set().union(*map(metrics_in, expressions()))
    details = {
        "dropmill_files_ignored_total",
        "dropmill_scans_total",
        "dropmill_deeds_total",
        "dropmill_catalogued_files_total",
        "dropmill_host_rests_total",
        "dropmill_hosts_given_up_total",
        "dropmill_jobs_interrupted_total",
        "dropmill_clock_set_total",
    }
    assert LABELS.keys() - shown == details
