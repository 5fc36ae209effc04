"""Publication by PROTOCOL 7 to 9, on real files, killed between any two system calls, and met by other programs."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from crashing import dying, from_every_crash
from dropmill.files import fstype, rename
from dropmill.files.publish import Adopted, Lost, NameTaken, Published, publish, retire
from dropmill.files.roots import make_staging, sweep_staging
from parts import need_root

NEW = b"new rendition" * 1000
OLD = b"old rendition" * 900
FOREIGN = b"somebody else's" * 10
FINAL = b"sub/dir/IMG-large.jpg"


class Scene:
    """An output with one rendition staged; made anew for every crash point."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.count = 0
        self.replaces: int | None = None

    def fresh(self, at_final: bytes | None = None, *, replaces: bool = False) -> None:
        self.count += 1
        self.output = self.base / f"out{self.count}"
        self.output.mkdir()
        make_staging(os.fsencode(self.output))
        self.staged = self.output / ".dropmill" / "7-1-large"
        self.staged.write_bytes(NEW)
        self.ino = self.staged.stat().st_ino
        self.final = self.output / os.fsdecode(FINAL)
        self.replaces = None
        if at_final is not None:
            self.final.parent.mkdir(parents=True)
            self.final.write_bytes(at_final)
            self.replaces = self.final.stat().st_ino if replaces else None

    def publish(self):
        return publish(
            os.fsencode(self.output),
            self.staged.name,
            self.ino,
            hashlib.sha256(NEW).hexdigest(),
            len(NEW),
            FINAL,
            dir_mode=0o2775,
            replaces_ino=self.replaces,
        )

    def contents(self) -> list[bytes]:
        return sorted(path.read_bytes() for path in self.output.rglob("*") if path.is_file())

    def staging(self) -> list[str]:
        return sorted(os.listdir(self.output / ".dropmill"))


@pytest.fixture
def scene(tmp_path):
    return Scene(tmp_path)


@pytest.fixture(params=["renameat2", "links", "copies"])
def file_system(request, monkeypatch):
    """What the file system can do: everything, hard links only, or neither flags nor links."""
    if request.param == "renameat2":
        return request.param
    real = rename._renameat2

    def without_flags(src_dir_fd, src, dst_dir_fd, dst, flags):
        # The kernel itself sees a taken name before the file system says that it has no such flag.
        if flags == rename._RENAME_NOREPLACE and os.path.lexists(f"/proc/self/fd/{dst_dir_fd}/{os.fsdecode(dst)}"):
            return real(src_dir_fd, src, dst_dir_fd, dst, flags)
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(rename, "_renameat2", without_flags)
    if request.param == "copies":

        def no_links(*args, **kwargs):
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(os, "link", no_links)
        with_copies = fstype.MAY_LACK_LINKS | {fstype.EXT4, fstype.TMPFS, fstype.XFS, fstype.BTRFS, 0x794C7630}
        monkeypatch.setattr(rename, "MAY_LACK_LINKS", with_copies)
    return request.param


def test_q01_a_crash_anywhere_in_publishing_changes_nothing(scene, file_system):
    def check(result):
        assert isinstance(result, Published | Adopted)
        assert isinstance(result, Published) or file_system == "copies"
        assert scene.contents() == [NEW] and scene.staging() == []
        assert result.ino == scene.final.stat().st_ino
        assert scene.final.parent.stat().st_mode & 0o7777 == 0o2775
        assert [path.name for path in scene.output.rglob(".dropmill-*")] == []

    points = from_every_crash(scene.publish, scene.fresh, check)
    assert points >= 8


def test_q01_a_crash_anywhere_in_replacing_our_own_rendition(scene, file_system):
    def check(result):
        assert isinstance(result, Published | Adopted)
        assert isinstance(result, Published) or file_system == "copies"
        assert scene.contents() == [NEW] and scene.staging() == []

    points = from_every_crash(scene.publish, lambda: scene.fresh(OLD, replaces=True), check)
    assert points >= 4


