"""Making what was written last: fsync of files and directories, directories with exact modes, digests of files."""

from __future__ import annotations

import errno
import hashlib
import os
import stat as stat_module
from typing import Final

from dropmill.files.access import Root, closing, components, look, open_dir_beneath, open_root
from dropmill.model.file import shown

COPY_CHUNK_BYTES: Final = 1 << 20

# When a directory of ours was changed last, as long as nothing is in it.
_NEW_NS: Final = 0
# A file system without durable directories says so with one of these; there is nothing more to be done then.
_CANNOT_SYNC: Final = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})


def sync(dir_fd: int) -> None:
    """fsync an open directory, so that the names in it survive a power cut. Raises OSError (EIO, ENOSPC, …)."""
    try:
        os.fsync(dir_fd)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            raise


def sync_file(fd: int) -> None:
    """fsync an open file. What could not be written is forgotten by the cache, so that whoever compares it again reads
    the disk: after a failed fsync Linux takes the pages for clean, and another fsync would succeed (fsync(2), S12)."""
    try:
        os.fsync(fd)
    except OSError:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        raise


def fsync_path(path: bytes) -> None:
    """fsync the contents of a file that was written by somebody else, such as a library. Raises OSError."""
    with closing(os.open(path, os.O_RDONLY | os.O_CLOEXEC)) as fd:
        os.fsync(fd)


def fsync_directory(path: bytes) -> None:
    """fsync a directory by its path. Raises OSError."""
    with closing(open_root(path)) as dir_fd:
        sync(dir_fd)


def write_all(fd: int, data: bytes) -> None:
    """Write every byte, however many calls that takes."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def sha256_of(fd: int) -> str:
    """SHA-256 (hex) of an open file from its first byte; the file position is left alone."""
    digest = hashlib.sha256()
    offset = 0
    while chunk := os.pread(fd, COPY_CHUNK_BYTES, offset):
        digest.update(chunk)
        offset += len(chunk)
    return digest.hexdigest()


def make_dirs(root: Root, rel_dir: bytes, mode: int = 0o755, gid: int = -1) -> int:
    """Open the directory ``rel_dir`` below ``root``, making what is missing of it. Returns a descriptor to close.

    New directories get exactly ``mode`` whatever the umask, plus the set-group-ID bit where their parent has it, and
    group ``gid`` unless -1. The root must exist: it may be a mount that is missing just now.
    Raises ``NotRegularFile`` where a component is a symlink, ``NotADirectoryError`` that names it where one is a file.
    """
    fd = open_root(root)
    parts = components(rel_dir)
    for number, part in enumerate(parts, 1):
        with closing(fd):
            seen = look(fd, part)
            if seen is None:
                _make_dir(fd, part, mode, gid)
            elif seen.st_mtime_ns == _NEW_NS:
                sync(fd)  # Whoever made it may have been cut short before its name was durable.
            try:
                fd = open_dir_beneath(fd, part)
            except NotADirectoryError as error:
                place = shown(b"/".join(parts[:number]))
                told = f"{place} is a file, and a folder is needed there: move or rename that file"
                raise NotADirectoryError(error.errno, told, part) from error
    return fd


def _make_dir(parent_fd: int, name: bytes, mode: int, gid: int) -> None:
    """Make one directory under a passing name and rename it when it is complete, so that no crash leaves a wrong mode.

    The passing name follows from ``name``, so the next try takes over what a crash left.
    """
    passing = b".dropmill-dir-" + hashlib.sha256(name).hexdigest()[:16].encode()
    try:
        os.mkdir(passing, 0o700, dir_fd=parent_fd)
    except FileExistsError:
        pass  # Left by a crash, or another thread makes the same directory just now: either may finish it.
    try:
        with closing(open_dir_beneath(parent_fd, passing)) as made:
            if gid != -1:
                os.fchown(made, -1, gid)
            inherited = os.fstat(parent_fd).st_mode & stat_module.S_ISGID
            os.fchmod(made, mode | inherited)
            _mark_as_new(made)
        # Should the name be taken by now, an empty directory is replaced by an equal one and a full one stays.
        os.rename(passing, name, src_dir_fd=parent_fd, dst_dir_fd=parent_fd)
    except FileNotFoundError:
        if look(parent_fd, name) is None:
            raise
    except OSError as error:
        if error.errno not in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}:
            raise
        os.rmdir(passing, dir_fd=parent_fd)
    sync(parent_fd)


def _mark_as_new(dir_fd: int) -> None:
    """By its time, which the first name that is made in the directory takes away again."""
    try:
        os.utime(dir_fd, ns=(_NEW_NS, _NEW_NS))
    except OSError:
        pass  # Some shares set no times of directories. Only a call that is cut short would have been helped by it.
