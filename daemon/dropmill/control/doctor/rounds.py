"""Looking at many things at once, none of which may hold up the others: a dead share hangs for ever (W40)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from dropmill.control.doctor.finding import Check, Finding, as_root
from dropmill.errors import DropmillError
from dropmill.ports import Clock

ANSWER_SECONDS: Final = 10.0
_AT_ONCE: Final = 32


@dataclass(frozen=True, slots=True)
class Look:
    """``what`` is told where it does not answer, as in "inbox camera /srv/in", or ``silence`` in its stead. ``also``: other
    paths that it touches."""

    check: Check
    what: str
    look: Callable[[], Iterable[Finding]]
    key: str = ""
    path: str = ""
    seconds: float = ANSWER_SECONDS
    also: tuple[str, ...] = ()
    silence: Finding | None = None


@dataclass(slots=True)
class _Running:
    look: Look
    begun: float
    found: list[Finding] = field(default_factory=list)
    failed: BaseException | None = None
    done: bool = False


class Rounds:
    """Remembers which paths did not answer, so that nobody waits for them twice and each is told of once."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._silent: set[str] = set()

    def look(self, looks: Sequence[Look]) -> list[Finding]:
        """Blocking, for as long as the slowest has patience. Findings come in the order of the looks.

        Each runs in a thread of its own, which is left behind where it does not answer. Raises what a look raises, but for
        OSErrors and our own errors, which are findings.
        """
        waiting = [one for one in looks if not self._silent.intersection((one.path, *one.also))]
        wake = threading.Condition()
        all_of: list[_Running] = []
        running: list[_Running] = []
        with wake:
            while waiting or running:
                while waiting and len(running) < _AT_ONCE:
                    one = _Running(waiting.pop(0), self._clock.monotonic())
                    running.append(one)
                    all_of.append(one)
                    threading.Thread(target=_run, args=(one, wake), name=f"look {one.look.what}", daemon=True).start()
                now = self._clock.monotonic()
                running = [one for one in running if not one.done and now < one.begun + one.look.seconds]
                if running and (len(running) >= _AT_ONCE or not waiting):
                    wake.wait(max(0.01, min(one.begun + one.look.seconds for one in running) - now))
            return [finding for one in all_of for finding in self._told(one)]

    def _told(self, one: _Running) -> Iterable[Finding]:
        look = one.look
        if not one.done:
            if self._silent.intersection((look.path, *look.also)):
                return []
            if look.path:
                self._silent.add(look.path)
            if look.silence is not None:
                return [look.silence]
            text = f"{look.what} has not answered for {look.seconds:g} s"
            why = "a disk or share that hangs holds back all work that needs it"
            remedy = "look at the share's server, or the disk; the log of the kernel may say more:"
            return [Finding(look.check, "error", text, look.key, look.path, why, remedy, as_root("dmesg | tail"))]
        match one.failed:
            case None:
                return one.found
            case DropmillError() as error:
                return [Finding(look.check, "error", error.public_message, look.key, look.path, remedy=error.hint)]
            case OSError() as error:
                text = f"{look.what} cannot be looked at: {error.strerror or error}"
                return [Finding(look.check, "error", text, look.key, look.path)]
            case other:
                raise other


def _run(one: _Running, wake: threading.Condition) -> None:
    found: list[Finding] = []
    failed = None
    try:
        found.extend(one.look.look())
    except BaseException as error:  # noqa: BLE001  # Whoever waits for the look is to see it, not this thread.
        failed = error
    with wake:
        one.found, one.failed, one.done = found, failed, True
        wake.notify()
