"""Staging hard links to renditions that stand already, instead of files of one's own (PROTOCOL 4)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence

from dropmill.files.access import NotRegularFile, closing, open_dir_beneath, open_regular, open_root, parent_of
from dropmill.files.copying import copy_verified
from dropmill.files.durable import sha256_of, sync
from dropmill.files.roots import STAGING
from dropmill.model.publication import Standing
from dropmill.model.work import Rendered


def stage_links(output: bytes, job_id: int, epoch: int, standing: Sequence[Standing]) -> tuple[Rendered, ...]:
    """A link in the staging of ``output`` to each rendition, and where none can be made a copy; durable on return.

    Each is compared with its digest first. Empty where one is not there, or is not what it was; then nothing is left.
    Raises OSError.
    """
    made: list[Rendered] = []
    with closing(open_root(output)) as output_fd, closing(open_dir_beneath(output_fd, STAGING)) as staging_fd:
        for number, one in enumerate(standing):
            staged = f"{job_id}-{epoch}-link.{number}"  # No rendition's name has a dot there.
            with contextlib.suppress(FileNotFoundError):  # Of another picture, which counted a moment ago.
                os.unlink(staged, dir_fd=staging_fd)
            ino = _stage(one, staging_fd, staged)
            if ino is None:
                for earlier in made:
                    os.unlink(earlier.staged_name, dir_fd=staging_fd)
                return ()
            made.append(
                Rendered(
                    one.rendition, one.page, staged, ino, one.sha256, one.size_bytes, one.width, one.height, one.format
                )
            )
        sync(staging_fd)
    return tuple(made)


def _stage(one: Standing, staging_fd: int, staged: str) -> int | None:
    """The inode of what was staged; None where the rendition is nowhere as it was."""
    for name in (one.final_name, STAGING + b"/" + os.fsencode(one.staged_name)):
        try:
            with parent_of(one.output, name) as (dir_fd, last), closing(open_regular(dir_fd, last)) as source:
                seen = os.fstat(source)
                if seen.st_size != one.size_bytes or sha256_of(source) != one.sha256:
                    continue
                if not _linked(dir_fd, last, seen.st_ino, staging_fd, staged):
                    copy_verified(source, staging_fd, os.fsencode(staged) + b".part", os.fsencode(staged), one.sha256)
                return os.stat(staged, dir_fd=staging_fd, follow_symlinks=False).st_ino
        except (FileNotFoundError, NotRegularFile):
            continue  # Not moved yet, moved already, or taken away by somebody.
    return None


def _linked(dir_fd: int, name: bytes, ino: int, staging_fd: int, staged: str) -> bool:
    """False where no link can be made: another device, no links there, too many of them, or not ours to link."""
    try:
        os.link(name, os.fsencode(staged), src_dir_fd=dir_fd, dst_dir_fd=staging_fd, follow_symlinks=False)
    except (FileExistsError, FileNotFoundError):
        raise
    except OSError:
        return False
    if os.stat(staged, dir_fd=staging_fd, follow_symlinks=False).st_ino == ino:
        return True
    os.unlink(staged, dir_fd=staging_fd)  # Somebody put another file under the name since it was compared.
    return False
