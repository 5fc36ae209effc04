"""Drop-files as inboxes: the private folders that downloads stand in until they are processed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from dropmill.model.inbox import URLS_SUFFIX
from dropmill.settings.inboxes import Inbox

if TYPE_CHECKING:
    from dropmill.settings.dropfiles import Dropfile
    from dropmill.settings.top import Settings

DOWNLOADS: Final = "downloads"


class UrlInbox(Inbox):
    """An inbox whose pictures are downloaded: of a drop-file, or beside an inbox (``of_inbox``) for URLs added to it."""

    of_inbox: str = ""
    dropfile: str = ""
    """Path of the drop-file; empty where none is read."""


def url_inboxes(settings: Settings) -> tuple[UrlInbox, ...]:
    """One for each drop-file, then one for each inbox."""
    return (
        *(_of_dropfile(settings, item) for item in settings.dropfiles),
        *(_of_inbox(settings, item) for item in settings.inboxes),
    )


def _folder(settings: Settings, name: str) -> str:
    return os.path.join(settings.state_dir, DOWNLOADS, name)


def _of_dropfile(settings: Settings, item: Dropfile) -> UrlInbox:
    kept = "" if item.originals == "discard" else item.originals
    return UrlInbox(
        name=item.name,
        path=_folder(settings, item.name),
        output=item.output,
        profile=item.profile,
        dedupe=item.dedupe,
        on_success="archive" if kept else "delete",
        archive=kept,
        on_duplicate="move" if kept else "delete",
        duplicates=kept,
        quarantine=item.quarantine,
        names=item.names,
        receipts=item.receipts,
        priority=item.priority,
        label=item.label,
        dropfile=item.path,
    )


def _of_inbox(settings: Settings, item: Inbox) -> UrlInbox:
    name = item.name + URLS_SUFFIX
    return UrlInbox(
        name=name,
        path=_folder(settings, name),
        output=item.output,
        profile=item.profile,
        dedupe=item.dedupe,
        on_success="archive" if item.archive else "delete",
        archive=item.archive,
        on_duplicate="move" if item.duplicates else "delete",
        duplicates=item.duplicates,
        quarantine=item.quarantine,
        names=item.names,
        receipts=item.receipts,
        priority=item.priority,
        label=item.label,
        of_inbox=item.name,
    )
