"""How downloads end: statuses and broken connections (U19), redirects, conditions, what is verified, what is sent along."""

from __future__ import annotations

import base64
import hashlib
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from download_help import Rig, asked_for, jpeg
from dropmill.model.download import Failed, Fetched, FetchResult, NotModified
from parts import need_root
from web import (
    Gate,
    Handler,
    WebServer,
    answer,
    document,
    drop,
    gzipped,
    hang,
    in_turn,
    nonsense,
    redirect,
)

DATA = jpeg(100_000)


def failure(result: FetchResult) -> Failed:
    assert isinstance(result, Failed), result
    return result


def told(result: FetchResult) -> tuple[str, bool, bool]:
    """Reason, permanent, blames the host."""
    failed = failure(result)
    return failed.reason, failed.permanent, failed.blames_host


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (204, ("http-error", True, False)),
        (304, ("http-error", True, False)),
        (400, ("http-400", True, False)),
        (401, ("http-401", True, False)),
        (403, ("http-403", True, False)),
        (404, ("http-404", True, False)),
        (408, ("http-408", False, False)),
        (410, ("http-410", True, False)),
        (418, ("http-error", True, False)),
        (429, ("http-429", False, True)),
        (451, ("http-451", True, False)),
        (500, ("http-500", False, False)),
        (502, ("http-502", False, True)),
        (503, ("http-503", False, True)),
        (504, ("http-504", False, True)),
    ],
)
def test_u19_statuses_are_told_apart(tmp_path: Path, status: int, expected: tuple[str, bool, bool]) -> None:
    with WebServer() as web:
        rig = Rig(tmp_path / "d")
        result = failure(rig.get(web.on("/a.jpg", answer(b"Sorry", status=status))))
        assert told(result) == expected
        assert result.provenance is not None
        assert (result.provenance.status, result.provenance.address) == (status, "127.0.0.1")
        assert rig.files() == []


def test_u19_broken_connections_are_told_apart(tmp_path: Path) -> None:
    handlers: dict[str, tuple[Handler, tuple[str, bool, bool]]] = {
        "reset before an answer": (drop(), ("connection-lost", False, True)),
        "closed before an answer": (drop(reset=False), ("connection-lost", False, True)),
        "no HTTP": (nonsense(b"HELLO\r\n\r\n"), ("protocol-error", False, True)),
        "reset within": (document(DATA, cut_after_bytes=500), ("connection-lost", False, False)),
        "closed within": (document(DATA, cut_after_bytes=500, reset=False), ("connection-lost", False, False)),
    }
    with WebServer() as web:
        rig = Rig(tmp_path / "d")
        for number, (name, (handler, expected)) in enumerate(handlers.items()):
            assert told(rig.get(web.on(f"/{number}", handler))) == expected, name
        silent = Rig(tmp_path / "d", read_timeout_seconds=0.5).get(web.on("/silent", hang()))
        assert told(silent) == ("download-timeout", False, True)
        gone = web.url("/a.jpg")
    assert told(rig.get(gone)) == ("connect-failed", False, True)
    assert told(rig.get("https://127.0.0.1:1/")) == ("connect-failed", False, True)
    assert told(rig.get("http://no-such-host.invalid/"))[:2] == ("dns-failure", False)


