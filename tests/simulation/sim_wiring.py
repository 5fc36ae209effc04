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

import anyio.to_thread
import pytest

from dropmill import net
from dropmill.assembly import fetching, ground, likeness, workers
from dropmill.fetch import download
from dropmill.files.lane import Lane
from dropmill.model.download import Fetch
from dropmill.settings import Settings
from dropmill.settings.load import load
from dropmill.store import catalog, fetches
from simulation.sim_index import SimulatedIndex
from simulation.sim_loop import SimulatedClock
from simulation.sim_parts import SimulatedLane, SimulatedPool, SimulatedWriter
from simulation.sim_web import client_of, dying, in_no_thread

if TYPE_CHECKING:
    from simulation.sim_run import Run
    from simulation.sim_urls import Urls


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
[[dropfiles]]
name = "list"
path = "lists/urls.txt"
output = "out"
profile = "simulated"
[downloads]
retry_base_seconds = 0.5
retry_cap_seconds = 20.0
breaker_rest_seconds = 2.0
max_rest_seconds = 120.0
""",
        encoding="utf-8",
    )
    return load(path, {}, {}).settings


def settings_of(
    base: str,
    options: dict[str, Any],
    renditions: int,
    processes: int,
    urls: tuple[dict[str, Any], dict[str, Any]] | None,
) -> Settings:
    """``urls``: options of the drop-file, and of downloads; None for no drop-file."""
    common = _common_settings(base)
    dropfile, downloads = urls or ({}, {})
    profile = common.profiles["simulated"]
    return common.model_copy(
        update={
            "inboxes": type(common.inboxes)([common.inboxes[0].model_copy(update=options)]),
            "dropfiles": type(common.dropfiles)(
                [common.dropfiles[0].model_copy(update=dropfile)] if urls is not None else []
            ),
            "downloads": common.downloads.model_copy(update=downloads),
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
        patch.setattr(workers, "ProcessPool", pool)
        patch.setattr(likeness, "IndexClient", partial(SimulatedIndex, run))
        patch.setattr(ground, "SteadyClock", partial(SimulatedClock, run.time))
        patch.setattr(ground, "random", types.SimpleNamespace(Random=lambda: random.Random(chance.random())))
        patch.setattr(uuid, "uuid4", lambda: uuid.UUID(int=chance.getrandbits(128), version=4))
        if run.urls is not None:
            _net_in_place(run, run.urls, patch)
        patch.setattr(sys, "unraisablehook", lambda _: None)  # Tasks of a dead process end without a word.
        # The kernel says by it that somebody wants to write what we hold a lease on; by default it kills.
        before = signal.signal(signal.SIGIO, signal.SIG_IGN)
        try:
            yield
        finally:
            signal.signal(signal.SIGIO, before)


def _net_in_place(run: Run, urls: Urls, patch: pytest.MonkeyPatch) -> None:
    """The hosts, and what runs in threads on behalf of downloads."""
    for name in ("download", "forget"):
        patch.setattr(fetching.Stored, name, dying(run, getattr(fetching.Stored, name)))
    begin = fetching.Stored.download

    async def beginning(stored: Any, fetch: Fetch, *args: Any) -> Any:
        urls.begins(fetch)
        return await begin(stored, fetch, *args)

    patch.setattr(fetching.Stored, "download", beginning)
    patch.setattr(net, "open_client", partial(client_of, urls.web))
    patch.setattr(download, "boot_id", lambda: f"boot {run.boots_of_the_machine}")
    patch.setattr(anyio.to_thread, "run_sync", partial(in_no_thread, run))
    patch.setattr(fetches.CatalogFetches, "fetched", urls.fetched(fetches.CatalogFetches.fetched))
