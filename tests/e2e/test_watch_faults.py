"""Watching that heals, on real parts: shares whose server dies or hangs, limits, other daemons, mounts that go and return."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import parts
import pictures
from harness import Mill

ONE = [{"name": "t", "fit": [40, 40], "format": "jpeg"}]
SFTP_SERVER = "/usr/lib/openssh/sftp-server"


def photo(seed: int) -> bytes:
    return pictures.jpeg(pictures.photo(60, 40, seed))


def part(mill: Mill, name: str = "inbox camera") -> dict[str, Any]:
    return next(part for part in mill.get("/api/v1/health").json()["parts"] if part["name"] == name)


def degraded(mill: Mill, word: str, name: str = "inbox camera") -> bool:
    told = part(mill, name)
    return told["status"] == "degraded" and word in told["detail"]


def well(mill: Mill, name: str = "inbox camera") -> bool:
    return part(mill, name)["status"] == "ok"


def watched_by(mill: Mill) -> str:
    return str(mill.get("/api/v1/status").json()["inboxes"][0]["watch"])


def outcomes(mill: Mill) -> list[str]:
    return sorted(str(job["outcome"]) for job in mill.jobs())


class Share:
    """A folder served by sftp-server on loopback and mounted by sshfs."""

    def __init__(self, server_side: Path, mounted: Path) -> None:
        self.server_side = server_side
        self.mounted = mounted
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        server_side.mkdir(exist_ok=True)
        mounted.mkdir(exist_ok=True)
        self._socat: subprocess.Popen[bytes] | None = None

    def up(self) -> None:
        listen = f"TCP-LISTEN:{self._port},bind=127.0.0.1,fork,reuseaddr"
        # A group of its own, so that the server of the connection ends with it.
        self._socat = subprocess.Popen(["socat", listen, f"EXEC:{SFTP_SERVER}"], process_group=0)
        # Without its own memory of folders, sshfs sees at once what comes on the other side.
        mount = [
            "sshfs",
            "-o",
            f"directport={self._port},dir_cache=no",
            f"127.0.0.1:{self.server_side}",
            str(self.mounted),
        ]
        deadline = time.monotonic() + 20
        while subprocess.run(mount, check=False, capture_output=True).returncode:
            assert time.monotonic() < deadline, "sshfs did not mount"
            time.sleep(0.05)

    def signal(self, number: int) -> None:
        assert self._socat is not None
        os.killpg(self._socat.pid, number)

    def die(self) -> None:
        self.signal(signal.SIGKILL)
        assert self._socat is not None
        self._socat.wait()
        self._socat = None
        deadline = time.monotonic() + 20
        while f" {self.mounted} " in Path("/proc/self/mountinfo").read_text():
            assert time.monotonic() < deadline, "the mount did not go"
            time.sleep(0.02)

    def down(self) -> None:
        if self._socat is not None:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGKILL)
            self._socat.wait()
        subprocess.run(["fusermount", "-u", "-z", str(self.mounted)], check=False, capture_output=True)


def need_shares() -> None:
    parts.need_programs(sshfs="sshfs", socat="socat", fusermount="fuse3")
    if not os.path.exists(SFTP_SERVER):
        parts.missing("sftp-server is not installed", "apt-get install openssh-sftp-server")
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        parts.missing("/dev/fuse cannot be used")


@pytest.fixture
def share(tmp_path: Path) -> Iterator[Share]:
    need_shares()
    made = Share(tmp_path / "server", tmp_path / "in")
    yield made
    made.down()


@pytest.mark.long
def test_w16_a_share_that_is_mounted_below_the_inbox_is_polled_and_the_rest_is_watched(tmp_path: Path) -> None:
    need_shares()
    mill = Mill(tmp_path, renditions=ONE, reconcile_seconds=3600, poll_seconds=0.3)
    nested = Share(tmp_path / "server", mill.inbox / "nas")
    try:
        nested.up()
        mill.start()
        mill.wait_for(lambda: watched_by(mill) == "events")
        (nested.server_side / "sub").mkdir()
        (nested.server_side / "sub" / "far.jpg").write_bytes(
            photo(1)
        )  # On the other side, so that no event tells of it.
        mill.drop("near.jpg", photo(2))
        mill.wait_for(lambda: mill.outputs() == ["nas/sub/far-t.jpg", "near-t.jpg"])
        assert watched_by(mill) == "events"
        assert well(mill), "it is as it should be"
        nested.signal(signal.SIGSTOP)
        assert mill.process is not None
        mill.process.terminate()
        nested.signal(signal.SIGCONT)
        assert mill.process.wait(timeout=60) == 0
        mill.process = None
    finally:
        nested.down()


@pytest.mark.long
def test_w16_w26_a_share_is_polled_and_outlives_the_death_of_its_server(tmp_path: Path, share: Share) -> None:
    share.up()
    mill = Mill(tmp_path, renditions=ONE, reconcile_seconds=1, poll_seconds=0.3, on_source_deleted="remove")
    mill.start()
    assert watched_by(mill) in {"starting", "poll"}
    for number in range(5):  # On the other side, so that no event tells of it.
        (share.server_side / f"{number}.jpg").write_bytes(photo(number))
    mill.wait_for(lambda: mill.done(5))
    assert watched_by(mill) == "poll"
    published = mill.outputs()
    share.die()
    mill.wait_for(lambda: degraded(mill, "not on the mounted disk"))
    assert mill.metric("dropmill_inbox_up") == 0
    scans = mill.metric("dropmill_scans_total")
    mill.wait_for(lambda: mill.metric("dropmill_scans_total") >= scans + 4)
    assert mill.stop() == 0
    mill.start()  # The mount is still missing; that it was there is remembered.
    mill.wait_for(lambda: degraded(mill, "not on the mounted disk"))
    assert mill.outputs() == published
    share.up()
    mill.wait_for(lambda: well(mill))
    (share.server_side / "late.jpg").write_bytes(photo(9))
    mill.wait_for(lambda: "late-t.jpg" in mill.outputs())
    mill.wait_for(lambda: not mill.jobs(state="available") and not mill.jobs(state="executing"))
    assert set(outcomes(mill)) <= {"published", "unchanged"}
    assert outcomes(mill).count("published") == 6
    assert mill.outputs() == sorted([*published, "late-t.jpg"])
    assert mill.stop() == 0


@pytest.mark.long
def test_w40_a_share_that_hangs_holds_back_its_own_inbox_only(tmp_path: Path, share: Share) -> None:
    share.up()
    mill = Mill(tmp_path, renditions=ONE, poll_seconds=0.3, second_inbox={"output": "out2"})
    mill.start()
    (share.server_side / "a.jpg").write_bytes(photo(1))
    mill.wait_for(lambda: mill.outputs() == ["a-t.jpg"])
    share.signal(signal.SIGSTOP)
    (share.server_side / "b.jpg").write_bytes(photo(2))
    for number in range(3):
        mill.drop(f"{number}.jpg", photo(10 + number), inbox="second")
        mill.wait_for((tmp_path / "out2" / f"{number}-t.jpg").exists)
        assert mill.get("/livez").status_code == 200
    mill.wait_for(lambda: mill.get("/api/v1/health").json()["status"] == "degraded")
    hanging = mill.process
    assert hanging is not None
    hanging.terminate()
    mill.wait_for(lambda: '"stopped"' in mill.log.read_text())
    # The kernel keeps the thread that waits for the share, and with it what is left of the process (fuse lets nobody go
    # whose request was sent), but nothing else: the next daemon starts beside it.
    mill.start()
    mill.drop("3.jpg", photo(13), inbox="second")
    mill.wait_for((tmp_path / "out2" / "3-t.jpg").exists)
    share.signal(signal.SIGCONT)
    assert hanging.wait(timeout=60) == 0
    mill.wait_for(lambda: mill.outputs() == ["a-t.jpg", "b-t.jpg"], seconds=60)
    assert mill.stop() == 0


PATCHES = {
    # A file system that takes watches and tells of nothing.
    "silent": "m.InotifyFD.handle_event = lambda self, event: None",
    # One that tells of nothing but what is made to test it, as if only this machine's changes were seen.
    "half": "f = m.InotifyFD.handle_event\n"
    "m.InotifyFD.handle_event = lambda self, event: f(self, event) if b'canary' in event.name else None",
    # A defect that ends the thread of the reader when a file of a certain name comes.
    "fatal": "f = m.InotifyFD.handle_event\n"
    "m.InotifyFD.handle_event = lambda self, event: 1 / 0 if event.name == b'fatal.jpg' else f(self, event)",
}


def broken_watchdog(mill: Mill, fault: str) -> None:
    """The daemon is started with a watchdog that has a fault."""
    folder = mill.root / "broken"
    folder.mkdir()
    text = f"import watchdog.observers.inotify_c as m\n{PATCHES[fault]}\n"
    (folder / "sitecustomize.py").write_text(text)
    mill.environment["PYTHONPATH"] = str(folder)


@pytest.mark.long
def test_w16_a_self_test_that_is_not_answered_demotes_to_polling(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE, reconcile_seconds=3600, poll_seconds=0.3)
    broken_watchdog(mill, "silent")
    mill.start()
    mill.wait_for(lambda: degraded(mill, "made to test it"))
    assert 'watch = "poll"' in part(mill)["remedy"]
    assert watched_by(mill) == "poll"
    mill.drop("a.jpg", photo(1))
    mill.wait_for(lambda: mill.outputs() == ["a-t.jpg"])
    assert mill.stop() == 0
    assert not [name for name in os.listdir(mill.inbox) if name.startswith(".dropmill")]


@pytest.mark.long
def test_w16_a_file_that_only_a_scan_finds_demotes_to_polling(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE, reconcile_seconds=2, poll_seconds=0.3)
    broken_watchdog(mill, "half")
    mill.start()
    mill.wait_for(lambda: watched_by(mill) == "events")
    mill.wait_for(lambda: mill.get("/api/v1/status").json()["inboxes"][0]["last_scan"])
    mill.drop("a.jpg", photo(1))
    mill.wait_for(lambda: mill.outputs() == ["a-t.jpg"])
    assert mill.jobs()[0]["found_by"] == "reconcile"
    mill.wait_for(lambda: degraded(mill, "a scan found a file"))
    assert watched_by(mill) == "poll"
    assert mill.stop() == 0
    assert "not watched as it should be" in mill.log.read_text()


@pytest.mark.long
def test_w16_new_times_of_known_files_are_no_reason_to_poll(tmp_path: Path) -> None:
    """No event tells of chown and chmod, and none has to; the scan that sees it finds the bytes unchanged (W35)."""
    mill = Mill(tmp_path, renditions=ONE, reconcile_seconds=1)
    mill.start()
    mill.drop("a.jpg", photo(1))
    mill.wait_for(lambda: mill.outputs() == ["a-t.jpg"])
    (mill.inbox / "a.jpg").chmod(0o640)
    mill.wait_for(lambda: outcomes(mill) == ["published", "unchanged"])
    scans = mill.metric("dropmill_scans_total")
    mill.wait_for(lambda: mill.metric("dropmill_scans_total") >= scans + 12)
    assert watched_by(mill) == "events"
    assert well(mill)
    assert mill.stop() == 0


@pytest.mark.long
def test_w17_a_watcher_thread_that_dies_is_started_again_and_nothing_is_missed(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE, reconcile_seconds=3600)
    broken_watchdog(mill, "fatal")
    mill.start()
    # From here on no scan can be the first to meet a file.
    mill.wait_for(lambda: mill.metric("dropmill_scans_total") == 1)
    mill.drop("a.jpg", photo(1))
    mill.wait_for(lambda: len(mill.outputs()) == 1)
    mill.drop("fatal.jpg", photo(2))  # The event that would have told of it ends the thread.
    mill.wait_for(lambda: "fatal-t.jpg" in mill.outputs())
    mill.wait_for(lambda: well(mill) and mill.metric("dropmill_scans_total") == 2)
    mill.drop("b.jpg", photo(3))
    mill.wait_for(lambda: "b-t.jpg" in mill.outputs())
    assert "nobody reads the file system's events" in mill.log.read_text()
    found = {job["source"].rsplit("/", 1)[-1]: job["found_by"] for job in mill.jobs()}
    assert found == {"a.jpg": "event", "fatal.jpg": "overflow", "b.jpg": "event"}
    mill.drop("again/first.jpg", photo(4))
    mill.wait_for(lambda: len(mill.outputs()) == 4)  # From here on the new folder is watched too.
    mill.drop("again/fatal.jpg", photo(5))
    mill.wait_for(lambda: degraded(mill, "twice within a minute"))
    mill.wait_for(lambda: len(mill.outputs()) == 5)
    assert mill.stop() == 0


def limited(mill: Mill, **limits: int) -> None:
    """The daemon is started in a user namespace of its own, with limits of its own."""
    parts.need_programs(unshare="util-linux")
    if subprocess.run(["unshare", "-U", "-r", "true"], check=False, capture_output=True).returncode:
        parts.missing("user namespaces are not allowed")
    orders = "; ".join(f"echo {value} > /proc/sys/user/{name}" for name, value in limits.items())
    mill.wrapper = ["unshare", "-U", "-r", "sh", "-c", f'{orders}; exec "$@"', "sh"]


def test_w14_at_the_limit_of_watches_the_inbox_is_polled(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE, reconcile_seconds=3600, poll_seconds=0.3)
    limited(mill, max_inotify_watches=0)
    mill.start()
    mill.wait_for(lambda: degraded(mill, "fs.inotify.max_user_watches"))
    assert "sysctl" in part(mill)["remedy"]
    assert watched_by(mill) == "poll"
    mill.drop("a.jpg", photo(1))
    mill.wait_for(lambda: mill.outputs() == ["a-t.jpg"])
    assert mill.stop() == 0
    assert "fs.inotify.max_user_watches" in mill.log.read_text()


def test_w14_at_the_limit_of_instances_the_inbox_is_polled(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE, reconcile_seconds=3600, poll_seconds=0.3)
    limited(mill, max_inotify_instances=0)
    mill.start()
    mill.wait_for(lambda: degraded(mill, "fs.inotify.max_user_instances"))
    mill.drop("a.jpg", photo(1))
    mill.wait_for(lambda: mill.outputs() == ["a-t.jpg"])
    assert mill.stop() == 0


def test_w14_a_subdirectory_beyond_the_limit_is_polled_and_the_rest_is_watched(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE, reconcile_seconds=3600, poll_seconds=0.3)
    limited(mill, max_inotify_watches=3)
    mill.start()
    mill.wait_for(lambda: watched_by(mill) == "events")
    for name in ("one", "two", "three", "four"):
        mill.drop(f"{name}/a.jpg", photo(len(name)))
    mill.wait_for(lambda: degraded(mill, "fs.inotify.max_user_watches"))
    assert "polled" in part(mill)["detail"]
    assert watched_by(mill) == "events"
    for number, name in enumerate(("one", "two", "three", "four/deep")):
        mill.drop(f"{name}/late.jpg", photo(100 + number))
    mill.wait_for(lambda: sum(name.endswith("late-t.jpg") for name in mill.outputs()) == 4)
    # Two watches become free, and what was polled is watched again.
    shutil.rmtree(mill.inbox / "one")
    shutil.rmtree(mill.inbox / "two")
    shutil.rmtree(mill.inbox / "four")
    mill.wait_for(lambda: well(mill))
    assert mill.stop() == 0


def test_w41_a_folder_that_came_back_is_locked_too(tmp_path: Path) -> None:
    mill = Mill(tmp_path, renditions=ONE, reconcile_seconds=3600)
    mill.start()
    mill.inbox.rename(tmp_path / "away")
    mill.wait_for(lambda: degraded(mill, "gone"))
    mill.inbox.mkdir()
    mill.wait_for(lambda: well(mill))
    other = another(mill)
    refused = mill.run_with(other, "run", "--once")
    assert refused.returncode == 2
    assert f"{mill.inbox} is in use by the daemon with pid" in refused.stderr
    mill.inbox.rmdir()
    (tmp_path / "away").rename(mill.inbox)
    mill.drop("a.jpg", photo(1))
    mill.wait_for(lambda: mill.outputs() == ["a-t.jpg"])
    again = mill.run_with(other, "run", "--once")
    assert again.returncode == 2
    assert f"{mill.inbox} is in use by the daemon with pid" in again.stderr
    assert mill.stop() == 0
    assert mill.run_with(other, "run", "--once").returncode == 0, "nobody has it any more"


def test_w41_a_folder_that_came_back_in_other_hands_is_left_to_them(tmp_path: Path) -> None:
    parts.need_programs(flock="util-linux")
    mill = Mill(tmp_path, renditions=ONE, reconcile_seconds=3600)
    mill.start()
    taken = tmp_path / "taken"
    taken.mkdir()
    with subprocess.Popen(["flock", str(taken), "cat"], stdin=subprocess.PIPE) as other:
        mill.wait_for(lambda: "FLOCK" in Path("/proc/locks").read_text() and is_locked(taken))
        mill.inbox.rename(tmp_path / "away")
        taken.rename(mill.inbox)
        mill.wait_for(lambda: degraded(mill, "in use by another daemon"))
        mill.drop("a.jpg", photo(1))
        assert mill.metric("dropmill_inbox_up") == 0
        assert mill.outputs() == []
        other.communicate()
    mill.wait_for(lambda: mill.outputs() == ["a-t.jpg"])
    mill.wait_for(lambda: well(mill))
    assert mill.stop() == 0


def another(mill: Mill) -> Path:
    """The configuration of another daemon that differs in its state directory alone."""
    own, text = str(mill.state), mill.config.read_text()
    assert own in text
    other = mill.root / "other.toml"
    other.write_text(text.replace(own, str(mill.root / "state2")))
    return other


def is_locked(folder: Path) -> bool:
    return subprocess.run(["flock", "-n", str(folder), "true"], check=False).returncode != 0


@pytest.mark.long
def test_w26_a_disk_that_is_unmounted_and_mounted_again_loses_nothing(tmp_path: Path) -> None:
    """The daemon lives in a mount namespace of its own; its inbox is a tmpfs there, then only the folder below it."""
    parts.need_programs(unshare="util-linux", nsenter="util-linux")
    parts.need_root()
    mill = Mill(tmp_path, renditions=ONE, reconcile_seconds=1, on_source_deleted="remove")
    disk = tmp_path / "disk"
    disk.mkdir()
    for number in range(3):
        (disk / f"{number}.jpg").write_bytes(photo(number))
    bind = f"mount --bind {disk} {mill.inbox}"
    mill.wrapper = ["unshare", "-m", "sh", "-c", f'{bind}; exec "$@"', "sh"]
    mill.start()
    mill.wait_for(lambda: len(mill.outputs()) == 3)
    published = mill.outputs()

    def inside(*command: str) -> None:
        assert mill.process is not None
        subprocess.run(["nsenter", "-m", "-t", str(mill.process.pid), *command], check=True)

    inside("umount", "-l", str(mill.inbox))
    mill.wait_for(lambda: degraded(mill, "not on the mounted disk"))
    scans = mill.metric("dropmill_scans_total")
    mill.wait_for(lambda: mill.metric("dropmill_scans_total") >= scans + 4)
    assert mill.outputs() == published
    inside("mount", "--bind", str(disk), str(mill.inbox))
    mill.wait_for(lambda: well(mill))
    (disk / "late.jpg").write_bytes(photo(9))
    mill.wait_for(lambda: len(mill.outputs()) == 4)
    assert outcomes(mill) == ["published"] * 4
    # Deletions are believed again: this one is real.
    (disk / "0.jpg").unlink()
    mill.wait_for(lambda: "0-t.jpg" not in mill.outputs())
    assert mill.stop() == 0
    # Now the disk is missing at the start, and a file is put into the empty folder: it is meant to be the inbox.
    mill.wrapper = []
    mill.start()
    mill.wait_for(lambda: degraded(mill, "not on the mounted disk"))
    mill.drop("new.jpg", photo(20))
    mill.wait_for(lambda: "new-t.jpg" in mill.outputs())
    mill.wait_for(lambda: well(mill))
    scans = mill.metric("dropmill_scans_total")
    mill.wait_for(lambda: mill.metric("dropmill_scans_total") >= scans + 4)
    assert len(mill.outputs()) == 4
    assert mill.stop() == 0


@pytest.mark.long
def test_w37_out_of_descriptors_nothing_is_lost_and_all_is_well_again_with_more(tmp_path: Path) -> None:
    parts.need_programs(prlimit="util-linux")
    mill = Mill(tmp_path, renditions=ONE, reconcile_seconds=3600)
    mill.start()
    mill.drop("a.jpg", photo(1))
    mill.wait_for(lambda: mill.outputs() == ["a-t.jpg"])
    assert mill.process is not None
    pid = str(mill.process.pid)
    with httpx.Client(base_url=mill.address, timeout=10) as kept:  # A connection that has its descriptor already.
        kept.get("/livez")
        subprocess.run(["prlimit", "--pid", pid, "--nofile=3:"], check=True)  # Those that are open stay open.
        mill.wait_for(lambda: "cannot be opened" in str(kept.get("/api/v1/health").json()))
        for number in range(10):
            mill.drop(f"late{number}.jpg", photo(10 + number))
        mill.drop("sub/dir/late.jpg", photo(30))
        assert kept.get("/livez").status_code == 200
        assert kept.get("/api/v1/health").json()["status"] != "ok"
        subprocess.run(["prlimit", "--pid", pid, "--nofile=1024:"], check=True)
    mill.wait_for(lambda: len(mill.outputs()) == 12)
    mill.wait_for(lambda: well(mill))
    assert {job["outcome"] for job in mill.jobs()} == {"published"}
    assert mill.stop() == 0
