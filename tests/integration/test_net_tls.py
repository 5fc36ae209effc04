"""TLS over a dialled address: name and certificate stay those of the URL; and HTTP/2 where the server offers it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
import h2.config
import h2.connection
import h2.events
import httpx
import pytest
from net_support import Answers, Authority, client, policy

from dropmill.model.outcome import Reason
from dropmill.net import ClientOptions, classify, peer_address
from web import WebServer, document

RULES = policy("127.0.0.0/8")
NAMES = {"images_example": ["127.0.0.1"], "other_example": ["127.0.0.1"]}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def asked_names(context: ssl.SSLContext) -> list[str | None]:
    """Fills with the names that clients ask for (SNI)."""
    names: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    return names


def test_u05_name_and_certificate_are_the_urls_though_an_address_is_dialled(authority: Authority) -> None:
    context = authority.server("images.example")
    names = asked_names(context)

    async def story() -> None:
        options = ClientOptions(tls=authority.trusting())
        async with client(RULES, Answers(**NAMES), options) as opened:
            response = await opened.get(web.url("/a", host="images.example"))
            assert (response.content, peer_address(response)) == (b"x", "127.0.0.1")

    with WebServer(tls=context) as web:
        web.on("/a", document(b"x"))
        anyio.run(story)
        assert names == ["images.example"]
        assert web.asked("/a")[0].headers["host"] == f"images.example:{web.port}"


@pytest.mark.parametrize(
    ("host", "trusting", "said"),
    [
        ("other.example", True, "is not valid for 'other.example'"),
        ("127.0.0.1", True, "certificate is not valid for '127.0.0.1'"),
        ("images.example", False, "unable to get local issuer certificate"),
    ],
)
def test_u19_a_certificate_that_is_not_the_hosts_is_a_tls_failure(
    authority: Authority, host: str, trusting: bool, said: str
) -> None:
    async def story() -> None:
        options = ClientOptions(tls=authority.trusting() if trusting else None)
        async with client(RULES, Answers(**NAMES), options) as opened:
            with pytest.raises(httpx.ConnectError) as caught:
                await opened.get(web.url("/a", host=host))
        failure = classify(caught.value)
        assert (failure.reason, failure.permanent) == (Reason.TLS_FAILURE, True)
        assert said in failure.detail

    with WebServer(tls=authority.server("images.example")) as web:
        anyio.run(story)
        assert web.asked() == []


def test_the_systems_own_authorities_are_trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """An authority is added where every other program looks for it, too."""
    context = authority.server("images.example")

    async def story() -> None:
        async with client(RULES, Answers(**NAMES)) as opened:
            assert (await opened.get(web.url("/a", host="images.example"))).status_code == 200

    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    with WebServer(tls=context) as web:
        web.on("/a", document(b"x"))
        anyio.run(story)


def test_u19_plain_http_where_tls_was_asked_for_is_a_tls_failure() -> None:
    async def story() -> None:
        async with client(RULES, Answers(**NAMES)) as opened:
            with pytest.raises(httpx.ConnectError) as caught:
                await opened.get(f"https://images.example:{port}/a")
        assert classify(caught.value).reason == Reason.TLS_FAILURE

    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    async def both() -> None:
        nonlocal port
        server = await asyncio.start_server(nonsense, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            await story()

    port = 0
    anyio.run(both)


# RFC 9113, section 6.7: a length other than 8 is an error of the connection.
_PING_TOO_SHORT = b"\0\0\x05\x06\0\0\0\0\0short"


class H2Server:
    """Answers each request over HTTP/2 with authority and path; ``/endless`` with as much as the client takes, ``/broken``
    with a frame that is none behind the headers, ``/status`` with a status that is none."""

    def __init__(self, context: ssl.SSLContext) -> None:
        context.set_alpn_protocols(["h2"])
        self._context = context
        self.connections = 0
        self.open = 0
        self.base = ""
        self.answered = asyncio.Event()
        """The client has the headers of its answer."""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[H2Server]:
        server = await asyncio.start_server(self._speak, "127.0.0.1", 0, ssl=self._context)
        self.base = f"https://images.example:{server.sockets[0].getsockname()[1]}"
        async with server:
            yield self

    async def _speak(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        try:
            await self._answer(reader, writer)
        except ConnectionError:
            pass  # The client has closed it, as it may.
        finally:
            self.open -= 1
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        config = h2.config.H2Configuration(client_side=False, validate_outbound_headers=False)
        spoken = h2.connection.H2Connection(config)
        spoken.initiate_connection()
        endless: set[int] = set()
        writer.write(spoken.data_to_send())
        while data := await reader.read(65536):
            for event in spoken.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    headers = dict(event.headers or [])
                    status = "none" if headers[b":path"] == b"/status" else "200"
                    spoken.send_headers(event.stream_id, [(":status", status)])
                    if headers[b":path"] == b"/broken":
                        spoken.send_data(event.stream_id, b"some")
                        writer.write(spoken.data_to_send())
                        await self.answered.wait()
                        writer.write(_PING_TOO_SHORT)
                    elif headers[b":path"] == b"/endless":
                        endless.add(event.stream_id)
                    else:
                        spoken.send_data(event.stream_id, headers[b":authority"] + headers[b":path"], end_stream=True)
                elif isinstance(event, h2.events.ConnectionTerminated):
                    return
            for stream in endless:
                while (room := min(spoken.local_flow_control_window(stream), spoken.max_outbound_frame_size)) > 0:
                    spoken.send_data(stream, bytes(room))
            writer.write(spoken.data_to_send())
            await writer.drain()


@pytest.mark.parametrize("http2", [True, False])
def test_http2_is_spoken_where_it_is_offered_unless_it_is_switched_off(authority: Authority, http2: bool) -> None:
    context = authority.server("images.example")
    names = asked_names(context)

    async def story() -> None:
        options = ClientOptions(tls=authority.trusting(), http2=http2)
        async with H2Server(context).serving() as server, client(RULES, Answers(**NAMES), options) as opened:
            if not http2:
                with pytest.raises(httpx.TransportError):
                    await opened.get(f"{server.base}/1")
                return
            answers = [await opened.get(f"{server.base}/{number}") for number in range(3)]
            authority_of = server.base.removeprefix("https://")
            assert [answer.text for answer in answers] == [f"{authority_of}/{number}" for number in range(3)]
            assert {answer.http_version for answer in answers} == {"HTTP/2"}
            assert {peer_address(answer) for answer in answers} == {"127.0.0.1"}
            assert (names, server.connections) == (["images.example"], 1)

    anyio.run(story)


@pytest.mark.parametrize("path", ["/broken", "/status"])
def test_u19_what_is_no_http2_is_a_protocol_error(authority: Authority, path: str) -> None:
    async def story() -> None:
        options = ClientOptions(tls=authority.trusting())
        server = H2Server(authority.server("images.example"))
        async with server.serving(), client(RULES, Answers(**NAMES), options) as opened:

            async def get() -> None:
                async with opened.stream("GET", f"{server.base}{path}") as answer:
                    server.answered.set()
                    await answer.aread()

            with pytest.raises(httpx.RemoteProtocolError) as caught:
                await get()
            assert classify(caught.value).reason is Reason.PROTOCOL_ERROR
            assert (await opened.get(f"{server.base}/after")).text.endswith("/after")

    anyio.run(story)


def test_u09_an_endless_http2_body_that_is_given_up_holds_back_no_other(authority: Authority) -> None:
    """Its connection goes with it; the others have their own, and are used again once their answer was read."""

    async def story() -> None:
        options = ClientOptions(tls=authority.trusting(), read_timeout_seconds=60)
        server = H2Server(authority.server("images.example"))
        async with server.serving(), client(RULES, Answers(**NAMES), options) as opened:
            for number in range(3):
                async with opened.stream("GET", f"{server.base}/endless") as endless:
                    pieces = endless.aiter_raw()
                    assert await anext(pieces)
                    assert endless.http_version == "HTTP/2"
                    # While it is being sent, another one is answered at once.
                    assert (await opened.get(f"{server.base}/{number}")).text.endswith(f"/{number}")
            assert (await opened.get(f"{server.base}/last")).text.endswith("/last")
            assert server.connections == 4
        with anyio.fail_after(60):
            while server.open:
                await anyio.lowlevel.checkpoint()

    anyio.run(story)


def test_many_requests_at_once_have_a_connection_each(authority: Authority) -> None:
    async def story() -> None:
        options = ClientOptions(tls=authority.trusting(), connections=4)
        server = H2Server(authority.server("images.example"))
        found: list[str] = []

        async def get(number: int) -> None:
            found.append((await opened.get(f"{server.base}/{number}")).text.rpartition("/")[2])

        async with server.serving(), client(RULES, Answers(**NAMES), options) as opened:
            async with anyio.create_task_group() as group:
                for number in range(40):
                    group.start_soon(get, number)
            assert sorted(found, key=int) == [str(number) for number in range(40)]
            assert server.connections == 4

    anyio.run(story)


def test_u19_a_server_that_leaves_during_the_handshake_is_no_tls_failure(authority: Authority) -> None:
    """That passes, as a restart of the server does; a certificate that is wrong does not."""

    async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.close()

    async def story() -> None:
        server = await asyncio.start_server(leave, "127.0.0.1", 0)
        async with server, client(RULES, Answers(**NAMES)) as opened:
            with pytest.raises(httpx.ConnectError) as caught:
                await opened.get(f"https://images.example:{server.sockets[0].getsockname()[1]}/")
        failure = classify(caught.value)
        assert (failure.reason, failure.permanent, failure.blames_host) == (Reason.CONNECT_FAILED, False, True)

    anyio.run(story)


async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: list[str], port: int) -> None:
    """A proxy that connects whatever it is asked for to one port of this machine."""
    asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
    far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")

    async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
        target.close()

    await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer), return_exceptions=True)


def test_u08_tls_goes_through_a_proxy_to_the_host_itself(authority: Authority) -> None:
    """The proxy is told host and port and its own login, and sees nothing else of the request."""
    context = authority.server("images.example")
    names = asked_names(context)

    async def story() -> None:
        asked: list[str] = []
        server = await asyncio.start_server(lambda r, w: tunnel(r, w, asked, web.port), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        options = ClientOptions(tls=authority.trusting(), proxy=f"http://user:pass@127.0.0.1:{port}")
        async with server, client(RULES, Answers(), options) as opened:
            for _ in range(2):
                response = await opened.get("https://images.example:8443/a", headers={"Authorization": "Basic x"})
                assert (response.content, peer_address(response)) == (b"x", "127.0.0.1")
            with pytest.raises(httpx.ConnectError) as caught:
                await opened.get("https://other.example:8443/a")
            assert classify(caught.value).reason == Reason.TLS_FAILURE
        assert [one.partition(" HTTP/")[0] for one in asked] == [
            "CONNECT images.example:8443",
            "CONNECT other.example:8443",
        ]
        assert "Proxy-Authorization: Basic dXNlcjpwYXNz" in asked[0] and "Basic x" not in asked[0]

    with WebServer(tls=context) as web:
        web.on("/a", document(b"x"))
        anyio.run(story)
        assert names == ["images.example", "other.example"]
        assert {request.headers.get("proxy-authorization") for request in web.asked("/a")} == {None}
