"""What the page shows, from what the desk says."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Any

import anyio
import pytest

from dropmill.model.outcome import EXPLANATIONS, Outcome, Reason
from dropmill.settings import Http
from dropmill.web import view
from dropmill.web.access import Access, bare_host
from dropmill.web.health import gauges_of
from web_support import FakeDesk, inbox, job, rendition

PALETTE = ("ink", "soft", "accent", "paper", "cell")


def shown(desk: FakeDesk) -> dict[str, Any]:
    return view.page(anyio.run(desk.status), desk.all_jobs)


def test_a_daemon_that_has_seen_nothing_invites_pictures() -> None:
    page = shown(FakeDesk())
    assert page["untouched"] and page["tiles"] == [] and page["problems"] == []
    busy = FakeDesk()
    busy.queue["available"] = 1
    assert not shown(busy)["untouched"]


def test_what_is_to_be_decided_and_scanned_is_told() -> None:
    told = anyio.run(FakeDesk().status)
    assert view.page(told, [])["review"] is None and view.page(told, [])["scans"] == []
    told["duplicates"] |= {"groups": 1, "reclaimable_bytes": 1_200_000_000_000}
    told["scans"] = [{"folders": ["/srv/a", "/srv/b"], "files": 1200, "total_files": 0, "detail": "it waits"}]
    page = view.page(told, [])
    assert page["review"] == {"groups": "1 group of duplicates", "gain": "1.2\u202fTB"}
    assert page["scans"] == [{"what": "/srv/a, /srv/b", "files": "1\u202f200 files", "detail": "it waits"}]


def test_what_is_degraded_comes_with_its_remedy() -> None:
    desk = FakeDesk()
    desk.parts.append({"name": "output a", "status": "degraded", "detail": "read-only", "remedy": "remount"})
    assert [part["remedy"] for part in shown(desk)["problems"]] == ["remount"]


def test_webhooks_are_shown_with_what_waits_and_what_could_not_be_told() -> None:
    told = anyio.run(FakeDesk().status)
    assert view.page(told, [])["webhooks"] == []
    one = {"name": "app", "url": "https://app.example/", "state": "disabled", "waiting": 1200, "dead_letters": 2}
    told["webhooks"] = [{**one, "delivered": 7, "delivered_at": "2026-11-21T22:41:43.065Z"}]
    [shown_one] = view.page(told, [])["webhooks"]
    assert (shown_one["state"], shown_one["waiting"], shown_one["dead"]) == ("disabled", "1\u202f200", "2")
    assert shown_one["clock"] == "2026-11-21 22:41"
    told["webhooks"][0] |= {"state": "ok", "delivered_at": None, "url": None}
    [well] = view.page(told, [])["webhooks"]
    assert (well["state"], well["url"], well["told_at"]) == ("", "", None)


@pytest.mark.parametrize("state", ["starting", "running", "reloading", "draining", "stopped"])
def test_every_state_of_the_daemon_has_a_word(state: str) -> None:
    assert view.page(anyio.run(FakeDesk().status) | {"state": state}, [])["state"]


@pytest.mark.parametrize("reason", list(Reason))
def test_every_discarded_job_says_why_and_what_to_do(reason: Reason) -> None:
    remedy = EXPLANATIONS[reason].remedy
    tile = view.tile(job(1, state="discarded", outcome=None, reason=reason.value, remedy=remedy), False)
    assert (tile["reason"], tile["cause"]) == (reason.value, EXPLANATIONS[reason].cause) and remedy in tile["notes"]


@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_outcome_has_a_word_and_a_sign(outcome: Outcome) -> None:
    tile = view.tile(job(1, outcome=outcome.value), False)
    assert tile["word"] and tile["icon"]


def test_a_reason_of_another_version_is_shown_as_it_is() -> None:
    tile = view.tile(job(1, state="discarded", outcome=None, reason="new-code", detail="said then"), False)
    assert (tile["reason"], tile["cause"]) == ("new-code", "said then")


def test_the_thumbnail_is_the_smallest_rendition_that_fills_its_cell() -> None:
    sizes = [rendition(1, 1600, 1200), rendition(2, 400, 300), rendition(3, 64, 48)]
    tile = view.tile(job(1, renditions=sizes), False)
    assert (tile["picture"]["id"], tile["full"]["id"]) == (2, 1)
    assert view.tile(job(1, renditions=sizes[2:]), False)["picture"]["id"] == 3


def test_duplicates_and_moved_files_name_where_they_go_back_to() -> None:
    twin = {"job": 4, "source": "/in/first.jpg", "tier": "coded"}
    assert view.tile(job(5, outcome="duplicate", duplicate_of=twin), False)["notes"] == [
        "of first.jpg (other metadata)"
    ]
    assert view.tile(job(5, outcome="moved", moved_from="/in/old.jpg"), True)["notes"] == [
        "from old.jpg",
        "inbox camera",
    ]


def test_cards_of_urls_name_host_and_drop_file_and_tell_the_detail_once() -> None:
    twin = {"job": 4, "source": "https://b.example/x/a.jpg", "tier": "bytes"}
    same = view.tile(job(5, source="http://a.example:8080/a.jpg?x=1", inbox="list", duplicate_of=twin), True)
    assert (same["name"], same["host"]) == ("a.jpg", "a.example:8080")
    assert same["notes"] == ["of a.jpg at b.example", "drop-file list"]
    more = {"state": "discarded", "outcome": None, "inbox": "camera.urls", "source": "http://a.example/a.jpg"}
    empty = view.tile(job(6, **more, reason="empty", detail="the answer has no bytes"), True)
    assert empty["cause"] == "the answer has no bytes" and empty["notes"] == ["inbox camera"]
    large = view.tile(job(7, **more, reason="too-large", detail="9 bytes, and downloads.max_bytes is 8"), True)
    assert large["cause"].endswith("(9 bytes, and downloads.max_bytes is 8)")
    assert view.tile(job(8), False)["host"] == ""


def test_the_latest_comes_first_and_pauses_are_told() -> None:
    desk = FakeDesk([inbox(paused=True)], [job(1), job(3), job(2)])
    desk.paused = True
    page = shown(desk)
    assert [tile["id"] for tile in page["tiles"]] == [3, 2, 1]
    assert page["state"] == "Paused" and page["inboxes"][0]["paused"]


def test_thousands_are_set_apart() -> None:
    assert view.number(1234567) == "1\u202f234\u202f567"


def test_gauges_follow_the_status() -> None:
    desk = FakeDesk([inbox("a", settling=2, queue={"scheduled": 1, "available": 5, "executing": 0})])
    gauges = gauges_of(anyio.run(desk.status))
    assert gauges.queue[("a", "available")] == 5 and gauges.settling == {"a": 2}
    assert gauges.workers == {"busy": 1, "idle": 1, "limit": 4} and gauges.watch_modes == {"a": "events"}


@pytest.mark.parametrize(
    ("text", "bare"),
    [("A.b.:80", "a.b"), ("[::1]:80", "::1"), ("::1", "::1"), ("127.0.0.1", "127.0.0.1"), ("", ""), (" x ", "x")],
)
def test_hosts_are_compared_without_port_case_and_final_dot(text: str, bare: str) -> None:
    assert bare_host(text) == bare


def test_behind_a_proxy_a_configured_name_may_be_the_origin() -> None:
    access = Access.of(Http(allowed_hosts=("pics.lan",)))
    headers = {"host": "127.0.0.1:8686", "origin": "https://pics.lan"}
    assert access.same_origin(headers)
    assert not access.same_origin(headers | {"sec-fetch-site": "cross-site"})
    assert not access.same_origin(headers | {"origin": "https://pics.lan.evil.example"})


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_has_enough_contrast_in_both_schemes(scheme: int) -> None:
    css = (files("dropmill.web") / "static" / "page.css").read_text()
    colours = {name: re.findall(rf"--{name}: (#[0-9a-f]{{6}})", css)[scheme] for name in PALETTE}
    for text in ("ink", "soft", "accent"):
        for ground in ("paper", "cell"):
            lighter, darker = sorted((_luminance(colours[text]), _luminance(colours[ground])), reverse=True)
            assert (lighter + 0.05) / (darker + 0.05) >= 4.5, (text, ground)
