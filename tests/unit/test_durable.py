"""A failed fsync is never just repeated: what was not written is forgotten by the cache (S12)."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from dropmill.files import durable


def test_s12_after_a_failed_fsync_the_file_is_read_from_the_disk_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux takes the pages for clean after the error, so that the next fsync would succeed over lost bytes."""
    dropped: list[tuple[int, int, int, int]] = []

    def fail(fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def advise(*arguments: int) -> None:
        dropped.append(arguments)  # type: ignore[arg-type]  # Four numbers.

    monkeypatch.setattr(durable.os, "fsync", fail)
    monkeypatch.setattr(durable.os, "posix_fadvise", advise)
    with (tmp_path / "a").open("wb") as file:
        with pytest.raises(OSError) as told:
            durable.sync_file(file.fileno())
        assert told.value.errno == errno.EIO
        assert dropped == [(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)]


def test_s12_after_an_fsync_that_succeeded_the_cache_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durable.os, "posix_fadvise", lambda *arguments: pytest.fail("the cache was dropped"))
    with (tmp_path / "a").open("wb") as file:
        durable.sync_file(file.fileno())


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_s12_a_directory_that_cannot_be_synced_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def fail(fd: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(durable.os, "fsync", fail)
    with pytest.raises(OSError) as told:
        durable.fsync_directory(os.fsencode(tmp_path))
    assert told.value.errno == code
