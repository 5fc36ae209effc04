"""The single checks of ``dropmill check``, each against a machine that is made up for it."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from dropmill.control.doctor import (
    advisories,
    codecs,
    container,
    filesystem,
    folders,
    http,
    inboxes,
    inotify,
    machine,
    machine_clock,
    network,
    service,
    systemd,
)
from dropmill.control.doctor.finding import Check, Finding, Folders, Ground, as_root, grant, keep_setting
from dropmill.control.doctor.folders import Place
from dropmill.control.doctor.mounts import Mount, mount_of, mounts
from dropmill.control.doctor.rounds import Look, Rounds
from dropmill.errors import ConfigurationError
from dropmill.files import lease, probe
from dropmill.files.roots import lock_directory
from dropmill.files.scan import Scanner
from dropmill.imaging import trial
from dropmill.model.names import junk
from dropmill.observe.clock import SystemClock
from dropmill.settings import Loaded, load
from parts import need_root


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    """One inbox ``camera``, which is there, and nothing else."""
    return grounded(tmp_path)


def grounded(folder: Path, inbox: str = "", more: str = "") -> Ground:
    (folder / "in").mkdir(exist_ok=True)
    (folder / "c.toml").write_text(
        f'state_dir = "state"\n{more}\n[[inboxes]]\nname = "camera"\npath = "in"\noutput = "out"\n{inbox}\n'
    )
    loaded: Loaded = load(folder / "c.toml", {}, {})
    return Ground(loaded, SystemClock(), {})


def of(found: Iterator[Finding] | list[Finding], severity: str) -> list[Finding]:
    return [one for one in found if one.severity == severity]


# Versions and advisories


def test_every_advisory_is_met_below_its_fix_and_not_at_it() -> None:
    for one in advisories.TABLE:
        parts = list(advisories.number(one.fixed_in))
        while not parts[-1]:
            parts.pop()
        before = ".".join(map(str, [*parts[:-1], parts[-1] - 1, 999]))
        assert one in [met for met, _ in advisories.applying({one.component: before})], (one, before)
        assert one not in [met for met, _ in advisories.applying({one.component: one.fixed_in})]
    assert not list(advisories.applying({"Pillow": "missing", "libheif": ""}))


def test_each_format_comes_back_and_every_advisory_is_of_a_library_that_tells_its_version() -> None:
    found = list(codecs.look())
    assert not of(found, "error"), found
    (told,) = [one.found for one in found if one.check == "codecs" and one.severity == "ok"]
    assert all(name in told for name in ("JPEG", "PNG", "WebP", "GIF", "TIFF", "BMP", "AVIF"))
    said = json.loads(trial.told())
    known = {"SQLite", "libheif", "libde265", "libvips", *said["components"]}
    assert {one.component for one in advisories.TABLE} <= known


def test_a_codec_that_does_not_work_is_told_by_its_format(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(kind: object, data: bytes) -> object:
        raise OSError("decoder webp not available")

    monkeypatch.setattr(trial, "open_image", broken)
    formats = json.loads(trial.told())["formats"]
    assert formats["WebP"] == "decoder webp not available"
    (one, *_) = of(list(codecs._formats({"WebP": "decoder webp not available"})), "error")
    assert one.found == "WebP does not work: decoder webp not available" and one.fix


def test_an_old_library_is_warned_of_with_the_package_that_brings_it() -> None:
    found = list(codecs._advisories({"libheif": "1.21.2", "SQLite": "3.51.2", "libwebp": "1.6.0"}))
    by_package = {one.fix for one in of(found, "warning")}
    assert by_package == {"pip install --upgrade pillow-heif", "pip install --upgrade apsw"}
    assert any("CVE-2026-32740" in one.found for one in found)
    assert all(advisories.AS_OF in one.remedy for one in of(found, "warning"))


# inotify


def proc_with(folder: Path, watches: int, instances: int = 128, queue: int = 16384) -> str:
    """A /proc in which another process of this user holds 5 watches of one instance."""
    limits = folder / "proc/sys/fs/inotify"
    limits.mkdir(parents=True)
    for name, value in (("user_watches", watches), ("user_instances", instances), ("queued_events", queue)):
        (limits / f"max_{name}").write_text(f"{value}\n")
    process = folder / "proc/999999"
    for name in ("fd", "fdinfo"):
        (process / name).mkdir(parents=True)
    (process / "fd/3").symlink_to("anon_inode:inotify")
    (process / "fd/4").symlink_to("/dev/null")
    (process / "fdinfo/3").write_text("pos:\t0\n" + "inotify wd:1 ino:2 sdev:3\n" * 5)
    return str(folder / "proc")


def test_w14_watches_are_counted_against_the_tree_and_what_others_hold(tmp_path: Path, ground: Ground) -> None:
    ground.folders["camera"] = Folders(6)
    proc = proc_with(tmp_path, watches=12)
    assert inotify.held_by(os.geteuid(), proc) == inotify.Held(5, 1, 0)
    assert inotify.held_by(os.geteuid(), proc, but="999999") == inotify.Held()
    (one,) = of(inotify.look(ground, proc), "warning")
    assert "6 folders" in one.found and "12 (fs.inotify.max_user_watches)" in one.found and "5 of them" in one.found
    assert "sysctl fs.inotify.max_user_watches=524288" in one.fix
    assert "/etc/sysctl.d/60-dropmill-max_user_watches.conf" in one.fix


def test_w14_a_limit_that_suffices_is_well_and_a_count_that_was_given_up_is_told_as_such(
    tmp_path: Path, ground: Ground
) -> None:
    ground.folders["camera"] = Folders(400_000, all_counted=False)
    found = list(inotify.look(ground, proc_with(tmp_path, watches=300_000, instances=1, queue=16)))
    said = " ".join(one.found for one in of(found, "warning"))
    assert "at least 400,000 folders" in said
    assert "1 inotify instances are needed, 1 are held by others, 1 are allowed" in said
    assert "keeps 16 events" in said
    assert any("max_user_watches=1048576" in one.fix for one in found)
    ground.folders["camera"] = Folders(3)
    assert not of(inotify.look(ground, proc_with(tmp_path / "roomy", watches=100)), "warning")


# Folders


def test_probes_are_no_pictures_and_nothing_is_left_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def look(path: str) -> str:
        seen.append(os.path.basename(path))
        chunk = Scanner(os.fsencode(tmp_path)).next_chunk()
        assert chunk is None or not (chunk.entries or chunk.leftovers)
        return "looked"

    tried = probe.try_folder(str(tmp_path), also=look)
    assert (tried.error, tried.also, tried.links, tried.keeps_modes, tried.fine_times) == (
        None,
        "looked",
        True,
        True,
        True,
    )
    assert junk(os.fsencode(seen[0])) and os.listdir(tmp_path) == []

    def fails(path: str) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "fsync", fails)
    tried = probe.try_folder(str(tmp_path))
    assert (tried.step, type(tried.error)) == ("syncing", PermissionError)
    assert os.listdir(tmp_path) == []


def test_what_a_trial_that_hung_has_left_is_swept(tmp_path: Path) -> None:
    go_on, entered = threading.Event(), threading.Event()

    def hang(path: str) -> str:
        entered.set()
        go_on.wait(60)
        return ""

    thread = threading.Thread(target=probe.try_folder, args=(str(tmp_path),), kwargs={"also": hang})
    thread.start()
    assert entered.wait(60) and len(os.listdir(tmp_path)) == 1
    probe.sweep()
    assert os.listdir(tmp_path) == []
    go_on.set()
    thread.join(60)


def test_a_file_system_that_keeps_less_is_told_with_what_comes_of_it() -> None:
    fat = probe.Tried(links=False, keeps_case=False, fine_times=False, keeps_modes=False)
    (one,) = filesystem.kept("output", "inboxes.0.output", "/out", fat)
    assert one.severity == "note"
    assert (
        "no hard links, no permission bits, times of two seconds and no difference between upper and lower case"
        in one.found
    )
    assert "output.mode" in one.why and "one name" in one.why


def test_folders_that_cannot_be_made_or_are_none_say_what_helps(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("nowhere")

    def look(path: str) -> Finding:
        (one,) = of(
            folders.look(Place("output", "k", "output", str(tmp_path / path), "nothing could be published")), "error"
        )
        return one

    assert look("file").found == f"{tmp_path}/file is no folder"
    assert look("file/deeper").found == f"{tmp_path}/file is no folder"
    assert look("link").found == f"{tmp_path}/link is a link that leads nowhere"
    assert look("link").why == "nothing could be published"


def test_inboxes_are_walked_as_they_would_be_watched(tmp_path: Path) -> None:
    ground = grounded(tmp_path, 'ignore = ["raw"]')
    for name in ("a/b", "raw/c", "@eaDir/d", ".hidden/e"):
        (tmp_path / "in" / name).mkdir(parents=True)
    later = tmp_path / "in/a/later.jpg"
    later.write_bytes(b"x")
    os.utime(later, (4_000_000_000, 4_000_000_000))
    found = list(inboxes.look(ground, "inboxes.0", ground.settings.inboxes[0]))
    assert ground.folders["camera"] == Folders(3)
    (ahead,) = [one for one in found if one.check == "clock"]
    assert (ahead.severity, ahead.path) == ("note", str(later)) and "date" in ahead.fix
    assert sorted(os.listdir(tmp_path / "in")) == [".hidden", "@eaDir", "a", "raw"]


def test_w41_an_inbox_that_is_in_use_is_told_as_gravely_as_is_known(tmp_path: Path) -> None:
    ground = grounded(tmp_path)
    inbox = ground.settings.inboxes[0]

    def told() -> list[tuple[str, bool]]:
        found = [one for one in inboxes.look(ground, "inboxes.0", inbox) if "in use by" in one.found]
        return [(one.severity, "another state directory" in one.found) for one in found]

    lock = lock_directory(os.fsencode(inbox.path))
    try:
        assert told() == [("error", True)]
        ground.holder = str(os.getpid())
        assert told() == []
        ground.holder = "1"
        assert told() == [("error", True)]
        ground.holder, ground.veiled = None, True
        assert told() == [("note", False)]
    finally:
        lock.release()


def test_files_that_nobody_may_read_and_leases_on_those_of_others_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground = grounded(tmp_path)
    theirs = tmp_path / "in/theirs.jpg"
    theirs.write_bytes(b"x")
    monkeypatch.setattr(inboxes, "may", lambda path, mode: False)
    (unread,) = of(list(inboxes.look(ground, "inboxes.0", ground.settings.inboxes[0])), "warning")
    assert unread.path == str(theirs) and "is no job" in unread.why
    need_root()
    os.chown(theirs, 12345, -1)
    monkeypatch.setattr(inboxes, "may", lambda path, mode: True)
    monkeypatch.setattr(inboxes, "capable", lambda capability, process: False)
    found = [one for one in inboxes.look(ground, "inboxes.0", ground.settings.inboxes[0]) if one.check == "leases"]
    if not lease.believed(os.fsencode(tmp_path)):
        assert "mean nothing" in found[0].found
    else:
        assert "12345" in found[0].found and found[0].fix == "dropmill check --unit"


def test_a_sticky_inbox_is_told_of_with_what_it_would_cost_to_have_it_otherwise(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder,) = (one.path for one in ground.settings.inboxes)
    os.chmod(folder, 0o1777)
    monkeypatch.setattr(inboxes, "_moves", lambda inbox: True)
    monkeypatch.setattr(os, "geteuid", lambda: os.stat(folder).st_uid + 12345)
    found = list(inboxes.look(ground, "inboxes.0", ground.settings.inboxes[0]))
    (one,) = [one for one in found if "is sticky" in one.found]
    assert "remove the files of others" in one.remedy and f"chmod -t {folder}" in one.fix


# The machine


def test_a_clock_that_nobody_keeps_is_told_gravely_only_where_it_matters(
    tmp_path: Path, ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine_clock, "synchronised", lambda: False)
    (one,) = machine_clock.look(ground)
    assert one.severity == "note" and "not synchronised" in one.found
    lists = grounded(tmp_path, more='[[dropfiles]]\nname = "l"\npath = "u"\noutput = "o"')
    (one,) = machine_clock.look(lists)
    assert one.severity == "warning"
    monkeypatch.setattr(machine_clock, "synchronised", lambda: True)
    assert [one.severity for one in machine_clock.look(lists)] == ["ok"]
    monkeypatch.setattr(SystemClock, "now_ms", lambda _self: 1_000_000_000_000)
    (one,) = machine_clock.look(ground)
    assert (one.severity, one.found) == ("warning", "the clock of this machine is years behind")


def test_the_kernel_says_whether_the_clock_is_kept() -> None:
    assert machine_clock.synchronised() in {True, False, None}


MOUNTINFO = """\
21 1 0:20 / / rw,relatime - overlay overlay rw,lowerdir=/a
22 21 8:1 / /srv/in\\040box rw,noexec - ext4 /dev/sda1 rw
23 21 0:21 / /srv/share ro - nfs4 nas:/export rw,vers=4.2
24 21 0:22 / /srv/share/memory rw - tmpfs tmpfs rw
torn line
"""


def test_mounts_are_read_with_their_escapes_and_the_deepest_counts(tmp_path: Path) -> None:
    (tmp_path / "mountinfo").write_text(MOUNTINFO)
    found = mounts(str(tmp_path / "mountinfo"))
    assert len(found) == 4

    def kind(path: str) -> str:
        mount = mount_of(path, found)
        return mount.kind if mount else ""

    assert [kind(path) for path in ("/srv/in box/a", "/srv/share", "/srv/shared", "/srv/share/memory/x", "/")] == [
        "ext4", "nfs4", "overlay", "tmpfs", "overlay",
    ]  # fmt: skip
    share = mount_of("/srv/share/a", found)
    assert share is not None and share.read_only
    assert mounts(str(tmp_path / "missing")) == []


def test_a_container_is_known_by_its_marks(tmp_path: Path) -> None:
    assert container.kind({}, str(tmp_path)) == ""
    assert container.kind({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, str(tmp_path)) == "Kubernetes"
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/kubepods/besteffort/pod1\n")
    assert container.kind({}, str(tmp_path)) == "a container"
    (tmp_path / ".dockerenv").touch()
    assert container.kind({}, str(tmp_path)) == "Docker"
    (tmp_path / "run").mkdir()
    (tmp_path / "run/.containerenv").touch()
    assert container.kind({}, str(tmp_path)) == "Podman"


def test_state_in_a_layer_or_in_memory_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = next(one for one in container.kept(grounded(tmp_path).settings) if one.key == "state_dir")

    def on(kind: str, point: str, inside: str) -> list[Finding]:
        monkeypatch.setattr(container, "mounts", lambda: [Mount(point, kind, "", frozenset())])
        return list(container.look(state, inside))

    (lost,) = on("overlay", "/", "Podman")
    assert lost.severity == "warning" and "no volume is mounted there" in lost.found
    assert f"podman run -v dropmill-state:{tmp_path}/state" in lost.fix
    assert "persistentVolumeClaim" in on("overlay", "/", "Kubernetes")[0].remedy
    assert "next start of the machine" in on("tmpfs", "/", "")[0].why
    assert not on("overlay", "/", "") and not on("ext4", "/", "Docker")


def test_who_checks_and_who_will_run_it_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ground = grounded(tmp_path)
    me = os.geteuid()
    monkeypatch.setattr(service, "user", lambda _ground: 65534)
    (one,) = machine.user(ground)
    assert one.severity == "warning" and "dropmill check" in one.fix and f"--config {tmp_path}/c.toml" in one.fix
    assert "-u" in one.fix
    monkeypatch.setattr(service, "user", lambda _ground: me)
    assert [one.severity for one in machine.user(Ground(ground.loaded, ground.clock, {}, holder="1"))] == ["ok"]


def test_the_service_runs_as_its_unit_says_or_as_the_owner_of_its_state(
    tmp_path: Path, ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit = tmp_path / "dropmill.service"
    unit.write_text("[Service]\nUser=nobody\nExecStart=/bin/true\n")
    monkeypatch.setattr(service, "UNITS", (str(tmp_path / "missing"), str(unit)))
    assert service.user(ground) is None  # The unit has nothing to do with this configuration.
    assert service.uid(ground) == os.geteuid()
    (tmp_path / "state").mkdir()
    assert service.user(ground) == os.stat(tmp_path / "state").st_uid
    monkeypatch.setattr(service, "CONFIGURATIONS", str(tmp_path))
    assert service.user(ground) == pwd.getpwnam("nobody").pw_uid
    unit.write_text("[Service]\nUser=no-such-user-here\n")
    assert service.user(ground) == os.stat(tmp_path / "state").st_uid
    ground.holder = str(os.getpid())
    assert service.user(ground) == os.stat("/proc/self").st_uid


def test_commands_are_those_that_this_user_can_give(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs: set[str] = set()
    monkeypatch.setattr(shutil, "which", lambda name: name if name in programs else None)
    path = f"{tmp_path}/a b"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert as_root("sysctl a=1") == "sysctl a=1"
    assert grant("rwx", path, 65534) == f"chown nobody '{path}'\nchmod u+rwx '{path}'"
    monkeypatch.setattr(os, "geteuid", lambda: 65534)
    assert as_root("sysctl a=1") == "su -c 'sysctl a=1'"
    programs |= {"sudo", "setfacl"}
    assert grant("rx", path, 65534) == f"sudo setfacl -m u:nobody:rx '{path}'"
    assert keep_setting("fs.x", 7).splitlines() == [
        "sudo sysctl fs.x=7",
        "sudo sh -c 'echo fs.x=7 > /etc/sysctl.d/60-dropmill-x.conf'",
    ]
    # Who pastes two keeps both.
    assert keep_setting("fs.y", 7).split()[-1] != keep_setting("fs.x", 7).split()[-1]


def test_a_memory_limit_below_one_worker_is_warned_of(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "memory_limit_bytes", lambda: 512 << 20)
    (one,) = of(machine.limits(ground), "warning")
    assert "512 MiB" in one.found and "memory_limit_mb = 256 below [workers]" in one.remedy
    assert "docker run -e" in one.remedy and not one.fix, "a variable that a shell does not export is no command"
    monkeypatch.setattr(machine, "memory_limit_bytes", lambda: 4 << 30)
    assert not of(machine.limits(ground), "warning")


def test_a_service_that_is_not_watched_over_is_told(tmp_path: Path) -> None:
    process = tmp_path / "7"
    process.mkdir()
    (process / "cgroup").write_text("0::/system.slice/dropmill@two.service\n")
    (process / "environ").write_bytes(b"INVOCATION_ID=1\0NOTIFY_SOCKET=/run/systemd/notify\0")
    unit = systemd.unit_of("7", str(tmp_path))
    told = systemd.environment_of("7", str(tmp_path))
    assert unit == "dropmill@two.service" and told is not None
    (one,) = systemd._supervision(unit, told)
    assert (
        one.severity == "warning"
        and "WatchdogSec" in one.found
        and one.fix.endswith("systemctl edit dropmill@two.service")
    )
    (one,) = systemd._supervision(unit, {})
    assert "Type=notify" in one.found
    (one,) = systemd._supervision(unit, {**told, "WATCHDOG_USEC": "90000000"})
    assert one.severity == "ok"
    assert systemd.environment_of("8", str(tmp_path)) is None


# Addresses


def test_whoever_has_the_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ground = grounded(tmp_path, more=f'[http]\nbind = "127.0.0.1:{port}"')
        (one,) = http.look(ground)
        assert one.severity == "error" and f"(pid {os.getpid()})" in one.found and one.key == "http.bind"
        ground.veiled = True
        assert [one.severity for one in http.look(ground)] == ["warning"]
    assert http.who_listens(port) == ""


def test_an_address_that_systemd_holds_for_the_daemon_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "who_listens", lambda port: "systemd (pid 1)")
    with socket.create_server(("127.0.0.1", 0)) as held:
        ground = grounded(tmp_path, more=f'[http]\nbind = "127.0.0.1:{held.getsockname()[1]}"')
        (one,) = http.look(ground)
    assert one.severity == "note" and "held by systemd" in one.found


def test_the_token_is_no_secret_where_everybody_reads_it_or_it_is_short(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("short\n")
    ground = grounded(tmp_path, more='[http]\nbind = "127.0.0.1:0"\ntoken_file = "token"')
    token.chmod(0o644)
    fixes = [one.fix for one in of(http.look(ground), "warning")]
    assert fixes[0] == f"chmod o= {token}" and "openssl" in fixes[1]
    # The command to reload would send the new one to a daemon that has the old one.
    assert "dropmill reload" not in fixes[1] and fixes[1].endswith("systemctl reload dropmill")
    ground.holder = "4711"
    assert of(http.look(ground), "warning")[1].fix.endswith(f"> {token} && kill -HUP 4711")
    ground.holder = None
    token.write_text("d" * 64)
    token.chmod(0o640)
    assert not [one for one in http.look(ground) if one.severity != "ok"]
    token.unlink()
    assert [one.key for one in of(http.look(ground), "error")] == ["http.token_file"]


def test_the_folder_of_a_socket_is_written_and_not_everybodys(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    ground = grounded(tmp_path, more=f'[http]\nbind = "unix:{folder}/s"')
    assert not [one for one in http.look(ground) if one.severity in {"error", "warning"} and one.check == "http"]
    folder.chmod(0o777 | stat.S_ISVTX)
    assert any("everybody may write" in one.found for one in of(http.look(ground), "warning"))
    (folder / "s").write_text("")
    assert any("is no socket" in one.found for one in of(http.look(ground), "error"))
    (folder / "s").unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(folder / "s"))
        other.listen()
        assert any("another program listens" in one.found for one in of(http.look(ground), "error"))


def test_downloads_want_a_name_server_and_no_proxy_of_a_variable(tmp_path: Path) -> None:
    resolv = tmp_path / "resolv.conf"
    resolv.write_text("# none\nsearch example\n")
    ground = grounded(tmp_path, more='[[dropfiles]]\nname = "l"\npath = "u"\noutput = "o"')
    ground.environ = {"HTTPS_PROXY": "http://proxy:3128"}
    found = list(network.look(ground, str(resolv)))
    assert [one.severity for one in found] == ["warning", "ok", "note"]
    assert "$HTTPS_PROXY" in found[2].found and "downloads" in found[2].remedy
    resolv.write_text("nameserver 127.0.0.53\n")
    ground.environ = {}
    assert [one.severity for one in network.look(ground, str(resolv))] == ["ok", "ok"]
    assert not list(network.look(grounded(tmp_path), str(resolv)))


# All of it


def test_w40_one_look_that_hangs_is_told_once_and_holds_up_no_other() -> None:
    go_on = threading.Event()

    def hang() -> Iterator[Finding]:
        go_on.wait(120)
        yield Finding("inbox", "ok", "never told")

    def well() -> Iterator[Finding]:
        yield Finding("output", "ok", "well")

    def fails() -> Iterator[Finding]:
        raise OSError(5, "Input/output error")

    def refuses() -> Iterator[Finding]:
        raise ConfigurationError("it cannot be", hint="let it be")

    rounds = Rounds(SystemClock())
    looks = [
        Look("inbox", "inbox /dead", hang, "inboxes.0.path", "/dead", seconds=0.2),
        Look("originals", "archive", hang, "", "/archive", seconds=0.2, also=("/dead",)),
        *[Look("output", "output", well) for _ in range(40)],
        Look("log", "the log", fails),
        Look("user", "the user", refuses),
    ]
    found = rounds.look(looks)
    assert [one.found for one in found if one.check == "inbox"] == ["inbox /dead has not answered for 0.2 s"]
    assert sum(one.found == "well" for one in found) == 40
    assert [one.found for one in found if one.severity == "error"][1:] == [
        "the log cannot be looked at: Input/output error", "it cannot be",
    ]  # fmt: skip
    assert not rounds.look([Look("state", "again", well, "", "/dead")])
    silence = Finding("http", "warning", "the daemon says nothing")
    assert rounds.look([Look("http", "the daemon", hang, seconds=0.1, silence=silence)]) == [silence]
    go_on.set()


def test_what_nobody_expected_is_not_swallowed() -> None:
    def crashes() -> Iterator[Finding]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Rounds(SystemClock()).look([Look("log", "the log", crashes)])


def test_findings_keep_the_words_that_programs_know() -> None:
    told = Finding(
        "inbox", "error", "it is gone", "inboxes.0.path", "/in", "why", "", "mkdir -p /in\nls", "c:1"
    ).as_json()
    assert told["message"] == "it is gone" and told["remedy"] == "mkdir -p /in; ls"
    assert {"check", "severity", "path", "found", "why", "fix", "where", "key"} <= told.keys()


def test_the_documentation_names_every_check() -> None:
    text = (Path(__file__).parents[2] / "docs" / "operations.md").read_text("utf-8")
    table = text.partition("## What check looks at")[2].partition("\n## ")[0]
    named = {
        word for line in table.splitlines() if line.startswith("| `") for word in line.split("|")[1].split("`")[1::2]
    }
    assert named == set(get_args(Check))
