"""Does the environment allow what the configuration says? Everything is really tried, and every finding told at once."""

from __future__ import annotations

import os
import shlex
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from dropmill.errors import Conflict, DropmillError
from dropmill.files import fstype, lease
from dropmill.files.room import MOUNT_IT
from dropmill.files.roots import STAGING, lock_directory, make_staging, state_holder
from dropmill.files.standing import disk_is_away
from dropmill.maintenance.state import remote_kind
from dropmill.ports import Clock
from dropmill.settings import Inbox, Loaded, Settings, TcpAddress
from dropmill.store import views
from dropmill.store.catalog import ReadOnlyCatalog, catalog_path, examine
from dropmill.store.connection import Row
from dropmill.workers import landlock, seccomp

Severity = Literal["error", "warning", "note"]

LOW_BYTES: Final = 1 << 30
# Counting the folders of a huge tree would take longer than anybody waits.
MOST_FOLDERS: Final = 200_000
# 2026-01-01 UTC in milliseconds: a clock before that has lost its battery.
_EARLIEST_MS: Final = 1_767_225_600_000


@dataclass(frozen=True, slots=True)
class Remark:
    """``where``: ``file:line`` or empty; ``key``: dotted key of the setting; ``remedy``: what to do, or a command."""

    severity: Severity
    where: str
    key: str
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        place = "".join(f"{part}: " for part in (self.where, self.key) if part)
        return f"{place}{self.message}" + (f"; {self.remedy}" if self.remedy else "")


Found = tuple[Severity, str, str, str]
"""Severity, key, message, remedy."""


def remarks(loaded: Loaded, clock: Clock) -> list[Remark]:
    """Blocking; leaves nothing behind but folders that the daemon would make too."""
    settings = loaded.settings
    found: list[Found] = [*_state(settings), *_places(settings), *_http(settings), *_group(settings)]
    found += [*_inotify(settings), *_clock(clock), *_workers()]
    told = [Remark("warning", one.where, one.key, one.message, one.hint) for one in loaded.warnings]
    for severity, key, message, remedy in found:
        remark = Remark(severity, _where(loaded, key), key, message, remedy)
        if remark not in told:
            told.append(remark)
    return told


def tried(settings: Settings) -> list[tuple[str, str]]:
    """``(key, what was tried)`` for everything that ``remarks`` tries; well where no error has the key."""
    told = [("state_dir", f"state {settings.state_dir}: {_how(settings.state_dir)}")]
    for index, inbox in enumerate(settings.inboxes):
        told.append((f"inboxes.{index}.path", f"inbox {inbox.name} {inbox.path}: listed, in use by no other state"))
        for name in ("output", "archive", "duplicates", "quarantine"):
            folder = getattr(inbox, name)
            if folder:
                told.append((f"inboxes.{index}.{name}", f"{name} {folder}: {_how(folder)}"))
    if settings.log.file:
        told.append(("log.file", f"log {settings.log.file}: its folder {_how(os.path.dirname(settings.log.file))}"))
    told.append(("http.bind", f"page {settings.http.bind}: can be listened on, or a daemon of this state does"))
    return told


def _how(folder: str) -> str:
    return "written, synced, renamed" if os.path.isdir(folder) else "can be made"


def _where(loaded: Loaded, key: str) -> str:
    origin = loaded.origin.get(key, "")
    if not origin or origin == "default":
        return ""
    name, _, line = origin.rpartition(":")
    if loaded.path is not None and line.isdecimal() and name == loaded.path.name:
        return f"{loaded.path}:{line}"
    return origin


def _state(settings: Settings) -> Iterator[Found]:
    yield from _writable("state_dir", settings.state_dir)
    try:
        share = remote_kind(_standing(settings.state_dir))
    except OSError:
        share = ""  # It cannot be opened, of which trying to write has told.
    if share:
        text = f"{settings.state_dir} is on a network file system ({share})"
        yield "error", "state_dir", text, "name a folder on a local disk"
    elif _magic(settings.state_dir) == fstype.FUSE:
        remedy = "name a folder on a local disk unless you know that locks work there"
        yield "warning", "state_dir", f"{settings.state_dir} is not on a disk of this machine", remedy
    yield from _catalog(settings)


def _catalog(settings: Settings) -> Iterator[Found]:
    """Whatever a daemon would be refused for; one that runs has the catalog, and says itself how it is."""
    path = catalog_path(settings.state_dir)
    try:
        if state_holder(os.fsencode(settings.state_dir)) is None:
            examine(path)
        catalog = ReadOnlyCatalog(path)
    except OSError:
        return  # Told already: the state directory cannot be used.
    except DropmillError as error:
        severity: Severity = "note" if "older" in error.public_message else "error"
        yield severity, "state_dir", error.public_message, error.hint
        return
    try:
        yield from _away(settings, catalog.look(views.roots))
    finally:
        catalog.close()


