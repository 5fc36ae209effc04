"""The end of NOTIFY_SOCKET that a service manager has, and one that restarts what gives no sign of life (sd_notify(3))."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path


class Ear:
    """Hears messages in a thread. ``address`` is what NOTIFY_SOCKET says: a path, or ``@name``."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.settimeout(0.1)
        self._lock = threading.Lock()
        self._heard: list[str] = []
        self.heard_at = time.monotonic()
        """When it last heard a sign of life."""
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
                if "WATCHDOG=1" in message or message.startswith("READY=1"):
                    self.heard_at = time.monotonic()

    def heard(self, start: str = "") -> list[str]:
        with self._lock:
            return [message for message in self._heard if message.startswith(start)]

    def close(self) -> None:
        self._over = True
        self._thread.join()
        self._socket.close()


class Manager:
    """Starts a daemon, and starts it again after SIGABRT where it gives no sign of life for ``watchdog_seconds``."""

    def __init__(
        self,
        command: Sequence[str],
        ear: Ear,
        environment: dict[str, str],
        log: Path,
        watchdog_seconds: float,
        before_start: Callable[[], None],
    ) -> None:
        self.restarts = 0
        self._command = command
        self._ear = ear
        microseconds = str(int(watchdog_seconds * 1e6))
        self._environment = environment | {"NOTIFY_SOCKET": ear.address, "WATCHDOG_USEC": microseconds}
        self._log = log
        self._watchdog_seconds = watchdog_seconds
        self._before_start = before_start
        self._over = threading.Event()
        self.process = self._start()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _start(self) -> subprocess.Popen[bytes]:
        self._before_start()
        with self._log.open("ab") as log:
            return subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment, close_fds=True
            )

    def _watch(self) -> None:
        """As systemd does, signs of life are waited for from READY on."""
        ready = 0
        while not self._over.wait(0.05):
            if len(self._ear.heard("READY=1")) <= ready:
                continue
            if time.monotonic() - self._ear.heard_at > self._watchdog_seconds:
                ready = len(self._ear.heard("READY=1"))
                self.process.send_signal(signal.SIGABRT)
                self.process.wait()
                self.process = self._start()
                self.restarts += 1

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        self._over.set()
        self._thread.join()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def kill(self) -> None:
        self._over.set()
        self._thread.join()
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
