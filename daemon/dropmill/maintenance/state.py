"""Taking the state directory: on a disk of this machine, and for one daemon alone."""

from __future__ import annotations

import os
from typing import Final

from dropmill.errors import StateError
from dropmill.files import fstype
from dropmill.files.ownership import explained, myself
from dropmill.files.roots import DirectoryLock, lock_state

# The catalog's log is shared memory, and its locks are advisory: what is not one machine's disk keeps neither promise.
_REMOTE: Final = fstype.NETWORK | {fstype.NINE_P, fstype.VBOXSF, fstype.VMHGFS, fstype.PRLFS}
# FUSE is also what some local disks are mounted with (fuseblk, mergerfs), so remote ones go by the name of their kind.
_REMOTE_FUSE: Final = frozenset(
    {"sshfs", "rclone", "s3fs", "goofys", "gcsfuse", "mount-s3", "blobfuse", "blobfuse2", "glusterfs", "ceph",
     "ceph-fuse", "davfs", "davfs2", "curlftpfs", "gvfsd-fuse", "smbnetfs", "juicefs", "seaweedfs", "moosefs",
     "lizardfs", "hdfs", "ipfs", "virtiofs"}
)  # fmt: skip


def take_state(state_dir: str) -> DirectoryLock:
    """Make the directory where it is missing, and lock it.

    Raises :class:`StateError` where it cannot be used, ``AlreadyRunning`` where another daemon has it.
    """
    try:
        os.makedirs(state_dir, mode=0o750, exist_ok=True)
        refuse_remote(state_dir)
        return lock_state(os.fsencode(state_dir), os.getpid())
    except OSError as error:
        detail, hint = explained(state_dir, error, "rwx", myself(state_dir))
        raise StateError(f"{state_dir}: the state directory cannot be used: {detail}", hint=hint) from error


def refuse_remote(state_dir: str) -> None:
    """Raise :class:`StateError` for a folder on a network file system, naming its kind (Q11). Raises OSError."""
    kind = remote_kind(state_dir)
    if kind:
        raise StateError(
            f"{state_dir}: the state directory is on a network file system ({kind})",
            hint="name a folder on a disk of this machine as state_dir: the catalog's locks and its log do not work on "
            "a share. Inboxes and outputs may be on shares",
        )


def remote_kind(folder: str) -> str:
    """The kind of network file system that a folder is on, or nothing. Raises OSError."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        magic = fstype.magic_of(fd)
        device = os.fstat(fd).st_dev
    finally:
        os.close(fd)
    if magic in _REMOTE:
        return _mounted_as(device) or f"magic number {magic:#x}"
    name = _mounted_as(device) if magic == fstype.FUSE else ""
    return name if name.removeprefix("fuse.") in _REMOTE_FUSE else ""


def _mounted_as(device: int) -> str:
    """The name of a mounted file system's kind (``nfs4``, ``fuse.sshfs``); empty where it is not told."""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as mounts:
            for line in mounts:
                fields, _, rest = line.partition(" - ")
                if fields.split()[2] == wanted:
                    return rest.split()[0]
    except OSError:
        return ""
    return ""
