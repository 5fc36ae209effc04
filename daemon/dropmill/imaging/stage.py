"""Steps: renditions written and fsynced, but not yet visible (PROTOCOL 4)."""

from __future__ import annotations

import errno
import hashlib
import os
import re

from dropmill.imaging.attempt import Attempt, Encoded, Stop
from dropmill.model.outcome import Reason
from dropmill.model.work import Rendered, Troubled

_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def stage(attempt: Attempt) -> None:
    """One file for each rendition of the page at hand, created by this attempt alone (O_EXCL)."""
    if not attempt.encoded:
        return
    try:
        directory = os.open(attempt.request.staging, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for encoded in attempt.encoded:
                name = staged_name(attempt, encoded)
                attempt.rendered.append(_written(attempt, encoded, name, directory))
        finally:
            os.close(directory)
    except OSError as error:
        raise Stop(trouble(error)) from error
    attempt.encoded = ()


def settle(attempt: Attempt) -> None:
    """Make the names as durable as the contents: one fsync of the directory for all."""
    if not attempt.rendered:
        return
    try:
        directory = os.open(attempt.request.staging, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise Stop(trouble(error)) from error


def take_back(attempt: Attempt) -> None:
    """Remove what this attempt staged; what cannot be removed is an orphan that the next start sweeps."""
    for name in attempt.staged:
        try:
            os.unlink(os.path.join(attempt.request.staging, os.fsencode(name)))
        except OSError:
            continue
    attempt.staged.clear()


def staged_name(attempt: Attempt, encoded: Encoded) -> str:
    """``<job>-<epoch>-<rendition>[-p<page>]``; names that look alike once sanitised are told apart by position."""
    names = [spec.name for spec in attempt.request.recipe.renditions]
    plain = [_UNSAFE.sub("_", name)[:80] for name in names]
    at = names.index(encoded.spec.name)
    label = plain[at] if plain.count(plain[at]) == 1 else f"{plain[at]}.{at}"
    page = f"-p{attempt.page}" if len(attempt.pages) > 1 else ""
    return f"{attempt.request.job_id}-{attempt.request.epoch}-{label}{page}"


def _written(attempt: Attempt, encoded: Encoded, name: str, directory: int) -> Rendered:
    request = attempt.request
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(name, flags, 0o600, dir_fd=directory)
    attempt.staged.append(name)
    try:
        if request.gid >= 0:
            os.fchown(descriptor, -1, request.gid)
        os.fchmod(descriptor, request.mode)  # After the group: changing it would clear bits of the mode.
        write_all(descriptor, encoded.data)
        os.fsync(descriptor)
        ino = os.fstat(descriptor).st_ino
    finally:
        os.close(descriptor)
    return Rendered(
        name=encoded.spec.name,
        page=attempt.page,
        staged_name=name,
        ino=ino,
        sha256=hashlib.sha256(encoded.data).hexdigest(),
        size_bytes=len(encoded.data),
        width=encoded.width,
        height=encoded.height,
        format=encoded.format,
    )


def write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def trouble(error: OSError, what: str = "renditions") -> Troubled:
    what = f"cannot write {what}: {error.strerror or error}"
    return Troubled(Reason.DISK_FULL if error.errno in _FULL else Reason.OUTPUT_UNAVAILABLE, what)
