"""How the simulated parts get into the daemon: its settings, and the constructors that ``assembly/`` uses."""

from __future__ import annotations

import random
import signal
import sys
import types
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dropmill.assembly import ground, wiring
from dropmill.files.lane import Lane
from dropmill.settings import Settings
from dropmill.settings.load import load
from dropmill.store import catalog
from simulation.sim_loop import SimulatedClock
from simulation.sim_parts import SimulatedLane, SimulatedPool, SimulatedWriter

if TYPE_CHECKING:
    from simulation.sim_run import Run


@cache
def _common_settings(base: str) -> Settings:
    """Through a configuration file, as every daemon gets them; what differs from run to run is put in afterwards."""
    path = Path(base) / "dropmill.toml"
    path.write_text(
        """state_dir = "state"
[queue]
retry_base_seconds = 0.5
retry_cap_seconds = 20.0
retention_days = 0
[profiles.simulated]
renditions = [{name = "t", fit = [8, 8]}, {name = "u", fit = [8, 8]}]
[[inboxes]]
name = "camera"
path = "in"
output = "out"
archive = "archive"
duplicates = "duplicates"
quarantine = "quarantine"
profile = "simulated"
watch = "poll"
poll_seconds = 2.0
incomplete_timeout_seconds = 4.0
""",
        encoding="utf-8",
    )
    return load(path, {}, {}).settings


def settings_of(base: str, options: dict[str, Any], renditions: int, processes: int) -> Settings:
    common = _common_settings(base)
    profile = common.profiles["simulated"]
    return common.model_copy(
        update={
            "inboxes": type(common.inboxes)([common.inboxes[0].model_copy(update=options)]),
            "workers": common.workers.model_copy(update={"processes": processes}),
            "profiles": {
                **common.profiles,
                "simulated": profile.model_copy(update={"renditions": profile.renditions[:renditions]}),
            },
        }
    )


@contextmanager
def in_place_of_the_real_ones(run: Run) -> Iterator[None]:
    """The constructors that ``assembly/`` and the store use, and their sources of chance, for the time of one run."""
    chance = random.Random(run.seed + 1)
    with pytest.MonkeyPatch.context() as patch:
        lane, pool, writer = (partial(part, run) for part in (SimulatedLane, SimulatedPool, SimulatedWriter))
        for name, module in list(sys.modules.items()):
            if name.startswith("dropmill.") and vars(module).get("Lane") is Lane:
                patch.setattr(module, "Lane", lane)
        patch.setattr(catalog, "Writer", writer)
        patch.setattr(wiring, "ProcessPool", pool)
        patch.setattr(ground, "SteadyClock", partial(SimulatedClock, run.time))
        patch.setattr(ground, "random", types.SimpleNamespace(Random=lambda: random.Random(chance.random())))
        patch.setattr(uuid, "uuid4", lambda: uuid.UUID(int=chance.getrandbits(128), version=4))
        patch.setattr(sys, "unraisablehook", lambda _: None)  # Tasks of a dead process end without a word.
        # The kernel says by it that somebody wants to write what we hold a lease on; by default it kills.
        before = signal.signal(signal.SIGIO, signal.SIG_IGN)
        try:
            yield
        finally:
            signal.signal(signal.SIGIO, before)
