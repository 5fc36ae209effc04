"""Redirects hop by hop: each is judged again, and what belongs to one origin never reaches another."""

from __future__ import annotations

import base64
import stat

import anyio
import httpx
import pytest
from net_support import Answers, client, policy

from dropmill.errors import ConfigurationError
from dropmill.model.netpolicy import Policy
from dropmill.model.outcome import Reason
from dropmill.model.url import Url, UrlRefused, parse_url
from dropmill.net import Belongings, Hops, is_redirect, next_hop, read_netrc
from dropmill.net.redirects import LOCATION
from web import WebServer, document, redirect

HERE = {"a_example": ["127.0.0.1"], "b_example": ["127.0.0.1"]}


async def fetched(
    opened: httpx.AsyncClient, rules: Policy, text: str, belongings: Belongings | None = None, most: int = 5
) -> tuple[httpx.Response, Hops]:
    """What a download does: one request a hop, each with what belongs to it."""
    hops = Hops(parse_url(text), rules, max_redirects=most)
    sent = belongings or Belongings({}, {})
    while True:
        response = await opened.get(hops.url.canonical, headers=sent.headers(hops.first, hops.url))
        if not is_redirect(response):
            return response, hops
        hops.next(response)


def stopped(text: str, rules: Policy | None = None, most: int = 5) -> tuple[Reason, str]:
    """Fetch what is refused on the way; the reason and what was said."""
    rules = rules or policy("127.0.0.1/32")

    async def story() -> UrlRefused:
        async with client(rules, Answers(**HERE)) as opened:
            with pytest.raises(UrlRefused) as caught:
                await fetched(opened, rules, text, most=most)
        return caught.value

    error = anyio.run(story)
    return error.reason, error.detail


@pytest.mark.parametrize(
    "host", ["127.0.0.2", "127.2", "0x7f000002", "[::1]", "[::ffff:127.0.0.2]", "127.0.0.2.", "①②⑦.②"]
)
def test_u06_a_redirect_to_a_forbidden_address_is_stopped_without_a_connection(host: str) -> None:
    with WebServer() as web, WebServer(address="127.0.0.2") as forbidden, WebServer(address="::1") as six:
        port = six.port if host == "[::1]" else forbidden.port
        location = f"http://{host}:{port}/secret".encode().decode("latin-1")
        web.on("/go", redirect(location))
        assert stopped(web.url("/go"))[0] == Reason.BLOCKED_ADDRESS
        assert (forbidden.connections, six.connections, len(web.asked("/go"))) == (0, 0, 1)


def test_u06_a_name_that_leads_to_a_forbidden_address_is_stopped_at_its_hop() -> None:
    rules = policy("127.0.0.1/32")

    async def story() -> None:
        resolver = Answers(a_example=["127.0.0.1"], inside_example=["8.8.8.8", "127.0.0.2"])
        async with client(rules, resolver) as opened:
            with pytest.raises(UrlRefused) as caught:
                await fetched(opened, rules, web.url("/go", host="a.example"))
            assert caught.value.reason == Reason.BLOCKED_ADDRESS

    with WebServer() as web, WebServer(address="127.0.0.2") as forbidden:
        web.on("/go", redirect(f"http://inside.example:{forbidden.port}/"))
        anyio.run(story)
        assert forbidden.connections == 0


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("file:///etc/passwd", Reason.BLOCKED_SCHEME),
        ("ftp://127.0.0.1/x", Reason.BLOCKED_SCHEME),
        ("gopher://127.0.0.1:6379/_FLUSHALL", Reason.BLOCKED_SCHEME),
        ("data:image/png;base64,AAAA", Reason.BLOCKED_SCHEME),
        ("http://127.0.0.1:22/", Reason.BLOCKED_PORT),
        ("http://secret.internal.example/", Reason.BLOCKED_HOST),
        ("http://[half", Reason.BAD_URL),
        ("http://a\\@b/", Reason.BAD_URL),
        ("http://h/\x01", Reason.BAD_URL),
        ("//[::1]:port/", Reason.BAD_URL),
        ("https://127.0.0.1:99999/", Reason.BAD_URL),
    ],
)
def test_u06_a_redirect_to_what_is_not_fetched_is_stopped(location: str, reason: Reason) -> None:
    with WebServer() as web:
        rules = policy("127.0.0.1/32", ports=((web.port, web.port), (80, 80)), deny_hosts=("internal.example",))
        web.on("/go", redirect(location))
        assert stopped(web.url("/go"), rules)[0] == reason


def test_u06_redirects_that_run_in_a_circle_are_stopped() -> None:
    with WebServer() as web:
        web.on("/a", redirect("/b"))
        web.on("/b", redirect("/a#again"))
        reason, detail = stopped(web.url("/a"))
        assert (reason, "circle" in detail) == (Reason.TOO_MANY_REDIRECTS, True)
        assert len(web.asked()) == 2
        web.on("/self", redirect(""))
        web.on("/same", redirect("/./same"))
        assert stopped(web.url("/same"))[0] == Reason.TOO_MANY_REDIRECTS
        assert stopped(web.url("/self"))[0] == Reason.BAD_URL


