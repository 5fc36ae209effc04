"""The log: each fact worded once, readable for eyes and machines, and never in the daemon's way."""

from __future__ import annotations

import inspect
import json
import logging
import os
import time
from pathlib import Path

import pytest

from dropmill.errors import ConfigurationError
from dropmill.model.duplicates import Policy
from dropmill.model.job import FoundBy
from dropmill.model.outcome import EXPLANATIONS, Outcome, Reason
from dropmill.observe import facts, log, render
from dropmill.observe.sink import MOST_WAITING, File, Sink, Stream
from dropmill.observe.wording import Wording, worded
from dropmill.observe.words import DETAILS
from dropmill.settings import Log as LogSettings

ROOTS = {"camera": b"/srv/inbox"}


class Clock:
    def now_ms(self) -> int:
        return 1_772_600_645_123  # 2026-03-04T05:04:05.123Z

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing here sleeps")


def written(path: Path, *told: facts.Fact, level: str = "debug", format_: str = "json") -> list[str]:
    settings = LogSettings(level=level, format=format_, file=str(path))
    subscriber = log.configure(settings, Clock(), ROOTS, {})
    for fact in told:
        subscriber(fact)
    subscriber.close()
    return path.read_text().splitlines()


def every_fact() -> list[type[facts.Fact]]:
    kinds = [kind for _, kind in inspect.getmembers(facts, inspect.isclass) if issubclass(kind, facts.Fact)]
    return [kind for kind in kinds if kind is not facts.Fact]


def example(kind: type[facts.Fact]) -> facts.Fact:
    """A value for each field by the text of its type."""
    values = {
        "int": 7,
        "str": "camera",
        "bytes": b"2024/a\xff.jpg",
        "float": 1.25,
        "bool": True,
        "FoundBy": FoundBy.EVENT,
        "Outcome": Outcome.DUPLICATE,
        "Reason": Reason.TRUNCATED,
        "dict[str, int]": {"process": 2},
        "dict[str, Any]": {"inbox": "camera"},
        "tuple[str, ...]": ("log.level", "inboxes.1"),
        "int | None": 7,
        "float | None": 1.25,
        "bytes | None": b"b.jpg",
        "Kind | None": "near",
        "Policy": Policy.FLAG,
    }
    return kind(**{name: values[type_] for name, type_ in kind.__annotations__.items()})


@pytest.mark.parametrize("kind", every_fact())
def test_every_fact_has_words_in_every_format(kind: type[facts.Fact]) -> None:
    assert kind in worded()
    line = Wording(ROOTS)(example(kind))
    event = {"timestamp_ms": 0, "level": line.level, "event": line.event, **line.fields}
    assert json.loads(render.as_json(None, "", event))["event"] == line.event
    assert "\n" not in render.Console(colours=True)(None, "", event)
    journal = render.as_journal(None, "", event)
    assert journal["MESSAGE"] and all(key.isupper() and isinstance(value, str) for key, value in journal.items())


@pytest.mark.parametrize("kind", sorted(DETAILS, key=lambda kind: kind.__name__))
def test_what_a_log_above_debug_does_not_even_word_is_of_that_level(kind: type[facts.Fact], tmp_path: Path) -> None:
    assert Wording(ROOTS)(example(kind)).level == "debug"
    assert written(tmp_path / "log", example(kind)) and not written(tmp_path / "less", example(kind), level="info")


@pytest.mark.parametrize("kind", [kind for kind in every_fact() if {"job_id", "path"} <= set(kind.__annotations__)])
def test_lines_about_a_job_carry_its_id_and_path(kind: type[facts.Fact], tmp_path: Path) -> None:
    (line,) = written(tmp_path / "log", example(kind))
    told = json.loads(line)
    assert told["job_id"] == 7
    assert told["path"].endswith("2024/a\\xff.jpg")


def test_a_discarded_file_is_one_line_with_path_reason_and_remedy(tmp_path: Path) -> None:
    fact = facts.Discarded(9, "camera", b"2024/broken.jpg", Reason.TRUNCATED, "61 % is there", True)
    (line,) = written(tmp_path / "log", fact, level="warning")
    told = json.loads(line)
    assert told["timestamp"] == "2026-03-04T05:04:05.123Z"
    assert told["level"] == "warning" and told["event"] == "discarded"
    assert told["path"] == "/srv/inbox/2024/broken.jpg" and told["inbox"] == "camera"
    assert told["reason"] == "truncated" and told["remedy"] == EXPLANATIONS[Reason.TRUNCATED].remedy
    (seen,) = written(tmp_path / "console", fact, format_="console")
    assert seen.endswith(
        "discarded   /srv/inbox/2024/broken.jpg  truncated: the picture ends too early (61 % is there)  (job 9)"
        "  → copy it again from the source; the tail is missing"
    )


