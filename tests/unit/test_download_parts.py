"""The parts of a download that need no network: ranges, pace, unpacking, judging of content, what a kill leaves."""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import os
import stat
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from download_help import asked_for, jpeg
from dropmill.fetch import content
from dropmill.fetch.decoding import PIECE_BYTES, decoder_for
from dropmill.fetch.failing import Stopped, of_disk, of_status
from dropmill.fetch.partial import Part, Place, Sidecar
from dropmill.fetch.ranges import Splice, Version, judge_partial, length_of, version_of
from dropmill.fetch.rate import Pace, Throttle
from dropmill.fetch.robots import forbidden_by
from dropmill.model.download import Provenance
from dropmill.model.outcome import EXPLANATIONS, Reason
from dropmill.settings.downloads import Downloads

OLD, NOW = "Mon, 02 Nov 2026 10:00:00 GMT", "Mon, 02 Nov 2026 11:00:00 GMT"
WANTED = asked_for("http://host.example/a.jpg").wanted


class Hands:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.at = 100.0

    def now_ms(self) -> int:
        return int(self.at * 1000)

    def monotonic(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += seconds


@pytest.mark.parametrize(
    ("headers", "validator"),
    [
        ({"etag": '"a"'}, '"a"'),
        ({"etag": 'W/"a"', "last-modified": OLD, "date": NOW}, ""),
        ({"etag": "a"}, ""),
        ({"etag": '"a"b"'}, ""),
        ({"etag": '"\xe9"'}, ""),
        ({"last-modified": OLD, "date": NOW}, OLD),
        ({"last-modified": NOW, "date": NOW}, ""),
        ({"last-modified": OLD}, ""),
        ({"last-modified": "yesterday", "date": NOW}, ""),
        ({"last-modified": OLD, "date": "2026-11-02"}, ""),
        ({"etag": '"a"', "accept-ranges": "none"}, ""),
        ({"etag": '"a"', "content-encoding": "gzip"}, ""),
        ({"etag": '"a"', "transfer-encoding": "chunked"}, ""),
        ({}, ""),
    ],
)
def test_u11_only_a_strong_validator_and_a_known_length_let_a_download_be_taken_up(
    headers: dict[str, str], validator: str
) -> None:
    version = version_of({"content-length": "10", **headers})
    assert (version.validator if version else "") == validator


@pytest.mark.parametrize("length", ["", "-1", "+5", "1_0", "0x10", "5, 5", "٣", "9" * 40])
def test_lengths_that_are_none_are_not_believed(length: str) -> None:
    assert length_of({"content-length": length}) is None
    assert version_of({"content-length": length, "etag": '"a"'}) is None


def good_answer(here: Version, offset: int) -> dict[str, str]:
    last = here.total_bytes - 1
    name = "etag" if here.validator.startswith('"') else "last-modified"
    return {
        "content-range": f"bytes {offset}-{last}/{here.total_bytes}",
        "content-length": str(here.total_bytes - offset),
        name: here.validator,
    }


validators = st.sampled_from(['"a"', '""', OLD])


@given(validators, st.integers(1, 1 << 40), st.data())
def test_u11_the_rest_of_the_same_version_fits(validator: str, total: int, data: st.DataObject) -> None:
    offset = data.draw(st.integers(0, total - 1))
    here = Version(validator, total)
    assert judge_partial(here, offset, good_answer(here, offset)) is Splice.FITS


@given(
    validators,
    st.integers(1, 50),
    st.integers(0, 50),
    st.integers(0, 60),
    st.integers(0, 60),
    st.integers(0, 60),
    st.data(),
)
def test_u11_any_other_range_never_fits(
    validator: str, total: int, offset: int, first: int, last: int, said: int, data: st.DataObject
) -> None:
    here = Version(validator, total)
    length = data.draw(st.sampled_from([None, said, last - first + 1]))
    named = data.draw(st.sampled_from([validator, '"b"', 'W/"a"', ""]))
    headers = {"content-range": f"bytes {first}-{last}/{said}"}
    headers["etag" if validator.startswith('"') else "last-modified"] = named
    if length is not None:
        headers["content-length"] = str(length)
    fits = (first, last, said, named) == (offset, total - 1, total, validator) and offset < total
    fits = fits and (length is None or length == total - offset)
    assert (judge_partial(here, offset, headers) is Splice.FITS) == fits


@given(st.text(max_size=40), st.sampled_from(["content-range", "content-length", "etag", "content-encoding"]))
def test_u11_a_206_with_any_nonsense_in_it_does_not_fit(text: str, name: str) -> None:
    here = Version('"a"', 100)
    headers = good_answer(here, 40)
    if text.strip() and text.strip().lower() != headers.get(name, "identity"):
        told = judge_partial(here, 40, {**headers, name: text})
        # A length that cannot be read says nothing, so what else is there decides.
        assert told is not Splice.FITS or (name == "content-length" and length_of({name: text}) in {None, 60})


def test_u09_the_pace_is_measured_over_windows_and_after_a_while() -> None:
    pace = Pace(1000, now=0.0)
    assert pace.kept(1, 9.9)
    assert not pace.kept(1, 10.0)
    pace = Pace(1000, now=0.0)
    assert pace.kept(10_000, 10.0)
    assert pace.kept(1, 19.0)
    assert not pace.kept(1, 20.0)


def test_u09_what_we_did_not_read_is_not_the_hosts_doing() -> None:
    pace = Pace(1000, now=0.0)
    pace.excuse(60.0)
    assert pace.kept(1, 60.5)


def test_all_downloads_share_one_pace() -> None:
    clock = Hands()
    throttle = Throttle(1000, clock)
    assert throttle.claim(100) == 0.0
    assert throttle.claim(500) == pytest.approx(0.5)
    assert throttle.claim(500) == pytest.approx(1.0)
    clock.at += 60.0
    assert throttle.claim(1000) == pytest.approx(0.9), "an idle minute is not saved up"
    assert Throttle(0, clock).claim(1 << 40) == 0.0


def unpacked(encoding: str, data: bytes, step: int) -> bytes:
    decoder = decoder_for(encoding)
    assert decoder is not None
    plain = b"".join(piece for at in range(0, len(data), step) for piece in decoder.feed(data[at : at + step]))
    decoder.end()
    return plain


@given(
    st.binary(max_size=2000),
    st.integers(1, 500),
    st.sampled_from([("gzip", 31), ("x-gzip", 31), ("deflate", 15), ("DEFLATE", -15)]),
)
def test_compressed_bodies_come_out_as_they_went_in(data: bytes, step: int, how: tuple[str, int]) -> None:
    packer = zlib.compressobj(wbits=how[1])
    assert unpacked(how[0], packer.compress(data) + packer.flush(), step) == data


def test_u09_a_bomb_comes_out_in_pieces_of_a_bounded_size() -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = packer.compress(bytes(20 << 20)) + packer.flush()
    decoder = decoder_for("gzip")
    assert decoder is not None
    sizes = [len(piece) for piece in decoder.feed(bomb)]
    assert max(sizes) <= PIECE_BYTES
    assert sum(sizes) == 20 << 20


@pytest.mark.parametrize("encoding", ["br", "zstd", "compress", "gzip, gzip", "gzip;q=1"])
def test_other_encodings_are_refused(encoding: str) -> None:
    with pytest.raises(Stopped) as stopped:
        decoder_for(encoding)
    assert stopped.value.result.reason is Reason.UNSUPPORTED_ENCODING
    assert stopped.value.result.permanent


@pytest.mark.parametrize(("data", "reason"), [(b"no gzip at all", "protocol-error"), (b"", "connection-lost")])
def test_damaged_compression_is_told(data: bytes, reason: str) -> None:
    with pytest.raises(Stopped) as stopped:
        unpacked("gzip", data, 5)
    assert stopped.value.result.reason == reason


@pytest.mark.parametrize("status", [300, 305, 400, 401, 403, 404, 405, 408, 410, 418, 425, 429, 451])
@pytest.mark.parametrize("rest", [None, 7.0])
def test_u19_each_status_has_a_reason_and_is_permanent_or_not(status: int, rest: float | None) -> None:
    told = of_status(status, rest)
    assert told.reason in EXPLANATIONS
    assert told.permanent == (status not in {408, 425, 429})
    assert told.retry_after_seconds == (None if told.permanent else rest)
    assert told.blames_host == (status == 429)
    assert str(status) in told.detail


@pytest.mark.parametrize(
    ("status", "blames"), [(500, False), (502, True), (503, True), (504, True), (522, True), (507, False)]
)
def test_u19_a_failing_server_passes(status: int, blames: bool) -> None:
    told = of_status(status, None)
    assert (told.permanent, told.blames_host) == (False, blames)
    assert told.reason == (f"http-{status}" if status in {500, 502, 503, 504} else "http-error")


@pytest.mark.parametrize("status", [501, 505, 204, 226, 600])
def test_u19_what_time_does_not_change_is_permanent(status: int) -> None:
    assert of_status(status, 5.0).permanent
    assert of_status(status, 5.0).retry_after_seconds is None


@pytest.mark.parametrize(
    ("number", "reason"), [(28, "disk-full"), (122, "disk-full"), (5, "io-error"), (13, "io-error")]
)
def test_trouble_of_the_disk_passes_and_is_not_the_hosts(number: int, reason: str) -> None:
    told = of_disk(OSError(number, os.strerror(number)))
    assert (told.reason, told.permanent, told.blames_host) == (reason, False, False)


DIGEST = hashlib.sha256(b"picture").digest()
B64 = base64.b64encode(DIGEST).decode()


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ({"repr-digest": f"sha-256=:{B64}:"}, True),
        ({"repr-digest": f"sha-512=:{B64}{B64}:, sha-256=:{B64}:"}, True),
        ({"digest": f"SHA-256={B64}"}, True),
        ({"digest": f"md5=abc,sha-256={B64}"}, True),
        ({"content-digest": f"sha-256=:{B64}:"}, False),
        ({"repr-digest": "sha-256=:AAAA:"}, False),
        ({"digest": "sha-256=" + "=" * 44}, False),
        ({}, False),
    ],
)
def test_digests_that_answers_give(headers: dict[str, str], found: bool) -> None:
    assert content.digest_of(headers) == (DIGEST.hex() if found else "")


