"""The folders that a command names to a daemon."""

from __future__ import annotations

import os
from pathlib import Path

from dropmill.cli.reach import below_roots
from dropmill.settings import Settings


def test_a_link_of_ones_own_is_named_as_the_roots_allow_it(tmp_path: Path) -> None:
    (tmp_path / "disk/photos/2024").mkdir(parents=True)
    (tmp_path / "photos").symlink_to("disk/photos")
    (tmp_path / "mine").symlink_to("disk/photos/2024")
    settings = Settings(state_dir=str(tmp_path / "state"), library_roots=(str(tmp_path / "photos"),))
    base = os.fsencode(tmp_path)
    for named in (b"/photos/2024", b"/disk/photos/2024", b"/mine"):
        assert below_roots(settings, base + named) == base + b"/photos/2024"
    assert below_roots(settings, base + b"/mine/new") == base + b"/photos/2024/new"
    assert below_roots(settings, base + b"/disk") == base + b"/disk"
    assert below_roots(settings, base + b"/photos") == base + b"/photos"
    assert below_roots(settings, base + b"/disk/photos") == base + b"/photos"
