"""``dropmill index``: what is read, what is known afterwards, and what is left alone."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import anyio
import pytest
from library_bench import BROKEN, CRASHES, bench, put

from dropmill.model.fingerprint import FINGERPRINT_VERSION
from dropmill.model.work import WorkRequest
from dropmill.observe.facts import CataloguingEnded, CataloguingRefused, OlderHashes
from dropmill.store import boot, scans
from parts import modes_hold_for_root, need_root

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def run(*command: str) -> None:
    subprocess.run(command, check=True)


async def test_each_file_is_read_once_and_never_again_while_it_stays_as_it_is(tmp_path: Path) -> None:
    put(tmp_path / "lib", "a.jpg", "b/c.png", "b/d.TIFF", "b/same.jpg")
    shutil.copyfile(tmp_path / "lib/a.jpg", tmp_path / "lib/b/same.jpg")
    async with bench(tmp_path) as mill:
        first = await mill.index(tmp_path / "lib")
        assert (first["files"], first["indexed"], first["unchanged"]) == (4, 4, 0)
        assert first["total_files"] == 4
        assert first["read_bytes"] == first["total_bytes"] > 0
        assert sorted(mill.readers.read) == [
            os.fsencode(tmp_path / f"lib/{n}") for n in ("a.jpg", "b/c.png", "b/d.TIFF", "b/same.jpg")
        ]
        assert await mill.number("SELECT count(*) FROM images") == 3
        assert await mill.number("SELECT count(*) FROM uncompared") == 3
        mill.readers.read.clear()
        again = await mill.index(tmp_path / "lib")
        assert (again["files"], again["indexed"], again["unchanged"], again["read_bytes"]) == (4, 0, 4, 0)
        os.utime(tmp_path / "lib/a.jpg", ns=(1, 1))
        (tmp_path / "lib/b/c.png").write_bytes(b"\x89PNG\r\n\x1a\nother")
        third = await mill.index(tmp_path / "lib")
        assert (third["indexed"], third["unchanged"]) == (2, 2)
        assert await mill.number("SELECT count(*) FROM holdings") == 4
        assert not mill.readers.read.count(os.fsencode(tmp_path / "lib/b/d.TIFF"))


async def test_known_bytes_are_hashed_once_only(tmp_path: Path) -> None:
    put(tmp_path / "lib", "a.jpg", "b.jpg", data=b"\xff\xd8\xffsame")
    async with bench(tmp_path) as mill:
        await mill.index(tmp_path / "lib", workers=1)
        await mill.index(tmp_path / "lib")
        os.utime(tmp_path / "lib/a.jpg", ns=(5, 5))
        await mill.index(tmp_path / "lib")
        assert len(mill.readers.hashed) == 2  # The two of the first lot, of which neither was committed yet.
        assert len(mill.readers.read) == 3


async def test_the_rules_of_inboxes_say_what_is_a_picture(tmp_path: Path) -> None:
    lib = tmp_path / "lib"
    put(lib, "a.jpg", ".hidden.jpg", ".thumbnails/t.jpg", "@eaDir/t.jpg", "Thumbs.db", "x.part")
    put(lib, "raw.nef", "film.mov", data=b"no magic of ours")
    put(lib, "notes.txt", data=b"words")
    put(lib, "no-extension", data=b"\xff\xd8\xffjpeg all the same")
    (lib / "link.jpg").symlink_to("a.jpg")
    (lib / "loop").symlink_to(".")
    os.mkfifo(lib / "pipe.jpg")
    async with bench(tmp_path) as mill:
        told = await mill.index(lib)
        assert await mill.paths() == ["lib/a.jpg", "lib/no-extension"]
        assert (told["indexed"], told["refused"], told["ignored"]) == (2, 0, told["files"] - 2)
        heads = len(mill.readers.read)
        again = await mill.index(lib)
        assert (again["unchanged"], again["ignored"]) == (2, told["ignored"])
        assert len(mill.readers.read) == heads == 2


async def test_broken_files_are_told_by_reason_and_not_read_again(tmp_path: Path) -> None:
    put(tmp_path / "lib", "cut.jpg", data=BROKEN)
    put(tmp_path / "lib", "bomb.jpg", data=CRASHES)
    put(tmp_path / "lib", "a.jpg")
    async with bench(tmp_path) as mill:
        told = await mill.index(tmp_path / "lib")
        assert (told["indexed"], told["refused"]) == (1, 2)
        assert told["reasons"] == {"truncated": 1, "worker-crashed": 1}
        assert {Path(one["path"]).name: one["reason"] for one in told["refused_files"]} == {
            "cut.jpg": "truncated",
            "bomb.jpg": "worker-crashed",
        }
        assert mill.readers.read.count(os.fsencode(tmp_path / "lib/bomb.jpg")) == 2  # Once more, in case.
        assert len([fact for fact in mill.facts if isinstance(fact, CataloguingRefused)]) == 2
        mill.readers.read.clear()
        again = await mill.index(tmp_path / "lib")
        assert (again["refused"], again["reasons"], mill.readers.read) == (2, told["reasons"], [])
        put(tmp_path / "lib", "cut.jpg")
        mended = await mill.index(tmp_path / "lib")
        assert (mended["indexed"], mended["refused"]) == (1, 1)
        assert await mill.number("SELECT count(*) FROM refusals") == 1


async def test_what_a_limit_refused_is_read_again_under_another_limit(tmp_path: Path) -> None:
    put(tmp_path / "lib", "bomb.jpg", data=CRASHES)
    async with bench(tmp_path) as mill:
        await mill.index(tmp_path / "lib")
        mill.readers.read.clear()
        mill.settings = mill.settings.model_copy(
            update={"workers": mill.settings.workers.model_copy(update={"max_pixels": 5})}
        )
        await mill.index(tmp_path / "lib")
        assert mill.readers.read


async def test_w18_names_that_are_no_text_are_catalogued_under_their_bytes(tmp_path: Path) -> None:
    names = [b"caf\xe9.jpg", b"new\nline.jpg", b"\x1b[31mred.jpg", b"a" * 251 + b".jpg", b"dir\xff/x.jpg"]
    put(tmp_path / "lib", *names)
    async with bench(tmp_path) as mill:
        told = await mill.index(os.fsencode(tmp_path / "lib"))
        assert told["indexed"] == len(names)
        held = {os.fsencode(path) for path in await mill.paths()}
        assert held == {b"lib/" + name for name in names}
        inner = await mill.index(os.path.join(os.fsencode(tmp_path), b"lib/dir\xff"))
        assert (inner["unchanged"], inner["folders"]) == (1, [f"{tmp_path}/lib/dir\\xff"])


async def test_a_library_whose_own_name_is_no_text(tmp_path: Path) -> None:
    folder = os.path.join(os.fsencode(tmp_path), b"lib\xff")
    put(Path(os.fsdecode(folder)), "a.jpg")
    async with bench(tmp_path) as mill:
        assert (await mill.index(folder))["indexed"] == 1
        assert (await mill.index(folder))["unchanged"] == 1


async def test_folders_that_overlap_give_each_file_one_holding(tmp_path: Path) -> None:
    put(tmp_path / "lib", "a.jpg", "b/c.jpg", "b/d/e.jpg")
    (tmp_path / "other").symlink_to("lib/b")
    async with bench(tmp_path) as mill:
        await mill.index(tmp_path / "lib/b")
        told = await mill.index(tmp_path / "lib/b/d", tmp_path / "lib", tmp_path / "lib", tmp_path / "other")
        assert (told["files"], told["indexed"], told["unchanged"]) == (3, 1, 2)
        assert await mill.paths() == ["lib/a.jpg", "lib/b/c.jpg", "lib/b/d/e.jpg"]
        assert (await mill.index(tmp_path / "other"))["unchanged"] == 2
        assert len(mill.readers.read) == 3


async def test_the_folders_of_inboxes_are_left_out_and_an_archive_keeps_its_root(tmp_path: Path) -> None:
    async with bench(tmp_path) as mill:
        for folder in ("in", "out", "done", "lib", "state/downloads"):
            put(tmp_path / folder, "a.jpg")
        await mill.catalog.write(
            lambda session: boot.put_root(session, "archive", "camera", os.fsencode(tmp_path / "done"))
        )
        told = await mill.index(tmp_path)
        assert [kind for kind, _ in await mill.held()] == ["archive", "library"]
        assert await mill.paths() == ["done/a.jpg", "lib/a.jpg"]
        notes = " ".join(told["notes"])
        assert "the inbox camera" in notes
        assert "the output of camera" in notes
        assert "own state" in notes
        alone = await mill.index(tmp_path / "in")
        assert (alone["state"], alone["files"]) == ("done", 0)
        assert "the inbox camera" in alone["notes"][0]
        assert len(mill.readers.read) == 2


async def test_a_folder_that_became_an_inbox_belongs_to_it_alone(tmp_path: Path) -> None:
    put(tmp_path, "lib/a.jpg", "lib/new-inbox/b.jpg")
    async with bench(tmp_path) as mill:
        await mill.index(tmp_path / "lib")
        assert len(await mill.paths()) == 2
        inbox = mill.settings.inboxes[0].model_copy(update={"path": str(tmp_path / "lib/new-inbox")})
        mill.settings = mill.settings.model_copy(update={"inboxes": (inbox,)})
        await mill.indexer().start()
        assert await mill.paths() == ["lib/a.jpg"]
        told = await mill.index(tmp_path / "lib")
        assert (told["files"], told["unchanged"]) == (1, 1)


async def test_files_that_are_gone_lose_their_holding_and_renamed_ones_keep_their_image(tmp_path: Path) -> None:
    put(tmp_path / "lib", "a.jpg", "b.jpg", "c/d.jpg", "c/e.jpg")
    put(tmp_path / "lib", "bad.jpg", data=BROKEN)
    async with bench(tmp_path) as mill:
        await mill.index(tmp_path / "lib")
        os.rename(tmp_path / "lib/a.jpg", tmp_path / "lib/renamed.jpg")
        os.unlink(tmp_path / "lib/bad.jpg")
        shutil.rmtree(tmp_path / "lib/c")
        (tmp_path / "lib/b.jpg").unlink()
        (tmp_path / "lib/b.jpg").symlink_to("renamed.jpg")
        told = await mill.index(tmp_path / "lib")
        assert (told["vanished"], told["indexed"]) == (3, 1)  # The link is told as one.
        assert await mill.paths() == ["lib/renamed.jpg"]
        assert await mill.number("SELECT count(*) FROM images") == 4
        assert await mill.number("SELECT count(*) FROM refusals") == 1  # The link.


@pytest.mark.parametrize("how", ["missing", "empty", "a dotfile is left"])
async def test_w26_a_library_whose_disk_is_away_is_not_forgotten(tmp_path: Path, how: str) -> None:
    put(tmp_path / "lib", "a.jpg", "b/c.jpg")
    async with bench(tmp_path) as mill:
        await mill.index(tmp_path / "lib")
        os.rename(tmp_path / "lib", tmp_path / "away")
        if how != "missing":
            (tmp_path / "lib").mkdir()
        if how == "a dotfile is left":
            (tmp_path / "lib/.nothing").touch()
        told = await mill.index(tmp_path / "lib")
        assert (told["state"], told["vanished"]) == ("done", 0)
        assert "nothing of it is forgotten" in told["notes"][0]
        assert len(await mill.paths()) == 2


async def test_w26_a_disk_below_a_library_that_is_away_is_not_forgotten(tmp_path: Path) -> None:
    need_root()
    lib, disk = tmp_path / "lib", tmp_path / "lib/disk"
    put(lib, "a.jpg")
    disk.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk))
    try:
        put(disk, "b.jpg", "c/d.jpg")
        async with bench(tmp_path) as mill:
            assert (await mill.index(lib))["indexed"] == 3
            (disk / "b.jpg").unlink()
            assert (await mill.index(lib))["vanished"] == 1
            run("umount", str(disk))
            assert (await mill.index(lib))["vanished"] == 0
            assert await mill.paths() == ["lib/a.jpg", "lib/disk/c/d.jpg"]
            put(disk, "another.jpg")  # It is used without its disk from now on.
            assert (await mill.index(lib))["vanished"] == 1
            assert await mill.paths() == ["lib/a.jpg", "lib/disk/another.jpg"]
    finally:
        if os.path.ismount(disk):
            run("umount", str(disk))


async def test_a_scan_that_is_cut_off_goes_on_where_it_was(tmp_path: Path) -> None:
    put(tmp_path / "lib", *(f"{number}.jpg" for number in range(250)))
    async with bench(tmp_path) as mill:

        async def stop(_request: WorkRequest) -> None:
            if len(mill.readers.read) == 230:
                scope.cancel()
                await anyio.sleep_forever()

        mill.readers.meanwhile = stop
        with anyio.CancelScope() as scope:
            await mill.index(tmp_path / "lib")
        kept = len(await mill.paths())
        assert kept >= 200
        mill.readers.meanwhile = None
        mill.readers.read.clear()
        told = await mill.index(tmp_path / "lib")
        assert (told["unchanged"], told["indexed"], len(mill.readers.read)) == (kept, 250 - kept, 250 - kept)
        cut = await mill.row(1)
        assert (cut["state"], "cut off" in cut["detail"]) == ("failed", True)


async def test_a_scan_can_be_cancelled_and_keeps_what_it_has(tmp_path: Path) -> None:
    put(tmp_path / "lib", *(f"{number}.jpg" for number in range(50)))
    async with bench(tmp_path) as mill:
        indexer = mill.indexer()
        await indexer.start()
        scan_id = await indexer.begin([os.fsencode(tmp_path / "lib")], 1, False)

        async def cancel(_request: WorkRequest) -> None:
            if len(mill.readers.read) == 20:
                assert await indexer.cancel(scan_id)
                await anyio.sleep_forever()

        mill.readers.meanwhile = cancel
        await indexer.carry_out(await mill.row(scan_id), again=False)
        row = await mill.row(scan_id)
        assert (row["state"], row["indexed"]) == ("cancelled", 19)
        assert len(await mill.paths()) == 19
        assert not await indexer.cancel(scan_id)
        ended = [fact for fact in mill.facts if isinstance(fact, CataloguingEnded)]
        assert [fact.state for fact in ended] == ["cancelled"]


async def test_a_folder_that_leads_out_of_library_roots_by_now_is_not_read(tmp_path: Path) -> None:
    put(tmp_path / "lib", "a/1.jpg")
    put(tmp_path / "secret", "2.jpg")
    async with bench(tmp_path, library_roots=[f"{tmp_path}/lib"]) as mill:
        indexer = mill.indexer("daemon")
        wanted = [os.fsencode(tmp_path / "lib/a"), os.fsencode(tmp_path / "lib/door")]
        scan_id = await indexer.begin(wanted, 0, False)
        (tmp_path / "lib/door").symlink_to(tmp_path / "secret")
        await indexer.carry_out(await mill.row(scan_id), again=False)
        assert await mill.paths() == ["lib/a/1.jpg"]
        told = (await mill.row(scan_id))["told"]
        assert "outside library_roots" in told
        assert len(mill.readers.read) == 1


async def test_jobs_of_inboxes_go_first(tmp_path: Path) -> None:
    put(tmp_path / "lib", "a.jpg", "b.jpg")
    async with bench(tmp_path) as mill:
        mill.busy = 10_000
        async with anyio.create_task_group() as group:
            group.start_soon(mill.index, tmp_path / "lib")
            await anyio.wait_all_tasks_blocked()
            for _ in range(20):
                await anyio.sleep(0.01)
                assert not mill.readers.read
            mill.busy = 0
        assert len(mill.readers.read) == 2


async def test_what_is_behind_a_link_by_now_is_not_the_librarys_any_more(tmp_path: Path) -> None:
    put(tmp_path / "lib", "a.jpg", "shut/b.jpg")
    async with bench(tmp_path) as mill:
        await mill.index(tmp_path / "lib")
        (tmp_path / "lib/shut").rename(tmp_path / "elsewhere")
        (tmp_path / "lib/shut").symlink_to(tmp_path / "elsewhere")
        told = await mill.index(tmp_path / "lib")
        assert (told["vanished"], await mill.paths()) == (1, ["lib/a.jpg"])


async def test_a_folder_that_may_not_be_read_is_told_of_and_nothing_in_it_is_forgotten(tmp_path: Path) -> None:
    put(tmp_path / "lib", "a.jpg", "shut/b.jpg", "shut/c/d.jpg")
    async with bench(tmp_path) as mill:
        await mill.index(tmp_path / "lib")
        (tmp_path / "lib/shut").chmod(0)
        try:
            with modes_hold_for_root():  # Threads that begin in it are held too.
                told = await mill.index(tmp_path / "lib")
        finally:
            (tmp_path / "lib/shut").chmod(0o755)
        assert (told["state"], told["unchanged"], told["vanished"]) == ("done", 1, 0)
        assert told["notes"] == [f"{tmp_path}/lib/shut: Permission denied"]
        assert len(await mill.paths()) == 3
        assert (await mill.index(tmp_path / "lib"))["unchanged"] == 3


async def test_rehash_reads_what_an_earlier_version_hashed_and_nothing_else(tmp_path: Path) -> None:
    put(tmp_path / "lib", "a.jpg", "b.jpg", "gone.jpg", "changed.jpg")
    put(tmp_path / "other", "o.jpg")
    async with bench(tmp_path) as mill:
        mill.readers.version = FINGERPRINT_VERSION
        await mill.index(tmp_path / "lib", tmp_path / "other")
        await mill.change("UPDATE images SET fingerprint_version = 1, phash = 0 WHERE id <= 4")
        await mill.change("DELETE FROM uncompared")
        await mill.change("INSERT INTO pairs VALUES (1, 2, 'hash', 0, 0, 0, '', '')")
        await mill.indexer().start()
        assert [fact.images for fact in mill.facts if isinstance(fact, OlderHashes)] == [4]
        older = await mill.catalog.read(lambda session: scans.older(session, 0))
        assert len(older) == 4
        (tmp_path / "lib/gone.jpg").unlink()
        (tmp_path / "lib/changed.jpg").write_bytes(b"\xff\xd8\xffother")
        mill.readers.read.clear()
        told = await mill.index(rehash=True)
        left = 4 - told["indexed"]
        assert (told["rehash"], told["refused"], told["state"]) == (True, left, "done")
        assert await mill.catalog.read(scans.count_older) == left
        assert await mill.number("SELECT count(*) FROM uncompared") == told["indexed"]
        assert await mill.number("SELECT count(*) FROM pairs") == 0
        assert len(mill.readers.read) <= 3
        again = await mill.index(tmp_path / "other", rehash=True)
        assert (again["indexed"], again["ignored"]) == (0, left)


async def test_a_catalog_of_our_own_version_is_said_nothing_of(tmp_path: Path) -> None:
    put(tmp_path / "lib", "a.jpg")
    async with bench(tmp_path) as mill:
        await mill.index(tmp_path / "lib")
        await mill.change(f"UPDATE images SET fingerprint_version = {FINGERPRINT_VERSION + 1000}")
        await mill.indexer().start()
        assert not [fact for fact in mill.facts if isinstance(fact, OlderHashes)]
        assert (await mill.index(rehash=True))["files"] == 0


async def test_rehash_reads_what_has_no_hashes_of_its_parts_where_loose_wants_them(tmp_path: Path) -> None:
    """Its other hashes stay as they are, and so do the pairs that they make."""
    put(tmp_path / "lib", "a.jpg", "b.jpg")
    async with bench(tmp_path) as mill:
        await mill.index(tmp_path / "lib")
        assert await mill.number("SELECT count(*) FROM windows") == 0
        await mill.change("DELETE FROM uncompared")
        await mill.change("INSERT INTO pairs VALUES (1, 2, 'hash', 0, 0, 0, 'resized', '')")
    async with bench(tmp_path, dedupe={"loose": "flag"}) as mill:
        await mill.indexer().start()
        assert [fact.images for fact in mill.facts if isinstance(fact, OlderHashes)] == [2]
        assert (await mill.index(rehash=True))["indexed"] == 2
        assert await mill.number("SELECT count(*) FROM windows") == 2
        assert await mill.number("SELECT count(*) FROM uncompared") == 2
        assert await mill.number("SELECT count(*) FROM pairs WHERE relation = 'resized'") == 1
        assert (await mill.index(rehash=True))["files"] == 0
        put(tmp_path / "lib", "c.jpg")
        await mill.index(tmp_path / "lib")
        assert await mill.number("SELECT count(*) FROM windows") == 3
        # Hashed anew by another recipe without: what there was of the earlier one counts for nothing.
        await mill.change(f"UPDATE images SET fingerprint_version = {FINGERPRINT_VERSION + 1000} WHERE id = 1")
        assert await mill.catalog.read(lambda session: scans.count_older(session, windows=True)) == 1
        older = await mill.catalog.read(lambda session: scans.older(session, 0, windows=True))
        assert [row["id"] for row in older] == [1]
