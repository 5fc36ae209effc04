"""Status, jobs, scan and settings of a real daemon in the browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from browsing import Tab

from harness import Mill
from pictures import jpeg, photo

Opening = Callable[..., Tab]

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def mill(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mill]:
    """One inbox with a picture, a broken one in quarantine, and a library."""
    root = tmp_path_factory.mktemp("mill")
    library = root / "library"
    (library / "2019").mkdir(parents=True)
    for seed in range(3):
        (library / "2019" / f"{seed}.jpg").write_bytes(jpeg(photo(320, 240, seed)))
    made = Mill(root, quarantine="quarantine", top={"library_roots": [str(library)]})
    made.drop("good.jpg", jpeg(photo(320, 240, 9)))
    made.drop("broken.jpg", b"no picture at all" * 20)
    made.start()
    made.wait_for(lambda: made.done(2))
    yield made
    made.stop()


# The daemon is of the module: the fixture that ends those of a failed test must not end it after the first.
@pytest.fixture(autouse=True)
def no_daemon_outlives_its_test() -> None:
    pass


@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (2560, "light")])
@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/", ".chart figcaption"),
        ("/jobs", ".job .path"),
        ("/scan", "#begin form"),
        ("/settings", ".values tbody tr"),
        ("/review", ".empty"),
    ],
)
def test_nobody_is_kept_out_and_nothing_jumps(
    path: str, shown: str, width: int, scheme: str, mill: Mill, opened: Opening
) -> None:
    tab = opened(mill.address, path, width=width, color_scheme=scheme)
    tab.see(shown)
    assert tab.shifts() == []
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.violations() == []
    assert tab.complaints == []


def test_a_job_in_quarantine_is_tried_again(mill: Mill, opened: Opening) -> None:
    tab = opened(mill.address, "/jobs?state=discarded")
    assert "not-an-image" in tab.see(".job", "broken.jpg")
    assert tab.page.locator(".job").count() == 1
    before = mill.jobs("discarded")[0]["finished_at"]
    tab.page.locator(".job button", has_text="Retry").click()
    tab.see("#toast", "tried again")
    mill.wait_for(lambda: [job["finished_at"] for job in mill.jobs("discarded")] not in ([], [before]))
    assert tab.complaints == []


def test_a_library_is_scanned_with_its_progress(mill: Mill, opened: Opening) -> None:
    tab = opened(mill.address, "/scan")
    tab.see("#begin form")
    tab.page.get_by_label("Workers").fill("1")
    tab.page.get_by_role("button", name="Scan").click()
    tab.see(".run.done", "3 catalogued")
    told = tab.see(".run.done")
    assert "Done" in told and str(mill.root / "library") in told.replace("\u200b", "")
    assert tab.complaints == []


def test_a_scan_outside_the_libraries_is_refused_with_its_remedy(mill: Mill, opened: Opening) -> None:
    tab = opened(mill.address, "/scan")
    tab.see("#begin form")
    tab.page.locator("[name=root]").uncheck()
    tab.page.get_by_label("or a folder below one of them").fill("/etc")
    tab.page.get_by_role("button", name="Scan").click()
    assert "library_roots" in tab.see("#toast .bad")


def test_a_threshold_is_previewed_changed_and_set_back(mill: Mill, opened: Opening) -> None:
    tab = opened(mill.address, "/settings")
    tab.see(".preference")
    tab.page.get_by_label("dedupe.near_phash").fill("2")
    assert "groups" in tab.see(".effect p", "Groups").lower()
    tab.page.get_by_role("button", name="Apply").click()
    tab.see("#toast", "in force")
    told = {one["name"]: one for one in mill.get("/api/v1/settings").json()["preferences"]}
    assert told["dedupe.near_phash"]["value"] == 2 and told["dedupe.near_phash"]["changed"]
    tab.page.get_by_role("button", name="Set dedupe.near_phash as configured").click()
    tab.see("#toast", "as configured")
    told = {one["name"]: one for one in mill.get("/api/v1/settings").json()["preferences"]}
    assert not told["dedupe.near_phash"]["changed"]
    tab.page.get_by_label("Find").fill("state_dir")
    assert "state_dir" in tab.page.locator(".values tbody tr:visible").all_inner_texts()[0]
    assert tab.page.locator(".values tbody tr", has_text="log.level").is_hidden()
    assert tab.complaints == []


def test_the_status_follows_what_happens(mill: Mill, opened: Opening) -> None:
    tab = opened(mill.address, "/")
    tab.see(".tile", "good.jpg")
    mill.drop("later.jpg", jpeg(photo(320, 240, 10)))
    tab.see(".tile", "later.jpg")
    assert tab.complaints == []
