"""dropmill as it is installed in a bed (``systemd_bed``), driven as its operator does it: systemctl, journalctl, dropmill."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from systemd_bed import PROGRAM, PROJECT, Bed

_UNITS: Final = PROJECT / "systemd"
# What README.md, "As a service", copies where.
_COPIES: Final = {
    "dropmill.service": "/etc/systemd/system/dropmill.service",
    "dropmill@.service": "/etc/systemd/system/dropmill@.service",
    "dropmill.socket": "/etc/systemd/system/dropmill.socket",
    "dropmill.sysusers.conf": "/etc/sysusers.d/dropmill.conf",
    "dropmill.tmpfiles.conf": "/etc/tmpfiles.d/dropmill.conf",
    "user/dropmill.service": "/etc/systemd/user/dropmill.service",
}


def install(bed: Bed) -> None:
    """As README.md says, up to the configuration."""
    for source, target in _COPIES.items():
        bed.write(target, (_UNITS / source).read_text("utf-8"))
    bed.run("systemd-sysusers")
    bed.run("systemd-tmpfiles", "--create")
    bed.run("useradd", "--create-home", "--groups", "dropmill", "ann")
    bed.systemctl("daemon-reload")


class Service:
    """A unit and its configuration; ``clear`` stops it and takes away what it and the test made."""

    def __init__(self, bed: Bed, unit: str, port: int = 8686) -> None:
        self.bed = bed
        self.unit = f"{unit}.service"
        self.instance = unit.partition("@")[2]
        self.port = port
        self.config = f"/etc/dropmill/{self.instance or 'dropmill'}.toml"
        self.state = f"/var/lib/{'-'.join(filter(None, ('dropmill', self.instance)))}"
        self.inbox = "/srv/dropmill/inbox"
        self.output = "/srv/dropmill/outbox"
        self._overrides = f"/etc/systemd/system/{self.unit}.d"
        last = bed.run("journalctl", "-n", "1", "-o", "json").stdout
        self._cursor: str = json.loads(last)["__CURSOR"]

    def configure(self, text: str) -> None:
        self.bed.write(self.config, text)

    def override(self, name: str, text: str) -> None:
        """What ``systemctl edit`` would leave."""
        self.bed.write(f"{self._overrides}/{name}.conf", text)
        self.bed.systemctl("daemon-reload")

    def start(self) -> None:
        done = self.bed.systemctl("start", self.unit, check=False)
        assert done.returncode == 0, f"{done.stderr}{self.said()}"

    def stop(self) -> None:
        self.bed.systemctl("stop", self.unit)

    def signal(self, name: str) -> None:
        """To the daemon itself, not to its workers."""
        self.bed.systemctl("kill", "--kill-whom=main", f"--signal={name}", self.unit)

    def stop_workers(self) -> None:
        """Every process of the unit but the daemon itself stands still."""
        group = f"/sys/fs/cgroup{self.shows('ControlGroup')[0]}/cgroup.procs"
        pids = self.bed.run("cat", group).stdout.split()
        self.bed.run("kill", "-STOP", *(pid for pid in pids if pid != self.shows("MainPID")[0]))

    def clear(self) -> None:
        self.bed.systemctl("stop", self.unit, check=False)
        self.bed.systemctl("reset-failed", self.unit, check=False)
        for place in (self._overrides, self.state):
            shutil.rmtree(self.bed.path(place), ignore_errors=True)
        self.bed.path(self.config).unlink(missing_ok=True)
        for path in self.bed.path("/srv/dropmill").rglob("*"):
            if path.is_file():
                path.unlink()
        self.bed.systemctl("daemon-reload")

    def shows(self, *names: str) -> list[str]:
        told = self.bed.show(self.unit, *names)
        return [told[name] for name in names]

    def drop(self, name: str, data: bytes, owner: str = "root") -> None:
        """Somebody's finished file appears in the inbox."""
        self.drop_all({name: data}, owner)

    def drop_all(self, pictures: Mapping[str, bytes], owner: str = "root") -> None:
        aside = f"{os.path.dirname(self.inbox)}/.aside-{secrets.token_hex(4)}"
        self.bed.path(aside).mkdir()
        for name, data in pictures.items():
            (self.bed.path(aside) / name).write_bytes(data)
        move = 'chown "$1":dropmill "$2"/* && mv "$2"/* "$3" && rmdir "$2"'
        self.bed.run("sh", "-c", move, "sh", owner, aside, self.inbox)

    def outputs(self) -> list[str]:
        return files(self.bed.path(self.output))

    def in_inbox(self) -> list[str]:
        return files(self.bed.path(self.inbox))

    def archived(self) -> list[str]:
        return files(self.bed.path("/srv/dropmill/archive"))

    def get(self, path: str) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.sock = self.bed.connect(self.port)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
            if answer.status == 503:
                raise ConnectionError("it is starting or stopping")
            assert answer.status == 200, f"{answer.status} {body!r}\n{self.said()[-4000:]}"
            return json.loads(body)
        finally:
            connection.close()

    def jobs(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get("/api/v1/jobs?limit=1000")
        return found

    def done(self, jobs: int) -> bool:
        """Whether so many jobs have ended and nothing of them is owed any more (as ``Mill.done``)."""
        try:
            told = self.get("/api/v1/status")
        except (OSError, http.client.HTTPException):
            return False  # It starts again.
        queue, owed = told["queue"], told["owed"]
        ended = queue["discarded"] + queue["cancelled"] + sum(queue["completed"].values())
        return bool(ended == jobs) and not any(count for kind, count in owed.items() if kind != "tried_in_vain")

    def dropmill(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """A command of root's, as in docs/operations.md."""
        return self.bed.run(PROGRAM, *arguments, "--config", self.config, check=check)

    def instead(self, script: str, *arguments: str, opened: str = "") -> str:
        """The last line that another program prints in the sandbox of the unit, with what ``opened`` says beside."""
        path = "/opt/dropmill/instead.py"
        self.bed.write(path, script)
        words = " ".join(f'"{word}"' for word in (path, *arguments)).replace("%", "%%").replace("$", "$$")
        start = f"ExecStart=\nExecStart=/opt/dropmill/bin/python {words}\n"
        self.override("instead", f"[Service]\nType=oneshot\nRestart=no\n{start}{opened}")
        self.start()
        printed: list[str] = [entry["MESSAGE"] for entry in self.told(_TRANSPORT="stdout")]
        return printed[-1]

    def told(self, **fields: str) -> list[dict[str, Any]]:
        """Entries of the journal with these fields, by the manager and the unit, since this object was made."""
        entries = self.bed.journal(self.unit, self._cursor)
        return [entry for entry in entries if all(entry.get(key) == value for key, value in fields.items())]

    def said(self) -> str:
        return "\n".join(str(entry.get("MESSAGE", "")) for entry in self.told())

    def wait_for(self, fact: Callable[[], Any]) -> None:
        self.bed.wait_for(fact, lambda: self.said()[-4000:])


def files(folder: Path) -> list[str]:
    """Names of what is visible there."""
    return sorted(path.name for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
