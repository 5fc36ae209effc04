"""A rendition is told of as visible only once the folder that holds its name is on the disk (S12)."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest

from dropmill.files import durable
from dropmill.files.publish import Published, Wanted, publish_all
from dropmill.files.roots import STAGING


def staged(output: Path, name: str, final: bytes) -> Wanted:
    data = name.encode() * 100
    path = output / os.fsdecode(STAGING) / name
    path.write_bytes(data)
    return Wanted(name, path.stat().st_ino, hashlib.sha256(data).hexdigest(), len(data), final)


@pytest.mark.parametrize("folder", ["one", STAGING.decode()])
def test_s12_what_lies_in_a_folder_that_cannot_be_synced_is_not_published_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    """The final folder alone fails, or staging alone, whose loss of the old name is half of each rename."""
    (tmp_path / os.fsdecode(STAGING)).mkdir()
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    wanted = [staged(tmp_path, "a", b"one/a.jpg"), staged(tmp_path, "b", b"two/b.jpg")]
    fsync = os.fsync

    def fail_there(fd: int) -> None:
        if os.readlink(f"/proc/self/fd/{fd}") == str(tmp_path / folder):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fsync(fd)

    with monkeypatch.context() as failing:
        failing.setattr(durable.os, "fsync", fail_there)
        first, second = publish_all(os.fsencode(tmp_path), wanted)
        assert isinstance(first, OSError)
        assert first.errno == errno.EIO
        if folder == "one":
            assert isinstance(second, Published), "the other folder is none of its business"
        else:
            assert isinstance(second, OSError)
    assert publish_all(os.fsencode(tmp_path), wanted) == [Published(item.staged_ino) for item in wanted]
