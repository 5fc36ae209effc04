"""Under systemd: whether it hears of the daemon's health, and what of the unit's sandbox a shell cannot know."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Final

from dropmill.control.doctor.finding import Finding, Ground, as_root
from dropmill.control.doctor.service import UNITS

_SERVICE: Final = re.compile(r"/([A-Za-z0-9:_.@\\-]+\.service)(?:/|$)")


def look(ground: Ground, proc: str = "/proc") -> Iterator[Finding]:
    if not os.path.isdir("/run/systemd/system"):
        return
    pid = ground.holder or ""
    unit = unit_of(pid, proc) if pid else ""
    told = environment_of(pid, proc) if unit else None
    if unit and told is not None and "user@" not in unit and "INVOCATION_ID" in told:
        yield from _supervision(unit, told)
    installed = next((one for one in UNITS if os.path.exists(one)), "")
    if installed and "INVOCATION_ID" not in ground.environ:
        text = f"{os.path.basename(installed)} runs in a sandbox, of which a shell sees nothing"
        why = "folders that its ReadWritePaths do not name are read-only for it, whatever was found here"
        yield Finding(
            "systemd", "note", text, "", installed, why, "this prints the drop-in for them:", "dropmill check --unit"
        )


def _supervision(unit: str, told: Mapping[str, str]) -> Iterator[Finding]:
    edit = as_root(f"systemctl edit {unit}")
    if not told.get("NOTIFY_SOCKET"):
        text = f"{unit} is not told when the daemon is ready (Type=notify is missing)"
        why = "what starts after it does not wait for it, and no state shows in `systemctl status`"
        remedy = "add [Service] Type=notify, NotifyAccess=main and WatchdogSec=90:"
        yield Finding("systemd", "warning", text, "", unit, why, remedy, edit)
    elif not told.get("WATCHDOG_USEC"):
        text = f"{unit} does not watch over the daemon (WatchdogSec is missing)"
        why = "a daemon that hangs would not be started again"
        yield Finding("systemd", "warning", text, "", unit, why, "add [Service] WatchdogSec=90:", edit)
    else:
        yield Finding("systemd", "ok", f"{unit}: told when the daemon is ready, and watches over it", "", unit)


def unit_of(pid: str, proc: str = "/proc") -> str:
    """The service whose control group a process is in, or nothing."""
    try:
        with open(f"{proc}/{pid}/cgroup", encoding="utf-8", errors="replace") as groups:
            named = _SERVICE.findall(groups.read())
    except OSError:
        return ""
    return named[-1] if named else ""


def environment_of(pid: str, proc: str = "/proc") -> dict[str, str] | None:
    """What a process was started with; None where that is not ours to read."""
    try:
        with open(f"{proc}/{pid}/environ", "rb") as file:
            pairs = [os.fsdecode(one).partition("=") for one in file.read().split(b"\0") if one]
    except OSError:
        return None
    return {name: value for name, _, value in pairs}
