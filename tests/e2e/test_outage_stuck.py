"""Signs of life to the service manager: they prove that the work can go on, and stop when it cannot (S11)."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

import pictures
from harness import Mill

pytestmark = pytest.mark.long


class Manager:
    """The end of NOTIFY_SOCKET that a service manager has."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._path = str(path)
        self._socket.bind(self._path)
        self._socket.settimeout(0.2)
        self._lock = threading.Lock()
        self._heard: list[str] = []
        self._over = False
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while not self._over:
            try:
                message = self._socket.recv(65536).decode()
            except TimeoutError:
                continue
            with self._lock:
                self._heard.append(message)

    def beats(self) -> int:
        with self._lock:
            return self._heard.count("WATCHDOG=1")

    def beats_so_far(self) -> int:
        """With all that was sent before this call."""
        mark = f"mark {time.monotonic()}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(mark.encode(), self._path)
        deadline = time.monotonic() + 30
        while mark not in self._heard:
            assert time.monotonic() < deadline, "the manager is deaf"
            time.sleep(0.01)
        return self.beats()

    def close(self) -> None:
        self._over = True
        self._thread.join()
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    path = tmp_path / "notify"
    manager = Manager(path)
    # The harness hides these from daemons otherwise, so that tests do not talk to the manager of the machine.
    monkeypatch.setattr(
        "harness.clean_environment",
        lambda: {"PATH": "/usr/bin:/bin", "NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "1500000"},
    )
    yield manager
    manager.close()


def stands_still(mill: Mill) -> bool:
    """Whether no thread of the daemon runs: the signal to stop is delivered a moment after it was sent."""
    assert mill.process is not None
    tasks = Path(f"/proc/{mill.process.pid}/task").iterdir()
    return all((task / "stat").read_text().rpartition(") ")[2].startswith("T") for task in tasks)


def wait_until(mill: Mill, manager: Manager, beats: int) -> None:
    mill.wait_for(lambda: manager.beats() >= beats)


def test_s11_signs_of_life_come_while_all_is_well_and_stop_with_the_event_loop(
    tmp_path: Path, manager: Manager
) -> None:
    mill = Mill(tmp_path / "mill")
    mill.start()
    wait_until(mill, manager, 3)
    mill.freeze()
    mill.wait_for(lambda: stands_still(mill))
    before = manager.beats_so_far()
    time.sleep(3)  # Twice what the manager would wait, which is the situation itself.
    assert manager.beats_so_far() == before
    mill.thaw()
    wait_until(mill, manager, before + 4)
    assert mill.stop() == 0


def test_s11_signs_of_life_stop_while_the_catalog_cannot_be_written(tmp_path: Path, manager: Manager) -> None:
    mill = Mill(tmp_path / "mill")
    mill.start()
    wait_until(mill, manager, 2)
    other = apsw.Connection(str(mill.state / "catalog.db"))
    other.execute("BEGIN IMMEDIATE")
    try:
        mill.wait_for(lambda: mill.get("/livez").status_code == 503, 60)
        assert "locked" in mill.get("/livez").json()["detail"]
        before = manager.beats()
        mill.drop("a.jpg", pictures.jpeg(pictures.photo(120, 80, 1)))
        mill.wait_for(lambda: "is held up" in mill.log.read_text())
        assert manager.beats() == before
    finally:
        other.execute("ROLLBACK")
        other.close()
    mill.wait_for(lambda: mill.get("/livez").status_code == 200)
    wait_until(mill, manager, before + 2)
    mill.wait_for(lambda: mill.outputs() == ["a-t.jpg"])
    assert mill.stop() == 0
