"""The real daemon, its workers and all of them are killed at random moments, again and again; everything has happened once."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import random
import time
from collections import Counter, defaultdict
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dropmill.store.catalog import catalog_path
from dropmill.store.connection import connect
from killing import DAEMON, GROUP, MOMENTS, WORKER, ZYGOTE, House, pictures

# Two houses side by side, each with a daemon of its own, use both cores of a small machine.
HOUSES = 2
FILES = 2500
KILLS = 255
LEAST_OF_ALL = 500
LEAST_OF_THE_DAEMON = 300
LEAST_EACH = 20
RENDITIONS = 2


def killed_over_and_over(root: Path, seed: int) -> dict[str, Any]:
    """Runs in a process of its own; returns what the checks need."""
    chance = random.Random(seed)
    house = House(root, chance, pictures(random.Random(chance.random()), FILES))
    house.drop(30)
    house.live_through(KILLS)
    house.drop(FILES)
    finish = house.run("run", "--once")
    return {
        "kills": house.kills,
        "moments": house.moments,
        "dropped": house.dropped,
        "finish": (finish.returncode, finish.stdout[-1500:] + finish.stderr[-1500:]),
    }


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_q01_500_sigkills_over_5000_files_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    seed = int(os.environ.get("DROPMILL_TEST_SEED", "0")) or random.SystemRandom().randrange(1 << 32)
    print(f"\nDROPMILL_TEST_SEED={seed}")
    started = time.monotonic()
    roots = [tmp_path / f"house-{number}" for number in range(HOUSES)]
    with multiprocessing.get_context("fork").Pool(HOUSES) as pool:
        seeds = [seed + number for number in range(HOUSES)]
        told = pool.starmap(killed_over_and_over, zip(roots, seeds, strict=True))
    kills = sum((one["kills"] for one in told), Counter[str]())
    moments = sum((one["moments"] for one in told), Counter[str]())
    print(f"{kills.total()} kills in {time.monotonic() - started:.0f} s: {dict(kills)}; in hand: {dict(moments)}")
    for root, one in zip(roots, told, strict=True):
        assert one["finish"][0] in {0, 3}, one["finish"][1]
        assert len(one["dropped"]) == FILES
        check(root, one["dropped"])
    assert kills.total() >= LEAST_OF_ALL
    assert kills[DAEMON] + kills[GROUP] >= LEAST_OF_THE_DAEMON
    assert kills[WORKER] >= LEAST_EACH and kills[ZYGOTE] >= LEAST_EACH
    assert {moment: moments[moment] for moment in MOMENTS if moments[moment] < LEAST_EACH} == {}


def check(root: Path, dropped: list[Any]) -> None:
    with closing(connect(catalog_path(str(root / "state")), readonly=True)) as catalog:
        columns = "id, rel, state, outcome, reason, sha256, crashes"
        jobs = [
            dict(zip(columns.split(", "), row, strict=True)) for row in catalog.execute(f"SELECT {columns} FROM jobs")
        ]
        owed = catalog.execute(
            "SELECT (SELECT count(*) FROM publications WHERE state NOT IN ('visible', 'retired'))"
            " + (SELECT count(*) FROM disposals WHERE state <> 'done')"
        ).get
        visible = {
            bytes(name): sha256
            for name, sha256 in catalog.execute("SELECT final_name, sha256 FROM publications WHERE state = 'visible'")
        }
    assert owed == 0
    check_outcomes(jobs, dropped)
    kept = check_originals(root, dropped)
    check_each_content_is_published_once(jobs, dropped, kept)
    check_renditions(root, visible)
    check_what_was_told(root, jobs)


def check_outcomes(jobs: list[dict[str, Any]], dropped: list[Any]) -> None:
    """Every file has one final state for each of its versions that settled, and no innocent is discarded."""
    versions = defaultdict(list)
    for one in dropped:
        versions[os.fsencode(one.name)].append(one)
    ended = defaultdict(list)
    for job in jobs:
        assert job["state"] in {"completed", "discarded"}, job
        ended[bytes(job["rel"])].append(job)
    assert versions.keys() == ended.keys()
    for name, found in ended.items():
        wanted = versions[name]
        # Whoever is overwritten before it has settled is its user's to lose; a job may see that too late.
        assert 1 <= len(found) <= len(wanted), found
        contents = [job["sha256"] for job in found if job["outcome"] in {"published", "duplicate"}]
        assert len(contents) == len(set(contents)), found
        broken = wanted[-1].kind == "broken"
        assert [job["state"] for job in found if job["state"] == "discarded"] == ["discarded"] * broken, found
        if broken:
            assert found[0]["reason"] in {"corrupt", "truncated", "not-an-image"}, found
        else:
            assert wanted[-1].sha256 in contents, (found, wanted)


def check_originals(root: Path, dropped: list[Any]) -> Counter[str]:
    """The bytes that were dropped are in exactly one of the folders that they may be in, and in no other."""
    kept: Counter[str] = Counter()
    for place in ("archive", "duplicates", "quarantine"):
        files = [path for path in (root / place).rglob("*") if path.is_file()]
        kept.update(digest(path) for path in files if not path.name.endswith(".reason.json"))
    overwritten = contents_overwritten(dropped)
    final = Counter(one.sha256 for one in dropped) - overwritten
    assert not final - kept, "lost"
    assert not kept - final - overwritten, "doubled"
    assert os.listdir(root / "in") == []
    return kept


def contents_overwritten(dropped: list[Any]) -> Counter[str]:
    """What was dropped under a name under which other bytes were dropped later."""
    last = {one.name: one for one in dropped}
    return Counter(one.sha256 for one in dropped if last[one.name] is not one)


def check_each_content_is_published_once(jobs: list[dict[str, Any]], dropped: list[Any], kept: Counter[str]) -> None:
    outcomes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for job in jobs:
        if job["outcome"] in {"published", "duplicate"}:
            outcomes[job["sha256"]][job["outcome"]] += 1
    broken = {one.sha256 for one in dropped if one.kind == "broken"}
    assert set(kept) - broken <= set(outcomes)
    overwritten = contents_overwritten(dropped)
    for sha256, found in outcomes.items():
        assert found["published"] == 1, (sha256, found)
        # A version that was decided, and overwritten by its user before it was moved, is kept nowhere.
        assert 0 <= found.total() - kept[sha256] <= overwritten[sha256], (sha256, found)


def check_renditions(root: Path, visible: dict[bytes, str]) -> None:
    """What is to be seen is what the catalog says, byte for byte; each decodes; nothing is left staged."""
    files = [path for path in (root / "out").iterdir() if path.is_file()]
    assert {os.fsencode(path.name): digest(path) for path in files} == visible
    for path in files:
        with Image.open(path) as picture:
            picture.load()
    assert os.listdir(root / "out" / ".dropmill") == ["root-id"]


def check_what_was_told(root: Path, jobs: list[dict[str, Any]]) -> None:
    """An end that the log has told of is the end of that job, and is told once."""
    ends = {job["id"]: job["outcome"] or job["state"] for job in jobs}
    told: Counter[int] = Counter()
    for line in (root / "log").read_bytes().splitlines():
        try:
            fields = json.loads(line)
        except ValueError:
            continue  # Cut off by a kill.
        if fields["event"] in {"published", "duplicate", "discarded"}:
            told[fields["job_id"]] += 1
            assert ends[fields["job_id"]] == fields["event"], fields
    assert told.total() > 0
    assert set(told.values()) == {1}, told.most_common(3)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
