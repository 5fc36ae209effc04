"""The directories that the configuration names: staging, the identity of an output, and locks against a second daemon."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from dropmill.errors import AlreadyRunning, ConfigurationError
from dropmill.files.access import closing, open_dir_beneath, open_regular, open_root
from dropmill.files.durable import make_dirs, sync, write_all
from dropmill.files.rename import rename_noreplace
from dropmill.model.file import shown

STAGING: Final = b".dropmill"
ROOT_ID: Final = b"root-id"
LOCK_FILE: Final = b"dropmill.lock"

_STAGING_MODE: Final = 0o700
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_IDENTITY: Final = re.compile(r"[0-9A-Za-z-]{8,64}")
_STAGED: Final = re.compile(r"\d+-\d+-.+|root-id\..+", re.DOTALL)


def staging_of(output: bytes) -> bytes:
    """``<output>/.dropmill``, where workers write what is not yet visible."""
    return output + b"/" + STAGING


def make_staging(output: bytes) -> bytes:
    """Make the staging directory of an existing output, for the daemon's eyes only, and return its path.

    Raises ``ConfigurationError`` where it is on another file system than the output, since nothing could be renamed
    into place from there; OSErrors as they come (a missing output included).
    """
    with closing(open_root(output)) as output_fd, closing(make_dirs(output_fd, STAGING, _STAGING_MODE)) as staging_fd:
        if os.fstat(output_fd).st_dev != os.fstat(staging_fd).st_dev:
            raise ConfigurationError(
                f"{shown(staging_of(output))} is on another file system than its output",
                hint="unmount what is mounted there; dropmill stages in it and renames into place",
            )
    return staging_of(output)


def read_identity(output: bytes) -> str | None:
    """The identity that the directory at ``output`` carries now; None where it has none, so it is not a known output.

    Comparing it with the recorded one says whether the recorded mount is there (PROTOCOL 8). Raises OSError.
    """
    try:
        with closing(open_dir_beneath(output, STAGING)) as staging_fd, closing(open_regular(staging_fd, ROOT_ID)) as fd:
            text = os.read(fd, 200).decode("ascii", "replace").strip()
    except FileNotFoundError:
        return None
    if not _IDENTITY.fullmatch(text):
        raise ConfigurationError(
            f"{shown(staging_of(output) + b'/' + ROOT_ID)} does not hold an identity",
            hint="restore the file from a backup, or delete it if the output is new",
        )
    return text


def output_identity(output: bytes, new_identity: Callable[[], str]) -> str:
    """The identity of an output, given to it on first use: what ``new_identity`` returns, such as a uuid.

    Of two that give one at the same time, both get the first. Raises as ``make_staging`` and ``read_identity``.
    """
    known = read_identity(output)
    if known is not None:
        return known
    make_staging(output)
    identity = new_identity()
    if not _IDENTITY.fullmatch(identity):
        raise ValueError(f"not an identity: {identity!r}")
    passing = ROOT_ID + b"." + identity.encode()
    with closing(open_dir_beneath(output, STAGING)) as staging_fd:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with closing(os.open(passing, flags, 0o600, dir_fd=staging_fd)) as fd:
            write_all(fd, identity.encode() + b"\n")
            os.fsync(fd)
        try:
            rename_noreplace(staging_fd, passing, staging_fd, ROOT_ID)
        except FileExistsError:
            os.unlink(passing, dir_fd=staging_fd)
        sync(staging_fd)
    return read_identity(output) or identity


def sweep_staging(output: bytes, owed: set[str]) -> list[str]:
    """Remove staged files that no publication owes any more, and return their names.

    Only at start-up, after every owed publication was tried and before the first claim: no worker writes then. Names
    of any other pattern are left alone. Raises OSError.
    """
    removed = []
    with closing(open_dir_beneath(output, STAGING)) as staging_fd:
        with os.scandir(staging_fd) as found:
            names = [entry.name for entry in found if entry.is_file(follow_symlinks=False)]
        for name in names:
            # An interrupted exchange may have set a foreign file aside under a name that begins with the owed one.
            if _STAGED.fullmatch(name) and name not in owed and name.removesuffix(".old") not in owed:
                os.unlink(name, dir_fd=staging_fd)
                removed.append(name)
        if removed:
            sync(staging_fd)
    return removed


def forget_attempt(output: bytes, job_id: int, epoch: int, owed: Collection[str]) -> None:
    """Remove what one attempt has staged and nobody will publish; names that are ``owed`` stay. Raises OSError."""
    with closing(open_dir_beneath(output, STAGING)) as staging_fd:
        with os.scandir(staging_fd) as found:
            mark = f"{job_id}-{epoch}-"
            names = [entry.name for entry in found if entry.name.startswith(mark) and entry.name not in owed]
        for name in names:
            try:
                os.unlink(name, dir_fd=staging_fd)
            except FileNotFoundError:
                continue  # The worker was quicker.


@dataclass(frozen=True, slots=True)
class DirectoryLock:
    """Held until ``fd`` and its copies in child processes are closed. Not ``enforced`` where the system has no locks here."""

    fd: int
    enforced: bool

    def release(self) -> None:
        os.close(self.fd)


def lock_state(state_dir: bytes, pid: int) -> DirectoryLock:
    """Take the state directory for this daemon; ``pid`` is written into ``dropmill.lock`` for the other's message.

    Raises ``AlreadyRunning`` naming the pid of the daemon that has it (Q12), OSError where the directory is not writable.
    A lock of a daemon that was killed is free at once (W19).
    """
    path = state_dir + b"/" + LOCK_FILE
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    if not _flock(fd):
        told = os.read(fd, 20).decode("ascii", "replace").strip()
        holder = told if told.isdecimal() else _holder(fd)
        os.close(fd)
        raise _conflict(state_dir, holder)
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{pid}\n".encode(), 0)
    return DirectoryLock(fd, enforced=True)


def state_holder(state_dir: bytes) -> str | None:
    """The pid, as text, of the daemon that has the state directory (empty where it is not told); None: nobody has it.

    Nothing is locked for longer than it takes to ask. Raises OSError where the lock may not be looked at.
    """
    try:
        fd = os.open(state_dir + b"/" + LOCK_FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    with closing(fd):
        holder = _holder(fd)
        if holder:
            return holder
        # A shared lock of ours, for an instant: it is refused exactly while somebody has the exclusive one.
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            told = os.read(fd, 20).decode("ascii", "replace").strip()
            return told if told.isdecimal() else ""
        return None


def directory_holder(path: bytes) -> str:
    """The pid, as text, of the daemon that has an inbox; empty where nobody has it or that is not told. Raises OSError."""
    with closing(os.open(path, _DIRECTORY)) as fd:
        return _holder(fd)


def state_held_by(pid: str) -> bytes | None:
    """The state directory that the daemon with this pid has locked; None where that is not to be found out."""
    folder = f"/proc/{pid}/fd"
    try:
        targets = [os.readlink(os.fsencode(f"{folder}/{name}")) for name in os.listdir(folder)]
    except OSError:
        return None
    return next((target.rpartition(b"/")[0] for target in targets if target.endswith(b"/" + LOCK_FILE)), None)


def lock_directory(path: bytes) -> DirectoryLock:
    """Take an inbox for this daemon by a lock on the directory itself; nothing is written into it (W41).

    Raises ``AlreadyRunning`` where another daemon has it, OSError where it cannot be opened. Network file systems that
    cannot lock a directory give a lock that is not ``enforced``.
    """
    return lock_opened(os.open(path, _DIRECTORY), path)


def lock_opened(fd: int, path: bytes) -> DirectoryLock:
    """Lock what a descriptor is open on; it is closed where that cannot be had. Raises as ``lock_directory``."""
    try:
        taken = _flock(fd)
    except OSError as error:
        if error.errno in {errno.EBADF, errno.ENOLCK, errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}:
            return DirectoryLock(fd, enforced=False)
        os.close(fd)
        raise
    if not taken:
        holder = _holder(fd)
        os.close(fd)
        raise _conflict(path, holder)
    return DirectoryLock(fd, enforced=True)


class InboxLock:
    """The lock of an inbox, which goes with it: whatever directory is at its path is the one that is locked (W26, W41)."""

    def __init__(self, path: bytes) -> None:
        self._path = path
        self._held: tuple[int, int, DirectoryLock] | None = None
        self._closed = False
        self._guard = threading.Lock()

    def take(self) -> None:
        """Blocking. Lock the directory that is there now, and let go of any other.

        Raises as ``lock_directory``, and OSError (ECANCELED) once it was closed, perhaps while the disk was hanging.
        """
        seen = os.stat(self._path)
        held = self._held
        if held is not None and held[:2] == (seen.st_dev, seen.st_ino):
            return
        self.release()
        fd = os.open(self._path, _DIRECTORY)
        try:
            opened = os.fstat(fd)
        except OSError:
            os.close(fd)
            raise
        # Nothing under the guard asks a disk, so whoever closes never waits for one.
        with self._guard:
            if self._closed:
                os.close(fd)
                raise OSError(errno.ECANCELED, os.strerror(errno.ECANCELED))
            self._held = (opened.st_dev, opened.st_ino, lock_opened(fd, self._path))

    def release(self) -> None:
        """Let go, so that a disk that is to be unmounted is not kept busy by us."""
        with self._guard:
            held, self._held = self._held, None
            if held is not None:
                held[2].release()

    def close(self) -> None:
        """From any thread: let go for good, so that what comes after us can have it."""
        with self._guard:
            self._closed = True
        self.release()


def _flock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(fd: int) -> str:
    """The pid that holds the lock as /proc/locks tells it; empty where that is not to be told (other containers)."""
    seen = os.fstat(fd)
    place = f"{os.major(seen.st_dev):02x}:{os.minor(seen.st_dev):02x}:{seen.st_ino}"
    try:
        with open("/proc/locks", encoding="ascii", errors="replace") as locks:
            fields = [line.split() for line in locks]
    except OSError:
        return ""
    return next((line[4] for line in fields if len(line) > 5 and line[1] == "FLOCK" and line[5] == place), "")


def _conflict(path: bytes, holder: str) -> AlreadyRunning:
    who = f"the daemon with pid {holder}" if holder else "another daemon"
    conflict = AlreadyRunning(
        f"{shown(path)} is in use by {who}", hint="stop that one first, or give this one directories of its own"
    )
    conflict.holder = holder
    return conflict
