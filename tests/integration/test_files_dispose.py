"""Disposal by PROTOCOL 10 to 12, on real files and two real file systems, killed between any two system calls."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import signal
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from crashing import Crash, dying, from_every_crash
from dropmill.files import copying, lease
from dropmill.files.access import closing, open_root
from dropmill.files.copying import copy_into
from dropmill.files.dispose import (
    AlreadyDone,
    Busy,
    Deleted,
    Gone,
    Moved,
    NotOurs,
    TargetTaken,
    already_moved,
    dispose,
)
from dropmill.files.moving import Target, passing_name
from dropmill.files.private import put_back
from dropmill.files.reason import write_reason
from dropmill.model.file import Signature
from dropmill.model.inbox import Inbox, Root
from dropmill.model.names import junk
from dropmill.model.publication import Disposal, Disposition
from dropmill.pipeline.dispose import take_out

BYTES = b"the original" * 5000
SHA256 = hashlib.sha256(BYTES).hexdigest()
OTHER = b"another version" * 100
XMP = b"<x:xmpmeta/>"
REL = b"sub/IMG.jpg"
MTIME_NS = 1_500_000_000_123_456_789

lease.ignore_sigio()


def other_file_system(near: Path) -> Path | None:
    """A folder on another file system than ``near``, or None where this machine has none to write to."""
    for place in ("/dev/shm", "/run", "/tmp"):
        if os.access(place, os.W_OK) and os.stat(place).st_dev != near.stat().st_dev:
            return Path(tempfile.mkdtemp(dir=place, prefix="dropmill-test-"))
    return None


class Scene:
    """An inbox with one original and its sidecar, and an archive; made anew for every crash point."""

    def __init__(self, base: Path, archives: Path) -> None:
        self.base, self.archives, self.count = base, archives, 0
        self.target: Target | None = None
        self.sha256: str | None = SHA256
        self.delete = False

    def fresh(self) -> None:
        self.count += 1
        self.inbox = self.base / f"in{self.count}"
        self.archive = self.archives / f"archive{self.count}"
        self.archive.mkdir()
        self.source = self.inbox / "sub" / "IMG.jpg"
        self.source.parent.mkdir(parents=True)
        self.source.write_bytes(BYTES)
        self.source.chmod(0o640)
        os.utime(self.source, ns=(MTIME_NS, MTIME_NS))
        (self.source.parent / "IMG.xmp").write_bytes(XMP)
        self.expected = Signature.of(self.source.stat())
        if not self.delete:
            self.target = Target(os.fsencode(self.archive), b"deep/sub/IMG.jpg")

    def dispose(self):
        return dispose(
            os.fsencode(self.inbox),
            REL,
            "12",
            self.expected,
            self.sha256,
            self.target,
            delete=self.delete,
            companions=("xmp", "mov"),
        )

    def inbox_files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.inbox.rglob("*") if path.is_file()}

    def archive_files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.archive.rglob("*") if path.is_file()}

    def everything(self) -> list[bytes]:
        return [*self.inbox_files().values(), *self.archive_files().values()]


@pytest.fixture(params=["same file system", "other file system"])
def scene(request, tmp_path):
    if request.param == "same file system":
        yield Scene(tmp_path, tmp_path)
        return
    other = other_file_system(tmp_path)
    if other is None:
        pytest.skip("no second file system to write to here")
    yield Scene(tmp_path, other)
    shutil.rmtree(other)


@pytest.fixture
def near(tmp_path):
    return Scene(tmp_path, tmp_path)


def test_w31_moving_the_original_keeps_times_permissions_and_companions(scene):
    def check(result):
        assert isinstance(result, Moved | AlreadyDone) and result.name == b"deep/sub/IMG.jpg"
        assert scene.inbox_files() == {}
        assert scene.archive_files() == {"IMG.jpg": BYTES, "IMG.xmp": XMP}
        moved = (scene.archive / "deep/sub/IMG.jpg").stat()
        assert (moved.st_mtime_ns, moved.st_mode & 0o7777) == (MTIME_NS, 0o640)

    assert from_every_crash(scene.dispose, scene.fresh, check) >= 10
    assert isinstance(scene.dispose(), AlreadyDone)


def test_w29_an_original_that_vanishes_after_the_copy_is_a_success(scene):
    scene.fresh()
    turns = 0
    while True:
        scene.fresh()

        def vanish(n, turn=turns):
            if n == turn and (scene.archive / "deep/sub/IMG.jpg").exists():
                for path in scene.source.parent.glob(".dropmill-12"):
                    path.unlink()

        with dying(1000, vanish) as counter:
            result = scene.dispose()
        assert isinstance(result, Moved) and scene.archive_files()["IMG.jpg"] == BYTES
        if counter.calls <= turns:
            break
        turns += 1


def test_w32_no_name_of_our_own_is_ever_more_than_junk(scene):
    scene.fresh()
    known = {"IMG.jpg", "IMG.xmp"}

    def look_around(_n):
        for directory in (scene.inbox, scene.archive):
            for path in directory.rglob("*"):
                if path.name not in known | {"sub", "deep"}:
                    assert junk(os.fsencode(path.name)), path

    with dying(1000, look_around):
        assert isinstance(scene.dispose(), Moved)


@pytest.mark.parametrize("how", ["replaced", "rewritten", "new arrival"])
def test_w23_a_new_version_that_comes_at_any_moment_is_never_lost(scene, how):
    turn = 0
    while True:
        scene.fresh()
        acted = []

        def interfere(n, turn=turn, acted=acted):
            if n != turn:
                return
            acted.append(n)
            if how == "rewritten" and scene.source.exists():
                scene.source.write_bytes(OTHER)
            else:
                temporary = scene.source.parent / "upload"
                temporary.write_bytes(OTHER)
                if how == "new arrival" and scene.source.exists():
                    temporary.unlink()
                else:
                    temporary.rename(scene.source)

        with dying(1000, interfere) as counter:
            result = scene.dispose()
        happened = OTHER in scene.everything()
        if happened:
            # In the inbox, as a file of its own: it will become a job. Never archived as if it were ours.
            assert OTHER in scene.inbox_files().values(), (how, turn, result)
            assert OTHER not in scene.archive_files().values()
        if BYTES not in scene.everything():
            assert how != "new arrival" and isinstance(result, NotOurs)
        assert not any(name.startswith(".dropmill-") for name in scene.inbox_files())
        if counter.calls <= turn:
            break
        turn += 1


def test_w23_a_version_that_is_not_ours_is_told_and_left(near):
    near.fresh()
    near.source.write_bytes(OTHER)
    assert near.dispose() == NotOurs(REL)
    assert near.inbox_files() == {"IMG.jpg": OTHER, "IMG.xmp": XMP}
    assert near.archive_files() == {}


def test_w23_what_an_interrupted_copy_brought_home_is_told_although_its_private_name_was_rewritten(near):
    near.fresh()
    private = near.source.with_name(".dropmill-12")
    near.source.rename(private)
    goal = near.archive / "deep" / "sub" / "IMG.jpg"
    goal.parent.mkdir(parents=True)
    goal.write_bytes(BYTES)
    private.write_bytes(OTHER)
    assert near.dispose() == AlreadyDone(b"deep/sub/IMG.jpg", left=REL)
    assert near.source.read_bytes() == OTHER
    assert near.archive_files()["IMG.jpg"] == BYTES


@pytest.mark.parametrize("there", [None, OTHER])
def test_s12_a_copy_that_a_failing_disk_kept_from_being_removed_goes_with_the_next_call(near, there):
    near.fresh()
    goal = near.archive / "deep" / "sub"
    goal.mkdir(parents=True)
    with closing(open_root(os.fsencode(near.source.parent))) as dir_fd:
        left = goal / os.fsdecode(passing_name(dir_fd, b".dropmill-12"))
    left.write_bytes(BYTES[:10])
    near.source.unlink()
    if there is not None:
        near.source.write_bytes(there)
    assert isinstance(near.dispose(), Gone | NotOurs)
    assert not left.exists()


def test_q01_what_is_moved_already_is_known_without_its_anchor(near):
    near.fresh()

    def moved():
        return already_moved(os.fsencode(near.inbox), REL, "12", near.expected, SHA256, near.target)

    assert not moved()
    near.source.rename(near.source.with_name(".dropmill-12"))
    assert not moved()
    assert isinstance(near.dispose(), Moved)
    assert moved()
    near.source.write_bytes(OTHER)
    assert moved()
    (near.archive / "deep" / "sub" / "IMG.jpg").write_bytes(OTHER)
    assert not moved()


def test_w23_put_back_gives_way_to_a_new_arrival(near):
    near.fresh()
    near.source.rename(near.source.parent / ".dropmill-12")
    (near.source.parent / ".dropmill-12").write_bytes(OTHER)
    near.source.write_bytes(b"newest")
    assert near.dispose() == NotOurs(b"sub/IMG~returned-12.jpg")
    assert near.inbox_files() == {"IMG.jpg": b"newest", "IMG~returned-12.jpg": OTHER, "IMG.xmp": XMP}


def test_protocol_11_an_open_writer_sends_the_original_back(near, tmp_path):
    if not lease.believed(os.fsencode(tmp_path)):
        pytest.skip("leases mean nothing on this file system")
    near.fresh()
    with near.source.open("r+b"):
        assert near.dispose() == Busy()
        assert near.inbox_files() == {"IMG.jpg": BYTES, "IMG.xmp": XMP}
    with (near.source.parent / "IMG.xmp").open("r+b"):
        assert near.dispose() == Busy()  # The image is moved, the companion waits.
        assert near.inbox_files() == {"IMG.xmp": XMP}
    assert isinstance(near.dispose(), AlreadyDone)
    assert near.archive_files() == {"IMG.jpg": BYTES, "IMG.xmp": XMP}


def test_s04_a_taken_target_is_told_before_anything_moves(scene):
    scene.fresh()
    target = scene.archive / "deep/sub/IMG.jpg"
    target.parent.mkdir(parents=True)
    target.write_bytes(OTHER)
    assert scene.dispose() == TargetTaken()
    assert scene.inbox_files() == {"IMG.jpg": BYTES, "IMG.xmp": XMP}
    scene.target = Target(os.fsencode(scene.archive), b"deep/sub/IMG~0123abcd.jpg")
    assert isinstance(scene.dispose(), Moved)
    assert scene.archive_files() == {"IMG.jpg": OTHER, "IMG~0123abcd.jpg": BYTES, "IMG~0123abcd.xmp": XMP}


def test_w36_the_same_bytes_at_the_target_are_adopted(scene):
    def fresh():
        scene.fresh()
        target = scene.archive / "deep/sub/IMG.jpg"
        target.parent.mkdir(parents=True)
        target.write_bytes(BYTES)
        target.with_name("IMG.xmp").write_bytes(OTHER)

    def check(result):
        assert isinstance(result, Moved | AlreadyDone)
        assert scene.inbox_files() == {}
        digest = hashlib.sha256(XMP).hexdigest()[:8]
        assert scene.archive_files() == {"IMG.jpg": BYTES, "IMG.xmp": OTHER, f"IMG~{digest}.xmp": XMP}

    from_every_crash(scene.dispose, fresh, check)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EIO])
def test_w25_an_original_that_cannot_be_moved_is_where_it_was(scene, monkeypatch, code):
    """The error of a disk can only be given by hand; it comes at any of the changing calls."""
    turn = 0
    while True:
        scene.fresh()

        def fail(n, turn=turn):
            if n == turn:
                raise OSError(code, os.strerror(code))

        with dying(1000, fail) as counter, contextlib.suppress(OSError):
            scene.dispose()
        assert BYTES in scene.everything() and XMP in scene.everything()
        assert isinstance(scene.dispose(), Moved | AlreadyDone)
        assert scene.archive_files() == {"IMG.jpg": BYTES, "IMG.xmp": XMP} and scene.inbox_files() == {}
        if counter.calls <= turn:
            break
        turn += 1


def test_w25_a_missing_archive_leaves_the_original_alone(near):
    near.fresh()
    near.archive.rmdir()
    with pytest.raises(FileNotFoundError):
        near.dispose()
    assert near.inbox_files() == {"IMG.jpg": BYTES, "IMG.xmp": XMP}


def test_deleting_removes_exactly_the_version_that_was_processed(near):
    near.delete = True

    def check(result):
        assert isinstance(result, Deleted | Gone)
        assert near.inbox_files() == {"IMG.xmp": XMP}

    assert from_every_crash(near.dispose, near.fresh, check) >= 3
    near.fresh()
    near.source.write_bytes(BYTES[::-1])  # In place, same size, and a tool restores the time.
    os.utime(near.source, ns=(MTIME_NS, MTIME_NS))
    assert near.dispose() == NotOurs(REL)
    assert near.inbox_files() == {"IMG.jpg": BYTES[::-1], "IMG.xmp": XMP}


def test_w29_a_vanished_original_is_gone_and_its_folder_too(near):
    near.fresh()
    near.source.unlink()
    assert near.dispose() == Gone()
    shutil.rmtree(near.source.parent)
    assert near.dispose() == Gone()
    near.inbox.rmdir()
    with pytest.raises(FileNotFoundError):
        near.dispose()


def test_unhashed_originals_are_known_by_size_and_time(near):
    near.sha256 = None
    near.fresh()
    assert isinstance(near.dispose(), Moved)
    assert isinstance(near.dispose(), AlreadyDone)


def test_a_damaged_copy_is_thrown_away(tmp_path, monkeypatch):
    other = other_file_system(tmp_path)
    if other is None:
        pytest.skip("no second file system to write to here")
    try:
        scene = Scene(tmp_path, other)
        scene.fresh()
        monkeypatch.setattr(copying, "sha256_of", lambda fd: "0" * 64)  # The disk reads back something else.
        with pytest.raises(OSError, match="changed while it was copied"):
            scene.dispose()
        assert scene.inbox_files() == {"IMG.jpg": BYTES, "IMG.xmp": XMP} and scene.archive_files() == {}
    finally:
        shutil.rmtree(other)


def test_protocol_15_stray_private_names_are_put_back(near):
    near.fresh()
    directory = near.source.parent
    near.source.rename(directory / ".dropmill-12")
    (directory / "IMG.xmp").rename(directory / ".dropmill-12+s.xmp")
    root = os.fsencode(near.inbox)
    assert put_back(root, b"sub/.dropmill-12+s.xmp", b"IMG.jpg") == b"sub/IMG.xmp"
    assert put_back(root, b"sub/.dropmill-12", b"IMG.jpg") == REL
    assert near.inbox_files() == {"IMG.jpg": BYTES, "IMG.xmp": XMP}
    near.source.rename(directory / ".dropmill-13")
    assert put_back(root, b"sub/.dropmill-13") == b"sub/returned-13"
    with pytest.raises(ValueError, match="private"):
        put_back(root, b"sub/returned-13")


def test_the_reason_stands_beside_the_quarantined_file(tmp_path):
    (tmp_path / "quarantine").mkdir()
    target = Target(os.fsencode(tmp_path / "quarantine"), b"sub/x.jpg")
    note = tmp_path / "quarantine/sub/x.jpg.reason.json"
    old, new = (json.dumps({"reason": reason}).encode() for reason in ("truncated", "corrupt"))

    def run():
        return write_reason(target, new)

    def fresh():
        note.parent.mkdir(exist_ok=True)
        note.write_bytes(old)

    def check(name):
        assert name == b"sub/x.jpg.reason.json" and note.read_bytes() == new
        assert os.listdir(note.parent) == ["x.jpg.reason.json"]

    from_every_crash(run, fresh, check)
    note.write_bytes(b"somebody's notes")
    name = run()
    assert name != b"sub/x.jpg.reason.json" and note.read_bytes() == b"somebody's notes"
    assert (tmp_path / "quarantine" / os.fsdecode(name)).read_bytes() == new
    assert len(os.path.basename(write_reason(Target(target.root, b"y" * 250 + b".jpg"), new))) <= 255


def test_an_unfinished_note_goes_once_its_original_has_left_the_quarantine(near):
    """The daemon died while it wrote the note, and the original is not there any more when it looks again."""
    unfinished = 0
    for steps in range(30):
        near.fresh()
        inbox_path, quarantine = os.fsencode(near.inbox), Root(2, os.fsencode(near.archive))
        inbox = cast(Inbox, SimpleNamespace(companions=(), archive=None, duplicates=None, quarantine=quarantine))
        disposal = Disposal(
            id=1,
            job_id=12,
            inbox="in",
            disposition=Disposition.QUARANTINE,
            root=inbox_path,
            rel=REL,
            signature=near.expected,
            sha256=SHA256,
            anchor_image_id=None,
            target=quarantine.path,
            target_name=REL,
            attempts=0,
            reason="corrupt",
            detail="",
        )
        with contextlib.suppress(Crash), dying(steps):
            take_out(disposal, REL, inbox)
        if any(name.startswith(".dropmill-reason-") for name in near.archive_files()):
            unfinished += 1
            (near.archive / "sub" / "IMG.jpg").unlink()
            assert take_out(disposal, REL, inbox) == Gone()
            assert near.archive_files() == {}
    assert unfinished


def test_adding_copies_whole_or_not_at_all(tmp_path):
    source, inbox = tmp_path / "photo.jpg", tmp_path / "inbox"
    inbox.mkdir()
    source.write_bytes(BYTES)

    def add(name=b"photo.jpg"):
        return copy_into(os.fsencode(source), os.fsencode(inbox), name)

    def visible():
        return {path.name: path.read_bytes() for path in inbox.iterdir() if not path.name.startswith(".")}

    points = 0
    while True:
        with dying(points) as counter:
            try:
                assert add() == b"photo.jpg"
            except Crash:
                assert visible() in ({}, {"photo.jpg": BYTES})
        for left in inbox.iterdir():
            left.unlink()
        if not counter.died:
            break
        points += 1
    assert points >= 4
    assert add() == add() == b"photo.jpg"
    source.write_bytes(OTHER)
    assert add() == b"photo~" + hashlib.sha256(OTHER).hexdigest()[:8].encode() + b".jpg"
    assert visible()["photo.jpg"] == BYTES and len(visible()) == 2


def test_w19_a_copy_on_its_way_into_an_inbox_is_swept_only_once_its_writer_is_dead(tmp_path, monkeypatch):
    inbox = tmp_path / "in"
    inbox.mkdir()
    source = tmp_path / "a.jpg"
    source.write_bytes(b"x" * 5000)
    written, go_on = os.pipe()
    child = os.fork()
    if child == 0:
        real = copying._copy_bytes

        def slow(source_fd, copy_fd):
            real(source_fd, copy_fd)
            os.write(go_on, b".")
            signal.pause()

        copying._copy_bytes = slow
        try:
            copying.copy_into(os.fsencode(source), os.fsencode(inbox), b"a.jpg")
        finally:
            os._exit(1)
    assert os.read(written, 1) == b"."
    try:
        assert copying.sweep_added(os.fsencode(inbox), 0) == []
        assert len(os.listdir(inbox)) == 1
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert len(copying.sweep_added(os.fsencode(inbox), 0)) == 1
    assert os.listdir(inbox) == []


def test_w19_an_empty_copy_is_swept_once_no_writer_can_be_about_to_lock_it(tmp_path):
    old, young = tmp_path / ".dropmill-add-4711-1", tmp_path / ".dropmill-add-4712-2"
    for path, mtime_ns in ((old, MTIME_NS), (young, MTIME_NS + 1)):
        path.touch()
        os.utime(path, ns=(mtime_ns, mtime_ns))
    assert copying.sweep_added(os.fsencode(tmp_path), MTIME_NS + 1) == [os.fsencode(old.name)]
    assert young.exists()
