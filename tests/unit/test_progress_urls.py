"""``run --once`` counts downloads from the same facts as the log and the metrics."""

from __future__ import annotations

import pytest

from dropmill.cli.progress import Display, Tally
from dropmill.model.job import FoundBy
from dropmill.model.outcome import EXPLANATIONS, Outcome, Reason, with_detail
from dropmill.observe import facts
from dropmill.observe.facts import Fact

URL = b"https://a.test/1.jpg"


class _Clock:
    def now_ms(self) -> int:
        return 0

    def monotonic(self) -> float:
        return 10.0

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nobody waits here")


def told(*said: Fact) -> Tally:
    tally = Tally(_Clock(), {"list"})
    for fact in said:
        tally(fact)
    return tally


FETCHED = facts.Downloaded(1, "list", URL, 200, 1000, 900, 0.1, not_modified=False)
FAILED = facts.DownloadFailed(1, "list", URL, Reason.TOO_SLOW, "", 100, 0.1)
REFUSED = facts.LineRefused("list", b"/urls.txt", 7, "ftp://x/", Reason.BLOCKED_SCHEME, "")
LEFT = facts.LeftResting(2, 30, 600.0)
DONE = facts.Completed(1, "list", URL, Outcome.PUBLISHED, 0.1, 1000)


def test_downloads_are_counted_beside_files() -> None:
    found = [
        facts.Enqueued(number, inbox, URL, FoundBy.EVENT, 0) for number, inbox in enumerate(["list", "camera", "list"])
    ]
    tally = told(*found, FAILED, FETCHED, DONE)
    assert (tally.queued, tally.urls, tally.fetched, tally.received_bytes, tally.done) == (3, 2, 1, 1000, 1)
    assert tally.exit_code == 0


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ((REFUSED,), 3),
        ((LEFT,), 0),
        ((REFUSED, LEFT), 3),
        ((FAILED, FETCHED), 0),
        ((REFUSED, facts.Stopping("SIGINT")), 130),
        ((facts.Stopping("SIGTERM"),), 143),
        ((facts.Stopping("everything is done"),), 0),
    ],
)
def test_what_was_refused_or_broken_off_shows_in_the_exit_code(said: tuple[Fact, ...], code: int) -> None:
    assert told(*said).exit_code == code


def test_what_a_person_has_to_know_is_said_as_it_happens(capsys: pytest.CaptureFixture[str]) -> None:
    tally = told(FETCHED, REFUSED)
    display = Display(tally, {"camera": b"/in"})
    display(DONE)
    display(REFUSED)
    display(facts.HostResting("https://b.test:443", 600.0, False, 0, "http-429"))
    display(LEFT)
    display(facts.DropfileTrouble("list", b"/urls.txt", "cannot be read: Permission denied", "let the daemon read it"))
    display.summary()
    text = capsys.readouterr().out
    assert "published https://a.test/1.jpg (" in text
    assert "refused line 7 of /urls.txt (ftp://x/): blocked-scheme" in text
    assert "https://b.test:443 is left alone for 10 min: http-429" in text
    assert "30 URLs of 2 hosts at rest stay in the queue; run again in 10 min" in text
    assert "/urls.txt has to wait: cannot be read: Permission denied; let the daemon read it" in text
    assert "refused lines" in text and "1 URL fetched, 900 bytes received" in text


def test_what_was_broken_off_is_never_nothing_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    tally = told(facts.Stopping("SIGINT"))
    tally.unfinished = 21
    Display(tally, {}).summary()
    text = capsys.readouterr().out
    assert "nothing to do" not in text
    assert "interrupted by SIGINT: 21 jobs stay in the queue" in text


def test_urls_that_wait_for_their_hosts_are_something(capsys: pytest.CaptureFixture[str]) -> None:
    Display(told(LEFT), {}).summary()
    text = capsys.readouterr().out
    assert "nothing to do" not in text and "waiting for their hosts" in text


@pytest.mark.parametrize(
    ("reason", "detail", "said"),
    [
        (Reason.HTTP_404, "the host answered with 404", "there is no such file at the host (404)"),
        (Reason.BLOCKED_ADDRESS, "10.0.0.5 is private", "10.0.0.5 is private"),
        (Reason.DNS_FAILURE, "no such name", "the host's name has no address (no such name)"),
        (Reason.HTTP_ERROR, "the host answered with 418", None),
    ],
)
def test_nothing_is_said_twice(reason: Reason, detail: str, said: str | None) -> None:
    cause = EXPLANATIONS[reason].cause
    assert with_detail(reason, cause, detail) == (said or f"{cause} ({detail})")
