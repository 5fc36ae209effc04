"""``dropmill export``: what became of each file and URL, as a table for other tools."""

from __future__ import annotations

import sys
from typing import Annotated, cast

import typer

from dropmill.cli import common, completing
from dropmill.cli.common import ConfigOption, guarded


def install(app: typer.Typer) -> None:
    app.command(
        epilog=common.example(
            "dropmill export --format csv > jobs.csv", "dropmill export --format parquet --output jobs.parquet"
        )
    )(export)


@guarded
def export(
    kind: Annotated[str, typer.Option("--format", help="csv, jsonl or parquet.", autocompletion=completing.formats)],
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="The file to be made; standard output where it is left out.")
    ] = None,
    inbox: Annotated[
        str | None,
        typer.Option(
            "--inbox", help="Only jobs of this inbox or drop-file.", autocompletion=completing.inboxes_and_dropfiles
        ),
    ] = None,
    state: Annotated[
        str | None, typer.Option("--state", help="Only jobs in this state.", autocompletion=completing.states)
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file where it exists.")] = False,
    config: ConfigOption = None,
) -> None:
    """All jobs as a table, oldest first.

    One row for each file and URL: where it came from, what became of it, label, digests, sizes, and where its
    renditions are. docs/datasets.md tells of every column.
    """
    from dropmill.control.export import Wish, export_to
    from dropmill.control.export import export as write
    from dropmill.control.formats import FORMATS, Format

    if kind not in FORMATS:
        raise typer.BadParameter(f"one of {', '.join(FORMATS)}", param_hint="--format")
    if kind == "parquet" and output is None:
        raise typer.BadParameter("parquet is no text: name a file with --output")
    settings = common.known_settings(config).settings
    wish = Wish(cast(Format, kind), inbox, state)
    if output is None:
        write(settings, wish, sys.stdout.buffer)
        return
    rows = export_to(settings, wish, common.absolute(output), replace=force)
    if sys.stderr.isatty():
        sys.stderr.write(f"{common.printable(output)}: {rows:,} jobs\n")
