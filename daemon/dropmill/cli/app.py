"""All commands, in the order in which a newcomer needs them."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from dropmill.cli import (
    adding,
    asking,
    backing,
    changing,
    checking,
    common,
    completing,
    configuring,
    duplicates,
    exporting,
    indexing,
    reviewing,
    running,
    trying,
    versions,
    webhooks,
)

_OF_THE_PARSER: Final = "Value error, "


class Commands(TyperGroup):
    """What is wrong with an argument is told in our words: pydantic, which Typer reads arguments with, puts its own before."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = error.message.removeprefix(_OF_THE_PARSER)
            raise


app = typer.Typer(
    name="dropmill",
    cls=Commands,
    help="Watches folders and turns every picture dropped there, exactly once, into upright, colour-correct renditions.",
    epilog="Start with: dropmill config init, then dropmill run. Ask with: dropmill status, dropmill why PATH.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


@app.callback()
def options(
    log_level: Annotated[
        str,
        typer.Option(
            "--log-level",
            help="debug also prints where in the program an error came from.",
            autocompletion=completing.levels,
        ),
    ] = "",
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=versions.tell_and_leave, help="Print the version.")
    ] = False,
) -> None:
    common.set_log_level(log_level)


for module in (
    running,
    checking,
    trying,
    asking,
    adding,
    changing,
    indexing,
    duplicates,
    reviewing,
    exporting,
    webhooks,
    backing,
    configuring,
    versions,
):
    module.install(app)
