"""What people see of URLs: drop-files, downloads under way and hosts at rest, by command line, page, metrics and health."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import pictures
from harness import Mill
from web import WebServer, answer, document, hang, trickle

NET = {
    "allow_networks": ["127.0.0.0/8"],
    "ports": ["1-65535"],
    "addresses": {"busy.example": ["127.0.0.1"], "slow.example": ["127.0.0.1"]},
}
SECRET = "correct-horse"
# So that nothing that is to be looked at ends by itself.
PATIENT = {"min_bytes_per_second": 0, "read_timeout_seconds": 600, "timeout_seconds": 900}
pytestmark = pytest.mark.long


@pytest.fixture
def web() -> Iterator[WebServer]:
    with WebServer() as server:
        yield server


def mill_with(folder: Path, lines: list[str], **options: Any) -> Mill:
    mill = Mill(folder, dropfiles=[{}, {"name": "later", "path": "later.txt"}], net=NET, **options)
    (folder / "urls.txt").write_text("".join(f"{line}\n" for line in lines))
    return mill


def status(mill: Mill) -> dict[str, Any]:
    told: dict[str, Any] = mill.get("/api/v1/status").json()
    return told


def dropfile(mill: Mill, name: str = "list") -> dict[str, Any]:
    (found,) = [one for one in status(mill)["dropfiles"] if one["name"] == name]
    return dict(found)


def picture(number: int) -> bytes:
    return pictures.jpeg(pictures.photo(64, 48, number))


def test_running_downloads_and_hosts_at_rest_are_seen_everywhere_and_credentials_nowhere(
    tmp_path: Path, web: WebServer
) -> None:
    web.on("/good.jpg", document(picture(1)))
    web.on("/slow.jpg", trickle(pictures.jpeg(pictures.photo(300, 300)), 5.0, 1024))
    web.on("/silent.jpg", hang())
    web.on("/busy.jpg", answer(status=429, headers={"Retry-After": "600"}))
    slow = web.url("/slow.jpg", host=f"someone:{SECRET}@slow.example")
    lines = [web.url("/good.jpg"), slow, web.url("/silent.jpg"), web.url("/busy.jpg", host="busy.example"), "ftp://x/y"]
    mill = mill_with(tmp_path, lines, downloads=PATIENT)
    mill.start()
    mill.wait_for(
        lambda: (
            dropfile(mill)["completed"] == 1
            and status(mill)["downloads"]["running"] == 2
            and status(mill)["downloads"]["resting"]["hosts"]
            and any(one["bytes"] for one in status(mill)["downloads"]["progress"])
        )
    )
    told = status(mill)
    one, later = told["dropfiles"]
    assert (one["line"], one["refused_lines"], one["behind_bytes"], one["trouble"]) == (5, 1, 0, "")
    assert (one["completed"], one["fetching"], one["waiting_to_fetch"]) == (1, 2, 1)
    assert one["results"] == str(tmp_path / "urls.txt.results.jsonl")
    assert (later["watch"], later["line"]) == ("missing", 0)
    assert told["downloads"]["running"] == 2 and told["downloads"]["waiting"] == 1
    (host,) = told["downloads"]["resting_hosts"]
    assert "busy.example" in host["origin"] and "429" in host["detail"] and 500 < host["rest_seconds"] <= 600
    progress = {one["url"].rpartition("/")[2]: one for one in told["downloads"]["progress"]}
    assert progress["slow.jpg"]["bytes"] < progress["slow.jpg"]["total_bytes"]
    assert progress["silent.jpg"]["bytes"] == 0 and progress["silent.jpg"]["total_bytes"] is None

    shown = mill.run("status").stdout
    for what in ("2 downloads running", "busy.example", "later.txt", "missing"):
        assert what in shown, shown
    page = mill.get("/").text
    assert "slow.jpg" in page and "at rest until" in page and "not there yet" in page
    assert 'href="http' not in page, "what is fetched is text: a link would tell its host of the page"
    assert mill.metric("dropmill_downloads_running") == 2 and mill.metric("dropmill_hosts_resting") == 1
    assert mill.metric("dropmill_lines_total") == 5
    metrics = mill.get("/metrics").text
    health = mill.get("/healthz")
    parts = {part["name"]: part for part in health.json()["parts"]}
    assert health.json()["status"] == "ok" and parts["drop-file later"]["detail"] == "not there yet"
    assert parts["downloads"]["detail"] == "2 running, 1 waiting, 1 host at rest"
    for text in (metrics, health.text):
        assert "example" not in text and "127.0.0.1" not in text, "open to everybody, so without hosts"
    for text in (json.dumps(told), shown, page, metrics, mill.log.read_text()):
        assert SECRET not in text
    assert mill.stop() == 0
    stopped = json.loads(mill.run("status", "--json").stdout)
    assert [(one["watch"], one["line"], one["behind_bytes"]) for one in stopped["dropfiles"]] == [
        ("stopped", 5, None),
        ("stopped", 0, None),
    ]
    assert stopped["downloads"]["waiting"] == 3 and not stopped["downloads"]["progress"]


def test_a_drop_file_that_cannot_be_read_is_told_with_its_remedy_and_in_health_until_it_can(
    tmp_path: Path, web: WebServer
) -> None:
    web.on("/good.jpg", document(picture(2)))
    mill = mill_with(tmp_path, [web.url("/good.jpg")])
    (tmp_path / "later.txt").mkdir()
    mill.start()
    mill.wait_for(lambda: dropfile(mill, "later")["trouble"])
    told = mill.get("/healthz")
    (part,) = [part for part in told.json()["parts"] if part["name"] == "drop-file later"]
    assert told.json()["status"] == "degraded" and part["status"] == "degraded"
    assert "directory" in part["detail"] and part["remedy"] and str(tmp_path) not in told.text
    mill.wait_for(lambda: dropfile(mill)["completed"] == 1)
    assert "needs a look" in mill.get("/").text
    (tmp_path / "later.txt").rmdir()
    (tmp_path / "later.txt").write_text(f"{web.url('/good.jpg')}?again\n")
    mill.wait_for(lambda: dropfile(mill, "later")["completed"] == 1)
    assert mill.get("/healthz").json()["status"] == "ok" and not dropfile(mill, "later")["trouble"]


def test_downloads_that_wait_for_room_on_the_disk_are_told_with_the_remedy(tmp_path: Path, web: WebServer) -> None:
    web.on("/good.jpg", document(picture(5)))
    mill = mill_with(tmp_path, [])
    mill.start()
    mill.configure(top={"min_free_mb": 1 << 40})
    mill.run("reload", check=True)
    (tmp_path / "urls.txt").write_text(web.url("/good.jpg") + "\n")

    def part() -> dict[str, Any]:
        (found,) = [one for one in mill.get("/healthz").json()["parts"] if one["name"] == "downloads"]
        return dict(found)

    mill.wait_for(lambda: part()["status"] == "degraded")
    assert "none is begun" in part()["detail"] and "min_free_mb" in part()["detail"] and part()["remedy"]
    assert not web.requests and str(tmp_path) not in mill.get("/healthz").text
    mill.configure(top={"min_free_mb": 0})
    mill.run("reload", check=True)
    mill.wait_for(lambda: dropfile(mill)["completed"] == 1)
    assert part()["status"] == "ok"


def test_urls_added_to_an_inbox_are_told_with_that_inbox(tmp_path: Path, web: WebServer) -> None:
    web.on("/good.jpg", document(picture(3)))
    mill = Mill(tmp_path, net=NET, urls=True)
    mill.start()
    assert status(mill)["inboxes"][0]["urls"] is None
    assert 'id="downloads"' not in mill.get("/").text
    mill.run("add", web.url("/good.jpg"), "--inbox", "camera", check=True)
    mill.wait_for(lambda: (status(mill)["inboxes"][0]["urls"] or {"completed": 0})["completed"] == 1)
    told = status(mill)
    assert told["dropfiles"] == [] and len(told["inboxes"]) == 1
    assert told["inboxes"][0]["completed"] == 0, "files and URLs are told apart"
    assert 'id="downloads"' in mill.get("/").text
    assert 'dropmill_queue_jobs{inbox="camera.urls",state="available"} 0.0' in mill.get("/metrics").text
    mill.drop("more.urls", b"not a url\n")
    mill.wait_for(lambda: status(mill)["inboxes"][0]["urls"]["refused_lines"] == 1)
    list_of_urls = mill.inbox / "more.urls"
    mill.wait_for(lambda: "a list of URLs" in mill.run("why", str(list_of_urls)).stdout)
    told = mill.run("why", str(list_of_urls), check=True).stdout
    assert "its lines: 1 refused" in told and "more.urls.results.jsonl" in told.replace("\n", "")


def test_once_counts_downloads_and_says_what_was_refused_and_what_has_to_wait(tmp_path: Path, web: WebServer) -> None:
    web.on("/good.jpg", document(picture(4)))
    web.on("/busy.jpg", answer(status=503, headers={"Retry-After": "600"}))
    lines = [web.url("/good.jpg"), web.url("/gone.jpg"), "not a url"]
    mill = mill_with(tmp_path, lines)
    done = mill.once()
    assert done.returncode == 3, done.stderr
    assert f"published {web.url('/good.jpg')} (" in done.stdout
    assert f"discarded {web.url('/gone.jpg')}: http-404" in done.stdout
    assert f"refused line 3 of {tmp_path}/urls.txt" in done.stdout and "refused lines" in done.stdout
    assert "1 URL fetched" in done.stdout
    with (tmp_path / "urls.txt").open("a") as file:
        file.write(web.url("/busy.jpg", host="busy.example") + "\n")
    left = mill.once()
    assert left.returncode == 0, left.stdout + left.stderr
    assert "1 URL of 1 host at rest stay" in left.stdout and "run again in 10 min" in left.stdout


def test_the_greeting_and_the_check_know_drop_files_where_there_is_no_inbox(tmp_path: Path) -> None:
    folder = tmp_path / "only"
    folder.mkdir()
    config = folder / "only.toml"
    config.write_text(
        f'state_dir = "{folder}/state"\n[http]\nbind = "127.0.0.1:0"\n[log]\nformat = "console"\n'
        f'[[dropfiles]]\nname = "list"\npath = "{folder}/urls.txt"\noutput = "{folder}/out"\n'
    )
    mill = Mill(tmp_path / "mill")
    checked = mill.run_with(config, "check", "--all")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"drop-file list {folder}/urls.txt: is not there yet" in checked.stdout
    mill.state, mill.config = folder / "state", config
    mill.start()
    mill.wait_for(lambda: f"append URLs to {folder}/urls.txt" in mill.log.read_text())
    page = mill.get("/").text
    assert "Append URLs to" in page and "Drop pictures into" not in page
    assert mill.stop() == 0
