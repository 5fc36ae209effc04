"""What probes are told: alive, ready and well are three questions, and none waits for a disk."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import anyio
import httpx
import pytest

from dropmill.control import health
from dropmill.observe.facts import Beginning
from dropmill.observe.metrics import OPENMETRICS, PLAIN, Metrics
from dropmill.settings import Http
from dropmill.web.listen import Listener
from dropmill.web.starting import Starting, answering_meanwhile

pytestmark = pytest.mark.anyio


class HungCatalog:
    async def read(self, _action: object) -> NoReturn:
        await anyio.sleep_forever()
        raise AssertionError


def house(tmp_path: Path, **changes: Any) -> Any:
    """A daemon that runs and is well, but for the catalog, which answers nothing."""
    state = SimpleNamespace(word="state", trouble=None)
    parts = {
        "pulse": SimpleNamespace(trouble=""),
        "course": SimpleNamespace(ready=True, stopping=False),
        "configuration": SimpleNamespace(findings=()),
        "chronicle": SimpleNamespace(trouble=None),
        "surroundings": SimpleNamespace(folders=[state], held={}),
        "pool": SimpleNamespace(stats=lambda: SimpleNamespace(trouble="", busy=0, size=2, pids=[])),
        "index": SimpleNamespace(stats=lambda: SimpleNamespace(state="idle")),
        "indexer": SimpleNamespace(older=0),
        **{key: {} for key in ("watches", "tails", "results")},
    }
    live = SimpleNamespace(**parts | changes)
    return SimpleNamespace(live=live, catalog=HungCatalog(), settings=SimpleNamespace(state_dir=str(tmp_path)))


def full(*, holds: bool) -> Any:
    trouble = SimpleNamespace(holds=holds, detail="no space left", remedy="make room")
    return SimpleNamespace(folders=[SimpleNamespace(word="state", trouble=trouble)], held={})


@pytest.mark.parametrize(
    ("changes", "live", "ready"),
    [
        ({}, "", ""),
        ({"course": SimpleNamespace(ready=False, stopping=False)}, "", "starting"),
        ({"course": SimpleNamespace(ready=True, stopping=True)}, "", "stopping"),
        ({"surroundings": full(holds=False)}, "", ""),
        ({"surroundings": full(holds=True)}, "", "the catalog: no space left"),
        ({"chronicle": SimpleNamespace(trouble=SimpleNamespace(detail="disk I/O error"))}, "", "the catalog: disk I/O error"),
        ({"pulse": SimpleNamespace(trouble="the claimer is stuck")}, "the claimer is stuck", ""),
    ],
    ids=["well", "starting", "stopping", "little room", "no room", "catalog fails", "stuck"],
)  # fmt: skip
async def test_s11_a_restart_is_asked_for_only_where_it_helps(
    tmp_path: Path, changes: dict[str, Any], live: str, ready: str
) -> None:
    made = house(tmp_path, **changes)
    assert (health.not_live(made), health.not_ready(made)) == (live, ready)


async def test_w40_health_answers_while_the_catalog_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "PATIENCE_SECONDS", 0.01)
    told = await health.health(house(tmp_path))
    assert (told["status"], told["live"], told["ready"]) == ("degraded", True, True)
    (owed,) = [part for part in told["parts"] if part["name"] == "owed"]
    assert owed["status"] == "degraded" and "has not answered" in owed["detail"]


@pytest.mark.parametrize("base_path", ["", "/mill"])
async def test_a_start_answers_probes_and_tells_everybody_else_to_come_again(base_path: str) -> None:
    app = Starting(base_path, Metrics("1.2.3", 1.7e9))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=f"http://pod{base_path}") as client:
        assert (await client.get("/livez")).status_code == 200
        assert (await client.get("/readyz")).json()["detail"] == "starting"
        app.heard(Beginning("opening the catalog", 4.0))
        asked = await client.get("/readyz")
        assert (asked.status_code, asked.json()["detail"]) == (503, "starting: opening the catalog")
        well = await client.get("/healthz")
        assert well.status_code == 200 and well.json().keys() == {"status", "live", "ready", "parts"}
        scraped = await client.get("/metrics")
        assert (scraped.status_code, scraped.headers["content-type"]) == (200, PLAIN)
        lines = [line for line in scraped.text.splitlines() if not line.startswith("#")]
        assert "dropmill_ready 0.0" in lines
        assert {line.partition("{")[0].partition(" ")[0] for line in lines} == {
            "dropmill_ready", "dropmill_build_info", "dropmill_start_time_seconds",
        }  # fmt: skip
        asked = await client.get("/metrics", headers={"accept": OPENMETRICS})
        assert asked.headers["content-type"] == OPENMETRICS and asked.text.endswith("# EOF\n")
        for path in ("/", "/api/v1/status"):
            refused = await client.get(path)
            assert (refused.status_code, refused.json()["reason"], refused.headers["retry-after"]) == (
                503,
                "starting",
                "2",
            )
        assert refused.headers["cache-control"] == "no-store"


async def test_a_quick_start_needs_no_server_of_its_own() -> None:
    def listener() -> Listener:
        raise AssertionError("nobody is to listen")

    heard: list[Any] = []
    async with answering_meanwhile(heard, listener, Http(), Metrics("0", 0.0)):
        assert len(heard) == 1
