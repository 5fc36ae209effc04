"""Copies that are as durable and as complete as what they replace, and the way in for ``dropmill add``."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from typing import Final

from dropmill.files.access import closing, look, open_regular, open_root
from dropmill.files.durable import COPY_CHUNK_BYTES, sha256_of, sync, write_all
from dropmill.files.rename import rename_noreplace, same_bytes
from dropmill.model.names import shorten, with_suffix

_ADDED: Final = b".dropmill-add-"


class ChangedWhileCopied(OSError):
    """The source changed, or its copy did not read back as written; nothing was kept of the copy."""

    def __init__(self, name: bytes) -> None:
        super().__init__(errno.EAGAIN, "changed while it was copied", name)


def copy_verified(source: int, dir_fd: int, passing: bytes, name: bytes, sha256: str | None) -> None:
    """Copy an open file to the free name ``name``: bytes, times, mode, extended attributes and, where allowed, owner.

    Written as ``passing`` in the same directory, fsynced, read back and compared with what was read and with
    ``sha256`` if given, then renamed without overwriting. Raises ``FileExistsError`` for a taken name,
    ``ChangedWhileCopied``, and OSErrors of either side; ``passing`` is gone then.
    """
    try:
        os.unlink(passing, dir_fd=dir_fd)  # Left by a crash; the name is ours alone.
    except FileNotFoundError:
        pass
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    copy = os.open(passing, flags, 0o600, dir_fd=dir_fd)
    try:
        with closing(copy):
            before = os.fstat(source)
            digest = _copy_bytes(source, copy)
            _copy_metadata(source, copy, before)
            os.fsync(copy)
            os.posix_fadvise(copy, 0, 0, os.POSIX_FADV_DONTNEED)  # So that reading back asks the disk.
            after = os.fstat(source)
            unchanged = (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
            if not unchanged or sha256 not in {None, digest} or sha256_of(copy) != digest:
                raise ChangedWhileCopied(name)
        rename_noreplace(dir_fd, passing, dir_fd, name)
    except OSError:
        _forget(dir_fd, passing)
        raise
    sync(dir_fd)


def _forget(dir_fd: int, passing: bytes) -> None:
    try:
        os.unlink(passing, dir_fd=dir_fd)
    except OSError:
        pass  # The error that brought us here is the one to tell.


def _copy_bytes(source: int, copy: int) -> str:
    digest = hashlib.sha256()
    offset = 0
    while chunk := os.pread(source, COPY_CHUNK_BYTES, offset):
        write_all(copy, chunk)
        digest.update(chunk)
        offset += len(chunk)
    return digest.hexdigest()


def _copy_metadata(source: int, copy: int, seen: os.stat_result) -> None:
    """Owner and attributes as far as this user and file system allow; mode and times or an OSError (W31)."""
    for uid, gid in ((seen.st_uid, seen.st_gid), (-1, seen.st_gid)):
        try:
            os.fchown(copy, uid, gid)
            break
        except OSError:
            continue  # Giving files away needs privileges; giving them to a group, membership.
    try:
        for attribute in os.listxattr(source):
            os.setxattr(copy, attribute, os.getxattr(source, attribute))
    except OSError:
        pass  # Attributes (access lists among them) are not known, or not allowed, over there.
    try:
        os.fchmod(copy, seen.st_mode & 0o7777)
    except PermissionError:
        pass  # vfat and some shares have no modes and say so this way.
    os.utime(copy, ns=(seen.st_atime_ns, seen.st_mtime_ns))


def copy_into(source_path: bytes, inbox: bytes, name: bytes) -> bytes:
    """Copy a file of the user's into an inbox, complete at once, and return the name it got there.

    A taken name gets a suffix of the content's SHA-256; where the same bytes have that name already, they serve.
    The copy belongs to the caller, with the mode of a new file. Raises ``NotRegularFile`` and OSErrors.
    """
    name = shorten(name.rpartition(b"/")[2])
    parent, _, source_name = os.path.realpath(source_path).rpartition(b"/")
    with (
        closing(open_root(parent or b"/")) as parent_fd,
        closing(open_regular(parent_fd, source_name)) as source,
        closing(open_root(inbox)) as inbox_fd,
    ):
        passing = _ADDED + b"%d-%d" % (os.getpid(), os.fstat(source).st_ino)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with closing(os.open(passing, flags, 0o666, dir_fd=inbox_fd)) as copy:
                _lock(copy)
                digest = _copy_bytes(source, copy)
                os.fsync(copy)
            for candidate in (name, with_suffix(name, digest[:8]), with_suffix(name, digest)):
                try:
                    rename_noreplace(inbox_fd, passing, inbox_fd, candidate)
                except FileExistsError:
                    if not same_bytes(inbox_fd, passing, inbox_fd, candidate):
                        continue
                sync(inbox_fd)
                return candidate
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
        finally:
            if look(inbox_fd, passing) is not None:
                os.unlink(passing, dir_fd=inbox_fd)


def sweep_added(inbox: bytes, before_ns: int) -> list[bytes]:
    """Remove what killed ``copy_into`` calls left in an inbox, and return the names. Raises OSError.

    A copy that is still being written is locked by its writer and stays, and so does everything where the file system
    has no locks. An empty one goes only if it was made before ``before_ns``.
    """
    removed = []
    with closing(open_root(inbox)) as inbox_fd:
        for name in sorted(map(os.fsencode, os.listdir(inbox_fd))):
            if not name.startswith(_ADDED):
                continue
            try:
                with closing(open_regular(inbox_fd, name)) as left:
                    fcntl.flock(left, fcntl.LOCK_SH | fcntl.LOCK_NB)
                    # A name is made and locked in two steps: empty, it may be one whose writer comes to that just now.
                    seen = os.fstat(left)
                    if seen.st_size or seen.st_mtime_ns < before_ns:
                        os.unlink(name, dir_fd=inbox_fd)
                        removed.append(name)
            except OSError:
                continue  # Somebody writes it or has dealt with it, or there are no locks here.
    return removed


def _lock(copy: int) -> None:
    try:
        fcntl.flock(copy, fcntl.LOCK_EX)
    except OSError:
        pass  # Without locks the sweep leaves such files alone.
