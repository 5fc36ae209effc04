"""A worker's whole life: limits, then one request after another until the daemon closes the socket."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from dropmill.model.outcome import Reason
from dropmill.model.work import (
    Preview,
    Rejected,
    Troubled,
    WorkRequest,
    WorkResult,
    request_from_wire,
    result_to_wire,
)
from dropmill.workers import hardening
from dropmill.workers.ending import EXIT_NOT_STARTED, EXIT_OVER_MEMORY
from dropmill.workers.frames import BlockingChannel, Closed, Frame

Handler = Callable[[WorkRequest, Callable[[Preview], bool]], WorkResult]

# A decoder that runs out of memory in the middle may call the file broken; below the limit by an eighth it is believed.
_DOUBTED = frozenset({Reason.CORRUPT, Reason.TRUNCATED, Reason.NOT_AN_IMAGE, Reason.CODEC_MISSING})


@dataclass(frozen=True, slots=True)
class Birth:
    """What the zygote hands to a worker. ``output_fd`` becomes its stdout and stderr."""

    sock: socket.socket
    output_fd: int
    zygote_pid: int
    handler: Handler
    budget_bytes: int


def live(birth: Birth) -> NoReturn:
    """Serve until the daemon closes the socket. Never returns into the zygote's frames."""
    try:
        limits = _settle_in(birth)
        channel = BlockingChannel(birth.sock)
        channel.send(Frame(0, 0, {"hello": os.getpid()}))
    except BaseException:  # noqa: BLE001  # Whatever it is, it must not unwind into the zygote.
        traceback.print_exc()
        os._exit(EXIT_NOT_STARTED)
    try:
        Worker(channel, birth.handler, *limits).serve()
    except Closed:
        os._exit(0)
    except MemoryError:
        os._exit(EXIT_OVER_MEMORY)
    except BaseException:  # noqa: BLE001  # As above: the daemon reads the exit code, a person the traceback.
        traceback.print_exc()
    os._exit(1)


def _settle_in(birth: Birth) -> tuple[int, int]:
    """Returns the address space in use and its limit, in bytes."""
    hardening.die_with_parent(birth.zygote_pid)
    hardening.own_session()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.dup2(birth.output_fd, 1)
    os.dup2(birth.output_fd, 2)
    os.close(birth.output_fd)
    hardening.keep_freed_memory(birth.budget_bytes // 4)  # Half of it would count as swollen.
    os.umask(0o077)  # Staged files are nobody else's business until the recipe gives them their mode.
    return hardening.address_space_bytes(), hardening.limit_memory(birth.budget_bytes)


class Worker:
    def __init__(self, channel: BlockingChannel, handler: Handler, base_bytes: int, limit_bytes: int) -> None:
        self._channel = channel
        self._handler = handler
        self._swollen_bytes = (base_bytes + limit_bytes) // 2
        self._near_limit_bytes = limit_bytes - (limit_bytes - base_bytes) // 8
        self._libc = ctypes.CDLL(None)
        self._statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
        self._page_bytes = resource.getpagesize()

    def serve(self) -> NoReturn:
        """Raises ``Closed`` at the end of the daemon's interest, ``MemoryError`` at that of the budget."""
        while True:
            frame = self._channel.receive()
            request = request_from_wire(frame.body["request"])
            result, sound = self._process(request, frame)
            if isinstance(result, Rejected) and result.reason in _DOUBTED and self._near_limit():
                raise MemoryError
            self._libc.fflush(None)  # What native code printed belongs to this job, not to the next.
            last = not sound or self._swollen()
            self._channel.send(Frame(frame.job_id, frame.epoch, result_to_wire(result), last))
            if last:
                os._exit(0)

    def _process(self, request: WorkRequest, frame: Frame) -> tuple[WorkResult, bool]:
        def wanted(preview: Preview) -> bool:
            self._channel.send(Frame(frame.job_id, frame.epoch, result_to_wire(preview)))
            answer = self._channel.receive()
            return bool(answer.body["wanted"])

        try:
            return self._handler(request, wanted), True
        except (MemoryError, Closed):
            raise
        except BaseException as error:  # noqa: BLE001  # A defect, SystemExit included, is told and costs one worker.
            traceback.print_exc(file=sys.stderr)
            return Troubled(Reason.UNEXPECTED, "".join(traceback.format_exception_only(error)).strip()), False

    def _near_limit(self) -> bool:
        return hardening.peak_address_space_bytes() >= self._near_limit_bytes

    def _swollen(self) -> bool:
        """Whether so much is still held that the next, innocent job might not find its room."""
        pages = int(os.pread(self._statm, 64, 0).split(b" ", 1)[0])
        return pages * self._page_bytes > self._swollen_bytes
