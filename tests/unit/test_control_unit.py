"""`dropmill check --unit`: the drop-in that lets the systemd unit reach the configured folders."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from dropmill.control import unit_access, unit_folders
from dropmill.control.unit import DropIn, drop_in, escaped
from dropmill.files import standing
from dropmill.settings import load
from harness import PROGRAM, clean_environment
from parts import need_programs


def made(folder: Path, text: str) -> DropIn:
    config = folder / "dropmill.toml"
    config.write_text(text, "utf-8")
    return drop_in(load(config, {}, {}))


def inbox(path: str, output: str, more: str = "", name: str = "camera") -> str:
    return f'[[inboxes]]\nname = "{name}"\npath = {json.dumps(path)}\noutput = {json.dumps(output)}\n{more}\n'


def values(found: DropIn, name: str) -> list[str]:
    return [one.value for one in found.directives if one.name == name]


def test_what_the_unit_has_already_is_not_named(tmp_path: Path) -> None:
    found = made(tmp_path, inbox("/srv/dropmill/inbox", "/srv/dropmill/outbox"))
    assert not found.directives
    assert "Nothing is missing" in found.text()


def test_folders_of_an_inbox_go_under_one_parent_where_it_is_theirs(tmp_path: Path) -> None:
    more = 'archive = "/data/pictures/kept"\nquarantine = "/data/pictures/broken"'
    found = made(tmp_path, inbox("/data/pictures/in", "/data/pictures/out", more))
    assert values(found, "ReadWritePaths") == ["-/data/pictures"]
    # Only the output lies elsewhere: what is moved is still under one parent.
    found = made(tmp_path, inbox("/data/pictures/in", "/srv/www", more))
    assert values(found, "ReadWritePaths") == ["-/data/pictures", "-/srv/www"]


def test_a_parent_is_opened_only_where_nothing_of_others_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = tmp_path / "pictures"
    for name in ("in", "kept", "out", "deep/broken", ".dropmill-check-1"):
        (parent / name).mkdir(parents=True)
    more = f'archive = "{parent}/kept"\nquarantine = "{parent}/deep/broken"'
    configured = inbox(f"{parent}/in", f"{parent}/out", more)
    each = [f"-{parent}/{name}" for name in ("in", "kept", "deep/broken", "out")]
    found = made(tmp_path, configured)
    assert values(found, "ReadWritePaths") == [f"-{parent}"]
    assert not [note for note in found.notes if "copy" in note]
    for stranger in ("payroll", "deep/payroll"):
        (parent / stranger).mkdir()
        found = made(tmp_path, configured)
        assert values(found, "ReadWritePaths") == each
        assert [note for note in found.notes if "is a copy" in note and f"{parent}/kept" in note]
        (parent / stranger).rmdir()
    # What cannot be looked through is taken for that of others.
    monkeypatch.setattr(unit_folders, "_MOST_NAMES", 2)
    assert values(made(tmp_path, configured), "ReadWritePaths") == each


def test_disks_of_folders_are_waited_for_and_none_but_that_of_the_state_is_required(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = "21 1 0:1 / / rw - ext4 /dev/a rw\n22 21 0:2 / /data/my\\040pictures rw - ext4 /dev/b rw\n"
    (tmp_path / "mountinfo").write_text(table, "ascii")
    (tmp_path / "fstab").write_text("/dev/c /mnt/kept-1 ext4 nofail 0 0\n", "ascii")
    monkeypatch.setattr(standing, "_FSTAB", str(tmp_path / "fstab"))
    monkeypatch.setattr(unit_folders, "MOUNTINFO", str(tmp_path / "mountinfo"))
    more = 'archive = "/mnt/kept-1/archive"'
    folders = inbox("/data/my pictures/in", "/data/my pictures/out", more) + inbox("/opt/in", "/opt/out", name="b")
    found = made(tmp_path, folders)
    units = "data-my\\x20pictures.mount mnt-kept\\x2d1.mount"
    assert (values(found, "Wants"), values(found, "After")) == ([units], [units])
    assert values(found, "RequiresMountsFor") == values(found, "Requires") == []
    # A folder that is not there yet, because its disk is not, would keep the sandbox from being set up.
    assert all(path.lstrip('"').startswith("-") for path in values(found, "ReadWritePaths"))
    found = made(tmp_path, f'state_dir = "/mnt/kept-1/state"\n{folders}')
    assert values(found, "RequiresMountsFor") == ["/mnt/kept-1/state"]
    assert "/mnt/kept-1/state" in values(found, "ReadWritePaths")


@pytest.mark.parametrize("point", ["/data", "/a/b-c", "/.hidden/x.y", "/my pictures/ümläut", "/a:b/\\"])
def test_mounts_are_named_as_systemd_names_them(point: str) -> None:
    need_programs(**{"systemd-escape": "systemd"})
    command = ["systemd-escape", "--path", "--suffix=mount", point]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert unit_folders.mount_unit(point) == told


@pytest.mark.parametrize("shared", ["/srv", "/var/lib", "/mnt", "/opt"])
def test_a_parent_that_others_share_is_not_opened(tmp_path: Path, shared: str) -> None:
    found = made(tmp_path, inbox(f"{shared}/in", f"{shared}/out", f'archive = "{shared}/kept"'))
    assert values(found, "ReadWritePaths") == [f"-{shared}/in", f"-{shared}/kept", f"-{shared}/out"]


def test_a_folder_inside_another_is_not_named_twice(tmp_path: Path) -> None:
    second = inbox("/data/a/second/in", "/data/a/second/out", name="second")
    found = made(tmp_path, inbox("/data/a/in", "/data/a/out") + second)
    assert values(found, "ReadWritePaths") == ["-/data/a"]


def test_homes_stay_hidden_but_for_what_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = made(tmp_path, inbox("/home/ann/Pictures/in", "/home/ann/Pictures/out"))
    assert values(found, "ProtectHome") == ["tmpfs"]
    assert values(found, "BindPaths") == ["-/home/ann/Pictures"]
    assert values(found, "ReadWritePaths") == []
    # Never the whole home for two folders in it.
    found = made(tmp_path, inbox("/home/ann/in", "/home/ann/out"))
    assert values(found, "BindPaths") == ["-/home/ann/in", "-/home/ann/out"]
    home = tmp_path / "home"
    monkeypatch.setattr(unit_folders, "_HOMES", (str(home),))
    home.mkdir()
    (home / "token").write_text("a token that is long enough\n", "ascii")
    (home / "token").chmod(0o600)
    found = made(tmp_path, f'{inbox("/data/in", "/data/out")}[http]\ntoken_file = "{home}/token"\n')
    assert values(found, "BindReadOnlyPaths") == [f"{home}/token"]


def test_the_network_opens_for_what_needs_it_only(tmp_path: Path) -> None:
    plain = inbox("/data/in", "/data/out")
    assert values(made(tmp_path, plain), "IPAddressAllow") == []
    dropfile = '[[dropfiles]]\nname = "list"\npath = "/data/urls.txt"\noutput = "/data/out"\n'
    assert values(made(tmp_path, plain + dropfile), "IPAddressAllow") == ["any"]
    assert values(made(tmp_path, inbox("/data/in", "/data/out", "urls = true")), "IPAddressAllow") == ["any"]
    hook = '[[webhooks]]\nname = "app"\nsecret_variable = "S"\nurl = "{}"\n'
    assert values(made(tmp_path, plain + hook.format("https://app.example/hook")), "IPAddressAllow") == ["any"]
    local = hook.format("http://127.0.0.1:9000/hook") + '[net]\nallow_networks = ["127.0.0.0/8"]\n'
    assert values(made(tmp_path, plain + local), "IPAddressAllow") == []


def test_state_socket_and_log_are_named_where_they_lie(tmp_path: Path) -> None:
    more = '[log]\nfile = "/data/log/dropmill.log"\n[http]\nbind = "unix:/run/pictures/page.sock"\n'
    found = made(tmp_path, f'state_dir = "/var/lib/pictures"\n{inbox("/data/in", "/data/out")}{more}')
    assert values(found, "StateDirectory") == ["pictures"]
    assert values(found, "RuntimeDirectory") == ["pictures"]
    assert values(found, "ReadWritePaths") == ["-/data"]
    found = made(tmp_path, f'state_dir = "/fast/state"\n{inbox("/data/in", "/data/out")}')
    assert values(found, "ReadWritePaths") == ["-/data", "/fast/state"]
    assert values(found, "RequiresMountsFor") == ["/fast/state"]
    assert any("/fast/state" in note and "belong" in note for note in found.notes)


def test_the_configuration_of_an_instance_is_for_its_unit(tmp_path: Path) -> None:
    folders = inbox("/data/one/in", "/data/one/out")
    (tmp_path / "dropmill.toml").write_text(f'state_dir = "/var/lib/dropmill-one"\n{folders}', "utf-8")
    loaded = load(tmp_path / "dropmill.toml", {}, {})
    found = drop_in(replace(loaded, path=Path("/etc/dropmill/one.toml")))
    assert (found.unit, values(found, "StateDirectory")) == ("dropmill@one.service", [])
    assert "/etc/systemd/system/dropmill@one.service.d/folders.conf" in found.text()
    # What another unit has it has not.
    (tmp_path / "dropmill.toml").write_text(
        f'state_dir = "/var/lib/dropmill-one"\n{inbox("/var/lib/dropmill/in", "/srv/dropmill/out")}', "utf-8"
    )
    other = load(tmp_path / "dropmill.toml", {}, {})
    assert values(drop_in(replace(other, path=Path("/etc/dropmill/one.toml"))), "ReadWritePaths") == [
        "-/var/lib/dropmill/in"
    ]
    assert values(drop_in(other), "ReadWritePaths") == []
    found = drop_in(replace(loaded, path=Path("/etc/dropmill/dropmill.toml")))
    assert (found.unit, values(found, "StateDirectory")) == ("dropmill.service", ["dropmill-one"])


def test_files_of_others_ask_for_the_lease_and_for_their_group(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir(mode=0o755)
    owner = folder.stat()
    assert not unit_access.of_others(str(folder), owner.st_uid)
    assert unit_access.of_others(str(folder), owner.st_uid + 1) == unit_access.of_others(str(folder), None)
    assert not unit_access.of_others(str(tmp_path / "missing"), None)
    assert unit_access.groups([str(folder)], "pictures", "dropmill", None) == ["pictures"]
    assert unit_access.groups([], "dropmill", "dropmill", None) == []


def test_it_says_what_is_missing_and_what_no_directive_opens(tmp_path: Path) -> None:
    notes = made(tmp_path, inbox("/data/no such/in", "/var/tmp/out")).notes
    assert any("install -d -o dropmill -g dropmill '/data/no such/in'" in note for note in notes)
    assert any("/var/tmp/out" in note and "PrivateTmp" in note for note in notes)


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("/data/in", "/data/in"),
        ("/data/100%", "/data/100%%"),
        ("/data/my pictures", '"/data/my pictures"'),
        ('/data/a"b\\c', '"/data/a\\"b\\\\c"'),
        ("/data/ümläut", "/data/ümläut"),
        ("/data/a:b", '"/data/a:b"'),
    ],
)
def test_paths_are_one_word_of_a_unit_file(path: str, word: str) -> None:
    assert escaped(path) == word


def test_the_command_prints_what_systemd_takes_as_it_is(tmp_path: Path) -> None:
    need_programs(**{"systemd-analyze": "systemd"})
    folders = inbox('/data/my pictures; 100%/in\'s "a\\b"', "/home/ann/out: new", "urls = true")
    config = tmp_path / "dropmill.toml"
    config.write_text(f'state_dir = "/var/lib/pictures"\n{folders}[output]\ngroup = "audio"\n', "utf-8")
    command = [PROGRAM, "check", "--unit", "--config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=clean_environment())
    assert "BindPaths=" in done.stdout
    assert "ReadWritePaths=" in done.stdout
    (tmp_path / "dropmill.service.d").mkdir()
    (tmp_path / "dropmill.service.d" / "folders.conf").write_text(done.stdout, "utf-8")
    unit = (Path(__file__).parents[2] / "systemd" / "dropmill.service").read_text("utf-8")
    (tmp_path / "dropmill.service").write_text(unit.replace("/opt/dropmill/bin/dropmill", sys.executable), "utf-8")
    verify = ["systemd-analyze", "verify", "--man=no", str(tmp_path / "dropmill.service")]
    checked = subprocess.run(verify, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
