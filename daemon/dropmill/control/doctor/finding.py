"""What a check says of one thing that it looked at, and the words for it that many checks share."""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

from dropmill.ports import Clock
from dropmill.settings import Loaded, Settings

Severity = Literal["error", "warning", "note", "ok"]
Check = Literal[
    "configuration", "user", "state", "inbox", "output", "originals", "library", "log", "dropfile", "filesystem", "space",
    "inotify", "leases", "clock", "codecs", "advisories", "http", "webhooks", "network", "limits", "sandbox", "container",
    "systemd",
]  # fmt: skip
Found = tuple[Severity, str, str, str]
"""Severity, key, message, remedy: a finding of somebody who tells no more than that."""
_RANK: Final = {"error": 0, "warning": 1, "note": 2, "ok": 3}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        found: what is the case.
        key: dotted key of the setting that it is about, or empty.
        path: the file, folder or address that it is about, or empty.
        why: what comes of it.
        remedy: what to do about it, in words.
        fix: what to do about it as commands for this machine, one a line.
        where: ``file:line`` of the setting.
    """

    check: Check
    severity: Severity
    found: str
    key: str = ""
    path: str = ""
    why: str = ""
    remedy: str = ""
    fix: str = ""
    where: str = ""

    @property
    def rank(self) -> int:
        """0 for the gravest."""
        return _RANK[self.severity]

    @property
    def headline(self) -> str:
        if self.severity == "ok":
            return self.found
        place = "".join(f"{part}: " for part in (self.where, self.key) if part)
        return f"{place}{self.found}"

    def as_json(self) -> dict[str, Any]:
        """``message`` and ``remedy`` are what findings had before they told more: they hold the whole by themselves."""
        told = asdict(self)
        told["message"] = self.found
        told["remedy"] = self.remedy or "; ".join(self.fix.splitlines())
        return told


@dataclass(slots=True)
class Ground:
    """What all checks rest on. ``holder``: pid as text of the daemon that has the state directory (empty: not told), None
    where nobody has it, or ``veiled``: that this user may not ask. ``folders``: how many each inbox holds, by name; filled as they are counted."""

    loaded: Loaded
    clock: Clock
    environ: Mapping[str, str]
    holder: str | None = None
    veiled: bool = False
    folders: dict[str, Folders] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        return self.loaded.settings


@dataclass(frozen=True, slots=True)
class Folders:
    """``all_counted``: False where counting was given up, so that there are at least so many."""

    count: int
    all_counted: bool = True


def as_root(*commands: str) -> str:
    """The commands as this user has to give them, one a line."""
    if os.geteuid() == 0:
        return "\n".join(commands)
    if shutil.which("sudo"):
        return "\n".join(f"sudo {command}" for command in commands)
    return "\n".join(f"su -c {shlex.quote(command)}" for command in commands)


def capable(capability: int, process: str = "self") -> bool:
    """Whether a process has the capability of this number (capabilities(7)); False where it is not told."""
    try:
        # Of this thread, since capabilities are each thread's own.
        with open(
            f"/proc/{process}/status" if process != "self" else "/proc/thread-self/status", encoding="ascii"
        ) as status:
            held = next((line for line in status if line.startswith("CapEff:")), "CapEff: 0")
    except (OSError, UnicodeDecodeError):
        return False
    return bool(int(held.split()[1], 16) >> capability & 1)


def may(path: str, mode: int) -> bool:
    """As ``os.access``, of the user that we act as."""
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)  # As in containers that run as any user.


def grant(rights: str, path: str, uid: int) -> str:
    """A command that lets a user do ``rights`` (as ``rwx``) with a path, and takes nothing from anybody if it can."""
    who, quoted = user_name(uid), shlex.quote(path)
    if _owner(path) == os.geteuid() == uid:
        return f"chmod u+{rights} {quoted}"
    if shutil.which("setfacl"):
        return as_root(f"setfacl -m u:{who}:{rights} {quoted}")
    if "w" in rights:
        return as_root(f"chown {who} {quoted}", f"chmod u+{rights} {quoted}")
    return as_root(f"chmod a+{rights} {quoted}")


def _owner(path: str) -> int | None:
    try:
        return os.stat(path).st_uid
    except OSError:
        return None


def keep_setting(name: str, value: int) -> str:
    """The commands that set a limit of the kernel now, and at every start."""
    line = f"{name}={value}"
    # A file for each, so that one does not take another's place.
    write = f"echo {line} > /etc/sysctl.d/60-dropmill-{name.rpartition('.')[2]}.conf"
    if os.geteuid() == 0:
        return f"sysctl {line}\n{write}"
    written = f"sh -c {shlex.quote(write)}"
    return as_root(f"sysctl {line}", written)


def megabytes(size_bytes: int) -> str:
    return f"{size_bytes >> 20} MiB" if size_bytes < 10 << 30 else f"{size_bytes >> 30} GiB"
