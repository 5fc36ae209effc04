"""Which file systems tell nothing of what changes on them, by what ``fstatfs`` says (W16)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dropmill.files import fstype
from dropmill.files.fstype import delivers_no_events


def on(monkeypatch: pytest.MonkeyPatch, magic: int) -> None:
    """Whatever is asked about lies on that file system from now on."""
    monkeypatch.setattr(fstype, "magic_of", lambda fd: magic)


@pytest.mark.parametrize(
    "magic",
    [0x6969, 0xFF534D42, 0xFE534D42, 0x65735546, 0x01021997, 0x786F4256, 0x00C36400],
    ids=["nfs", "cifs", "smb2", "fuse and virtiofs", "9p", "vboxsf", "ceph"],
)
def test_w16_a_folder_on_a_share_delivers_no_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, magic: int
) -> None:
    on(monkeypatch, magic)
    assert delivers_no_events(os.fsencode(tmp_path))


@pytest.mark.parametrize(
    "magic", [0xEF53, 0x58465342, 0x9123683E, 0x01021994, 0], ids=["ext4", "xfs", "btrfs", "tmpfs", "unknown"]
)
def test_w16_a_folder_on_a_disk_of_this_machine_delivers_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, magic: int
) -> None:
    on(monkeypatch, magic)
    assert not delivers_no_events(os.fsencode(tmp_path))


def test_w16_a_folder_that_is_not_there_is_not_called_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on(monkeypatch, fstype.NFS)
    (tmp_path / "file").touch()
    assert not delivers_no_events(os.fsencode(tmp_path / "missing"))
    assert not delivers_no_events(os.fsencode(tmp_path / "file"))
