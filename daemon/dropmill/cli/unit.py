"""``dropmill check --unit``: the drop-in that lets the service reach the configured folders."""

from __future__ import annotations

import sys
from pathlib import Path

from dropmill.cli import common


def report_unit(config: Path | None, *, as_json: bool) -> int:
    """Print the drop-in, so that it can be written to a file as it is. Raises ``ConfigurationError``."""
    from dropmill.control.unit import as_json as document
    from dropmill.control.unit import drop_in

    made = drop_in(common.settings_of(config))
    if as_json:
        common.print_json(document(made))
    else:
        sys.stdout.write(made.text())
    return 0
