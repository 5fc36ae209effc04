"""The daemon as the figures run it: as a command of its own, configured like a user's."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

from bench.meter import Spent, run_measured
from harness import PROGRAM, Mill, clean_environment

WEB_PROFILE = "web"
READY_SECONDS = 60.0


def a_mill(root: Path, **options: Any) -> Mill:
    """Profile ``web``, as many workers as the machine gives, and an inbox of its own unless ``path`` names another."""
    root.mkdir(parents=True)
    return Mill(root, **{"profile": WEB_PROFILE, "workers": {"processes": 0}, **options})


def run_once(mill: Mill) -> Spent:
    """``dropmill run --once`` over what the inbox holds. Raises ``RuntimeError`` where anything went wrong."""
    command = [PROGRAM, "run", "--once", "--config", str(mill.config)]
    with mill.log.open("wb") as log:
        spent = run_measured(command, cwd=mill.root, env=clean_environment(), output=log)
    if spent.code != 0:
        raise RuntimeError(f"dropmill run --once: exit {spent.code}\n{mill.log.read_text(errors='replace')[-2000:]}")
    return spent


@contextmanager
def started(mill: Mill) -> Iterator[float]:
    """A running daemon; gives the seconds from the start of the process until it said READY to its service manager."""
    address = mill.root / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(address))
        manager.settimeout(READY_SECONDS)
        environment = {**clean_environment(), "NOTIFY_SOCKET": str(address)}
        with mill.log.open("ab") as log:
            began = time.monotonic()
            process = subprocess.Popen(
                [PROGRAM, "run", "--config", str(mill.config)],
                cwd=mill.root,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        mill.process = process
        try:
            while b"READY=1" not in manager.recv(65536):
                pass
            yield time.monotonic() - began
            mill.stop()
        finally:
            address.unlink()
            if process.poll() is None:
                process.kill()
                process.wait()


class Ledger:
    """The catalog of a running daemon, read from outside so that asking costs the daemon nothing."""

    def __init__(self, mill: Mill) -> None:
        self._connection = apsw.Connection(str(mill.root / "state" / "catalog.db"), flags=apsw.SQLITE_OPEN_READONLY)
        self._connection.set_busy_timeout(10_000)

    def count(self) -> int:
        return int(next(self._connection.execute("SELECT count(*) FROM jobs"))[0])

    def paths(self) -> list[bytes]:
        return [row[0] for row in self._connection.execute("SELECT rel FROM jobs")]

    def close(self) -> None:
        self._connection.close()


def pid_of(mill: Mill) -> int:
    if mill.process is None:
        raise RuntimeError("the daemon does not run")
    return mill.process.pid
