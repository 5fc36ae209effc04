"""What the browser itself is told to keep out: nothing of ours needs an exception."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from browsing import Tab, serving

from web import WebServer, document
from web_support import FakeDesk, job

Opening = Callable[..., Tab]
TOKEN = "0123456789abcdef0123"

pytestmark = pytest.mark.long


def violations(tab: Tab) -> list[str]:
    return [said for said in tab.complaints if "Content Security Policy" in said or "Permissions-Policy" in said]


def test_no_page_of_ours_meets_its_own_policy_and_foreign_scripts_do(tmp_path: Path, opened: Opening) -> None:
    (tmp_path / "token").write_text(TOKEN)
    with serving(FakeDesk(jobs=[job(1)]), token_file=str(tmp_path / "token")) as base:
        tab = opened(base, "/jobs")
        tab.page.fill("#token", TOKEN)
        tab.page.click("button")
        tab.see("#bar")
        assert tab.page.url == base + "/jobs"
        for path in ("/", "/review", "/jobs", "/scan", "/settings"):
            tab.open(path)
            tab.see("#main")
            tab.page.wait_for_load_state("load")
        assert violations(tab) == []
        tab.page.evaluate(
            "() => { const one = document.createElement('script'); one.textContent = 'window.ran = 1'; "
            "document.body.append(one); document.body.setAttribute('style', 'color: red'); }"
        )
        assert tab.page.evaluate("window.ran") is None
        # The browser tells of it a moment later.
        tab.heed(lambda: bool(violations(tab)))
        tab.page.click("#logout")
        tab.see("#token")


def test_s06_a_script_of_another_site_uses_the_api_where_its_origin_is_named_and_nowhere_else(opened: Opening) -> None:
    ask = """async (url) => {
      const read = async (path, options) => {
        try { return (await fetch(url + path, options)).status; } catch { return "kept out"; }
      };
      const body = { method: "POST", headers: { "content-type": "application/json" }, body: "{}" };
      return [await read("/api/v1/status"), await read("/api/v1/pause", body), await read("/")];
    }"""
    with WebServer() as web:
        web.on("/", document(b"<!doctype html><title>another site</title>", headers=[("Content-Type", "text/html")]))
        origin = web.url("/").rstrip("/")
        named, unnamed = FakeDesk(), FakeDesk()
        with serving(named, allowed_origins=(origin,)) as base, serving(unnamed) as closed:
            tab = opened(origin, "/")
            assert tab.page.evaluate(ask, base) == [200, 200, "kept out"]
            assert tab.page.evaluate(ask, closed) == ["kept out"] * 3
        assert (named.asked, unnamed.asked) == ([("pause", None)], [])
