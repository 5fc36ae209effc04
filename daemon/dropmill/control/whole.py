"""Files that a person asks for: whole, and only then under their name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from dropmill.errors import ConfigurationError, Conflict
from dropmill.files.durable import fsync_directory, fsync_path
from dropmill.files.rename import rename_noreplace
from dropmill.model.file import shown
from dropmill.settings import Settings


def refuse_place(settings: Settings, target: bytes, *, replace: bool, outputs_too: bool) -> None:
    """Raise ``ConfigurationError`` where ``target`` (absolute) cannot be a file, ``Conflict`` where it is in an inbox (or
    an output), is the catalog, or exists and may not be replaced."""
    folder = os.path.dirname(target)
    if not os.path.isdir(folder):
        raise ConfigurationError(f"{shown(folder)}: there is no such folder", hint="make it, or name another one")
    if os.path.isdir(target):
        raise ConfigurationError(f"{shown(target)} is a folder", hint="name a file in it")
    real = os.path.join(os.path.realpath(folder), os.path.basename(target))
    for inbox in settings.every_inbox:
        for word, place in (("inbox", inbox.path), ("output", inbox.output))[: 2 if outputs_too else 1]:
            if real.startswith(os.path.realpath(os.fsencode(place)) + b"/"):
                raise Conflict(
                    f"{shown(target)} is inside the {word} {place} of {inbox.name!r}", hint="name a folder elsewhere"
                )
    state = os.path.realpath(os.fsencode(settings.state_dir))
    if real in {os.path.join(state, b"catalog.db" + tail) for tail in (b"", b"-wal", b"-shm")}:
        raise Conflict(f"{shown(target)} is the catalog itself", hint="name another file")
    if os.path.lexists(target) and not replace:
        raise _exists(target)


@contextmanager
def whole(target: bytes, *, replace: bool, mode: int) -> Iterator[bytes]:
    """Yield the path of an empty file beside ``target`` to be written; afterwards it is synced and gets that name, or is
    removed where an error came.

    ``mode`` is of a file that is made, before the umask. Raises ``Conflict`` where the name was taken meanwhile and may
    not be replaced, and OSError.
    """
    folder, name = os.path.split(target)
    partial = os.path.join(folder, b".%s.%d.part" % (name[:200], os.getpid()))
    os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode))
    try:
        yield partial
        fsync_path(partial)
        _put(folder, partial, name, replace)
    except FileExistsError:
        _remove(partial)
        raise _exists(target) from None
    except BaseException:
        _remove(partial)
        raise
    fsync_directory(folder)


def _exists(target: bytes) -> Conflict:
    return Conflict(f"{shown(target)} exists", hint="name another file, or add --force to replace it")


def _put(folder: bytes, partial: bytes, name: bytes, replace: bool) -> None:
    if replace:
        os.replace(partial, os.path.join(folder, name))
        return
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        rename_noreplace(fd, os.path.basename(partial), fd, name)
    finally:
        os.close(fd)


def _remove(partial: bytes) -> None:
    for name in (partial, partial + b"-journal", partial + b"-wal", partial + b"-shm"):
        try:
            os.unlink(name)
        except OSError:
            continue  # It was not made, or the disk takes nothing any more; its name says what it is.
