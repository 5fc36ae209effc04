"""Whom the daemon runs as, or will."""

from __future__ import annotations

import os
import pwd
import re
from typing import Final

from dropmill.control.doctor.finding import Ground
from dropmill.settings import DEFAULT_PATH

CONFIGURATIONS: Final = os.path.dirname(DEFAULT_PATH)
"""Where the configurations are that units start daemons with."""
UNITS: Final = tuple(
    f"{folder}/dropmill.service"
    for folder in ("/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system",
                   "/lib/systemd/system")
)  # fmt: skip
_USER: Final = re.compile(r"^\s*User\s*=\s*(\S+)\s*$", re.MULTILINE)


def user(ground: Ground) -> int | None:
    """Who has the state directory, whom the unit names that reads this configuration, or whose the directory is; None where
    nothing tells."""
    installed = os.path.dirname(os.path.abspath(ground.loaded.path or "")) == CONFIGURATIONS
    owner = _owner(f"/proc/{ground.holder}") if ground.holder else None
    if owner is None and installed:
        owner = _named_by_unit()
    return _owner(ground.settings.state_dir) if owner is None else owner


def _owner(path: str) -> int | None:
    try:
        return os.stat(path).st_uid
    except OSError:
        return None  # Ended, or a first start is still to make it.


def _named_by_unit() -> int | None:
    for unit in UNITS:
        try:
            with open(unit, encoding="utf-8", errors="replace") as file:
                named = _USER.findall(file.read())
            return pwd.getpwnam(named[-1]).pw_uid if named else 0
        except OSError:
            continue
        except KeyError:
            return None  # The unit is there and its user is not; systemd says so.
    return None


def uid(ground: Ground) -> int:
    """As ``user``; where nothing tells, who asks."""
    known = user(ground)
    return os.geteuid() if known is None else known
