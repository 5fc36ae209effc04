"""URLs: every spelling of an address recognised, one spelling for each URL, and refusals without surprises."""

from __future__ import annotations

import re

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dropmill.model.download import stored_name
from dropmill.model.outcome import Reason
from dropmill.model.url import MAX_URL_BYTES, UrlRefused, canonical_host, follow, parse_url, redact

LOOPBACK = [
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0X7F000001",
    "0x7f.0.0.1",
    "0x7f.1",
    "0177.0.0.1",
    "017700000001",
    "0177.0x0.0.01",
    "00000000177.0.0.1",
    "127.0.0.1.",
    "%31%32%37.0.0.1",
    "127%2e0%2E0.1",
    "１２７.０.０.１",
    "①②⑦.⓪.⓪.①",
    "127。0。0。1",
    "127｡0．0.1",
    "𝟙𝟚𝟟.𝟘.𝟘.𝟙",
    "127.0.0\u00ad.1",
    "127.0.0.\u200b1",
]
ADDRESSES = [("0", "0.0.0.0"), ("0x0", "0.0.0.0"), ("0xA9FEA9FE", "169.254.169.254"), ("1.2.772", "1.2.3.4")]
SIXES = ["[::1]", "[0:0:0:0:0:0:0:1]", "[0000::0001]", "[::0.0.0.1]"]


def refusal(text: str) -> Reason:
    with pytest.raises(UrlRefused) as caught:
        parse_url(text)
    return caught.value.reason


@pytest.mark.parametrize("host", LOOPBACK)
def test_u01_every_spelling_of_loopback_is_recognised(host: str) -> None:
    url = parse_url(f"http://{host}/a")
    assert (url.host, url.canonical) == ("127.0.0.1", "http://127.0.0.1/a")
    assert str(url.address) == "127.0.0.1"


@pytest.mark.parametrize(("host", "meant"), ADDRESSES)
def test_u01_numbers_are_the_addresses_that_they_stand_for(host: str, meant: str) -> None:
    assert str(parse_url(f"http://{host}/").address) == meant


@pytest.mark.parametrize("host", SIXES)
def test_u01_every_spelling_of_the_ipv6_loopback_is_recognised(host: str) -> None:
    assert parse_url(f"http://{host}/").canonical == "http://[::1]/"


@pytest.mark.parametrize(
    "host",
    [
        *("256.1.1.1", "1.2.3.4.5", "1.2.3.256", "4294967296", "08.0.0.1", "0x.1.2.3.4", "1..2.3", "a.b.0x7f", "a.1"),
        *("[::1", "::1", "[127.0.0.1]", "[fe80::1%25eth0]", "[v1.x]", "[]", "[::1]x"),
    ],
)
def test_u01_what_looks_like_an_address_and_is_none_is_refused(host: str) -> None:
    assert refusal(f"http://{host}/") == Reason.BAD_URL


@pytest.mark.parametrize(
    "bad", ["\r", "\n", "\r\nX: y", "\0", "\t", " ", "\x7f", "\x85", "\u2028", "\u3000", "\\", "\udc80"]
)
@pytest.mark.parametrize(
    "place", ["http://exa{}mple.com/", "http://example.com/a{}b", "http://example.com/?q={}", "{}http://h/"]
)
def test_u08_controls_blanks_and_backslashes_are_refused_at_parse(bad: str, place: str) -> None:
    assert refusal(place.format(bad)) == Reason.BAD_URL


@pytest.mark.parametrize("bad", ["%0d%0a", "%00", "%20", "%2f", "%40", "%5c", "％0d", "／", "＠", "：", "℀", "＃", "⑴"])
def test_u08_what_decodes_to_a_delimiter_in_the_host_is_refused(bad: str) -> None:
    assert refusal(f"http://example.com{bad}evil.com/") == Reason.BAD_URL


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", Reason.BAD_URL),
        ("example.com/a.jpg", Reason.BAD_URL),
        ("//example.com/", Reason.BAD_URL),
        ("http:example.com", Reason.BAD_URL),
        ("http:/example.com", Reason.BAD_URL),
        ("http:///path", Reason.BAD_URL),
        ("http://", Reason.BAD_URL),
        ("http://.", Reason.BAD_URL),
        ("http://a..b/", Reason.BAD_URL),
        ("http://" + "a" * 64 + ".com/", Reason.BAD_URL),
        ("http://" + "a." * 140 + "com/", Reason.BAD_URL),
        ("http://a@b@c/", Reason.BAD_URL),
        ("http://a:1@b:2@c/", Reason.BAD_URL),
        ("http://h:0/", Reason.BAD_URL),
        ("http://h:65536/", Reason.BAD_URL),
        ("http://h:9999999999999999999/", Reason.BAD_URL),
        ("http://h:-1/", Reason.BAD_URL),
        ("http://h:８０/", Reason.BAD_URL),
        ("http://h:80:80/", Reason.BAD_URL),
        ("http://h:²/", Reason.BAD_URL),
        ("http://%ff/", Reason.BAD_URL),
        ("http://%ff@h/", Reason.BAD_URL),
        ("http://xn--a\u0300.com/", Reason.BAD_URL),
        ("http://h/" + "a" * MAX_URL_BYTES, Reason.BAD_URL),
        ("http://h/" + "ä" * (MAX_URL_BYTES // 5), Reason.BAD_URL),
        ("file:///etc/passwd", Reason.BLOCKED_SCHEME),
        ("FTP://h/", Reason.BLOCKED_SCHEME),
        ("gopher://h:70/_x", Reason.BLOCKED_SCHEME),
        ("javascript:alert(1)", Reason.BLOCKED_SCHEME),
        ("data:image/png;base64,AA", Reason.BLOCKED_SCHEME),
        ("unix:/run/docker.sock", Reason.BLOCKED_SCHEME),
    ],
)
def test_what_is_no_url_that_is_fetched_is_refused(text: str, reason: Reason) -> None:
    assert refusal(text) == reason


