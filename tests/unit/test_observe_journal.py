"""What goes into the journal: entries with fields of their own, and lines that are never lost for want of one."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from dropmill.model.job import FoundBy
from dropmill.model.outcome import Outcome, Reason
from dropmill.observe import facts, journal, log, render, sink
from dropmill.settings import Log as LogSettings

ROOTS = {"camera": b"/srv/inbox"}


class Clock:
    def now_ms(self) -> int:
        return 0

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing here sleeps")


class Destination:
    """Where lines go that the journal does not take."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, line: object) -> None:
        self.lines.append(str(line))

    def close(self) -> None:
        """Nothing is held open."""


def logged(settings: LogSettings, *told: facts.Fact, environ: dict[str, str] | None = None) -> None:
    subscriber = log.configure(settings, Clock(), ROOTS, environ or {})
    for fact in told:
        subscriber(fact)
    subscriber.close()


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A path that counts as the journal's socket."""
    path = tmp_path / "journal"
    path.touch()
    monkeypatch.setattr(journal, "SOCKET", str(path))
    return path


@pytest.fixture
def stderr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file in place of standard error."""
    path = tmp_path / "stderr"
    file = path.open("w")
    monkeypatch.setattr(sink.sys, "__stderr__", file)
    return path


def stream_of(path: Path) -> dict[str, str]:
    seen = path.stat()
    return {"JOURNAL_STREAM": f"{seen.st_dev}:{seen.st_ino}"}


def test_an_entry_has_the_fields_of_the_job_by_name(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[list[bytes]] = []
    monkeypatch.setattr(journal, "sender", lambda: lambda *fields: sent.append(list(fields)))
    logged(
        LogSettings(format="journald"),
        facts.Discarded(9, "camera", b"a\xff.jpg", Reason.EMPTY, "", False),
        facts.Completed(10, "camera", b"b.jpg", Outcome.PUBLISHED, 0.1, 1),
    )
    discarded, completed = [dict(field.split(b"=", 1) for field in entry) for entry in sent]
    assert discarded[b"DROPMILL_JOB_ID"] == b"9" and discarded[b"DROPMILL_INBOX"] == b"camera"
    assert discarded[b"DROPMILL_PATH"] == rb"/srv/inbox/a\xff.jpg" and discarded[b"DROPMILL_REASON"] == b"empty"
    assert discarded[b"DROPMILL_EVENT"] == b"discarded" and b"a\\xff.jpg" in discarded[b"MESSAGE"]
    assert discarded[b"PRIORITY"] == b"4" and discarded[b"SYSLOG_IDENTIFIER"] == b"dropmill"
    assert completed[b"DROPMILL_OUTCOME"] == b"published" and completed[b"PRIORITY"] == b"6"


def test_names_and_values_are_what_the_journal_takes() -> None:
    event = {"timestamp_ms": 0, "level": "error", "event": "e", "ein schlüssel": "a\nb", "x" * 99: {"n": 1}, "none": ""}
    entry = render.as_journal(None, "", event)
    assert entry["DROPMILL_EIN_SCHL_SSEL"] == "a\nb" and entry["PRIORITY"] == "3" and "DROPMILL_NONE" not in entry
    assert entry["DROPMILL_" + "X" * 55] == '{"n": 1}'
    assert "\n" not in entry["MESSAGE"]
    assert journal.encoded({"A": "\udcff\0\n"}) == [b"A=\\udcff\0\n"]


def test_where_standard_error_leads_is_told_by_device_and_inode(tmp_path: Path, stderr: Path) -> None:
    descriptor = os.open(stderr, os.O_RDONLY)
    try:
        assert journal.leads_there(descriptor, stream_of(stderr))
        assert not journal.leads_there(descriptor, stream_of(tmp_path))
        assert not journal.leads_there(descriptor, {})
    finally:
        os.close(descriptor)
    assert not journal.leads_there(descriptor, stream_of(stderr)), "it is closed"


def test_auto_uses_the_journal_only_where_standard_error_leads_there(
    there: Path, stderr: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[bytes] = []
    monkeypatch.setattr(journal, "sender", lambda: lambda *fields: sent.extend(fields))
    logged(LogSettings(), facts.InboxBack("camera"), environ=stream_of(tmp_path))
    assert sent == [] and json.loads(stderr.read_text())["event"] == "inbox is back"
    logged(LogSettings(), facts.InboxBack("camera"), environ=stream_of(stderr))
    assert b"DROPMILL_EVENT=inbox is back" in sent and len(stderr.read_text().splitlines()) == 1


def test_without_systemd_python_lines_carry_their_priority_and_say_so_once(
    there: Path, stderr: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "sender", lambda: None)
    broken = facts.Discarded(9, "camera", b"a.jpg", Reason.EMPTY, "", False)
    logged(LogSettings(), facts.InboxBack("camera"), broken, environ=stream_of(stderr))
    said, back, discarded = stderr.read_text().splitlines()
    assert said.startswith("<6>{") and "pip install 'dropmill[systemd]'" in said
    assert back.startswith("<6>{") and json.loads(discarded.removeprefix("<4>"))["job_id"] == 9


@pytest.mark.parametrize("lacks", ["journal", "library"])
def test_journald_without_the_one_or_the_other_says_so_once_and_goes_on(
    lacks: str, there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if lacks == "journal":
        there.unlink()
    monkeypatch.setattr(journal, "sender", lambda: None)
    logged(LogSettings(format="journald", file=str(tmp_path / "log")), facts.InboxBack("camera"))
    first, second = map(json.loads, (tmp_path / "log").read_text().splitlines())
    assert first["event"] == "writing JSON instead of to the journal" and first["level"] == "warning"
    assert first["remedy"] and second["event"] == "inbox is back"


def test_a_journal_that_goes_away_loses_no_line(there: Path) -> None:
    sent: list[tuple[bytes, ...]] = []
    instead = Destination()
    destination = journal.Journal(lambda *fields: sent.append(fields), instead, prefixed=True)
    destination.write({"MESSAGE": "one", "PRIORITY": "6"})
    there.unlink()
    destination.write({"MESSAGE": "two\nof it", "PRIORITY": "3"})
    destination.write({"MESSAGE": "three", "PRIORITY": "6"})
    there.touch()
    destination.write({"MESSAGE": "four", "PRIORITY": "6"})
    assert [fields[0] for fields in sent] == [b"MESSAGE=one", b"MESSAGE=four"]
    assert instead.lines == [
        f"<4>there is no journal at {there}; what is logged comes here instead",
        "<3>two\n<3>of it",
        "<6>three",
    ]


def test_an_entry_that_is_refused_for_its_size_is_cut_and_any_other_goes_elsewhere(there: Path) -> None:
    sent: list[tuple[bytes, ...]] = []
    instead = Destination()

    def send(*fields: bytes) -> None:
        if sum(map(len, fields)) > 10_000:
            raise OSError(errno.EMSGSIZE, "Message too long")
        if b"refuse" in fields[0]:
            raise OSError(errno.EACCES, "Permission denied")
        sent.append(fields)

    destination = journal.Journal(send, instead, prefixed=False)
    destination.write({"MESSAGE": "ä" * 20_000, "DROPMILL_JOB_ID": "7", "PRIORITY": "6"})
    destination.write({"MESSAGE": "refuse", "PRIORITY": "6"})
    assert sent == [(b"MESSAGE=" + "ä".encode() * 500, b"DROPMILL_JOB_ID=7", b"PRIORITY=6")]
    assert instead.lines == [
        "the journal takes nothing: Permission denied; what is logged comes here instead",
        "refuse",
    ]


def test_systemd_python_is_what_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    send = object()
    monkeypatch.setattr(journal.importlib, "import_module", lambda name: SimpleNamespace(sendv=send, name=name))
    assert journal.sender() is send

    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(journal.importlib, "import_module", missing)
    assert journal.sender() is None


def test_a_fact_about_a_job_names_it_in_the_journal() -> None:
    line = log.Wording(ROOTS)(facts.Enqueued(3, "camera", b"x.jpg", FoundBy.EVENT, 10))
    entry = render.as_journal(None, "", {"timestamp_ms": 0, "level": line.level, "event": line.event, **line.fields})
    assert entry["DROPMILL_JOB_ID"] == "3" and entry["DROPMILL_FOUND_BY"] == "event"
