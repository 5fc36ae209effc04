"""The shape of the house: layers, what the daemon process loads, what stands where."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOP_LEVEL = {
    "daemon",
    "config",
    "systemd",
    "tests",
    "docs",
    "pyproject.toml",
    "README.md",
    "Dockerfile",
    "Makefile",
    "CHANGELOG.md",
    "LICENSE",
    "constraints.txt",
}
DECODERS = ("PIL", "numpy", "imagehash", "scipy", "pywt", "pillow_heif")


def test_imports_keep_to_the_contracts() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_module_that_the_daemon_imports_loads_a_decoder() -> None:
    program = (
        "import sys, dropmill.assembly, dropmill.cli.app, dropmill.web.server, dropmill.control.desk\n"
        f"print(*sorted({set(DECODERS)!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_a_running_daemon_has_no_decoder_in_it(tmp_path: Path) -> None:
    """Looks at what is mapped into the real process, so that an import inside a function counts too."""
    for name in ("inbox", "outbox"):
        (tmp_path / name).mkdir()
    address = str(tmp_path / "notify")
    environ = {
        "PATH": os.environ["PATH"],
        "NOTIFY_SOCKET": address,
        "DROPMILL_INBOX": str(tmp_path / "inbox"),
        "DROPMILL_OUTPUT": str(tmp_path / "outbox"),
        "DROPMILL_STATE_DIR": str(tmp_path / "state"),
        "DROPMILL_HTTP__BIND": "127.0.0.1:0",
    }
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, open(tmp_path / "log", "wb") as log:
        manager.bind(address)
        daemon = subprocess.Popen(
            [Path(sys.executable).with_name("dropmill"), "run"], env=environ, stdout=log, stderr=log, cwd=tmp_path
        )
        try:
            assert is_ready(manager, daemon), (tmp_path / "log").read_text("utf-8", "replace")
            maps = Path(f"/proc/{daemon.pid}/maps").read_text("utf-8")
        finally:
            daemon.send_signal(signal.SIGTERM)
            status = daemon.wait(60)
    assert status == 0
    found = {name for name in DECODERS for line in maps.splitlines() if f"/{name}/" in line or f"/{name}.libs/" in line}
    assert not found


def is_ready(manager: socket.socket, daemon: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and daemon.poll() is None:
        readable, _, _ = select.select([manager], [], [], 0.2)
        if readable and b"READY=1" in manager.recv(4096):
            return True
    return False


@pytest.mark.parametrize("folder", ["daemon", "config", "systemd"])
def test_folders_that_are_no_packages(folder: str) -> None:
    assert not (ROOT / folder / "__init__.py").exists()


def test_the_top_level_holds_what_belongs_there() -> None:
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard", "-z"], capture_output=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git clone: what is ours cannot be told from what lies about")
    names = {name.split(b"/")[0].decode() for name in listed.stdout.split(b"\0") if name}
    assert {name for name in names if not name.startswith(".")} <= TOP_LEVEL
