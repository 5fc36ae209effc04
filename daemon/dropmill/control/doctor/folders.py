"""Folders that dropmill writes: what it will do there is really done, with a file that is gone a moment later. Blocking."""

from __future__ import annotations

import errno
import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from dropmill.control.doctor import filesystem
from dropmill.control.doctor.finding import Check, Finding, as_root, capable, grant, may, user_name
from dropmill.control.doctor.mounts import mount_of, mounts, standing
from dropmill.control.doctor.space import room
from dropmill.errors import DropmillError
from dropmill.files.probe import Tried, try_folder, try_making
from dropmill.files.roots import STAGING, make_staging

# From <linux/capability.h>: permissions of files do not count.
CAP_DAC_OVERRIDE: Final = 1
_DENIED: Final = frozenset({errno.EACCES, errno.EPERM})
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
MOUNT_FOR_WRITING: Final = (
    "mount its disk for writing; one that the system itself has made read-only is failing: see dmesg"
)


@dataclass(frozen=True, slots=True)
class Place:
    """A folder that is written. ``word``: what it is called, as "output"; ``needs``: what does not work without it."""

    check: Check
    key: str
    word: str
    path: str
    needs: str
    gid: int = -1
    reserve_mb: int = 0


def look(place: Place) -> Iterator[Finding]:
    """Write, sync and rename really work there, or could where the folder is still to be made; and there is room."""
    found = standing(place.path)
    if found != place.path:
        yield from _to_be_made(place, found)
        return
    tried = try_folder(place.path, gid=place.gid)
    if tried.error is not None:
        yield refused(place, tried.error, tried.step)
        if tried.error.errno in _FULL:
            yield from room(place.key, place.path, place.reserve_mb)
        return
    yield Finding(place.check, "ok", f"{place.word} {place.path}: written, synced, renamed", place.key, place.path)
    yield from _group(place, tried)
    yield from filesystem.kept(place.check, place.key, place.path, tried)
    yield from room(place.key, place.path, place.reserve_mb)
    if place.check == "output":
        yield from _staging(place)


def _to_be_made(place: Place, found: str) -> Iterator[Finding]:
    above = place.path
    while not os.path.lexists(above):
        above = os.path.dirname(above) or "/"
    closed = closed_on_the_way(place.path)
    if closed:
        text = f"{place.path} cannot be reached: {closed} is closed to {user_name(os.geteuid())}"
        fix = grant("x", closed, os.geteuid())
        yield Finding(place.check, "error", text, place.key, place.path, place.needs, "", fix)
        return
    if not os.path.isdir(above):
        text = f"{above} is no folder"
        if os.path.islink(above):
            text = f"{above} is a link that leads nowhere"
        remedy = "name another path"
        yield Finding(place.check, "error", text, place.key, place.path, place.needs, remedy)
        return
    error = try_making(found)
    if error is None:
        yield Finding(place.check, "ok", f"{place.word} {place.path}: can be made", place.key, place.path)
        yield from room(place.key, found, place.reserve_mb)
        return
    text = f"{place.path} does not exist and cannot be made: {error.strerror}"
    quoted, who = shlex.quote(place.path), user_name(os.geteuid())
    fix = as_root(f"install -d -o {who} {quoted}")
    remedy = ""
    if error.errno == errno.EROFS:
        fix, remedy = remount(found), MOUNT_FOR_WRITING
    yield Finding(place.check, "error", text, place.key, place.path, place.needs, remedy, fix)


def refused(place: Place, error: OSError, step: str) -> Finding:
    """A folder in which ``step`` failed, with what helps against exactly that."""
    text = f"{place.path} cannot be written: {step} failed: {error.strerror}"
    remedy, fix = "", ""
    if error.errno == errno.EROFS:
        remedy, fix = MOUNT_FOR_WRITING, remount(place.path)
    elif error.errno in _FULL:
        remedy = "free space, or name a folder on another disk"
        if error.errno == errno.EDQUOT:
            remedy = "its quota is used up: raise it, or remove files that count"
    elif error.errno in _DENIED and capable(CAP_DAC_OVERRIDE):
        remedy = "root itself may not: it is immutable, or on a share that takes root for nobody (root_squash)"
        fix = f"lsattr -d {shlex.quote(place.path)}"
    elif error.errno in _DENIED:
        closed = closed_on_the_way(place.path)
        fix = grant("x", closed, os.geteuid()) if closed else grant("rwx", place.path, os.geteuid())
        remedy = f"give the daemon's user write access; {user_name(os.geteuid())} has tried just now"
    else:
        remedy = "look at its disk: `dmesg | tail` may say more"
    return Finding(place.check, "error", text, place.key, place.path, place.needs, remedy, fix)


def closed_on_the_way(path: str) -> str:
    """The first folder above ``path`` that this user may not pass, or nothing."""
    above = []
    folder = os.path.dirname(os.path.abspath(path))
    while folder != "/":
        above.append(folder)
        folder = os.path.dirname(folder)
    return next((one for one in reversed(above) if os.path.isdir(one) and not may(one, os.X_OK)), "")


def remount(path: str) -> str:
    """The command that has the mount of a path written again, or nothing where it is not told."""
    mount = mount_of(os.path.realpath(path), mounts())
    return as_root(f"mount -o remount,rw {shlex.quote(mount.point)}") if mount else ""


def _group(place: Place, tried: Tried) -> Iterator[Finding]:
    if tried.group_error is None:
        return
    who = user_name(os.geteuid())
    text = f"files in {place.path} cannot be given to group {place.gid}: {tried.group_error.strerror}"
    why = "renditions would not get the group that output.group names, and are not published without it"
    fix = as_root(f"usermod -aG {place.gid} {who}")
    remedy = "start the daemon anew after that: groups are read as a process begins"
    yield Finding(place.check, "error", text, "output.group", place.path, why, remedy, fix)


def _staging(place: Place) -> Iterator[Finding]:
    # Made here, it would say that a folder is meant in whose place a disk is to be mounted.
    if not os.path.isdir(os.path.join(place.path, os.fsdecode(STAGING))):
        return
    try:
        make_staging(os.fsencode(place.path))
    except DropmillError as error:
        yield Finding("output", "error", error.public_message, place.key, place.path, remedy=error.hint)
    except OSError as error:
        staging = os.path.join(place.path, os.fsdecode(STAGING))
        text = f"{staging} cannot be opened: {error.strerror}"
        why = "renditions are staged there before they get their names"
        fix = as_root(f"chown -R {user_name(os.geteuid())} {shlex.quote(staging)}")
        yield Finding("output", "error", text, place.key, staging, why, "", fix)
