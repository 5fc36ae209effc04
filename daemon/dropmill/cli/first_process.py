"""Being process 1 of a container: a small parent that hands signals on, and buries whoever dies without a parent."""

from __future__ import annotations

import os
import signal
from typing import Final

# From <asm-generic/siginfo.h>: the kernel itself sent it, as a terminal does to all processes in front of it.
_SI_KERNEL: Final = 0x80
_HANDED_ON: Final = frozenset(
    {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2}
)


def stand_in() -> None:
    """Return in a child that does the work if this is process 1, and at once if it is not.

    The kernel gives process 1 every orphan (the workers of a zygote that was killed, what ``docker exec`` left), and no
    signal that it does not ask for. A parent of its own for both leaves the daemon what it is anywhere else; it
    is forked before anything is loaded, and ends as the child ends: with its exit status, or 128 and the signal's number.
    """
    if os.getpid() != 1:
        return
    signals = _HANDED_ON | {signal.SIGCHLD}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return
    os._exit(_look_after(child, signals))


def _look_after(child: int, signals: frozenset[signal.Signals]) -> int:
    """Until the child has ended; what it should be told of is blocked, and so waits to be taken."""
    while True:
        told = signal.sigwaitinfo(signals)
        if told.si_signo != signal.SIGCHLD:
            # A terminal has told the child already, and a second Ctrl-C may mean more than one.
            if told.si_code != _SI_KERNEL:
                os.kill(child, told.si_signo)
            continue
        status = _bury(child)
        if status is not None:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _bury(child: int) -> int | None:
    """Reap everything that has ended, since signals of the same number count as one; the child's status if it has."""
    found = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        if pid == child:
            found = status
