"""systemd/: the unit is valid and hardened, the user and the folders really come to be."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dropmill.errors import ConfigurationError
from dropmill.settings import Settings
from parts import need_programs, need_root

SYSTEMD = Path(__file__).parents[2] / "systemd"
UNIT = SYSTEMD / "dropmill.service"
PROGRAM = "/opt/dropmill/bin/dropmill"
USERS_PROGRAM = "%h/.local/share/dropmill/bin/dropmill"


def setting(name: str, unit: Path = UNIT) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", unit.read_text("utf-8"), re.MULTILINE)


def verified(folder: Path, *names: str) -> tuple[int, str]:
    """What ``systemd-analyze verify`` says about units of that folder; it ends with 0 on keys that it does not know."""
    need_programs(**{"systemd-analyze": "systemd"})
    command = ["systemd-analyze", "verify", "--man=no", *(str(folder / name) for name in names)]
    if folder.name == "user":
        command.insert(2, "--user")
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(folder)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    return done.returncode, done.stderr


def copied(target: Path) -> Path:
    """The units as they are installed, but for the program: systemd wants it to exist, and this one does."""
    for name in ("dropmill.service", "dropmill@.service", "dropmill.socket", "user/dropmill.service"):
        place = target / name
        place.parent.mkdir(exist_ok=True)
        text = (SYSTEMD / name).read_text("utf-8").replace(USERS_PROGRAM, PROGRAM)
        place.write_text(text.replace(PROGRAM, os.path.realpath(sys.executable)), "utf-8")
    return target


def test_the_units_are_valid(tmp_path: Path) -> None:
    assert setting("ExecStart") == [f"{PROGRAM} run"]
    units = copied(tmp_path)
    assert verified(units, "dropmill.service", "dropmill@.service", "dropmill.socket") == (0, "")
    assert verified(units / "user", "dropmill.service") == (0, "")


@pytest.mark.parametrize("name", ["dropmill.service", "dropmill.socket"])
def test_what_the_heads_of_the_units_offer_is_valid(tmp_path: Path, name: str) -> None:
    head, _, _ = (SYSTEMD / name).read_text("utf-8").partition("[Unit]")
    offers = re.findall(r"^#   (\[\w+\]\n(?:#   \w+=.*\n)+)", head, re.MULTILINE)
    assert len(offers) == {"dropmill.service": 3, "dropmill.socket": 1}[name]
    units = copied(tmp_path)
    (units / f"{name}.d").mkdir()
    (units / f"{name}.d" / "offers.conf").write_text("".join(offers).replace("#   ", ""), "utf-8")
    assert verified(units, name) == (0, "")


def test_the_way_to_downloads_is_said_and_open() -> None:
    assert "\n#   [Service]\n#   IPAddressAllow=any\n" in UNIT.read_text("utf-8")
    assert "IPAddressAllow=any" in (SYSTEMD.parent / "docs" / "operations.md").read_text("utf-8")
    assert {"AF_INET", "AF_INET6"} <= set(setting("RestrictAddressFamilies")[0].split())


@pytest.mark.parametrize("unit", ["dropmill.service", "dropmill@.service"])
def test_the_unit_is_hardened_and_says_why_the_rest_is_open(unit: str) -> None:
    need_programs(**{"systemd-analyze": "systemd"})
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=15", str(SYSTEMD / unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told = subprocess.run([*command, "--json=short"], capture_output=True, text=True, check=False).stdout
    open_ones = [one["name"] for one in json.loads(told) if float(one["exposure"] or 0) > 0]
    comment = (SYSTEMD / unit).read_text("utf-8").partition("shows as open")[2]
    assert open_ones
    assert [name for name in open_ones if f"#   {name.rstrip('=').removesuffix('=/RootImage')} " not in comment] == []


def test_the_template_differs_in_names_only() -> None:
    whole, template = (
        re.sub(r"(?s)^.*?(?=\[Unit\])", "", (SYSTEMD / name).read_text("utf-8"))
        for name in ("dropmill.service", "dropmill@.service")
    )
    named = {
        "renditions (%i)": "renditions",
        " run --config /etc/dropmill/%i.toml": " run",
        "StateDirectory=dropmill-%i": "StateDirectory=dropmill",
        "/var/lib/dropmill-%i": "/var/lib/dropmill",
    }
    for one, other in named.items():
        assert template.count(one) == 1
        template = template.replace(one, other)
    assert template == whole


def test_the_unit_of_a_user_lives_as_the_other_does() -> None:
    user = SYSTEMD / "user" / "dropmill.service"
    keys = (
        "Type NotifyAccess ExecReload Restart RestartSec RestartPreventExitStatus TimeoutStartSec WatchdogSec KillMode"
    )
    keys += " TimeoutStopSec OOMPolicy StartLimitIntervalSec SystemCallFilter RestrictAddressFamilies NoNewPrivileges"
    assert {key: setting(key, user) for key in keys.split()} == {key: setting(key) for key in keys.split()}


def test_the_unit_agrees_with_the_daemon() -> None:
    assert setting("Type") == ["notify"]
    assert setting("RestartPreventExitStatus") == [str(ConfigurationError.exit_code)]
    # Running jobs, and then what they owe, may each take that long.
    assert float(setting("TimeoutStopSec")[0]) > 2 * Settings().shutdown_timeout_seconds
    assert setting("StateDirectory") == [Path(Settings().state_dir).name]


def test_the_user_and_the_folders_come_to_be(tmp_path: Path) -> None:
    need_programs(**{"systemd-sysusers": "systemd", "systemd-tmpfiles": "systemd"})
    need_root()
    (tmp_path / "etc").mkdir()
    for command in (
        ["systemd-sysusers", f"--root={tmp_path}", str(SYSTEMD / "dropmill.sysusers.conf")],
        ["systemd-tmpfiles", f"--root={tmp_path}", "--create", str(SYSTEMD / "dropmill.tmpfiles.conf")],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    account = (tmp_path / "etc" / "passwd").read_text("utf-8").split(":")
    assert account[0] == "dropmill"
    inbox = (tmp_path / "srv" / "dropmill" / "inbox").stat()
    assert (inbox.st_uid, inbox.st_mode & 0o7777) == (int(account[2]), 0o2775)
    urls = (tmp_path / "srv" / "dropmill" / "urls.txt").stat()
    assert (urls.st_gid, urls.st_mode & 0o7777) == (int(account[3]), 0o664)
