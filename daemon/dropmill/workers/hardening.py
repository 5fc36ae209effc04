"""What a process of the pool does to itself before it touches a user's file."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from typing import Final

# From <linux/prctl.h>; Python has no names for them.
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38
# From <malloc.h>; the threshold of mmap is the largest that glibc takes on 64-bit machines.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
_LARGEST_MMAP_THRESHOLD_BYTES: Final = 32 << 20
_LARGE_BLOCK_BYTES: Final = 256 << 10

# A terminal, systemd or a shell sends these to whole process groups; the daemon alone decides when its workers end.
_LEFT_TO_THE_DAEMON: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def ignore_signals() -> None:
    """Ignore INT, TERM and HUP, and unblock what the daemon's thread may have blocked."""
    for number in _LEFT_TO_THE_DAEMON:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def die_with_parent(parent_pid: int) -> None:
    """Have the kernel send SIGKILL when the parent ends, however it ends. Exits where it has ended already."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # The parent may have ended before the call, and then nothing would ever be sent.
    if os.getppid() != parent_pid:
        os._exit(0)


def gain_no_privileges() -> None:
    """No program started from here on gains rights by setuid bits or file capabilities."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def own_session() -> None:
    """Leave the terminal and the process group of whoever started us."""
    if os.getsid(0) != os.getpid():
        os.setsid()


def limit_memory(budget_bytes: int) -> None:
    """Limit the address space to what is mapped now and ``budget_bytes`` more.

    To be called after the libraries are loaded: OpenBLAS spins for ever where it cannot map its buffers. The hard limit
    stays, because the daemon raises the limit of a worker that a huge picture was given to.
    """
    limit = address_space_bytes() + budget_bytes
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def memory_limit_bytes() -> int:
    return resource.getrlimit(resource.RLIMIT_AS)[0]


def raise_memory_limit(pid: int, by_bytes: int) -> None:
    """Let another process of our user map more. Raises ``OSError`` where that is not allowed or it is gone."""
    soft, hard = resource.prlimit(pid, resource.RLIMIT_AS)
    limit = soft + by_bytes if hard == resource.RLIM_INFINITY else min(soft + by_bytes, hard)
    resource.prlimit(pid, resource.RLIMIT_AS, (limit, hard))


def keep_freed_memory(limit_bytes: int) -> None:
    """Let the allocator keep up to ``limit_bytes`` of what is freed instead of giving it back after every picture.

    Each picture needs about the same buffers again; mapping and zeroing them anew costs thousands of page faults.
    Only where the C library has ``mallopt`` (glibc).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)  # Each thread of a decoder would else reserve 64 MiB of the address space.
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD_BYTES)
        mallopt(_M_TRIM_THRESHOLD, min(limit_bytes, (1 << 31) - 1))


def give_back_freed_memory() -> None:
    """Let the allocator give back every large block as soon as it is freed, instead of keeping more and more of it.

    glibc raises the size from which a block counts as large with each one that is freed (mallopt(3), M_MMAP_THRESHOLD).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BLOCK_BYTES)


def address_space_bytes() -> int:
    """VmSize of this process."""
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split(b" ", 1)[0]) * resource.getpagesize()


class Memory:
    """What the kernel counts of this process, through descriptors that stay open."""

    def __init__(self) -> None:
        self._statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
        self._status = os.open("/proc/self/status", os.O_RDONLY | os.O_CLOEXEC)
        self._page_bytes = resource.getpagesize()

    def address_space_bytes(self) -> int:
        """VmSize: what is mapped now."""
        return int(os.pread(self._statm, 128, 0).split(b" ", 1)[0]) * self._page_bytes

    def peak_address_space_bytes(self) -> int:
        """VmPeak: the most that was ever mapped at once."""
        for line in os.pread(self._status, 8192, 0).splitlines():
            if line.startswith(b"VmPeak:"):
                return int(line.split()[1]) << 10
        return 0


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"prctl({option}): {os.strerror(error)}")
