"""A real daemon that is killed while it reads a drop-file and tells results: each line once (U16, U18)."""

from __future__ import annotations

import json
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import pictures
from harness import Mill
from web import WebServer, document

LOCAL = {"allow_networks": ["127.0.0.0/8"], "ports": ["1-65535"]}
LINES = 40


def results(mill: Mill) -> list[dict[str, Any]]:
    path = mill.root / "urls.txt.results.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def has_told(mill: Mill, least: int) -> bool:
    return len(results(mill)) >= least


@pytest.mark.long
def test_u16_each_line_has_one_result_however_often_the_daemon_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "urls.txt"
    with WebServer() as web:  # It has none of the files: every URL ends as http-404, which is an end like any other.
        mill = Mill(tmp_path, dropfiles=[{"quiet_seconds": 0.2}], net=LOCAL)
        wanted: list[str] = []
        for round_number in range(5):
            mill.start()
            fresh = [web.url(f"/{round_number}-{number}.jpg") for number in range(LINES)]
            wanted += fresh
            with path.open("a") as file:
                for url in fresh:
                    file.write(url + "\n")
                    file.flush()
            if round_number % 3 == 1:
                path.rename(tmp_path / f"urls.txt.{round_number}")
                path.write_text("")
            told = len(results(mill))
            # Somewhere between the first line of this round and its last result.
            least = min(told + 1 + 9 * round_number, len(wanted))
            mill.wait_for(partial(has_told, mill, least))
            mill.kill()
        mill.start()
        mill.wait_for(lambda: len(results(mill)) >= len(wanted))
        assert mill.stop() == 0
        assert Counter(result["url"] for result in results(mill)) == Counter(wanted)
        assert {result["reason"] for result in results(mill)} == {"http-404"}
        assert Counter(job["source"] for job in mill.jobs()) == Counter(wanted)
        # No line was written in halves, and nothing but whole lines is there.
        assert (tmp_path / "urls.txt.results.jsonl").read_bytes().endswith(b"\n")


def test_u15_u17_u18_with_once_all_of_a_file_is_taken_and_told(tmp_path: Path) -> None:
    with WebServer() as web:
        mill = Mill(tmp_path, dropfiles=[{"quiet_seconds": 0.2}], net=LOCAL)
        here = web.url("/a.jpg")
        there = here.replace("http://", "HTTP://") + "#top"
        text = f"# pictures\r\n{here}\tcats\r\n\r\n{there}\tdogs\nftp://example.com/x\n{web.url('/b.jpg')}"
        (tmp_path / "urls.txt").write_bytes(b"\xef\xbb\xbf" + text.encode())
        done = mill.once()
        assert done.returncode == 3, done.stderr
        told = {result["line"]: (result["outcome"], result["reason"], result.get("label")) for result in results(mill)}
        assert told == {
            2: ("discarded", "http-404", "cats"),
            4: ("discarded", "http-404", "dogs"),
            5: ("refused", "blocked-scheme", None),
            6: ("discarded", "http-404", None),
        }
        assert len(web.asked("/a.jpg")) == 1
        assert "a line was refused" in done.stderr


@pytest.mark.long
def test_a_list_that_is_dropped_into_an_inbox_is_taken_where_the_inbox_allows_it(tmp_path: Path) -> None:
    with WebServer() as web:
        web.on("/a.jpg", document(pictures.jpeg(pictures.photo(90, 60, seed=1))))
        mill = Mill(tmp_path, net=LOCAL, urls=True)
        text = f"{web.url('/a.jpg')}\tcats\n# comment\nnonsense\n{web.url('/b.jpg')}"
        mill.drop("lists/today.urls", text.encode())
        done = mill.once()
        assert done.returncode == 3, done.stderr
        path = mill.inbox / "lists" / "today.urls.results.jsonl"
        told = {one["line"]: one for one in map(json.loads, path.read_text().splitlines())}
        assert {line: one["outcome"] for line, one in told.items()} == {1: "published", 3: "refused", 4: "discarded"}
        assert told[1]["label"] == "cats" and Path(told[1]["renditions"][0]["path"]).is_file()
        assert {job["inbox"] for job in mill.jobs()} == {"camera.urls"}
        # The list stays, is known, and is not read again; nor is what was written beside it.
        before = path.read_bytes()
        assert mill.once().returncode == 0
        assert path.read_bytes() == before
        assert len(web.asked("/b.jpg")) == 1
        why = mill.why("lists/today.urls")
        assert "a list of URLs" in why
        # Another line in it is another line, and nothing is fetched twice.
        with (mill.inbox / "lists" / "today.urls").open("a") as file:
            file.write(f"\n{web.url('/a.jpg')}#again\tdogs\n")
        assert mill.once().returncode == 0
        fresh = path.read_bytes().removeprefix(before).splitlines()
        assert [(json.loads(one)["line"], json.loads(one)["outcome"], json.loads(one)["label"]) for one in fresh] == [
            (5, "published", "dogs")
        ]
        assert len(web.asked("/a.jpg")) == 1


def test_a_list_is_no_picture_to_an_inbox_that_takes_none(tmp_path: Path) -> None:
    with WebServer() as web:
        mill = Mill(tmp_path, net=LOCAL)
        mill.drop("today.urls", web.url("/a.jpg").encode())
        assert mill.once().returncode == 0
        assert mill.jobs() == []
        assert web.requests == []
        assert not (mill.inbox / "today.urls.results.jsonl").exists()


@pytest.mark.long
def test_a_list_that_was_ignored_is_taken_up_once_the_inbox_takes_lists(tmp_path: Path) -> None:
    with WebServer() as web:
        mill = Mill(tmp_path, net=LOCAL)
        mill.drop("today.urls", web.url("/a.jpg").encode())
        mill.drop("today.txt", web.url("/a.jpg").encode())
        done = mill.once()
        assert done.returncode == 0
        assert "set urls = true for the inbox" in done.stdout and "name it *.urls" in done.stdout
        mill.configure(urls=True)
        assert mill.once().returncode == 3
        assert [job["reason"] for job in mill.jobs()] == ["http-404"]
