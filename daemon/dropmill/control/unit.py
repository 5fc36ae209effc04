"""What ``systemd/dropmill.service`` has to allow for a configuration, as a drop-in for it (systemd.unit(5), systemd.exec(5)).

The unit hides home directories, has /srv/dropmill and /var/lib/dropmill to write to, and reaches nothing but loopback.
"""

from __future__ import annotations

import os
import pwd
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from dropmill.control import unit_access
from dropmill.control.unit_folders import Place, copied, every, family, hidden, mount_units, places, temporary
from dropmill.settings import Loaded, Settings, TcpAddress, UnixAddress

USER: Final = "dropmill"
UNIT: Final = "dropmill.service"
_CONFIGS: Final = "/etc/dropmill"


class Directive(NamedTuple):
    """One line of a unit; ``why`` is the comment above it."""

    section: str
    name: str
    value: str
    why: str


@dataclass(frozen=True, slots=True)
class DropIn:
    """``notes``: what no directive does, such as folders that have to be made before the unit starts.

    ``config``: path of the configuration, or empty where the environment alone has it.
    """

    unit: str
    config: str
    directives: tuple[Directive, ...]
    notes: tuple[str, ...]

    @property
    def file(self) -> str:
        """Where it goes."""
        return f"/etc/systemd/system/{self.unit}.d/folders.conf"

    def text(self) -> str:
        """The file, which systemd takes as it is."""
        lines = [f"# What {self.unit} has to allow for {self.config or 'the environment'}, by `dropmill check --unit`."]
        lines.append(f"# It goes to {self.file}, by way of {os.path.basename(self.file)}.new")
        lines.append("# and mv, since a command that fails leaves an empty file; then: systemctl daemon-reload")
        lines += [f"# {note}" for note in self.notes]
        for section in ("Unit", "Service"):
            inside = [one for one in self.directives if one.section == section]
            lines += ["", f"[{section}]"] if inside else []
            for before, one in zip([None, *inside], inside, strict=False):
                lines += [f"# {one.why[0].upper()}{one.why[1:]}"] if before is None or before.why != one.why else []
                lines.append(f"{one.name}={one.value}")
        if not self.directives:
            lines.append("# Nothing is missing: all folders are where the unit lets it write.")
        return "".join(f"{line}\n" for line in lines)


def drop_in(loaded: Loaded) -> DropIn:
    """Blocking: folders are looked at, nothing is written or tried."""
    settings = loaded.settings
    config = str(loaded.path.absolute()) if loaded.path is not None else ""
    instance = _instance(config)
    granted = f"/var/lib/{USER}-{instance}" if instance else f"/var/lib/{USER}"
    found = places(settings, granted)
    directives = [
        *_mounts(settings),
        *_folders(settings, found),
        *_state(settings, granted),
        *_secrets(loaded),
        *_access(settings),
        *_network(settings),
    ]
    unit = f"{USER}@{instance}.service" if instance else UNIT
    return DropIn(unit, config, tuple(directives), tuple(_notes(settings, found)))


def _instance(config: str) -> str:
    """The name of an instance of dropmill@.service, whose configuration is /etc/dropmill/NAME.toml; empty for none."""
    folder, name = os.path.split(config)
    stem, extension = os.path.splitext(name)
    return stem if folder == _CONFIGS and extension == ".toml" and stem != USER else ""


def _mounts(settings: Settings) -> Iterator[Directive]:
    """As WantsMountsFor, which begins with systemd 256. Those of /var/lib the manager requires by itself (systemd.exec(5))."""
    state = os.path.realpath(settings.state_dir)
    units = " ".join(mount_units([path for path in every(settings) if path != state]))
    if units:
        why = "It starts after the disks of its folders are mounted, and without those that cannot be."
        yield Directive("Unit", "Wants", units, why)
        yield Directive("Unit", "After", units, why)
    if not settings.state_dir.startswith("/var/lib/"):
        why = "Without the disk of its state it does not start."
        yield Directive("Unit", "RequiresMountsFor", escaped(state), why)


def _folders(settings: Settings, found: Sequence[Place]) -> Iterator[Directive]:
    """With ``-``, so that a folder whose disk is away keeps nothing from starting; but the state directory."""
    state = os.path.realpath(settings.state_dir)

    def value(place: Place) -> str:
        return escaped(place.path if place.path == state else f"-{place.path}")

    for place in found:
        if not hidden(place.path):
            yield Directive("Service", "ReadWritePaths", value(place), place.why)
    bound = [place for place in found if hidden(place.path)]
    if bound:
        why = "Home directories stay out of sight but for these."
        yield Directive("Service", "ProtectHome", "tmpfs", why)
    for place in bound:
        yield Directive("Service", "BindPaths", value(place), place.why)


