"""A worker's handler that does nothing: what remains is the way there and back."""

from __future__ import annotations

from collections.abc import Callable

from dropmill.model.fingerprint import Content
from dropmill.model.work import Preview, Recognised, WorkRequest, WorkResult

CONTENT = Content("0" * 64, "0" * 64)


def process(request: WorkRequest, wanted: Callable[[Preview], bool]) -> WorkResult:
    """Asks whether renditions are wanted where the request has any, as the recipe does; renders nothing."""
    if request.recipe.renditions:
        wanted(Preview(CONTENT, 12_000_000, 1))
    return Recognised(CONTENT)