@pytest.mark.parametrize(("most", "asked"), [(5, 6), (1, 2), (0, 1)])
def test_u06_no_more_hops_than_allowed_are_taken(most: int, asked: int) -> None:
    with WebServer() as web:
        for step in range(20):
            web.on(f"/{step}", redirect(f"/{step + 1}"))
        assert stopped(web.url("/0"), most=most)[0] == Reason.TOO_MANY_REDIRECTS
        assert len(web.asked()) == asked


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_u06_as_many_hops_as_allowed_are_taken_and_told(status: int) -> None:
    rules = policy("127.0.0.1/32")

    async def story() -> None:
        async with client(rules) as opened:
            response, hops = await fetched(opened, rules, web.url("/0#part"))
        assert response.content == b"end"
        assert hops.chain == tuple(web.url(f"/{step}") for step in range(5))
        assert hops.url.canonical == web.url("/5")

    with WebServer() as web:
        for step in range(5):
            web.on(f"/{step}", redirect(f"/{step + 1}", status))
        web.on("/5", document(b"end"))
        anyio.run(story)


def test_u07_credentials_and_headers_never_cross_origins() -> None:
    """There and back again: the origin of the line gets them each time, the other one in between gets none."""
    rules = policy("127.0.0.1/32")
    belongings = Belongings({"X-Api-Key": "k", "Authorization": "Bearer t"}, {"b.example": ("other", "login")})

    async def story() -> None:
        async with client(rules, Answers(**HERE)) as opened:
            text = first.url("/start", host="us%65r:p%40ss@a.example")
            response, hops = await fetched(opened, rules, text, belongings)
            assert response.content == b"end"
            assert not any("p%40ss" in url or "p@ss" in url for url in (*hops.chain, hops.url.canonical))

    with WebServer() as first, WebServer() as other:
        first.on("/start", redirect(other.url("/away", host="b.example")))
        other.on("/away", redirect(first.url("/back", host="evil:creds@a.example")))
        first.on("/back", redirect(first.url("/here", host="b.example")))
        first.on("/here", document(b"end"))
        anyio.run(story)
        login = "Basic " + base64.b64encode(b"user:p@ss").decode()
        for path in ("/start", "/back"):
            (request,) = first.asked(path)
            assert (request.headers["authorization"], request.headers["x-api-key"]) == (login, "k")
        for request in (*other.asked("/away"), *first.asked("/here")):
            assert not {"authorization", "x-api-key"} & set(request.headers)


@pytest.mark.parametrize(
    "hop", ["http://h.example/", "https://h.example:8443/", "https://x.h.example/", "https://h.example.net/"]
)
def test_u07_another_scheme_port_or_host_is_another_origin(hop: str) -> None:
    first = parse_url("https://u:p@h.example/")
    belongings = Belongings({"X-Key": "k"}, {"h.example": ("n", "n"), "x.h.example": ("n", "n")})
    assert belongings.headers(first, parse_url(hop)) == {}
    assert set(belongings.headers(first, parse_url("https://H.example:443/other"))) == {"X-Key", "Authorization"}


def test_u07_a_redirect_from_https_to_http_is_followed_with_nothing_sent_along() -> None:
    first = parse_url("https://u:p@h.example/")
    response = httpx.Response(302, extensions={LOCATION: "http://h.example/plain"})
    hop: Url = next_hop(Policy(), first, response)
    assert (hop.scheme, Belongings({"X": "k"}, {}).headers(first, hop)) == ("http", {})


def test_u07_what_a_url_says_goes_before_netrc_and_netrc_before_headers() -> None:
    belongings = Belongings({"authorization": "Bearer t"}, {"h.example": ("net", "rc")})
    plain, named = parse_url("http://h.example/"), parse_url("http://u:p@h.example/")
    other = parse_url("http://other.example/")

    def login(user: str) -> dict[str, str]:
        return {"Authorization": "Basic " + base64.b64encode(user.encode()).decode()}

    assert belongings.headers(plain, plain) == login("net:rc")
    assert belongings.headers(named, named) == login("u:p")
    assert belongings.headers(other, other) == {"authorization": "Bearer t"}


def test_u07_netrc_is_read_by_host_and_its_default_is_for_nobody(tmp_path) -> None:
    path = tmp_path / "netrc"
    path.write_text(
        "machine H.example login me password secret\nmachine k.example login you\ndefault login x password y\n"
    )
    path.chmod(stat.S_IRUSR)
    assert read_netrc(str(path)) == {"h.example": ("me", "secret"), "k.example": ("you", "")}
    assert read_netrc("") == {}


@pytest.mark.parametrize(
    "text", ["machine h login u passwd sesame", "sesame", "machine h login u password sesame x", None]
)
def test_u07_a_netrc_file_that_cannot_be_read_is_told_without_its_secrets(tmp_path, text: str | None) -> None:
    path = tmp_path / "netrc"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        read_netrc(str(path))
    assert "sesame" not in str(caught.value) and str(path) in str(caught.value)