def test_u19_no_tls_where_it_is_asked_for_is_said(tmp_path: Path) -> None:
    def plain(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        host = threading.Thread(target=plain, args=(listener,), daemon=True)
        host.start()
        result = Rig(tmp_path / "d").get(f"https://127.0.0.1:{listener.getsockname()[1]}/a.jpg")
        host.join()
    assert told(result) == ("tls-failure", True, False)


def test_u19_the_whole_takes_no_longer_than_it_may(tmp_path: Path) -> None:
    with WebServer() as web:
        rig = Rig(tmp_path / "d", timeout_seconds=0.5)
        result = failure(rig.get(web.on("/a.jpg", hang())))
        assert told(result) == ("download-timeout", False, True)
        assert "0.5 s" in result.detail


@pytest.mark.parametrize(("value", "seconds"), [("7", 7.0), ("99999", 60.0), ("soon", None), ("", None)])
def test_u10_what_a_host_asks_for_is_handed_on(tmp_path: Path, value: str, seconds: float | None) -> None:
    with WebServer() as web:
        rig = Rig(tmp_path / "d", max_rest_seconds=60)
        for status in (429, 503):
            result = failure(rig.get(web.on("/a.jpg", answer(status=status, headers={"Retry-After": value}))))
            assert result.retry_after_seconds == seconds


def test_a_complete_file_is_private_and_what_came_of_it_is_told(tmp_path: Path) -> None:
    with WebServer() as web:
        rig = Rig(tmp_path / "d", hosts={"pictures.test": "127.0.0.1"})
        modified = "Mon, 02 Nov 2015 10:00:00 GMT"
        web.on("/a.jpg", document(DATA, etag='"one"', last_modified=modified, headers={"Content-Type": "image/jpeg"}))
        url = web.url("/a.jpg?width=5", host="pictures.test")
        result = rig.get(url)
        assert isinstance(result, Fetched)
        path = rig.path(url)
        assert path.read_bytes() == DATA
        assert path.stat().st_mode & 0o777 == 0o600
        assert (result.signature.ino, result.signature.size_bytes) == (path.stat().st_ino, len(DATA))
        assert result.signature.ctime_ns == path.stat().st_ctime_ns
        of = result.provenance
        assert (of.final_url, of.chain, of.address, of.status) == (url, (), "127.0.0.1", 200)
        assert (of.etag, of.last_modified, of.content_type) == ('"one"', modified, "image/jpeg")
        assert (of.http_version, of.size_bytes) == ("HTTP/1.1", len(DATA))
        assert of.sha256 == hashlib.sha256(DATA).hexdigest()
        assert 0 < of.started_at_ms <= of.ended_at_ms
        assert rig.notes[0] == (0, len(DATA)) and rig.notes[-1] == (len(DATA), len(DATA))
        asked = web.asked()[0].headers
        assert asked["host"] == f"pictures.test:{web.port}"
        assert asked["accept-encoding"] == "identity"
        assert asked["user-agent"].startswith("dropmill/")
        assert not {"cookie", "authorization", "range", "referer"} & set(asked)


def test_redirects_are_followed_one_by_one_and_remembered(tmp_path: Path) -> None:
    with WebServer() as web:
        rig = Rig(tmp_path / "d", max_redirects=3)
        url = web.on("/1", redirect("/2", 301))
        web.on("/2", redirect(web.url("/3"), 307))
        web.on("/3", redirect("/4", 308))
        web.on("/4", document(DATA))
        result = rig.get(url)
        assert isinstance(result, Fetched)
        assert result.provenance.final_url == web.url("/4")
        assert result.provenance.chain == (web.url("/1"), web.url("/2"), web.url("/3"))
        assert web.connections == 1, "answers that are read to their end keep their connection"


def test_redirects_end_somewhere(tmp_path: Path) -> None:
    with WebServer() as web:
        rig = Rig(tmp_path / "d", max_redirects=3)
        web.on("/more/*", lambda x: redirect(x.request.path + "x")(x))
        assert told(rig.get(web.url("/more/x"))) == ("too-many-redirects", True, False)
        assert len(web.asked()) == 4
        assert told(rig.get(web.on("/self", redirect("/self")))) == ("too-many-redirects", True, False)
        assert told(rig.get(web.on("/file", redirect("file:///etc/passwd")))) == ("blocked-scheme", True, False)
        assert told(rig.get(web.on("/inside", redirect("http://10.0.0.1/")))) == ("blocked-address", True, False)
        assert told(rig.get(web.on("/nowhere", answer(status=302)))) == ("http-error", True, False)


def test_where_a_redirect_leads_does_not_blame_the_host_that_sent_it(tmp_path: Path) -> None:
    with WebServer() as web:
        with WebServer() as other:
            dead = other.url("/a.jpg")
        result = failure(Rig(tmp_path / "d").get(web.on("/a.jpg", redirect(dead))))
        assert told(result) == ("connect-failed", False, False)
        assert result.provenance is not None and result.provenance.status == 302
        with WebServer() as busy:
            rig = Rig(tmp_path / "d")
            web.on("/b.jpg", redirect(busy.on("/b.jpg", answer(status=503))))
            assert told(rig.get(web.url("/b.jpg"))) == ("http-503", False, False)
            busy.on("/robots.txt", answer(status=502))
            rig = Rig(tmp_path / "d", robots="respect")
            assert told(rig.get(web.url("/b.jpg"))) == ("http-502", False, False)


def test_u07_credentials_stay_with_the_origin_that_they_are_for(tmp_path: Path) -> None:
    with WebServer() as web, WebServer() as other:
        rig = Rig(tmp_path / "d", headers={"X-Api-Key": "secret"})
        other.on("/b.jpg", document(DATA))
        web.on("/a.jpg", redirect(other.url("/b.jpg")))
        url = web.url("/a.jpg").replace("http://", "http://user:pass%20word@")
        result = rig.get(url)
        assert isinstance(result, Fetched)
        sent = web.asked()[0].headers
        assert sent["x-api-key"] == "secret"
        assert base64.b64decode(sent["authorization"].removeprefix("Basic ")) == b"user:pass word"
        assert not {"x-api-key", "authorization"} & set(other.asked()[0].headers)
        assert "pass" not in repr(result)
        assert "pass" not in rig.sidecar(url).read_text()


def test_a_version_that_is_known_is_asked_about(tmp_path: Path) -> None:
    with WebServer() as web:
        rig = Rig(tmp_path / "d")
        url = web.on("/a.jpg", document(DATA, etag='"one"', last_modified="Mon, 02 Nov 2015 10:00:00 GMT"))
        same = rig.get(url, etag='"one"')
        assert isinstance(same, NotModified)
        assert (same.provenance.status, same.provenance.etag) == (304, '"one"')
        assert isinstance(rig.get(url, last_modified="Mon, 02 Nov 2015 10:00:00 GMT"), NotModified)
        assert rig.files() == []
        assert isinstance(rig.get(url, etag='"two"'), Fetched)


DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"expected_size_bytes": len(DATA), "expected_type": "jpeg", "expected_sha256": DIGEST}, ""),
        ({"expected_size_bytes": len(DATA) - 1}, "size-mismatch"),
        ({"expected_size_bytes": len(DATA) + 1}, "size-mismatch"),
        ({"expected_type": "png"}, "type-mismatch"),
        ({"expected_sha256": "0" * 64}, "digest-mismatch"),
    ],
)
@pytest.mark.parametrize("chunked", [False, True])
def test_what_the_line_says_is_verified(tmp_path: Path, fields: dict[str, Any], reason: str, chunked: bool) -> None:
    with WebServer() as web:
        rig = Rig(tmp_path / "d")
        result = rig.get(web.on("/a.jpg", answer(DATA, chunked=chunked)), **fields)
        if reason:
            assert told(result) == (reason, True, False)
            assert rig.files() == []
        else:
            assert isinstance(result, Fetched)