@pytest.mark.parametrize(
    "text",
    [
        "http://example.com",
        "HTTP://EXAMPLE.com/",
        "http://example.com:80/",
        "http://example.com:/",
        "http://example.com:00080/",
        "http://example.com./",
        "http://example.com/#part",
        "http://example.com/.",
        "http://example.com/a/..",
        "http://example.com/../../",
        "http://example.com/%2e/",
        "http://user:secret@example.com/",
        "http://@example.com/",
        "http://ｅｘａｍｐｌｅ.com/",
        "http://ex%61mple.com/",
        "http://example。com/",
    ],
)
def test_u18_other_spellings_are_the_same_url(text: str) -> None:
    url = parse_url(text)
    assert url.canonical == "http://example.com/"
    assert url == parse_url("http://example.com/")


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("https://h:443/%7ea%2fb?x=%41%2b", "https://h/~a%2Fb?x=A%2B"),
        ("https://h:80/", "https://h:80/"),
        ("http://h/a//b/./c/../d", "http://h/a//b/d"),
        ("http://h/?", "http://h/?"),
        ("http://h?a=b/../c", "http://h/?a=b/../c"),
        ("http://h/ä?ö", "http://h/%C3%A4?%C3%B6"),
        ("http://h/100%", "http://h/100%25"),
        ("http://h/%zz%4", "http://h/%25zz%254"),
        ("http://h/a[1]|{x}", "http://h/a[1]|%7Bx%7D"),
        ("http://bücher.example/", "http://xn--bcher-kva.example/"),
        ("http://BÜCHER.example/", "http://xn--bcher-kva.example/"),
        ("http://my_bucket.s3.example/", "http://my_bucket.s3.example/"),
        ("http://[2001:DB8::1]:8080/", "http://[2001:db8::1]:8080/"),
        ("http://[::ffff:8.8.8.8]/", "http://[::ffff:808:808]/"),
    ],
)
def test_u18_the_one_spelling(text: str, canonical: str) -> None:
    assert parse_url(text).canonical == canonical


def test_u18_what_differs_stays_apart() -> None:
    texts = [
        "http://h/a",
        "http://h/A",
        "http://h/a/",
        "http://h/a?",
        "https://h/a",
        "http://h:8080/a",
        "http://h/%2Fa",
    ]
    assert len({parse_url(text).canonical for text in texts}) == len(texts)


def test_u13_the_file_of_a_download_is_named_by_its_job_alone() -> None:
    assert re.fullmatch(rb"[0-9]+", stored_name(7))


def test_u07_credentials_are_kept_apart_and_never_shown() -> None:
    url = parse_url("https://us%65r:p%40ss%3A@h:8443/x")
    assert (url.username, url.password, url.origin) == ("user", "p@ss:", "https://h:8443")
    assert url.canonical == "https://h:8443/x"
    for text in (repr(url), str(url), url.redacted, url.canonical):
        assert "p%40ss" not in text and "p@ss" not in text and "user" not in text


@pytest.mark.parametrize(
    "text",
    [
        "http://u:sesame@h/",
        "http:u:sesame@h/",
        "https//u:sesame@h/",
        "https//sesame@h/",
        "http://u:" + "sesame" * 2000 + "@h/",
        "https//u:ses/sesame@h/",
        "http:\\\\u:sesame@h/",
        "//u:sesame@h",
        "u:sesame@h",
        "sesame@h",
        "http://u:sesame@x@h/",
        "http://u:ses/sesame@h/",
        "http://u:#sesame@h/",
        "https://sesame@h:99999/",
        "ftp://u:sesame@h/",
        "http://u:sesame\n@h/",
        "http://u://sesame@h/",
    ],
)
def test_u07_credentials_are_redacted_in_what_is_no_url_too(text: str) -> None:
    assert "sesame" not in redact(text)
    with pytest.raises(UrlRefused) as caught:
        parse_url(text + "\0")
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["https://h/@user/a.jpg", "http://h:8080/a@b", "http://h/?mail=a@b", "http://[::1]:80/@x", "http//h/@x"]
)
def test_u07_an_at_sign_behind_the_host_is_no_credential(text: str) -> None:
    assert redact(text) == text


