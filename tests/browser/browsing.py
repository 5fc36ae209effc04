"""Chromium, looked at as a person looks: keys, focus, what is said, what jumps, what the console complains of."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from anyio.from_thread import start_blocking_portal

from parts import need_module, need_programs
from web_support import served

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

# Nothing of it reaches out, and it runs as root in a container.
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
# Nothing here takes that long; a deadline only keeps a failure from hanging.
DEADLINE_MS = 20_000
_WATCH_SHIFTS = """
window.shifted = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) {
    window.shifted.push([entry.value, entry.sources.map((one) => one.node?.outerHTML?.slice(0, 120) ?? "")]);
  }
}).observe({ type: "layout-shift", buffered: true });
"""


@contextmanager
def chromium() -> Iterator[Browser]:
    need_programs(chromium="chromium")
    need_module("playwright")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def serving(desk: Any, **http: Any) -> Iterator[str]:
    """The real web server over this desk, in a thread of its own; yields where it is."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(served(desk, **http)) as client:
        yield str(client.base_url).rstrip("/")


class Tab:
    """One page of a browser, and everything that went wrong in it."""

    def __init__(self, page: Page, base: str) -> None:
        self.page = page
        self.base = base
        self.complaints: list[str] = []
        page.set_default_timeout(DEADLINE_MS)
        page.add_init_script(_WATCH_SHIFTS)
        page.on(
            "console", lambda said: self.complaints.append(said.text) if said.type in {"error", "warning"} else None
        )
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def open(self, path: str) -> Tab:
        self.page.goto(self.base + path)
        return self

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def wait(self, script: str) -> Any:
        """What the expression, or the function, says of the page, once that is true. Playwright's own way of waiting
        evaluates text inside the page, which our content security policy forbids."""
        deadline = time.monotonic() + DEADLINE_MS / 1000
        while not (told := self.page.evaluate(script)):
            assert time.monotonic() < deadline, f"in vain: {script}"
            self.page.wait_for_timeout(30)
        return told

    def heed(self, fact: Callable[[], bool]) -> None:
        """Let the browser go on until the fact holds here."""
        deadline = time.monotonic() + DEADLINE_MS / 1000
        while not fact():
            assert time.monotonic() < deadline, f"in vain; the console says {self.complaints}"
            self.page.wait_for_timeout(30)

    def see(self, selector: str, text: str = "", state: Literal["visible", "detached", "hidden"] = "visible") -> str:
        """What the first such element says, once there is one with that text."""
        found = self.page.locator(selector, has_text=text).first if text else self.page.locator(selector).first
        found.wait_for(state=state)
        return found.inner_text() if state == "visible" else ""

    @property
    def focused(self) -> str:
        """The group and file that have the focus, as ``3/301``, or the tag's name."""
        return str(self.page.evaluate(
            """() => { const at = document.activeElement, card = at?.closest(".member"), group = at?.closest(".group");
            return group ? `${group.dataset.id}/${card?.dataset.member ?? ""}` : at?.tagName ?? ""; }"""
        ))  # fmt: skip

    def shifts(self) -> list[Any]:
        """What jumped without having been asked to, once the page is quiet."""
        self.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        found: list[Any] = self.page.evaluate("window.shifted")
        return found

    def violations(self) -> list[str]:
        """What axe-core finds that keeps people out: serious and critical only."""
        need_module("axe_playwright_python")
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(self.page).response["violations"]
        return [
            f"{one['id']}: {one['help']}: {[node['html'][:160] for node in one['nodes'][:4]]}"
            for one in found
            if one["impact"] in {"serious", "critical"}
        ]
