"""Puts the parts together; the only package that names concrete adapters."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, ExitStack

from dropmill.assembly.daemon import Daemon
from dropmill.assembly.fetching import read_logins
from dropmill.assembly.ground import Bus, prepare
from dropmill.assembly.webhooks import make_office
from dropmill.assembly.wiring import Wiring
from dropmill.files import roots
from dropmill.maintenance.state import take_state
from dropmill.settings import Settings

__all__ = ["Bus", "Daemon", "assemble", "read_logins"]


async def assemble(
    settings: Settings,
    bus: Bus,
    *,
    once: bool,
    heif: bool,
    serve: Callable[[Daemon], AbstractAsyncContextManager[str]],
    state_lock: roots.DirectoryLock | None = None,
) -> Daemon:
    """Lock, open and wire everything. Raises :class:`DropmillError` with nothing left behind where that fails.

    ``state_lock``: the lock of the state directory where the caller holds it, and keeps it.
    """
    with ExitStack() as resources:
        if state_lock is None:
            resources.callback(take_state(settings.state_dir).release)
        ground = await prepare(settings, bus, resources, heif=heif)
        office = await make_office(ground)
        daemon = Wiring(ground, office, heif=heif, once=once).daemon(serve)
        daemon.resources = resources.pop_all()
        return daemon
