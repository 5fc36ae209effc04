"""``dropmill check`` on real disks, as a real user, beside a real daemon: what it finds, what it leaves, how it is told."""

from __future__ import annotations

import json
import os
import pty
import re
import struct
import subprocess
import termios
from fcntl import ioctl
from pathlib import Path
from typing import Any

import pytest

import pictures
from faulty_fs import FaultyFs
from harness import PROGRAM, Mill, clean_environment
from parts import missing, need_programs, need_root

pytestmark = pytest.mark.long


def findings(mill: Mill, *wrapper: str) -> tuple[int, dict[str, Any]]:
    """The exit code and the document of ``check --json``, started by ``wrapper``."""
    ended = subprocess.run(
        [*wrapper, PROGRAM, "check", "--json", "--config", str(mill.config)],
        capture_output=True,
        text=True,
        env=clean_environment(),
        cwd=mill.root,
        timeout=120,
        check=False,
    )
    assert ended.stdout, ended.stderr
    return ended.returncode, json.loads(ended.stdout)


def met(told: dict[str, Any], severity: str, check: str) -> list[dict[str, Any]]:
    return [one for one in told["findings"] if (one["severity"], one["check"]) == (severity, check)]


def on_terminal(*command: str, columns: int = 80) -> list[str]:
    """What a person sees, line by line, without colours."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execvpe(command[0], command, clean_environment())
    ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    seen = b""
    try:
        while chunk := os.read(fd, 4096):
            seen += chunk
    except OSError:
        pass  # EIO: so Linux says that the other side is closed.
    os.waitpid(pid, 0)
    os.close(fd)
    return re.sub(r"\x1b\[[0-9;]*m", "", seen.decode()).splitlines()


def test_beside_a_daemon_it_takes_no_part_and_its_probes_are_no_files(tmp_path: Path) -> None:
    mill = Mill(tmp_path / "mill", archive="archive", quarantine="quarantine", log={"level": "debug"})
    mill.start()
    for _ in range(3):
        code, told = findings(mill)
        assert code == 0, told["findings"]
    assert any("a daemon runs already" in one["found"] and "this version" in one["found"] for one in told["findings"])
    assert not met(told, "error", "http") and not met(told, "error", "inbox")
    mill.drop("a.jpg", pictures.jpeg(pictures.photo(60, 40, seed=1)))
    mill.wait_for(lambda: mill.done(1))
    assert [job["source"] for job in mill.jobs()] == [str(mill.inbox / "a.jpg")]
    assert "dropmill-check" not in mill.log.read_text()
    assert mill.stop() == 0
    left = [str(path) for path in tmp_path.rglob("*") if "dropmill-check" in path.name]
    assert left == []


def test_w27_disks_that_are_full_read_only_or_elsewhere_are_told_with_what_helps(tmp_path: Path) -> None:
    need_root()
    need_programs(unshare="util-linux", mount="mount")
    mill = Mill(tmp_path / "mill", output="small/out", archive="none", quarantine="fixed")
    for name in ("small", "none", "fixed"):
        (mill.root / name).mkdir(exist_ok=True)
    script = (
        f"mount -t tmpfs -o size=80m tmpfs {mill.root}/small && head -c 30000000 /dev/zero > {mill.root}/small/fill"
        f" && mount -t tmpfs -o nr_inodes=1,size=2g tmpfs {mill.root}/none"
        f" && mount --bind {mill.root}/fixed {mill.root}/fixed && mount -o remount,bind,ro {mill.root}/fixed"
        ' && exec "$@"'
    )
    code, told = findings(mill, "unshare", "-m", "sh", "-c", script, "sh")
    assert code == 2
    bytes_left, files_left = met(told, "error", "space")
    assert "are to stay free (min_free_mb)" in bytes_left["found"] and bytes_left["key"] == "inboxes.0.output"
    assert bytes_left["fix"].startswith(f"du -xh --max-depth=2 {mill.root}/small")
    assert "room for 0 more files" in files_left["found"] and "du --inodes" in files_left["fix"]
    full, fixed = met(told, "error", "originals")
    assert "No space left" in full["found"] and "Read-only" in fixed["found"]
    assert fixed["fix"] == f"mount -o remount,rw {mill.root}/fixed"
    (elsewhere,) = [one for one in met(told, "note", "originals") if one["key"] == "inboxes.0.archive"]
    assert "another file system than the inbox" in elsewhere["found"]


def test_a_user_without_rights_learns_which_folder_is_closed_and_what_opens_it(tmp_path: Path) -> None:
    need_programs(unshare="util-linux")
    mill = Mill(tmp_path / "mill", output="closed/out", archive="archive")
    (mill.root / "closed" / "out").mkdir(parents=True)
    mill.drop("mine.jpg", pictures.jpeg()).chmod(0)
    (mill.root / "archive").chmod(0o500)
    (mill.root / "closed").chmod(0)
    other = ("unshare", "-U", "--map-user=12345", "--map-group=12345")
    if subprocess.run([*other, "true"], check=False, capture_output=True).returncode:
        missing("no user namespaces here")
    try:
        code, told = findings(mill, *other)
    finally:
        (mill.root / "closed").chmod(0o755)
    assert code == 2
    (closed,) = met(told, "error", "output")
    assert closed["found"] == f"{mill.root}/closed/out cannot be reached: {mill.root}/closed is closed to 12345"
    assert closed["fix"].endswith(f"{mill.root}/closed")
    (archive,) = met(told, "error", "originals")
    assert "making a file failed: Permission denied" in archive["found"] and "rwx" in archive["fix"]
    (unread,) = met(told, "warning", "inbox")
    assert unread["path"] == f"{mill.inbox}/mine.jpg" and unread["fix"]


def test_w40_a_share_that_hangs_is_named_and_the_rest_is_told(tmp_path: Path) -> None:
    with FaultyFs(tmp_path / "share") as share:
        (share.mount / "in").mkdir()
        mill = Mill(tmp_path / "mill", path=str(share.mount / "in"), archive="archive")
        code, told = findings(mill)
        assert code == 0, told["findings"]
        (polled,) = met(told, "note", "inotify")
        assert "is polled every 2 s" in polled["found"]
        (blind,) = met(told, "note", "leases")
        assert "settle_seconds" in blind["key"]
        share.hang()
        code, told = findings(mill)
        assert code == 2
        silent = [one for one in told["findings"] if "has not answered" in one["found"]]
        assert [one["path"] for one in silent] == [str(share.mount / "in")]
        assert met(told, "ok", "codecs") and met(told, "ok", "originals")
        share.go_on()


def test_a_broken_configuration_is_told_with_its_lines_and_the_rest_is_tried(tmp_path: Path) -> None:
    mill = Mill(tmp_path / "mill")
    mill.config.write_text(mill.config.read_text().replace("settle_seconds", "setle_seconds"))
    mill.inbox.rmdir()
    seen = on_terminal(PROGRAM, "check", "--config", str(mill.config))
    text = " ".join(" ".join(seen).split())
    assert "unknown key" in text and "did you mean settle_seconds?" in text
    assert f"fix: mkdir -p {mill.inbox}" in text
    assert re.search(r"\d+ things checked: 2 errors", text)
    fixes = [line for line in seen if line.lstrip().startswith(("fix:", "error:"))]
    paths = len(str(mill.config))
    assert all(len(line) <= max(80, paths + 40) for line in seen if line not in fixes), seen
    mill.config.write_text("[[inboxes]\n")
    ended = mill.run("check", "--all")
    assert ended.returncode == 2 and f"error: {mill.config}:1: " in ended.stderr
    assert "ok: codecs:" in ended.stdout
