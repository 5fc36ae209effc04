"""What a look at a drop-file means, and where its lines are."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropmill.model.tailing import (
    LINE_BYTES,
    FileId,
    Kind,
    Look,
    Mark,
    Midline,
    Piece,
    Step,
    at_end,
    cut,
    judge,
)

FILE, OTHER = FileId(1, 10), FileId(1, 11)
START = Mark(FILE, 1)
READ = Mark(FILE, 1, offset_bytes=100, line=5)


def look(
    size_bytes: int = 100, *, at_path: FileId | None = FILE, opened: FileId | None = FILE, same: bool = True
) -> Look:
    return Look(at_path, opened, size_bytes, (0, 0), same)


@pytest.mark.parametrize(
    ("mark", "seen", "tried", "still", "step"),
    [
        (None, look(0, at_path=None, opened=None), 0, True, Step.ABSENT),
        (READ, look(0, opened=None), 0, True, Step.ABSENT),
        (None, look(), 0, False, Step.BEGIN),
        (READ, look(at_path=OTHER, opened=OTHER), 0, False, Step.BEGIN),
        (READ, look(100), 0, False, Step.WAIT),
        (READ, look(100), 0, True, Step.WAIT),
        (READ, look(101), 0, False, Step.READ),
        # A last line without newline: waited for, then taken (U15).
        (READ, look(110), 110, False, Step.WAIT),
        (READ, look(111), 110, False, Step.READ),
        (READ, look(110), 110, True, Step.LAST),
        # Truncated and rewritten, or another file with its inode (U16).
        (READ, look(99), 0, False, Step.AGAIN),
        (READ, look(100, same=False), 0, False, Step.AGAIN),
        (READ, look(5000, same=False), 0, True, Step.AGAIN),
        # Renamed away: read to its end, then let go of (U16).
        (READ, look(120, at_path=OTHER), 100, False, Step.READ),
        (READ, look(100, at_path=OTHER), 100, False, Step.WAIT),
        (READ, look(110, at_path=OTHER), 110, True, Step.LAST),
        (READ, look(100, at_path=OTHER), 100, True, Step.SWITCH),
        (READ, look(0, at_path=OTHER), 100, False, Step.SWITCH),
        # Nothing is at the path yet.
        (READ, look(120, at_path=None), 100, False, Step.READ),
        (READ, look(100, at_path=None), 100, True, Step.WAIT),
        (READ, look(0, at_path=None), 100, True, Step.WAIT),
    ],
)
def test_u16_each_look_has_one_meaning(mark: Mark | None, seen: Look, tried: int, still: bool, step: Step) -> None:
    assert judge(mark, seen, tried, still) is step


def test_all_is_read_only_where_nothing_is_left_anywhere() -> None:
    assert at_end(None, look(0, at_path=None, opened=None))
    assert at_end(READ, look(100))
    assert at_end(READ, look(100, at_path=None))
    assert not at_end(READ, look(101))
    assert not at_end(READ, look(100, at_path=OTHER))
    assert not at_end(None, look(0))


def test_u17_lines_with_their_numbers_and_offsets() -> None:
    pieces, mark = cut(b"a\n\n# c\r\nrest", START, last=False)
    assert pieces == [
        Piece(Kind.WHOLE, 0, 1, b"a"),
        Piece(Kind.WHOLE, 2, 2, b""),
        Piece(Kind.WHOLE, 3, 3, b"# c\r"),
    ]
    assert (mark.offset_bytes, mark.line, mark.midline) == (8, 3, Midline.NO)


def test_u15_what_has_no_newline_is_taken_only_when_asked_for() -> None:
    pieces, mark = cut(b"a\nb", START, last=True)
    assert [piece.text for piece in pieces] == [b"a", b"b"]
    assert (mark.offset_bytes, mark.midline) == (3, Midline.TAKEN)


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b" \n"])
def test_u15_a_newline_that_comes_late_ends_the_line_that_was_taken(ending: bytes) -> None:
    taken = Mark(FILE, 1, offset_bytes=3, line=2, midline=Midline.TAKEN)
    pieces, mark = cut(ending + b"c\n", taken, last=False)
    assert pieces == [Piece(Kind.WHOLE, 3 + len(ending), 3, b"c")]
    assert (mark.line, mark.midline) == (3, Midline.NO)


def test_u15_what_comes_behind_a_line_that_was_taken_is_told_as_its_rest() -> None:
    taken = Mark(FILE, 1, offset_bytes=3, line=2, midline=Midline.TAKEN)
    assert cut(b".jpg", taken, last=False) == ([], taken)
    pieces, mark = cut(b".jpg\nc\n", taken, last=False)
    assert pieces == [Piece(Kind.REST, 3, 2, b".jpg"), Piece(Kind.WHOLE, 8, 3, b"c")]
    assert mark.midline is Midline.NO
    pieces, mark = cut(b".jpg", taken, last=True)
    assert pieces == [Piece(Kind.REST, 3, 2, b".jpg")]
    assert mark.midline is Midline.TAKEN


def test_u17_an_overlong_line_is_told_once_and_skipped_without_being_held() -> None:
    pieces, mark = cut(b"x" * (LINE_BYTES + 10), START, last=False)
    assert [(piece.kind, piece.line, len(piece.text)) for piece in pieces] == [(Kind.OVERLONG, 1, LINE_BYTES)]
    assert mark.midline is Midline.OVERLONG
    pieces, mark = cut(b"x" * 1000, mark, last=False)
    assert (pieces, mark.offset_bytes) == ([], LINE_BYTES + 1010)
    pieces, mark = cut(b"x\nnext\n", mark, last=False)
    assert pieces == [Piece(Kind.WHOLE, LINE_BYTES + 1012, 2, b"next")]


@given(
    st.lists(st.sampled_from([b"", b"a", b"bb\r", b"#", b"x" * LINE_BYTES, b"y" * (LINE_BYTES + 1)]), max_size=8),
    st.lists(st.integers(1, 3 * LINE_BYTES), min_size=1, max_size=6),
    st.integers(1, 4),
)
def test_u16_lines_are_the_same_however_the_file_is_read(lines: list[bytes], sizes: list[int], most: int) -> None:
    text = b"".join(line + b"\n" for line in lines)
    whole, end = cut(text, START, last=False, most=10**6)
    mark, parts, window, turn = START, [], 0, 0
    while mark.offset_bytes < len(text):
        # A window that shows no whole line and none that is too long has to grow, as a file does.
        window = sizes[turn % len(sizes)] if window == 0 else window + LINE_BYTES
        pieces, after = cut(text[mark.offset_bytes : mark.offset_bytes + window], mark, last=False, most=most)
        window = 0 if after != mark else window
        mark, turn = after, turn + 1
        parts += pieces
    assert parts == whole
    assert mark == end == replace(START, offset_bytes=len(text), line=len(lines))
