"""Who asks, who will run the daemon, and what its processes are allowed to use."""

from __future__ import annotations

import os
import resource
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from typing import Final

from dropmill.control.doctor import service
from dropmill.control.doctor.finding import Finding, Ground, as_root, megabytes, user_name
from dropmill.errors import DropmillError
from dropmill.settings import effective_processes
from dropmill.settings.capacity import memory_limit_bytes
from dropmill.workers import landlock, seccomp

# Of the daemon beside the workers: the interpreter, the catalog's caches, the index and the process that forks.
DAEMON_BYTES: Final = 256 << 20
# For the catalog, the page's connections, and what each inbox and worker keeps open.
BASE_FILES: Final = 256


def user(ground: Ground) -> Iterator[Finding]:
    """Permissions tried as one user say nothing of another."""
    me = os.geteuid()
    other = service.user(ground)
    if other is not None and other != me:
        name = user_name(other)
        text = f"this checks as {user_name(me)}, and the service runs as {name}"
        why = "what one may read and write, the other may not" + ("; root may nearly everything" if me == 0 else "")
        yield Finding("user", "warning", text, "", "", why, "", as_user(name, ground))
    elif me == 0 and ground.holder is None:
        text = "this checks as root, for whom permissions hardly count"
        why = "a daemon that runs as another user may not be able to do what worked here"
        yield Finding("user", "note", text, "", "", why, "if it is to run as another user, check as that one")
    else:
        yield Finding("user", "ok", f"user: {user_name(me)}")


def as_user(name: str, ground: Ground) -> str:
    """The command that checks as somebody else, with the same program and configuration."""
    program = os.path.abspath(sys.argv[0]) if os.path.basename(sys.argv[0]) == "dropmill" else "dropmill"
    given = f" --config {shlex.quote(os.path.abspath(ground.loaded.path))}" if ground.loaded.path else ""
    if os.geteuid() == 0 and not shutil.which("sudo"):
        return f"runuser -u {name} -- {program} check{given}"
    return f"sudo -u {name} {program} check{given}"


def group(ground: Ground) -> Iterator[Finding]:
    try:
        gid = ground.settings.output.gid()
    except DropmillError as error:
        name = ground.settings.output.group
        fix = as_root(f"groupadd --system {shlex.quote(name)}")
        text = error.public_message.removeprefix("output.group: ")
        yield Finding("output", "error", text, "output.group", name, "the daemon would not start", "", fix)
        return
    if gid >= 0:
        yield Finding("output", "ok", f"group {ground.settings.output.group}: there", "output.group")


def limits(ground: Ground) -> Iterator[Finding]:
    workers = ground.settings.workers
    processes = effective_processes(workers)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = BASE_FILES + 8 * processes + 8 * len(ground.settings.every_inbox) + 4 * len(ground.settings.webhooks)
    if soft != resource.RLIM_INFINITY and soft < needed:
        text = f"{soft} files may be open at once, and about {needed} are needed"
        why = "the daemon would run out of descriptors: no connections, no workers, inboxes polled"
        fix = f"ulimit -n {needed}" if hard == resource.RLIM_INFINITY or hard >= needed else ""
        remedy = f"for the service: LimitNOFILE={max(1024, needed)} in the unit" + ("; in a shell:" if fix else "")
        yield Finding("limits", "warning", text, "", "", why, remedy, fix)
    else:
        yield Finding("limits", "ok", f"open files: {soft} allowed, about {needed} needed")
    yield from _memory(ground, processes)
    yield from _temporary(ground)


def _memory(ground: Ground, processes: int) -> Iterator[Finding]:
    workers = ground.settings.workers
    limit = memory_limit_bytes()
    if limit is None:
        yield Finding("limits", "ok", f"memory: no limit but the machine's; {processes} workers")
        return
    one = workers.memory_limit_mb << 20
    if limit < DAEMON_BYTES + one:
        text = f"{megabytes(limit)} of memory are allowed (control group), and one worker may take {megabytes(one)}"
        why = (
            f"with the daemon itself, about {megabytes(DAEMON_BYTES)}, one large picture would have the kernel kill it"
        )
        fits = max(64, (limit - DAEMON_BYTES) >> 20)
        remedy = (
            "raise the limit (docker run --memory, resources.limits.memory, MemoryMax=), or lower it per worker: "
            f"memory_limit_mb = {fits} below [workers] in the configuration, or in the environment of the daemon "
            f"DROPMILL_WORKERS__MEMORY_LIMIT_MB={fits} (docker run -e, env of the pod, Environment= of the unit)"
        )
        yield Finding("limits", "warning", text, "workers.memory_limit_mb", "", why, remedy)
    else:
        text = f"memory: {megabytes(limit)} allowed, {processes} workers"
        yield Finding("limits", "ok", text, "workers.memory_limit_mb")


def _temporary(ground: Ground) -> Iterator[Finding]:
    try:
        with tempfile.TemporaryFile():
            pass
    except OSError as error:
        text = f"no temporary file can be made: {error.strerror}"
        why = "`dropmill try`, and asking a catalog on a read-only disk, need one"
        remedy = (
            "make one writable, or name another folder in TMPDIR; a container with a read-only root wants --tmpfs /tmp"
        )
        yield Finding("limits", "note", text, "", ground.environ.get("TMPDIR", "/tmp"), why, remedy)  # noqa: S108  # A name to tell, where nothing is made.


def sandbox(_ground: Ground) -> Iterator[Finding]:
    there = {"Landlock": bool(landlock.version()), "seccomp": bool(seccomp.supported())}
    missing = [name for name, found in there.items() if not found]
    if not missing:
        yield Finding("sandbox", "ok", "workers: confined by Landlock and seccomp")
        return
    text = f"workers run without {' and '.join(missing)}, which this kernel or container does not offer"
    why = "a picture that takes over a decoder could reach what the daemon's user can"
    remedy = "Landlock comes with Linux 5.13 and `lsm=landlock,…` at boot; containers need a seccomp profile that lets it through"
    yield Finding("sandbox", "note", text, "", "", why, remedy, "cat /sys/kernel/security/lsm")
