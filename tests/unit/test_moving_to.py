"""Folders that files may be moved to: nothing is made in the bare place of a disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar, cast

import pytest

from dropmill.control.house import House
from dropmill.control.moving_to import checked
from dropmill.errors import Forbidden, NotFound
from dropmill.files import standing
from dropmill.settings import Settings

pytestmark = pytest.mark.anyio
T = TypeVar("T")


async def _blocking(_inbox: str, function: Callable[..., T], *args: Any) -> T:
    return function(*args)


async def test_w26_a_folder_to_move_to_is_not_made_where_its_disk_was_never_mounted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = tmp_path / "nas"
    disk.mkdir()
    (tmp_path / "fstab").write_text(f"nas:/export {disk} nfs nofail 0 0\n")
    monkeypatch.setattr(standing, "_FSTAB", str(tmp_path / "fstab"))
    settings = Settings.model_validate({"library_roots": [str(disk)]})
    house = cast(House, SimpleNamespace(settings=settings, blocking=_blocking))
    wanted = os.fsencode(disk / "duplicates")
    with pytest.raises(NotFound, match="no disk is mounted at"):
        await checked(house, wanted)
    with pytest.raises(NotFound, match="no disk is mounted at") as refusal:
        await checked(house, wanted, make=True)
    assert "mount it" in str(refusal.value.hint) and list(disk.iterdir()) == []
    (disk / ".dropmill").mkdir()  # A person says that it is meant.
    assert await checked(house, wanted, make=True) == wanted
    assert (disk / "duplicates").is_dir()


@pytest.mark.parametrize("name", [".dropmill-trash", ".dropmill-trash/99", "sub/.dropmill-trash/9/deeper", "way/9"])
async def test_nothing_is_moved_into_the_trash(tmp_path: Path, name: str) -> None:
    library = tmp_path / "library"
    (library / ".dropmill-trash").mkdir(parents=True)
    (library / "way").symlink_to(library / ".dropmill-trash")
    settings = Settings.model_validate({"library_roots": [str(library)]})
    house = cast(House, SimpleNamespace(settings=settings, blocking=_blocking))
    with pytest.raises(Forbidden, match=r"is inside the trash .*/[.]dropmill-trash [(]") as refusal:
        await checked(house, os.fsencode(library / name), make=True)
    assert refusal.value.reason == "folder-in-use"
    assert not any((library / ".dropmill-trash").iterdir()) and not (library / "sub").exists()
