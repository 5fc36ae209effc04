"""The way of a URL through the whole product: from a line of a drop-file to renditions, results and what is told of it."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

import pictures
from harness import Mill
from web import Exchange, Gate, WebServer, answer, document, in_turn, redirect

LOCAL = {"allow_networks": ["127.0.0.0/8"], "ports": ["1-65535"]}
SWIFT = {"retry_base_seconds": 0.1, "breaker_rest_seconds": 0.2}


def photo(seed: int) -> bytes:
    return pictures.jpeg(pictures.photo(120, 90, seed=seed))


def mill_of(root: Path, **options: Any) -> Mill:
    dropfile = options.pop("dropfile", {})
    return Mill(root, **{"dropfiles": [dropfile], "net": LOCAL, "downloads": SWIFT, **options})


def append(mill: Mill, *lines: str) -> None:
    with (mill.root / "urls.txt").open("a") as file:
        file.write("".join(f"{line}\n" for line in lines))


def results(mill: Mill) -> list[dict[str, Any]]:
    path = mill.root / "urls.txt.results.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def stored(mill: Mill) -> list[str]:
    """What lies in the private folders of downloads."""
    return [name for _, _, names in os.walk(mill.state / "downloads") for name in names]


def test_every_line_becomes_renditions_named_by_content_and_a_result(tmp_path: Path) -> None:
    data = [photo(number) for number in range(3)]
    with WebServer() as web:
        for number, one in enumerate(data):
            web.on(f"/{number}.jpg", document(one))
        mill = mill_of(tmp_path)
        append(mill, *(web.url(f"/{number}.jpg") + f"\tlabel=l{number}" for number in range(3)))
        done = mill.once()
        assert done.returncode == 0, done.stdout + done.stderr
        told = {one["line"]: one for one in results(mill)}
        assert sorted(told) == [1, 2, 3]
        for number, one in enumerate(data):
            sha256 = hashlib.sha256(one).hexdigest()
            result = told[number + 1]
            assert (result["outcome"], result["sha256"], result["label"]) == ("published", sha256, f"l{number}")
            (rendition,) = result["renditions"]
            assert rendition["path"] == str(mill.output / sha256[:2] / f"{sha256}-t.jpg")
            assert Path(rendition["path"]).exists()
        assert stored(mill) == []
        assert [job["state"] for job in mill.jobs()] == ["completed"] * 3
        # Nothing is new to the next run, and nobody is asked again.
        asked = len(web.requests)
        assert mill.once().returncode == 0
        assert len(results(mill)) == 3
        assert len(web.requests) == asked


def test_a_running_daemon_takes_what_is_appended(tmp_path: Path) -> None:
    with WebServer() as web:
        web.on("/a.jpg", document(photo(1)))
        web.on("/b.jpg", document(photo(2)))
        mill = mill_of(tmp_path)
        mill.start()
        append(mill, web.url("/a.jpg"))
        mill.wait_for(lambda: len(results(mill)) == 1)
        append(mill, web.url("/b.jpg"))
        mill.wait_for(lambda: len(results(mill)) == 2)
        assert {job["inbox"] for job in mill.jobs()} == {"list"}
        assert len(mill.outputs()) == 2


def test_provenance_is_in_the_job_in_the_story_and_in_the_receipt(tmp_path: Path) -> None:
    with WebServer() as web:
        web.on("/old.jpg", redirect("/new.jpg"))
        web.on("/new.jpg", document(photo(1), etag='"v1"'))
        mill = mill_of(tmp_path, dropfile={"receipts": True})
        secret = web.url("/old.jpg").replace("http://", "http://me:secret@")
        append(mill, secret)
        done = mill.once()
        assert done.returncode == 0, done.stderr
        (job,) = mill.jobs()
        assert job["source"] == web.url("/old.jpg")
        download = job["download"]
        assert (download["final_url"], download["redirects"], download["address"]) == (
            web.url("/new.jpg"),
            [web.url("/old.jpg")],
            "127.0.0.1",
        )
        assert (download["status"], download["etag"]) == (200, '"v1"')
        receipt = json.loads(next(path for path in mill.output.rglob("*.json")).read_text())
        assert receipt["source"] == web.url("/old.jpg")
        assert receipt["download"]["final_url"] == web.url("/new.jpg")
        for told in (mill.run("why", web.url("/old.jpg")), mill.run("why", str(job["id"])), mill.run("why", secret)):
            assert told.returncode == 0, told.stderr
            assert "downloaded from" in told.stdout
            assert "by way of 1 redirect" in told.stdout
            assert "line 1 of list" in told.stdout
        everything = [told.stdout, done.stdout, done.stderr, json.dumps(results(mill)), json.dumps(job)]
        everything += [path.read_text() for path in mill.output.rglob("*.json")]
        assert not [text for text in everything if "secret" in text]


def test_u12_what_is_no_picture_goes_to_quarantine_with_the_name_of_its_url(tmp_path: Path) -> None:
    with WebServer() as web:
        web.on("/cut.jpg", document(photo(1)[:900]))
        web.on("/page.jpg", document(b"<html><body>Not found</body></html>", headers={"Content-Type": "image/jpeg"}))
        mill = mill_of(tmp_path, dropfile={"quarantine": "broken"})
        append(mill, web.url("/cut.jpg"), web.url("/page.jpg"))
        assert mill.once().returncode == 3
        told = {one["line"]: (one["outcome"], one["reason"]) for one in results(mill)}
        assert told == {1: ("discarded", "truncated"), 2: ("discarded", "not-an-image")}
        kept = sorted(path.name for path in (tmp_path / "broken").iterdir())
        assert kept == ["cut.jpg", "cut.jpg.reason.json"]
        reason = json.loads((tmp_path / "broken" / "cut.jpg.reason.json").read_text())
        assert reason["path"] == web.url("/cut.jpg")
        assert stored(mill) == []


def test_originals_are_kept_by_content_once_each(tmp_path: Path) -> None:
    with WebServer() as web:
        for name in ("/a.jpg", "/b.jpg"):
            web.on(name, document(photo(1)))
        mill = mill_of(tmp_path, dropfile={"originals": "originals"})
        append(mill, web.url("/a.jpg"), web.url("/b.jpg"))
        assert mill.once().returncode == 0
        sha256 = hashlib.sha256(photo(1)).hexdigest()
        kept = [path for path in (tmp_path / "originals").rglob("*") if path.is_file()]
        assert kept == [tmp_path / "originals" / sha256[:2] / f"{sha256}.jpg"]
        assert sorted(one["outcome"] for one in results(mill)) == ["duplicate", "published"]
        assert stored(mill) == []
        assert len(mill.outputs()) == 1


@pytest.mark.long
def test_a_picture_that_lies_in_an_inbox_too_is_known(tmp_path: Path) -> None:
    """One queue, one catalog: what came as a file is not rendered again because it comes by URL, in the same output."""
    with WebServer() as web:
        web.on("/a.jpg", document(photo(1)))
        mill = mill_of(tmp_path)
        mill.drop("a.jpg", photo(1))
        assert mill.once().returncode == 0
        append(mill, web.url("/a.jpg"))
        assert mill.once().returncode == 0
        (result,) = results(mill)
        assert result["outcome"] == "duplicate"
        assert [one["path"] for one in result["renditions"]] == [str(mill.output / "a-t.jpg")]


@pytest.mark.long
def test_a_discarded_url_is_tried_again_by_hand_and_told_of_again(tmp_path: Path) -> None:
    with WebServer() as web:
        web.on("/a.jpg", in_turn(answer(status=404), document(photo(1))))
        mill = mill_of(tmp_path)
        mill.start()
        append(mill, web.url("/a.jpg"))
        mill.wait_for(lambda: results(mill))
        (job,) = mill.jobs()
        assert (job["state"], job["reason"]) == ("discarded", "http-404")
        again = mill.run("retry", str(job["id"]))
        assert again.returncode == 0, again.stderr
        mill.wait_for(lambda: len(results(mill)) == 2)
        assert [one["outcome"] for one in results(mill)] == ["discarded", "published"]
        assert [one["line"] for one in results(mill)] == [1, 1]


@pytest.mark.long
def test_a_published_url_is_rendered_again_from_its_url(tmp_path: Path) -> None:
    with WebServer() as web:
        web.on("/a.jpg", document(photo(1)))
        mill = mill_of(tmp_path)
        append(mill, web.url("/a.jpg"))
        assert mill.once().returncode == 0
        (before,) = mill.outputs()
        (mill.output / before).unlink()
        again = mill.run("reprocess", web.url("/a.jpg"))
        assert again.returncode == 0, again.stderr
        assert mill.once().returncode == 0
        assert mill.outputs() == [before]
        assert len(web.asked("/a.jpg")) == 2
        assert stored(mill) == []


@pytest.mark.long
def test_a_url_whose_original_was_kept_is_rendered_again_from_it_under_its_names(tmp_path: Path) -> None:
    with WebServer() as web:
        web.on("/a.jpg", document(photo(1)))
        names = "{dir}/{line}-{stem}-{rendition}.{ext}"
        mill = mill_of(tmp_path, dropfile={"originals": "originals", "names": names})
        append(mill, "# a comment", web.url("/a.jpg") + "\tdir=cats\tname=siam.png")
        assert mill.once().returncode == 0
        assert mill.outputs() == ["cats/2-siam-t.jpg"]
        for target in (("1",), ("2",), ("--inbox", "list")):
            assert mill.run("reprocess", *target).returncode == 0
            assert mill.once().returncode == 0
            assert mill.outputs() == ["cats/2-siam-t.jpg"]
        assert len(web.asked("/a.jpg")) == 1
        again = mill.jobs()[0]
        assert (again["outcome"], again["source"]) == ("published", web.url("/a.jpg"))
        # Where it is gone from there, it is at the URL, and keeps its names.
        (original,) = (path for path in (tmp_path / "originals").rglob("*.jpg"))
        original.unlink()
        assert mill.run("reprocess", "1").returncode == 0
        assert mill.once().returncode == 0
        assert mill.outputs() == ["cats/2-siam-t.jpg"]
        assert len(web.asked("/a.jpg")) == 2


@pytest.mark.long
def test_a_rendition_that_was_lost_is_there_again_when_its_url_is_fetched_again(tmp_path: Path) -> None:
    with WebServer() as web:
        web.on("/a.jpg", document(photo(1)))
        mill = mill_of(tmp_path, dropfile={"on_repeat": "fetch"})
        append(mill, web.url("/a.jpg"))
        assert mill.once().returncode == 0
        (lost,) = mill.outputs()
        (mill.output / lost).unlink()
        append(mill, web.url("/a.jpg"))
        assert mill.once().returncode == 0
        assert mill.outputs() == [lost]
        assert results(mill)[-1]["renditions"]
        assert stored(mill) == []


def test_cancelling_a_download_ends_it_and_leaves_nothing(tmp_path: Path) -> None:
    gate = Gate()
    with WebServer() as web:
        web.on("/slow.jpg", gate(document(photo(1))))
        mill = mill_of(tmp_path)
        mill.start()
        append(mill, web.url("/slow.jpg"))
        mill.wait_for(lambda: web.asked("/slow.jpg"))
        (job,) = mill.jobs()
        assert (job["state"], job["phase"]) == ("executing", "fetch")
        assert mill.run("cancel", str(job["id"])).returncode == 0
        mill.wait_for(lambda: results(mill))
        assert results(mill)[0]["outcome"] == "cancelled"
        mill.wait_for(lambda: stored(mill) == [])
        gate.open()
        assert mill.outputs() == []


@pytest.mark.long
def test_u11_a_part_outlives_a_kill_between_two_attempts_and_goes_with_its_job_that_is_cancelled(
    tmp_path: Path,
) -> None:
    data = photo(1)

    async def broken_off(exchange: Exchange) -> None:
        await exchange.head(200, {"Content-Length": str(len(data)), "ETag": '"1"'})
        await exchange.send(data[:2000])
        exchange.close()

    with WebServer() as web:
        web.on("/a.jpg", broken_off)
        mill = mill_of(tmp_path, downloads={"retry_base_seconds": 60, "retry_cap_seconds": 100})
        mill.start()
        append(mill, web.url("/a.jpg"))
        mill.wait_for(lambda: mill.jobs("scheduled"))
        assert sorted(stored(mill)) == ["1.part", "1.part.json"]
        mill.kill()
        mill.start()
        assert sorted(stored(mill)) == ["1.part", "1.part.json"], "the next attempt goes on with it"
        cancelled = mill.run("cancel", "1")
        assert cancelled.returncode == 0, cancelled.stderr
        mill.wait_for(lambda: stored(mill) == [])


@pytest.mark.long
def test_a_paused_dropfile_fetches_nothing(tmp_path: Path) -> None:
    with WebServer() as web:
        web.on("/a.jpg", document(photo(1)))
        mill = mill_of(tmp_path)
        assert mill.run("pause", "list").returncode == 0
        mill.start()
        append(mill, web.url("/a.jpg"))
        mill.wait_for(lambda: mill.jobs("available"))
        assert "paused" in mill.run("why", web.url("/a.jpg")).stdout
        assert mill.run("pause", "camera").returncode == 0
        assert mill.run("add", web.url("/b.jpg"), "--inbox", "camera").returncode == 0
        assert "dropmill resume camera\n" in mill.run("why", web.url("/b.jpg")).stdout
        assert not web.connections
        assert mill.run("resume", "list").returncode == 0
        mill.wait_for(lambda: results(mill))
        assert results(mill)[0]["outcome"] == "published"


@pytest.mark.long
@pytest.mark.parametrize("policy", ["skip", "revalidate", "fetch"])
def test_a_line_that_repeats_a_known_url(tmp_path: Path, policy: str) -> None:
    with WebServer() as web:
        web.on("/a.jpg", document(photo(1), etag='"v1"'))
        mill = mill_of(tmp_path, dropfile={"on_repeat": policy})
        append(mill, web.url("/a.jpg"))
        assert mill.once().returncode == 0
        append(mill, web.url("/a.jpg"))
        assert mill.once().returncode == 0
        outcomes = [one["outcome"] for one in results(mill)]
        statuses = [one.status for one in web.asked("/a.jpg")]
        assert (outcomes, statuses) == {
            "skip": (["published", "published"], [200]),
            "revalidate": (["published", "unchanged"], [200, 304]),
            "fetch": (["published", "unchanged"], [200, 200]),
        }[policy]
        assert stored(mill) == []
        assert len(mill.outputs()) == 1


def test_u11_a_killed_daemon_goes_on_where_it_was(tmp_path: Path) -> None:
    big = pictures.png(pictures.photo(900, 700, seed=5))
    with WebServer(bytes_per_second=len(big) // 2) as web:
        web.on("/big.png", document(big, etag='"v1"'))
        mill = mill_of(tmp_path)
        mill.start()
        append(mill, web.url("/big.png"))

        def part() -> int:
            return sum(path.stat().st_size for path in (mill.state / "downloads").rglob("*.part"))

        mill.wait_for(lambda: part() > len(big) // 4)
        mill.kill()
        there = part()
        mill.start()
        mill.wait_for(lambda: results(mill))
        assert results(mill)[0]["outcome"] == "published"
        first, second = web.asked("/big.png")
        assert (first.range, second.range) == ("", f"bytes={there}-")
        mill.wait_for(
            lambda: stored(mill) == []
        )  # A result is told once renditions are visible; the download goes then.


@pytest.mark.long
def test_reload_keeps_urls_and_takes_up_a_new_dropfile(tmp_path: Path) -> None:
    with WebServer() as web:
        web.on("/a.jpg", document(photo(1)))
        mill = mill_of(tmp_path)
        mill.start()
        (tmp_path / "more.txt").write_text(web.url("/a.jpg") + "\n")
        mill.configure(dropfiles=[{}, {"name": "more", "path": "more.txt"}])
        assert mill.run("reload").returncode == 0
        mill.wait_for(lambda: (tmp_path / "more.txt.results.jsonl").exists())
        assert [job["inbox"] for job in mill.jobs()] == ["more"]


def test_once_ends_where_a_dropfile_cannot_be_read(tmp_path: Path) -> None:
    mill = mill_of(tmp_path)
    (tmp_path / "urls.txt").mkdir()
    done = mill.once()
    assert done.returncode == 1
    assert "is no file but a directory" in done.stdout


@pytest.mark.long
@pytest.mark.parametrize("why", ["paused", "rest"])
def test_once_ends_where_lines_wait_in_their_file_for_jobs_that_wait(tmp_path: Path, why: str) -> None:
    with WebServer() as web:
        web.on("/*", answer(status=429, headers={"Retry-After": "3000"}))
        mill = mill_of(tmp_path, queue={"high_water_jobs": 5})
        append(mill, *(web.url(f"/{number}.jpg") for number in range(1500)))
        if why == "paused":
            assert mill.run("pause", "list").returncode == 0
        done = mill.once()
        assert done.returncode == 0, done.stdout + done.stderr
        assert len(mill.jobs("available")) >= 5


@pytest.mark.long
def test_once_takes_every_line_though_more_wait_in_their_file_than_may_wait_as_jobs(tmp_path: Path) -> None:
    with WebServer() as web:
        web.on("/*", answer(status=404))
        mill = mill_of(tmp_path, queue={"high_water_jobs": 5})
        append(mill, *(web.url(f"/{number}.jpg") for number in range(1200)))
        assert mill.once().returncode == 3
        assert len(results(mill)) == 1200


def test_u01_the_shipped_policy_reaches_nothing_on_this_machine(tmp_path: Path) -> None:
    with WebServer() as web:
        mill = mill_of(tmp_path, net={"ports": ["1-65535"]})
        append(mill, web.url("/a.jpg"), web.url("/a.jpg", host="localhost"))
        assert mill.once().returncode == 3
        assert [one["reason"] for one in results(mill)] == ["blocked-address"] * 2
        assert not web.connections


@pytest.mark.long
def test_without_its_netrc_file_nothing_is_asked_for_and_no_url_is_lost(tmp_path: Path) -> None:
    with WebServer() as web:
        web.on("/a.jpg", document(photo(1)))
        mill = mill_of(tmp_path, downloads={**SWIFT, "netrc": str(tmp_path / "netrc")})
        append(mill, web.url("/a.jpg"))
        done = mill.once()
        assert done.returncode == 2, done.stdout + done.stderr
        assert f"the netrc file {tmp_path / 'netrc'} cannot be read" in done.stderr
        assert (web.asked(), results(mill)) == ([], [])
        (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
        done = mill.once()
        assert done.returncode == 0, done.stdout + done.stderr
        assert [one["outcome"] for one in results(mill)] == ["published"]
        assert web.asked("/a.jpg")[0].headers["authorization"].startswith("Basic ")
        assert "secret" not in done.stdout + done.stderr + (mill.root / "urls.txt.results.jsonl").read_text()
