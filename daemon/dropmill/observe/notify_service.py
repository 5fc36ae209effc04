"""Tells the service manager how it goes: sd_notify, as one datagram to ``$NOTIFY_SOCKET`` (sd_notify(3))."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

from dropmill.observe.facts import (
    Alive,
    Claimed,
    Completed,
    Discarded,
    Enqueued,
    Fact,
    Ready,
    Reloading,
    ReloadRefused,
    Stopped,
    Stopping,
)
from dropmill.ports import Clock

STATUS_SECONDS: Final = 5.0


def sender(environ: Mapping[str, str]) -> Callable[[str], None] | None:
    """Sends one message, never waits, never raises; None where nobody wants to hear.

    ``@name`` is a socket in the abstract namespace, ``/path`` one in the file system; anything else is not supported.
    """
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")) or len(address) < 2:
        return None
    target = "\0" + address[1:] if address.startswith("@") else address

    def send(message: str) -> None:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as sock:
                sock.sendto(message.encode("utf-8", "backslashreplace"), target)
        except OSError:
            pass  # A manager that does not listen is no reason to stop.

    return send


def watchdog_seconds(environ: Mapping[str, str], pid: int) -> float | None:
    """How long the service manager waits for a sign of life before it restarts us (sd_watchdog_enabled(3)), if it does."""
    if environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    microseconds = environ.get("WATCHDOG_USEC", "")
    return int(microseconds) / 1e6 if microseconds.isdecimal() and int(microseconds) else None


class ServiceManager:
    """A subscriber of facts: READY and STOPPING when they happen, STATUS with counts now and then."""

    def __init__(self, send: Callable[[str], None], clock: Clock) -> None:
        self._send = send
        self._clock = clock
        self._counts: Counter[str] = Counter()
        self._queued = 0
        self._ready = False
        self._next_status = 0.0

    def __call__(self, fact: Fact) -> None:
        match fact:
            case Ready():
                self._ready = True
                self._send(f"READY=1\nSTATUS={self._status(fact)}")
                return
            case Reloading():
                self._ready = False
                # The manager compares it with when it asked, so it has to be its own clock (sd_notify(3)).
                self._send(f"RELOADING=1\nMONOTONIC_USEC={int(self._clock.monotonic() * 1e6)}\nSTATUS=reloading")
                return
            case ReloadRefused(findings=findings):
                self._ready = True
                self._send(f"READY=1\nSTATUS=the configuration is refused: {' '.join(findings[0].split())}")
                return
            case Stopping():
                self._ready = False
                self._send(f"STOPPING=1\nSTATUS=stopping ({fact.cause})")
                return
            case Stopped():
                self._send("STATUS=stopped")
                return
            case Alive():
                self._send("WATCHDOG=1")
                return
            case Enqueued():
                self._queued += 1
            case Completed(outcome=outcome):
                self._counts[outcome.value] += 1
            case Discarded():
                self._counts["discarded"] += 1
            case Claimed():
                pass
            case _:
                return
        now = self._clock.monotonic()
        all_done = sum(self._counts.values()) == self._queued  # The last word must not be a stale one.
        if self._ready and (all_done or now >= self._next_status):
            self._next_status = now + STATUS_SECONDS
            self._send(f"STATUS={self._status(None)}")

    def _status(self, ready: Ready | None) -> str:
        counts = ", ".join(f"{count} {what}" for what, count in sorted(self._counts.items()))
        start = f"{ready.inboxes} inboxes, {ready.http}; " if ready is not None else ""
        return f"{start}{self._queued} queued since the start" + (f": {counts}" if counts else "")
