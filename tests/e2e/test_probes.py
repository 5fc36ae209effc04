"""Probes as a kubelet sends them, from a start that is held up to the last job of a shutdown."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

import pictures
from faulty_fs import FaultyFs
from harness import Mill

pytestmark = pytest.mark.long

TOKEN = "0123456789abcdef0123456789abcdef"
# A kubelet names the pod's address, which nobody configured, and brings no token.
KUBELET = {"host": "10.244.1.7:8686", "user-agent": "kube-probe/1.37"}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[FaultyFs]:
    with FaultyFs(tmp_path / "disk") as disk:
        yield disk


def mill_on(tmp_path: Path, disk: FaultyFs) -> Mill:
    """One worker, an output on a disk that may hang, and the address of a pod."""
    renditions = [{"name": "a", "scale": 1.0, "format": "avif"}]
    (disk.mount / "out").mkdir()
    output = str(disk.mount / "out")
    mill = Mill(tmp_path / "mill", output=output, renditions=renditions, workers={"processes": 1})
    (mill.root / "token").write_text(TOKEN)
    opened = '[http]\ntoken_file = "token"\nbind = "0.0.0.0:0"'
    mill.config.write_text(mill.config.read_text().replace('[http]\nbind = "127.0.0.1:0"', opened))
    return mill


def probe(mill: Mill, path: str) -> httpx.Response:
    return mill.get(path, headers=KUBELET)


def probed(mill: Mill) -> tuple[int, int]:
    """What a liveness and a start-up probe are told; 0 where nobody answers."""
    try:
        return probe(mill, "/livez").status_code, probe(mill, "/readyz").status_code
    except (OSError, ValueError, httpx.HTTPError):
        return 0, 0


def part(mill: Mill, name: str) -> dict[str, Any]:
    return next(dict(part) for part in probe(mill, "/healthz").json()["parts"] if part["name"] == name)


def workers(mill: Mill) -> dict[str, Any]:
    told: dict[str, Any] = mill.get("/api/v1/status", headers={"authorization": f"Bearer {TOKEN}"}).json()["workers"]
    return told


def drop_for_a_stopped_worker(mill: Mill) -> int:
    """Stop the one worker, and have it given a job, which it cannot finish; returns its process id."""
    mill.drop("first.jpg", pictures.jpeg(pictures.photo(120, 80, 2)))  # With its first job comes a worker.
    mill.wait_for(lambda: '"event": "published"' in mill.log.read_text())
    mill.wait_for(lambda: workers(mill)["busy"] == 0)
    (pid,) = workers(mill)["pids"]
    os.kill(pid, signal.SIGSTOP)
    mill.drop("a.jpg", pictures.jpeg(pictures.photo(1600, 1200)))
    mill.wait_for(lambda: workers(mill)["busy"] == 1)
    return int(pid)


def test_s11_probes_tell_what_a_restart_helps_from_a_start_a_bad_disk_and_a_shutdown(
    tmp_path: Path, disk: FaultyFs
) -> None:
    mill = mill_on(tmp_path, disk)
    mill.start()
    assert mill.stop() == 0

    # A start that waits for a disk: alive, and not ready.
    disk.hang()
    with ThreadPoolExecutor(1) as aside:
        started = aside.submit(mill.start)
        mill.wait_for(lambda: probed(mill) == (200, 503))
        assert probe(mill, "/readyz").json()["detail"] == "starting"
        assert part(mill, "daemon")["detail"] == "starting"
        assert mill.get("/api/v1/jobs", headers=KUBELET).status_code == 401, "only probes and metrics are open"
        disk.go_on()
        started.result()
    assert probed(mill) == (200, 200)

    # A disk that does not answer: a restart would not help, and what can be done still is.
    disk.hang()
    mill.wait_for(lambda: part(mill, "output camera")["status"] == "degraded")
    assert probed(mill) == (200, 200)
    assert (probe(mill, "/healthz").status_code, probe(mill, "/metrics").status_code) == (200, 200)
    disk.go_on()
    mill.wait_for(lambda: part(mill, "output camera")["status"] == "ok")

    # A shutdown with a job in hand: not ready at once, alive to the end.
    pid = drop_for_a_stopped_worker(mill)
    try:
        assert mill.process is not None
        mill.process.send_signal(signal.SIGTERM)
        mill.wait_for(lambda: probed(mill) != (200, 200))
        assert probed(mill) == (200, 503)
        assert probe(mill, "/readyz").json()["detail"] == "stopping"
        assert part(mill, "daemon")["detail"].startswith("stopping")
        assert mill.process.poll() is None
    finally:
        os.kill(pid, signal.SIGCONT)
    told: set[tuple[int, int]] = set()
    mill.wait_for(lambda: told.add(probed(mill)) or mill.process.poll() is not None)  # type: ignore[func-returns-value]  # It adds, and goes on to what is asked.
    assert told <= {(200, 503), (0, 0)}, "whoever is answered is told the same to the end"
    assert mill.process.wait() == 0
    mill.process = None
    assert [job["outcome"] for job in mill.jobs()] == ["published", "published"]


# A catalog that takes its time until a file appears.
_SLOW = """
import os, sys, time
from dropmill.assembly import ground
sys.argv, opened = sys.argv[1:], ground.Catalog
def slow(path):
    while not os.path.exists("go"):
        time.sleep(0.02)
    return opened(path)
ground.Catalog = slow
from dropmill.cli import main
main()
"""


class MillOnASocket(Mill):
    """Its page and API are on a socket file, whose name is known before the daemon has come to tell of it."""

    def __init__(self, root: Path, folder: str) -> None:
        super().__init__(root)
        self.wrapper = [sys.executable, "-c", _SLOW]
        self.config.write_text(self.config.read_text().replace("127.0.0.1:0", f"unix:{folder}/http"))
        self.client = httpx.Client(transport=httpx.HTTPTransport(uds=f"{folder}/http"), base_url="http://localhost")

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.client.get(path, **options)


def test_s11_probes_are_answered_while_the_catalog_is_still_being_opened(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as aside:
        mill = MillOnASocket(tmp_path, folder)
        started = aside.submit(mill.start)
        try:
            mill.wait_for(lambda: probed(mill) == (200, 503))
            mill.wait_for(lambda: probe(mill, "/readyz").json()["detail"] == "starting: opening the catalog")
            told = probe(mill, "/healthz").json()
            assert (told["live"], told["ready"], told["parts"][0]["detail"]) == (
                True,
                False,
                "starting: opening the catalog",
            )
            scraped = probe(mill, "/metrics")
            assert (scraped.status_code, "dropmill_ready 0.0" in scraped.text.splitlines()) == (200, True)
            refused = mill.get("/api/v1/status")
            assert (refused.status_code, refused.json()["reason"]) == (503, "starting")
            assert refused.headers["retry-after"] == "2"
        finally:
            (tmp_path / "go").touch()
        started.result()
        assert mill.get("/api/v1/status").json()["state"] == "running"
        assert mill.stop() == 0
        mill.client.close()
