"""Commands that ask: status, jobs, why, health."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from dropmill.cli import common, completing
from dropmill.cli.common import ConfigOption, JsonOption, guarded
from dropmill.errors import NotFound, NotReachable, StateError


def install(app: typer.Typer) -> None:
    app.command(epilog=common.example("dropmill status", "dropmill status --watch", "dropmill status --json"))(status)
    app.command(epilog=common.example("dropmill jobs --state discarded", "dropmill jobs --json --limit 1000"))(jobs)
    app.command(epilog=common.example("dropmill why /srv/inbox/IMG_0001.jpg", "dropmill why 17"))(why)
    app.command(epilog=common.example("dropmill health", "dropmill health --ready"))(health)


@guarded
def status(
    config: ConfigOption = None,
    as_json: JsonOption = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on showing it, once a second.")] = False,
) -> None:
    """Inboxes, drop-files, queue, workers and health.

    Live, or from the catalog where no daemon runs.
    """
    settings = common.known_settings(config).settings
    if watch:
        from dropmill.cli.live import watch_status

        watch_status(settings)
        return
    from dropmill.cli.reach import ask

    told = ask(settings, "status")
    if as_json:
        common.print_json(told)
        return
    from dropmill.cli import glance, tables

    tables.show(glance.status(told))


@guarded
def jobs(
    config: ConfigOption = None,
    as_json: JsonOption = False,
    state: Annotated[
        str | None, typer.Option("--state", help="Only jobs in this state.", autocompletion=completing.states)
    ] = None,
    inbox: Annotated[
        str | None,
        typer.Option("--inbox", help="Only jobs of this inbox.", autocompletion=completing.inboxes_and_dropfiles),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many, newest first.")] = 100,
    before: Annotated[int | None, typer.Option("--before", help="Only jobs with a smaller id, to page on.")] = None,
) -> None:
    """Jobs, newest first."""
    from dropmill.cli.reach import ask

    settings = common.known_settings(config).settings
    found: list[dict[str, object]] = []
    while len(found) < limit:
        lot = ask(settings, "jobs", state, inbox, min(1000, limit - len(found)), before)
        found += lot
        if not lot:
            break
        before = lot[-1]["id"]
    if as_json:
        common.print_json(found)
        return
    from dropmill.cli import tables

    tables.show(tables.jobs(found))


@guarded
def why(
    target: Annotated[
        str,
        typer.Argument(
            help="A path, a file name, a URL, a job id, or a SHA-256 or its start.", metavar="PATH|URL|ID|SHA256"
        ),
    ],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """The whole life of one file.

    How it was found, when it settled, attempts, verdict, and where everything is now. A file name alone, and the first
    eight digits of a SHA-256, do where they mean one file.
    """
    from dropmill.cli.reach import ask

    settings = common.known_settings(config).settings
    from dropmill.control.elsewhere import UNKNOWN

    told = ask(settings, "why", meant(target))
    if told["verdict"] in UNKNOWN and not told["jobs"] and told["now"].get("there") == "nothing" and "/" not in target:
        # Nothing of that name is in the working directory: it may be a file's name alone, or begin a digest.
        try:
            told = ask(settings, "why", target)
        except NotFound:
            pass  # The story of the path stands.
    if as_json:
        common.print_json(told)
        return
    from dropmill.cli import tables

    tables.show(tables.story(told))


def meant(target: str) -> str | bytes:
    """A job id, digest or URL as it is; anything else, and a file that is called like a number, as an absolute path."""
    number_or_digest = target.isdecimal() or (
        len(target) == 64 and all(char in "0123456789abcdefABCDEF" for char in target)
    )
    if "://" in target and not os.path.lexists(os.fsencode(target)):
        return target
    if number_or_digest and not os.path.lexists(os.fsencode(target)):
        return target
    return common.absolute(target)


@guarded
def health(
    config: ConfigOption = None,
    as_json: JsonOption = False,
    live: Annotated[bool, typer.Option("--live", help="Only whether it answers.")] = False,
    ready: Annotated[bool, typer.Option("--ready", help="Only whether it can accept work.")] = False,
) -> None:
    """Exit code 0 if all is well, 1 if not, 4 if no daemon answers."""
    from dropmill.cli.reach import require_daemon

    settings = common.known_settings(config).settings
    try:
        told = require_daemon(settings, "health")
    except StateError as error:
        raise NotReachable(error.public_message, hint=error.hint) from error
    if live or ready:
        part = "live" if live else "ready"
        well = bool(told[part])
        if as_json:
            common.print_json({part: well})
        else:
            sys.stdout.write(f"{part if well else f'not {part}'}\n")
        raise typer.Exit(0 if well else 1)
    if as_json:
        common.print_json(told)
    else:
        from dropmill.cli import tables

        tables.show(tables.health(told))
    raise typer.Exit(0 if told["status"] == "ok" else 1)
