"""What the start does about leftovers in an output that was away then (PROTOCOL 15)."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from dropmill.files.lane import Lane
from dropmill.files.roots import make_staging, output_identity
from dropmill.maintenance.recover import Recovery
from dropmill.model.inbox import Root
from dropmill.observe.clock import SystemClock
from dropmill.observe.facts import Fact, Recovered
from dropmill.store.catalog import Catalog

STRAY = "7-1-t"


class Returning(SystemClock):
    """While somebody waits, what he waits for happens."""

    def __init__(self, happens: Callable[[], None]) -> None:
        super().__init__()
        self._happens = happens

    async def sleep(self, seconds: float) -> None:
        self._happens()


def output_at(path: Path, identity: str) -> None:
    path.mkdir()
    make_staging(os.fsencode(path))
    output_identity(os.fsencode(path), lambda: identity)
    (path / ".dropmill" / STRAY).touch()


@pytest.mark.parametrize("instead", ["nothing", "an empty folder", "another output"])
def test_w26_an_output_that_was_away_is_swept_when_it_is_back_and_before_anything_is_claimed(
    tmp_path: Path, instead: str
) -> None:
    inbox, output, away = tmp_path / "in", tmp_path / "out", tmp_path / "away"
    inbox.mkdir()
    output_at(away, "our-output")
    if instead == "an empty folder":
        output.mkdir()
    elif instead == "another output":
        output_at(output, "other-output")
    waited: list[set[str]] = []

    def returns() -> None:
        waited.append(set(recovery.waiting))
        if output.exists():
            output.rename(tmp_path / "instead")
        away.rename(output)

    paths = {name: os.fsencode(path) for name, path in (("in", inbox), ("out", output))}
    camera: Any = SimpleNamespace(
        output=Root(2, paths["out"]), root=Root(1, paths["in"]), output_uuid="our-output", urls=False
    )
    lanes = {path: Lane(os.fsdecode(path)) for path in paths.values()}
    catalog = Catalog(str(tmp_path / "catalog.db"))
    facts: list[Fact] = []
    recovery = Recovery(
        catalog, "boot", 20, {"camera": camera}, lanes, [], Returning(returns), facts.append, lambda: None
    )
    try:
        anyio.run(recovery.run, 0)
    finally:
        catalog.close()
        for lane in lanes.values():
            lane.close()
    assert waited == [{"camera"}]
    assert recovery.waiting == set()
    assert [fact.strays for fact in facts if isinstance(fact, Recovered)] == [1]
    assert not (output / ".dropmill" / STRAY).exists()
    if instead == "another output":
        assert (tmp_path / "instead" / ".dropmill" / STRAY).exists()
