"""The command that shows pictures which resemble each other."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from dropmill.cli import common, completing
from dropmill.cli.common import ConfigOption, JsonOption, guarded

if TYPE_CHECKING:
    from dropmill.settings import Settings

Json = dict[str, Any]
_LOT: Final = 500


class Tier(StrEnum):
    """As ``dropmill.model.resemblance.Tier``, here for help and completion."""

    EXACT = "exact"
    NEAR = "near"
    SIMILAR = "similar"
    LOOSE = "loose"


def install(app: typer.Typer) -> None:
    app.command(epilog=common.example("dropmill duplicates", "dropmill duplicates --json --tier exact"))(duplicates)


@guarded
def duplicates(
    config: ConfigOption = None,
    as_json: JsonOption = False,
    tier: Annotated[
        Tier | None, typer.Option("--tier", help="Only files that resemble the one to keep that closely.")
    ] = None,
    inbox: Annotated[
        str | None,
        typer.Option("--inbox", help="Only groups with a file of this inbox.", autocompletion=completing.inboxes),
    ] = None,
    folder: Annotated[str | None, typer.Option("--folder", help="Only groups with a file below this folder.")] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, help="Show so many groups, those that give back most; JSON tells all.")
    ] = 50,
) -> None:
    """Pictures that are the same or look alike, in groups, each with the one to keep.

    Live, or from the catalog where no daemon runs. Nothing is changed: `dropmill resolve` acts on them, and so does the
    daemon's page, /review.
    """
    settings = common.known_settings(config).settings
    below = None if folder is None else common.absolute(folder)
    found = _all(settings, None if tier is None else tier.value, inbox, below)
    if as_json:
        _print_json(found)
        return
    from dropmill.cli import alike, tables
    from dropmill.cli.reach import ask

    where = "".join(
        f" {word} {shown}"
        for word, shown in (("of inbox", inbox), ("below", None if below is None else os.fsdecode(below)))
        if shown is not None
    )
    tables.show(alike.overview(found, limit, f"no duplicates{where}"))
    waiting = alike.waiting(ask(settings, "status")["duplicates"])
    if waiting:
        sys.stdout.write(f"{waiting}\n")


def _all(settings: Settings, tier: str | None, inbox: str | None, folder: bytes | None) -> Iterator[Json]:
    from dropmill.cli.reach import ask

    after = 0
    while lot := ask(settings, "duplicates", tier, inbox, folder, after, _LOT):
        yield from lot
        after = lot[-1]["id"]
        if len(lot) < _LOT:
            return


def _print_json(groups: Iterator[Json]) -> None:
    """One document, written as it comes: a hundred thousand groups need not be held at once."""
    import json

    before = "[\n"
    for group in groups:
        sys.stdout.write(before + json.dumps(group, indent=2, ensure_ascii=True))
        before = ",\n"
    sys.stdout.write("[]\n" if before == "[\n" else "\n]\n")
