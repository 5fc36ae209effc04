"""URLs that are added by hand and from lists: with a daemon and without one, each fetched once."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

import pictures
from dropmill.cli import reach
from dropmill.errors import Conflict, NotFound
from dropmill.settings import load
from harness import PROGRAM, Mill, clean_environment
from web import WebServer, document

LOCAL = {"allow_networks": ["127.0.0.0/8"], "ports": ["1-65535"]}


def ask_to_add(mill: Mill, *targets: bytes, inbox: str | None = None, label: str | None = None) -> Any:
    """As the command does it, without the start of a process for each request."""
    return reach.ask(load(mill.config, {}, {}).settings, "add", targets, inbox, None, label, change=True)


def photo(seed: int) -> bytes:
    return pictures.jpeg(pictures.photo(80, 60, seed=seed))


def test_urls_and_paths_are_queued_without_a_daemon_and_done_by_the_next_one(tmp_path: Path) -> None:
    (tmp_path / "scan.jpg").write_bytes(photo(1))
    with WebServer() as web:
        web.on("/a.jpg", document(photo(2)))
        mill = Mill(tmp_path, net=LOCAL)
        result = mill.run("add", str(tmp_path / "scan.jpg"), web.url("/a.jpg"), "--label", "mine", "--priority", "5")
        assert result.returncode == 0, result.stderr
        path, url = result.stdout.splitlines()
        assert path.startswith(f"{mill.inbox}/scan.jpg: copied into the inbox")
        assert url == f"{web.url('/a.jpg')}: queued as job 1 for the next start"
        assert not web.requests
        done = mill.once()
        assert done.returncode == 0, done.stdout + done.stderr
        jobs = {job["source"]: job for job in mill.jobs()}
        job = jobs[web.url("/a.jpg")]
        assert (job["inbox"], job["outcome"], job["label"], job["priority"], job["found_by"]) == (
            "camera.urls",
            "published",
            "mine",
            5,
            "manual",
        )
        assert len(jobs) == 2
        assert len(web.asked("/a.jpg")) == 1
        # What is known is answered with its job, and asked of nobody.
        again = mill.run("add", web.url("/a.jpg"), "--json")
        assert json.loads(again.stdout)["added"][0]["note"] == f"known already: job {job['id']} is completed"
        assert again.returncode == 0


def test_a_running_daemon_fetches_what_is_added_at_once(tmp_path: Path) -> None:
    with WebServer() as web:
        web.on("/a.jpg", document(photo(1)))
        mill = Mill(tmp_path, net=LOCAL)
        mill.start()
        try:
            result = mill.run("add", web.url("/a.jpg"))
            assert result.returncode == 0, result.stderr
            # A job is completed once its renditions are owed; they are told of once they are there.
            mill.wait_for(lambda: any(job["outputs"] for job in mill.jobs("completed")))
            (job,) = mill.jobs()
            assert result.stdout == f"{web.url('/a.jpg')}: queued as job {job['id']}\n"
        finally:
            assert mill.stop() == 0


def test_u18_other_spellings_of_a_url_share_one_job(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    spellings = (
        b"https://EXAMPLE.org:443/a.jpg#x",
        b"https://me:secret@example.org/a.jpg",
        b"https://example.org/a.jpg",
    )
    told = ask_to_add(mill, *spellings)
    assert [one["job"] for one in told["added"]] == [1, 1, 1]
    assert [one["path"] for one in told["added"]] == ["https://example.org/a.jpg"] * 3
    assert [one["note"].split(":")[0].split(" for")[0] for one in told["added"]] == [
        "queued as job 1",
        *["known already"] * 2,
    ]


def test_u08_what_is_no_url_that_is_fetched_is_refused_at_once(tmp_path: Path) -> None:
    bad = {
        b"ftp://example.org/a.jpg": "only http and https",
        b"https://exa mple.org/": "there is a blank",
        b"https://me:secret@/a.jpg": "there is no host",
        b"gopher://127.0.0.1:70/": "only http and https",
    }
    mill = Mill(tmp_path)
    told = ask_to_add(mill, *bad)
    assert told["added"] == []
    for one, expected in zip(told["refused"], bad.values(), strict=True):
        assert expected in one["detail"]
        assert one["hint"]
    result = mill.run("add", "https://me:secret@/a.jpg")
    assert result.returncode == 1
    assert result.stderr.startswith("error: https://***@/a.jpg: there is no host\nhint: ")
    assert mill.jobs() == []


def test_u01_u08_what_the_policy_forbids_is_said_at_once_and_kept_as_a_discarded_job(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    added = ask_to_add(mill, b"http://127.1/a.jpg", b"https://example.org:22/a.jpg")["added"]
    assert all("it will be discarded without a request: " in one["note"] for one in added)
    assert mill.once().returncode == 3
    jobs = {job["id"]: (job["state"], job["reason"]) for job in mill.jobs()}
    assert jobs == {
        added[0]["job"]: ("discarded", "blocked-address"),
        added[1]["job"]: ("discarded", "blocked-port"),
    }


def test_who_takes_the_urls_is_never_guessed(tmp_path: Path) -> None:
    url = b"https://example.org/a.jpg"
    mill = Mill(tmp_path)
    assert ask_to_add(mill, url)["added"][0]["inbox"] == "camera.urls"
    mill.configure(dropfiles=[{"name": "list"}])
    assert ask_to_add(mill, url)["added"][0]["inbox"] == "list"
    assert ask_to_add(mill, url, inbox="camera")["added"][0]["inbox"] == "camera.urls"
    mill.configure(dropfiles=[{"name": "one"}, {"name": "two", "path": "more.txt"}], second_inbox={})
    with pytest.raises(Conflict) as caught:
        ask_to_add(mill, url)
    assert caught.value.hint == "--inbox N, one of one, two, camera, second"
    for name, expected in (("two", "two"), ("second", "second.urls"), ("second.urls", "second.urls")):
        assert ask_to_add(mill, url, inbox=name)["added"][0]["inbox"] == expected
    with pytest.raises(NotFound) as unknown:
        ask_to_add(mill, url, inbox="nowhere")
    assert unknown.value.hint == "inboxes: camera, second, one, two"


def test_a_drop_file_takes_no_paths(tmp_path: Path) -> None:
    mill = Mill(tmp_path, dropfiles=[{"name": "list"}])
    (tmp_path / "scan.jpg").write_bytes(photo(1))
    told = ask_to_add(mill, bytes(tmp_path / "scan.jpg"), inbox="list")
    assert told["added"] == []
    assert "list takes URLs alone" in told["refused"][0]["detail"]
    assert (tmp_path / "scan.jpg").exists()


def write_list(path: Path, rows: list[dict[str, str]]) -> None:
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        import pyarrow
        from pyarrow import parquet

        parquet.write_table(pyarrow.Table.from_pylist(rows), path)


@pytest.mark.long
@pytest.mark.parametrize("name", ["list.jsonl", "list.parquet"])
def test_a_list_goes_in_and_its_table_comes_out(tmp_path: Path, name: str) -> None:
    """What users of dataset tools do: a list with captions and digests, and a table of renditions with the same."""
    with WebServer() as web:
        rows = []
        for number in range(3):
            web.on(f"/{number}.jpg", document(photo(number)))
            digest = hashlib.sha256(photo(number if number < 2 else 7)).hexdigest()
            rows.append({"TEXT": f"=picture {number}", "SUM": digest, "LINK": web.url(f"/{number}.jpg")})
        write_list(tmp_path / name, rows)
        mill = Mill(tmp_path, net=LOCAL)
        columns = ("--url-column", "LINK", "--label-column", "TEXT", "--sha256-column", "SUM")
        result = mill.run("add", "--from", str(tmp_path / name), *columns)
        assert (result.returncode, result.stdout) == (0, "3 read: 3 new, 0 known, 0 refused\n"), result.stderr
        assert mill.once().returncode == 3
    exported = mill.run("export", "--format", "jsonl")
    assert exported.returncode == 0, exported.stderr
    told = {row["url"]: row for row in map(json.loads, exported.stdout.splitlines())}
    for row in rows[:2]:
        one = told[row["LINK"]]
        assert (one["label"], one["sha256"], one["status"]) == (row["TEXT"], row["SUM"], 200)
        assert one["fetched_at"]
        assert [Path(rendition["path"]).is_file() for rendition in one["renditions"]] == [True]
    assert told[rows[2]["LINK"]]["reason"] == "digest-mismatch"


@pytest.mark.long
def test_a_list_that_is_added_again_adds_nothing_twice(tmp_path: Path) -> None:
    lines = [f"https://example.org/{number}.jpg" for number in range(2500)]
    text = "\n".join(["url", *lines, "HTTPS://example.org:443/1.jpg#again", "ftp://example.org/1.jpg", "", "nonsense"])
    (tmp_path / "list.csv").write_text(text)
    mill = Mill(tmp_path)
    command = ("add", "--from", str(tmp_path / "list.csv"))
    first = mill.run(*command)
    assert first.returncode == 1
    assert first.stdout == "2,503 read: 2,500 new, 1 known, 2 refused\n"
    refused = [line for line in first.stderr.splitlines() if line.startswith("error: ")]
    assert [line.split(": ")[1] for line in refused] == ["line 2503", "line 2505"]
    told = json.loads(mill.run(*command, "--json").stdout)
    assert {key: told[key] for key in ("read", "new", "known", "blocked")} == {
        "read": 2503,
        "new": 0,
        "known": 2501,
        "blocked": 0,
    }
    assert [(one["line"], one["reason"]) for one in told["first_refused"]] == [
        (2503, "blocked-scheme"),
        (2505, "bad-url"),
    ]


@pytest.mark.long
def test_a_list_reaches_a_running_daemon_in_lots(tmp_path: Path) -> None:
    """Long URLs and labels of three bytes a character, so that a lot is bounded by what the daemon reads of a request."""
    (tmp_path / "list.csv").write_text(
        "url,label\n" + "".join(f"https://example.org/{'x' * 900}{n},{'字' * 900}\n" for n in range(1200))
    )
    mill = Mill(tmp_path)
    assert mill.run("pause").returncode == 0
    mill.start()
    try:
        result = mill.run("add", "--from", str(tmp_path / "list.csv"), "--label-column", "label")
        assert (result.returncode, result.stdout) == (0, "1,200 read: 1,200 new, 0 known, 0 refused\n"), result.stderr
        # Whatever the command line would not send is refused all the same.
        body = {
            "urls": [
                {"url": "https://example.org/", "line": 7, "fields": {"address": "x"}},
                {"url": "https://example.org/\ud800", "line": 8},
            ]
        }
        headers = {"content-type": "application/json"}
        answer = httpx.post(f"{mill.address}/api/v1/add/urls", content=json.dumps(body), headers=headers).json()
        assert [(one["line"], one["reason"]) for one in answer["refused"]] == [(7, "bad-line"), (8, "bad-url")]
    finally:
        assert mill.stop() == 0


@pytest.mark.long
def test_a_list_whose_reading_was_killed_goes_on_where_it_was_when_it_is_added_again(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    assert mill.run("pause").returncode == 0
    mill.start()
    try:
        rows = [json.dumps({"url": f"https://example.org/{number}.jpg"}) + "\n" for number in range(1500)]
        pipe, whole = tmp_path / "pipe.jsonl", tmp_path / "list.jsonl"
        os.mkfifo(pipe)
        whole.write_text("".join(rows))
        command = [PROGRAM, "add", "--from", str(pipe), "--config", str(mill.config)]
        started = subprocess.Popen(command, env=clean_environment(), stdout=subprocess.DEVNULL)
        with started as process, pipe.open("w") as file:
            file.write("".join(rows[:1200]))
            file.flush()
            # The first thousand are in the queue while the command waits for more.
            mill.wait_for(lambda: mill.get("/api/v1/status").json()["queue"]["available"] == 1000)
            process.kill()
        result = mill.run("add", "--from", str(whole))
        assert result.stdout == "1,500 read: 500 new, 1,000 known, 0 refused\n", result.stderr
        assert len(mill.all_jobs()) == 1500
        # Nothing was begun: all is paused.
        assert {job["state"] for job in mill.all_jobs()} == {"available"}
    finally:
        assert mill.stop() == 0


def test_what_is_wrong_with_a_list_is_one_line(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    (tmp_path / "list.csv").write_text("link,caption\nhttps://example.org/,x\n")
    (tmp_path / "list.txt").write_text("https://example.org/\n")
    result = mill.run("add", "--from", str(tmp_path / "list.csv"))
    assert result.returncode == 1
    assert "there is no column 'url'" in result.stderr
    assert "there are: link, caption" in result.stderr
    for arguments, told in (
        (("--from", "list.txt", "--url-column", "x"), "no columns"),
        (("x.jpg", "--from", "list.txt"), "give files and URLs, or a list"),
        (("x.jpg", "--label-column", "y"), "columns are those of a list"),
        ((), "give files and URLs, or a list"),
    ):
        result = mill.run("add", *arguments)
        assert result.returncode == 2
        assert told in " ".join(result.stderr.split())
    assert mill.jobs() == []
