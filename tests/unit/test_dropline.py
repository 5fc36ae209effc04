"""Lines of a drop-file as values: good ones asked for as they say, bad ones told with what is wrong."""

from __future__ import annotations

import pytest

from dropmill.model.download import Wanted
from dropmill.model.dropline import KEYS, Bad, parse, read_piece, wanted
from dropmill.model.outcome import Reason
from dropmill.model.tailing import LINE_BYTES, Kind, Piece

SHA256 = "ab" * 32


def good(line: bytes | str) -> Wanted:
    said = parse(line.encode() if isinstance(line, str) else line)
    assert isinstance(said, Wanted), said
    return said


def bad(line: bytes | str) -> Bad:
    said = parse(line.encode() if isinstance(line, str) else line)
    assert isinstance(said, Bad), said
    return said


@pytest.mark.parametrize("line", [b"", b"  ", b"\t\t", b"\r", b"# a comment", b"  #\xff\xfe", b"#http://example.com/a"])
def test_u17_blank_lines_and_comments_say_nothing(line: bytes) -> None:
    assert parse(line) is None


@pytest.mark.parametrize(
    "line", ["http://example.com/a.jpg", "  http://example.com/a.jpg \r", "http://example.com/a.jpg\t"]
)
def test_u17_a_url_alone_with_what_editors_leave_around_it(line: str) -> None:
    assert good(line) == Wanted("http://example.com/a.jpg", "http://example.com/a.jpg", "http://example.com:80")


def test_u17_a_field_without_a_key_is_the_label() -> None:
    assert good("http://example.com/a\tsiamese cats").label == "siamese cats"
    assert good("http://example.com/a\tKatzen ü 猫\tpriority=5") == Wanted(
        "http://example.com/a", "http://example.com/a", "http://example.com:80", label="Katzen ü 猫", priority=5
    )


def test_u17_every_field() -> None:
    said = good(
        f"https://example.com/a\tlabel=x=y\tPriority=1\tname=Siam.jpg\tdir=cats/siam/\tsize=1234\ttype=image/JPG"
        f"\tsha256={SHA256.upper()}"
    )
    assert said == Wanted(
        "https://example.com/a",
        "https://example.com/a",
        "https://example.com:443",
        label="x=y",
        priority=1,
        hint="Siam.jpg",
        directory="cats/siam",
        expected_size_bytes=1234,
        expected_type="jpeg",
        expected_sha256=SHA256,
    )
    assert set(KEYS) == {"label", "priority", "name", "dir", "size", "type", "sha256"}


@pytest.mark.parametrize(
    ("field", "told"),
    [
        ("prioritty=3", "did you mean priority?"),
        ("colour=red", "valid are label, priority"),
        ("priority=0", "1 to 5"),
        ("priority=6", "1 to 5"),
        ("priority=٣", "1 to 5"),
        ("name=../..", "no file name"),
        ("name=", "no file name"),
        (f"name={'é' * 200}", "longer than 255 bytes"),
        ("dir=/etc", "below the output"),
        ("dir=a/../b", "below the output"),
        ("dir=..", "below the output"),
        ("dir=a//b", "below the output"),
        ("dir=a\\b", "below the output"),
        ("dir=.dropmill", "below the output"),
        (f"dir={'x' * 256}", "longer than 255 bytes"),
        ("dir=a\x7fb", "control character"),
        ("size=-1", "a number of bytes"),
        ("size=1e3", "a number of bytes"),
        (f"size={'9' * 16}", "a number of bytes"),
        ("type=exe", "valid are jpeg, png"),
        ("sha256=abc", "64 hexadecimal digits"),
        (f"label={'x' * 1001}", "longer than 1000"),
        ("label=a\x1b[31mb", "control character"),
        ("label=a\tlabel=b", "label is there twice"),
        ("a\tb", "'b' is no key=value field"),
        ("=x", "no key=value field"),
    ],
)
def test_u17_a_field_that_cannot_be_taken_makes_a_bad_line_that_says_why(field: str, told: str) -> None:
    said = bad(f"http://example.com/a\t{field}")
    assert said.reason is Reason.BAD_LINE
    assert told in said.detail
    assert said.url == "http://example.com/a"