def test_s04_a_foreign_file_is_never_overwritten(scene, file_system):
    def check(result):
        assert result == NameTaken()
        assert scene.final.read_bytes() == FOREIGN and scene.staged.read_bytes() == NEW

    from_every_crash(scene.publish, lambda: scene.fresh(FOREIGN), check)


def test_w36_a_byte_identical_file_is_adopted(scene):
    def check(result):
        assert result == Adopted(scene.final.stat().st_ino)
        assert scene.contents() == [NEW] and scene.staging() == []

    from_every_crash(scene.publish, lambda: scene.fresh(NEW), check)


@pytest.mark.parametrize("turn", range(8))
def test_s04_a_foreign_file_that_arrives_at_any_moment_survives(scene, file_system, turn):
    """Somebody renames a file over the final name just before our ``turn``-th change."""
    for replaces in (False, True):
        scene.fresh(OLD if replaces else None, replaces=replaces)
        acted = []

        def arrive(n, acted=acted):
            if n == turn and not acted:
                acted.append(n)
                scene.final.parent.mkdir(parents=True, exist_ok=True)
                other = scene.output / "other"
                other.write_bytes(FOREIGN)
                os.rename(other, scene.final)

        with dying(10_000, arrive):
            result = scene.publish()
        if isinstance(result, NameTaken | Lost):
            assert result == NameTaken() or acted
            assert FOREIGN in scene.contents()
        if isinstance(result, NameTaken):
            assert scene.staged.read_bytes() == NEW and scene.final.read_bytes() == FOREIGN
        elif acted:
            assert FOREIGN in scene.contents() or NEW in scene.contents()
            assert FOREIGN in scene.contents()


def test_protocol_8_a_lost_rendition_is_told_only_after_a_look_at_the_target(scene):
    scene.fresh()
    scene.staged.unlink()
    assert scene.publish() == Lost()
    scene.fresh(FOREIGN)
    scene.staged.unlink()
    assert scene.publish() == Lost()
    scene.fresh(NEW)
    scene.staged.unlink()
    assert isinstance(scene.publish(), Adopted)
    scene.fresh()
    scene.publish()
    assert isinstance(scene.publish(), Published)  # Already moved: ours by its inode.


def test_w20_an_inode_alone_does_not_make_a_target_ours(scene):
    scene.fresh(FOREIGN)
    scene.staged.unlink()
    scene.ino = scene.final.stat().st_ino
    assert scene.publish() == Lost()
    assert scene.final.read_bytes() == FOREIGN


@pytest.mark.parametrize("staged_again", [False, True])
def test_w20_a_foreign_file_of_equal_size_that_got_the_inode_of_a_lost_rendition(scene, staged_again):
    foreign = b"f" * len(NEW)
    scene.fresh(foreign)
    scene.staged.unlink()
    if staged_again:
        scene.staged.write_bytes(NEW)  # As out of a backup, under another inode.
    scene.ino = scene.final.stat().st_ino
    assert scene.publish() == (NameTaken() if staged_again else Lost())
    assert scene.final.read_bytes() == foreign
    assert scene.staged.exists() == staged_again


def test_protocol_8_a_missing_output_is_an_error_and_not_a_loss(scene):
    scene.fresh()
    os.rename(scene.output, scene.base / "unmounted")
    with pytest.raises(FileNotFoundError):
        scene.publish()
    scene.output.mkdir()  # The bare mount point.
    with pytest.raises(FileNotFoundError):
        scene.publish()


def test_s01_a_symlink_in_the_output_leads_nowhere(scene, tmp_path):
    scene.fresh()
    (tmp_path / "elsewhere").mkdir()
    (scene.output / "sub").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symlink"):
        scene.publish()
    assert os.listdir(tmp_path / "elsewhere") == []


