"""What ``dropmill status`` shows of URLs, at the width of a terminal."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from dropmill.cli import glance, tables
from web_support import FakeDesk, download, dropfile

LONG = "https://images.example.com/" + "album/" * 40 + "picture-7.jpg"


def desk(running: int = 0, **changes: Any) -> FakeDesk:
    made = FakeDesk()
    made.dropfiles = [dropfile(**changes)]
    made.downloads |= {"running": running, "progress": [download(n, LONG) for n in range(1, running + 1)]}
    return made


def shown(made: FakeDesk, columns: int = 80, rows: int = 40, *, watching: bool = True) -> str:
    console = Console(width=columns, height=rows, color_system=None)
    told = anyio.run(made.status) | {"pid": 0}
    told["workers"]["lost_total"] = 0
    with console.capture() as captured:
        console.print(glance.status(told, console if watching else None))
    return captured.get()


@given(st.text(st.characters(codec="ascii", exclude_categories=["C"]), min_size=1), st.integers(3, 300))
def test_a_long_url_keeps_both_its_ends(url: str, columns: int) -> None:
    told = tables.shortened(url, columns)
    assert len(told) == min(len(url), columns)
    assert told == url or (url.startswith(told.partition("…")[0]) and url.endswith(told.rpartition("…")[2]))


@pytest.mark.parametrize("columns", [80, 200])
def test_a_running_download_takes_one_line_of_any_terminal(columns: int) -> None:
    lines = [line for line in shown(desk(3), columns).splitlines() if "picture-7.jpg" in line]
    assert len(lines) == 3 and all("1.0 MB of 4.0 MB" in line and "500.0 kB/s" in line for line in lines)
    assert all(len(line) <= columns for line in lines)


def test_downloads_take_what_room_the_screen_has_and_the_others_are_counted() -> None:
    told = shown(desk(60), rows=30)
    shown_ones = told.count("picture-7.jpg")
    assert 3 <= shown_ones < 30 and f"and {60 - shown_ones} more" in told
    assert len(told.splitlines()) <= 30
    assert "picture-7.jpg" not in shown(desk(60), watching=False)


def test_refused_lines_are_counted_apart_and_what_is_missing_is_said() -> None:
    queue = {"scheduled": 1, "available": 5, "executing": 4}
    told = shown(desk(line=20, queue=queue, waiting_to_fetch=7, completed=6, discarded=2, refused_lines=3))
    row = next(line for line in told.splitlines() if line.startswith("list"))
    assert row.split()[-6:] == ["20", "7", "3", "6", "2", "3"]
    assert "; 3 lines refused" in told
    assert "missing" in shown(desk(watch="missing")) and "paused" in shown(desk(paused=True))


def test_a_scan_and_what_waits_for_a_person_are_told() -> None:
    told = anyio.run(desk().status) | {"pid": 0}
    scan = {
        "folders": ["/srv/photos"],
        "files": 1200,
        "total_files": 5000,
        "indexed": 1190,
        "unchanged": 0,
        "refused": 0,
    }
    told["scans"] = [scan | {"files_per_second": 3.2, "eta_seconds": 1187, "detail": ""}]
    told["duplicates"] |= {"groups": 7, "reclaimable_bytes": 5_000_000, "to_group": 1}
    console = Console(width=140, color_system=None)
    with console.capture() as captured:
        console.print(glance.status(told))
    lines = captured.get().splitlines()
    assert "scan     /srv/photos: 1200 of 5000 files, 1190 indexed, 3.2 files/s, 19:47 left" in lines
    assert "review   7 groups of duplicates to look at, 5.0 MB to give back; 1 picture still to be grouped" in lines


def test_hosts_at_rest_are_told_with_when_they_are_asked_again_and_why() -> None:
    made = desk()
    host = {
        "origin": "https://a.test:443",
        "waiting": 9,
        "until": "",
        "rest_seconds": 600.0,
        "detail": "http-429: slow",
    }
    made.downloads |= {"resting": {"hosts": 12, "urls": 90}, "resting_hosts": [host] * 10}
    told = shown(made)
    assert "90 of them of 12 hosts at rest" in " ".join(told.split())
    assert told.count("https://a.test:443") == glance.MOST_HOSTS and "and 4 more" in told
    assert "10 min" in told and "http-429: slow" in told