def test_a_digest_of_the_answer_is_verified_and_a_wrong_one_passes(tmp_path: Path) -> None:
    right = base64.b64encode(bytes.fromhex(DIGEST)).decode()
    wrong = base64.b64encode(bytes(32)).decode()
    with WebServer() as web:
        rig = Rig(tmp_path / "d")
        for headers, fits in (
            ({"Repr-Digest": f"sha-256=:{right}:"}, True),
            ({"Repr-Digest": f"sha-256=:{wrong}:"}, False),
            ({"Digest": f"SHA-256={wrong}"}, False),
        ):
            result = rig.get(web.on("/a.jpg", document(DATA, headers=headers)), job_id=len(web.asked()))
            assert isinstance(result, Fetched) if fits else told(result) == ("digest-mismatch", False, False)
        assert ".part" not in "".join(rig.files()), "what was damaged is not gone on with"
        url = web.on("/b.jpg", gzipped(DATA, headers={"Repr-Digest": f"sha-256=:{wrong}:"}))
        assert isinstance(rig.get(url), Fetched), "it is of the compressed bytes, which nobody keeps"


def test_an_answer_that_only_ends_has_to_be_whole_by_its_own_format(tmp_path: Path) -> None:
    with WebServer() as web:
        rig = Rig(tmp_path / "d")
        assert isinstance(rig.get(web.on("/a.jpg", answer(DATA, close=True))), Fetched)
        assert told(rig.get(web.on("/b.jpg", answer(DATA[:-100], close=True)))) == ("connection-lost", False, False)
        assert not rig.path(web.url("/b.jpg")).exists()
        assert isinstance(rig.get(web.on("/c.jpg", answer(DATA, chunked=True))), Fetched)


