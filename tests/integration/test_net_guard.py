"""The guarded client against real sockets: what is forbidden is not merely refused, nobody connects to it."""

from __future__ import annotations

import anyio
import httpx
import pytest
from net_support import CLOCK, Answers, client, policy

from dropmill.model.netpolicy import Policy
from dropmill.model.outcome import Reason
from dropmill.model.url import UrlRefused, parse_url
from dropmill.net import ClientOptions, ResolveFailed, SystemResolver, open_client, peer_address
from dropmill.net.guard import GuardedBackend
from web import WebServer, answer, document

SPELLINGS = [
    *(
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "0",
        "①②⑦.⓪.⓪.①",
        "１２７.０.０.１",
        "127.0.0.1.",
    ),
    *("[::1]", "[::ffff:127.0.0.1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[::ffff:0:127.0.0.1]"),
    *("[2001:0:4136:e378:8000:63bf:80ff:fffe]", "[2a00:1450::200:5efe:127.0.0.1]", "localhost", "LOCALHOST."),
]


async def refused(opened: httpx.AsyncClient, url: str) -> Reason:
    with pytest.raises(UrlRefused) as caught:
        await opened.get(parse_url(url).canonical)
    return caught.value.reason


def test_u01_u02_nothing_connects_to_loopback_in_any_spelling_by_default() -> None:
    async def story(web: WebServer) -> None:
        resolver = SystemResolver({}, CLOCK)
        rules = Policy(ports=((1, 65535),))
        async with open_client(rules, resolver, CLOCK) as opened:
            for host in SPELLINGS:
                assert await refused(opened, f"http://{host}:{web.port}/a.jpg") == Reason.BLOCKED_ADDRESS, host
        resolver.close()

    # Bound to all addresses of the machine: whatever reached it by any way would be counted.
    with WebServer(address="::") as web, WebServer(address="127.0.0.1", port=0) as four:
        anyio.run(story, web)
        anyio.run(story, four)
        assert (web.connections, four.connections) == (0, 0)


def test_the_same_spellings_reach_loopback_where_it_is_allowed() -> None:
    """What shows that the test above would have seen a connection."""

    async def story() -> None:
        async with client(policy("127.0.0.0/8", "0.0.0.0/8")) as opened:
            for host in ("127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0", "①②⑦.⓪.⓪.①"):
                response = await opened.get(parse_url(f"http://{host}:{web.port}/a").canonical)
                assert response.status_code == 200

    with WebServer() as web:
        web.on("/a", document(b"x"))
        anyio.run(story)
        assert len(web.asked("/a")) == 7


@pytest.mark.parametrize(
    "answers",
    [
        ["8.8.8.8", "127.0.0.1"],
        ["127.0.0.1", "8.8.8.8"],
        ["127.0.0.1"],
        ["::ffff:127.0.0.1"],
        ["64:ff9b::7f00:1", "8.8.8.8"],
    ],
)
def test_u05_an_answer_with_loopback_in_it_is_blocked_as_a_whole(answers: list[str]) -> None:
    async def story() -> None:
        resolver = Answers(rebind_example=answers)
        async with client(policy(), resolver) as opened:
            assert await refused(opened, f"http://rebind.example:{web.port}/") == Reason.BLOCKED_ADDRESS
        assert resolver.asked == ["rebind.example"]

    with WebServer() as web:
        anyio.run(story)
        assert web.connections == 0


def test_u05_only_the_address_that_was_checked_is_dialled() -> None:
    """The name says the allowed address once, and another one whenever it is asked again: asked again is not."""

    async def story() -> None:
        resolver = Answers(rebind_example=[["127.0.0.2"], ["127.0.0.1"]])
        async with client(policy("127.0.0.2/32"), resolver) as opened:
            url = f"http://rebind.example:{allowed.port}/a"
            response = await opened.get(url, headers={"Connection": "close"})
            assert (response.text, peer_address(response)) == ("right", "127.0.0.2")
            assert resolver.asked == ["rebind.example"]
            assert await refused(opened, url) == Reason.BLOCKED_ADDRESS

    with WebServer(address="127.0.0.2") as allowed, WebServer(port=allowed.port) as forbidden:
        allowed.on("/a", answer(b"right"))
        forbidden.on("/a", answer(b"wrong"))
        anyio.run(story)
        assert (allowed.connections, forbidden.connections) == (1, 0)
        assert allowed.asked("/a")[0].headers["host"] == f"rebind.example:{allowed.port}"


def test_addresses_are_tried_in_turn_and_the_one_that_answered_is_told() -> None:
    async def story() -> None:
        resolver = Answers(two_example=["127.0.0.3", "::1", "127.0.0.2"])
        async with client(policy("127.0.0.0/8", "::1"), resolver) as opened:
            response = await opened.get(f"http://two.example:{web.port}/a")
            assert (response.status_code, peer_address(response)) == (200, "127.0.0.2")

    with WebServer(address="127.0.0.2") as web:
        web.on("/a", document(b"x"))
        anyio.run(story)


def test_what_answers_at_no_address_is_a_failed_connection() -> None:
    async def story() -> None:
        async with client(policy("127.0.0.0/8"), Answers(two_example=["127.0.0.3", "127.0.0.4"])) as opened:
            with pytest.raises(httpx.ConnectError):
                await opened.get(f"http://two.example:{web.port}/a")
            with pytest.raises(ResolveFailed):
                await opened.get("http://none.example/")

    with WebServer(address="127.0.0.2") as web:
        anyio.run(story)


