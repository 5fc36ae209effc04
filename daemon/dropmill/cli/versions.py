"""The version, and the versions of what decides pixels."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from dropmill import __version__
from dropmill.cli import common
from dropmill.cli.common import ConfigOption, JsonOption, guarded


def install(app: typer.Typer) -> None:
    app.command(epilog=common.example("dropmill version", "dropmill version --components"))(version)


def tell_and_leave(wanted: bool) -> None:
    """The option ``--version``."""
    if wanted:
        sys.stdout.write(f"dropmill {__version__}\n")
        raise typer.Exit(0)


@guarded
def version(
    components: Annotated[
        bool, typer.Option("--components", help="Also of the libraries that decode and encode.")
    ] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,  # Scripts add it to every command; it makes no difference here.
) -> None:
    """The version of dropmill."""
    told = {"dropmill": __version__}
    if components:
        import platform

        from dropmill.imaging.codecs import components as found
        from dropmill.store.connection import sqlite_version

        told |= {"Python": platform.python_version(), "SQLite": sqlite_version(), **found()}
    if as_json:
        common.print_json(told)
        return
    if not components:
        sys.stdout.write(f"dropmill {__version__}\n")
        return
    width = max(map(len, told))
    for name, value in told.items():
        sys.stdout.write(f"{name:<{width}}  {value}\n")
