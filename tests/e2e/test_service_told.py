"""What the service manager is told of a start, a reload, a refused one, and an end with work in hand (sd_notify(3))."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import pictures
from harness import Mill
from service_manager import Ear

pytestmark = pytest.mark.long


@pytest.fixture
def ear() -> Iterator[Ear]:
    ear = Ear(f"@dropmill-test-{os.getpid()}")
    yield ear
    ear.close()


def kinds(messages: list[str]) -> list[str]:
    """What each message says first, without those that come again and again."""
    told = [message.removeprefix("WATCHDOG=1\n").partition("=")[0] for message in messages]
    lasting = [kind for kind in told if kind not in {"STATUS", "WATCHDOG"}]
    return [kind for number, kind in enumerate(lasting) if number == 0 or kind != lasting[number - 1]]


def test_every_change_is_told_with_leave_to_take_long(tmp_path: Path, ear: Ear) -> None:
    # So large that a worker has it in hand for a while.
    large = pictures.jpeg(pictures.photo(120, 80, 1).resize((6000, 4000)))
    mill = Mill(tmp_path, renditions=[{"name": "t", "fit": [5000, 5000], "format": "webp"}])
    mill.environment = {"NOTIFY_SOCKET": ear.address}
    mill.start()
    mill.wait_for(lambda: ear.heard("READY=1"))
    assert kinds(ear.heard()) == ["EXTEND_TIMEOUT_USEC", "READY"]
    assert "STATUS=starting: looking at the folders of camera" in ear.heard()[0]
    assert mill.run("reload").returncode == 0
    mill.wait_for(lambda: len(ear.heard("READY=1")) == 2)
    mill.configure(settle_seconds=-1)
    assert mill.run("reload").returncode == 2
    mill.wait_for(lambda: len(ear.heard("READY=1")) == 3)
    before = kinds(ear.heard())
    assert before == ["EXTEND_TIMEOUT_USEC", "READY", "RELOADING", "EXTEND_TIMEOUT_USEC", "READY", "RELOADING", "READY"]
    assert all("MONOTONIC_USEC=" in told for told in ear.heard("RELOADING=1"))
    assert "STATUS=the configuration is refused: " in ear.heard("READY=1")[-1]
    mill.drop("a.jpg", large)
    mill.wait_for(lambda: mill.get("/api/v1/status").json()["queue"]["executing"] == 1)
    assert mill.process is not None
    mill.process.send_signal(signal.SIGTERM)
    assert mill.process.wait(60) == 0
    mill.process = None
    mill.wait_for(lambda: ear.heard("STATUS=stopped"))
    assert kinds(ear.heard()) == [*before, "STOPPING", "EXTEND_TIMEOUT_USEC"]
    assert [told for told in ear.heard("EXTEND_TIMEOUT_USEC=30000000\nSTATUS=stopping: ") if "1 in hand" in told]
