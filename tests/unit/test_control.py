"""The desk's small decisions: places, rules, routes, and looks at folders that hang."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropmill.cli.reach import _error_of, encoded, route
from dropmill.control.describe import iso, original_of
from dropmill.control.desk import Desk
from dropmill.control.places import Known, junk_rule, places_of
from dropmill.control.watchful import Chronicle
from dropmill.errors import Conflict, DropmillError, Forbidden, NotFound, NotReachable, Unavailable
from dropmill.model.names import junk_path
from dropmill.observe.facts import Claimed, StateTrouble
from dropmill.web.api.common import bytes_of


@given(st.binary(min_size=1).filter(lambda data: b"\0" not in data))
def test_any_path_survives_the_way_to_the_daemon(path: bytes) -> None:
    assert bytes_of(encoded(path)) == path


@given(
    st.lists(
        st.sampled_from([b"a.jpg", b".b", b"Thumbs.db", b"x.part", b"@eaDir", b"raw", b"~$c", b"d.bak", b"e"]),
        min_size=1,
        max_size=4,
    )
)
def test_a_rule_is_named_exactly_where_a_path_is_junk(parts: list[bytes]) -> None:
    rel, ignore = b"/".join(parts), ("*.bak", "raw/*")
    assert bool(junk_rule(rel, ignore)) == junk_path(rel, ignore)


def test_a_place_is_found_by_its_names_and_through_links(tmp_path: Path) -> None:
    (tmp_path / "real/in").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    root = Known("inbox", os.fsencode(tmp_path / "link/in"), 1, None)
    for path in (tmp_path / "link/in/a.jpg", tmp_path / "real/in/a.jpg"):
        (place,) = places_of(os.fsencode(path), [root])
        assert place.rel == b"a.jpg"
    assert places_of(os.fsencode(tmp_path / "real/in"), [root]) == []
    assert places_of(os.fsencode(tmp_path / "real/inner/a.jpg"), [root]) == []
    # A link is what it is, whatever it leads to.
    (tmp_path / "real/in/out.jpg").symlink_to("/etc/hostname")
    (place,) = places_of(os.fsencode(tmp_path / "real/in/out.jpg"), [root])
    assert place.rel == b"out.jpg"


@pytest.mark.parametrize(
    ("method", "arguments", "verb", "path"),
    [
        ("status", (), "GET", "/api/v1/status"),
        ("health", (), "GET", "/api/v1/health"),
        ("jobs", (None, "camera", 10, None), "GET", "/api/v1/jobs"),
        ("job", (3,), "GET", "/api/v1/jobs/3"),
        ("why", (b"/a",), "GET", "/api/v1/why"),
        ("retry", (3,), "POST", "/api/v1/jobs/3/retry"),
        ("retry_all", (), "POST", "/api/v1/jobs/retry"),
        ("cancel", (3,), "POST", "/api/v1/jobs/3/cancel"),
        ("pause", (None,), "POST", "/api/v1/pause"),
        ("resume", ("camera",), "POST", "/api/v1/resume"),
        ("reprocess", ("3",), "POST", "/api/v1/reprocess"),
        ("add", ([b"/a"], None, None, None), "POST", "/api/v1/add"),
        ("settings", (), "GET", "/api/v1/settings"),
        ("set_preferences", ({"dedupe.near_phash": None},), "PUT", "/api/v1/settings"),
        ("add_urls", ([], None, None, None), "POST", "/api/v1/add/urls"),
    ],
)
def test_every_method_of_the_desk_has_a_route(method: str, arguments: tuple[Any, ...], verb: str, path: str) -> None:
    assert hasattr(Desk, method)
    assert route(method, arguments)[:2] == (verb, path)


def test_jobs_are_asked_for_without_what_was_not_given() -> None:
    assert route("jobs", (None, "camera", 10, None))[2] == {"inbox": "camera", "limit": 10}


def _row(**changes: Any) -> dict[str, Any]:
    row = {
        "outcome": "published", "state": "completed", "disposal_state": None, "disposal_result": None,
        "target_path": None, "target_name": None, "read_path": None, "read_rel": None, "overwritten": 0,
        "catalogued": 1, "moved_to": None, "root_path": b"/in", "rel": b"a.jpg",
        "url": None, "phase": "process",
    }  # fmt: skip
    return row | changes


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({}, (b"/in", b"a.jpg")),
        ({"disposal_state": "owed", "disposal_result": ""}, (b"/in", b"a.jpg")),
        (
            {"disposal_state": "done", "disposal_result": "moved", "target_path": b"/kept", "target_name": b"b.jpg"},
            (b"/kept", b"b.jpg"),
        ),
        ({"disposal_state": "done", "disposal_result": "deleted"}, None),
        ({"disposal_state": "done", "disposal_result": "gone"}, None),
        ({"disposal_state": "done", "disposal_result": "put back", "target_path": b"/q"}, (b"/in", b"a.jpg")),
        ({"outcome": "superseded"}, None),
        ({"overwritten": 1}, None),
        ({"catalogued": 0, "moved_to": b"c.jpg"}, (b"/in", b"c.jpg")),
        ({"catalogued": 0}, None),
        ({"read_path": b"/kept", "read_rel": b"d.jpg"}, (b"/kept", b"d.jpg")),
        ({"state": "discarded", "outcome": None, "catalogued": 0}, (b"/in", b"a.jpg")),
    ],
)
def test_where_an_original_is_now(changes: dict[str, Any], where: tuple[bytes, bytes] | None) -> None:
    assert original_of(_row(**changes)) == where


def test_times_are_told_in_utc() -> None:
    assert iso(1_767_225_600_123) == "2026-01-01T00:00:00.123Z"
    assert iso(None) is None


class _Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.at = 100.0

    def now_ms(self) -> int:
        return int(self.at * 1000)

    def monotonic(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += seconds


def test_trouble_with_the_catalog_passes_with_the_next_success_or_in_time() -> None:
    clock = _Hand()
    chronicle = Chronicle(clock)
    chronicle(StateTrouble("commit", "disk full"))
    assert chronicle.trouble is not None
    clock.at += 60
    assert chronicle.trouble is None
    chronicle(StateTrouble("commit", "disk full"))
    chronicle(Claimed(1, "camera", b"a", 1, 0.0))
    assert chronicle.trouble is None


@pytest.mark.parametrize(
    ("status", "reason", "error", "exit_code"),
    [
        (403, "outside-library-roots", Forbidden, 1),
        (403, "permanent-not-allowed", Forbidden, 1),
        (403, "host-not-allowed", NotReachable, 4),
        (401, "unauthorised", NotReachable, 4),
        (404, "not-found", NotFound, 1),
        (409, "conflict", Conflict, 1),
        (503, "unavailable", Unavailable, 1),
    ],
)
def test_a_problem_comes_back_as_the_error_that_it_was(
    status: int, reason: str, error: type[DropmillError], exit_code: int
) -> None:
    body = {"detail": "no", "hint": "do this", "reason": reason}
    told = _error_of(httpx.Response(status, json=body))
    assert type(told) is error
    assert (told.public_message, told.hint, told.reason, told.exit_code) == ("no", "do this", reason, exit_code)
