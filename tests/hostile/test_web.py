"""Hosts that lie or never end: limits hold while bytes stream (U09), content is judged by itself (U12), names are ours (U13)."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from download_help import Rig, asked_for, jpeg, rel_of
from dropmill.model.download import Failed, Fetched, FetchResult
from web import (
    Exchange,
    Handler,
    WebServer,
    answer,
    document,
    endless,
    gzip_bomb,
    gzipped,
    huge_headers,
    trickle,
)

DATA = jpeg(100_000)
LIMIT = 1 << 20


def told(result: FetchResult) -> tuple[str, bool]:
    assert isinstance(result, Failed), result
    return result.reason, result.permanent


@pytest.mark.parametrize("chunked", [False, True])
def test_u09_a_body_without_end_costs_no_more_than_the_limit(tmp_path: Path, chunked: bool) -> None:
    with WebServer() as web:
        rig = Rig(tmp_path / "d", max_bytes=LIMIT)
        assert told(rig.get(web.on("/a.jpg", endless(DATA, chunked=chunked)))) == ("too-large", True)
        assert rig.files() == []
        assert max(size for size, _ in rig.notes) <= LIMIT
        web.wait(lambda: web.running == 0, "the connection is closed")


def test_u09_a_length_beyond_the_limit_is_refused_before_the_body(tmp_path: Path) -> None:
    with WebServer() as web:
        rig = Rig(tmp_path / "d", max_bytes=LIMIT)
        url = web.on("/a.jpg", answer(DATA, length_bytes=LIMIT + 1))
        assert told(rig.get(url)) == ("too-large", True)
        assert rig.notes == []
        assert rig.files() == []


def test_u09_a_length_that_promises_too_much_is_no_complete_file(tmp_path: Path) -> None:
    with WebServer() as web:
        rig = Rig(tmp_path / "d")
        assert told(rig.get(web.on("/a.jpg", answer(DATA, length_bytes=len(DATA) + 1)))) == ("connection-lost", False)
        assert rig.files() == []


def test_u09_what_comes_behind_the_promised_length_is_nobody_elses_answer(tmp_path: Path) -> None:
    smuggled = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong" * 50

    async def too_much(x: Exchange) -> None:
        await x.head(200, {"Content-Length": str(len(DATA))})
        await x.raw(DATA + smuggled)

    with WebServer() as web:
        rig = Rig(tmp_path / "d", connections=1)
        first, second = web.on("/a.jpg", too_much), web.on("/b.jpg", document(DATA))

        async def story(downloader):  # type: ignore[no-untyped-def]  # A story of two lines.
            return [await rig.fetch(downloader, asked_for(url)) for url in (first, second)]

        results = rig.run(story)
        assert all(isinstance(result, Fetched) for result in results), results
        assert [rig.path(url).read_bytes() for url in (first, second)] == [DATA, DATA]


def test_u09_a_length_that_is_said_twice_is_not_believed(tmp_path: Path) -> None:
    async def twice(x: Exchange) -> None:
        await x.head(200, [("Content-Length", "5"), ("Content-Length", str(len(DATA)))])
        await x.send(DATA)
        x.close()

    with WebServer() as web:
        assert told(Rig(tmp_path / "d").get(web.on("/a.jpg", twice))) == ("protocol-error", False)


@pytest.mark.parametrize("headers", [{}, {"ETag": '"one"'}])
def test_u09_a_few_bytes_at_a_time_are_too_slow(
    tmp_path: Path, headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dropmill.fetch.rate.WINDOW_SECONDS", 0.5)
    with WebServer() as web:
        rig = Rig(tmp_path / "d")
        assert told(rig.get(web.on("/a.jpg", trickle(DATA, 0.05, headers=headers)))) == ("too-slow", False)
        assert bool(rig.files()) == bool(headers), "it goes on where it is, if the host can do that"


def test_u09_a_host_that_falls_silent_is_given_up(tmp_path: Path) -> None:
    async def half(x: Exchange) -> None:
        await x.head(200, {"Content-Length": str(len(DATA))})
        await x.send(DATA[:1000])
        await x.client_gone()
        x.close()

    with WebServer() as web:
        rig = Rig(tmp_path / "d", read_timeout_seconds=0.5)
        assert told(rig.get(web.on("/a.jpg", half))) == ("download-timeout", False)


def test_u09_a_host_that_is_just_fast_enough_still_ends(tmp_path: Path) -> None:
    with WebServer() as web:
        rig = Rig(tmp_path / "d", timeout_seconds=1, min_bytes_per_second=0)
        assert told(rig.get(web.on("/a.jpg", trickle(DATA, 0.05)))) == ("download-timeout", False)


def test_u09_a_bomb_is_stopped_at_the_limit_of_what_comes_out(tmp_path: Path) -> None:
    with WebServer() as web:
        rig = Rig(tmp_path / "d", max_bytes=LIMIT)
        assert told(rig.get(web.on("/a.jpg", gzip_bomb(64 << 20, DATA)))) == ("too-large", True)
        assert rig.files() == []


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_u09_compressed_bytes_that_come_to_nothing_count_too(tmp_path: Path, encoding: str) -> None:
    """Members without content, or stored blocks of no length, one behind the other."""
    nothing = gzip.compress(b"") if encoding == "gzip" else b"\0\0\0\xff\xff"

    async def without_end(x: Exchange) -> None:
        await x.head(200, {"Content-Encoding": encoding, "Connection": "close"})
        while True:
            await x.send(nothing * 5000)

    with WebServer() as web:
        rig = Rig(tmp_path / "d", max_bytes=LIMIT)
        assert told(rig.get(web.on("/a.jpg", without_end))) == ("too-large", True)
        assert rig.files() == []


def test_u09_the_limit_of_compressed_bytes_has_room_for_what_does_not_compress(tmp_path: Path) -> None:
    data = jpeg(LIMIT)
    with WebServer() as web:
        rig = Rig(tmp_path / "d", max_bytes=LIMIT)
        url = web.on("/a.jpg", answer(gzip.compress(data, 0), headers={"Content-Encoding": "gzip"}))
        assert isinstance(rig.get(url), Fetched)


def test_u09_interim_answers_without_end_are_no_answer(tmp_path: Path) -> None:
    async def soon(x: Exchange) -> None:
        while True:
            await x.send(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)

    async def at_last(x: Exchange) -> None:
        await x.raw(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n" * 20)
        await document(DATA)(x)

    with WebServer() as web:
        rig = Rig(tmp_path / "d")
        assert told(rig.get(web.on("/a.jpg", soon))) == ("protocol-error", False)
        assert web.sent_bytes() < 16 << 20
        assert isinstance(rig.get(web.on("/b.jpg", at_last)), Fetched)


def test_u09_chunks_of_a_byte_each_leave_others_their_turn(tmp_path: Path) -> None:
    pieces = 20_000

    async def crumbs(x: Exchange) -> None:
        await x.head(200, {"Transfer-Encoding": "chunked"})
        await x.chunk(DATA[:-pieces])
        await x.raw(b"".join(b"1\r\n%c\r\n" % byte for byte in DATA[-pieces:]))
        await x.chunk(b"")

    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await anyio.lowlevel.checkpoint()

    with WebServer() as web:
        rig = Rig(tmp_path / "d")
        url = web.on("/a.jpg", crumbs)

        async def story(downloader):  # type: ignore[no-untyped-def]  # A story of four lines.
            async with anyio.create_task_group() as group:
                group.start_soon(others)
                result = await rig.fetch(downloader, asked_for(url))
                group.cancel_scope.cancel()
            return result

        assert isinstance(rig.run(story), Fetched)
        assert rig.path(url).read_bytes() == DATA
    assert turns > pieces


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "raw-deflate"])
def test_a_picture_that_comes_compressed_is_unpacked(tmp_path: Path, encoding: str) -> None:
    with WebServer() as web:
        rig = Rig(tmp_path / "d")
        url = web.on("/a.jpg", gzipped(DATA, encoding))
        assert isinstance(rig.get(url), Fetched)
        assert rig.path(url).read_bytes() == DATA


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip"])
def test_other_encodings_are_refused(tmp_path: Path, encoding: str) -> None:
    with WebServer() as web:
        url = web.on("/a.jpg", answer(DATA, headers={"Content-Encoding": encoding}))
        assert told(Rig(tmp_path / "d").get(url)) == ("unsupported-encoding", True)


def test_u09_headers_without_end_are_refused_early(tmp_path: Path) -> None:
    with WebServer() as web:
        url = web.on("/a.jpg", huge_headers(100 << 20))
        assert told(Rig(tmp_path / "d").get(url)) == ("protocol-error", False)
        web.wait(lambda: web.running == 0, "the connection is closed")
        assert web.sent_bytes() < 16 << 20


MEASURED = """
import json, resource, sys
from pathlib import Path
from download_help import Rig, asked_for
rig = Rig(Path(sys.argv[1]), max_bytes=int(sys.argv[2]), min_bytes_per_second=0)
async def story(downloader):
    peaks = []
    for url in sys.argv[3:]:
        result = await rig.fetch(downloader, asked_for(url))
        peaks.append((result.reason, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10))
    return peaks
