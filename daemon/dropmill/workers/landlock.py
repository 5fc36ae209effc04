"""Landlock: a process gives up every file and every connection but what lies below two folders, and never gets them back.

From <linux/landlock.h> and the kernel's Documentation/userspace-api/landlock.rst. Rules hold on to directories as they
are when a rule is made: what is mounted over such a path later is out of reach.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from typing import Final

# The same on every architecture since the numbers were unified (424 and above).
_CREATE_RULESET: Final = 444
_ADD_RULE: Final = 445
_RESTRICT_SELF: Final = 446
_VERSION: Final = 1
_PATH_BENEATH: Final = 1

_WRITE_FILE: Final = 1 << 1
_READ_FILE: Final = 1 << 2
_READ_DIR: Final = 1 << 3
_REMOVE_FILE: Final = 1 << 5
_MAKE_REG: Final = 1 << 8
_READ: Final = _READ_FILE | _READ_DIR
# READ_DIR, because a directory has to be open to be synced.
_STAGE: Final = _WRITE_FILE | _MAKE_REG | _REMOVE_FILE | _READ_DIR

# What a version of the interface knows, by the number of access rights: renaming across folders came with 2, truncating
# with 3, device controls with 5.
_RIGHTS: Final = {1: 13, 2: 14, 3: 15, 4: 15}
_RIGHTS_NOW: Final = 16
_TCP: Final = 0b11
_ABSTRACT_SOCKETS_AND_SIGNALS: Final = 0b11


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def version() -> int:
    """Version of the kernel's interface; 0 where there is none, or none for us (a container's filter, a boot option)."""
    if not sys.platform.startswith("linux"):
        return 0
    try:
        return _syscall(_CREATE_RULESET, None, 0, _VERSION)
    except OSError:
        return 0


def confine(readable: bytes, writable: bytes) -> bool:
    """Leave this process nothing but to read below ``readable``, and to make, write and remove files in ``writable``.

    A folder that is not there, or may not be looked at, gives no right; opening it tells the caller why. False where the
    kernel has no Landlock. Raises ``OSError`` where it has but refuses. Needs no-new-privileges.
    """
    known = version()
    if not known:
        return False
    size_bytes = 8 if known < 4 else 16 if known < 6 else 24
    rights = (1 << _RIGHTS.get(known, _RIGHTS_NOW)) - 1
    asked = _Ruleset(rights, _TCP, _ABSTRACT_SOCKETS_AND_SIGNALS)
    ruleset = _syscall(_CREATE_RULESET, ctypes.byref(asked), size_bytes, 0)
    try:
        _allow(ruleset, readable, _READ)
        _allow(ruleset, writable, _STAGE)
        _syscall(_RESTRICT_SELF, ruleset, 0, 0)
    finally:
        os.close(ruleset)
    return True


def shut_out(folder: bytes) -> bool:
    """Whether it is our own confinement, and not the folder's mode or owner, that denies us a folder.

    ``access`` asks for owner and mode alone; Landlock has no say in it.
    """
    if not os.access(folder, os.R_OK | os.X_OK):
        return False
    try:
        os.close(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    except PermissionError:
        return True
    except OSError:
        return False  # Gone by now, or broken: not a matter of rights.
    return False


def _allow(ruleset: int, folder: bytes, rights: int) -> None:
    try:
        fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        rule = _PathBeneath(rights, fd)
        _syscall(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(fd)


def _syscall(number: int, *arguments: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    wide = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    result = int(libc.syscall(ctypes.c_long(number), *wide))
    if result < 0:
        error = ctypes.get_errno() or errno.EINVAL
        raise OSError(error, f"landlock ({number}): {os.strerror(error)}")
    return result
