"""Any bytes in a drop-file are lines that were taken, or told of as bad: nothing is raised, nothing is held (U17)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dropmill.model.download import Wanted
from dropmill.model.dropline import KEYS, Bad, Line, parse, read_piece, wanted
from dropmill.model.tailing import LINE_BYTES, FileId, Mark, Piece, cut

PARTS = st.sampled_from(
    [
        b"http://",
        b"https://a.example/",
        b"\t",
        b"=",
        b"\n",
        b"\r\n",
        b"#",
        b"\xef\xbb\xbf",
        b"\0",
        b"\xff",
        b"@",
        b"u:p@",
    ]
    + [key.encode() + b"=" for key in KEYS]
)
NEAR_LINES = st.lists(st.one_of(PARTS, st.binary(max_size=12), st.text(max_size=6).map(str.encode)), max_size=30).map(
    b"".join
)


@given(st.one_of(st.binary(max_size=300), NEAR_LINES))
def test_u17_any_bytes_are_a_line_or_a_refusal(text: bytes) -> None:
    said = parse(text)
    assert said is None or isinstance(said, Wanted | Bad)
    if isinstance(said, Wanted):
        assert said.canonical.isascii() and said.canonical.isprintable()
        assert "/" not in said.hint and "\\" not in said.hint
        assert not said.directory.startswith("/")
        assert ".." not in said.directory.split("/")
    if isinstance(said, Bad):
        assert said.detail
        assert len(said.url) <= 200
        assert said.url.isprintable()


@given(st.one_of(st.binary(max_size=2000), NEAR_LINES), st.booleans())
def test_u17_any_file_is_read_to_its_end(text: bytes, last: bool) -> None:
    mark = Mark(FileId(1, 1), 1)
    pieces: list[Piece] = []
    while True:
        found, after = cut(text[mark.offset_bytes :], mark, last=last)
        if after == mark:
            break
        pieces += found
        mark = after
    assert mark.offset_bytes == (len(text) if last else text.rfind(b"\n") + 1)
    lines = [line for piece in pieces if (line := read_piece(piece)) is not None]
    assert all(isinstance(line, Line) and line.number >= 1 for line in lines)
    assert [line.offset_bytes for line in lines] == sorted({line.offset_bytes for line in lines})
    assert all(len(piece.text) <= LINE_BYTES for piece in pieces)


@given(st.text(max_size=60), st.dictionaries(st.sampled_from(KEYS), st.text(max_size=30), max_size=7))
def test_u17_any_row_of_a_table_is_taken_or_refused(address: str, values: dict[str, str]) -> None:
    assert isinstance(wanted(address, **values), Wanted | Bad)
    assert isinstance(wanted("http://a.example/x", **values), Wanted | Bad)
