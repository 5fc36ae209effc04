"""What the page shows of drop-files and downloads."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropmill.web import fetching, view
from dropmill.web.health import gauges_of
from web_support import FakeDesk, download, dropfile, inbox, job, served

LONG = "https://images.example.com/" + "album/" * 40 + "picture-7.jpg?size=<b>&token=1"


def desk(**downloads: Any) -> FakeDesk:
    made = FakeDesk()
    made.dropfiles = [dropfile()]
    made.queue["available"] = 1
    made.downloads |= downloads
    return made


def shown(made: FakeDesk) -> dict[str, Any]:
    return view.page(anyio.run(made.status), made.all_jobs)


async def text(made: FakeDesk) -> str:
    async with served(made) as client:
        return (await client.get("/")).text


@given(st.text(st.characters(codec="ascii", exclude_categories=["C", "Z"]), max_size=80))
def test_the_pieces_of_a_url_are_the_whole_of_it(path: str) -> None:
    url = f"https://example.com/{path}"
    pieces = fetching.pieces(url)
    assert "".join(pieces) == url and len(pieces[1]) <= fetching.TAIL_CHARACTERS


def test_who_has_nothing_to_do_with_urls_sees_nothing_of_them() -> None:
    assert shown(FakeDesk())["downloads"] is None
    assert "fetch" not in {figure["word"] for figure in shown(FakeDesk())["figures"]}
    assert 'id="downloads"' not in anyio.run(text, FakeDesk())


def test_urls_that_were_added_to_an_inbox_are_shown_without_a_drop_file() -> None:
    urls = {
        "queue": {"scheduled": 0, "available": 2, "executing": 0},
        "completed": 3,
        "discarded": 1,
        "refused_lines": 4,
    }
    page = shown(FakeDesk([inbox(urls=urls, completed=4)]))
    assert page["downloads"] is not None
    told = page["inboxes"][0]
    assert (told["waiting"], told["completed"], told["discarded"], told["refused"]) == ("2", "7", "1", "4")


def test_urls_are_text_without_markup_or_links() -> None:
    html = anyio.run(text, desk(running=1, progress=[download(7, LONG)]))
    assert "&lt;b&gt;" in html and "<b>" not in html
    assert "picture-7.jpg" in html and 'href="https' not in html


@pytest.mark.parametrize(("size", "total", "percent"), [(0, None, None), (0, 0, None), (5, 10, 50), (30, 10, 100)])
def test_progress_is_shown_as_far_as_the_size_is_known(size: int, total: int | None, percent: int | None) -> None:
    page = shown(desk(running=1, progress=[download(1, bytes=size, total_bytes=total)]))
    assert page["downloads"]["rows"][0]["percent"] == percent


def test_more_downloads_than_are_named_are_counted() -> None:
    page = shown(desk(running=70, progress=[download(n) for n in range(64)]))
    assert page["downloads"]["more"] == "6" and len(page["downloads"]["rows"]) == 64


def test_what_is_not_fetched_yet_does_not_count_as_ready_to_be_processed() -> None:
    made = desk(running=2, waiting=7, queue={"scheduled": 1, "available": 5, "executing": 3})
    made.queue |= {"available": 6, "scheduled": 2, "executing": 4}
    figures = {figure["word"]: figure["count"] for figure in shown(made)["figures"]}
    assert (figures["to fetch"], figures["fetching"]) == ("7", "2")
    assert (figures["waiting"], figures["to be retried"], figures["in work"]) == ("1", "1", "1")


def test_an_untouched_page_invites_urls_too() -> None:
    made = FakeDesk()
    made.dropfiles = [dropfile()]
    html = anyio.run(text, made)
    assert "Drop pictures into" in html and "or append URLs to" in html and 'id="downloads"' not in html
    made.inboxes = []
    html = anyio.run(text, made)
    assert "Drop pictures into" not in html and "Append URLs to" in html


def test_a_picture_of_a_url_is_named_without_its_query() -> None:
    tile = view.tile(job(1, source="https://a.test/x/photo.jpg?token=1"), False)
    assert tile["name"] == "photo.jpg" and tile["source"].endswith("?token=1")
    assert view.tile(job(1, source="/in/what?.jpg"), False)["name"] == "what?.jpg"


def test_s13_gauges_name_inboxes_and_never_a_host() -> None:
    host = {"origin": "https://secret.test:443", "until": "2026-01-01T00:00:00Z", "detail": "x", "waiting": 1}
    made = desk(running=2, resting={"hosts": 1, "urls": 1, "failing": 1}, resting_hosts=[host], progress=[download(1)])
    made.dropfiles[0] |= {"behind_bytes": 10, "queue": {"scheduled": 0, "available": 4, "executing": 0}}
    made.inboxes[0]["urls"] = {
        "queue": {"scheduled": 0, "available": 9, "executing": 0},
        "completed": 0,
        "discarded": 0,
    }
    gauges = gauges_of(anyio.run(made.status))
    assert gauges.downloads_running == 2 and gauges.hosts_resting == gauges.hosts_failing == 1
    assert gauges.dropfile_behind_bytes == {"list": 10}
    assert gauges.queue[("list", "available")] == 4 and gauges.queue[("camera.urls", "available")] == 9
    assert "secret" not in repr(gauges) and "example" not in repr(gauges)
