"""The index of similar images: a question to it, its memory, and how long it takes to be there."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from bench.plan import Plan, tell
from bench.report import AT_MOST, Bar, Row
from dropmill.model.resemblance import MOST_NEIGHBOURS, WIDEST_DHASH
from dropmill.observe.clock import SystemClock
from dropmill.similarity.client import IndexClient
from dropmill.similarity.index import Index
from dropmill.store.catalog import Catalog, catalog_path
from hashed import Hashed, looks, put_images

QUESTIONS = 400
RADIUS = 10
MILLION = 1_000_000


def measure(plan: Plan) -> list[Row]:
    bars = [(1, 0.3)] if plan.quick else [(1, 0.3), (10, 3.0)]
    rows = [row for millions, bar in bars for row in _searches(millions * MILLION, bar)]
    tell("a catalog of a million images")
    return rows + asyncio.run(_in_a_process(plan.scratch))


def _searches(count: int, bar_ms: float) -> Iterator[Row]:
    tell(f"{count:,} hashes in memory")
    numbers = np.random.default_rng(1)
    phash, dhash = (numbers.integers(0, 1 << 64, count, dtype=np.uint64) for _ in range(2))
    asked = numbers.integers(0, 1 << 64, QUESTIONS, dtype=np.uint64).tolist()
    index = Index()
    index.add(np.arange(1, count + 1), phash, dhash)
    index.settle()
    took, by_hand = [], []
    for value in asked:
        began = time.perf_counter()
        index.search(value, 0, RADIUS, WIDEST_DHASH, MOST_NEIGHBOURS)
        took.append(time.perf_counter() - began)
    for value in asked[:20]:
        began = time.perf_counter()
        np.flatnonzero(np.bitwise_count(phash ^ np.uint64(value)) <= RADIUS)
        by_hand.append(time.perf_counter() - began)
    name = f"similar: {count // MILLION} million images, radius {RADIUS}, p50"
    yield Row(name, 1000 * statistics.median(took), "ms", Bar(AT_MOST, bar_ms))
    yield Row("  by comparing with every one", 1000 * statistics.median(by_hand), "ms")
    yield Row("  memory of an image", index.size_bytes / count, "bytes", Bar(AT_MOST, 40))


async def _in_a_process(folder: Path) -> list[Row]:
    catalog = Catalog(catalog_path(str(folder)))
    try:
        empty_bytes = (await _ask(catalog, QUESTIONS // 10))[1]
        chance = random.Random(2)

        def images() -> Iterator[Hashed]:
            return ((number, chance.getrandbits(64), chance.getrandbits(64)) for number in range(1, MILLION + 1))

        await catalog.write(lambda session: put_images(session.connection, images()))
        await catalog.write_back()
        took, full_bytes, ready_seconds = await _ask(catalog, QUESTIONS)
    finally:
        catalog.close()
    return [
        Row("similar: ready with a million images", ready_seconds, "s", Bar(AT_MOST, 3)),
        Row("  a question by the daemon, radius 12, p50", 1000 * statistics.median(took), "ms"),
        Row("  memory of its process beside", full_bytes / (1 << 20), "MB"),
        Row("  that of an empty one", empty_bytes / (1 << 20), "MB"),
    ]


async def _ask(catalog: Catalog, questions: int) -> tuple[Sequence[float], int, float]:
    """Seconds of each question, bytes of the process, seconds until it was there."""
    client = IndexClient(catalog, SystemClock(), lambda _fact: None, turned=False)
    chance = random.Random(3)
    try:
        began = time.perf_counter()
        await client.neighbours([looks(0, 0)])
        ready_seconds = time.perf_counter() - began
        took = []
        for _ in range(questions):
            began = time.perf_counter()
            await client.neighbours([looks(chance.getrandbits(64), chance.getrandbits(64))])
            took.append(time.perf_counter() - began)
        return took, client.stats().memory_bytes, ready_seconds
    finally:
        await client.close()
