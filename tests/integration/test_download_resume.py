"""U11: a download goes on where it broke off, and never joins two versions."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from download_help import Rig, asked_for, jpeg
from dropmill.model.download import Failed, Fetched, FetchResult
from web import Exchange, Handler, WebServer, answer, document, gzipped, in_turn, partial, redirect

DATA, OTHER = jpeg(300_000, seed=1), jpeg(300_000, seed=2)
CUT = 100_000


def cut(data: bytes = DATA, etag: str = '"one"', at: int = CUT, last_modified: str = "") -> Handler:
    """Ends without a reset, which would take along what has arrived and was not read yet."""
    return document(data, etag=etag, cut_after_bytes=at, last_modified=last_modified, reset=False)


def reason(result: FetchResult) -> str:
    assert isinstance(result, Failed), result
    return result.reason


def ranges(web: WebServer, path: str) -> list[str]:
    return [request.range for request in web.asked(path)]


def test_u11_what_is_here_is_not_asked_for_again(tmp_path: Path) -> None:
    with WebServer() as web:
        rig = Rig(tmp_path / "d")
        url = web.on("/a.jpg", in_turn(cut(), cut(at=50_000), document(DATA, etag='"one"')))
        assert [reason(rig.get(url)) for _ in range(2)] == ["connection-lost"] * 2
        assert rig.part(url).stat().st_size == CUT + 50_000
        result = rig.get(url)
        assert isinstance(result, Fetched)
        assert rig.path(url).read_bytes() == DATA
        assert result.signature.size_bytes == result.provenance.size_bytes == len(DATA)
        assert result.provenance.status == 206
        assert ranges(web, "/a.jpg") == ["", f"bytes={CUT}-", f"bytes={CUT + 50_000}-"]
        assert [request.headers.get("if-range") for request in web.asked()] == [None, '"one"', '"one"']
        assert web.sent_bytes() == len(DATA)
        assert (CUT + 50_000, len(DATA)) in rig.notes, "the progress goes on where it stood"


def test_u11_a_date_will_do_where_it_is_old_enough(tmp_path: Path) -> None:
    old = "Mon, 02 Nov 2015 10:00:00 GMT"
    with WebServer() as web:
        rig = Rig(tmp_path / "d")
        url = web.on("/a.jpg", in_turn(cut(etag="", last_modified=old), document(DATA, etag="", last_modified=old)))
        assert reason(rig.get(url)) == "connection-lost"
        assert isinstance(rig.get(url), Fetched)
        assert web.asked()[1].headers["if-range"] == old
        assert web.sent_bytes() == len(DATA)


@pytest.mark.parametrize("etag", ["", 'W/"one"', '"\xe9"'])
def test_u11_without_a_strong_validator_it_starts_over(tmp_path: Path, etag: str) -> None:
    with WebServer() as web:
        rig = Rig(tmp_path / "d")
        url = web.on("/a.jpg", in_turn(cut(etag=etag), document(OTHER, etag=etag)))
        assert reason(rig.get(url)) == "connection-lost"
        assert rig.files() == []
        assert isinstance(rig.get(url), Fetched)
        assert rig.path(url).read_bytes() == OTHER
        assert ranges(web, "/a.jpg") == ["", ""]


CHANGED: dict[str, Handler] = {
    "the host sends all of the new one": document(OTHER, etag='"two"'),
    "a 206 of another version": partial(OTHER[CUT:], f"bytes {CUT}-299999/300000", headers={"ETag": '"two"'}),
    "a 206 with a weak ETag": partial(OTHER[CUT:], f"bytes {CUT}-299999/300000", headers={"ETag": 'W/"one"'}),
    "a 206 without an ETag": partial(OTHER[CUT:], f"bytes {CUT}-299999/300000"),
    "a 206 of another length": partial(OTHER[CUT:], f"bytes {CUT}-299999/300001", headers={"ETag": '"one"'}),
    "a 206 from the start": partial(OTHER, "bytes 0-299999/300000", headers={"ETag": '"one"'}),
    "a 206 that begins one byte late": partial(
        OTHER[CUT + 1 :], f"bytes {CUT + 1}-299999/300000", headers={"ETag": '"one"'}
    ),
    "a 206 that ends early": partial(OTHER[CUT:-1], f"bytes {CUT}-299998/300000", headers={"ETag": '"one"'}),
    "a 206 without a range": answer(OTHER[CUT:], status=206, headers={"ETag": '"one"'}),
    "a 206 in another unit": partial(OTHER[CUT:], f"lines {CUT}-299999/300000", headers={"ETag": '"one"'}),
    "a 206 that is shorter than it says": partial(
        OTHER[CUT:-5], f"bytes {CUT}-299999/300000", headers={"ETag": '"one"'}
    ),
    "a 206 that is compressed": partial(
        OTHER[CUT:], f"bytes {CUT}-299999/300000", headers={"ETag": '"one"', "Content-Encoding": "gzip"}
    ),
    "416": answer(status=416, headers={"Content-Range": "bytes */300000"}),
    "416 that says nothing": answer(status=416),
}


@pytest.mark.parametrize("second", CHANGED)
def test_u11_two_versions_are_never_joined(tmp_path: Path, second: str) -> None:
    """Whatever comes for the rest, the file is one version from end to end."""
    with WebServer() as web:
        rig = Rig(tmp_path / "d")
        url = web.on("/a.jpg", in_turn(cut(), CHANGED[second], document(OTHER, etag='"two"')))
        assert reason(rig.get(url)) == "connection-lost"
        assert isinstance(rig.get(url), Fetched)
        assert rig.path(url).read_bytes() == OTHER
        assert ranges(web, "/a.jpg")[:2] == ["", f"bytes={CUT}-"]
        assert set(ranges(web, "/a.jpg")[2:]) <= {""}


@pytest.mark.parametrize("last", [len(DATA) - 1, len(DATA) - 2])
def test_u11_a_rest_that_comes_in_chunks_is_no_whole_file_before_its_last_byte(tmp_path: Path, last: int) -> None:
    """No length of the answer says that a byte is missing."""
    headers = {"ETag": '"one"', "Content-Range": f"bytes {CUT}-{last}/{len(DATA)}"}
    with WebServer() as web:
        rig = Rig(tmp_path / "d")
        short = answer(DATA[CUT:-1], status=206, headers=headers, chunked=True)
        url = web.on("/a.jpg", in_turn(cut(), short, document(DATA, etag='"one"')))
        assert any(isinstance(rig.get(url), Fetched) for _ in range(3))
        assert rig.path(url).read_bytes() == DATA


@pytest.mark.parametrize("status", [416, 206])
def test_u11_a_host_that_never_does_better_is_asked_twice_and_no_more(tmp_path: Path, status: int) -> None:
    with WebServer() as web:
        rig = Rig(tmp_path / "d")
        url = web.on("/a.jpg", in_turn(cut(), answer(status=status)))
        rig.get(url)
        assert reason(rig.get(url)) == {416: "http-error", 206: "protocol-error"}[status]
        assert ranges(web, "/a.jpg") == ["", f"bytes={CUT}-", ""]
        assert rig.files() == []


def test_u11_another_place_with_the_same_etag_is_another_file(tmp_path: Path) -> None:
    with WebServer() as web:
        rig = Rig(tmp_path / "d")
        web.on("/one", cut())
        web.on("/two", document(OTHER, etag='"one"'))
        url = web.on("/a.jpg", in_turn(redirect("/one"), redirect("/two")))
        assert reason(rig.get(url)) == "connection-lost"
        assert isinstance(rig.get(url), Fetched)
        assert rig.path(url).read_bytes() == OTHER
        assert ranges(web, "/two") == [f"bytes={CUT}-", ""]


def test_u11_a_signature_that_changes_with_each_redirect_does_no_harm(tmp_path: Path) -> None:
    with WebServer() as web:
        rig = Rig(tmp_path / "d")
        web.on("/one", in_turn(cut(), document(DATA, etag='"one"')))
        url = web.on("/a.jpg", in_turn(redirect("/one?signed=1"), redirect("/one?signed=2")))
        assert reason(rig.get(url)) == "connection-lost"
        assert isinstance(rig.get(url), Fetched)
        assert web.sent_bytes("/one") == len(DATA)


def test_u11_after_a_power_cut_it_starts_over(tmp_path: Path) -> None:
    """Bytes that were never written back may be zeros, whatever the length of the file says."""
    with WebServer() as web:
        rig = Rig(tmp_path / "d")
        url = web.on("/a.jpg", in_turn(cut(), document(DATA, etag='"one"')))
        rig.get(url)
        told = json.loads(rig.sidecar(url).read_text())
        rig.sidecar(url).write_text(json.dumps({**told, "boot": "an earlier one"}))
        rig.part(url).write_bytes(bytes(CUT))
        assert isinstance(rig.get(url), Fetched)
        assert rig.path(url).read_bytes() == DATA
        assert ranges(web, "/a.jpg") == ["", ""]


def test_u11_a_part_that_is_complete_is_not_asked_for_again(tmp_path: Path) -> None:
    with WebServer() as web:
        rig = Rig(tmp_path / "d")
        url = web.on("/a.jpg", in_turn(cut(), answer(status=500)))
        rig.get(url)
        rig.part(url).write_bytes(DATA)
        result = rig.get(url)
        assert isinstance(result, Fetched)
        assert (result.provenance.status, result.provenance.etag) == (200, '"one"')
        assert rig.path(url).read_bytes() == DATA
        assert len(web.asked()) == 1


def test_u11_a_file_that_was_complete_but_not_yet_recorded_is_not_asked_for_again(tmp_path: Path) -> None:
    with WebServer() as web:
        rig = Rig(tmp_path / "d")
        url = web.on("/a.jpg", document(DATA, etag='"one"'))
        first = rig.get(url)
        again = rig.get(url)
        assert isinstance(first, Fetched) and isinstance(again, Fetched)
        assert (again.signature, again.provenance.sha256) == (first.signature, first.provenance.sha256)
        assert len(web.asked()) == 1
        assert isinstance(rig.get(url, job_id=2), Fetched), "another job wants to know what is there now"
        assert len(web.asked()) == 2


def test_u11_once_recorded_it_is_asked_for_again(tmp_path: Path) -> None:
    with WebServer() as web:
        rig = Rig(tmp_path / "d")
        url = web.on("/a.jpg", document(DATA, etag='"one"'))

        async def story(downloader):  # type: ignore[no-untyped-def]  # A story of three lines.
            fetch = asked_for(url)
            await rig.fetch(downloader, fetch)
            downloader.drop(bytes(rig.folder), fetch.job.rel)

        rig.run(story)
        assert rig.files() == [rig.path(url).name[38:]]
        assert isinstance(rig.get(url), Fetched)
        assert len(web.asked()) == 2


def test_u11_a_compressed_answer_is_not_taken_up(tmp_path: Path) -> None:
    with WebServer() as web:
        rig = Rig(tmp_path / "d")
        url = web.on("/a.jpg", gzipped(DATA, headers={"ETag": '"one"'}))
        assert isinstance(rig.get(url), Fetched)
        assert rig.path(url).read_bytes() == DATA
        assert not rig.sidecar(url).exists()


def test_s12_what_an_fsync_could_not_write_is_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk has lost a part of the bytes, and the next fsync says that all is well."""
    real = os.fsync

    def fail_once(fd: int) -> None:
        if stat.S_ISREG(os.fstat(fd).st_mode):
            monkeypatch.setattr("os.fsync", real)
            os.pwrite(fd, bytes(4096), CUT)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(fd)

    with WebServer() as web:
        rig = Rig(tmp_path / "d")
        url = web.on("/a.jpg", document(DATA, etag='"one"'))
        monkeypatch.setattr("os.fsync", fail_once)
        assert reason(rig.get(url)) == "io-error"
        assert rig.files() == []
        assert isinstance(rig.get(url), Fetched)
        assert rig.path(url).read_bytes() == DATA
        assert ranges(web, "/a.jpg") == ["", ""]


