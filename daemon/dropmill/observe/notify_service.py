"""Tells the service manager how it goes: sd_notify, as one datagram to ``$NOTIFY_SOCKET`` (sd_notify(3))."""

from __future__ import annotations

import errno
import socket
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

from dropmill.observe.facts import (
    Alive,
    Beginning,
    Claimed,
    Completed,
    Discarded,
    Draining,
    Enqueued,
    Fact,
    Ready,
    Reloading,
    ReloadRefused,
    Stopped,
    Stopping,
    Stuck,
)
from dropmill.ports import Clock

STATUS_SECONDS: Final = 5.0
# What takes longer than the manager would wait is told of every few seconds, each time with leave to wait this long.
EXTENSION_SECONDS: Final = 30
# A start that has not come to an end by then is left to the manager's own patience.
MOST_START_SECONDS: Final = 3600.0
MOST_UNSENT: Final = 10
_FULL: Final = frozenset({errno.EAGAIN, errno.ENOBUFS})


def sender(environ: Mapping[str, str]) -> Callable[[str], bool] | None:
    """Sends one message, never waits, never raises; None where nobody wants to hear. False: it may be tried again later.

    ``@name`` is a socket in the abstract namespace, ``/path`` one in the file system; anything else is not supported.
    """
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")) or len(address) < 2:
        return None
    target = "\0" + address[1:] if address.startswith("@") else address

    def send(message: str) -> bool:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as sock:
                sock.sendto(message.encode("utf-8", "backslashreplace"), target)
        except OSError as error:
            return error.errno not in _FULL  # A manager that does not listen is no reason to stop.
        return True

    return send


def watchdog_seconds(environ: Mapping[str, str], pid: int) -> float | None:
    """How long the service manager waits for a sign of life before it restarts us (sd_watchdog_enabled(3)), if it does."""
    if environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    microseconds = environ.get("WATCHDOG_USEC", "")
    return int(microseconds) / 1e6 if microseconds.isdecimal() and int(microseconds) else None


class ServiceManager:
    """A subscriber of facts: READY, RELOADING and STOPPING when they happen, STATUS with counts now and then.

    While a start, or the end of what is in hand, goes on, the manager is asked to wait longer (EXTEND_TIMEOUT_USEC).
    """

    def __init__(self, send: Callable[[str], bool], clock: Clock) -> None:
        self._send = send
        self._clock = clock
        self._counts: Counter[str] = Counter()
        self._queued = 0
        self._course = "starting"
        self._ready = False
        self._stuck = False
        self._refused = ""
        self._next_status = 0.0
        self._unsent: list[str] = []

    def __call__(self, fact: Fact) -> None:
        match fact:
            case Ready() | Reloading() | ReloadRefused() | Stopping() | Stopped() | Beginning() | Draining():
                self._change(fact)
            case Alive():
                self._send_unsent()
                self._send("WATCHDOG=1")
                if self._stuck:
                    self._stuck = False
                    self._send(_status(self._told()))
            case Stuck(detail=detail):
                self._stuck = True
                self._send(_status(f"stuck: {detail}"))
            case Enqueued() | Completed() | Discarded() | Claimed():
                self._count(fact)
            case _:
                return

    def _change(self, fact: Fact) -> None:
        """What becomes of the daemon as a whole."""
        match fact:
            case Ready():
                self._ready, self._course = True, ""
                parts = [f"{fact.inboxes} inboxes", f"{fact.dropfiles} drop-files" if fact.dropfiles else "", fact.http]
                self._say("READY=1", f"{', '.join(filter(None, parts))}; {self._told()}")
            case Reloading():
                self._ready, self._course, self._refused = False, "reloading", ""
                # The manager compares it with when it asked, so it has to be its own clock (sd_notify(3)).
                self._say(f"RELOADING=1\nMONOTONIC_USEC={int(self._clock.monotonic() * 1e6)}", "reloading")
            case ReloadRefused(findings=findings):
                self._ready, self._refused = True, f"the configuration is refused: {findings[0]}"
                self._say("READY=1", self._refused)
            case Stopping(cause=cause):
                self._ready, self._course = False, "stopping"
                self._say("STOPPING=1", f"stopping ({cause})")
            case Stopped():
                self._send(_status("stopped"))
            case Beginning(doing=doing, seconds=seconds):
                more = _extension() if seconds < MOST_START_SECONDS else ""
                # Between two sets of parts nobody else gives signs of life, which are waited for from the first READY on.
                beat = "WATCHDOG=1\n" if more and self._course == "reloading" else ""
                self._send(f"{beat}{more}{_status(f'{self._course}: {doing}')}")
            case Draining():
                left = f"{fact.in_hand} in hand, {fact.commits} to be recorded, at most {fact.left_seconds:.0f} s"
                self._send(f"{_extension()}{_status(f'{self._course}: {left}')}")

    def _say(self, state: str, status: str) -> None:
        """What must not get lost, since the manager waits for it: where its queue is full, it is told a little later."""
        self._unsent.append(f"{state}\n{_status(status)}")
        self._send_unsent()

    def _send_unsent(self) -> None:
        while self._unsent and self._send(self._unsent[0]):
            del self._unsent[0]
        del self._unsent[:-MOST_UNSENT]

    def _count(self, fact: Fact) -> None:
        match fact:
            case Enqueued():
                self._queued += 1
            case Completed(outcome=outcome):
                self._counts[outcome.value] += 1
            case Discarded():
                self._counts["discarded"] += 1
        now = self._clock.monotonic()
        all_done = sum(self._counts.values()) == self._queued  # The last word must not be a stale one.
        if self._ready and not self._stuck and (all_done or now >= self._next_status):
            self._next_status = now + STATUS_SECONDS
            self._send_unsent()
            self._send(_status(self._told()))

    def _told(self) -> str:
        counts = ", ".join(f"{count} {what}" for what, count in sorted(self._counts.items()))
        told = f"{self._queued} queued since the start" + (f": {counts}" if counts else "")
        # Until another one is read, or nobody who looks later would know.
        return f"{told}; {self._refused}" if self._refused else told


def _status(text: str) -> str:
    """In one line, whatever is quoted in it: each line is an assignment of its own."""
    return f"STATUS={' '.join(text.split())}"


def _extension() -> str:
    return f"EXTEND_TIMEOUT_USEC={EXTENSION_SECONDS * 1_000_000}\n"
