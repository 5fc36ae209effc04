"""The state directory and its catalog: whatever a daemon would be refused for. Blocking."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from dropmill.control.doctor import dropfiles
from dropmill.control.doctor.finding import Finding, Ground, Severity
from dropmill.control.doctor.mounts import standing
from dropmill.errors import DropmillError
from dropmill.files import fstype
from dropmill.files.room import MOUNT_IT
from dropmill.files.standing import disk_is_away
from dropmill.maintenance.state import remote_kind
from dropmill.settings import Settings
from dropmill.store import views
from dropmill.store.catalog import ReadOnlyCatalog, catalog_path, examine
from dropmill.store.connection import Row

_WHY_LOCAL = "the catalog's locks and its shared log do not work on a share: jobs could be lost"


def look(ground: Ground) -> Iterator[Finding]:
    """What goes beyond writing there, which is tried as of any folder."""
    folder = ground.settings.state_dir
    above = standing(folder)
    try:
        share = remote_kind(above)
    except OSError:
        share = ""  # It cannot be opened, of which trying to write tells.
    remedy = "name a folder on a local disk; inboxes and outputs may be on shares"
    if share:
        text = f"{folder} is on a network file system ({share})"
        yield Finding("state", "error", text, "state_dir", folder, _WHY_LOCAL, remedy)
    elif _magic(above) == fstype.FUSE:
        text = f"{folder} is not on a disk of this machine"
        remedy += ", unless you know that locks and mmap work there"
        yield Finding("state", "warning", text, "state_dir", folder, _WHY_LOCAL, remedy)
    else:
        yield Finding("state", "ok", f"state {folder}: on a disk of this machine", "state_dir", folder)


def catalog(ground: Ground) -> Iterator[Finding]:
    """One that a daemon has is not examined: the daemon says itself how it is."""
    folder = ground.settings.state_dir
    path = catalog_path(folder)
    if not os.path.lexists(folder):
        return  # A first start makes it.
    try:
        if ground.holder is None:
            examine(path)
        opened = ReadOnlyCatalog(path)
    except OSError:
        return  # Told already: the state directory cannot be used.
    except DropmillError as error:
        severity: Severity = "note" if "older" in error.public_message else "error"
        yield Finding("state", severity, error.public_message, "state_dir", folder, remedy=error.hint)
        return
    try:
        yield from _away(ground.settings, opened.look(views.roots))
    finally:
        opened.close()
    yield Finding("state", "ok", f"catalog {path}: can be used", "state_dir", folder)


def _away(settings: Settings, roots: Sequence[Row]) -> Iterator[Finding]:
    """Folders that lay on a disk which is not mounted now: the daemon waits for it."""
    inboxes = [(f"inboxes.{index}", inbox) for index, inbox in enumerate(settings.inboxes)]
    for key, inbox in [*inboxes, *dropfiles.inboxes(settings)]:
        for kind in ("output", "archive", "duplicates", "quarantine"):
            folder = getattr(inbox, kind)
            path = os.fsencode(os.path.abspath(folder)) if folder else b""
            met = [row for row in roots if row["kind"] == kind and row["path"] == path]
            if any(disk_is_away(path, row["identity"]) for row in met if kind == "output" or row["name"] == inbox.name):
                named = dropfiles.setting_of(key, kind)
                why = "nothing is put in its place: what is owed to it waits"
                yield Finding(
                    "filesystem",
                    "warning",
                    f"{folder}: its disk is not mounted",
                    f"{key}.{named}",
                    folder,
                    why,
                    MOUNT_IT,
                )


def _magic(folder: str) -> int | None:
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return fstype.magic_of(fd)
    finally:
        os.close(fd)
