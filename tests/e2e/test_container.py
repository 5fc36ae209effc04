"""The Dockerfile is built and run: without privileges, on a read-only root, as process 1, by any user."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import parts
import pictures
from container_bed import PROGRAMS, Bed, Container
from dropmill import __version__

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

IMAGE_USER = 10001
STRANGER = 1234567
# The image has no ps: states and command lines of all processes, as JSON.
PROCESSES = """
import glob, json
told = []
for path in glob.glob("/proc/[0-9]*"):
    try:
        state = open(path + "/stat").read().rpartition(")")[2].split()[0]
        told.append([int(path[6:]), state, open(path + "/cmdline").read().replace(chr(0), " ")])
    except OSError:
        pass
print(json.dumps(told))
"""
WRITE = "import base64, os, sys; open('/inbox/.x', 'wb').write(base64.b64decode(sys.argv[2])); os.rename('/inbox/.x', sys.argv[1])"


@pytest.fixture(scope="module")
def bed() -> Iterator[Bed]:
    parts.need_root()
    parts.need_programs(**PROGRAMS, unshare="util-linux", nsenter="util-linux")
    bed = Bed()
    try:
        yield bed
    finally:
        bed.close()


def folders(root: Path, uid: int, gid: int = 0) -> list[str]:
    """Folders ``in``, ``out`` and ``state`` of a user, and the options that mount them."""
    options = []
    for name, place in (("in", "/inbox"), ("out", "/outbox"), ("state", "/state")):
        (root / name).mkdir()
        os.chown(root / name, uid, gid)
        options += ["--volume", f"{root / name}:{place}"]
    return options


def drop(root: Path, name: str, data: bytes) -> None:
    (root / "aside").write_bytes(data)
    (root / "aside").rename(root / "in" / name)


def processes(container: Container) -> list[tuple[int, str, str]]:
    told = container.exec("python", "-c", PROCESSES)
    assert told.returncode == 0, told.stderr
    return [(pid, state, command) for pid, state, command in json.loads(told.stdout)]


def renditions(output: Path) -> dict[str, tuple[int, int]]:
    """Names with what would change if they were written again."""
    found = [path for path in output.iterdir() if not path.name.startswith(".")]
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in found}


def events(container: Container, name: str) -> int:
    return container.log().count(f'"event": "{name}"')


def test_a_container_makes_renditions_and_after_a_stop_repeats_nothing(bed: Bed, tmp_path: Path) -> None:
    with bed.container(*folders(tmp_path, IMAGE_USER, IMAGE_USER)) as mill:
        mill.wait_for(mill.is_ready)
        assert mill.is_healthy()
        confined(mill)
        drop(tmp_path, "one.jpg", pictures.jpeg(pictures.photo(640, 480)))
        mill.wait_for(lambda: {"one-large.jpg", "one-thumb.jpg"} <= set(renditions(tmp_path / "out")))
        mill.wait_for(lambda: [len(job["outputs"]) for job in mill.ask("jobs")] == [2])
        before, jobs = renditions(tmp_path / "out"), mill.ask("jobs")

        buries_orphans(mill)
        mill.signal("HUP")
        mill.wait_for(lambda: events(mill, "the new configuration is in force") == 1)
        mill.wait_for(mill.is_ready)
        assert mill.stop() == 0
        mill.wait_for(lambda: events(mill, "stopped") == 1)

        mill.start()
        mill.wait_for(mill.is_ready)
        mill.wait_for(lambda: mill.ask("status")["inboxes"][0]["last_scan"])
        scan = mill.ask("status")["inboxes"][0]["last_scan"]
        assert (scan["files"], scan["new"]) == (1, 0)
        drop(tmp_path, "two.jpg", pictures.jpeg(pictures.photo(480, 640, seed=2)))
        mill.wait_for(lambda: len(mill.ask("jobs")) == 2 and len(mill.ask("jobs")[0]["outputs"]) == 2)
        assert mill.ask("jobs")[1:] == jobs
        after = renditions(tmp_path / "out")
        assert {name: after[name] for name in before} == before
        assert mill.stop() == 0


def confined(mill: Container) -> None:
    """What the options forbid is forbidden, so that what works did so without it."""
    assert mill.exec("sh", "-c", "touch /tmp/x || touch /opt/dropmill/x || touch /x").returncode != 0
    status = mill.exec("cat", "/proc/1/status").stdout
    assert "CapEff:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status


def buries_orphans(mill: Container) -> None:
    """Process 1 gets who loses its parent: what a shell left, and the workers of a zygote that was killed."""
    assert mill.exec("sh", "-c", "sleep 0.1 & exit 0").returncode == 0
    zygotes = [pid for pid, _, command in processes(mill) if "workers.zygote" in command and pid != 1]
    assert mill.exec("python", "-c", f"import os; [os.kill(pid, 9) for pid in {zygotes}]").returncode == 0

    def well() -> bool:
        found = processes(mill)
        fresh = any("workers.zygote" in command and pid not in zygotes for pid, _, command in found)
        gone = not any("sleep" in command or pid in zygotes for pid, _, command in found)
        return fresh and gone and all(state != "Z" for _, state, _ in found)

    mill.wait_for(well)
    assert any(pid == 1 and "dropmill run" in command for pid, _, command in processes(mill))


def test_any_user_of_group_0_works_in_the_images_own_volumes_and_health_finds_a_socket(bed: Bed) -> None:
    options = ["--user", f"{STRANGER}:0", "--env", "DROPMILL_HTTP__BIND=unix:/state/dropmill.sock"]
    with bed.container(*options, "--env", "DROPMILL_PRESET=fast") as mill:
        mill.wait_for(mill.is_ready)
        data = base64.b64encode(pictures.jpeg()).decode()
        assert mill.exec("python", "-c", WRITE, "/inbox/one.jpg", data).returncode == 0
        mill.wait_for(lambda: [len(job["outputs"]) > 0 for job in mill.ask("jobs")] == [True])
        assert mill.is_healthy()
        bill = mill.ask("version", "--components")
        assert {"Pillow", "libjpeg-turbo", "libheif", "SQLite"} <= {one["name"] for one in bill["components"]}
        assert mill.exec("sh", "-c", "ls /opt/dropmill/bin/pip*").returncode != 0
        assert mill.stop() == 0
    told = json.loads(bed.podman("image", "inspect", bed.image()).stdout)[0]
    labels = told["Config"]["Labels"]
    assert labels["org.opencontainers.image.version"] == __version__
    assert labels["org.opencontainers.image.revision"] == "0123abc"
    assert set(told["Config"]["Volumes"]) == {"/inbox", "/outbox", "/state"}
    assert told["Config"]["StopSignal"] in {"15", "SIGTERM"}


@pytest.mark.parametrize(
    ("folder", "mode", "said"),
    [
        ("in", 0o700, "/inbox: the inbox is unreadable: "),
        ("out", 0o755, "/outbox: the output cannot be written: "),
        ("state", 0o755, "/state: the state directory cannot be used: "),
    ],
)
def test_w38_a_mount_that_does_not_fit_is_refused_with_whose_it_is(
    bed: Bed, tmp_path: Path, folder: str, mode: int, said: str
) -> None:
    options = folders(tmp_path, STRANGER)
    os.chown(tmp_path / folder, 4711, 4712)
    os.chmod(tmp_path / folder, mode)
    with bed.container(*options, "--user", f"{STRANGER}:0") as mill:
        assert mill.ended() == 2
        mill.wait_for(lambda: "hint: " in mill.log())
        log = " ".join(mill.log().split())
    assert f"error: {said}Permission denied: uid {STRANGER}, gid 0 may not" in log
    assert f"owner 4711, group 4712, mode {mode:04o}" in log
    assert f"chown -R {STRANGER}:0 the folder that is mounted at /" in log
    assert "--user 4711:4712" in log