@pytest.mark.parametrize(
    ("name", "hint"),
    [("../../etc/passwd", "passwd"), ("C:\\dir\\x.jpg", "x.jpg"), ("/abs/y.png", "y.png"), ("a..b.jpg", "a..b.jpg")],
)
def test_u13_a_name_hint_never_is_a_path(name: str, hint: str) -> None:
    assert good(f"http://example.com/a\tname={name}").hint == hint


@pytest.mark.parametrize(
    ("line", "reason", "told"),
    [
        (b"http://example.com/\xff.jpg", Reason.BAD_LINE, "byte 20 is not UTF-8"),
        ("http://example.com/a.jpg".encode("utf-16-le"), Reason.BAD_LINE, "UTF-16"),
        (b"http://a.example/1\rhttp://a.example/2", Reason.BAD_LINE, "carriage return"),
        (b"http://example.com/a b", Reason.BAD_URL, "put a tab between it and a label"),
        (b"http://exa mple.com/a", Reason.BAD_URL, "blank"),
        (b"ftp://example.com/a", Reason.BLOCKED_SCHEME, "ftp"),
        (b"example.com/a.jpg", Reason.BAD_URL, "scheme"),
        (b"\tlabel=x", Reason.BAD_URL, ""),
    ],
)
def test_u17_what_is_no_url_is_told(line: bytes, reason: Reason, told: str) -> None:
    said = bad(line)
    assert said.reason is reason
    assert told in said.detail


@pytest.mark.parametrize(
    "line", [b"http://user:secret@[bad\tx=y", b"http://user:secret@example.com/\xff", b"ftp://user:secret@example.com/"]
)
def test_u07_credentials_of_a_bad_line_are_not_told(line: bytes) -> None:
    said = bad(line)
    assert "secret" not in said.url + said.detail


def test_u17_a_bom_stands_at_the_start_of_the_file_and_nowhere_else() -> None:
    text = b"\xef\xbb\xbfhttp://example.com/a"
    first, second = read_piece(Piece(Kind.WHOLE, 0, 1, text)), read_piece(Piece(Kind.WHOLE, 40, 2, text))
    assert first is not None and isinstance(first.said, Wanted)
    assert second is not None and isinstance(second.said, Bad)
    assert read_piece(Piece(Kind.WHOLE, 0, 1, b"\xef\xbb\xbf# comment")) is None


def test_u17_an_overlong_line_is_told_by_its_beginning() -> None:
    line = read_piece(Piece(Kind.OVERLONG, 7, 3, b"http://example.com/" + b"x" * LINE_BYTES))
    assert line is not None and isinstance(line.said, Bad)
    assert (line.number, line.said.reason) == (3, Reason.BAD_LINE)
    assert str(LINE_BYTES) in line.said.detail
    assert len(line.said.url) <= 200


def test_u15_the_rest_of_a_line_that_was_taken_is_no_url_of_its_own() -> None:
    line = read_piece(Piece(Kind.REST, 7, 3, b"http://example.com/other"))
    assert line is not None and isinstance(line.said, Bad)
    assert "had no newline" in line.said.detail


def test_urls_from_tables_are_held_to_the_same_rules() -> None:
    assert wanted(" http://example.com/a ", label="two\nlines  here", priority="4", dir="") == Wanted(
        "http://example.com/a",
        "http://example.com/a",
        "http://example.com:80",
        label="two lines here",
        priority=4,
    )
    assert isinstance(wanted("http://example.com/a", dir="../x"), Bad)
    assert isinstance(wanted("\ud800"), Bad)
    assert isinstance(wanted("http://example.com/a", name="\ud800"), Bad)
