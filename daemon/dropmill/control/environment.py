"""Does the environment allow what the configuration says? Everything is really tried, and every finding told at once."""

from __future__ import annotations

import os
import shlex
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from dropmill.control import trials_urls, webhooks
from dropmill.control.trials import Found, Severity, device, staging, try_writing, writable
from dropmill.errors import Conflict, DropmillError
from dropmill.files import fstype, lease
from dropmill.files.room import MOUNT_IT
from dropmill.files.roots import lock_directory, state_holder
from dropmill.files.standing import disk_is_away
from dropmill.maintenance.state import remote_kind
from dropmill.ports import Clock
from dropmill.settings import Inbox, Loaded, Settings, TcpAddress
from dropmill.store import views
from dropmill.store.catalog import ReadOnlyCatalog, catalog_path, examine
from dropmill.store.connection import Row
from dropmill.workers import landlock, seccomp

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


def remarks(loaded: Loaded, clock: Clock) -> list[Remark]:
    """Blocking; leaves nothing behind but folders that the daemon would make too."""
    settings = loaded.settings
    found: list[Found] = [*_state(settings), *_places(settings), *_http(settings), *_group(settings)]
    found += [*trials_urls.dropfiles(settings), *trials_urls.downloads(settings), *_libraries(settings)]
    found += webhooks.trials(settings)
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
    told += [("library_roots", f"library root {folder}: listed") for folder in settings.library_roots]
    told += [*trials_urls.tried(settings), *webhooks.tried(settings)]
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
    yield from writable("state_dir", settings.state_dir)
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
    inboxes = [(f"inboxes.{index}", inbox) for index, inbox in enumerate(settings.inboxes)]
    for key, inbox in [*inboxes, *trials_urls.inboxes(settings)]:
        for kind in ("output", "archive", "duplicates", "quarantine"):
            folder = getattr(inbox, kind)
            path = os.fsencode(os.path.abspath(folder)) if folder else b""
            met = [row for row in roots if row["kind"] == kind and row["path"] == path]
            if any(disk_is_away(path, row["identity"]) for row in met if kind == "output" or row["name"] == inbox.name):
                named = trials_urls.setting_of(key, kind)
                yield "warning", f"{key}.{named}", f"{folder}: its disk is not mounted", MOUNT_IT


def _places(settings: Settings) -> Iterator[Found]:
    for index, inbox in enumerate(settings.inboxes):
        yield from _inbox(f"inboxes.{index}", inbox)
        yield from _in_use(f"inboxes.{index}.path", inbox, settings.state_dir)
        for name in ("output", "archive", "duplicates", "quarantine"):
            folder = getattr(inbox, name)
            if folder:
                yield from writable(f"inboxes.{index}.{name}", folder)
        yield from staging(f"inboxes.{index}.output", inbox.output)
        for name in ("archive", "duplicates", "quarantine"):
            folder = getattr(inbox, name)
            if folder and os.path.isdir(folder) and os.path.isdir(inbox.path) and device(folder) != device(inbox.path):
                text = f"{folder} is on another file system than the inbox: originals are copied, compared and removed"
                yield "note", f"inboxes.{index}.{name}", text, ""
    if settings.log.file:
        yield from writable("log.file", os.path.dirname(settings.log.file) or "/")


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
    trouble = try_writing(path, lambda written: _lease(path, written))
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


def _libraries(settings: Settings) -> Iterator[Found]:
    for folder in settings.library_roots:
        try:
            os.scandir(folder).close()
        except OSError as error:
            remedy = "create or mount it, and let the daemon's user read it (ProtectHome of the unit hides /home)"
            yield "warning", "library_roots", f"{folder}: {error.strerror}", remedy


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
        yield from writable("http.bind", os.path.dirname(address.path))
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
