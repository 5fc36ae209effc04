"""What the zygote loads: the way into imaging for whatever a worker is asked."""

from __future__ import annotations

from collections.abc import Callable

from dropmill.imaging import errands, recipe
from dropmill.imaging.preload import preload
from dropmill.model.bearing import Bearing
from dropmill.model.errand import ErrandRequest, ErrandResult
from dropmill.model.work import Question, WorkRequest, WorkResult

__all__ = ["preload", "process"]


def process(
    request: WorkRequest | ErrandRequest, wanted: Callable[[Question], bool | Bearing]
) -> WorkResult | ErrandResult:
    """A job by the recipe, an errand by what it asks for. Never raises."""
    if isinstance(request, ErrandRequest):
        return errands.run(request, wanted)
    return recipe.process(request, wanted)
