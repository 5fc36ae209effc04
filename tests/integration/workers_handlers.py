"""A handler for the tests of the worker pool: each request names, in ``rel``, how its worker is to behave.

Loaded by the zygote by name, like the real recipe. ``root`` is a folder for the files by which tests and workers wait
for one another.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import hashlib
import os
import platform
import re
import resource
import signal
import socket
import stat
import struct
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
    Troubled,
    WorkRequest,
    WorkResult,
    result_to_wire,
)
from dropmill.workers import landlock, seccomp
from dropmill.workers.frames import Frame, pack
from dropmill.workers.worker import ELSEWHERE

PRELOADED: list[int] = []
HELD: list[bytearray] = []
_F_SETOWN_EX = 15  # The fcntl module has no name for it.


def preload() -> None:
    PRELOADED.append(os.getpid())
    if "UNGUARDED" in os.environ:  # As on a kernel, or an architecture, that has neither, or no Landlock.
        landlock.version = lambda: 0
        if os.environ["UNGUARDED"] == "all":
            seccomp.supported = lambda: False
    if "UNCONFINED_WITHOUT" in os.environ:  # As while the kernel has no memory for a ruleset.
        landlock.confine = _refused_until(os.environ["UNCONFINED_WITHOUT"], landlock.confine)


def _refused_until(path: str, confine: Callable[[bytes, bytes], bool]) -> Callable[[bytes, bytes], bool]:
    def refused(readable: bytes, writable: bytes) -> bool:
        if not os.path.exists(path):
            raise OSError(errno.E2BIG, os.strerror(errno.E2BIG))
        return confine(readable, writable)

    return refused


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
    if wanted(Preview(content, 12_000_000, 1)):
        if argument:
            time.sleep(float(argument))
        return Superseded()
    return Recognised(content)


@behaviour
def two_previews(request: WorkRequest, wanted: Callable[[Preview], bool], argument: str) -> None:
    for _ in range(2):
        wanted(Preview(content_of(request.job_id, request.epoch), 1, 1))


@behaviour
def boast(request: WorkRequest, wanted: Callable[[Preview], bool], argument: str) -> None:
    """``pixels,pages`` of a picture that nobody would have let through."""
    pixels, pages = map(int, argument.split(","))
    wanted(Preview(content_of(request.job_id, request.epoch), pixels, pages, 1 << 62))
    time.sleep(60)


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
    """With an argument: only after the daemon has heard of it."""
    say(request, "started")
    if argument:
        wanted(Preview(content_of(request.job_id, request.epoch), 1, 1))
    while True:
        pass


@behaviour
def spin_in_native_code(request: WorkRequest, wanted: Callable[[Preview], bool], argument: str) -> None:
    """In one call into C that never comes back to the interpreter; with an argument, after the daemon has heard of it."""
    if argument:
        wanted(Preview(content_of(request.job_id, request.epoch), 1, 1))
    re.match(r"(a+)+$", "a" * 64 + "b")


@behaviour
def break_out(request: WorkRequest, wanted: Callable[[Preview], bool], argument: str) -> WorkResult:
    """Everything that a worker has no business doing: what came of each, by name."""
    elsewhere = os.fsencode(argument)
    own = os.path.join(request.staging, b"own")
    attempts: dict[str, Callable[[], object]] = {
        "inet": lambda: socket.socket(socket.AF_INET),
        "inet6": lambda: socket.socket(socket.AF_INET6),
        "unix": lambda: socket.socket(socket.AF_UNIX),
        "netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
        "socketpair": socket.socketpair,
        "execute": lambda: os.execv("/bin/true", ["true"]),
        "fork": os.fork,
        "spawn": lambda: os.posix_spawn("/bin/true", ["true"], {}),
        "signal the zygote": lambda: os.kill(os.getppid(), 0),
        "signal a group": lambda: os.killpg(os.getpgrp(), 0),
        "have the zygote signalled": lambda: fcntl.fcntl(sockets()[0], fcntl.F_SETOWN, os.getppid()),
        "have a thread signalled": lambda: fcntl.fcntl(sockets()[0], _F_SETOWN_EX, struct.pack("ii", 1, os.getppid())),
        "choose the signal": lambda: fcntl.fcntl(sockets()[0], fcntl.F_SETSIG, signal.SIGKILL),
        "lease": lambda: fcntl.fcntl(sockets()[0], fcntl.F_SETLEASE, fcntl.F_UNLCK),
        "be notified": lambda: fcntl.fcntl(sockets()[0], fcntl.F_NOTIFY, 0),
        "outlive the zygote": lambda: _libc("prctl", 1, 0, 0, 0, 0),
        "attach shared memory": lambda: _libc("shmat", -1, 0, 0),
        "remove shared memory": lambda: _libc("shmctl", -1, 0, 0),
        "hold a semaphore": lambda: _libc("semop", -1, 0, 0),
        "hold it for a time": lambda: _libc("semtimedop", -1, 0, 0, 0),
        "remove a semaphore": lambda: _libc("semctl", -1, 0, 0),
        "send a message": lambda: _libc("msgsnd", -1, 0, 0, 0),
        "take a message": lambda: _libc("msgrcv", -1, 0, 0, 0, 0),
        "remove messages": lambda: _libc("msgctl", -1, 0, 0),
        "own memory limit": lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)),
        "another's limits": lambda: resource.prlimit(os.getppid(), resource.RLIMIT_CORE, (0, 0)),
        "io_uring": lambda: _syscall(425, 4, 0),
        "ptrace": lambda: _syscall({"x86_64": 101, "aarch64": 117}[platform.machine()], 16, os.getppid(), 0, 0),
        "read /etc/passwd": lambda: _opened(b"/etc/passwd", "rb"),
        "list /": lambda: os.listdir("/"),
        "list /proc": lambda: os.listdir("/proc/self/fd"),
        "read elsewhere": lambda: _opened(os.path.join(elsewhere, b"secret"), "rb"),
        "write elsewhere": lambda: _opened(os.path.join(elsewhere, b"new"), "xb"),
        "remove elsewhere": lambda: os.unlink(os.path.join(elsewhere, b"secret")),
        "write the source": lambda: _opened(os.path.join(request.root, b"a.jpg"), "r+b"),
        "write beside it": lambda: _opened(os.path.join(request.root, b"new"), "xb"),
        "remove the source": lambda: os.unlink(os.path.join(request.root, b"a.jpg")),
        "open the source to all": lambda: os.chmod(os.path.join(request.root, b"a.jpg"), 0o777),
        "read what is staged": lambda: _opened(os.path.join(request.staging, b"others"), "rb"),
        "rename what is staged": lambda: os.rename(os.path.join(request.staging, b"others"), own),
        "link what is staged": lambda: os.link(os.path.join(request.staging, b"others"), own),
        "a folder in staging": lambda: os.mkdir(own),
        "a pipe in staging": lambda: os.mkfifo(own),
        "publish": lambda: _opened(os.path.join(os.path.dirname(request.staging), b"visible.jpg"), "xb"),
    }
    if os.geteuid() == 0:
        attempts["mount"] = lambda: _mount(request.staging)
    with open(os.path.join(request.root, b"a.jpg"), "rb") as file:
        found = {"its own work": file.read().decode()}
    found |= {name: _outcome(attempt) for name, attempt in attempts.items()}
    fd = os.open(own, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    os.fchmod(fd, 0o644)
    os.fsync(fd)
    os.close(fd)
    os.unlink(own)
    ready = threading.Event()
    threading.Thread(target=ready.set).start()
    found["a thread"] = str(ready.wait(10))
    return NotOurs(Reason.UNEXPECTED, repr(found))


def _opened(path: bytes, mode: str) -> str:
    with open(path, mode):
        return "opened"


def _outcome(attempt: Callable[[], object]) -> str:
    try:
        result = attempt()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    except ValueError:  # What the resource module makes of EPERM.
        return "EPERM"
    return f"allowed: {result!r}"


def _syscall(*numbers: int) -> None:
    _libc("syscall", *numbers)


def _libc(name: str, *numbers: int) -> None:
    call = getattr(ctypes.CDLL(None, use_errno=True), name)
    call.restype = ctypes.c_int
    if call(*map(ctypes.c_long, numbers)) == -1:
        raise OSError(ctypes.get_errno(), "")


def _mount(folder: bytes) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"none", folder, b"tmpfs", 0, None) < 0:
        raise OSError(ctypes.get_errno(), "")


@behaviour
def read(request: WorkRequest, wanted: Callable[[Preview], bool], argument: str) -> WorkResult | None:
    """``<root>/<argument>`` into ``<staging>/<job>``, with the recipe's own words for trouble."""
    try:
        with open(os.path.join(os.fsdecode(request.root), argument), "rb") as source:
            data = source.read()
    except OSError as error:
        return Troubled(Reason.UNREADABLE, error.strerror or "")
    if not wanted(Preview(content_of(request.job_id, request.epoch), 1, 1)):
        return None
    try:
        with open(os.path.join(os.fsdecode(request.staging), str(request.job_id)), "xb") as target:
            target.write(data)
    except OSError as error:
        return Troubled(Reason.OUTPUT_UNAVAILABLE, error.strerror or "")
    return None


