"""The page, the API, health, metrics and the log of a real daemon with real pictures."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image


@dataclass
class Running:
    process: subprocess.Popen[bytes]
    folder: Path
    notify: socket.socket
    client: httpx.Client

    @property
    def log(self) -> list[dict[str, Any]]:
        whole = (self.folder / "log").read_text().splitlines(keepends=True)
        return [json.loads(line) for line in whole if line.endswith("\n")]

    def jobs(self) -> dict[str, dict[str, Any]]:
        """By file name."""
        return {Path(job["source"]).name: job for job in self.client.get("/api/v1/jobs").json()}


def until(found: Callable[[], Any], seconds: float = 30.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (answer := found()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return answer


def picture(path: Path, seed: int, size: tuple[int, int] = (640, 480)) -> bytes:
    gradient = Image.linear_gradient("L").resize(size)
    Image.merge("RGB", (gradient, gradient.rotate(90 * seed), gradient.point(lambda v: v * seed % 256))).save(path)
    return path.read_bytes()


def start(folder: Path, log_file: str) -> subprocess.Popen[bytes]:
    (folder / "in").mkdir()
    (folder / "dropmill.toml").write_text(
        f"""
        state_dir = "{folder}/state"
        [http]
        bind = "127.0.0.1:0"
        [log]
        file = "{log_file}"
        format = "json"
        level = "debug"
        [workers]
        processes = 1
        [[inboxes]]
        name = "camera"
        path = "{folder}/in"
        output = "{folder}/out"
        quarantine = "{folder}/quarantine"
        settle_seconds = 0.1
        incomplete_timeout_seconds = 0.2
        """
    )
    environment = {**os.environ, "NOTIFY_SOCKET": f"{folder}/notify"}
    command = [
        sys.executable,
        "-c",
        "from dropmill.cli import main; main()",
        "run",
        "--config",
        f"{folder}/dropmill.toml",
    ]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("mill")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(f"{folder}/notify")
        notify.settimeout(30)
        process = start(folder, f"{folder}/log")
        try:
            while b"READY=1" not in notify.recv(1000):
                pass  # What the start is at.
            # The log has a thread of its own, so its line may come after the service manager was told.
            address = until(lambda: page_in(folder / "log"))
            with httpx.Client(base_url=address) as client:
                running = Running(process, folder, notify, client)
                fill(running)
                yield running
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def page_in(log: Path) -> str | None:
    """Where the page is, once the log says that the daemon is ready."""
    whole = [json.loads(line) for line in log.read_text().splitlines(keepends=True) if line.endswith("\n")]
    return next((line["page"] for line in whole if line["event"] == "ready"), None)


def fill(running: Running) -> None:
    """One published, one duplicate of it, one broken, one that is not ours."""
    inbox = running.folder / "in"
    whole = picture(running.folder / "whole.jpg", 1)
    (inbox / "first.jpg").write_bytes(whole)
    until(lambda: running.jobs().get("first.jpg", {}).get("outputs"))
    (inbox / "copy <b>.jpg").write_bytes(whole)
    (inbox / "broken.jpg").write_bytes(b"")
    (inbox / "notes.txt").write_text("no picture")
    until(lambda: sum(job["state"] in {"completed", "discarded"} for job in running.jobs().values()) == 3)
    until(lambda: any(line["event"] == "ignored" for line in running.log))


def test_the_page_shows_outcomes_with_pictures(daemon: Running) -> None:
    page = daemon.client.get("/").text
    first = daemon.jobs()["first.jpg"]
    assert f"/api/v1/renditions/{first['renditions'][0]['id']}" in page
    assert "copy &lt;b&gt;.jpg" in page and "<b>.jpg" not in page
    assert "of first.jpg" in page and "the file has no bytes" in page and "Retry" in page
    assert str(daemon.folder / "in") in page.replace("<wbr>", "")
    assert "style=" not in page and "onclick" not in page and "http://" not in page.replace("http://www.w3.org", "")


def test_renditions_are_the_published_files(daemon: Running) -> None:
    for rendition in daemon.jobs()["first.jpg"]["renditions"]:
        answer = daemon.client.get(f"/api/v1/renditions/{rendition['id']}")
        assert answer.headers["content-type"] == "image/jpeg"
        assert answer.content == Path(rendition["path"]).read_bytes()
    assert daemon.client.get("/api/v1/renditions/999").status_code == 404


def test_health_and_metrics_show_no_paths(daemon: Running) -> None:
    for path in ("/livez", "/readyz", "/healthz", "/metrics"):
        answer = daemon.client.get(path)
        assert answer.status_code == 200
        assert str(daemon.folder) not in answer.text and ".jpg" not in answer.text, path
    assert daemon.client.get("/healthz").json()["status"] == "ok"


def test_metrics_tell_what_happened_and_promtool_accepts_them(daemon: Running) -> None:
    text = daemon.client.get("/metrics").text
    for line in (
        'dropmill_jobs_total{inbox="camera",outcome="published"} 1.0',
        'dropmill_jobs_total{inbox="camera",outcome="duplicate"} 1.0',
        'dropmill_jobs_discarded_total{inbox="camera",reason="empty"} 1.0',
        'dropmill_renditions_total{inbox="camera"} 2.0',
        'dropmill_inbox_up{inbox="camera"} 1.0',
        'dropmill_queue_jobs{inbox="camera",state="available"} 0.0',
        "dropmill_ready 1.0",
    ):
        assert line in text
    assert re.search(r'dropmill_stage_seconds_count\{stage="process"\} [1-9]', text)
    assert re.search(r"^process_resident_memory_bytes ", text, re.MULTILINE)
    promtool = shutil.which("promtool")
    if promtool is None:
        if os.environ.get("DROPMILL_REQUIRE_ALL") == "1":
            pytest.fail("promtool is not installed")
        pytest.skip("promtool is not installed (apt-get install prometheus)")
    checked = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_the_log_tells_each_file_in_one_line_with_reason_and_remedy(daemon: Running) -> None:
    (broken,) = [line for line in daemon.log if line["event"] == "discarded"]
    assert broken["path"] == str(daemon.folder / "in" / "broken.jpg") and broken["job_id"]
    assert broken["reason"] == "empty" and broken["remedy"]
    (ignored,) = [line for line in daemon.log if line["event"] == "ignored"]
    assert ignored["path"].endswith("/notes.txt") and ignored["remedy"]
    about_jobs = [line for line in daemon.log if "job_id" in line]
    assert about_jobs and all(line.get("path") or line["event"] == "a worker said" for line in about_jobs)


def test_the_buttons_work_without_a_script(daemon: Running) -> None:
    answer = daemon.client.post("/act/pause", data={"inbox": ""})
    assert answer.status_code == 303
    assert "Paused" in daemon.client.get("/").text
    assert daemon.client.get("/api/v1/status").json()["paused"] is True
    daemon.client.post("/act/resume", data={"inbox": ""})
    assert daemon.client.get("/api/v1/status").json()["paused"] is False
    refused = daemon.client.post("/act/retry", data={"job": str(daemon.jobs()["first.jpg"]["id"])})
    assert refused.status_code == 409 and 'role="alert"' in refused.text
    assert daemon.client.post("/act/nothing").status_code == 404


def test_what_the_api_cannot_find_is_a_problem_with_a_hint(daemon: Running) -> None:
    answer = daemon.client.get("/api/v1/jobs/12345")
    assert answer.status_code == 404 and answer.json()["hint"]
    assert daemon.client.get("/api/v1/jobs", params={"state": "lost"}).json()["reason"] == "not-found"
    assert daemon.client.post("/api/v1/pause", json={"inbox": "none"}).status_code == 404


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full is not there")
def test_s14_with_a_full_log_destination_pictures_are_processed_and_the_end_is_orderly(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(f"{tmp_path}/notify")
        notify.settimeout(30)
        process = start(tmp_path, "/dev/full")
        try:
            while b"READY=1" not in notify.recv(1000):
                pass  # What the start is at.
            picture(tmp_path / "in" / "a.jpg", 1)
            until(lambda: (tmp_path / "out" / "a-thumb.jpg").exists())
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
            seen = b""
            notify.settimeout(0.5)
            while b"STOPPING=1" not in seen:
                seen = notify.recv(1000)
        finally:
            process.kill()
            process.wait()
