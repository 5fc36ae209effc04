"""What the shell proposes at the tab key, beside commands, options and files: words that are known here or configured."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import typer

from dropmill.errors import DropmillError

if TYPE_CHECKING:
    from dropmill.settings.top import Settings


def levels() -> list[str]:
    from dropmill.cli.common import LEVELS

    return list(LEVELS)


def states() -> list[str]:
    from dropmill.model.job import JobState

    return [str(state) for state in JobState]


def formats() -> list[str]:
    from dropmill.control.formats import FORMATS

    return list(FORMATS)


def relations() -> list[str]:
    from dropmill.model.resemblance import Relation

    return [str(relation) for relation in Relation]


def inboxes(ctx: typer.Context) -> list[str]:
    settings = _configured(ctx)
    return [inbox.name for inbox in settings.inboxes] if settings else []


def inboxes_and_dropfiles(ctx: typer.Context) -> list[str]:
    settings = _configured(ctx)
    if settings is None:
        return []
    return [inbox.name for inbox in settings.inboxes] + [dropfile.name for dropfile in settings.dropfiles]


def webhooks(ctx: typer.Context) -> list[str]:
    settings = _configured(ctx)
    return [webhook.name for webhook in settings.webhooks] if settings else []


def _configured(ctx: typer.Context) -> Settings | None:
    """The configuration that the words before the cursor name, else the usual one; what of it is sound, or None.

    A line that is being typed is no place for errors: where nothing can be read, nothing is proposed.
    """
    from dropmill.settings import SettingsError, load

    config: Any = ctx.params.get("config")
    try:
        return load(config, os.environ, {}, need_inboxes=False).settings
    except SettingsError as error:
        return getattr(error.rest, "settings", None)
    except (DropmillError, OSError, ValueError):
        return None
