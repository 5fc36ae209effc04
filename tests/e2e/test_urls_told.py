"""What people are told of URLs: originals of duplicates, stories by any name, redirects, interruptions."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any, cast

import pytest

import pictures
from harness import PROGRAM, Mill, clean_environment
from web import Gate, WebServer, answer, document, in_turn, redirect


def photo(seed: int) -> bytes:
    return pictures.jpeg(pictures.photo(120, 90, seed=seed))


def mill_of(root: Path, **options: Any) -> Mill:
    net = {"allow_networks": ["127.0.0.0/8"], "ports": ["1-65535"]}
    return Mill(root, **{"dropfiles": [{}], "net": net, "downloads": {"retry_base_seconds": 0.1}, **options})


def append(mill: Mill, *lines: str) -> None:
    with (mill.root / "urls.txt").open("a") as file:
        file.write("".join(f"{line}\n" for line in lines))


@pytest.mark.long
def test_a_duplicate_leans_on_the_picture_of_its_own_output_wherever_it_is_told(tmp_path: Path) -> None:
    """The same bytes were published from an inbox with another output first."""
    with WebServer() as web:
        web.on("/first.jpg", document(photo(1)))
        web.on("/second.jpg", document(photo(1)))
        mill = mill_of(tmp_path, output="elsewhere")
        mill.drop("picture.jpg", photo(1))
        assert mill.once().returncode == 0
        append(mill, web.url("/first.jpg"))
        assert mill.once().returncode == 0
        append(mill, web.url("/second.jpg"))
        done = mill.once()
        assert f"duplicate {web.url('/second.jpg')} of {web.url('/first.jpg')} (" in done.stdout
        newest, first, _ = mill.jobs()
        assert newest["duplicate_of"] == {"job": first["id"], "source": web.url("/first.jpg"), "tier": "bytes"}
        assert f"duplicate of {web.url('/first.jpg')}" in mill.run("why", web.url("/second.jpg")).stdout
        exported = mill.run("export", "--format", "jsonl", check=True).stdout
        assert json.loads(exported.splitlines()[-1])["duplicate_of"] == first["id"]
        trial = tmp_path / "trial.jpg"
        trial.write_bytes(photo(1))
        tried = mill.run("try", str(trial), "--inbox", "list")
        assert f"the same bytes as {web.url('/first.jpg')}" in tried.stdout, tried.stderr


@pytest.mark.long
def test_why_tells_a_url_by_file_name_and_by_rendition_as_a_url(tmp_path: Path) -> None:
    with WebServer() as web:
        web.on("/p01.jpg", document(photo(1)))
        mill = mill_of(tmp_path)
        append(mill, web.url("/p01.jpg"))
        assert mill.once().returncode == 0
        (rendition,) = mill.jobs()[0]["outputs"]
        for target in ("p01.jpg", rendition):
            told = mill.run("why", target)
            assert told.returncode == 0 and web.url("/p01.jpg") in told.stdout, told.stdout + told.stderr
            assert "downloads/list" not in told.stdout
            assert "queued as job 1 of drop-file list" in told.stdout
            assert "download began" in told.stdout and "attempt 1 began" in told.stdout
            assert "attempt 2" not in told.stdout
        tried = mill.run("try", web.url("/p01.jpg"))
        assert tried.returncode == 1 and "is a URL" in tried.stderr


@pytest.mark.long
def test_the_story_of_a_retried_url_is_in_order(tmp_path: Path) -> None:
    with WebServer() as web:
        web.on("/late.jpg", in_turn(answer(status=404), document(photo(1))))
        mill = mill_of(tmp_path)
        append(mill, web.url("/late.jpg"))
        assert mill.once().returncode == 3
        mill.run("retry", "1", check=True)
        assert mill.once().returncode == 0
        lines = mill.run("why", "1").stdout.splitlines()
        order = [
            "asked for by line 1 of list",
            "download began",
            "download ended, discarded: http-404",
            "queued once more",
            "download 2 began",
            "attempt 1 began",
        ]
        at = [next(number for number, line in enumerate(lines) if text in line) for text in order]
        assert at == sorted(at), lines


def test_u06_a_blocked_redirect_names_where_it_led(tmp_path: Path) -> None:
    with WebServer() as web:
        web.on("/go.jpg", redirect("http://me:secret@10.0.0.5/x.jpg"))
        mill = mill_of(tmp_path)
        append(mill, web.url("/go.jpg"))
        done = mill.once()
        assert done.returncode == 3
        result = json.loads((mill.root / "urls.txt.results.jsonl").read_text())
        assert result["detail"].startswith("redirected to http://10.0.0.5/x.jpg: ")
        for told in (done.stdout, mill.run("why", web.url("/go.jpg")).stdout):
            assert "redirected to http://10.0.0.5/x.jpg: " in told and "secret" not in told


def test_once_that_is_interrupted_says_so_and_what_is_left(tmp_path: Path) -> None:
    gate = Gate()
    with WebServer() as web:
        web.on("/slow.jpg", gate(document(photo(1))))
        mill = mill_of(tmp_path, top={"shutdown_timeout_seconds": 1.0})
        append(mill, web.url("/slow.jpg"))
        command = [PROGRAM, "run", "--once", "--config", str(mill.config)]
        running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=clean_environment())
        mill.wait_for(lambda: web.requests)
        running.send_signal(signal.SIGINT)
        text, _ = running.communicate(timeout=60)
        gate.open()
        assert running.returncode == 130
        assert "interrupted by SIGINT: 1 job stays in the queue" in text and "nothing to do" not in text


def test_a_path_without_a_scheme_is_told_of_it_where_there_is_no_inbox(tmp_path: Path) -> None:
    config = tmp_path / "lists.toml"
    config.write_text(
        f'state_dir = "{tmp_path / "state"}"\n[[dropfiles]]\nname = "list"\npath = "urls.txt"\noutput = "out"\n'
    )
    done = mill_of(tmp_path).run_with(config, "add", "localhost:8080/x.jpg")
    assert done.returncode == 1
    assert "https:// goes before it if it is meant as a URL" in done.stderr


@pytest.mark.long
def test_w41_a_second_daemon_on_the_same_drop_file_reads_nothing_of_it(tmp_path: Path) -> None:
    with WebServer() as web:
        web.on("/first.jpg", document(photo(1)))
        web.on("/second.jpg", document(photo(2)))
        mill = mill_of(tmp_path)
        append(mill, web.url("/first.jpg"))
        mill.start()
        assert mill.process is not None
        mill.wait_for(lambda: len(mill.jobs("completed")) == 1)
        text = mill.config.read_text()
        assert str(mill.state) in text and 'path = "in"' in text
        other = tmp_path / "other.toml"
        (tmp_path / "in2").mkdir()
        text = text.replace(str(mill.state), str(tmp_path / "state2")).replace('path = "in"', 'path = "in2"')
        other.write_text(text)

        def jobs_of(config: Path) -> list[dict[str, Any]]:
            told = mill.run_with(config, "jobs", "--json")
            assert told.returncode == 0, told
            return cast("list[dict[str, Any]]", json.loads(told.stdout))

        refused = mill.run_with(other, "run", "--once")
        assert f"is read by another daemon, pid {mill.process.pid}" in " ".join(refused.stderr.split()), refused
        assert "give this one a drop-file of its own" in " ".join(refused.stderr.split())
        assert jobs_of(other) == []
        assert mill.stop() == 0
        append(mill, web.url("/second.jpg"))
        mill.run_with(other, "run", "--once")
        assert len(jobs_of(other)) == 2, "nobody reads it any more"
