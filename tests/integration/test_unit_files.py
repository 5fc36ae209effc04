"""systemd/: the unit is valid and hardened, the user and the folders really come to be."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dropmill.errors import ConfigurationError
from dropmill.settings import Settings

SYSTEMD = Path(__file__).parents[2] / "systemd"
UNIT = SYSTEMD / "dropmill.service"
PROGRAM = "/opt/dropmill/bin/dropmill"


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        if os.environ.get("DROPMILL_REQUIRE_ALL") == "1":
            pytest.fail(f"{name} is not installed")
        pytest.skip(f"{name} is not installed")
    return found


def setting(name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", UNIT.read_text("utf-8"), re.MULTILINE)


def test_the_unit_is_valid(tmp_path: Path) -> None:
    text = UNIT.read_text("utf-8")
    assert f"ExecStart={PROGRAM} run\n" in text
    # systemd wants the program to exist; this one does, wherever the tests run.
    installed = tmp_path / UNIT.name
    installed.write_text(text.replace(PROGRAM, os.path.realpath(sys.executable)), "utf-8")
    command = [tool("systemd-analyze"), "verify", "--man=no", str(installed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")  # It ends with 0 on keys that it does not know.


def test_what_opens_the_unit_for_downloads_is_in_its_head_and_valid(tmp_path: Path) -> None:
    head, _, unit = UNIT.read_text("utf-8").partition("[Unit]")
    assert "#   [Service]\n#   IPAddressAllow=any\n" in head
    assert "IPAddressAllow=any" in (SYSTEMD.parent / "docs" / "operations.md").read_text("utf-8")
    families = setting("RestrictAddressFamilies")[0].split()
    assert {"AF_INET", "AF_INET6"} <= set(families)
    opened = tmp_path / UNIT.name
    unit = unit.replace(PROGRAM, os.path.realpath(sys.executable))
    opened.write_text(f"[Unit]{unit}\n[Service]\nIPAddressAllow=any\n", "utf-8")
    command = [tool("systemd-analyze"), "verify", "--man=no", str(opened)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_is_hardened() -> None:
    command = [tool("systemd-analyze"), "security", "--offline=true", "--threshold=15", str(UNIT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_unit_agrees_with_the_daemon() -> None:
    assert setting("Type") == ["notify"]
    assert setting("RestartPreventExitStatus") == [str(ConfigurationError.exit_code)]
    # Running jobs, and then what they owe, may each take that long.
    assert float(setting("TimeoutStopSec")[0]) > 2 * Settings().shutdown_timeout_seconds
    assert setting("StateDirectory") == [Path(Settings().state_dir).name]


def test_the_user_and_the_folders_come_to_be(tmp_path: Path) -> None:
    sysusers, tmpfiles = tool("systemd-sysusers"), tool("systemd-tmpfiles")
    if os.geteuid() != 0:
        pytest.skip("only root may make users and give folders away")
    (tmp_path / "etc").mkdir()
    for command in (
        [sysusers, f"--root={tmp_path}", str(SYSTEMD / "dropmill.sysusers.conf")],
        [tmpfiles, f"--root={tmp_path}", "--create", str(SYSTEMD / "dropmill.tmpfiles.conf")],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    account = (tmp_path / "etc" / "passwd").read_text("utf-8").split(":")
    assert account[0] == "dropmill"
    inbox = (tmp_path / "srv" / "dropmill" / "inbox").stat()
    assert (inbox.st_uid, inbox.st_mode & 0o7777) == (int(account[2]), 0o2775)
    urls = (tmp_path / "srv" / "dropmill" / "urls.txt").stat()
    assert (urls.st_gid, urls.st_mode & 0o7777) == (int(account[3]), 0o664)
