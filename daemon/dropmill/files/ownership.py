"""Why the user that this process runs as may not use a folder, and what would let it. Asks the disk, changes nothing."""

from __future__ import annotations

import errno
import os
import shlex
import stat
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from dropmill.errors import ConfigurationError

_DENIED: Final = frozenset({errno.EACCES, errno.EPERM})
# What the kernel shows of owners that a user namespace has no number for (/proc/sys/kernel/overflowuid).
_UNKNOWN_OWNER: Final = 65534
_MARKS: Final = ("run/.containerenv", ".dockerenv")


@dataclass(frozen=True, slots=True)
class Self:
    """Who asks, and where: ``container`` is ``Kubernetes``, ``a container`` or empty; ``selinux``: it labels files here."""

    uid: int
    gid: int
    groups: Collection[int] = ()
    container: str = ""
    selinux: bool = False


def myself(folder: str, root: str = "/") -> Self:
    """This process as it meets ``folder``."""
    container = ""
    if os.environ.get("KUBERNETES_SERVICE_HOST"):
        container = "Kubernetes"
    elif "container" in os.environ or any(os.path.exists(os.path.join(root, mark)) for mark in _MARKS):
        container = "a container"
    selinux = os.path.exists(os.path.join(root, "sys/fs/selinux/enforce")) or _has_label(folder)
    return Self(os.geteuid(), os.getegid(), tuple(os.getgroups()), container, selinux)


def refusal(folder: str, what: str, error: OSError, *, need: str, reason: str = "") -> ConfigurationError:
    """The error that a start is refused with. ``what`` happened to it; ``need`` is of ``r``, ``w`` and ``x``."""
    detail, hint = explained(folder, error, need, myself(folder))
    return ConfigurationError(f"{folder}: {what}: {detail}", hint=hint, reason=reason)


def explained(folder: str, error: OSError, need: str, me: Self) -> tuple[str, str]:
    """``(detail, hint)``: what the system said, for whom and about whose folder; and what to do about it."""
    said = error.strerror or str(error)
    if error.errno == errno.EROFS:
        where = "mount a volume or a folder there, without :ro" if me.container else "mount its disk for writing"
        return said, f"{where}; a disk that the system itself has made read-only is failing: see dmesg"
    if error.errno not in _DENIED:
        return said, "check that it is a folder, and its mount"
    at = _blamed(folder, error)
    try:
        found = os.stat(at)
    except OSError:
        return f"{said} for uid {me.uid}, gid {me.gid}", f"let uid {me.uid} pass the folders above it"
    inside, above = at.startswith(folder + "/"), at != folder and folder.startswith(at)
    shut = above and not _allowed(found, "x", me)
    what = f"{'write' if 'w' in need else 'read'} {at if inside else 'it'}"
    if above:
        what = f"pass {at}, which is above it" if shut else f"write {at}, in which it is to be made"
    mode = stat.S_IMODE(found.st_mode)
    detail = (
        f"{said}: uid {me.uid}, gid {me.gid} may not {what}: "
        f"owner {found.st_uid}, group {found.st_gid}, mode {mode:04o}"
    )
    if shut:
        return detail, f"let that user pass: setfacl -m u:{me.uid}:x {shlex.quote(at)}"
    if above and me.container:
        return detail, f"mount a volume or a folder of the host at {folder}"
    if above:
        return detail, f"create it and give it to that user: install -d -o {me.uid} -g {me.gid} {shlex.quote(folder)}"
    return detail, "; ".join(_remedies(folder, found, need, me))


def _remedies(folder: str, found: os.stat_result, need: str, me: Self) -> list[str]:
    label = f"add :Z to what is mounted at {folder}" if me.container else f"restorecon -R {shlex.quote(folder)}"
    if _allowed(found, need, me):
        if me.selinux:
            return [f"its mode allows it, so its SELinux label does not: {label}"]
        return ["its mode allows it, so a folder above it or a security module does not (under SELinux: " + label + ")"]
    told = []
    if me.container == "Kubernetes":
        told.append(f"set fsGroup: {me.gid or me.uid} in the pod's securityContext")
    elif me.container and found.st_uid == _UNKNOWN_OWNER:
        told.append("its owner has no number in here: podman run --userns=keep-id --user …, as that owner")
    elif me.container:
        told.append(f"on the host, chown -R {me.uid}:{me.gid} the folder that is mounted at {folder}")
        if found.st_uid:
            told.append(f"or run the container as its owner: --user {found.st_uid}:{found.st_gid}")
    else:
        told.append(f"chown -R {me.uid}:{me.gid} {shlex.quote(folder)}")
        if found.st_uid:
            told.append(f"or run dropmill as its owner, uid {found.st_uid}")
    if me.selinux and me.container:
        told.append(f"SELinux is at work here, so {label} as well")
    return told


def _allowed(found: os.stat_result, need: str, me: Self) -> bool:
    """By owner, group and mode alone, as path_resolution(7) has it; lists of access rights are not looked at."""
    wanted = sum({"r": 4, "w": 2, "x": 1 if stat.S_ISDIR(found.st_mode) else 0}[letter] for letter in need)
    mode = stat.S_IMODE(found.st_mode)
    if me.uid == found.st_uid:
        mode >>= 6
    elif found.st_gid == me.gid or found.st_gid in me.groups:
        mode >>= 3
    return wanted & ~mode == 0


def _blamed(folder: str, error: OSError) -> str:
    """What could not be used: a file in the folder, the folder, or the nearest above it that is there."""
    name = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else ""
    if name.startswith(folder + "/") and os.path.lexists(name):
        return name
    while not os.path.lexists(folder) and folder not in {"", "/"}:
        folder = os.path.dirname(folder)
    return folder or "/"


def _has_label(folder: str) -> bool:
    try:
        return bool(os.getxattr(folder, "security.selinux"))
    except OSError:
        return False  # The file system keeps none, or the folder cannot be asked.