def test_an_empty_answer_is_empty(tmp_path: Path) -> None:
    with WebServer() as web:
        assert told(Rig(tmp_path / "d").get(web.on("/a.jpg", answer(b"")))) == ("empty", True, False)


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("status", [304, 404, 416, 429, 500])
def test_an_answer_that_is_not_wanted_does_not_cost_its_connection(tmp_path: Path, status: int, chunked: bool) -> None:
    body = b"" if status == 304 else b"Sorry"
    with WebServer() as web:
        url = web.on("/a.jpg", answer(body, status=status, chunked=chunked and status != 304))
        rig = Rig(tmp_path / "d")

        async def story(downloader: Any) -> list[FetchResult]:
            return [await rig.fetch(downloader, asked_for(url, etag='"one"')) for _ in range(3)]

        assert not any(isinstance(result, Fetched) for result in rig.run(story))
        assert (len(web.asked()), web.connections) == (3, 1)


def test_u10_an_answer_whose_body_does_not_end_is_told_by_its_status(tmp_path: Path) -> None:
    async def busy(x: Any) -> None:
        await x.head(429, {"Retry-After": "7", "Content-Length": "10"})
        await x.client_gone()
        x.close()

    with WebServer() as web:
        result = failure(Rig(tmp_path / "d").get(web.on("/a.jpg", busy)))
        assert (told(result), result.retry_after_seconds) == (("http-429", False, True), 7)


class Store:
    """robots.txt in memory."""

    def __init__(self) -> None:
        self.texts: dict[str, tuple[str, int]] = {}

    async def get(self, origin: str) -> tuple[str, int] | None:
        return self.texts.get(origin)

    async def put(self, origin: str, text: str, at_ms: int) -> None:
        self.texts[origin] = (text, at_ms)


def test_robots_txt_is_respected_where_that_is_configured(tmp_path: Path) -> None:
    rules = b"User-agent: *\nDisallow: /private/\n\nUser-agent: dropmill\nDisallow: /mine/\nAllow: /mine/yes*\n"
    with WebServer() as web:
        web.on("/robots.txt", answer(rules))
        web.on("/*", document(DATA))
        store = Store()
        rig = Rig(tmp_path / "d", robots="respect", robots_store=store)
        assert told(rig.get(web.url("/mine/no.jpg"))) == ("robots-disallowed", True, False)
        assert web.asked("/mine/no.jpg") == []
        assert isinstance(rig.get(web.url("/mine/yes.jpg")), Fetched)
        assert isinstance(rig.get(web.url("/private/a.jpg")), Fetched), "a group of our own counts alone"
        assert len(web.asked("/robots.txt")) == 1, "asked for once, and kept"
        assert store.texts[web.origin][0] == rules.decode()
        store.texts[web.origin] = ("", 0)
        assert told(rig.get(web.url("/mine/no.jpg")))[0] == "robots-disallowed", "after a day it is asked for again"
        assert isinstance(Rig(tmp_path / "d").get(web.url("/mine/no.jpg")), Fetched)


