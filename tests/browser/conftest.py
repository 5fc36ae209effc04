from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from browsing import Tab, chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Opening = Callable[..., Tab]


# Of a module and no longer: Playwright runs an event loop in this thread, beside which no async test can run.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as made:
        yield made


@pytest.fixture
def opened(browser: Browser) -> Iterator[Opening]:
    """``opened(base, "/review", width=360)``: a tab of its own, closed at the end."""
    with ExitStack() as closing:

        def make(base: str, path: str, width: int = 1280, height: int = 900, **context: Any) -> Tab:
            made = browser.new_context(viewport={"width": width, "height": height}, **context)
            closing.callback(made.close)
            return Tab(made.new_page(), base).open(path)

        yield make
