"""The pages of a real daemon with real pictures: what is decided there happens to the files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from browsing import Tab

from harness import Mill
from pictures import jpeg, photo

Opening = Callable[..., Tab]
TOKEN = "a-token-that-is-long-enough-to-be-one"

pytestmark = pytest.mark.long


def dropped(mill: Mill) -> None:
    """Two photographs, each once more as it would be sent to somebody."""
    for seed, name in ((11, "harbour"), (12, "meadow")):
        picture = photo(960, 640, seed)
        mill.drop(f"{name}.jpg", jpeg(picture, quality=95))
        mill.drop(f"sent/{name}.jpg", jpeg(picture.resize((480, 320)), quality=70))


def pictures_in(mill: Mill) -> dict[str, bytes]:
    """What a person sees in the inbox: each file, and its bytes."""
    files = [path.relative_to(mill.inbox) for path in mill.inbox.rglob("*.jpg")]
    return {
        str(path): (mill.inbox / path).read_bytes() for path in files if not any(part[0] == "." for part in path.parts)
    }


def grouped(mill: Mill, number: int) -> list[dict[str, Any]]:
    """The open groups, once there are so many."""
    mill.wait_for(lambda: mill.get("/api/v1/groups").json().get("total") == number)
    groups: list[dict[str, Any]] = mill.get("/api/v1/groups").json()["groups"]
    return groups


def test_what_is_decided_by_keys_happens_to_the_files_and_is_undone(tmp_path: Path, opened: Opening) -> None:
    mill = Mill(tmp_path, recursive=True)
    dropped(mill)
    before = pictures_in(mill)
    mill.start()
    first = grouped(mill, 2)[0]
    keeper = next(Path(one["path"]) for one in first["members"] if one["keeper"])
    other = next(Path(one["path"]) for one in first["members"] if not one["keeper"])
    assert keeper.parent.name == "in" and other.parent.name == "sent"
    tab = opened(mill.address, "/review")
    tab.see(".member img")
    tab.wait("[...document.querySelectorAll('.member img')].every((one) => one.complete && one.naturalWidth)")
    tab.press("j", "c")
    tab.see("dialog.compare .about")
    tab.wait("!document.querySelector('.stage').classList.contains('loading')")
    tab.press("4", "Escape")
    tab.see("dialog.compare", state="detached")
    tab.press("Enter")
    tab.see("#toast", "1 file to the trash")
    assert keeper.exists() and not other.exists()
    grouped(mill, 1)
    tab.press("u")
    tab.see("#toast", "is undone")
    assert pictures_in(mill) == before
    grouped(mill, 2)
    # All of them at once, and back.
    tab.page.reload()
    tab.see(".member")
    tab.press("a")
    tab.see("dialog .overview table")
    assert "2 groups" in tab.see("dialog .overview")
    tab.page.get_by_role("button", name="Move to the trash").click()
    tab.see("#toast", "2 files to the trash")
    tab.see(".empty", "Nothing to review")
    assert set(pictures_in(mill)) == {"harbour.jpg", "meadow.jpg"}
    tab.press("u")
    tab.see("#toast", "is undone")
    assert pictures_in(mill) == before
    assert tab.complaints == []
    assert mill.stop() == 0


def test_what_are_no_duplicates_does_not_come_back(tmp_path: Path, opened: Opening) -> None:
    mill = Mill(tmp_path, recursive=True)
    dropped(mill)
    mill.start()
    first = grouped(mill, 2)[0]
    tab = opened(mill.address, f"/review/{first['id']}")
    tab.see(".member")
    tab.press("j", "n")
    tab.see("#toast", "Not duplicates")
    grouped(mill, 1)
    tab = opened(mill.address, "/review")
    assert "1 group," in tab.see("#total", "1 group")
    assert tab.page.locator(".group").count() == 1
    assert mill.stop() == 0


def test_a_token_is_asked_for_and_kept_in_a_cookie(tmp_path: Path, opened: Opening) -> None:
    mill = Mill(tmp_path)
    token = tmp_path / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    mill.environment["DROPMILL_HTTP__TOKEN_FILE"] = str(token)
    mill.start()
    tab = opened(mill.address, "/review?tier=near&sort=newest")
    assert tab.violations() == []
    tab.page.get_by_label("Access token").fill("a guess")
    tab.press("Enter")
    tab.see("[role=alert]", "not the token")
    tab.page.get_by_label("Access token").fill(TOKEN)
    tab.press("Enter")
    tab.see(".empty", "No group is like that")
    assert tab.page.url.endswith("/review?tier=near&sort=newest")
    cookie = tab.page.context.cookies()[0]
    assert cookie["httpOnly"] and cookie["sameSite"] == "Strict" and TOKEN not in cookie["value"]
    tab.page.get_by_role("button", name="Sign out").click()
    tab.see("form label", "Access token")
    assert mill.stop() == 0
