"""Daemons and mounts that a failing test leaves behind are ended with it; results of the ledger's tests are kept for `make ledger`."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator

import hypothesis
import pytest

from harness import Mill
from ledger import pytest_runtest_logreport, pytest_sessionfinish
from parts import keep_mounts_to_this_process

# Whoever started the tests may ignore it (nohup), which every daemon would inherit and then rightly keep to.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# A run that is killed, or a test that is cut off, unmounts nothing.
keep_mounts_to_this_process()

# Thousands of processes start here. What they load, these modules included, is compiled once, whatever the environment says.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# How long an example takes to be made or tried says something of the machine alone.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")

__all__ = ["pytest_runtest_logreport", "pytest_sessionfinish"]


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """More than there are cores: tests wait for daemons a part of their time, and the long ones most of it."""
    cores = len(os.sched_getaffinity(0))
    return 2 * cores if config.option.markexpr == "long" else cores + cores // 2


@pytest.fixture(autouse=True)
def no_daemon_outlives_its_test(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    mills: list[Mill] = []
    start = Mill.start

    def remember(mill: Mill) -> None:
        mills.append(mill)
        start(mill)

    monkeypatch.setattr(Mill, "start", remember)
    yield
    for mill in mills:
        if mill.process is not None:
            mill.process.kill()
            mill.process.wait()
