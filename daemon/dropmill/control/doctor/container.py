"""What would be lost with a container, or with the next start, and whose files are mounted into a container."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from dropmill.control.doctor.finding import Finding, may
from dropmill.control.doctor.mounts import Mount, mount_of, mounts, standing
from dropmill.settings import Settings

_MARKS: Final = ("run/.containerenv", ".dockerenv")
_GROUPS: Final = ("docker", "kubepods", "libpod", "lxc", "containerd", "crio")
# What vanishes with the container, and what with the next start of the machine.
_LAYERS: Final = frozenset({"overlay", "aufs"})
_MEMORY: Final = frozenset({"tmpfs", "ramfs"})


def kind(environ: Mapping[str, str], root: str = "/") -> str:
    """``Kubernetes``, ``Docker``, ``Podman`` or ``a container``; empty outside of any."""
    if environ.get("KUBERNETES_SERVICE_HOST"):
        return "Kubernetes"
    if os.path.exists(os.path.join(root, _MARKS[0])):
        return "Podman"
    if os.path.exists(os.path.join(root, _MARKS[1])):
        return "Docker"
    if environ.get("container"):
        return "a container"
    try:
        with open(os.path.join(root, "proc/self/cgroup"), encoding="ascii", errors="replace") as groups:
            told = groups.read()
    except OSError:
        return ""
    return "a container" if any(word in told for word in _GROUPS) else ""


@dataclass(frozen=True, slots=True)
class Kept:
    """``precious``: what is in it cannot be made again."""

    key: str
    folder: str
    word: str
    precious: bool


def kept(settings: Settings) -> Iterator[Kept]:
    yield Kept("state_dir", settings.state_dir, "state directory", True)
    for index, inbox in enumerate(settings.inboxes):
        yield Kept(f"inboxes.{index}.path", inbox.path, "inbox", True)
        for name in ("output", "archive", "duplicates", "quarantine"):
            if getattr(inbox, name):
                yield Kept(f"inboxes.{index}.{name}", getattr(inbox, name), name, name != "output")


def told(inside: str) -> Iterator[Finding]:
    yield Finding("container", "ok", f"runs in {inside}")


def look(place: Kept, inside: str) -> Iterator[Finding]:
    """Blocking. Whether the folder outlives the container, and whose it is."""
    above = os.path.realpath(standing(place.folder))
    mount = mount_of(above, mounts())
    layer = mount is not None and inside and mount.kind in _LAYERS and mount.point == "/"
    if mount is not None and (layer or mount.kind in _MEMORY):
        yield _lost(place, inside, mount)
    elif inside:
        yield from _owner(place, inside, above)


def _lost(place: Kept, inside: str, mount: Mount) -> Finding:
    key, folder, word = place.key, place.folder, place.word
    memory = mount.kind not in _LAYERS
    what = f"in memory ({mount.kind})" if memory else "in the container's own layer: no volume is mounted there"
    text = f"{word} {folder} is {what}"
    until = "the container" if inside else "the next start of the machine"
    why = f"what is in it is gone with {until}"
    if key == "state_dir":
        why += "; without its state every picture that is still there would be new again"
    remedy, fix = f"name a folder on a disk, or mount one at {folder}", ""
    if inside == "Kubernetes":
        remedy = f"mount a persistentVolumeClaim at {folder} (config/kubernetes/ has an example)"
    elif inside:
        program = "podman" if inside == "Podman" else "docker"
        remedy = "start the container with a volume, or a folder of the host, there:"
        fix = f"{program} run -v {'dropmill-' + word.split()[0]}:{shlex.quote(folder)} …"
    return Finding("container", "warning" if place.precious else "note", text, key, folder, why, remedy, fix)


def _owner(place: Kept, inside: str, above: str) -> Iterator[Finding]:
    """A folder of the host that this user may not use; permissions themselves are tried elsewhere."""
    key, folder = place.key, place.folder
    seen = os.stat(above)
    me = (os.geteuid(), os.getegid())
    wanted = os.R_OK | os.X_OK | (0 if place.word == "inbox" else os.W_OK)
    if os.geteuid() == 0 or may(above, wanted) or above != os.path.realpath(folder):
        return
    text = f"{folder} belongs to {seen.st_uid}:{seen.st_gid} on the host, and the container runs as {me[0]}:{me[1]}"
    why = "a bind mount keeps the owners of the host"
    if inside == "Kubernetes":
        remedy = f"set securityContext.fsGroup to {seen.st_gid}, or runAsUser to {seen.st_uid}"
        fix = ""
    else:
        program = "podman" if inside == "Podman" else "docker"
        remedy = "run it as the folder's owner, or give the folder to the container's user; with SELinux add :Z to -v"
        fix = f"{program} run --user {seen.st_uid}:{seen.st_gid} …\nsudo chown -R {me[0]}:{me[1]} FOLDER_ON_THE_HOST"
    yield Finding("container", "note", text, key, folder, why, remedy, fix)
