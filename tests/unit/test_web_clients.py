"""Who a client is, how often it may ask, and what is remembered of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given as generated
from hypothesis import strategies as st

from dropmill.errors import ConfigurationError
from dropmill.settings import Http
from dropmill.web.access import Access
from dropmill.web.audit import given
from dropmill.web.clients import Client, Clients
from dropmill.web.limits import (
    BURST_SECONDS,
    FAILURES_AT_ONCE,
    FORGET_FAILURES_SECONDS,
    FREE_FAILURES,
    LONGEST_PAUSE_SECONDS,
    TELL_SECONDS,
    Attempts,
    Crowd,
    Rates,
    pause_seconds,
)
from dropmill.web.sessions import SESSION_SECONDS, Sessions


def client(peer: str | None, *forwarded: str, trusted: tuple[str, ...] = (), proto: str = "") -> Client:
    headers = [(b"x-forwarded-for", text.encode()) for text in forwarded]
    headers += [(b"x-forwarded-proto", proto.encode())] if proto else []
    return Clients(trusted).of({"type": "http", "client": peer and (peer, 1), "headers": headers})


@pytest.mark.parametrize(
    ("peer", "forwarded", "trusted", "found"),
    [
        ("192.0.2.7", (), (), "192.0.2.7"),
        ("192.0.2.7", ("198.51.100.1",), (), "192.0.2.7"),
        ("10.0.0.1", ("198.51.100.1",), ("10.0.0.0/8",), "198.51.100.1"),
        # What the client itself claims stands before what the proxy has seen.
        ("10.0.0.1", ("127.0.0.1, 198.51.100.1",), ("10.0.0.0/8",), "198.51.100.1"),
        ("10.0.0.1", ("127.0.0.1", "198.51.100.1"), ("10.0.0.0/8",), "198.51.100.1"),
        ("10.0.0.1", ("198.51.100.1, 10.0.0.2",), ("10.0.0.0/8",), "198.51.100.1"),
        ("10.0.0.1", ("198.51.100.1, nonsense, 10.0.0.2",), ("10.0.0.0/8",), "10.0.0.2"),
        ("10.0.0.1", ("nonsense",), ("10.0.0.0/8",), "10.0.0.1"),
        ("10.0.0.1", (), ("10.0.0.0/8",), "10.0.0.1"),
        ("10.0.0.1", ("[2001:db8::1]:443",), ("10.0.0.0/8",), "2001:db8::1"),
        ("10.0.0.1", ("198.51.100.1:4711",), ("10.0.0.0/8",), "198.51.100.1"),
        ("::ffff:10.0.0.1", ("198.51.100.1",), ("10.0.0.0/8",), "198.51.100.1"),
        ("unix uid=33 pid=9", ("198.51.100.1",), ("unix",), "198.51.100.1"),
        ("unix uid=33 pid=9", (), (), "unix uid=33 pid=9"),
        ("127.0.0.1", ("198.51.100.1",), ("unix",), "127.0.0.1"),
    ],
)
def test_s06_forwarded_addresses_are_read_from_the_right_and_only_of_proxies_that_are_named(
    peer: str, forwarded: tuple[str, ...], trusted: tuple[str, ...], found: str
) -> None:
    assert client(peer, *forwarded, trusted=trusted).name == found


def test_only_this_machine_itself_is_local_and_strangers_share_no_limit_with_it() -> None:
    assert client("127.0.0.1").local and client("::1").local and client("unix uid=0 pid=1").local
    assert client("127.0.0.1", trusted=("127.0.0.1",)).local
    behind = client("127.0.0.1", "198.51.100.1", trusted=("127.0.0.1",))
    assert not behind.local and not behind.unnamed_proxy and behind.key == "198.51.100.1"
    claimed = client("127.0.0.1", "127.0.0.1", trusted=())
    assert claimed.unnamed_proxy and not claimed.local and claimed.key != client("127.0.0.1").key
    assert client("unix uid=1 pid=2").key == client("unix uid=1 pid=4").key != client("unix uid=3 pid=4").key


def test_ipv6_clients_are_counted_by_their_network() -> None:
    assert client("2001:db8:1:2::3").key == client("2001:db8:1:2:ffff::").key == "2001:db8:1:2::/64"
    assert client("2001:db8:1:3::3").key != client("2001:db8:1:2::3").key
    assert client("::ffff:192.0.2.7").key == client("192.0.2.7").key
    assert client("fe80::1%eth0").key == "fe80::/64"


def test_https_is_believed_of_named_proxies_alone() -> None:
    assert client("10.0.0.1", trusted=("10.0.0.1",), proto="https").https
    assert not client("10.0.0.1", trusted=("10.0.0.1",), proto="http").https
    assert not client("10.0.0.1", proto="https").https


def test_connections_of_proxies_and_of_this_machine_are_not_counted_as_one_client() -> None:
    clients = Clients(("10.0.0.0/8", "unix"))
    assert [clients.counted(peer) for peer in ("10.1.2.3", "127.0.0.1", "unix uid=1 pid=1")] == ["", "", ""]
    assert clients.counted("192.0.2.7") == "192.0.2.7" and clients.counted("2001:db8::9") == "2001:db8::/64"


@generated(st.text(max_size=60), st.text(max_size=60))
def test_s06_whatever_a_header_says_a_client_has_a_name(peer: str, forwarded: str) -> None:
    headers = [(b"x-forwarded-for", forwarded.encode("utf-8", "replace"))]
    found = Clients(("10.0.0.0/8", "unix")).of({"type": "http", "client": (peer, 1), "headers": headers})
    assert isinstance(found.name, str) and isinstance(found.key, str)


def test_s08_a_client_may_ask_in_bursts_and_then_at_its_rate() -> None:
    rates = Rates(2.0)
    assert [rates.wait("a", 0.0) for _ in range(int(2 * BURST_SECONDS))] == [0.0] * 20
    assert rates.wait("a", 0.0) == 0.5
    assert rates.wait("b", 0.0) == 0.0
    assert rates.wait("a", 0.5) == 0.0
    assert rates.wait("a", 0.75) == 0.25
    assert [rates.wait("a", 1000.0) for _ in range(21)] == [0.0] * 20 + [0.5]
    assert all(Rates(0).wait("a", 0.0) == 0.0 for _ in range(1000))


def test_s08_what_is_remembered_of_clients_is_bounded() -> None:
    rates, attempts = Rates(1.0, most=10), Attempts(0.0, most=10)
    for number in range(1000):
        rates.wait(str(number), 0.0)
        assert rates.is_news(str(number), 0.0)
        attempts.failed(str(number), 0.0)
    assert len(rates) == len(attempts) == 10


def test_s08_of_one_hasty_client_is_told_once_in_a_while() -> None:
    rates = Rates(1.0)
    assert [rates.is_news("a", now) for now in (0.0, 1.0, TELL_SECONDS - 1, TELL_SECONDS)] == [True, False, False, True]
    assert rates.is_news("b", 1.0)


def test_s06_the_pauses_after_wrong_tokens_double_up_to_a_minute() -> None:
    pauses = [pause_seconds(count) for count in range(FREE_FAILURES - 1, 2000)]
    assert pauses[:6] == [0, 1, 2, 4, 8, 16] and pauses[-1] == LONGEST_PAUSE_SECONDS


def test_s06_who_guesses_waits_and_nobody_else_does() -> None:
    attempts = Attempts(0.0)
    for _ in range(FREE_FAILURES):
        assert attempts.wait("a", 0.0) == 0.0
        attempts.failed("a", 0.0)
    assert attempts.wait("a", 0.0) == 1.0 and attempts.wait("b", 0.0) == 0.0
    assert attempts.wait("a", 1.0) == 0.0
    attempts.failed("a", 1.0)
    assert attempts.wait("a", 1.0) == 2.0
    assert attempts.wait("a", 1.0 + FORGET_FAILURES_SECONDS) == 0.0


def test_s06_many_addresses_guess_no_faster_than_a_few_and_newcomers_still_come_in() -> None:
    attempts = Attempts(0.0)
    for number in range(int(FAILURES_AT_ONCE)):
        attempts.failed(str(number), 0.0)
    assert attempts.wait("7", 0.0) > 0 and attempts.wait("newcomer", 0.0) == 0.0
    assert attempts.wait("7", 10.0) == 0.0


def test_s08_so_many_requests_of_one_client_are_answered_at_a_time() -> None:
    crowd = Crowd(2)
    assert [crowd.enter("a"), crowd.enter("a"), crowd.enter("a"), crowd.enter("b")] == [True, True, False, True]
    crowd.leave("a")
    assert crowd.enter("a") and not crowd.enter("a")


def test_s06_a_session_is_good_for_its_time_and_its_token() -> None:
    sessions, now = Sessions("token"), 1_700_000_000_000
    cookie = sessions.begin(now)
    number = sessions.known(cookie, now)
    assert number and number != sessions.known(sessions.begin(now), now) and "token" not in cookie
    assert sessions.known(cookie, now + SESSION_SECONDS * 1000 - 1)
    assert not sessions.known(cookie, now + SESSION_SECONDS * 1000)
    assert not Sessions("another").known(cookie, now) and Sessions("token").known(cookie, now) == number
    until = cookie.split(".")[1]
    for forged in (
        cookie.replace(until, str(int(until) + 1)),
        cookie[:-1] + "x",
        f"{number}.{until}.",
        number,
        "",
        "\udcff",
    ):
        assert not sessions.known(forged, now), forged
    sessions.end(number)
    assert not sessions.known(cookie, now)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"inbox": "camera", "priority": 5, "dry_run": True}, {"inbox": "camera", "priority": 5, "dry_run": True}),
        ({"paths": ["/a", "/b"]}, {"paths": ["/a", "/b"]}),
        ({"paths": list("abcdef")}, {"paths": {"count": 6, "first": ["a", "b", "c"]}}),
        (
            {"urls": [{"url": "https://ann:pw@example.com/a.jpg?X-Signature=s3cr3t"}]},
            {"urls": [{"url": "https://***@example.com/a.jpg"}]},
        ),
        ({"api_token": "s3cr3t", "x": {"Password": "s3cr3t"}}, {"api_token": "***", "x": {"Password": "***"}}),
        ({"name": "x" * 5000 + "\n"}, {"name": "x" * 200}),
        ([1, 2, 3, 4], {"body": {"count": 4, "first": [1, 2, 3]}}),
    ],
)
def test_s06_an_audit_tells_what_was_asked_without_secrets_and_shortly(body: Any, told: Any) -> None:
    assert given("/api/v1/x", {"content-type": "application/json"}, json.dumps(body).encode()) == told


def test_an_audit_of_what_is_no_json_or_long_tells_the_size_and_of_a_login_nothing() -> None:
    assert given("/api/v1/x", {}, b"\xff\xfe") == {"size_bytes": 2}
    assert given("/api/v1/x", {}, b"[" * 60_000) == {"size_bytes": 60_000}
    assert given("/api/v1/x", {}, b" " * 100_000) == {"size_bytes": 100_000}
    assert given("/login", {"content-type": "application/x-www-form-urlencoded"}, b"token=s3cr3t") == {}
    assert given("/act/pause", {"content-type": "application/x-www-form-urlencoded"}, b"inbox=a&job=3") == {
        "inbox": "a",
        "job": "3",
    }
    deep: Any = {"a": 1}
    for _ in range(50):
        deep = {"a": deep}
    assert len(json.dumps(given("/api/v1/x", {}, json.dumps(deep).encode()))) < 100


@pytest.mark.parametrize("text", ["", "\n", "  \nlater lines do not count\n", "\xe4" * 20, "x" * 2000, "a\x07b"])
def test_s06_a_token_that_is_empty_or_cannot_be_sent_is_refused_and_not_quoted(tmp_path: Path, text: str) -> None:
    (tmp_path / "token").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        Http(token_file=str(tmp_path / "token")).read_token()
    assert caught.value.hint and (not text.strip() or text.strip() not in str(caught.value))


@pytest.mark.parametrize(
    ("text", "mode", "doubt"),
    [
        ("0123456789abcdef0123\r\nmore\n", 0o640, None),
        ("0123456789abcdef0123", 0o644, "everybody on this machine may read its file"),
        ("1234", 0o600, "it is short enough to be guessed"),
    ],
)
def test_s06_a_token_that_others_can_read_or_guess_is_told_of(
    tmp_path: Path, text: str, mode: int, doubt: str | None
) -> None:
    path = tmp_path / "token"
    path.write_text(text)
    path.chmod(mode)
    access = Access.of(Http(token_file=str(path)))
    assert access.token == text.splitlines()[0]
    assert (access.doubt[0] if access.doubt else None) == doubt


@pytest.mark.parametrize(
    "values",
    [
        {"trusted_proxies": ["proxy.example"]},
        {"trusted_proxies": ["0.0.0.0/0"]},
        {"trusted_proxies": ["::/0"]},
        {"trusted_proxies": ["10.0.0.1/8"]},
        {"allowed_origins": ["*"]},
        {"allowed_origins": ["null"]},
        {"allowed_origins": ["https://app.example.com/"]},
        {"allowed_origins": ["app.example.com"]},
        {"allowed_origins": ["https://App.example.com"]},
        {"requests_per_second": -1},
    ],
)
def test_settings_that_would_open_more_than_they_say_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        Http(**values)
