"""Events of a running daemon: across a reload, at its end, and what a page misses in between."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

import pictures
from harness import SECONDS, Mill

pytestmark = pytest.mark.long


@pytest.fixture
def mill(tmp_path: Path) -> Iterator[Mill]:
    mill = Mill(tmp_path)
    mill.start()
    try:
        yield mill
    finally:
        if mill.process is not None:
            mill.kill()


class Page:
    def __init__(self, response: httpx.Response) -> None:
        self._lines = response.iter_lines()
        self.last = ""

    def hear(self, *kinds: str) -> tuple[str, Any]:
        """The next event of one of these kinds."""
        told: dict[str, str] = {}
        for line in self._lines:
            name, _, value = line.partition(": ")
            if line and name:
                told[name] = value
            elif "event" in told:
                self.last = told["id"]
                if told["event"] in kinds:
                    return told["event"], json.loads(told["data"])
                told = {}
        raise EOFError

    def ends(self) -> None:
        for _line in self._lines:
            pass


@contextmanager
def listening(mill: Mill, last: str = "") -> Iterator[Page]:
    headers = {"last-event-id": last} if last else {}
    with httpx.stream("GET", mill.address + "/api/v1/events", headers=headers, timeout=SECONDS) as response:
        assert response.status_code == 200
        yield Page(response)


def test_a_page_follows_a_picture_and_hears_after_a_reload_what_it_missed(mill: Mill) -> None:
    with listening(mill) as page:
        page.hear("hello")
        mill.drop("a.jpg", pictures.jpeg(pictures.photo(300, 200)))
        kind, told = page.hear("job")
        assert (told["source"], told["state"], told["outcome"]) == ("a.jpg", "completed", "published")
        while page.hear("queue")[1]["completed"] != {"published": 1}:
            pass
        last = page.last
        mill.configure(settle_seconds=0.1)
        assert mill.run("reload").returncode == 0
        page.ends()
    mill.drop("b.jpg", pictures.jpeg(pictures.photo(300, 200, seed=2)))
    mill.wait_for(lambda: len(mill.jobs("completed")) == 2)
    with listening(mill, last) as page:
        assert page.hear("configuration", "job", "reset")[1] == {"state": "applied"}
        kind, told = page.hear("job", "reset")
        assert (kind, told["source"]) == ("job", "b.jpg")


def test_whoever_listens_does_not_hold_up_the_end(mill: Mill) -> None:
    with listening(mill) as page:
        page.hear("hello")
        assert mill.stop() == 0
        page.ends()
    assert "Traceback" not in mill.log.read_text()


def test_s08_pages_that_do_not_read_hold_up_no_picture(mill: Mill) -> None:
    address = httpx.URL(mill.address)
    crowd = [socket.create_connection((address.host, address.port)) for _ in range(60)]
    try:
        for sock in crowd:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            sock.sendall(b"GET /api/v1/events HTTP/1.1\r\nhost: localhost\r\n\r\n")
        for seed in range(20):
            mill.drop(f"{seed}.jpg", pictures.jpeg(pictures.photo(120, 80, seed=seed)))
        mill.wait_for(lambda: len(mill.jobs("completed")) == 20)
        assert mill.get("/livez").status_code == 200
    finally:
        for sock in crowd:
            sock.close()


def test_a_library_that_is_catalogued_tells_how_far_it_is(tmp_path: Path) -> None:
    library = tmp_path / "library"
    library.mkdir()
    for seed in range(3):
        (library / f"{seed}.jpg").write_bytes(pictures.jpeg(pictures.photo(300, 200, seed=seed)))
    mill = Mill(tmp_path, top={"library_roots": [str(library)]})
    mill.start()
    try:
        with listening(mill) as page:
            page.hear("hello")
            asked = httpx.post(mill.address + "/api/v1/index", json={"folders": [str(library)]}, timeout=SECONDS)
            scan = asked.json()["id"]
            heard = [page.hear("scan")[1]]
            while heard[-1]["state"] == "running":
                heard.append(page.hear("scan")[1])
        assert {told["id"] for told in heard} == {scan}
        assert heard[0]["folders"] == [str(library)]
        assert (heard[-1]["state"], heard[-1]["indexed"]) == ("done", 3)
    finally:
        mill.kill()
