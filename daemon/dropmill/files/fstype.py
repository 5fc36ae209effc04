"""Which file system a descriptor is on, by the magic number of ``fstatfs`` (linux/magic.h)."""

from __future__ import annotations

import ctypes
import os
from typing import Final

EXT4: Final = 0xEF53
XFS: Final = 0x58465342
BTRFS: Final = 0x9123683E
TMPFS: Final = 0x01021994
FUSE: Final = 0x65735546
EXFAT: Final = 0x2011BAB0
MSDOS: Final = 0x4D44
NTFS3: Final = 0x7366746E
CIFS: Final = 0xFF534D42
SMB2: Final = 0xFE534D42
NINE_P: Final = 0x01021997

# Where hard links may be missing, so that only a copy moves a file without overwriting.
MAY_LACK_LINKS: Final = frozenset({FUSE, EXFAT, MSDOS, NTFS3, CIFS, SMB2, NINE_P})

_libc: Final = ctypes.CDLL(None, use_errno=True)


def magic_of(fd: int) -> int:
    """The file system's magic number. Raises OSError.

    Python's ``os.statvfs`` leaves it out. ``struct statfs`` begins with it as one machine word; where it does not
    (s390x) the number matches nothing, which every caller takes for an unknown file system.
    """
    buffer = ctypes.create_string_buffer(512)  # Larger than struct statfs of any machine (120 bytes on x86-64).
    if _libc.fstatfs(ctypes.c_int(fd), buffer):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return ctypes.c_ulong.from_buffer(buffer).value & 0xFFFFFFFF


NFS: Final = 0x6969
CEPH: Final = 0x00C36400
VBOXSF: Final = 0x786F4256
SMB: Final = 0x517B
AFS: Final = 0x5346414F
KAFS: Final = 0x6B414653
CODA: Final = 0x73757245
LUSTRE: Final = 0x0BD00BD0
GPFS: Final = 0x47504653
BEEGFS: Final = 0x19830326
ORANGEFS: Final = 0x20030528
PANFS: Final = 0xAAD7AAEA
SNFS: Final = 0xBEEFDEAD
NCP: Final = 0x564C
GFS2: Final = 0x01161970
OCFS2: Final = 0x7461636F
VMHGFS: Final = 0xBACBACBC
PRLFS: Final = 0x7C7C6673
# Remote kinds after linux/magic.h and coreutils' stat.c. inotify tells of changes made on this machine only; these are
# changed from elsewhere too: shares, disks that several machines have mounted, and folders of a virtual machine's host.
# sshfs, glusterfs, ntfs-3g (fuseblk), rclone and virtiofs all show as FUSE.
NETWORK: Final = frozenset(
    {NFS, CIFS, SMB, SMB2, CEPH, AFS, KAFS, CODA, LUSTRE, GPFS, BEEGFS, ORANGEFS, PANFS, SNFS, NCP, GFS2, OCFS2}
)
SILENT: Final = NETWORK | {FUSE, NINE_P, VBOXSF, VMHGFS, PRLFS}


def delivers_no_events(path: bytes) -> bool:
    """Whether a directory has to be polled because of its file system (W16). A missing one is not."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return magic_of(fd) in SILENT
    finally:
        os.close(fd)