@pytest.mark.parametrize(
    ("handler", "expected"),
    [
        (answer(status=404), None),
        (answer(status=403), None),
        (redirect("/elsewhere.txt"), ("robots-disallowed", True, False)),
        (redirect("/robots.txt"), None),
        (redirect("http://10.0.0.1/robots.txt"), None),
        (answer(status=500), ("http-500", False, True)),
        (answer(status=503, headers={"Retry-After": "9"}), ("http-503", False, True)),
        (answer(status=429), ("http-429", False, True)),
        (drop(), ("connection-lost", False, True)),
        (gzipped(b"User-agent: *\nDisallow: /\n"), ("robots-disallowed", True, False)),
        (answer(b"#" * (600 << 10) + b"\nUser-agent: *\nDisallow: /\n"), None),
        (answer(b"\xff\xfe\0binary"), None),
    ],
)
def test_robots_txt_that_is_not_there_allows_and_one_that_cannot_be_had_forbids_for_now(
    tmp_path: Path, handler: Handler, expected: tuple[str, bool, bool] | None
) -> None:
    with WebServer() as web:
        web.on("/robots.txt", handler)
        web.on("/elsewhere.txt", answer(b"User-agent: *\nDisallow: /\n"))
        url = web.on("/a.jpg", document(DATA))
        result = Rig(tmp_path / "d", robots="respect").get(url)
        if expected is None:
            assert isinstance(result, Fetched)
        else:
            assert told(result) == expected
            assert web.asked("/a.jpg") == []


def test_u07_what_belongs_to_the_host_of_a_line_is_not_sent_for_the_robots_txt_of_another(tmp_path: Path) -> None:
    with WebServer() as web, WebServer() as other:
        other.on("/b.jpg", document(DATA))
        url = web.on("/a.jpg", redirect(other.url("/b.jpg")))
        rig = Rig(tmp_path / "d", robots="respect", headers={"X-Key": "secret"}, logins={"127.0.0.1": ("me", "secret")})
        assert isinstance(rig.get(url), Fetched)
        assert web.asked("/a.jpg")[0].headers["x-key"] == "secret"
        assert [request.path for request in other.asked()] == ["/robots.txt", "/b.jpg"]
        for request in other.asked():
            assert not {"x-key", "authorization"} & set(request.headers), request.path


@pytest.mark.parametrize("condition", ["etag", "last_modified"])
def test_what_cannot_be_sent_back_is_no_condition(tmp_path: Path, condition: str) -> None:
    """Bytes beyond ASCII may come in a header, and over HTTP/2 even ends of lines."""
    with WebServer() as web:
        url = web.on("/a.jpg", document(DATA))
        for number, value in enumerate(('"\xe9"', '"a\r\nX-Key: b"')):
            assert isinstance(Rig(tmp_path / str(number)).get(url, **{condition: value}), Fetched)
        assert not any("if-" in name or name == "x-key" for request in web.asked() for name in request.headers)


@pytest.mark.parametrize("host", ["xn--a", "xn--i-7iq.example", "xn--zzzzzz99999.example"])
def test_a_name_without_a_unicode_form_is_asked_for_as_it_is(tmp_path: Path, host: str) -> None:
    with WebServer() as web:
        web.on("/a.jpg", document(DATA))
        assert isinstance(Rig(tmp_path / "d", hosts={host: "127.0.0.1"}).get(web.url("/a.jpg", host)), Fetched)
        assert web.asked()[0].headers["host"] == f"{host}:{web.port}"


