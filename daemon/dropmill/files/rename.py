"""Moving names without ever overwriting one (PROTOCOL 7).

Every function takes directory descriptors and names in them. ``EXDEV`` (two file systems) is raised to the caller.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import stat as stat_module
from typing import Final

from dropmill.files.access import closing, look, open_regular
from dropmill.files.durable import COPY_CHUNK_BYTES, sha256_of, sync, write_all
from dropmill.files.fstype import MAY_LACK_LINKS, magic_of

# linux/fs.h
_RENAME_NOREPLACE: Final = 1
_RENAME_EXCHANGE: Final = 2

# What a kernel or file system says that does not know the flag, and one that does not know hard links
# (exFAT and FUSE: EPERM or ENOSYS; a full link count: EMLINK; somebody else's file: EPERM).
_NO_FLAGS: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})
_NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK})

# The number of renameat2 for C libraries that have no function for it (musl), from the kernel's syscall tables.
_SYSCALL_NUMBERS: Final = {"x86_64": 316, "aarch64": 276, "riscv64": 276, "armv7l": 382, "ppc64le": 357, "s390x": 347}

_libc: Final = ctypes.CDLL(None, use_errno=True)


def _renameat2(src_dir_fd: int, src: bytes, dst_dir_fd: int, dst: bytes, flags: int) -> None:
    """The system call. Raises OSError; ENOSYS also where this machine has no way to it."""
    arguments = (
        ctypes.c_int(src_dir_fd),
        ctypes.c_char_p(src),
        ctypes.c_int(dst_dir_fd),
        ctypes.c_char_p(dst),
        ctypes.c_uint(flags),
    )
    number = _SYSCALL_NUMBERS.get(platform.machine())
    if hasattr(_libc, "renameat2"):
        failed = _libc.renameat2(*arguments)
    elif number is not None:
        failed = _libc.syscall(ctypes.c_long(number), *arguments)
    else:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if failed:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), src, None, dst)


def rename_noreplace(src_dir_fd: int, src: bytes, dst_dir_fd: int, dst: bytes) -> None:
    """Give the plain file ``src`` the name ``dst``, or raise ``FileExistsError`` and change nothing.

    renameat2(RENAME_NOREPLACE) where it works, else link and unlink, else an exclusive copy and unlink. The first is
    atomic. The second can be interrupted with both names on one inode, the third with a copy beside its source; the
    caller finds either by looking at the target first. The copy has an inode of its own.
    """
    try:
        _renameat2(src_dir_fd, src, dst_dir_fd, dst, _RENAME_NOREPLACE)
    except FileExistsError:
        # The kernel sees a taken name before it asks the file system, so a torn copy of ours turns up here.
        if not complete_torn_copy(src_dir_fd, src, dst_dir_fd, dst):
            raise
    except OSError as error:
        if error.errno not in _NO_FLAGS:
            raise
        _link_or_copy(src_dir_fd, src, dst_dir_fd, dst)
    else:
        return
    sync(dst_dir_fd)
    os.unlink(src, dir_fd=src_dir_fd)


def _link_or_copy(src_dir_fd: int, src: bytes, dst_dir_fd: int, dst: bytes) -> None:
    try:
        os.link(src, dst, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
    else:
        return
    with closing(open_regular(src_dir_fd, src)) as source:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with closing(os.open(dst, flags, 0o600, dir_fd=dst_dir_fd)) as copy:
            _complete(source, copy, dst_dir_fd, dst)


def _complete(source: int, copy: int, dir_fd: int, name: bytes) -> None:
    """``_append_rest`` to our copy ``name``; one that may not be on the disk goes, however well it reads back (S12)."""
    try:
        _append_rest(source, copy)
    except OSError:
        ours, seen = os.fstat(copy), look(dir_fd, name)
        if seen is not None and (seen.st_dev, seen.st_ino) == (ours.st_dev, ours.st_ino):
            os.unlink(name, dir_fd=dir_fd)
        raise


def _append_rest(source: int, copy: int) -> None:
    """Write what ``source`` has from its position on; mode and times like the source, fsynced."""
    before = os.fstat(source)
    while chunk := os.read(source, COPY_CHUNK_BYTES):
        write_all(copy, chunk)
    os.fchmod(copy, before.st_mode & 0o7777)
    os.utime(copy, ns=(before.st_atime_ns, before.st_mtime_ns))
    os.fsync(copy)


def complete_torn_copy(src_dir_fd: int, src: bytes, dst_dir_fd: int, dst: bytes, *, empty_too: bool = False) -> bool:
    """Whether ``dst`` was the beginning of an exclusive copy of ``src`` that a crash tore, and is complete now.

    It is known by being a beginning of exactly these bytes, on a file system where such copies are made; it is only
    appended to, so no byte is ever overwritten. An empty file counts with ``empty_too`` alone: where others write, it
    may be the first moment of a file of theirs.
    """
    seen = look(dst_dir_fd, dst)
    if magic_of(dst_dir_fd) not in MAY_LACK_LINKS or seen is None or not stat_module.S_ISREG(seen.st_mode):
        return False
    with (
        closing(open_regular(src_dir_fd, src)) as source,
        closing(open_regular(dst_dir_fd, dst, os.O_RDWR | os.O_APPEND)) as torn,
    ):
        left = seen.st_size
        if left >= os.fstat(source).st_size or (left == 0 and not empty_too):
            return False
        while left:
            chunk = os.read(torn, min(left, COPY_CHUNK_BYTES))
            if not chunk or os.read(source, len(chunk)) != chunk:
                return False
            left -= len(chunk)
        _complete(source, torn, dst_dir_fd, dst)
    return True


def aside_name(src: bytes) -> bytes:
    """Where ``exchange`` keeps the other file for a moment on file systems that cannot exchange."""
    return src + b".old"


def exchange(src_dir_fd: int, src: bytes, dst_dir_fd: int, dst: bytes) -> None:
    """Swap the two files, atomically where RENAME_EXCHANGE works.

    Elsewhere in three steps through ``aside_name(src)`` beside ``src``: for a moment nothing has the name ``dst``,
    and a crash can leave the other file aside. ``finish_exchange`` completes that. Raises ``FileExistsError`` where a
    foreign file takes ``dst`` in that moment; then all three files are left where ``finish_exchange`` finds them.
    """
    try:
        _renameat2(src_dir_fd, src, dst_dir_fd, dst, _RENAME_EXCHANGE)
    except OSError as error:
        if error.errno not in _NO_FLAGS:
            raise
    else:
        return
    # Plain rename is atomic everywhere, and nobody else uses the aside name, so nothing is overwritten.
    os.rename(dst, aside_name(src), src_dir_fd=dst_dir_fd, dst_dir_fd=src_dir_fd)
    rename_noreplace(src_dir_fd, src, dst_dir_fd, dst)
    os.rename(aside_name(src), src, src_dir_fd=src_dir_fd, dst_dir_fd=src_dir_fd)


def finish_exchange(src_dir_fd: int, src: bytes, dst_dir_fd: int, dst: bytes) -> None:
    """Complete a three-step exchange that a crash interrupted; in every other case there is nothing to do.

    Raises ``FileExistsError`` where somebody else has taken ``dst`` since.
    """
    if look(src_dir_fd, aside_name(src)) is None:
        return
    if look(src_dir_fd, src) is not None:
        try:
            rename_noreplace(src_dir_fd, src, dst_dir_fd, dst)
        except FileExistsError:
            if not same_bytes(src_dir_fd, src, dst_dir_fd, dst):
                raise
            os.unlink(src, dir_fd=src_dir_fd)
    os.rename(aside_name(src), src, src_dir_fd=src_dir_fd, dst_dir_fd=src_dir_fd)


def same_bytes(one_dir_fd: int, one: bytes, other_dir_fd: int, other: bytes) -> bool:
    """Whether two names lead to one inode or to equal bytes. False where either is missing or no plain file."""
    here, there = look(one_dir_fd, one), look(other_dir_fd, other)
    if here is None or there is None or here.st_size != there.st_size:
        return False
    if not stat_module.S_ISREG(here.st_mode) or not stat_module.S_ISREG(there.st_mode):
        return False
    if (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino):
        return True
    with closing(open_regular(one_dir_fd, one)) as one_fd, closing(open_regular(other_dir_fd, other)) as other_fd:
        return sha256_of(one_fd) == sha256_of(other_fd)
