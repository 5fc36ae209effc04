"""A handler for the tests of the worker pool: each request names, in ``rel``, how its worker is to behave.

Loaded by the zygote by name, like the real recipe. ``root`` is a folder for the files by which tests and workers wait
for one another.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable

from dropmill.model.fingerprint import Content
from dropmill.model.outcome import Reason
from dropmill.model.work import (
    NotOurs,
    Preview,
    Recognised,
    Rejected,
    Superseded,
    WorkRequest,
    WorkResult,
    result_to_wire,
)
from dropmill.workers import landlock, seccomp
from dropmill.workers.frames import Frame, pack

PRELOADED: list[int] = []
HELD: list[bytearray] = []


def preload() -> None:
    PRELOADED.append(os.getpid())
    if "UNGUARDED" in os.environ:  # As on a kernel, or an architecture, that has neither.
        landlock.version = lambda: 0
        seccomp.supported = lambda: False


def content_of(job_id: int, epoch: int) -> Content:
    """What a sound worker answers: different for every attempt, so that a mixed-up answer shows."""
    digest = hashlib.sha256(f"{job_id}:{epoch}".encode()).hexdigest()
    return Content(digest, digest)


def process(request: WorkRequest, wanted: Callable[[Preview], bool]) -> WorkResult:
    name, _, argument = request.rel.decode().partition(":")
    result = BEHAVIOURS[name](request, wanted, argument)
    return result or Recognised(content_of(request.job_id, request.epoch))


Behaviour = Callable[[WorkRequest, Callable[[Preview], bool], str], WorkResult | None]
BEHAVIOURS: dict[str, Behaviour] = {}


def behaviour(function: Behaviour) -> Behaviour:
    BEHAVIOURS[function.__name__] = function
    return function


@behaviour
def answer(request: WorkRequest, wanted: Callable[[Preview], bool], argument: str) -> None:
    pass


@behaviour
def preview(request: WorkRequest, wanted: Callable[[Preview], bool], argument: str) -> WorkResult:
    content = content_of(request.job_id, request.epoch)
    if wanted(Preview(content, 4000, 3000)):
        if argument:
            time.sleep(float(argument))
        return Superseded()
    return Recognised(content)


@behaviour
def two_previews(request: WorkRequest, wanted: Callable[[Preview], bool], argument: str) -> None:
    for _ in range(2):
        wanted(Preview(content_of(request.job_id, request.epoch), 1, 1))


@behaviour
def wait(request: WorkRequest, wanted: Callable[[Preview], bool], argument: str) -> None:
    """Say ``<root>/started-<job>`` and wait for ``<root>/go``."""
    say(request, "started")
    while not os.path.exists(os.path.join(request.root, b"go")):
        time.sleep(0.002)


@behaviour
def sleep(request: WorkRequest, wanted: Callable[[Preview], bool], argument: str) -> None:
    time.sleep(float(argument))


@behaviour
def spin(request: WorkRequest, wanted: Callable[[Preview], bool], argument: str) -> None:
    say(request, "started")
    while True:
        pass


@behaviour
def fork_and_spin(request: WorkRequest, wanted: Callable[[Preview], bool], argument: str) -> None:
    child = os.fork()
    if child == 0:
        while True:
            time.sleep(10)
    say(request, "started", str(child))
    while True:
        time.sleep(10)


@behaviour
def segfault(request: WorkRequest, wanted: Callable[[Preview], bool], argument: str) -> None:
    ctypes.string_at(1)


@behaviour
def kill_itself(request: WorkRequest, wanted: Callable[[Preview], bool], argument: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@behaviour
def leave(request: WorkRequest, wanted: Callable[[Preview], bool], argument: str) -> None:
    os._exit(3)


@behaviour
def eat(request: WorkRequest, wanted: Callable[[Preview], bool], argument: str) -> None:
    hoard = []
    while True:
        hoard.append(bytearray(8 << 20))


@behaviour
def eat_in_native_code(request: WorkRequest, wanted: Callable[[Preview], bool], argument: str) -> None:
    """As C++ does: the allocation fails, nobody catches, the process aborts."""
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    while libc.malloc(ctypes.c_size_t(64 << 20)):
        pass
    os.write(2, b"terminate called after throwing an instance of 'std::bad_alloc'\n")
    libc.abort()


@behaviour
def corrupt_near_the_limit(request: WorkRequest, wanted: Callable[[Preview], bool], argument: str) -> WorkResult:
    """As a decoder that calls a file broken because its buffer could not grow."""
    hoard = []
    try:
        while True:
            hoard.append(bytearray(1 << 20))
    except MemoryError:
        hoard.clear()
    return Rejected(Reason.CORRUPT, "broken data stream")


@behaviour
def hold(request: WorkRequest, wanted: Callable[[Preview], bool], argument: str) -> None:
    HELD.append(bytearray(int(argument) << 20))


@behaviour
def fail(request: WorkRequest, wanted: Callable[[Preview], bool], argument: str) -> None:
    raise RuntimeError("a defect")


@behaviour
def exit_politely(request: WorkRequest, wanted: Callable[[Preview], bool], argument: str) -> None:
    sys.exit(0)


@behaviour
def shout(request: WorkRequest, wanted: Callable[[Preview], bool], argument: str) -> None:
    """Megabytes to both descriptors, past Python's own streams."""
    block = (f"job {request.job_id} " * 8 + "\n").encode() * 100
    for fd in (1, 2):
        for _ in range((int(argument) << 20) // len(block)):
            os.write(fd, block)


@behaviour
def say_a_line(request: WorkRequest, wanted: Callable[[Preview], bool], argument: str) -> None:
    os.write(1, b"native " + argument.encode() + b"\xff\x1b[2J\n")
    print("python", argument)
    ctypes.CDLL(None).puts(b"buffered " + argument.encode())


@behaviour
def describe(request: WorkRequest, wanted: Callable[[Preview], bool], argument: str) -> WorkResult:
    """Facts of the worker's surroundings, as text."""
    import resource  # Only here: the zygote is to stay small.

    with open("/proc/self/status") as file:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    facts = {
        "preloaded_by_parent": [os.getppid()] == PRELOADED,
        "own_session": os.getsid(0) == os.getpid(),
        "ignored": all(
            signal.getsignal(number) is signal.SIG_IGN for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        ),
        "no_new_privs": status["NoNewPrivs"],
        "core": resource.getrlimit(resource.RLIMIT_CORE),
        "memory_limited": resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY,
        "threads": (os.environ["OPENBLAS_NUM_THREADS"], os.environ["OMP_NUM_THREADS"]),
        "secrets": [name for name in os.environ if name.startswith("DROPMILL_")],
        "stdin": os.readlink("/proc/self/fd/0"),
        "sockets": len(sockets()),
        "umask": status["Umask"],
    }
    return NotOurs(Reason.UNEXPECTED, repr(facts))


@behaviour
def garbage(request: WorkRequest, wanted: Callable[[Preview], bool], argument: str) -> None:
    os.write(sockets()[0], bytes.fromhex(argument))
    time.sleep(60)


@behaviour
def flood(request: WorkRequest, wanted: Callable[[Preview], bool], argument: str) -> None:
    forged = pack(Frame(request.job_id, request.epoch, result_to_wire(Superseded())))
    while True:
        os.write(sockets()[0], forged)


@behaviour
def impersonate(request: WorkRequest, wanted: Callable[[Preview], bool], argument: str) -> None:
    """Answer for another job or epoch."""
    job_id, epoch = map(int, argument.split(","))
    os.write(sockets()[0], pack(Frame(job_id, epoch, result_to_wire(Superseded()))))
    time.sleep(60)


@behaviour
def answer_the_next_job_too(request: WorkRequest, wanted: Callable[[Preview], bool], argument: str) -> None:
    """Leave a forged answer in the socket once the own one has been read."""
    job_id, epoch = map(int, argument.split(","))
    forged = pack(Frame(job_id, epoch, result_to_wire(Superseded())))

    def forge() -> None:
        while not os.path.exists(os.path.join(request.root, b"go")):
            time.sleep(0.002)
        os.write(sockets()[0], forged)
        say(request, "forged")

    threading.Thread(target=forge, daemon=True).start()


@behaviour
def hang_up(request: WorkRequest, wanted: Callable[[Preview], bool], argument: str) -> None:
    os.close(sockets()[0])
    time.sleep(60)


def sockets() -> list[int]:
    """Not from /proc, which a confined worker cannot list."""
    found = []
    for fd in range(256):
        try:
            if stat.S_ISSOCK(os.fstat(fd).st_mode):
                found.append(fd)
        except OSError:
            continue  # Not open.
    return found


def say(request: WorkRequest, word: str, text: str = "") -> None:
    """As a recipe writes: a new file in staging, in one piece, if the test has a folder for it and not the word yet."""
    path = os.path.join(request.staging, f"{word}-{request.job_id}".encode())
    if not os.path.isdir(request.staging) or os.path.exists(path):
        return
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    os.write(fd, (text or str(os.getpid())).encode())
    os.close(fd)
