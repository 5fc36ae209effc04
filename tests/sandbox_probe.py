"""Run in place of the daemon, in its unit: tries what the sandbox is to forbid and says as JSON what came of each.

Every place that it tries to write is open for everybody by its modes, so that only the sandbox can stand in the way.
"""

from __future__ import annotations

import ctypes
import errno
import json
import mmap
import os
import socket
import sys
from collections.abc import Callable
from typing import Final

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
# From <linux/sched.h>: CLONE_NEWUSER, SCHED_FIFO.
_CLONE_NEWUSER: Final = 0x10000000


def write(folder: str) -> Callable[[], object]:
    def act() -> None:
        path = f"{folder}/probe-{os.getpid()}"
        with open(path, "w", encoding="ascii") as file:
            file.write("probe")
        os.unlink(path)

    return act


def send(address: str) -> Callable[[], object]:
    def act() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"probe", (address, 9))

    return act


def call(name: str, *arguments: int | bytes) -> Callable[[], object]:
    def act() -> None:
        if getattr(_LIBC, name)(*arguments) < 0:
            raise OSError(ctypes.get_errno(), name)

    return act


def fork() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def sees_others() -> None:
    if not os.path.exists("/proc/1/status"):
        raise FileNotFoundError(errno.ENOENT, "/proc/1")


def main() -> None:
    acts: dict[str, Callable[[], object]] = {f"write {folder}": write(folder) for folder in sys.argv[2].split(":")}
    acts |= {
        "read a home": lambda: os.listdir("/home/ann"),
        "loopback": send("127.0.0.1"),
        "network": send(sys.argv[1]),
        "packets": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close(),
        "namespaces": call("unshare", _CLONE_NEWUSER),
        "mount": call("mount", b"none", b"/srv", b"tmpfs", 0, 0),
        "code that was written": lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC),
        "real time": lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)),
        "priority": lambda: os.setpriority(os.PRIO_PROCESS, 0, -5),
        "host name": lambda: socket.sethostname("probe"),
        "kernel settings": lambda: open("/proc/sys/vm/swappiness", "w", encoding="ascii").close(),
        "kernel log": lambda: open("/dev/kmsg", encoding="ascii").close(),
        "other processes": sees_others,
        "another user": lambda: os.setuid(0),
        "worker": fork,
    }
    found = {}
    for name, act in acts.items():
        try:
            act()
            found[name] = "done"
        except OSError as error:
            found[name] = errno.errorcode[error.errno or 0]
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
