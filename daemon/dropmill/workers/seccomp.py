"""seccomp: a process gives up system calls for good. What no decoder needs, and an attacker would, answers EPERM.

A list of what is denied, not of what is allowed: libraries and libc change what they call from version to version, and a
picture must not be lost to that. What later kernels may add is denied as not there (ENOSYS), which libraries expect.
Numbers are those of the kernel's unistd_64.h (x86_64) and asm-generic/unistd.h (aarch64); a test compares them.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from typing import Final

# Name, number on x86_64, number on aarch64; "-" where the architecture has no such call.
_DENIED: Final = """
socket 41 198, socketpair 53 199, connect 42 203, bind 49 200, listen 50 201, accept 43 202, accept4 288 242,
sendmsg 46 211, sendmmsg 307 269, recvmsg 47 212, recvmmsg 299 243,
execve 59 221, execveat 322 281, fork 57 -, vfork 58 -, unshare 272 97, setns 308 268,
ptrace 101 117, process_vm_readv 310 270, process_vm_writev 311 271, process_madvise 440 440, kcmp 312 272,
pidfd_open 434 434, pidfd_send_signal 424 424, pidfd_getfd 438 438, rt_sigqueueinfo 129 138, rt_tgsigqueueinfo 297 240,
io_uring_setup 425 425, io_uring_enter 426 426, io_uring_register 427 427,
bpf 321 280, userfaultfd 323 282, perf_event_open 298 241, memfd_secret 447 447, personality 135 92,
add_key 248 217, request_key 249 218, keyctl 250 219,
mount 165 40, umount2 166 39, pivot_root 155 41, chroot 161 51, move_mount 429 429, open_tree 428 428,
open_tree_attr 467 467, fsopen 430 430, fsconfig 431 431, fsmount 432 432, fspick 433 433, mount_setattr 442 442,
swapon 167 224, swapoff 168 225, quotactl 179 60, quotactl_fd 443 443, acct 163 89,
name_to_handle_at 303 264, open_by_handle_at 304 265, fanotify_init 300 262, inotify_init 253 -, inotify_init1 294 26,
init_module 175 105, finit_module 313 273, delete_module 176 106, kexec_load 246 104, kexec_file_load 320 294,
reboot 169 142, syslog 103 116, sethostname 170 161, setdomainname 171 162, vhangup 153 58,
settimeofday 164 170, clock_settime 227 112, clock_adjtime 305 266, adjtimex 159 171,
iopl 172 -, ioperm 173 -, modify_ldt 154 -, ioctl 16 29, setrlimit 160 164,
setpriority 141 140, ioprio_set 251 30, sched_setaffinity 203 122, sched_setscheduler 144 119, sched_setparam 142 118,
sched_setattr 314 274, migrate_pages 256 238, move_pages 279 239,
shmget 29 194, shmat 30 196, shmctl 31 195, semget 64 190, semop 65 193, semtimedop 220 192, semctl 66 191,
msgget 68 186, msgsnd 69 189, msgrcv 70 188, msgctl 71 187, mq_open 240 180,
chmod 90 -, fchmodat 268 53, fchmodat2 452 452, chown 92 -, lchown 94 -, fchownat 260 54,
utime 132 -, utimes 235 -, futimesat 261 -, utimensat 280 88, file_setattr 469 469, truncate 76 45,
setxattr 188 5, lsetxattr 189 6, fsetxattr 190 7, setxattrat 463 463,
removexattr 197 14, lremovexattr 198 15, fremovexattr 199 16, removexattrat 466 466,
rename 82 -, renameat 264 38, renameat2 316 276, link 86 -, linkat 265 37, symlink 88 -, symlinkat 266 36,
mkdir 83 -, mkdirat 258 34, rmdir 84 -, mknod 133 -, mknodat 259 33
"""
# Judged by their arguments, below.
_CLONE: Final = (56, 220)
_CLONE3: Final = (435, 435)
_SENDTO: Final = (44, 206)
_KILL, _TKILL, _TGKILL = (62, 129), (200, 130), (234, 131)
_PRLIMIT: Final = (302, 261)
_FCNTL: Final = (72, 25)
_PRCTL: Final = (157, 167)
_FIRST_UNKNOWN: Final = 470
# Calls of the x32 ABI have this bit set in an x86_64 process.
_X32_BIT: Final = 0x4000_0000
_CLONE_THREAD: Final = 0x0001_0000

# AUDIT_ARCH_* of <linux/audit.h>, and the column above.
_ARCHITECTURES: Final = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}

# <linux/fcntl.h>. With an owner and a signal of its choice a descriptor sends SIGKILL to anybody of our user; leases and
# notifications would hold up those who write to an inbox, or tell of them.
_F_SETOWN, _F_SETSIG, _F_SETOWN_EX, _F_SETLEASE, _F_NOTIFY = 8, 10, 15, 1024, 1026
# <linux/prctl.h>. Without its signal a worker would outlive the daemon (Q17).
_PR_SET_PDEATHSIG: Final = 1
_PR_GET_SECCOMP: Final = 21
_PR_SET_SECCOMP: Final = 22
_MODE_FILTER: Final = 2
# <linux/bpf_common.h>, and offsets into struct seccomp_data.
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16
_ALLOW: Final = 0x7FFF_0000
_ERRNO: Final = 0x0005_0000
_DENY: Final = _ERRNO | errno.EPERM
_NOT_THERE: Final = _ERRNO | errno.ENOSYS


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def denied(machine: str) -> dict[str, int]:
    """Calls that are denied whatever their arguments, by name, on ``x86_64`` or ``aarch64``."""
    column = _ARCHITECTURES[machine][1]
    rows = (row.split() for row in _DENIED.replace("\n", " ").split(","))
    return {name: int(numbers[column]) for name, *numbers in rows if numbers[column] != "-"}


def supported() -> bool:
    """Whether the kernel has filters, and we one for its architecture."""
    if not sys.platform.startswith("linux") or platform.machine() not in _ARCHITECTURES or sys.byteorder != "little":
        return False
    return int(ctypes.CDLL(None).prctl(_PR_GET_SECCOMP, 0, 0, 0, 0)) >= 0


def install() -> bool:
    """Deny from here on, in this thread and all that it starts. False where it is not supported.

    Needs no-new-privileges. Raises ``OSError`` where the kernel refuses.
    """
    if not supported():
        return False
    code = program(platform.machine(), os.getpid())
    libc = ctypes.CDLL(None, use_errno=True)
    asked = _Program(len(code) // 8, code)
    if libc.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_MODE_FILTER), ctypes.byref(asked), ctypes.c_ulong(0)) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"seccomp: {os.strerror(error)}")
    return True


def program(machine: str, pid: int) -> bytes:
    """The filter as ``struct sock_filter`` after one another."""
    architecture, column = _ARCHITECTURES[machine]
    code = [_step(_LOAD, _ARCHITECTURE_AT), _step(_EQUAL, architecture, 1, 0), _answer(_DENY), _step(_LOAD, _NUMBER_AT)]
    if machine == "x86_64":
        code += [_step(_AT_LEAST, _X32_BIT, 0, 1), _answer(_DENY)]
    code += [_step(_AT_LEAST, _FIRST_UNKNOWN, 0, 1), _answer(_NOT_THERE)]
    # A thread is fine, a process is not: it would outlive the deadline. clone3 hides its flags behind a pointer, and
    # libc goes back to clone where it is not there.
    code += _if(_CLONE[column], [*_argument(0), _step(_ANY_BIT, _CLONE_THREAD, 1, 0), _answer(_DENY), _answer(_ALLOW)])
    code += _if(_CLONE3[column], [_answer(_NOT_THERE)])
    # send() is sendto() without an address.
    code += _if(_SENDTO[column], _null(4))
    # Reading limits is fine, setting them is not: the memory limit is the daemon's.
    code += _if(_PRLIMIT[column], _null(2))
    for signalling in (_KILL, _TKILL, _TGKILL):  # abort() and raise() signal their own process.
        own = [*_argument(0), _step(_EQUAL, pid, 1, 0), _answer(_DENY), _answer(_ALLOW)]
        code += _if(signalling[column], own)
    code += _if(_FCNTL[column], _none_of(1, _F_SETOWN, _F_SETSIG, _F_SETOWN_EX, _F_SETLEASE, _F_NOTIFY))
    code += _if(_PRCTL[column], _none_of(0, _PR_SET_PDEATHSIG))
    for number in denied(machine).values():
        code += _if(number, [_answer(_DENY)])
    return b"".join([*code, _answer(_ALLOW)])


def _if(number: int, then: list[bytes]) -> list[bytes]:
    """``then`` has to end with an answer."""
    return [_step(_EQUAL, number, 0, len(then)), *then]


def _null(index: int) -> list[bytes]:
    """Allow where a pointer among the arguments is null."""
    low, high = _argument(index)[0], _step(_LOAD, _ARGUMENTS_AT + 8 * index + 4)
    zero = _step(_EQUAL, 0, 1, 0)
    return [low, zero, _answer(_DENY), high, zero, _answer(_DENY), _answer(_ALLOW)]


def _none_of(index: int, *values: int) -> list[bytes]:
    """Allow where an argument, of 32 bits to the kernel, is none of these."""
    denials = [step for value in values for step in _if(value, [_answer(_DENY)])]
    return [*_argument(index), *denials, _answer(_ALLOW)]


def _argument(index: int) -> list[bytes]:
    return [_step(_LOAD, _ARGUMENTS_AT + 8 * index)]


def _answer(value: int) -> bytes:
    return _step(_RETURN, value)


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """``struct sock_filter``: code, how far to jump if true and if false, value."""
    return struct.pack("<HBBI", code, if_true, if_false, value)
