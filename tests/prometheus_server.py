"""A local Prometheus of a test's own, with the configuration that is shipped, and what Grafana would ask it."""

from __future__ import annotations

import json
import math
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import yaml

ROOT: Final = Path(__file__).parents[1]
CONFIG: Final = ROOT / "config" / "prometheus" / "prometheus.yml"
RULES: Final = ROOT / "config" / "prometheus" / "rules.yml"
RULE_TESTS: Final = ROOT / "config" / "prometheus" / "rules.test.yml"
DASHBOARD: Final = ROOT / "config" / "grafana" / "dropmill.json"
PROGRAM: Final = "prometheus"
PACKAGE: Final = "prometheus"
READY_SECONDS: Final = 60.0
TRIES: Final = 5
# What Grafana puts in for these, at four scrapes of a second each and a dashboard of an hour.
_BUILT_IN: Final = {"__rate_interval": "20s", "__interval": "5s", "__range": "1h"}

Json = dict[str, Any]


@dataclass(frozen=True)
class Prometheus:
    client: httpx.Client

    def ask(self, path: str, **parameters: str) -> Any:
        """What the HTTP API answers; an error of it is an error here."""
        answer = self.client.get(f"/api/v1/{path}", params=parameters).json()
        assert answer["status"] == "success", f"{path} {parameters}: {answer}"
        return answer["data"]

    def values(self, expression: str) -> list[float]:
        """The samples of an expression as of now; an expression that is no vector is an error."""
        data = self.ask("query", query=expression)
        samples = [data["result"]] if data["resultType"] == "scalar" else [one["value"] for one in data["result"]]
        return [float(value) for _, value in samples]

    def is_finite(self, expression: str) -> bool:
        return any(math.isfinite(value) for value in self.values(expression))

    def choices(self, query: str, chosen: Json) -> list[str]:
        """What a variable of a dashboard offers, asked for as Grafana does since its version 9."""
        match = re.fullmatch(r"label_values\((.+), (\w+)\)", query)
        assert match is not None, f"a variable asks in a way that this test does not know: {query}"
        found: list[str] = self.ask(f"label/{match[2]}/values", **{"match[]": filled(match[1], chosen)})
        return found

    def rules(self) -> list[Json]:
        return [rule for group in self.ask("rules")["groups"] for rule in group["rules"]]


@contextmanager
def prometheus(folder: Path, target: str) -> Iterator[Prometheus]:
    """It scrapes ``target`` (host:port) and evaluates the shipped rules, both each second."""
    folder.mkdir()
    settings = yaml.safe_load(CONFIG.read_text("utf-8"))
    settings["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    settings["rule_files"] = [str(RULES)]
    settings["scrape_configs"][0]["static_configs"] = [{"targets": [target]}]
    config = folder / "prometheus.yml"
    config.write_text(json.dumps(settings), "utf-8")  # JSON is YAML.
    log = folder / "log"
    for tries_left in reversed(range(TRIES)):
        port = _free_port()
        options = (
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--enable-feature=exemplar-storage",
            "--log.level=warn",
        )
        with log.open("wb") as output:
            process = subprocess.Popen([PROGRAM, *options], stdout=output, stderr=output, cwd=folder)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
                if _becomes_ready(client, process, log):
                    yield Prometheus(client)
                    return
        finally:
            process.terminate()
            process.wait(timeout=30)
        # Whoever took the port in between, it has to be another one.
        taken = "address already in use" in log.read_text(errors="replace")
        assert tries_left and taken, log.read_text(errors="replace")[-2000:]


def _becomes_ready(client: httpx.Client, process: subprocess.Popen[bytes], log: Path) -> bool:
    """False where it has ended. Somebody else who answers on its port is not it, so the process is looked at last."""
    deadline = time.monotonic() + READY_SECONDS
    while process.poll() is None:
        assert time.monotonic() < deadline, log.read_text(errors="replace")[-2000:]
        try:
            if client.get("/-/ready").status_code == 200 and process.poll() is None:
                return True
        except httpx.TransportError:
            pass  # It does not listen yet.
        time.sleep(0.05)
    return False


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def dashboard() -> Json:
    document: Json = json.loads(DASHBOARD.read_text("utf-8"))
    return document


def variables() -> list[Json]:
    """Those that ask Prometheus, in the order in which they lean on each other."""
    return [one for one in dashboard()["templating"]["list"] if one["type"] == "query"]


def queries() -> list[tuple[str, str]]:
    """Of every panel, in rows that are folded too: its title, and each expression that it asks for."""
    found = []
    todo: list[Json] = list(dashboard()["panels"])
    while todo:
        panel = todo.pop(0)
        todo += panel.get("panels", [])
        found += [(panel["title"], target["expr"]) for target in panel.get("targets", [])]
    return found


def filled(expression: str, chosen: Json) -> str:
    """With every variable as Grafana fills it in; one that is not known is an error."""

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        return str((_BUILT_IN | chosen)[name])

    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", value, expression)


def metrics_in(expression: str) -> set[str]:
    """Names of metrics of ours, without what histograms add; those that recording rules make are left out."""
    names = set(re.findall(r"(?<![:\w])dropmill_\w+(?!:)\b(?!:)", expression))
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in names}
