"""``dropmill index`` and ``dropmill forget`` as a person uses them: with a daemon, without one, and with one that is killed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import apsw
import httpx
import pytest

import pictures
from harness import PROGRAM, Mill, clean_environment

pytestmark = pytest.mark.long


def photo(seed: int, **options: object) -> bytes:
    return pictures.jpeg(pictures.photo(160, 120, seed), **options)


def library(folder: Path, count: int) -> Path:
    """``count`` pictures, one of them twice and one again at another quality, and a few files that are none."""
    (folder / "2024" / "May").mkdir(parents=True)
    for seed in range(count - 2):
        (folder / ("2024/May" if seed % 2 else "2024") / f"IMG_{seed:04}.jpg").write_bytes(photo(seed))
    (folder / "copy.jpg").write_bytes(photo(0))
    (folder / "saved again.jpg").write_bytes(photo(1, quality=50))
    (folder / "cut.jpg").write_bytes(photo(2)[:2000])
    (folder / "notes.txt").write_text("no picture")
    (folder / ".hidden.jpg").write_bytes(photo(3))
    return folder


def state_of(folder: Path) -> dict[str, tuple[int, int, str]]:
    """Every file with size, mtime and digest."""
    return {
        str(path.relative_to(folder)): (
            path.stat().st_size,
            path.stat().st_mtime_ns,
            hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def index(mill: Mill, *arguments: str | Path, code: int = 3) -> dict[str, Any]:
    done = mill.run("index", *map(str, arguments), "--json")
    assert done.returncode == code, done.stdout + done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def rows(mill: Mill, query: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(
        apsw.Connection(str(mill.state / "catalog.db"), flags=apsw.SQLITE_OPEN_READONLY)
    ) as catalog:
        catalog.set_busy_timeout(10_000)
        return catalog.execute(query).fetchall()


def test_a_library_is_catalogued_without_a_daemon_and_its_duplicates_are_told_at_once(tmp_path: Path) -> None:
    mill, lib = Mill(tmp_path / "mill"), library(tmp_path / "lib", 12)
    before = state_of(lib)
    done = mill.run("index", str(lib))
    assert done.returncode == 3
    assert "14 files looked at: 12 indexed, 0 unchanged, 1 passed over, 1 refused (1 truncated)" in done.stdout
    assert f"{lib}/cut.jpg: truncated" in done.stdout
    groups = json.loads(mill.run("duplicates", "--json").stdout)
    assert {frozenset(Path(member["path"]).name for member in group["members"]) for group in groups} == {
        frozenset({"copy.jpg", "IMG_0000.jpg"}),
        frozenset({"saved again.jpg", "IMG_0001.jpg"}),
    }
    again = index(mill, lib)
    assert (again["indexed"], again["unchanged"], again["read_bytes"]) == (0, 12, 0)
    assert state_of(lib) == before
    assert not list(mill.output.rglob("*")) if mill.output.exists() else True
    assert "catalogued in place" in mill.run("why", str(lib / "copy.jpg")).stdout
    assert "cannot be catalogued: truncated" in mill.run("why", str(lib / "cut.jpg")).stdout


def test_with_a_daemon_only_what_lies_below_library_roots_is_catalogued(tmp_path: Path) -> None:
    lib = library(tmp_path / "lib", 8)
    mill = Mill(tmp_path / "mill")
    mill.start()
    refused = mill.run("index", str(lib))
    assert refused.returncode != 0
    assert "outside library_roots" in refused.stderr
    assert f'library_roots = ["{lib}"]' in refused.stderr
    mill.configure(top={"library_roots": [str(tmp_path / "lib")]})
    assert mill.run("reload").returncode == 0
    (tmp_path / "door").symlink_to(lib)
    (lib / "way-out").symlink_to(mill.inbox)
    # Where a link of one's own leads is looked up by the command; the daemon follows none from outside.
    door = httpx.post(f"{mill.address}/api/v1/index", json={"folders": [str(tmp_path / "door")]})
    assert (door.status_code, door.json()["reason"]) == (403, "outside-library-roots")
    for outside in (tmp_path, lib / "way-out", Path("/etc")):
        assert "outside library_roots" in mill.run("index", str(outside)).stderr, outside
    for ours, what in ((mill.inbox, "the inbox"), (mill.output, "the output"), (mill.state, "dropmill's own state")):
        hint = " ".join(mill.run("index", str(ours)).stderr.split())
        assert f"name another folder: it is {what}" in hint and "library_roots = [" not in hint, ours
    told = index(mill, tmp_path / "door", "--workers", "0")
    assert told["folders"] == [str(lib)]
    assert (told["indexed"], told["refused"], told["state"]) == (8, 1, "done")
    assert told["reasons"] == {"truncated": 1}
    mill.wait_for(lambda: len(json.loads(mill.run("duplicates", "--json").stdout)) == 2)
    listed = json.loads(mill.run("index", "--list", "--json").stdout)
    assert [one["id"] for one in listed] == [told["id"]]
    ended = mill.run("index", "--cancel", str(told["id"]))
    assert ended.returncode == 1
    assert "has ended" in ended.stderr
    # What is dropped is held against what is catalogued.
    mill.drop("again.jpg", (lib / "copy.jpg").read_bytes())
    mill.wait_for(lambda: [job["state"] for job in mill.jobs()] == ["completed"])
    assert mill.metric("dropmill_catalogued_files_total") == 11


def test_a_scan_of_a_killed_daemon_is_taken_up_by_the_next(tmp_path: Path) -> None:
    lib = tmp_path / "lib"
    lib.mkdir()
    for seed in range(400):
        (lib / f"{seed}.jpg").write_bytes(pictures.jpeg(pictures.photo(64, 48, seed)))
    mill = Mill(tmp_path / "mill", top={"library_roots": [str(lib)]})
    mill.start()
    beside = subprocess.Popen(
        [PROGRAM, "index", str(lib), "--config", str(mill.config)],
        env=clean_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    mill.wait_for(lambda: rows(mill, "SELECT count(*) FROM holdings")[0][0] >= 100)
    mill.kill()
    assert beside.wait(60) == 4
    kept = rows(mill, "SELECT count(*) FROM holdings")[0][0]
    mill.start()
    mill.wait_for(lambda: rows(mill, "SELECT state FROM scans") == [("done",)])
    [(unchanged, indexed)] = rows(mill, "SELECT unchanged, indexed FROM scans")
    assert (unchanged, unchanged + indexed) == (kept, 400)
    assert rows(mill, "SELECT count(*), count(DISTINCT rel) FROM holdings") == [(400, 400)]


@pytest.mark.long
@pytest.mark.timeout(600)
def test_sigkills_while_a_library_is_catalogued_cost_no_more_than_a_lot_each(tmp_path: Path) -> None:
    seed = int(os.environ.get("DROPMILL_TEST_SEED", "0")) or random.SystemRandom().randrange(1 << 32)
    print(f"\nDROPMILL_TEST_SEED={seed}")
    chance = random.Random(seed)
    mill, lib = Mill(tmp_path / "mill"), tmp_path / "lib"
    lib.mkdir()
    command = [PROGRAM, "index", str(lib), "--json", "--config", str(mill.config)]
    made = cut = 0
    while cut < 6:
        held = held_now(mill)
        # However far the last one came, there is always more to do than one does at once.
        for number in range(made, held + 300):
            (lib / f"{number}.jpg").write_bytes(pictures.jpeg(pictures.photo(64, 48, number)))
        made = held + 300
        process = subprocess.Popen(
            command, env=clean_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        # Half of them die after they have committed something, the others at any time.
        wanted = held + 1 if chance.random() < 0.5 else 0
        deadline = time.monotonic() + (30 if wanted else chance.uniform(0.2, 1.5))
        while process.poll() is None and time.monotonic() < deadline and not (wanted and held_now(mill) >= wanted):
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        cut += process.wait(30) == -signal.SIGKILL
        assert held_now(mill) >= held
    before = state_of(lib)
    kept = held_now(mill)
    told = index(mill, lib, code=0)
    assert (told["unchanged"], told["indexed"], told["refused"]) == (kept, made - kept, 0)
    assert rows(mill, "SELECT count(*), count(DISTINCT rel) FROM holdings") == [(made, made)]
    assert rows(mill, "SELECT count(*) FROM images") == [(made,)]
    assert rows(mill, "SELECT count(*) FROM uncompared") == [(0,)]
    assert rows(mill, "SELECT state, count(*) FROM scans WHERE state = 'running'") == [(None, 0)]
    # What was in hand when one died is read again, and no more than that.
    assert sum(indexed for (indexed,) in rows(mill, "SELECT indexed FROM scans")) <= made
    assert state_of(lib) == before


def held_now(mill: Mill) -> int:
    deadline = time.monotonic() + 10
    while True:
        try:
            return int(rows(mill, "SELECT count(*) FROM holdings")[0][0])
        except apsw.SQLError:
            return 0  # Not made yet.
        except apsw.Error:  # Just being opened, or brought back after a kill.
            if time.monotonic() > deadline:
                return 0
            time.sleep(0.02)


def test_rehash_takes_up_what_an_earlier_version_has_hashed(tmp_path: Path) -> None:
    mill = Mill(tmp_path / "mill")
    lib = library(tmp_path / "lib", 6)
    index(mill, lib)
    mill.drop("a.jpg", photo(77))
    assert mill.once().returncode == 0
    hashes = rows(mill, "SELECT id, phash, dhash, phash256, fingerprint_version FROM images ORDER BY id")
    with contextlib.closing(apsw.Connection(str(mill.state / "catalog.db"))) as catalog:
        catalog.execute("UPDATE images SET fingerprint_version = 1, phash = 5, dhash = 5")
    mill.start()
    mill.wait_for(lambda: "dropmill index --rehash" in mill.log.read_text())
    parts = {part["name"]: part for part in mill.get("/healthz").json()["parts"]}
    assert parts["hashes"]["remedy"] == "dropmill index --rehash"
    told = index(mill, "--rehash", code=0)
    assert (told["files"], told["indexed"], told["refused"]) == (len(hashes), len(hashes), 0)
    assert rows(mill, "SELECT id, phash, dhash, phash256, fingerprint_version FROM images ORDER BY id") == hashes
    mill.wait_for(lambda: len(json.loads(mill.run("duplicates", "--json").stdout)) == 2)
    assert "hashes" not in {part["name"] for part in mill.get("/healthz").json()["parts"]}


def test_what_is_forgotten_is_new_when_it_comes_again(tmp_path: Path) -> None:
    mill = Mill(tmp_path / "mill", archive="done")
    mill.start()
    data = photo(1)
    mill.drop("a.jpg", data)
    mill.wait_for(lambda: [job["outcome"] for job in mill.jobs()] == ["published"])
    mill.wait_for((mill.root / "done/a.jpg").exists)
    mill.drop("b.jpg", data)
    mill.wait_for(lambda: [job["outcome"] for job in mill.jobs()] == ["duplicate", "published"])
    sha256 = hashlib.sha256(data).hexdigest()
    mill.wait_for(lambda: mill.run("forget", str(mill.root / "done/a.jpg"), "--json").returncode == 0)
    for table, column in (("images", "sha256"), ("jobs", "sha256"), ("versions", "sha256"), ("disposals", "sha256")):
        assert rows(mill, f"SELECT count(*) FROM {table} WHERE {column} = '{sha256}'") == [(0,)], table
    for table in ("holdings", "publications", "pairs", "members", "groups", "evidence", "uncompared"):
        assert rows(mill, f"SELECT count(*) FROM {table}") == [(0,)], table
    assert (mill.root / "done/a.jpg").read_bytes() == data
    assert mill.outputs() == ["a-t.jpg"]
    assert mill.run("forget", sha256).returncode == 1
    told = [entry["text"] for entry in json.loads(mill.run("why", "1", "--json").stdout)["story"]]
    assert "published; what is known of its renditions was forgotten with the picture" in told
    mill.drop("a.jpg", data)
    mill.wait_for(lambda: mill.jobs()[0]["outcome"] == "published")
    mill.wait_for(lambda: mill.jobs()[0]["outputs"] != [])
    assert mill.outputs() == ["a-t.jpg"]  # The rendition that stood is the one that it gets.
    assert mill.jobs()[0]["id"] == 3


def test_forget_says_no_where_a_careful_person_would(tmp_path: Path) -> None:
    mill = Mill(tmp_path / "mill")
    mill.drop("a.jpg", photo(1))
    mill.drop("broken.jpg", photo(2)[:900])
    mill.once()

    def refused(target: str | Path, word: str) -> None:
        done = mill.run("forget", str(target))
        assert done.returncode == 1
        assert word in done.stderr

    refused(mill.inbox, "is a folder")
    refused(mill.output / "a-t.jpg", "is a rendition")
    refused(mill.inbox / "broken.jpg", "knows no picture")
    refused(mill.inbox / "nothing.jpg", "knows no picture")
    refused("0" * 64, "no image has the SHA-256")
    done = mill.run("forget", str(mill.inbox / "a.jpg"))
    assert done.returncode == 0
    assert f"file: {mill.inbox}/a.jpg (it stays)" in done.stdout
    assert f"rendition: {mill.output}/a-t.jpg (it stays)" in done.stdout
    # What stands in an inbox is not taken in by itself again, but once it is touched.
    before = len(mill.jobs())
    mill.once()
    assert len(mill.jobs()) == before
    os.utime(mill.inbox / "a.jpg")
    mill.once()
    assert mill.jobs()[0]["outcome"] == "published"
    assert mill.outputs() == ["a-t.jpg"]


def test_of_a_group_the_others_stay_a_group(tmp_path: Path) -> None:
    mill, lib = Mill(tmp_path / "mill"), tmp_path / "lib"
    lib.mkdir()
    for quality in (95, 85, 70):
        (lib / f"q{quality}.jpg").write_bytes(photo(1, quality=quality))
    shutil.copyfile(lib / "q95.jpg", lib / "copy.jpg")
    index(mill, lib, code=0)

    def groups() -> list[set[str]]:
        told = json.loads(mill.run("duplicates", "--json").stdout)
        return [{Path(member["path"]).name for member in group["members"]} for group in told]

    assert groups() == [{"q95.jpg", "q85.jpg", "q70.jpg", "copy.jpg"}]
    assert mill.run("forget", str(lib / "q70.jpg")).returncode == 0
    assert groups() == [{"q95.jpg", "q85.jpg", "copy.jpg"}]
    assert mill.run("forget", str(lib / "copy.jpg")).returncode == 0  # And q95.jpg, which is the same image.
    assert groups() == []
    told = index(mill, lib, code=0)
    assert (told["indexed"], told["unchanged"]) == (3, 1)
    assert groups() == [{"q95.jpg", "q85.jpg", "q70.jpg", "copy.jpg"}]


def test_a_copy_of_what_a_library_has_is_published_and_why_says_so(tmp_path: Path) -> None:
    """Nothing is skipped for a picture that is nowhere in the output."""
    lib = tmp_path / "lib"
    lib.mkdir()
    (lib / "one.jpg").write_bytes(photo(1))
    mill = Mill(tmp_path / "mill", dedupe={"exact": "skip", "near": "skip"})
    index(mill, lib, code=0)
    dropped = mill.drop("two.jpg", photo(1))
    assert mill.once().returncode == 0
    assert mill.outputs()
    told = " ".join(mill.run("why", str(dropped)).stdout.split())
    assert f"the library file {lib}/one.jpg has the same bytes" in told and "no reason to skip" in told
    (group,) = json.loads(mill.run("duplicates", "--json").stdout)
    assert (group["tier"], group["keeper"]) == ("exact", str(lib / "one.jpg"))