print(json.dumps(rig.run(story)))
"""


@pytest.mark.parametrize("taken_bytes", [32 << 20, pytest.param(1 << 30, marks=pytest.mark.long)])
def test_u09_an_endless_body_costs_no_more_memory_than_a_small_one(tmp_path: Path, taken_bytes: int) -> None:
    """The same process takes a small one and then the endless one, which ends at the largest limit that there is room for."""
    room = os.statvfs(tmp_path)
    limit_bytes = min(taken_bytes, room.f_bavail * room.f_frsize // 4)
    with WebServer() as web:
        small = web.on("/small.jpg", answer(DATA, length_bytes=len(DATA) + 1))
        large = web.on("/large.jpg", endless(DATA, size_bytes=4 << 30))
        environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
        command = [sys.executable, "-c", MEASURED, str(tmp_path / "d"), str(limit_bytes), small, large]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=170, check=False)
        assert done.returncode == 0, done.stderr
    (first, before), (second, after) = json.loads(done.stdout)
    assert (first, second) == ("connection-lost", "too-large")
    assert after - before < 8 << 20, f"{(after - before) >> 20} MiB more"


@pytest.mark.parametrize(
    ("body", "content_type", "reason"),
    [
        (b"<!DOCTYPE html><html><body>Please log in</body></html>", "image/jpeg", "not-an-image"),
        (b"<html>" + b" " * (1 << 20), "image/jpeg", "not-an-image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'></svg>", "image/png", "unsupported-format"),
        (b"%PDF-1.7\n", "image/jpeg", "unsupported-format"),
        (b"\x89PNG", "image/png", "not-an-image"),
        (b"MZ" + bytes(1000), "image/jpeg", "not-an-image"),
    ],
)
def test_u12_what_is_no_picture_is_refused_whatever_it_is_called(
    tmp_path: Path, body: bytes, content_type: str, reason: str
) -> None:
    with WebServer() as web:
        rig = Rig(tmp_path / "d")
        url = web.on("/a.jpg", document(body, headers={"Content-Type": content_type}))
        assert told(rig.get(url)) == (reason, True)
        assert rig.files() == []


def test_u12_a_long_page_is_refused_by_its_beginning(tmp_path: Path) -> None:
    with WebServer() as web:
        rig = Rig(tmp_path / "d")
        assert told(rig.get(web.on("/a.jpg", endless(b"<html>")))) == ("not-an-image", True)
        assert max(size for size, _ in rig.notes) < LIMIT


@pytest.mark.parametrize("content_type", ["text/plain", "text/html", "application/octet-stream", "image/png", ""])
def test_u12_a_picture_is_taken_whatever_it_is_called(tmp_path: Path, content_type: str) -> None:
    with WebServer() as web:
        rig = Rig(tmp_path / "d")
        url = web.on("/page.html", document(DATA, headers={"Content-Type": content_type}))
        assert isinstance(rig.get(url), Fetched)


NAMES: list[str] = [
    "../../etc/x",
    "/etc/cron.d/x",
    "C:\\x",
    "..\\..\\x",
    "a/b.jpg",
    ".dropmill/x",
    "x\x7f",
    "a" * 5000,
    "%2e%2e%2fx",
    "=?utf-8?B?Li4veA==?=",
]


def named(name: str) -> Handler:
    forms = [f'attachment; filename="{name}"', f"inline; filename*=UTF-8''{name}"]
    headers = [("Content-Disposition", form) for form in forms]
    return document(
        DATA, headers=[*headers, ("Content-Location", name), ("Content-Type", f'image/jpeg; name="{name}"')]
    )


@pytest.mark.parametrize("name", NAMES)
def test_u13_a_name_in_a_header_never_becomes_a_path(tmp_path: Path, name: str) -> None:
    with WebServer() as web:
        rig = Rig(tmp_path / "d")
        url = web.on("/a.jpg", named(name))
        assert isinstance(rig.get(url), Fetched)
        rel = rel_of(url).decode()
        files = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
        assert files == [f"d/{rel}", f"d/{rel}.part.json"]


@pytest.mark.parametrize("path", ["/..%2f..%2fetc%2fx", "/%2e%2e/x", "/a/../../x", "/C:%5Cx", "/%00", "/" + "a" * 3000])
def test_u13_nor_does_one_in_the_url_or_the_hint(tmp_path: Path, path: str) -> None:
    with WebServer() as web:
        web.on("/*", document(DATA))
        rig = Rig(tmp_path / "d")
        assert isinstance(rig.get(web.url(path), hint="../../../x.jpg"), Fetched)
        outside = [
            path for path in tmp_path.rglob("*") if path.is_file() and len(path.relative_to(tmp_path).parts) != 3
        ]
        assert outside == []
