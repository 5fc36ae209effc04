"""A hard link to a file of somebody else, put into an inbox (S03)."""

from __future__ import annotations

import os
from pathlib import Path

import pictures
from harness import Mill
from parts import need_root

STRANGER = 4242


def test_s03_a_link_to_a_strangers_file_is_ignored_unless_any_links_are_wanted(tmp_path: Path) -> None:
    """Else whoever may link, but not read, would have the daemon show him the picture."""
    need_root()
    mill = Mill(tmp_path)
    theirs = tmp_path / "theirs.jpg"
    theirs.write_bytes(pictures.jpeg(pictures.photo(60, 40, seed=1)))
    os.chown(theirs, STRANGER, -1)
    os.link(theirs, mill.inbox / "a.jpg")
    result = mill.once()
    assert result.returncode == 0, result.stderr
    assert "foreign-hard-link" in result.stdout
    assert (mill.jobs(), mill.outputs()) == ([], [])
    told = mill.why("a.jpg")
    assert "ignored: foreign-hard-link" in told
    assert f"owner uid {STRANGER}" in told
    assert 'hard_links = "any"' in told
    mill.configure(hard_links="any")
    os.link(theirs, mill.inbox / "b.jpg")
    assert mill.once().returncode == 0
    assert "b-t.jpg" in mill.outputs() or "a-t.jpg" in mill.outputs()
    assert theirs.stat().st_uid == STRANGER


def test_s03_a_strangers_file_that_is_nowhere_else_is_taken(tmp_path: Path) -> None:
    """He put it there himself: only a link can show what its owner did not give."""
    need_root()
    mill = Mill(tmp_path)
    os.chown(mill.drop("a.jpg", pictures.jpeg(pictures.photo(60, 40, seed=1))), STRANGER, -1)
    assert mill.once().returncode == 0
    assert mill.outputs() == ["a-t.jpg"]