CHILD = """
import sys
from pathlib import Path
from download_help import Rig
Rig(Path(sys.argv[1])).get(sys.argv[2])
"""


class Halves:
    """Sends so much of what is asked for, and then nothing until the client is gone; ``at`` None sends all of it."""

    def __init__(self, data: bytes) -> None:
        self.at: int | None = 0
        self._data = data

    async def __call__(self, x: Exchange) -> None:
        first = int(x.request.range.removeprefix("bytes=").rstrip("-") or 0)
        headers = {"ETag": '"one"', "Content-Length": str(len(self._data) - first)}
        if first:
            headers["Content-Range"] = f"bytes {first}-{len(self._data) - 1}/{len(self._data)}"
        await x.head(206 if first else 200, headers)
        await x.send(self._data[first : self.at])
        if self.at is not None:
            await x.client_gone()
            x.close()


@pytest.mark.long
def test_u11_a_killed_process_goes_on_with_the_byte_behind_the_last_one_that_is_on_disk(tmp_path: Path) -> None:
    with WebServer() as web:
        rig = Rig(tmp_path / "d")
        halves = Halves(DATA)
        url = web.on("/a.jpg", halves)
        for at in (1, 70_000, 200_000):
            halves.at = at
            environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
            child = subprocess.Popen([sys.executable, "-c", CHILD, str(rig.folder), url], env=environ)
            try:
                web.wait(lambda at=at: rig.part(url).exists() and rig.part(url).stat().st_size == at, f"{at} bytes")  # type: ignore[misc]  # The loop's value is meant.
            finally:
                child.kill()
                child.wait()
        halves.at = None
        assert isinstance(rig.get(url), Fetched)
        assert rig.path(url).read_bytes() == DATA
        assert ranges(web, "/a.jpg") == ["", "bytes=1-", "bytes=70000-", "bytes=200000-"]
        assert web.sent_bytes() == len(DATA), "not a byte came twice"
