"""Room on the disks: bytes and inodes, against what the settings want to stay free. Blocking."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from typing import Final

from dropmill.control.doctor.finding import Finding, megabytes
from dropmill.control.doctor.mounts import mount_of, mounts

LOW_BYTES: Final = 1 << 30
LOW_INODES: Final = 10_000


def room(key: str, folder: str, reserve_mb: int) -> Iterator[Finding]:
    """Of the disk that a folder is on; the same for all folders on it."""
    disk = os.statvfs(folder)
    mount = mount_of(os.path.realpath(folder), mounts())
    point = mount.point if mount else folder
    where = f"{point} ({mount.kind})" if mount else folder
    free_bytes = disk.f_bavail * disk.f_frsize
    inodes = disk.f_favail if disk.f_files else None
    if not disk.f_blocks:
        return  # An overlay or a share that does not count its room.
    look_for = f"du -xh --max-depth=2 {shlex.quote(point)} | sort -h | tail"
    if free_bytes < reserve_mb << 20:
        text = f"{megabytes(free_bytes)} are free on {where}, and {reserve_mb} MiB are to stay free (min_free_mb)"
        why = "nothing new is begun there; jobs and files wait"
        remedy = "free space, or name a folder on another disk; this tells what takes it:"
        yield Finding("space", "error", text, key, point, why, remedy, look_for)
    elif free_bytes < max(LOW_BYTES, reserve_mb << 21):
        text = f"{megabytes(free_bytes)} are free on {where}"
        why = f"with less than {reserve_mb} MiB (min_free_mb) nothing new is begun there"
        remedy = "free space, or name a folder on another disk; this tells what takes it:"
        yield Finding("space", "warning", text, key, point, why, remedy, look_for)
    elif inodes is not None and inodes < LOW_INODES:
        yield _few_inodes(key, point, where, inodes)
    else:
        many = "" if inodes is None else f" and {inodes:,} inodes"
        yield Finding("space", "ok", f"{where}: {megabytes(free_bytes)}{many} free", key, point)


def _few_inodes(key: str, point: str, where: str, inodes: int) -> Finding:
    text = f"room for {inodes:,} more files is left on {where} (inodes)"
    why = "each rendition is a file; without an inode nothing can be published, however much space is free"
    remedy = "remove files, or name a folder on another disk; this tells where they are:"
    fix = f"du --inodes -x --max-depth=2 {shlex.quote(point)} | sort -n | tail"
    return Finding("space", "error" if inodes == 0 else "warning", text, key, point, why, remedy, fix)