@pytest.mark.parametrize(
    ("tags", "rule"),
    [
        (["noai"], "noai"),
        (["nofollow, NoImageAI"], "noimageai"),
        (["index", "noindex"], "noindex"),
        (["none"], "none"),
        (["dropmill: noindex"], "noindex"),
        (["googlebot: noindex"], ""),
        (["googlebot: nofollow, noindex"], ""),
        (["googlebot: nofollow", "noai"], "noai"),
        (["unavailable_after: 25 Jun 2030 15:00:00 PST, noai"], "noai"),
        (["max-image-preview:none"], ""),
        (["all"], ""),
        ([], ""),
    ],
)
def test_robots_tags(tags: list[str], rule: str) -> None:
    assert forbidden_by(tags, "dropmill/1.0 (+https://host.example)") == rule


def refusal(head: bytes, name: bytes = b"", **fields: Any) -> str:
    wanted = asked_for("http://host.example/a.jpg", **fields).wanted
    try:
        content.check_kind(wanted, name, head, len(head), False)
    except Stopped as stopped:
        return stopped.result.reason
    return ""


def test_u12_the_kind_is_told_by_the_bytes_and_a_name_only_tells_camera_raw() -> None:
    tiff = b"II*\0\x08\0\0\0\0\0\0\0\0\0"
    assert refusal(b"<html>", b"a.jpg") == "not-an-image"
    assert refusal(b"<html>", b"a.pdf") == "not-an-image"
    assert refusal(b"%PDF-1.7", b"a.jpg") == "unsupported-format"
    assert refusal(tiff, b"a.jpg") == ""
    assert refusal(tiff, b"a.NEF") == "unsupported-format"
    assert refusal(jpeg(), b"a.nef") == ""
    assert refusal(b"\0\0\0\x18ftypheic\0\0\0\0heic") == "codec-missing"
    assert refusal(b"") == "empty"
    assert refusal(jpeg(), expected_type="jpeg") == ""
    assert refusal(jpeg(), expected_type="png") == "type-mismatch"


