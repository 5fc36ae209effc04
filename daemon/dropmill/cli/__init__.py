"""The command line. Commands load what they need when they run, so that ``--help`` and ``version`` answer at once."""

from __future__ import annotations


def main() -> None:
    """The entry point ``dropmill``."""
    from dropmill.cli.app import app

    app(prog_name="dropmill")
