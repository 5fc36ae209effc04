"""Step: the one version that was settled, read once through one descriptor that no link can divert (S01, S02, W05)."""

from __future__ import annotations

import errno
import hashlib
import os
import stat

from dropmill.imaging.attempt import Attempt, Stop, reject
from dropmill.model.file import Signature
from dropmill.model.outcome import Reason
from dropmill.model.work import NotOurs, Superseded, Troubled, WorkRequest

_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def read(attempt: Attempt) -> None:
    """Raises ``Stop``: superseded, not ours, too large, too small, empty, or trouble with the disk."""
    descriptor = open_source(attempt.request)
    try:
        _check_size(attempt, _settled_size(attempt.request, descriptor))
        attempt.data = _read_all(descriptor, attempt.request.signature.size_bytes)
        attempt.sha256 = hashlib.sha256(attempt.data).hexdigest()
        _settled_size(attempt.request, descriptor)
    except OSError as error:
        raise Stop(_trouble(error)) from error
    finally:
        os.close(descriptor)


def open_source(request: WorkRequest) -> int:
    """A descriptor of the source: every component below ``root`` opened without following links, never blocking."""
    parts = request.rel.split(b"/")
    if not all(parts) or {b".", b".."} & set(parts):
        raise Stop(NotOurs(Reason.NOT_A_FILE, "not a path below the inbox"))
    try:
        parent = os.open(request.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise Stop(_trouble(error)) from error
    try:
        for part in parts[:-1]:
            inner = _open_at(part, _DIRECTORY_FLAGS, parent)
            os.close(parent)
            parent = inner
        # Opening a device can have effects of its own, so the type is asked first, and again of the open descriptor.
        _refuse_special(os.stat(parts[-1], dir_fd=parent, follow_symlinks=False))
        return _open_at(parts[-1], _FILE_FLAGS, parent)
    except OSError as error:
        raise Stop(_trouble(error)) from error
    finally:
        os.close(parent)


def _open_at(name: bytes, flags: int, parent: int) -> int:
    try:
        return os.open(name, flags, dir_fd=parent)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENOTDIR, errno.ENXIO, errno.EACCES}:
            found = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if stat.S_ISLNK(found.st_mode) or not flags & os.O_DIRECTORY:
                _refuse_special(found)
            if error.errno == errno.EACCES:
                raise Stop(_unreadable(found)) from error
        raise


def _refuse_special(found: os.stat_result) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise Stop(NotOurs(Reason.SYMLINK))
    if not stat.S_ISREG(found.st_mode):
        raise Stop(NotOurs(Reason.NOT_A_FILE))


def _settled_size(request: WorkRequest, descriptor: int) -> int:
    """Size in bytes of the version that settled; ``Stop(Superseded)`` if the descriptor shows another."""
    found = os.fstat(descriptor)
    _refuse_special(found)
    if Signature.of(found) != request.signature:
        raise Stop(Superseded())
    return found.st_size


def _check_size(attempt: Attempt, size_bytes: int) -> None:
    limits = attempt.request.limits
    if not size_bytes:
        raise reject(Reason.EMPTY)
    if size_bytes < limits.min_bytes:
        raise reject(Reason.TOO_SMALL, f"{size_bytes} bytes; at least {limits.min_bytes} are asked for")
    if size_bytes > limits.max_bytes:
        raise reject(Reason.TOO_LARGE, f"{size_bytes} bytes; workers.max_bytes is {limits.max_bytes}")


def _read_all(descriptor: int, size_bytes: int) -> bytes:
    """Exactly ``size_bytes``; fewer or more mean that the file changed under us."""
    parts: list[bytes] = []
    missing = size_bytes
    while missing:
        part = os.read(descriptor, missing)
        if not part:
            raise Stop(Superseded())
        parts.append(part)
        missing -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _unreadable(found: os.stat_result) -> Troubled:
    mode = stat.S_IMODE(found.st_mode)
    return Troubled(
        Reason.UNREADABLE,
        f"uid {os.geteuid()} may not read it: owner {found.st_uid}, group {found.st_gid}, mode {mode:04o}",
    )


def _trouble(error: OSError) -> Superseded | Troubled:
    if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}:
        return Superseded()
    detail = error.strerror or str(error)
    return Troubled(Reason.UNREADABLE if error.errno in {errno.EACCES, errno.EPERM} else Reason.IO_ERROR, detail)
