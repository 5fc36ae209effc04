"""``dropmill backup``: the catalog in one file."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Annotated

import typer

from dropmill.cli import common
from dropmill.cli.common import ConfigOption, JsonOption, guarded


def install(app: typer.Typer) -> None:
    app.command(epilog=common.example("dropmill backup /var/backups/catalog.db", "dropmill backup nightly.db --force"))(
        backup
    )


@guarded
def backup(
    file: Annotated[str, typer.Argument(help="The file to be made.", metavar="FILE")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the file where it exists.")] = False,
) -> None:
    """Copy the catalog into one file.

    Whole and checked, while the daemon goes on working. docs/operations.md says how it is restored.
    """
    from dropmill.control.backup import backup as back_up
    from dropmill.observe.clock import SystemClock

    settings = common.known_settings(config).settings
    made = back_up(settings, common.absolute(file), SystemClock(), replace=force)
    if as_json:
        common.print_json(asdict(made) | {"seconds": round(made.seconds, 3)})
        return
    from dropmill.control.describe import counted

    size = f"{made.size_bytes / (1 << 20):.1f} MiB"
    sys.stdout.write(f"{made.file}: {size}, {counted(made.jobs, 'job')}, checked, in {made.seconds:.1f} s\n")
