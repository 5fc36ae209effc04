"""What a worker does with one file. The order of the steps is the tuple below; each step is a file of its own."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Final

from dropmill.imaging import (
    codecs,
    colour,
    decode,
    dissect,
    encode,
    fingerprint,
    header,
    render,
    source,
    stage,
    uniquify,
    upright,
)
from dropmill.imaging.attempt import Attempt, Stop
from dropmill.model.bearing import Bearing
from dropmill.model.outcome import Reason
from dropmill.model.work import Processed, Question, Troubled, WorkRequest, WorkResult

Step = Callable[[Attempt], None]


def each_page(*steps: Step) -> Step:
    """A step that runs ``steps`` once for every page that is rendered."""

    def pages(attempt: Attempt) -> None:
        for number in range(1, len(attempt.pages) + 1):
            attempt.page = number
            for step in steps:
                step(attempt)

    return pages


STEPS: Final[tuple[Step, ...]] = (
    source.read,
    dissect.dissect,
    header.within_declared_limits,
    header.inspect,
    header.ask,
    each_page(
        decode.decode,
        upright.turn,
        colour.to_srgb,
        fingerprint.look,
        uniquify.ask,
        uniquify.change,
        render.render,
        encode.encode,
        stage.stage,
    ),
    stage.settle,
)


def process(request: WorkRequest, wanted: Callable[[Question], bool | Bearing]) -> WorkResult:
    """One attempt at one file. Never raises; whatever did not end in ``Processed`` has left nothing in staging.

    ``wanted`` is asked after the bytes are hashed and the header passed the limits, and again, where the request says so,
    once it is known how the picture looks.
    """
    codecs.set_up()
    attempt = Attempt(request, wanted)
    done = False
    try:
        result = _run(attempt)
        done = isinstance(result, Processed)
        return result
    finally:
        if not done:
            stage.take_back(attempt)


def _run(attempt: Attempt) -> WorkResult:
    try:
        for step in STEPS:
            step(attempt)
        if attempt.content is None or attempt.looks is None:
            raise AssertionError("the steps ended without a result")
        return Processed(attempt.content, attempt.looks, attempt.described(), tuple(attempt.rendered), attempt.changed)
    except Stop as stop:
        return stop.result
    except MemoryError:
        return Troubled(Reason.MEMORY_LIMIT, "out of memory")
    except Exception as error:  # noqa: BLE001  # The last resort: a defect of ours costs this attempt, not the worker.
        return Troubled(Reason.UNEXPECTED, where(error))


def where(error: Exception) -> str:
    """A defect in one line, with the place in our code."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    text = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {text} ({frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name})"