def _state(settings: Settings, granted: str) -> Iterator[Directive]:
    """Below /var/lib the manager makes it and gives it to the user; elsewhere it is a folder like others."""
    state = settings.state_dir
    if state != granted and state.startswith("/var/lib/"):
        yield Directive("Service", "StateDirectory", escaped(state.removeprefix("/var/lib/")), "The state directory.")
    address = settings.http.address
    if isinstance(address, UnixAddress):
        folder = os.path.dirname(address.path)
        if folder.startswith("/run/"):
            rel = folder.removeprefix("/run/")
            yield Directive("Service", "RuntimeDirectory", escaped(rel), "The folder of the page's socket.")


def _secrets(loaded: Loaded) -> Iterator[Directive]:
    """Files below home directories that are read only."""
    settings = loaded.settings
    files = {settings.http.token_file, settings.downloads.netrc, *(one.secret_file for one in settings.webhooks)}
    files.add(str(loaded.path.absolute()) if loaded.path is not None else "")
    for file in sorted(one for one in files if one and hidden(one)):
        why = "Read from a home directory, of which the unit sees nothing else."
        yield Directive("Service", "BindReadOnlyPaths", escaped(file), why)


def _access(settings: Settings) -> Iterator[Directive]:
    uid = _uid(USER)
    if any(unit_access.of_others(inbox.path, uid) for inbox in settings.inboxes):
        why = "Files in an inbox belong to others: only with this can it ask whether one is still being written (fcntl(2))."
        yield Directive("Service", "AmbientCapabilities", "CAP_LEASE", why)
        yield Directive("Service", "CapabilityBoundingSet", "CAP_LEASE", why)
    folders = [path for inbox in settings.inboxes for path, _ in family(inbox)]
    groups = unit_access.groups(folders, settings.output.group, USER, uid)
    if groups:
        why = "Folders can be written by this group, or renditions are given to it (output.group)."
        yield Directive("Service", "SupplementaryGroups", " ".join(groups), why)


def _network(settings: Settings) -> Iterator[Directive]:
    reasons = []
    if settings.dropfiles or any(inbox.urls for inbox in settings.inboxes):
        reasons.append("URLs are downloaded")
    if any(not _on_loopback(hook.url) for hook in settings.webhooks):
        reasons.append("webhooks are sent")
    address = settings.http.address
    if isinstance(address, TcpAddress) and not address.is_loopback:
        reasons.append(f"the page is for others ({settings.http.bind})")
    if reasons:
        why = f"{' and '.join(reasons)}. Networks, such as 192.0.2.0/24, may stand in place of any."
        yield Directive("Service", "IPAddressAllow", "any", why)


def _on_loopback(url: str) -> bool:
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    return TcpAddress(host, 0).is_loopback


def _notes(settings: Settings, found: Sequence[Place]) -> Iterator[str]:
    # An inbox has to be there at a start, also where the drop-in names a folder above it.
    inboxes = (os.path.abspath(inbox.path) for inbox in settings.inboxes)
    for path in dict.fromkeys((*(place.path for place in found), *inboxes)):
        if temporary(path):
            yield f"{path} is out of reach, since the unit has a /tmp of its own (PrivateTmp): choose another folder."
        elif not os.path.isdir(path):
            yield f"Make this first, or mount its disk: install -d -o {USER} -g {USER} {shlex.quote(path)}"
    for name, folders in copied(settings, found):
        told = ", ".join(folders)
        yield f"A move of an original of {name} is a copy, since none holds these folders and nothing else: {told}"
    if not settings.state_dir.startswith("/var/lib/"):
        yield f"The state directory {settings.state_dir} has to belong to the user {USER}."


def _uid(name: str) -> int | None:
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


def escaped(path: str) -> str:
    """A path as one word of a unit file (systemd.syntax(7)), percent signs doubled because they begin specifiers."""
    text = path.replace("%", "%%")
    if any(char in text for char in " \"'\\;:"):
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return text


def as_json(made: DropIn) -> Mapping[str, object]:
    """One document; ``text`` is the file."""
    return {
        "unit": made.unit,
        "file": made.file,
        "directives": [one._asdict() for one in made.directives],
        "notes": list(made.notes),
        "text": made.text(),
    }
