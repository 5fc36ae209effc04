"""Reading one settled version, and staging its renditions (W05, S01, S02, S12)."""

from __future__ import annotations

import errno
import os
import socket
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import pictures
from dropmill.imaging import source, stage
from dropmill.imaging.recipe import process
from dropmill.model.file import Signature
from dropmill.model.image import Limits, Recipe, RenditionSpec
from dropmill.model.outcome import Reason
from dropmill.model.work import NotOurs, Recognised, Rejected, Superseded, Troubled
from imaging_help import LARGE, THUMB, WEB, Bench
from parts import modes_hold_for_root

PHOTO = pictures.jpeg()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_renditions_are_staged_under_job_and_epoch(bench: Bench) -> None:
    result = bench.good(PHOTO, name="a/b/picture.jpg")
    assert bench.left() == ["7-3-large", "7-3-thumb"]
    for rendered in result.renditions:
        found = (bench.staging / rendered.staged_name).stat()
        assert (found.st_ino, found.st_size) == (rendered.ino, rendered.size_bytes)
        assert stat.S_IMODE(found.st_mode) == 0o644


def test_mode_and_group_of_renditions_do_not_depend_on_the_umask(bench: Bench) -> None:
    before = os.umask(0o077)
    try:
        bench.run(bench.put(PHOTO), mode=0o664, gid=os.getgid())
    finally:
        os.umask(before)
    assert {stat.S_IMODE(path.stat().st_mode) for path in bench.staging.iterdir()} == {0o664}


def test_names_that_look_alike_once_sanitised_are_kept_apart(bench: Bench) -> None:
    specs = tuple(replace(THUMB, name=name) for name in ("a/b", "a b", "../x", "ok"))
    assert len({item.staged_name for item in bench.good(PHOTO, Recipe(specs)).renditions}) == 4
    assert all("/" not in name for name in bench.left())


def test_not_wanted_means_nothing_rendered(bench: Bench) -> None:
    result = process(bench.request(bench.put(PHOTO)), lambda preview: False)
    assert isinstance(result, Recognised)
    assert bench.left() == []
    assert result.content == bench.good(PHOTO).content
    assert (bench.previews[-1].pixels, bench.previews[-1].pages) == (640 * 480, 1)


def test_w05_a_version_that_changed_before_is_superseded(bench: Bench) -> None:
    request = bench.request(bench.put(PHOTO))
    bench.put(PHOTO + b"more")
    assert process(request, lambda preview: True) == Superseded()


def test_w05_a_file_that_grows_while_it_is_hashed_is_superseded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    request = bench.request(bench.put(PHOTO))
    read_all = source._read_all

    def grows(descriptor: int, size_bytes: int) -> bytes:
        data = read_all(descriptor, size_bytes)
        with (bench.inbox / "a.jpg").open("ab") as file:
            file.write(b"x")
        return data

    monkeypatch.setattr(source, "_read_all", grows)
    assert process(request, lambda preview: True) == Superseded()
    assert bench.left() == []


def test_w05_a_file_that_shrinks_while_it_is_read_is_superseded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    request = bench.request(bench.put(PHOTO))
    check = source._check_size
    monkeypatch.setattr(source, "_check_size", lambda *args: (check(*args), os.truncate(bench.inbox / "a.jpg", 100)))
    assert process(request, lambda preview: True) == Superseded()


def test_w05_a_file_that_is_gone_is_superseded(bench: Bench) -> None:
    request = bench.request(bench.put(PHOTO, "sub/a.jpg"))
    (bench.inbox / "sub/a.jpg").unlink()
    assert process(request, lambda preview: True) == Superseded()
    (bench.inbox / "sub").rmdir()
    assert process(request, lambda preview: True) == Superseded()


def test_s01_symlinks_are_not_followed(bench: Bench) -> None:
    (bench.inbox / "a.jpg").symlink_to("/etc/passwd")
    assert bench.run("a.jpg") == NotOurs(Reason.SYMLINK)


def test_s01_a_file_swapped_for_a_symlink_is_refused(bench: Bench) -> None:
    request = bench.request(bench.put(PHOTO))
    (bench.folder / "b.jpg").write_bytes(PHOTO)
    (bench.inbox / "a.jpg").unlink()
    (bench.inbox / "a.jpg").symlink_to(bench.folder / "b.jpg")
    assert process(request, lambda preview: True) == NotOurs(Reason.SYMLINK)


