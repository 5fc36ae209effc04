"""Which folders a scan looks through, by the names of folders alone."""

from __future__ import annotations

import pytest

from dropmill.files.library import Claim, Part, below, merged, plan, within


@pytest.mark.parametrize(
    ("path", "folder", "lies"),
    [
        (b"/a/b", b"/a", True),
        (b"/a", b"/a", True),
        (b"/ab", b"/a", False),
        (b"/a", b"/a/b", False),
        (b"/a", b"/", True),
        (b"x", b"", True),
    ],
)
def test_what_lies_in_what(path: bytes, folder: bytes, lies: bool) -> None:
    assert within(path, folder) is lies


def test_paths_below_a_folder() -> None:
    assert (below(b"/a/b/c", b"/a"), below(b"/a", b"/a"), below(b"/a/b", b"/")) == (b"b/c", b"", b"a/b")


def test_a_new_folder_is_a_part_of_its_own() -> None:
    assert plan([b"/lib"], []) == ([Part(b"/lib", (), b"", frozenset())], [])


def test_a_folder_in_a_library_is_a_part_of_it() -> None:
    assert plan([b"/lib/a"], [Claim(b"/lib", (3,))]) == ([Part(b"/lib", (3,), b"a", frozenset())], [])


def test_a_folder_around_a_library_leaves_it_to_itself() -> None:
    parts, notes = plan([b"/lib"], [Claim(b"/lib/a/b", (3,))])
    assert parts == [Part(b"/lib", (), b"", frozenset({b"a/b"})), Part(b"/lib/a/b", (3,), b"", frozenset())]
    assert notes == []
    assert not parts[0].holds(b"a/b/c.jpg")
    assert parts[0].holds(b"a/bc.jpg")


def test_the_innermost_folder_that_is_known_has_the_say() -> None:
    claims = [Claim(b"/srv", (1,)), Claim(b"/srv/in", (2,), "the inbox camera"), Claim(b"/srv/in/done", (3,))]
    parts, notes = plan([b"/srv/in/2024", b"/srv/in/done/x", b"/srv/else"], claims)
    assert parts == [Part(b"/srv/in/done", (3,), b"x", frozenset()), Part(b"/srv", (1,), b"else", frozenset())]
    assert notes == ["/srv/in/2024 is left out: it is the inbox camera"]


def test_folders_named_twice_or_in_each_other_are_looked_through_once() -> None:
    parts, _ = plan([b"/lib/a", b"/lib", b"/lib"], [])
    assert parts == [Part(b"/lib", (), b"", frozenset())]


def test_of_several_claims_on_a_folder_what_forbids_goes_first() -> None:
    claims = merged([Claim(b"/x", (1,)), Claim(b"/x", (2,), "an inbox"), Claim(b"/x", (1,)), Claim(b"/y", (4,))])
    assert claims == [Claim(b"/x", (1, 2), "an inbox"), Claim(b"/y", (4,))]