def sidecar(total_bytes: int = 10) -> Sidecar:
    told = Provenance("http://host.example/a.jpg", ("http://host.example/b",), status=200, etag='"a"')
    return Sidecar("http://host.example/a.jpg", '"a"', total_bytes, "this-boot", 1, told)


@pytest.mark.parametrize("rel", ["17", "ab/cdef"])
def test_u11_a_part_and_what_it_is_of_are_read_back(tmp_path: Path, rel: str) -> None:
    tmp_path.chmod(0o700)
    place = Place(bytes(tmp_path), rel.encode())
    part = Part.begin(place, sidecar())
    part.write(b"0123")
    part.close()
    assert Sidecar.read(place) == sidecar()
    again = Part.reopen(place, sidecar())
    assert again is not None
    assert (again.size_bytes, again.head) == (4, b"0123")
    again.write(b"456789")
    assert again.complete
    assert again.sha256 == hashlib.sha256(b"0123456789").hexdigest()
    signature = again.finish()
    again.close()
    assert signature.size_bytes == 10
    path = tmp_path / rel
    assert path.read_bytes() == b"0123456789"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    place.drop()
    assert os.listdir(path.parent) == [path.name]


def test_u11_a_sidecar_is_never_beside_bytes_of_another_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the process is killed while a part is begun anew, old bytes and new sidecar do not meet."""
    place = Place(bytes(tmp_path), b"ab/cdef")
    part = Part.begin(place, sidecar())
    part.write(b"old")
    part.close()
    seen = []

    def look(self: Sidecar, at: Place) -> None:
        seen.append((os.path.getsize(at.part), os.path.exists(at.sidecar)))

    monkeypatch.setattr(Sidecar, "write", look)
    Part.begin(place, sidecar(20)).close()
    assert seen == [(0, False)]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "{}", '{"provenance": {"chain": []}}', "\0" * 300, "[" * 10**5]
)
def test_u11_a_sidecar_that_was_cut_short_is_none(tmp_path: Path, text: str) -> None:
    place = Place(bytes(tmp_path), b"ab/cdef")
    (tmp_path / "ab").mkdir()
    (tmp_path / "ab/cdef.part.json").write_text(text)
    assert Sidecar.read(place) is None


def test_u11_a_sidecar_of_other_types_is_none(tmp_path: Path) -> None:
    place = Place(bytes(tmp_path), b"ab/cdef")
    Part.begin(place, sidecar()).close()
    path = tmp_path / "ab/cdef.part.json"
    for key, value in (("total_bytes", "10"), ("validator", ""), ("validator", '"a\r\nb"'), ("provenance", 5)):
        path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
        assert Sidecar.read(place) is None, key
        sidecar().write(place)
        assert Sidecar.read(place) is not None


def test_u11_a_part_that_is_longer_than_its_version_is_none(tmp_path: Path) -> None:
    place = Place(bytes(tmp_path), b"ab/cdef")
    part = Part.begin(place, sidecar(2))
    part.write(b"0123")
    part.close()
    assert Part.reopen(place, sidecar(2)) is None


def test_a_part_that_cannot_be_taken_up_again_is_removed_with_its_attempt(tmp_path: Path) -> None:
    part = Part.begin(Place(bytes(tmp_path), b"ab/cdef"), None)
    part.write(b"0123")
    part.close()
    assert os.listdir(tmp_path / "ab") == []


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("headers", {"Range": "bytes=0-1"}, "is set by dropmill itself"),
        ("headers", {"A B": "c"}, "is no name of a header"),
        ("headers", {"X-Key": "a\r\nHost: b"}, "does not suit a header"),
        ("headers", {"X-Key": " a"}, "without blanks around"),
        ("user_agent", "a\nb", "does not suit a header"),
        ("proxy", "proxy.example:3128", "is no proxy"),
        ("proxy", "http://u:p@ss@proxy.example", "more than one @"),
        ("proxy", "http://proxy.example:99999", "is no port"),
        ("proxy", "http://proxy.example/way", "a path"),
        ("connections", 0, "greater than or equal"),
    ],
)
def test_settings_that_would_spoil_a_request_are_refused(key: str, value: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Downloads(**{key: value})


def test_a_file_whose_close_fails_is_closed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its number may belong to another file by the second time (close(2))."""
    part = Part.begin(Place(bytes(tmp_path), b"cdef"), None)
    close, closed = os.close, []

    def failing(fd: int) -> None:
        close(fd)
        closed.append(fd)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr("os.close", failing)
        with pytest.raises(OSError, match="Input/output"):
            part.close()
        part.close()
    assert len(closed) == 1


def test_s12_a_download_has_its_name_once_its_bytes_are_durable_and_then_the_name_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    fsync, rename = os.fsync, os.rename

    def noting_fsync(fd: int) -> None:
        calls.append("folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file")
        fsync(fd)

    def noting_rename(source: bytes, target: bytes) -> None:
        calls.append("rename")
        rename(source, target)

    part = Part.begin(Place(bytes(tmp_path), b"cdef"), None)
    part.write(b"0123")
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", noting_fsync)
        patch.setattr("os.rename", noting_rename)
        part.finish()
    part.close()
    assert calls == ["file", "rename", "folder"]
    assert os.listdir(tmp_path) == ["cdef"]