def test_levels_debug_has_stages_and_warning_only_what_is_degraded(tmp_path: Path) -> None:
    told = [
        facts.StageTimed("process", 0.1),
        facts.Enqueued(1, "camera", b"a.jpg", FoundBy.EVENT, 10),
        facts.InboxGone("camera", "gone"),
    ]
    counts = {level: len(written(tmp_path / level, *told, level=level)) for level in ("debug", "info", "warning")}
    assert counts == {"debug": 3, "info": 2, "warning": 1}


def test_a_file_that_the_watcher_missed_is_a_warning(tmp_path: Path) -> None:
    missed = facts.Enqueued(1, "camera", b"a.jpg", FoundBy.RECONCILE, 10)
    (line,) = written(tmp_path / "log", missed, level="warning")
    assert "watcher missed it" in json.loads(line)["hint"]


def test_names_cannot_forge_lines_or_steer_a_terminal(tmp_path: Path) -> None:
    fact = facts.StateTrouble("commit", "first\n05:04:05  published /etc/passwd\x1b[2J")
    lines = written(tmp_path / "console", fact, format_="console")
    assert len(lines) == 1 and "\x1b" not in lines[0]


def test_libraries_are_heard_from_warnings_on(tmp_path: Path) -> None:
    path = tmp_path / "log"
    subscriber = log.configure(LogSettings(format="json", file=str(path)), Clock(), ROOTS, {})
    logging.getLogger("somebody").info("unheard")
    try:
        raise OSError("no")
    except OSError:
        logging.getLogger("somebody").exception("trouble with %s", "x")
    subscriber.close()
    (line,) = path.read_text().splitlines()
    told = json.loads(line)
    assert told["event"] == "trouble with x" and told["logger"] == "somebody" and "OSError" in told["exception"]


def test_a_log_file_that_cannot_be_opened_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be opened") as caught:
        log.configure(LogSettings(file=str(tmp_path / "no" / "log")), Clock(), ROOTS, {})
    assert caught.value.hint


def until(condition: object, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def test_s14_a_pipe_that_nobody_reads_costs_lines_and_not_time() -> None:
    reading, writing = os.pipe()
    sink = Sink(Stream(os.dup(writing)), lambda count: f"{count} lost")
    long = "x" * 1000
    started = time.monotonic()
    for _ in range(MOST_WAITING + 500):
        sink.put(long)
    assert time.monotonic() - started < 5.0
    assert sink.lost_total > 0
    seen = b""

    def told() -> bool:
        nonlocal seen
        seen = (seen + os.read(reading, 1 << 20))[-100_000:]
        return b" lost" in seen or sink.lost_total == 0

    until(told, 10.0)
    os.close(reading)
    sink.put("nobody hears this")
    sink.close()
    os.close(writing)


def test_s14_a_closed_destination_stops_nothing() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    sink = Sink(Stream(writing), lambda count: f"{count} lost")
    sink.put("into a closed pipe")
    until(lambda: sink.lost_total >= 1)
    os.close(writing)
    sink.put("into a closed descriptor")
    until(lambda: sink.lost_total >= 2)
    sink.close()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full is not there")
def test_s14_a_full_disk_stops_nothing_and_the_loss_is_told_later(tmp_path: Path) -> None:
    link = tmp_path / "log"
    link.symlink_to("/dev/full")
    sink = Sink(File(str(link)), lambda count: f"{count} lines lost")
    sink.put("one")
    sink.put("two")
    until(lambda: sink.lost_total == 2)
    link.unlink()
    sink.put("three")
    sink.close()
    assert link.read_text() == "2 lines lost\nthree\n"


def test_a_rotated_log_file_is_opened_anew(tmp_path: Path) -> None:
    path = tmp_path / "log"
    sink = Sink(File(str(path)), str)
    sink.put("before")
    until(lambda: path.exists() and path.read_text() == "before\n")
    path.rename(tmp_path / "log.1")
    sink.put("after")
    sink.close()
    assert path.read_text() == "after\n" and (tmp_path / "log.1").read_text() == "before\n"
