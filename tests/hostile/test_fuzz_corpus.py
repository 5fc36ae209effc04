"""Files made to crash decoders, through a whole daemon: one outcome each, and a daemon that stays small."""

from __future__ import annotations

import json
import os
import random
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

import pictures
from harness import PROGRAM, Mill, clean_environment

CORPUS = Path(__file__).resolve().parents[2].parent / "shared" / "corpus"
TERMINAL = {"completed", "discarded"}
# The daemon alone: it reads no picture, so nothing that one says may make it grow. Idle it takes some 75 MiB.
MOST_BYTES = 150 << 20
# Far more than any of them needs, on a machine that has more to do: none may take it.
JOB_SECONDS = 60

pytestmark = [pytest.mark.long]


def mill_of(tmp_path: Path) -> Mill:
    renditions = [{"name": "t", "fit": [64, 64]}, {"name": "w", "fit": [400, 400], "format": "webp"}]
    workers = {"processes": 2, "memory_limit_mb": 256, "job_timeout_seconds": JOB_SECONDS}
    return Mill(tmp_path, renditions=renditions, workers=workers, quarantine="broken", log={"level": "warning"})


def run(mill: Mill) -> tuple[int, float]:
    """``run --once`` to its end; peak memory of the daemon process in bytes, and seconds."""
    began = time.monotonic()
    with mill.log.open("ab") as log:
        process = subprocess.Popen(
            [PROGRAM, "run", "--once", "--config", str(mill.config)],
            stdout=log, stderr=log, cwd=mill.root, env=clean_environment(),
        )  # fmt: skip
    peak_bytes = 0
    while process.poll() is None:
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
        except OSError:
            continue
        for line in status.splitlines():
            if line.startswith("VmHWM:"):
                peak_bytes = max(peak_bytes, int(line.split()[1]) << 10)
        time.sleep(0.1)
    assert process.returncode in {0, 3}, mill.log.read_text(errors="replace")[-3000:]
    return peak_bytes, time.monotonic() - began


def assert_one_outcome_each(mill: Mill, dropped: dict[str, bytes], what: str) -> None:
    peak_bytes, seconds = run(mill)
    jobs = {Path(os.path.relpath(job["source"], mill.inbox)).as_posix(): job for job in _jobs(mill)}
    ends = Counter(f"{job['state']}: {job['outcome'] or job['reason']}" for job in jobs.values())
    print(f"\n{what}: {len(dropped)} files, {seconds:.0f} s, daemon at most {peak_bytes >> 20} MiB, {dict(ends)}")
    assert peak_bytes < MOST_BYTES
    assert len(jobs) == len(_jobs(mill)), "a file has two jobs"
    for name, data in dropped.items():
        kept = (mill.inbox / name, mill.root / "broken" / name)
        assert any(path.exists() and path.read_bytes() == data for path in kept), f"{name} is lost"
        if name in jobs:
            assert jobs[name]["state"] in TERMINAL, jobs[name]
            # A crash or a defect of ours would be told as such.
            assert jobs[name]["reason"] not in {"unexpected", "worker-crashed", "timeout"}, jobs[name]
    staged = [path.name for path in (mill.output / ".dropmill").iterdir() if path.name[0].isdigit()]
    assert staged == []
    assert jobs["sound.jpg"]["outcome"] == "published"


def _jobs(mill: Mill) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(mill.run("jobs", "--json", "--limit", "1000", check=True).stdout)
    return found


def drop(mill: Mill, files: dict[str, bytes]) -> dict[str, bytes]:
    files["sound.jpg"] = pictures.jpeg()
    for name, data in files.items():
        mill.drop(name, data)
    return files


@pytest.mark.skipif(not (CORPUS / "fuzz").is_dir(), reason="the fuzz corpus is not beside this checkout")
@pytest.mark.parametrize("kind", ["gif", "jpeg", "png"])
def test_i04_files_made_to_crash_decoders_have_one_outcome_each(tmp_path: Path, kind: str) -> None:
    mill = mill_of(tmp_path)
    files = {f"{path.name}.{kind}": path.read_bytes() for path in sorted((CORPUS / "fuzz" / kind).iterdir())}
    assert_one_outcome_each(mill, drop(mill, files), f"fuzz corpus, {kind}")


@pytest.mark.skipif(not (CORPUS / "orientation").is_dir(), reason="the corpus is not beside this checkout")
def test_i05_every_picture_of_the_orientation_corpus_is_published_upright(tmp_path: Path) -> None:
    mill = mill_of(tmp_path)
    mill.configure(dedupe={"exact": "off"})
    files = {path.name: path.read_bytes() for path in sorted((CORPUS / "orientation").glob("*.jpg"))}
    assert_one_outcome_each(mill, drop(mill, dict(files)), "orientation corpus")
    jobs = {Path(str(job["source"])).name: job for job in _jobs(mill)}
    for name in files:
        assert jobs[name]["outcome"] == "published"
        for rendition in jobs[name]["renditions"]:  # type: ignore[attr-defined]  # JSON, not typed.
            wide = rendition["width"] > rendition["height"]
            assert wide is name.startswith("Landscape"), (name, rendition)


def test_i04_flipped_bits_and_bombs_of_every_format_have_one_outcome_each(tmp_path: Path) -> None:
    mill, chance = mill_of(tmp_path), random.Random(20261121)
    photo = pictures.photo(96, 72)
    files: dict[str, bytes] = {
        "bomb.gif": pictures.gif_bomb(),
        "bomb.avif": pictures.avif_bomb(),
        "text.png": pictures.png_text_bomb(),
        "loop.tif": pictures.looping_tiff(),
        "frames.gif": pictures.gif_of_many_frames(100_000),
        "frames.png": pictures.apng_of_many_frames(100_000),
        "frames.webp": pictures.webp_of_many_frames(100_000),
    }
    for name in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF"):
        sound = pictures.encoded(photo, name)
        for number in range(30):
            data = bytearray(sound)
            for _ in range(chance.randint(1, 4)):
                data[chance.randrange(len(data) if number % 2 else min(len(data), 200))] ^= 1 << chance.randrange(8)
            files[f"{name.lower()}-{number:02}.{name.lower()}"] = bytes(data)
    assert_one_outcome_each(mill, drop(mill, files), "flipped bits and bombs")
