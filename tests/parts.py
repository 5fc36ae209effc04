"""Real parts that some tests need: mounts, namespaces, programs. Missing ones skip, or fail under DROPMILL_REQUIRE_ALL=1."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NoReturn

import pytest


def missing(what: str, remedy: str = "") -> NoReturn:
    """Skip the test with the reason; where everything is required, as ``.ci/run`` does, fail instead."""
    reason = f"{what}; {remedy}" if remedy else what
    if os.environ.get("DROPMILL_REQUIRE_ALL") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def need_programs(**packages: str) -> None:
    """``need_programs(sshfs="sshfs", socat="socat")``: programs by name, each with the package that brings it."""
    for program, package in packages.items():
        if shutil.which(program) is None:
            missing(f"{program} is not installed", f"apt-get install {package}")


def need_module(name: str) -> None:
    if importlib.util.find_spec(name) is None:
        missing(f"the Python module {name} is not installed")


def need_root() -> None:
    """For mounts, namespaces and other users."""
    if os.geteuid() != 0:
        missing("only root may do this")


# From <linux/sched.h> and <linux/mount.h>.
_CLONE_NEWNS: Final = 0x00020000
_MS_REC_SLAVE: Final = 0x4000 | 0x80000


def keep_mounts_to_this_process() -> None:
    """What is mounted from now on ends with the last process that was started here, also where no test unmounts it any more.

    Needs root, as mounts do; without, nothing happens.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() == 0 and libc.unshare(_CLONE_NEWNS) == 0:
        libc.mount(b"none", b"/", None, _MS_REC_SLAVE, None)


# From <linux/capability.h>: _LINUX_CAPABILITY_VERSION_3, CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH.
_CAPABILITIES_VERSION: Final = 0x20080522
_READS_EVERYTHING: Final = 1 << 1 | 1 << 2


@contextmanager
def modes_hold_for_root() -> Iterator[None]:
    """Within the block this thread may read no more than the modes of files say, even as root."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_VERSION, 0)
    before = (ctypes.c_uint32 * 6)()  # Effective, permitted and inheritable, twice.
    if libc.capget(header, before) != 0:
        raise OSError(ctypes.get_errno(), "capget")
    less = (ctypes.c_uint32 * 6)(*before)
    less[0] &= ~_READS_EVERYTHING & 0xFFFFFFFF
    if libc.capset(header, less) != 0:
        raise OSError(ctypes.get_errno(), "capset")
    try:
        yield
    finally:
        libc.capset(header, before)
