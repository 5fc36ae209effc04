"""What the API tells of the configuration and of the last day: nothing secret, nothing left out."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dropmill.control import settings
from dropmill.control.history import MOST_MINUTES, History
from dropmill.control.house import House
from dropmill.errors import Conflict
from dropmill.model.outcome import Outcome, Reason
from dropmill.observe.facts import Completed, Discarded, Rescheduled
from dropmill.settings import load

MINUTE_MS = 60_000


class Clock:
    def __init__(self, now_ms: int) -> None:
        self.now = now_ms

    def now_ms(self) -> int:
        return self.now

    def monotonic(self) -> float:
        return self.now / 1000

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nobody waits here")


def completed(outcome: Outcome, size_bytes: int = 10) -> Completed:
    return Completed(1, "camera", b"a", outcome, 0.1, size_bytes)


def test_a_day_is_told_minute_by_minute_without_gaps() -> None:
    clock = Clock(100 * MINUTE_MS + 5_000)
    history = History(clock)
    history(completed(Outcome.PUBLISHED))
    history(completed(Outcome.MOVED))
    history.note({"available": 3, "scheduled": 1, "executing": 2, "discarded": 7})
    clock.now += 2 * MINUTE_MS
    history(Discarded(2, "camera", b"b", Reason.CORRUPT, "", moves=False))
    history(Rescheduled(3, "camera", b"c", Reason.TIMEOUT, "", 1.0, 1))
    told = history.told()
    assert told["step_seconds"] == 60
    assert [minute["at"] for minute in told["minutes"]] == [f"1970-01-01T01:{at}:00.000Z" for at in (40, 41, 42)]
    first, quiet, last = told["minutes"]
    assert (first["published"], first["other"], first["source_bytes"]) == (1, 1, 20)
    assert (first["waiting"], first["executing"], first["discarded_total"]) == (4, 2, 7)
    assert not any(quiet[name] for name in quiet if name != "at")
    assert (last["discarded"], last["retried"], last["waiting"]) == (1, 1, None)


def test_a_day_is_no_longer_than_that() -> None:
    clock = Clock(0)
    history = History(clock)
    for _ in range(3 * MOST_MINUTES):
        history(completed(Outcome.PUBLISHED))
        clock.now += MINUTE_MS
    assert len(history._minutes) <= MOST_MINUTES
    minutes = history.told()["minutes"]
    assert len(minutes) == MOST_MINUTES
    assert sum(minute["published"] for minute in minutes) == MOST_MINUTES - 1
    clock.now = MINUTE_MS  # Set back; nothing is lost or counted twice.
    history(completed(Outcome.DUPLICATE))
    clock.now = 3 * MOST_MINUTES * MINUTE_MS
    assert sum(minute["duplicate"] for minute in history.told()["minutes"]) == 1


TEXT = """
state_dir = "{folder}/state"
[[inboxes]]
name = "camera"
path = "{folder}/in"
output = "{folder}/out"
profile = "thumbs"
[downloads]
proxy = "http://me:geheim@proxy.example:3128"
headers = {{"X-Api-Key" = "geheim", Cookie = "geheim=1"}}
"""


def house(folder: Path) -> Any:
    (folder / "in").mkdir()
    config = folder / "dropmill.toml"
    config.write_text(TEXT.format(folder=folder))
    loaded = load(config, {"DROPMILL_LOG__LEVEL": "debug"}, {"http.bind": "127.0.0.1:0"})
    return SimpleNamespace(live=SimpleNamespace(configuration=SimpleNamespace(loaded=loaded, loaded_ms=0)))


def test_every_value_is_told_with_its_origin_and_none_that_is_secret(tmp_path: Path) -> None:
    told = settings.told(cast(House, house(tmp_path)))
    values = {one["key"]: one for one in told["settings"]}
    assert told["file"] == str(tmp_path / "dropmill.toml")
    assert values["inboxes.0.path"]["origin"].endswith("dropmill.toml:5")
    assert (values["log.level"]["value"], values["log.level"]["origin"]) == ("debug", "environment DROPMILL_LOG__LEVEL")
    assert values["http.bind"]["origin"].startswith("option --")
    assert values["queue.max_attempts"]["origin"] == "default"
    assert values["queue.max_attempts"]["description"]
    assert values["downloads.proxy"]["value"] == "http://withheld@proxy.example:3128"
    assert values["downloads.headers"]["value"] == {"X-Api-Key": "withheld", "Cookie": "withheld"}
    assert {key for key, one in values.items() if one["secret"]} == {"downloads.proxy", "downloads.headers"}
    assert "geheim" not in str(told)
    assert any(key.startswith("profiles.thumbs.") for key in values)
    assert not any(key.startswith("profiles.web.") for key in values)


def test_without_a_daemon_no_configuration_is_in_force() -> None:
    with pytest.raises(Conflict, match="no daemon runs"):
        settings.told(cast(House, SimpleNamespace(live=None)))