def test_s01_a_file_swapped_between_the_question_and_the_opening_is_refused(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = bench.request(bench.put(PHOTO))
    refuse = source._refuse_special

    def swaps(found: os.stat_result) -> None:
        refuse(found)
        (bench.inbox / "a.jpg").unlink(missing_ok=True)
        (bench.inbox / "a.jpg").symlink_to("/etc/passwd")

    def checks_for_real(*args: Any) -> int:
        monkeypatch.undo()
        return source._open_at(*args)

    monkeypatch.setattr(source, "_refuse_special", swaps)
    monkeypatch.setattr(source, "_open_at", checks_for_real)
    with pytest.raises(source.Stop) as stop:
        source.open_source(request)
    assert stop.value.result == NotOurs(Reason.SYMLINK)


def test_s01_symlinked_parents_are_not_followed(bench: Bench) -> None:
    request = bench.request(bench.put(PHOTO, "real/a.jpg"))
    (bench.inbox / "link").symlink_to("real")
    assert process(replace(request, rel=b"link/a.jpg"), lambda preview: True) == NotOurs(Reason.SYMLINK)


@pytest.mark.parametrize("rel", [b"../a.jpg", b"/etc/passwd", b"x/../../a.jpg", b"", b"x//a.jpg", b"./a.jpg"])
def test_s01_paths_outside_the_inbox_are_refused(bench: Bench, rel: bytes) -> None:
    request = replace(bench.request(bench.put(PHOTO)), rel=rel)
    result = process(request, lambda preview: True)
    assert isinstance(result, NotOurs) and result.reason is Reason.NOT_A_FILE


def test_s02_pipes_sockets_directories_and_devices_never_block(bench: Bench) -> None:
    os.mkfifo(bench.inbox / "pipe.jpg")
    (bench.inbox / "folder.jpg").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(bench.inbox / "socket.jpg"))
        for name in ("pipe.jpg", "folder.jpg", "socket.jpg"):
            assert bench.run(name) == NotOurs(Reason.NOT_A_FILE), name
    null = Signature.of(os.stat("/dev/null"))
    assert process(
        replace(bench.request("folder.jpg"), root=b"/dev", rel=b"null", signature=null), bench._wanted
    ) == NotOurs(Reason.NOT_A_FILE)


@pytest.mark.parametrize(
    ("data", "limits", "reason"),
    [
        (b"", Limits(), Reason.EMPTY),
        (b"", Limits(min_bytes=0), Reason.EMPTY),
        (PHOTO, Limits(min_bytes=len(PHOTO) + 1), Reason.TOO_SMALL),
        (PHOTO, Limits(max_bytes=len(PHOTO) - 1), Reason.TOO_LARGE),
        (PHOTO, Limits(max_pixels=640 * 480 - 1), Reason.TOO_LARGE),
    ],
)
def test_sizes_are_checked(bench: Bench, data: bytes, limits: Limits, reason: Reason) -> None:
    result = bench.of(data, limits=limits)
    assert isinstance(result, Rejected) and result.reason is reason


def test_w38_unreadable_names_the_ids_and_the_mode(bench: Bench) -> None:
    bench.put(PHOTO)
    (bench.inbox / "a.jpg").chmod(0)
    with modes_hold_for_root():
        result = bench.run("a.jpg")
    assert isinstance(result, Troubled) and result.reason is Reason.UNREADABLE
    assert f"uid {os.geteuid()}" in result.detail and "mode 0000" in result.detail


def test_w38_a_refused_read_is_unreadable(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    request = bench.request(bench.put(PHOTO))
    really = os.open

    def refuses(path: bytes, flags: int, *args: object, **more: object) -> int:
        if path == b"a.jpg":
            raise PermissionError(errno.EACCES, "Permission denied")
        return really(path, flags, *args, **more)

    monkeypatch.setattr(os, "open", refuses)
    result = process(request, lambda preview: True)
    assert isinstance(result, Troubled) and result.reason is Reason.UNREADABLE


@pytest.mark.parametrize(
    ("call", "number", "reason"),
    [
        ("write", errno.ENOSPC, Reason.DISK_FULL),
        ("fsync", errno.EDQUOT, Reason.DISK_FULL),
        ("fsync", errno.EIO, Reason.OUTPUT_UNAVAILABLE),
        ("read", errno.EIO, Reason.IO_ERROR),
        ("fchown", errno.EPERM, Reason.OUTPUT_UNAVAILABLE),
    ],
)
def test_s12_trouble_of_the_disk_leaves_nothing_staged(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, call: str, number: int, reason: Reason
) -> None:
    request = bench.request(bench.put(PHOTO), gid=os.getgid())

    def fails(*args: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, fails)
    result = process(request, lambda preview: True)
    monkeypatch.undo()
    assert isinstance(result, Troubled) and result.reason is reason
    assert bench.left() == []


def test_s12_a_staging_path_that_is_no_folder(bench: Bench) -> None:
    bench.put(PHOTO)
    result = process(replace(bench.request("a.jpg"), staging=b"/dev/full"), lambda preview: True)
    assert isinstance(result, Troubled) and result.reason is Reason.OUTPUT_UNAVAILABLE


def test_a_staged_file_of_another_is_neither_overwritten_nor_removed(bench: Bench) -> None:
    (bench.staging / "7-3-thumb").write_bytes(b"another's")
    result = bench.run(bench.put(PHOTO))
    assert isinstance(result, Troubled)
    assert bench.left() == ["7-3-thumb"]
    assert (bench.staging / "7-3-thumb").read_bytes() == b"another's"


def test_a_defect_costs_the_attempt_only(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "write_all", lambda *args: 1 // 0)
    result = bench.run(bench.put(PHOTO))
    assert isinstance(result, Troubled) and result.reason is Reason.UNEXPECTED
    assert "ZeroDivisionError" in result.detail
    assert bench.left() == []


def test_memory_is_trouble_of_the_machine(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*args: object) -> None:
        raise MemoryError

    monkeypatch.setattr(stage, "write_all", fails)
    result = bench.run(bench.put(PHOTO), WEB)
    assert isinstance(result, Troubled) and result.reason is Reason.MEMORY_LIMIT


def test_a_rendition_of_every_format_can_be_read_again(bench: Bench) -> None:
    for name in ("jpeg", "png", "webp", "avif"):
        picture = bench.only(PHOTO, RenditionSpec("x", "fit", 160, 160, format=name))
        assert picture.format == name.upper() and picture.size == (160, 120)
    assert bench.good(PHOTO, Recipe((LARGE,))).renditions[0].format == "jpeg"
