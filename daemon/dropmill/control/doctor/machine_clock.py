"""The machine's clock: whether anybody keeps it right, and whether it is years off."""

from __future__ import annotations

import ctypes
import os
import shutil
from collections.abc import Iterator
from typing import Final

from dropmill.control.doctor.finding import Finding, Ground, as_root

# 2026-01-01 UTC in milliseconds: a clock before that has lost its battery.
EARLIEST_MS: Final = 1_767_225_600_000
# systemd-timesyncd(8) touches it once the clock is right.
_SYNCHRONISED: Final = "/run/systemd/timesync/synchronized"
# From <sys/timex.h>: STA_UNSYNC.
_UNSYNCHRONISED: Final = 0x0040


class _Timex(ctypes.Structure):
    """The beginning of ``struct timex`` of adjtimex(2); the rest is room for what the kernel writes behind it."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 256),
    )


def look(ground: Ground) -> Iterator[Finding]:
    if ground.clock.now_ms() < EARLIEST_MS:
        why = "certificates look invalid, webhooks are refused as stale, and records are dated wrongly"
        text = "the clock of this machine is years behind"
        yield Finding("clock", "warning", text, why=why, fix=_set_it())
        return
    kept = synchronised()
    if kept is None:
        yield Finding("clock", "ok", "clock: of this year; whether it is kept right is not told here")
    elif kept:
        yield Finding("clock", "ok", "clock: kept right by a time service")
    else:
        settings = ground.settings
        matters = bool(settings.webhooks or settings.dropfiles)
        text = "the clock of this machine is not synchronised, as far as its kernel knows"
        why = (
            "receivers refuse webhooks whose timestamp is minutes off, and certificates are judged by it"
            if matters
            else "records and dates in names are as wrong as it is; settling goes by a clock that nobody sets"
        )
        remedy = "in a container or virtual machine the host may keep it right unseen: compare `date -u` there"
        yield Finding("clock", "warning" if matters else "note", text, "", "", why, remedy, _set_it())


def synchronised() -> bool | None:
    """None where neither the kernel nor systemd-timesyncd says anything."""
    if os.path.exists(_SYNCHRONISED):
        return True
    libc = ctypes.CDLL(None, use_errno=True)
    asked = _Timex()
    if not hasattr(libc, "adjtimex") or libc.adjtimex(ctypes.byref(asked)) < 0:
        return None
    return not asked.status & _UNSYNCHRONISED


def _set_it() -> str:
    if shutil.which("timedatectl") and os.path.isdir("/run/systemd/system"):
        return as_root("timedatectl set-ntp true")
    return as_root("apt-get install chrony") if shutil.which("apt-get") else ""