def test_a_connection_that_is_kept_serves_no_request_that_is_not_allowed() -> None:
    """The policy is asked for each request, not only for each connection."""

    async def story() -> None:
        rules = policy("127.0.0.0/8", deny_hosts=("b.example",))
        async with client(rules, Answers(a_example=["127.0.0.1"], b_example=["127.0.0.1"])) as opened:
            for _ in range(2):
                assert (await opened.get(f"http://a.example:{web.port}/a")).status_code == 200
                assert await refused(opened, f"http://b.example:{web.port}/a") == Reason.BLOCKED_HOST

    with WebServer() as web:
        web.on("/a", document(b"x"))
        anyio.run(story)
        assert (web.connections, len(web.asked("/a"))) == (1, 2)


@pytest.mark.parametrize("port", [22, 25, 6379])
def test_u08_other_ports_are_refused_before_anything_is_looked_up(port: int) -> None:
    async def story() -> None:
        resolver = Answers(a_example=["8.8.8.8"])
        async with client(Policy(), resolver) as opened:
            assert await refused(opened, f"http://a.example:{port}/") == Reason.BLOCKED_PORT
        assert resolver.asked == []

    anyio.run(story)


@pytest.mark.parametrize("url", ["http://a.example/\r\nX: y", "http://a.example/\0", "http://a.ex\nample/"])
def test_u08_controls_in_a_url_reach_nobody(url: str) -> None:
    async def story() -> None:
        resolver = Answers(a_example=["127.0.0.1"])
        async with client(policy("127.0.0.0/8"), resolver) as opened:
            with pytest.raises((UrlRefused, httpx.InvalidURL)):
                await opened.get(url)
        assert resolver.asked == []

    anyio.run(story)


def test_u08_the_environment_names_no_proxy_and_no_login(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with client(policy("127.0.0.0/8"), Answers(a_example=["127.0.0.1"])) as opened:
            assert (await opened.get(f"http://a.example:{web.port}/a")).status_code == 200

    (tmp_path / ".netrc").write_text("machine a.example login u password p\ndefault login u password p\n")
    (tmp_path / ".netrc").chmod(0o600)
    with WebServer() as web, WebServer() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.origin)
        monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
        monkeypatch.setenv("HOME", str(tmp_path))
        web.on("/a", document(b"x"))
        anyio.run(story)
        assert proxy.connections == 0
        assert "authorization" not in web.asked("/a")[0].headers


def test_u08_a_configured_proxy_is_all_that_is_dialled() -> None:
    async def story() -> None:
        options = ClientOptions(proxy=f"http://us%65r:pass@proxy.example:{proxy.port}")
        resolver = Answers(proxy_example=["127.0.0.1"])
        async with client(Policy(), resolver, options) as opened:
            response = await opened.get("http://images.example/a")
            assert (response.text, peer_address(response)) == ("by proxy", "127.0.0.1")
            assert await refused(opened, "http://images.example:22/") == Reason.BLOCKED_PORT
            assert await refused(opened, f"http://127.0.0.1:{proxy.port}/") == Reason.BLOCKED_PORT
            assert await refused(opened, "http://169.254.169.254/") == Reason.BLOCKED_ADDRESS
        assert resolver.asked == ["proxy.example"]

    with WebServer() as proxy:
        proxy.on("http://images.example/a", answer(b"by proxy"))
        anyio.run(story)
        (request,) = proxy.asked()
        assert (proxy.connections, request.target) == (1, "http://images.example/a")
        assert request.headers["proxy-authorization"] == "Basic dXNlcjpwYXNz"
        assert "authorization" not in request.headers


def test_the_client_says_who_it_is_and_keeps_no_cookies() -> None:
    async def story() -> None:
        async with client(policy("127.0.0.0/8")) as opened:
            for _ in range(2):
                assert (await opened.get(web.url("/a"))).status_code == 302
            assert not list(opened.cookies.jar)

    with WebServer() as web:
        web.on("/a", answer(status=302, headers={"Set-Cookie": "a=b; Path=/", "Location": "/b"}))
        anyio.run(story)
        assert [request.path for request in web.asked()] == ["/a", "/a"]
        for request in web.asked():
            assert request.headers["user-agent"].startswith("dropmill/")
            assert request.headers["accept-encoding"] == "identity"
            assert "cookie" not in request.headers


def test_sockets_of_the_machine_are_not_reached() -> None:
    async def story() -> None:
        backend = GuardedBackend(policy("0.0.0.0/0"), Answers(), CLOCK)
        with pytest.raises(UrlRefused):
            await backend.connect_unix_socket("/run/docker.sock")

    anyio.run(story)


def test_the_backend_asks_the_policy_by_itself() -> None:
    """It is what every connection goes through, so it does not rest on the transport having asked."""

    async def story() -> None:
        backend = GuardedBackend(Policy(), Answers(a_example=["127.0.0.1"]), CLOCK)
        for host, port, reason in (
            ("a.example", 80, Reason.BLOCKED_ADDRESS),
            ("127.0.0.1", 80, Reason.BLOCKED_ADDRESS),
            ("a.example", 22, Reason.BLOCKED_PORT),
        ):
            with pytest.raises(UrlRefused) as caught:
                await backend.connect_tcp(host, port, 5.0)
            assert caught.value.reason == reason

    anyio.run(story)


def test_u03_metadata_is_not_reached_where_its_network_is_allowed() -> None:
    async def story() -> None:
        async with client(policy("169.254.0.0/16", "fd00::/8"), Answers(a_example=["169.254.169.254"])) as opened:
            assert await refused(opened, "http://169.254.169.254/latest/") == Reason.BLOCKED_ADDRESS
            assert await refused(opened, "http://[fd00:ec2::254]/") == Reason.BLOCKED_ADDRESS
            assert await refused(opened, "http://a.example/") == Reason.BLOCKED_ADDRESS

    anyio.run(story)