@behaviour
def claim_to_be_elsewhere(request: WorkRequest, wanted: Callable[[Preview], bool], argument: str) -> None:
    os.write(sockets()[0], pack(Frame(request.job_id, request.epoch, ELSEWHERE)))
    time.sleep(60)


@behaviour
def feast(request: WorkRequest, wanted: Callable[[Preview], bool], argument: str) -> WorkResult | None:
    """``needs,takes`` in MiB: say that so much is needed, then take so much, and wait for ``<root>/go``."""
    needs, takes = map(int, argument.split(","))
    say(request, "asked")
    wanted(Preview(content_of(request.job_id, request.epoch), 1, 1, needs << 20))
    taken = bytearray(takes << 20)
    say(request, "started")
    while not os.path.exists(os.path.join(request.root, b"go")):
        time.sleep(0.002)
    del taken
    return None


@behaviour
def stream(request: WorkRequest, wanted: Callable[[Preview], bool], argument: str) -> WorkResult | None:
    """Stream where that is allowed, and end by ``argument``; else be sound."""
    streams = request.budget_bytes > 0
    wanted(Preview(content_of(request.job_id, request.epoch), 1, 1, (10 if streams else 100) << 20, streams))
    say(request, f"asked-{streams}")
    if streams and argument == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if streams and argument == "hang":
        time.sleep(3600)
    if streams and argument == "memory":
        raise MemoryError
    if streams and argument in {"corrupt", "interrupted"}:
        return Rejected(Reason.CORRUPT, "so it says")
    return Troubled(Reason.MEMORY_LIMIT, "so it says") if streams and argument == "troubled" else None


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