def _away(settings: Settings, roots: Sequence[Row]) -> Iterator[Found]:
    """Folders that lay on a disk which is not mounted now: the daemon waits for it."""
    for index, inbox in enumerate(settings.inboxes):
        for kind in ("output", "archive", "duplicates", "quarantine"):
            folder = getattr(inbox, kind)
            path = os.fsencode(os.path.abspath(folder)) if folder else b""
            met = [row for row in roots if row["kind"] == kind and row["path"] == path]
            if any(disk_is_away(path, row["identity"]) for row in met if kind == "output" or row["name"] == inbox.name):
                yield "warning", f"inboxes.{index}.{kind}", f"{folder}: its disk is not mounted", MOUNT_IT


def _places(settings: Settings) -> Iterator[Found]:
    for index, inbox in enumerate(settings.inboxes):
        yield from _inbox(f"inboxes.{index}", inbox)
        yield from _in_use(f"inboxes.{index}.path", inbox, settings.state_dir)
        for name in ("output", "archive", "duplicates", "quarantine"):
            folder = getattr(inbox, name)
            if folder:
                yield from _writable(f"inboxes.{index}.{name}", folder)
        yield from _staging(f"inboxes.{index}.output", inbox.output)
        for name in ("archive", "duplicates", "quarantine"):
            folder = getattr(inbox, name)
            if (
                folder
                and os.path.isdir(folder)
                and os.path.isdir(inbox.path)
                and _device(folder) != _device(inbox.path)
            ):
                text = f"{folder} is on another file system than the inbox: originals are copied, compared and removed"
                yield "note", f"inboxes.{index}.{name}", text, ""
    if settings.log.file:
        yield from _writable("log.file", os.path.dirname(settings.log.file) or "/")


def _inbox(key: str, inbox: Inbox) -> Iterator[Found]:
    path = inbox.path
    quoted = shlex.quote(path)
    if not os.path.isdir(path):
        yield "error", f"{key}.path", f"{path} does not exist", f"mkdir -p {quoted}"
        return
    try:
        with os.scandir(path) as found:
            next(found, None)
    except OSError as error:
        yield "error", f"{key}.path", f"{path} cannot be listed: {error.strerror}", f"chmod u+rx {quoted}, as its owner"
        return
    moves = inbox.on_success != "keep" or inbox.on_duplicate != "keep" or inbox.quarantine
    trouble = _try_writing(path, lambda written: _lease(path, written))
    if trouble.startswith("lease"):
        text = f"{path}: {trouble}, so only time tells when a file is complete"
        yield "note", f"{key}.settle_seconds", text, "choose settle_seconds longer than any pause of whatever writes"
    elif trouble and moves:
        text = f"{path}: originals cannot be moved out of it: {trouble}"
        yield "error", f"{key}.path", text, f"give the daemon's user write access: chown or chmod {quoted}"
    if inbox.watch == "auto" and fstype.delivers_no_events(os.fsencode(path)):
        text = f"{path} is polled every {inbox.poll_seconds:g} s: its file system tells nobody of changes"
        yield "note", f"{key}.watch", text, ""


def _in_use(key: str, inbox: Inbox, state_dir: str) -> Iterator[Found]:
    """Another state's daemon on the same inbox; the lock is taken for an instant, and released at once."""
    try:
        holder = state_holder(os.fsencode(state_dir))
    except OSError:
        holder = None
    try:
        lock_directory(os.fsencode(inbox.path)).release()
    except Conflict as error:
        # A holder without a number is in another container; then the two cannot be told apart.
        if holder is not None and (not holder or error.public_message.endswith(f"pid {holder}")):
            return  # Our own state's daemon, of which a note tells.
        yield "error", key, f"{error.public_message}, which has another state directory", error.hint
    except OSError:
        return  # Told already: it is not there or cannot be listed.


def _lease(folder: str, name: str) -> str:
    root = os.fsencode(folder)
    if not lease.believed(root):
        return "lease: read leases mean nothing on this file system"
    return "" if lease.probe(root, os.fsencode(name)) is lease.Lease.FREE else "lease: no read lease was granted"


def _writable(key: str, folder: str) -> Iterator[Found]:
    """Write, sync and rename really work there, or could where the folder is still to be made; and there is room."""
    quoted = shlex.quote(folder)
    standing = folder
    while not os.path.exists(standing):
        standing = os.path.dirname(standing) or "/"
    if not os.path.isdir(standing):
        yield "error", key, f"{standing} is no folder", "name another path"
        return
    if standing != folder:
        trouble = _try_making(standing)
        if trouble:
            text = f"{folder} does not exist and cannot be made: {trouble}"
            yield "error", key, text, f"mkdir -p {quoted}, then chown it"
        return
    trouble = _try_writing(folder)
    if trouble:
        remedy = f"give the daemon's user write access: chown or chmod {quoted}"
        if os.statvfs(folder).f_flag & os.ST_RDONLY:
            remedy = "mount its disk for writing; one that the system itself has made read-only is failing: see dmesg"
        yield "error", key, f"{folder} cannot be written: {trouble}", remedy
        return
    disk = os.statvfs(folder)
    free_bytes = disk.f_bavail * disk.f_frsize
    if disk.f_blocks and free_bytes < LOW_BYTES:
        yield (
            "warning",
            key,
            f"{folder} has {free_bytes >> 20} MiB free",
            "free space, or name a folder on another disk",
        )