def test_redacted_text_is_one_line_without_controls() -> None:
    assert redact("http://h/\r\n\x1b[2J\u2028") == "http://h/\\r\\n\\x1b[2J\\u2028"
    assert redact("http://h/\udcff") == "http://h/\\xff"


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/b", "http://h:8080/b"),
        ("c?d", "http://h:8080/a/c?d"),
        ("//other/x", "http://other/x"),
        ("https://other/x#y", "https://other/x"),
        ("../../../x", "http://h:8080/x"),
        ("?q", "http://h:8080/a/b?q"),
        (" /my file.jpg\t", "http://h:8080/my%20file.jpg"),
        ("/ä", "http://h:8080/%C3%A4"),
        ("", "http://h:8080/a/b"),
    ],
)
def test_u06_where_a_redirect_leads(location: str, target: str) -> None:
    if location:
        assert follow(parse_url("http://user:pass@h:8080/a/b"), location).canonical == target
        assert not follow(parse_url("http://user:pass@h:8080/a/b"), location).has_credentials
    else:
        with pytest.raises(UrlRefused):
            follow(parse_url("http://h/"), location)


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("file:///etc/passwd", Reason.BLOCKED_SCHEME),
        ("ftp://h/", Reason.BLOCKED_SCHEME),
        ("gopher://127.0.0.1:6379/_FLUSHALL", Reason.BLOCKED_SCHEME),
        ("\\\\evil/x", Reason.BAD_URL),
        ("http://a b/", Reason.BAD_URL),
        ("http://[::1/", Reason.BAD_URL),
        ("/x\r\nSet-Cookie: a", Reason.BAD_URL),
        ("http://ℹ℀/", Reason.BAD_URL),
    ],
)
def test_u06_a_redirect_to_elsewhere_is_refused(location: str, reason: Reason) -> None:
    with pytest.raises(UrlRefused) as caught:
        follow(parse_url("http://h/"), location)
    assert caught.value.reason == reason


SCHEMES = st.sampled_from(["http", "https", "HTTP", "ftp", "", "x y"])
PIECES = st.text(alphabet=st.characters(), max_size=12) | st.text(alphabet="/.:@?#[]%0127aF-\\~é１⓪。 ", max_size=30)


@given(st.builds("{}{}{}{}".format, SCHEMES, st.sampled_from(["://", ":", "//", ""]), PIECES, PIECES))
@example("http://a%2540b/")
@example("http://h/%%34")
@example("http://h/%25%32%65%32e/")
@example("https://[::ffff:1.2.3.4]:443/")
def test_parsing_refuses_or_gives_a_spelling_that_stays(text: str) -> None:
    try:
        url = parse_url(text)
    except UrlRefused as refused:
        reason, detail = refused.reason, refused.detail
        assert reason in {Reason.BAD_URL, Reason.BLOCKED_SCHEME} and detail
        return
    again = parse_url(url.canonical)
    assert again == url and again.canonical == url.canonical
    assert not again.has_credentials and url.canonical.isascii() and url.canonical.isprintable()
    # The library that sends it has to read the very same thing.
    read = httpx.URL(url.canonical)
    assert (read.raw_path.decode(), read.raw_host.decode(), read.port or {"http": 80, "https": 443}[url.scheme]) == (
        url.target,
        url.host,
        url.port,
    )
    assert read.userinfo == b""


@example("\ud800")
@given(PIECES)
def test_hosts_are_refused_or_have_a_spelling_that_stays(text: str) -> None:
    try:
        host = canonical_host(text)
    except UrlRefused:
        return
    assert canonical_host(host) == host


@given(PIECES, PIECES)
def test_redirects_raise_nothing_but_refusals(one: str, other: str) -> None:
    base = parse_url("https://h/a")
    try:
        assert follow(base, one + other).scheme in {"http", "https"}
    except UrlRefused:
        pass


@given(st.text(max_size=60), st.text(alphabet="abc:/?#", max_size=10))
def test_u07_nothing_before_the_last_at_sign_of_an_authority_is_shown(user: str, between: str) -> None:
    shown = redact(f"http://zzQzz:{between}@host/")
    assert "zzQzz" not in shown
    assert not any(char in redact(user) for char in "\r\n\0\x1b\x7f\u2028")
