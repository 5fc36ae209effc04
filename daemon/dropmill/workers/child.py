"""Starts a process of our own: what it inherits, and what hears what it says."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from dropmill.workers.output import Drain, WorkerOutput

# Libraries that start a thread per core would multiply by the number of workers.
_THREADS: Final = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
_NOT_FOR_CHILDREN: Final = (
    *("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "FDSTORE", "MAINPID"),
    *("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "LISTEN_PIDFDID"),
    *("JOURNAL_STREAM", "CREDENTIALS_DIRECTORY"),
)


@dataclass(frozen=True, slots=True)
class Child:
    """A process, the socket to it (blocking), and what hears what it prints."""

    process: subprocess.Popen[bytes]
    socket: socket.socket
    drain: Drain


def start(
    command: Callable[[int], Sequence[str]],
    kind: socket.SocketKind,
    on_output: Callable[[WorkerOutput], None],
) -> Child:
    """Run ``command(its end of the socket)`` in a session of its own.

    Raises ``OSError`` where it cannot start; nothing is left open then.
    """
    _keep_standard_descriptors()
    with ExitStack() as kept, ExitStack() as theirs:
        ours, other = socket.socketpair(socket.AF_UNIX, kind)
        kept.callback(ours.close)
        theirs.callback(other.close)
        read_fd, write_fd = os.pipe()
        kept.callback(os.close, read_fd)
        theirs.callback(os.close, write_fd)
        process = subprocess.Popen(
            command(other.fileno()),
            stdin=subprocess.DEVNULL,
            stdout=write_fd,
            stderr=write_fd,
            pass_fds=(other.fileno(),),
            start_new_session=True,
            env=_environment(),
        )
        kept.pop_all()
    drain = Drain(read_fd, on_output)
    drain.pid = process.pid
    return Child(process, ours, drain)


def _keep_standard_descriptors() -> None:
    """Give numbers 0 to 2 to the null device where they are closed, so that no socket of ours is taken for stdout."""
    fd = os.open(os.devnull, os.O_RDWR)
    while fd <= 2:
        os.set_inheritable(fd, True)
        fd = os.open(os.devnull, os.O_RDWR)
    os.close(fd)


def _environment() -> dict[str, str]:
    """The daemon's own, without what is meant for it alone: its manager's sockets, and settings that hold secrets."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _NOT_FOR_CHILDREN and not name.startswith("DROPMILL_")
    }
    return kept | _THREADS
