"""Before anything runs: the folders of an inbox exist, are ours alone, and are known to the catalog."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping, Sequence
from typing import Final

from dropmill.errors import ConfigurationError
from dropmill.files import roots
from dropmill.files.lane import Lane
from dropmill.model.inbox import Inbox, Root
from dropmill.observe.facts import Emit, OutputChanged
from dropmill.settings import Inbox as InboxSettings
from dropmill.settings import Settings, resolved
from dropmill.store import boot as boots
from dropmill.store.catalog import Catalog

ANSWER_SECONDS: Final = 5.0


def lanes_of(settings: Settings) -> dict[bytes, Lane]:
    """One lane per inbox and per output, by path."""
    lanes: dict[bytes, Lane] = {}
    for inbox in settings.inboxes:
        for folder in (inbox.path, inbox.output):
            path = os.fsencode(os.path.abspath(folder))
            if path not in lanes:
                lanes[path] = Lane(f"lane-{inbox.name}")
    return lanes


async def prepare_inbox(
    catalog: Catalog,
    settings: Settings,
    item: InboxSettings,
    lock: roots.InboxLock,
    lanes: Mapping[bytes, Lane],
    emit: Emit,
) -> Inbox:
    """Folders made where missing, the inbox locked against other daemons, and all of them known to the catalog.

    A folder that hangs keeps only its own lane busy: whatever is asked of it later comes after this (W40). Its inbox is
    locked by its watch then. Only an output that was never met has to answer.
    """
    path, output = os.fsencode(os.path.abspath(item.path)), os.fsencode(os.path.abspath(item.output))
    dir_mode = int(settings.output.dir_mode, 8)
    targets = [folder for folder in (item.archive, item.duplicates, item.quarantine) if folder]
    try:
        await lanes[path].call_within(ANSWER_SECONDS, _take_inbox, item, lock, targets, dir_mode)
    except TimeoutError:
        pass  # Health and log say so from the first look on.
    try:
        output_uuid = await lanes[output].call_within(ANSWER_SECONDS, _make_output, item.output, dir_mode)
    except TimeoutError as error:
        known = await catalog.read(lambda session: boots.output_at(session, output))
        if known is None:
            raise ConfigurationError(
                f"{item.output}: the output {error.strerror}", hint="check the disk or share that it is on"
            ) from error
        output_uuid = known

    if await catalog.read(lambda session: boots.has_other_output(session, os.path.abspath(output), output_uuid)):
        emit(OutputChanged(item.name, output))

    async def root(kind: str, name: str, folder: str) -> Root:
        where = os.fsencode(os.path.abspath(folder))
        return Root(await catalog.write(lambda session: boots.put_root(session, kind, name, where)), where)

    found = {
        "inbox": await root("inbox", item.name, item.path),
        "output": await root("output", output_uuid, item.output),
    }
    for kind, folder in (("archive", item.archive), ("duplicates", item.duplicates), ("quarantine", item.quarantine)):
        if folder:
            found[kind] = await root(kind, item.name, folder)
    return resolved(settings, item, found, output_uuid)


def _take_inbox(item: InboxSettings, lock: roots.InboxLock, targets: Sequence[str], dir_mode: int) -> None:
    """Blocking."""
    if not os.path.isdir(item.path):
        raise ConfigurationError(
            f"{item.path}: the inbox {item.name!r} does not exist", hint=f"create it: mkdir -p {item.path}"
        )
    try:
        lock.take()
    except OSError as error:
        raise ConfigurationError(
            f"{item.path}: the inbox cannot be opened: {error.strerror}", hint="let the daemon's user read it"
        ) from error
    for folder in targets:
        _make_folder(folder, dir_mode)


def _make_output(folder: str, dir_mode: int) -> str:
    """Blocking. The output's identity, which it is given where it has none."""
    _make_folder(folder, dir_mode)
    output = os.fsencode(folder)
    try:
        roots.make_staging(output)
        return roots.output_identity(output, lambda: str(uuid.uuid4()))
    except OSError as error:
        raise ConfigurationError(
            f"{folder}: the output cannot be written: {error.strerror}", hint="check its owner, mode and mount"
        ) from error


def _make_folder(folder: str, mode: int) -> None:
    if os.path.isdir(folder):
        return
    try:
        os.makedirs(folder, exist_ok=True)
        os.chmod(folder, mode)
    except OSError as error:
        raise ConfigurationError(
            f"{folder}: cannot be created: {error.strerror}", hint="create it, or check the path"
        ) from error
