"""The durable queue alone: how many jobs a second it can claim and commit, one by one and many together."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from bench.plan import Plan, tell
from bench.report import Row
from dropmill.files.naming import name_for
from dropmill.model.duplicates import Policies
from dropmill.model.file import Signature
from dropmill.model.fingerprint import Content, Looks
from dropmill.model.image import Limits, Picture, Recipe, RenditionSpec
from dropmill.model.inbox import Inbox, Root
from dropmill.model.job import FoundBy, Job, NewJob
from dropmill.model.verdict import Decided
from dropmill.model.work import Processed, Rendered
from dropmill.observe.clock import SystemClock
from dropmill.store import boot
from dropmill.store.catalog import Catalog, catalog_path
from dropmill.store.engine import CatalogDecisions, EmbeddedEngine

TMPFS = Path("/dev/shm")
BOOT = "bench"
LOT = 2_000
RECIPE = Recipe((RenditionSpec("large", "fit", 1600, 1600), RenditionSpec("thumb", "fit", 400, 400)))
INBOX = Inbox(
    name="in", root=Root(1, b"/in"), output=Root(2, b"/out"), output_uuid="bench", recipe=RECIPE,
    recipe_digest=RECIPE.digest(), limits=Limits(), names="{dir}/{stem}-{rendition}.{ext}", on_success="keep",
    archive=None, on_duplicate="keep", duplicates=None, quarantine=None, on_source_changed="replace",
    on_source_deleted="keep", on_unsupported="ignore", dedupe_scope="output", policies=Policies(), settle_seconds=2.0,
    settle_max_seconds=10.0, done_suffix="",
    incomplete_timeout_seconds=10.0, recursive=True, watch="auto", poll_seconds=5.0, reconcile_seconds=300.0, ignore=(),
    companions=(), hard_links="own", receipts=False, priority=3, label="", mode=0o644, dir_mode=0o755, gid=-1,
)  # fmt: skip


def measure(plan: Plan) -> list[Row]:
    seconds = 1.0 if plan.quick else 3.0
    places = {"disk": plan.scratch} | ({"tmpfs": TMPFS} if TMPFS.is_dir() else {})
    rows = []
    for name, place in places.items():
        tell(f"the queue on {name}")
        for width in (1, 64):
            with TemporaryDirectory(prefix="dropmill-bench-", dir=place) as folder:
                rate, cpu = anyio.run(_rate, folder, width, seconds)
            together = "one by one" if width == 1 else f"{width} at a time"
            rows.append(Row(f"queue on {name}: claim and commit, {together}", rate, "/s"))
            rows.append(Row("  CPU of each", 1e6 * cpu, "µs"))
    return rows


async def _rate(folder: str, width: int, seconds: float) -> tuple[float, float]:
    """Cycles per second of wall time, and CPU seconds of each; every one publishes an image with two renditions."""
    clock = SystemClock()
    with _catalog(folder) as catalog:
        await catalog.write(lambda session: boot.begin(session, BOOT, 1, "0", 0))
        await catalog.write(lambda session: boot.put_root(session, "inbox", "in", b"/in"))
        await catalog.write(lambda session: boot.put_root(session, "output", "out", b"/out"))
        engine = EmbeddedEngine(catalog, clock, BOOT, ["in"])
        decisions = CatalogDecisions(catalog, clock, name_for)
        done = passed = 0.0
        cpu = 0.0
        lots = 0
        while passed < seconds:
            await engine.enqueue(1, [_job(lots * LOT + number) for number in range(LOT)], [], clock.now_ms())
            lots += 1
            began, cpu_began = time.monotonic(), time.process_time()
            while passed + time.monotonic() - began < seconds and (jobs := await engine.claim(width, idle=True)):
                async with anyio.create_task_group() as group:
                    for job in jobs:
                        group.start_soon(_commit, decisions, job)
                done += len(jobs)
            passed += time.monotonic() - began
            cpu += time.process_time() - cpu_began
    return done / passed, cpu / done


@contextmanager
def _catalog(folder: str) -> Iterator[Catalog]:
    catalog = Catalog(catalog_path(folder))
    try:
        yield catalog
    finally:
        catalog.close()


async def _commit(decisions: CatalogDecisions, job: Job) -> None:
    decided = await decisions.conclude(job, INBOX, _result(job), {})
    if not isinstance(decided, Decided):
        raise RuntimeError(f"not committed: {decided}")


def _job(number: int) -> NewJob:
    return NewJob("in", b"2024/%d.jpg" % number, Signature(1, number, 2_000_000, 5, 5), FoundBy.EVENT, 0, 0, 3)


def _result(job: Job) -> Processed:
    digest = hashlib.sha256(b"%d" % job.id).hexdigest()
    renditions = tuple(
        Rendered(spec.name, 1, f"{job.id}-{job.epoch}-{spec.name}", job.id, digest, 100_000, 1600, 1200, "jpeg")
        for spec in RECIPE.renditions
    )
    looks = Looks(job.id, job.id, job.id, digest, 50.0)
    return Processed(Content(digest, digest), looks, Picture("jpeg", 4000, 3000, "RGB"), renditions)
