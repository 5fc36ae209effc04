"""A worker's whole life: limits, then one request after another until the daemon closes the socket."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NoReturn

from dropmill.model.bearing import Bearing, Looked, bearing_from_wire
from dropmill.model.errand import ErrandRequest, ErrandResult
from dropmill.model.outcome import Reason
from dropmill.model.wire import Wire
from dropmill.model.work import Place, Question, Rejected, Troubled, WorkRequest, WorkResult, result_to_wire
from dropmill.workers import hardening, landlock, seccomp
from dropmill.workers.ending import EXIT_NOT_STARTED, EXIT_OVER_MEMORY
from dropmill.workers.frames import BlockingChannel, Closed, Frame
from dropmill.workers.order import asked

Handler = Callable[[WorkRequest | ErrandRequest, Callable[[Question], bool | Bearing]], WorkResult | ErrandResult]

# What a worker answers that has confined itself to the folders of its first request.
CONFINED: Final = {"confined": True}
# What a worker answers, instead of a result, that cannot reach the folders of the request from where it is confined.
ELSEWHERE: Final = {"elsewhere": True}
# Confinement looks like this to the recipe, and so does a folder that really denies us.
_PERHAPS_SHUT_OUT: Final = frozenset({Reason.UNREADABLE, Reason.OUTPUT_UNAVAILABLE})

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


def confine_to_wire(place: Place) -> Wire:
    return {"confine": [folder.decode("latin-1") for folder in place]}  # As in a request.


def live(birth: Birth) -> NoReturn:
    """Serve until the daemon closes the socket. Never returns into the zygote's frames."""
    try:
        worker = Worker(BlockingChannel(birth.sock), birth.handler, _settle_in(birth))
        worker.greet()
    except BaseException:  # noqa: BLE001  # Whatever it is, it must not unwind into the zygote.
        traceback.print_exc()
        os._exit(EXIT_NOT_STARTED)
    try:
        worker.serve()
    except Closed:
        os._exit(0)
    except MemoryError:
        os._exit(EXIT_OVER_MEMORY)
    except BaseException:  # noqa: BLE001  # As above: the daemon reads the exit code, a person the traceback.
        traceback.print_exc()
    os._exit(1)


def _settle_in(birth: Birth) -> int:
    """Returns the address space in use, in bytes, before any picture."""
    hardening.die_with_parent(birth.zygote_pid)
    hardening.own_session()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.dup2(birth.output_fd, 1)
    os.dup2(birth.output_fd, 2)
    os.close(birth.output_fd)
    hardening.keep_freed_memory(birth.budget_bytes // 4)  # Half of it would count as swollen.
    os.umask(0o077)  # Staged files are nobody else's business until the recipe gives them their mode.
    base_bytes = hardening.address_space_bytes()
    hardening.limit_memory(birth.budget_bytes)
    return base_bytes


class Worker:
    """Confined in two steps: system calls from the start, files before the first request, to the folders of that request."""

    def __init__(self, channel: BlockingChannel, handler: Handler, base_bytes: int) -> None:
        self._channel = channel
        self._handler = handler
        self._base_bytes = base_bytes
        self._swollen_bytes = (base_bytes + hardening.memory_limit_bytes()) // 2
        self._libc = ctypes.CDLL(None)
        # Open from before the confinement, under which /proc is out of reach.
        self._memory = hardening.Memory()
        self._place: Place | None = None
        self._locked = landlock.version() > 0
        self._filtered = seccomp.install()

    def greet(self) -> None:
        guards = [name for name, active in (("landlock", self._locked), ("seccomp", self._filtered)) if active]
        self._channel.send(Frame(0, 0, {"hello": os.getpid(), "guards": guards}))

    def serve(self) -> NoReturn:
        """Raises ``Closed`` at the end of the daemon's interest, ``MemoryError`` at that of the budget."""
        self._confine(self._channel.receive())
        first = True
        while True:
            frame = self._channel.receive()
            request = asked(frame.body)
            if request.place != self._place:
                self._leave(frame, ELSEWHERE)
            result, sound = self._process(request, frame)
            if not first and self._shut_out(request, result):
                self._leave(frame, ELSEWHERE)
            first = False
            if isinstance(result, Rejected) and result.reason in _DOUBTED and self._near_limit():
                raise MemoryError
            self._libc.fflush(None)  # What native code printed belongs to this job, not to the next.
            answer = result_to_wire(result)
            if not sound or self._memory.address_space_bytes() > self._swollen_bytes:
                self._leave(frame, answer)  # So much is still held that the next, innocent job might not find its room.
            self._channel.send(Frame(frame.job_id, frame.epoch, answer))

    def _confine(self, frame: Frame) -> None:
        readable, writable = (folder.encode("latin-1") for folder in frame.body["confine"])
        try:
            landlock.confine(readable, writable)
        except OSError as error:  # Too many domains on one another (E2BIG), no memory: no fault of a picture.
            self._leave(frame, {"unconfined": str(error)})
        self._place = readable, writable
        self._channel.send(Frame(frame.job_id, frame.epoch, CONFINED))

    def _leave(self, frame: Frame, body: Wire) -> NoReturn:
        self._channel.send(Frame(frame.job_id, frame.epoch, body, last=True))
        os._exit(0)

    def _shut_out(self, request: WorkRequest | ErrandRequest, result: WorkResult | ErrandResult) -> bool:
        """Whether a folder was put in the place of one that we are confined to: another mount, or a new folder."""
        if not (self._locked and isinstance(result, Troubled) and result.reason in _PERHAPS_SHUT_OUT):
            return False
        return any(map(landlock.shut_out, request.place))

    def _process(self, request: WorkRequest | ErrandRequest, frame: Frame) -> tuple[WorkResult | ErrandResult, bool]:
        def wanted(question: Question) -> bool | Bearing:
            self._channel.send(Frame(frame.job_id, frame.epoch, result_to_wire(question)))
            answer = self._channel.receive().body
            return bearing_from_wire(answer) if isinstance(question, Looked) else bool(answer["wanted"])

        try:
            return self._handler(request, wanted), True
        except (MemoryError, Closed):
            raise
        except BaseException as error:  # noqa: BLE001  # A defect, SystemExit included, is told and costs one worker.
            traceback.print_exc(file=sys.stderr)
            return Troubled(Reason.UNEXPECTED, "".join(traceback.format_exception_only(error)).strip()), False

    def _near_limit(self) -> bool:
        limit_bytes = hardening.memory_limit_bytes()  # Asked anew: the daemon raises it for a huge picture.
        return self._memory.peak_address_space_bytes() >= limit_bytes - (limit_bytes - self._base_bytes) // 8
