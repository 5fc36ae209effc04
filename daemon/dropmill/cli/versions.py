"""The version, and the versions of what decides pixels."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from dropmill import __version__
from dropmill.cli import common
from dropmill.cli.common import ConfigOption, JsonOption, guarded


def install(app: typer.Typer) -> None:
    app.command(
        epilog=common.example(
            "dropmill version", "dropmill version --components", "dropmill version --components --json > sbom.json"
        )
    )(version)


def tell_and_leave(wanted: bool) -> None:
    """The option ``--version``."""
    if wanted:
        sys.stdout.write(f"dropmill {__version__}\n")
        raise typer.Exit(0)


@guarded
def version(
    components: Annotated[
        bool, typer.Option("--components", help="Also of the libraries that decode and encode pictures.")
    ] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,  # Scripts add it to every command; it makes no difference here.
) -> None:
    """The version of dropmill.

    With --components also of what decodes and encodes pictures and keeps the catalog, as the libraries tell it themselves;
    with --json then as a bill of materials (CycloneDX), which scanners for known weaknesses read.
    """
    if as_json and not components:
        common.print_json({"dropmill": __version__})
        return
    if not components:
        sys.stdout.write(f"dropmill {__version__}\n")
        return
    found = _components()
    if as_json:
        from dropmill.cli import sbom

        common.print_json(sbom.document(__version__, found))
        return
    told = {"dropmill": __version__, **found}
    width = max(map(len, told))
    for name, value in told.items():
        sys.stdout.write(f"{name:<{width}}  {value}\n")


def _components() -> dict[str, str]:
    import importlib.metadata
    import platform

    from dropmill.imaging import codecs
    from dropmill.store.connection import sqlite_version

    versions = {"Python": platform.python_version(), "SQLite": sqlite_version()}
    return {**versions, "apsw": importlib.metadata.version("apsw"), **codecs.components()}