def _try_making(parent: str) -> str:
    """Make and remove a folder; what went wrong, or nothing."""
    path = os.path.join(parent, f".dropmill-check-{os.getpid()}")
    try:
        os.mkdir(path)
        os.rmdir(path)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _try_writing(folder: str, also: Callable[[str], str] = lambda _name: "") -> str:
    """Make, sync, rename and remove a file; what went wrong, or what ``also`` (given the name) says, or nothing."""
    first, second = (os.path.join(folder, f".dropmill-check-{os.getpid()}-{word}") for word in ("a", "b"))
    try:
        with open(first, "xb") as file:
            file.write(b"dropmill check\n")
            file.flush()
            os.fsync(file.fileno())
        os.rename(first, second)
        return also(os.path.basename(second))
    except OSError as error:
        return error.strerror or str(error)
    finally:
        for path in (first, second):
            try:
                os.unlink(path)
            except OSError:
                continue  # Never made, or renamed.


def _staging(key: str, output: str) -> Iterator[Found]:
    # Made here, it would say that a folder is meant in whose place a disk is to be mounted.
    if not os.path.isdir(os.path.join(output, os.fsdecode(STAGING))):
        return
    try:
        make_staging(os.fsencode(output))
    except DropmillError as error:
        yield "error", key, error.public_message, error.hint
    except OSError:
        return  # Told already: the output cannot be written.


def _http(settings: Settings) -> Iterator[Found]:
    try:
        holder = state_holder(os.fsencode(settings.state_dir))
    except OSError:
        holder = None
    if holder is not None:
        yield "note", "", f"a daemon runs already (pid {holder or 'unknown'})", ""
        return
    address = settings.http.address
    if not isinstance(address, TcpAddress):
        yield from _writable("http.bind", os.path.dirname(address.path))
        return
    try:
        for family, kind, _, _, where in socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[:1]:
            with socket.socket(family, kind) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(where)
    except OSError as error:
        text = f"{settings.http.bind} cannot be listened on: {error.strerror or error}"
        yield "error", "http.bind", text, 'choose another, as in "127.0.0.1:8687"; `ss -ltnp` tells who has it'


def _group(settings: Settings) -> Iterator[Found]:
    try:
        settings.output.gid()
    except DropmillError as error:
        yield "error", "output.group", error.public_message, error.hint


def _inotify(settings: Settings) -> Iterator[Found]:
    """Each folder of a watched tree takes one of the user's watches (W14)."""
    watched = [inbox for inbox in settings.inboxes if inbox.watch != "poll" and os.path.isdir(inbox.path)]
    limit = _number("/proc/sys/fs/inotify/max_user_watches")
    if limit is None or not watched:
        return
    folders = sum(_folders(inbox.path) if inbox.recursive else 1 for inbox in watched)
    if folders > limit * 9 // 10:
        text = f"the inboxes hold {folders} folders, and a user may watch {limit} (fs.inotify.max_user_watches)"
        yield "warning", "", text, f"sysctl fs.inotify.max_user_watches={max(524288, 2 * folders)}"
    if _number("/proc/sys/fs/inotify/max_user_instances") == 0:
        yield "warning", "", "no inotify instance is allowed", "sysctl fs.inotify.max_user_instances=128"


def _folders(path: str) -> int:
    count = 0
    for _, _, _ in os.walk(path):
        count += 1
        if count >= MOST_FOLDERS:
            break
    return count


def _workers() -> Iterator[Found]:
    missing = [
        name for name, there in (("Landlock", landlock.version()), ("seccomp", seccomp.supported())) if not there
    ]
    if missing:
        text = f"workers run without {' and '.join(missing)}, which this kernel or container does not offer"
        yield "note", "", text, ""


def _clock(clock: Clock) -> Iterator[Found]:
    if clock.now_ms() < _EARLIEST_MS:
        yield "warning", "", "the clock of this machine is years behind", "set it: timedatectl set-ntp true"


def _number(path: str) -> int | None:
    try:
        with open(path, encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None


def _device(folder: str) -> int:
    return os.stat(folder).st_dev


def _standing(folder: str) -> str:
    """The folder, or the nearest above it that is there."""
    while not os.path.isdir(folder) and folder not in {"", "/"}:
        folder = os.path.dirname(folder)
    return folder or "/"


def _magic(folder: str) -> int | None:
    try:
        fd = os.open(_standing(folder), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return fstype.magic_of(fd)
    finally:
        os.close(fd)
