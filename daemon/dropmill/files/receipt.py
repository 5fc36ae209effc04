"""Receipts: the JSON that is written last beside the renditions."""

from __future__ import annotations

import json
import os
from typing import Final

from dropmill.files.access import closing, look, open_dir_beneath, open_regular, open_root
from dropmill.files.durable import make_dirs, sync, write_all
from dropmill.files.rename import rename_noreplace
from dropmill.files.roots import STAGING
from dropmill.model.names import with_suffix

# What says whose receipt it is stands before this; after it come thousands of renditions where a document has the pages.
_LIST: Final = b'\n  "renditions": ['
_HEAD_BYTES: Final = 1 << 20


def write_receipt(
    output: bytes,
    name: bytes,
    payload: bytes,
    job_id: int,
    inbox: str,
    source: str,
    sha256: str,
    mode: int,
    dir_mode: int,
    gid: int,
) -> bytes:
    """Write ``payload`` as ``name`` below ``output`` and return the name it got.

    An earlier receipt of the same ``inbox`` and ``source`` is replaced; a file of anyone else's is left and the receipt gets a
    suffix of ``sha256``. May be repeated after a crash. Raises OSError.
    """
    parent, _, last = name.rpartition(b"/")
    staged = b"%d-0-receipt" % job_id
    with (
        closing(open_root(output)) as output_fd,
        closing(open_dir_beneath(output_fd, STAGING)) as staging_fd,
        closing(make_dirs(output_fd, parent, dir_mode, gid)) as final_fd,
    ):
        _stage(staging_fd, staged, payload, mode, gid)
        for candidate in (last, with_suffix(last, sha256[:8]), with_suffix(last, sha256)):
            if look(final_fd, candidate) is None:
                try:
                    rename_noreplace(staging_fd, staged, final_fd, candidate)
                except FileExistsError:
                    continue
            elif _is_receipt_of(final_fd, candidate, inbox, source):
                os.rename(staged, candidate, src_dir_fd=staging_fd, dst_dir_fd=final_fd)
            else:
                continue
            sync(final_fd)
            return parent + b"/" + candidate if parent else candidate
        os.unlink(staged, dir_fd=staging_fd)
        raise FileExistsError(17, "files of others have every name the receipt could get", os.fsdecode(name))


def _stage(staging_fd: int, staged: bytes, payload: bytes, mode: int, gid: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with closing(os.open(staged, flags, 0o600, dir_fd=staging_fd)) as fd:
        write_all(fd, payload)
        os.fchmod(fd, mode)
        if gid >= 0:
            os.fchown(fd, -1, gid)
        os.fsync(fd)


def _is_receipt_of(dir_fd: int, name: bytes, inbox: str, source: str) -> bool:
    """Whether a file is an earlier receipt of ours for the same source."""
    try:
        with closing(open_regular(dir_fd, name)) as fd:
            head, listed, _ = os.read(fd, _HEAD_BYTES).partition(_LIST)
        document = json.loads(head.rstrip(b",\r\n ") + b"}") if listed else None
    except (OSError, ValueError, RecursionError):
        return False
    if not isinstance(document, dict) or "dropmill" not in document:
        return False
    return (document.get("inbox"), document.get("source")) == (inbox, source)
