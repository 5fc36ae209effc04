"""A thousand JPEGs of 1600 pixels from a local nginx to 256 pixels: the whole of dropmill against img2dataset.

Both read the same list of URLs, in turns, and fit each picture into 256 x 256 by averaging, as baseline JPEG of quality
82. What differs: dropmill publishes durably (fsync, queue in SQLite), takes perceptual hashes beside the SHA-256 that
both take, finds duplicates, and keeps metadata as its profile says; img2dataset writes a JSON file with the
EXIF and a text file beside each picture and a Parquet file for all, and syncs nothing. nginx is counted with neither.
"""

from __future__ import annotations

import shutil
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import nginx
from bench import gallery, urls_img2dataset
from bench.meter import Spent
from bench.mills import a_mill
from bench.plan import Plan, tell
from bench.report import AT_LEAST, Bar, Row, median_ratio
from bench.urls_apart import run_apart
from harness import PROGRAM, Mill, clean_environment
from nginx import Nginx

# What averaging is called there is INTER_AREA, its default.
RENDITION = {"name": "t", "fit": [urls_img2dataset.SIDE, urls_img2dataset.SIDE], "filter": "box", "progressive": False}
LOOPBACK = {"allow_networks": ["127.0.0.0/8"], "ports": ["1-65535"]}


@dataclass(slots=True)
class Side:
    """Milliseconds of CPU per image, and images per second of wall time; one value a round."""

    whole: list[float] = field(default_factory=list)
    without_start: list[float] = field(default_factory=list)
    own: list[float] = field(default_factory=list)
    """Of the first process alone, start-up included."""
    per_second: list[float] = field(default_factory=list)

    def add(self, spent: Spent, start: Spent, images: int) -> None:
        self.whole.append(1000 * spent.tree / images)
        self.without_start.append(1000 * (spent.tree - start.tree) / images)
        self.own.append(1000 * spent.own / images)
        self.per_second.append(images / spent.wall)


def measure(plan: Plan) -> list[Row]:
    pictures = gallery.files_in(gallery.photographs(plan.quick, gallery.OF_THE_WEB))
    other = urls_img2dataset.program()
    ours, theirs = Side(), Side()
    with nginx.nginx() as server:
        for picture in pictures:
            server.put(picture, picture.name)
            picture.read_bytes()  # From memory for every side; the first one would pay for the disk.
        urls = _list(plan.scratch / "all.txt", server, pictures)
        one = _list(plan.scratch / "one.txt", server, pictures[:1])
        for number in range(1, plan.rounds + 1):
            tell(f"round {number} of {plan.rounds}: {len(pictures)} URLs")
            sides: list[Callable[[], None]] = [lambda: _ours(plan, one, urls, len(pictures), ours)]
            if other is not None:
                sides.append(lambda: _theirs(plan, other, one, urls, len(pictures), theirs))
            for side in sides if number % 2 else reversed(sides):
                side()
    return _rows(len(pictures), ours, theirs)


def _rows(images: int, ours: Side, theirs: Side) -> list[Row]:
    rows = []
    if theirs.whole:
        rows = [
            Row(f"{images:,} URLs of 1600 px to 256 px: dropmill ÷ img2dataset, images per CPU second",
                median_ratio(theirs.whole, ours.whole), "×", Bar(AT_LEAST, 1.5)),
            Row("  start-up of both taken off", median_ratio(theirs.without_start, ours.without_start), "×"),
        ]  # fmt: skip
    for name, side in (("dropmill", ours), (f"img2dataset {urls_img2dataset.VERSION}", theirs)):
        if side.whole:
            rows += [
                Row(f"{name}: images per CPU second of the process tree", 1000 / statistics.median(side.whole), "/s"),
                Row("  CPU per image", statistics.median(side.whole), "ms"),
                Row("    start-up taken off", statistics.median(side.without_start), "ms"),
                Row("    of the first process alone", statistics.median(side.own), "ms"),
                Row("  images per second of wall time", statistics.median(side.per_second), "/s"),
            ]
    return rows


def _list(path: Path, server: Nginx, pictures: list[Path]) -> Path:
    path.write_text("".join(server.url(picture.name) + "\n" for picture in pictures))
    return path


def _ours(plan: Plan, one: Path, urls: Path, images: int, side: Side) -> None:
    start = fetch_once(plan.scratch / "mill", one, 1)
    side.add(fetch_once(plan.scratch / "mill", urls, images), start, images)


def _theirs(plan: Plan, command: Path, one: Path, urls: Path, images: int, side: Side) -> None:
    start, _ = urls_img2dataset.run(command, one, plan.scratch)
    spent, made = urls_img2dataset.run(command, urls, plan.scratch)
    if made != images:
        raise RuntimeError(f"img2dataset made {made} pictures of {images}")
    side.add(spent, start, images)


def fetch_once(root: Path, urls: Path, images: int) -> Spent:
    """``dropmill run --once`` over a drop-file, with a state and an output of its own, both removed afterwards."""
    mill = a_mill(root, profile="test", renditions=[RENDITION], dropfiles=[{"path": str(urls)}], net=LOOPBACK)
    try:
        return _fetched(mill, urls, images)
    finally:
        shutil.rmtree(root)
        Path(f"{urls}.results.jsonl").unlink(missing_ok=True)


def _fetched(mill: Mill, urls: Path, images: int) -> Spent:
    command = [PROGRAM, "run", "--once", "--config", str(mill.config)]
    spent = run_apart(command, cwd=mill.root, env=clean_environment(), output=mill.log)
    made = len(mill.outputs())
    if spent.code != 0 or made != images:
        log = mill.log.read_text(errors="replace")[-2000:]
        raise RuntimeError(f"dropmill: exit {spent.code}, {made} renditions of {images} ({urls})\n{log}")
    return spent
