"""The command line. Commands load what they need when they run, so that ``--help`` and ``version`` answer at once."""

from __future__ import annotations

import gc

from dropmill.cli import first_process

# So many new objects before cycles are looked for. What a command loads stays, and looking through it time and again was
# a sixth of the start.
NEW_OBJECTS_WHILE_LOADING = 100_000
NEW_OBJECTS_AT_WORK = 2_000


def main() -> None:
    """The entry point ``dropmill``."""
    first_process.stand_in()
    gc.set_threshold(NEW_OBJECTS_WHILE_LOADING)
    from dropmill.cli.app import app

    app(prog_name="dropmill")
