"""Before anything runs: the folders of an inbox exist, are ours alone, and are known to the catalog."""

from __future__ import annotations

import os
import uuid
from contextlib import ExitStack

from dropmill.errors import ConfigurationError
from dropmill.files import roots
from dropmill.model.inbox import Inbox, Root
from dropmill.observe.facts import Emit, OutputChanged
from dropmill.settings import Inbox as InboxSettings
from dropmill.settings import Settings, resolved
from dropmill.store import boot as boots
from dropmill.store.catalog import Catalog


async def prepare_inbox(
    catalog: Catalog, settings: Settings, item: InboxSettings, resources: ExitStack, emit: Emit
) -> Inbox:
    """Folders made where missing, the inbox locked against other daemons, and all of them known to the catalog."""
    path = os.fsencode(item.path)
    if not os.path.isdir(path):
        raise ConfigurationError(
            f"{item.path}: the inbox {item.name!r} does not exist", hint=f"create it: mkdir -p {item.path}"
        )
    resources.callback(roots.lock_directory(path).release)
    output = os.fsencode(item.output)
    dir_mode = int(settings.output.dir_mode, 8)
    for folder in filter(None, (item.output, item.archive, item.duplicates, item.quarantine)):
        _make_folder(folder, dir_mode)
    try:
        roots.make_staging(output)
        output_uuid = roots.output_identity(output, lambda: str(uuid.uuid4()))
    except OSError as error:
        raise ConfigurationError(
            f"{item.output}: the output cannot be written: {error.strerror}", hint="check its owner, mode and mount"
        ) from error

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
