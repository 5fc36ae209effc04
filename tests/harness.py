"""A mill of its own in a temporary folder, driven as a user drives it: files, signals, the command line and HTTP."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console

from dropmill.cli import reach, tables
from dropmill.settings import Settings, load

PROGRAM = str(Path(sys.executable).parent / "dropmill")
# Nothing here takes that long; a deadline only keeps a failure from hanging.
SECONDS = 60.0
_PER_INBOX_FOLDERS = ("archive", "duplicates", "quarantine")


class Mill:
    """One state directory, an inbox ``camera`` (and perhaps ``second``), and the daemon when it is started."""

    def __init__(self, root: Path, **options: Any) -> None:
        self.root = root
        self.inbox = root / "in"
        self.output = root / "out"
        self.second = root / "in2"
        self.state = root / "state"
        self.config = root / "dropmill.toml"
        self.log = root / "log"
        self.process: subprocess.Popen[bytes] | None = None
        self.wrapper: list[str] = []
        """What the daemon is started with, such as ``["unshare", "-m"]``; it has to exec, so that the pid stays."""
        self.environment: dict[str, str] = {}
        self._options = options
        self.inbox.mkdir(parents=True, exist_ok=True)
        for folder in _PER_INBOX_FOLDERS:
            if folder in options:
                (root / str(options[folder])).mkdir(exist_ok=True)
        self.configure()

    def configure(self, **changes: Any) -> None:
        """Write the configuration anew, with changes to what the constructor was given."""
        self._options |= changes
        options = dict(self._options)
        renditions = options.pop("renditions", [{"name": "t", "fit": [48, 48]}])
        second = options.pop("second_inbox", None)
        dropfiles = options.pop("dropfiles", [])
        webhooks = options.pop("webhooks", [])
        top = options.pop("top", {})
        tables = {
            "http": {"bind": "127.0.0.1:0", **options.pop("http", {})},
            "output": options.pop("modes", {}),
            "workers": {"processes": 2, **options.pop("workers", {})},
            "dedupe": options.pop("dedupe", {}),
            "queue": {"retry_base_seconds": 0.2, **options.pop("queue", {})},
            "log": options.pop("log", {}),
            "net": options.pop("net", {}),
            "downloads": options.pop("downloads", {}),
        }
        short = {"settle_seconds": 0.2, "incomplete_timeout_seconds": 2.0}
        inbox = {"name": "camera", "path": "in", "output": "out", "profile": "test", **short, **options}
        lines = [f"{key} = {json.dumps(value)}" for key, value in {"state_dir": str(self.state), **top}.items()]
        for name, table in tables.items():
            lines += [f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in table.items())]
        inboxes = [inbox]
        if second is not None:
            self.second.mkdir(exist_ok=True)
            inboxes.append({**inbox, "name": "second", "path": "in2", **second})
        for item in inboxes:
            lines += ["[[inboxes]]", *(f"{key} = {_toml(value)}" for key, value in item.items())]
        for item in dropfiles:
            told = {"name": "list", "path": "urls.txt", "output": "out", "profile": "test", "poll_seconds": 0.05}
            lines += ["[[dropfiles]]", *(f"{key} = {_toml(value)}" for key, value in (told | item).items())]
        for item in webhooks:
            lines += ["[[webhooks]]", *(f"{key} = {_toml(value)}" for key, value in item.items())]
        items = ", ".join(
            "{" + ", ".join(f"{k} = {json.dumps(v)}" for k, v in spec.items()) + "}" for spec in renditions
        )
        lines += ["[profiles.test]", f"renditions = [{items}]"]
        self.config.write_text("\n".join(lines) + "\n")

    def drop(self, name: str | bytes, data: bytes, inbox: str = "camera") -> Path:
        """Put a finished file into an inbox, by writing it elsewhere and renaming it."""
        rel = os.fsencode(name)
        target = os.path.join(os.fsencode(self.inbox if inbox == "camera" else self.second), rel)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        aside = os.fsencode(self.root / "aside.bin")
        with open(aside, "wb") as file:
            file.write(data)
        os.rename(aside, target)
        return Path(os.fsdecode(target))

    def run(self, *arguments: str, check: bool = False, **options: Any) -> subprocess.CompletedProcess[str]:
        """Any command of dropmill with this configuration."""
        command = [PROGRAM, *arguments, "--config", str(self.config)]
        return self._run(command, check=check, **options)

    def run_with(self, config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Any command of dropmill with another configuration."""
        return self._run([PROGRAM, *arguments, "--config", str(config)])

    def once(self, *, umask: int = -1, without_heif: bool = False) -> subprocess.CompletedProcess[str]:
        command = [PROGRAM, "run", "--once", "--config", str(self.config)]
        if without_heif:
            hide = "import sys; sys.modules['pillow_heif'] = None; from dropmill.cli import main; main()"
            command = [sys.executable, "-c", hide, *command[1:]]
        return self._run(command, umask=umask)

    def _run(self, command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            timeout=4 * SECONDS,
            cwd=self.root,
            env=clean_environment() | self.environment,
            **{"check": False, **options},
        )

    def start(self) -> None:
        """Start the daemon and wait until it is ready."""
        (self.state / "daemon.json").unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.wrapper, PROGRAM, "run", "--config", str(self.config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.root,
                env=clean_environment() | self.environment,
            )
        self.wait_for(self.ready)

    def ready(self) -> bool:
        if self.process is not None and self.process.poll() is not None:
            raise AssertionError(f"the daemon ended with {self.process.returncode}:\n{self.log.read_text()[-3000:]}")
        try:
            return self.get("/readyz").status_code == 200
        except (OSError, httpx.HTTPError, ValueError):
            return False

    @property
    def address(self) -> str:
        document = json.loads((self.state / "daemon.json").read_text())
        return str(document["address"]).rstrip("/")

    def get(self, path: str, **options: Any) -> httpx.Response:
        if self.address.startswith("unix:"):
            transport = httpx.HTTPTransport(uds=self.address.removeprefix("unix:"))
            with httpx.Client(transport=transport, base_url="http://localhost", timeout=10, trust_env=False) as client:
                return client.get(path, **options)
        # There is no TLS here, and to load certificates for each request would cost more than the answer.
        return httpx.get(self.address + path, timeout=10, verify=False, trust_env=False, **options)

    def metric(self, name: str) -> float:
        """The sum of a metric over all its labels."""
        lines = self.get("/metrics").text.splitlines()
        values = [float(line.rsplit(" ", 1)[1]) for line in lines if line.split("{")[0].split(" ")[0] == name]
        return sum(values)

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=60)
        self.process = None
        return code

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(timeout=30)
        self.process = None

    def freeze(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def jobs(self, state: str | None = None) -> list[dict[str, Any]]:
        """What ``dropmill jobs --json`` says, all of it."""
        if self.process is not None:
            query = {"limit": "1000"} | ({"state": state} if state else {})
            response = self.get("/api/v1/jobs", params=query)
            response.raise_for_status()
            found: list[dict[str, Any]] = response.json()
            return found
        # As the command says it, without the start of a process for each question.
        return list(reach.ask(self._settings(), "jobs", state, None, 1000))

    def _settings(self) -> Settings:
        return load(self.config, clean_environment() | self.environment, {}).settings

    def all_jobs(self) -> list[dict[str, Any]]:
        """Every job of a running daemon, page by page."""
        found: list[dict[str, Any]] = []
        while True:
            query = {"limit": "1000"} | ({"before": str(found[-1]["id"])} if found else {})
            page = self.get("/api/v1/jobs", params=query).json()
            if not page:
                return found
            found += page

    def done(self, jobs: int) -> bool:
        """Whether so many jobs have ended and nothing of them is owed any more. A job is completed by its commit; only
        then do its renditions become visible, and only after that its original leaves and its receipt is written."""
        told = self.get("/api/v1/status").json()
        queue, owed = told["queue"], told["owed"]
        ended = queue["discarded"] + queue["cancelled"] + sum(queue["completed"].values())
        return bool(ended == jobs) and not any(count for kind, count in owed.items() if kind != "tried_in_vain")

    def why(self, name: str) -> str:
        """The story of a file of the inbox, as the command prints it."""
        told = reach.ask(self._settings(), "why", bytes(self.inbox / name))
        text = io.StringIO()
        Console(file=text, width=240).print(tables.story(told))
        return text.getvalue()

    def outputs(self) -> list[str]:
        """All visible files of the output, relative, in order."""
        files = [path.relative_to(self.output) for path in files_below(self.output)]
        return sorted(str(path) for path in files if ".dropmill" not in path.parts)

    def wait_for(self, fact: Callable[[], Any], seconds: float = SECONDS) -> None:
        """Until ``fact()`` is true; fails with the end of the log if it does not become so."""
        deadline = time.monotonic() + seconds
        while not fact():
            if time.monotonic() > deadline:
                log = self.log.read_text(errors="replace")[-4000:] if self.log.exists() else ""
                raise AssertionError(f"waited {seconds} s in vain\n{log}")
            time.sleep(0.03)

    def forget_everything(self) -> None:
        """The state directory is lost."""
        shutil.rmtree(self.state)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(one)}" for key, one in value.items()) + "}"
    return json.dumps(value)


def files_below(folder: Path) -> list[Path]:
    """All files below ``folder``, while somebody works in it: what goes away meanwhile is left out."""
    return [Path(here, name) for here, _, names in os.walk(folder) for name in names if Path(here, name).is_file()]


def clean_environment() -> dict[str, str]:
    """The environment without configuration of the machine that the tests run on."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("DROPMILL_", "NOTIFY_"))}