def test_protocol_9_only_a_file_whose_inode_matches_is_retired(scene):
    def fresh():
        scene.fresh(OLD)
        scene.ino = scene.final.stat().st_ino

    def run():
        return retire(os.fsencode(scene.output), FINAL, scene.ino)

    def check(_result):
        assert not scene.final.exists() and scene.contents() == [NEW] and scene.staging() == ["7-1-large"]

    assert from_every_crash(run, fresh, check) >= 3
    fresh()
    assert run() is True
    assert run() is False
    fresh()
    assert retire(os.fsencode(scene.output), FINAL, scene.ino + 1) is False
    assert scene.final.read_bytes() == OLD


def test_protocol_9_a_file_that_arrives_while_ours_is_retired_stays(scene):
    for turn in range(5):
        scene.fresh(OLD)
        ino = scene.final.stat().st_ino

        def arrive(n, turn=turn):
            if n == turn:
                other = scene.output / "other"
                other.write_bytes(FOREIGN)
                os.rename(other, scene.final)

        with dying(100, arrive) as counter:
            retire(os.fsencode(scene.output), FINAL, ino)
        if counter.calls > turn:
            assert scene.final.read_bytes() == FOREIGN


def test_protocol_15_staging_is_swept_of_what_nobody_owes(scene):
    scene.fresh()
    staging = scene.output / ".dropmill"
    for name in ("8-1-thumb", "9-2-large", "9-2-large.old", "root-id", "notes.txt"):
        (staging / name).write_bytes(b"x")
    assert sorted(sweep_staging(os.fsencode(scene.output), {"9-2-large"})) == ["7-1-large", "8-1-thumb"]
    assert scene.staging() == ["9-2-large", "9-2-large.old", "notes.txt", "root-id"]


@pytest.fixture
def mounted(scene):
    """The folder of the rendition is a file system of its own, as a second disk or a volume of a container is."""
    need_root()
    scene.fresh()
    folder = scene.output / "sub"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)], check=True)
    scene.final.parent.mkdir()
    try:
        yield scene.final.parent
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_w25_a_folder_that_is_a_mount_of_its_own_gets_a_copy(scene, mounted):
    assert isinstance(scene.publish(), Published)
    assert scene.final.read_bytes() == NEW
    assert os.listdir(mounted) == [scene.final.name]
    assert scene.staging() == []


def test_w25_our_own_earlier_rendition_on_another_mount_is_replaced(scene, mounted):
    scene.final.write_bytes(OLD)
    scene.replaces = scene.final.stat().st_ino
    result = scene.publish()
    assert result == Published(scene.final.stat().st_ino)
    assert scene.final.read_bytes() == NEW
    assert os.listdir(mounted) == [scene.final.name]
    assert scene.staging() == []


def test_w25_a_foreign_file_on_another_mount_is_never_overwritten(scene, mounted):
    scene.final.write_bytes(FOREIGN)
    assert scene.publish() == NameTaken()
    assert scene.final.read_bytes() == FOREIGN
    assert os.listdir(mounted) == [scene.final.name]


def test_w25_a_rendition_on_another_mount_is_retired(scene, mounted):
    result = scene.publish()
    assert isinstance(result, Published)
    assert retire(os.fsencode(scene.output), FINAL, result.ino, hashlib.sha256(NEW).hexdigest())
    assert os.listdir(mounted) == []


def test_q01_a_crash_anywhere_in_a_copy_to_another_mount(scene, mounted):
    def begin(earlier: bytes | None) -> None:
        scene.staged.write_bytes(NEW)
        scene.ino = scene.staged.stat().st_ino
        for left in os.listdir(mounted):
            (mounted / left).unlink()
        scene.replaces = None
        if earlier is not None:
            scene.final.write_bytes(earlier)
            scene.replaces = scene.final.stat().st_ino

    def check(result):
        assert isinstance(result, Published | Adopted)
        assert scene.final.read_bytes() == NEW
        assert os.listdir(mounted) == [scene.final.name]
        assert scene.staging() == []

    assert from_every_crash(scene.publish, lambda: begin(None), check) >= 6
    assert from_every_crash(scene.publish, lambda: begin(OLD), check) >= 8