def test_robots_txt_is_asked_for_once_however_many_wait_for_it(tmp_path: Path) -> None:
    with WebServer() as web:
        gate = Gate()
        web.on("/robots.txt", gate(answer(b"User-agent: *\nDisallow: /no\n")))
        web.on("/*", document(DATA))
        rig = Rig(tmp_path / "d", robots="respect")
        results: list[FetchResult] = []

        async def story(downloader: Any) -> None:
            async def one(path: str) -> None:
                results.append(await rig.fetch(downloader, asked_for(web.url(path))))

            async with anyio.create_task_group() as group:
                for number in range(10):
                    group.start_soon(one, f"/{number}.jpg")
                await anyio.to_thread.run_sync(web.wait, lambda: bool(web.asked("/robots.txt")))
                gate.open()

        rig.run(story)
        assert len(web.asked("/robots.txt")) == 1
        assert all(isinstance(result, Fetched) for result in results) and len(results) == 10


def test_robots_tags_are_respected_where_that_is_configured(tmp_path: Path) -> None:
    with WebServer() as web:
        url = web.on("/a.jpg", document(DATA, headers=[("X-Robots-Tag", "nofollow"), ("X-Robots-Tag", "noai")]))
        result = failure(Rig(tmp_path / "d", robots_tag="respect").get(url))
        assert (told(result), result.detail) == (("no-ai", True, False), "X-Robots-Tag: noai")
        assert isinstance(Rig(tmp_path / "d").get(url), Fetched)


def test_a_cancelled_download_leaves_a_part_that_is_gone_on_with(tmp_path: Path) -> None:
    with WebServer() as web:
        rig = Rig(tmp_path / "d")

        async def half(x: Any) -> None:
            await x.head(200, {"ETag": '"one"', "Content-Length": str(len(DATA))})
            await x.send(DATA[:50_000])
            await x.client_gone()
            x.close()

        url = web.on("/a.jpg", in_turn(half, document(DATA, etag='"one"')))

        async def story(downloader: Any) -> None:
            async with anyio.create_task_group() as group:
                group.start_soon(rig.fetch, downloader, asked_for(url))
                there = lambda: rig.part(url).exists() and rig.part(url).stat().st_size == 50_000  # noqa: E731  # Short, and said where it is used.
                await anyio.to_thread.run_sync(web.wait, there)
                group.cancel_scope.cancel()

        rig.run(story)
        assert isinstance(rig.get(url), Fetched)
        assert rig.path(url).read_bytes() == DATA
        assert web.sent_bytes() == len(DATA)


def test_what_is_given_up_is_removed(tmp_path: Path) -> None:
    with WebServer() as web:
        rig = Rig(tmp_path / "d")
        url = web.on("/a.jpg", document(DATA, etag='"one"', cut_after_bytes=5000, reset=False))
        rig.get(url)
        assert len(rig.files()) == 2

        async def story(downloader: Any) -> None:
            for _ in range(2):
                downloader.drop(bytes(rig.folder), asked_for(url).job.rel)

        rig.run(story)
        assert rig.files() == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    need_root()
    path = tmp_path / "disk"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(path)], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def test_a_full_disk_is_nobodys_fault_and_passes(small_disk: Path) -> None:
    """What fitted is gone on with once there is room."""
    data = jpeg(300_000)
    with WebServer() as web:
        rig = Rig(small_disk / "d")
        url = web.on("/a.jpg", document(data, etag='"one"'))
        assert told(rig.get(url)) == ("disk-full", False, False)
        kept_bytes = rig.part(url).stat().st_size
        assert kept_bytes > 0
        assert told(rig.get(url)) == ("disk-full", False, False)
        subprocess.run(["mount", "-o", "remount,size=2m", str(small_disk)], check=True)
        assert isinstance(rig.get(url), Fetched)
        assert rig.path(url).read_bytes() == data
        assert int(web.asked()[1].range.removeprefix("bytes=").rstrip("-")) == kept_bytes


@pytest.mark.long
def test_waiting_for_the_common_pace_does_not_count_as_time_taken(tmp_path: Path) -> None:
    with WebServer() as web:
        url = web.on("/a.jpg", document(DATA))
        rig = Rig(tmp_path / "d", max_bytes_per_second=len(DATA) // 6, timeout_seconds=4)
        result = rig.get(url)
        assert isinstance(result, Fetched), result
        assert result.provenance.ended_at_ms - result.provenance.started_at_ms > 5000
