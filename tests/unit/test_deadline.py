"""How long an attempt may take: what the header tells of the work, and what the deadline makes of it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import anyio
import pytest
from PIL import Image

import pictures
from dropmill.maintenance.pulse import OVERDUE_FACTOR, work_checks
from dropmill.model.bearing import Bearing
from dropmill.model.duplicates import Policies
from dropmill.model.file import Signature
from dropmill.model.fingerprint import Content
from dropmill.model.image import Limits, Recipe, RenditionSpec
from dropmill.model.inbox import Inbox
from dropmill.model.job import FoundBy, Job
from dropmill.model.work import Preview, Superseded
from dropmill.observe.clock import SystemClock
from dropmill.pipeline.claim import Claimer
from dropmill.pipeline.process import Deadline, Processor
from dropmill.ports import WorkerPool
from imaging_help import Bench

_TWO = (RenditionSpec("thumb", "fit", 20, 20), RenditionSpec("tiny", "fit", 10, 10))


@pytest.mark.parametrize(
    ("data", "recipe", "pixels", "pages"),
    [
        (pictures.tiff_pages(*[Image.new("L", (40, 30))] * 5), Recipe(_TWO, pages="all"), 5 * 40 * 30, 5),
        (pictures.tiff_pages(*[Image.new("L", (40, 30))] * 5), Recipe(_TWO), 40 * 30, 1),
        (pictures.animation("GIF", 4, 120, 80), Recipe(_TWO, animation="keep"), 4 * 120 * 80, 1),
        (pictures.animation("GIF", 4, 120, 80), Recipe(_TWO), 120 * 80, 1),
    ],
    ids=["all pages", "first page", "all frames", "first frame"],
)
def test_the_daemon_is_told_of_all_that_will_be_decoded_and_rendered(
    tmp_path: Path, data: bytes, recipe: Recipe, pixels: int, pages: int
) -> None:
    bench = Bench(tmp_path)
    result = bench.good(data, recipe)
    assert [(preview.pixels, preview.pages) for preview in bench.previews] == [(pixels, pages)]
    assert len(result.renditions) == pages * len(recipe.renditions)


_DEADLINE = Deadline(60.0, 0.5, 2.0, 0.25)
_JOB = Job(1, 1, "in", b"a.tif", Signature(1, 2, 4_000_000, 4, 5), FoundBy.EVENT, "", 1, 0, 0, False, None, None, None)
_FAX = cast(
    Inbox,
    SimpleNamespace(
        recipe=Recipe(_TWO, pages="all"),
        limits=Limits(max_pixels=3_000_000, max_frames=1000),
        policies=Policies(),
        output=SimpleNamespace(path=b"/out"),
        mode=0o644,
        gid=-1,
    ),
)


def test_the_deadline_grows_with_bytes_pixels_and_the_renditions_of_all_pages() -> None:
    given: dict[str, Any] = {}

    async def run(request: object, **how: Any) -> Superseded:
        given.update(how)
        return Superseded()

    async def wanted(*_: object) -> bool:
        return True

    async def bearing(*_: object) -> Bearing:
        return Bearing(go=True)

    processor = Processor(cast(WorkerPool, SimpleNamespace(run=run)), _DEADLINE, wanted, bearing)
    anyio.run(processor.process, _JOB, _FAX, b"/in", b"a.tif")
    assert given["timeout_seconds"] == pytest.approx(62.0)
    preview = Preview(Content("a" * 64, "b" * 64), 3_000_000, 1000)
    assert given["allowance_seconds"](preview) == pytest.approx(506.0)


def test_s11_a_pool_is_stuck_only_when_the_longest_document_would_be_done_by_now() -> None:
    for seconds, stuck in ((OVERDUE_FACTOR * 568.0 - 1, False), (OVERDUE_FACTOR * 568.0 + 1, True)):
        claimer = cast(Claimer, SimpleNamespace(longest=lambda seconds=seconds: (_JOB, seconds)))
        check = work_checks(claimer, _DEADLINE, {"in": _FAX}, SystemClock())["worker pool"]
        assert ("past every deadline" in anyio.run(check)) is stuck
