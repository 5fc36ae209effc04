"""TLS over a dialled address: name and certificate stay those of the URL; and HTTP/2 where the server offers it."""

from __future__ import annotations

import asyncio
import ssl

import anyio
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


async def speak_h2(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers each request with its path, over HTTP/2."""
    spoken = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    spoken.initiate_connection()
    writer.write(spoken.data_to_send())
    while data := await reader.read(65536):
        for event in spoken.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                headers = dict(event.headers or [])
                said = headers[b":authority"] + headers[b":path"]
                spoken.send_headers(event.stream_id, [(":status", "200"), ("content-length", str(len(said)))])
                spoken.send_data(event.stream_id, said, end_stream=True)
        writer.write(spoken.data_to_send())
        await writer.drain()
    writer.close()


@pytest.mark.parametrize("http2", [True, False])
def test_http2_is_spoken_where_it_is_offered_unless_it_is_switched_off(authority: Authority, http2: bool) -> None:
    context = authority.server("images.example")
    context.set_alpn_protocols(["h2"])
    names = asked_names(context)

    async def story() -> None:
        server = await asyncio.start_server(speak_h2, "127.0.0.1", 0, ssl=context)
        options = ClientOptions(tls=authority.trusting(), http2=http2)
        async with server, client(RULES, Answers(**NAMES), options) as opened:
            base = f"https://images.example:{server.sockets[0].getsockname()[1]}"
            if not http2:
                with pytest.raises(httpx.TransportError):
                    await opened.get(f"{base}/1")
                return
            answers = [await opened.get(f"{base}/{number}") for number in range(3)]
            assert [answer.text for answer in answers] == [f"{base.removeprefix('https://')}/{n}" for n in range(3)]
            assert {answer.http_version for answer in answers} == {"HTTP/2"}
            assert {peer_address(answer) for answer in answers} == {"127.0.0.1"}
            assert names == ["images.example"]

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
