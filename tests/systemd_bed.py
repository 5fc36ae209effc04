"""A throwaway real systemd, on machines whose own PID 1 is something else: an overlay of / that systemd-nspawn boots.

Nothing of it outlives the process that made it, and nothing that it writes reaches the machine. What is tested is put
where packages put it: the program in /opt/dropmill, the units in /etc/systemd/system. Two beds do not meet.
"""

from __future__ import annotations

import ctypes
import json
import os
import secrets
import shlex
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import dropmill
from parts import missing, need_programs, need_root

SECONDS: Final = 90.0
PROGRAM: Final = "/opt/dropmill/bin/dropmill"
# From <linux/sched.h>.
_CLONE_NEWNET: Final = 0x40000000
PROJECT: Final = Path(__file__).parents[1]
_PATH: Final = "/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin"
# Less than a distribution starts, and all that a service needs: a journal, a bus, its folders.
_TARGET: Final = """[Unit]
Requires=basic.target systemd-journald.service
Wants=dbus.socket
After=basic.target
"""
_BOOT: Final = """set -e
mount --make-rprivate /
mount -t cgroup2 none /sys/fs/cgroup
mount -t tmpfs none {folder}
mkdir {folder}/up {folder}/wk {folder}/m {folder}/extra {folder}/extra/dropmill
mount -t overlay none -o lowerdir=/,upperdir={folder}/up,workdir={folder}/wk {folder}/m
cd {folder}/m
# The machine's own configuration, and what hangs in its temporary folders, is none of the bed's business.
rm -rf etc/dropmill srv/dropmill opt/dropmill etc/systemd/system/dropmill*
mkdir -p opt/python opt/dropmill/bin opt/dropmill/lib/{version}/site-packages
mount --rbind {base} opt/python
mount -t overlay none -o lowerdir={folder}/extra:{packages} opt/dropmill/lib/{version}/site-packages
mount --bind {sources} opt/dropmill/lib/{version}/site-packages/dropmill
ln -s /opt/python/bin/{python} opt/dropmill/bin/python
printf 'home = /opt/python/bin\\n' >opt/dropmill/pyvenv.cfg
printf '#!/opt/dropmill/bin/python\\nfrom dropmill.cli import main\\nmain()\\n' >opt/dropmill/bin/dropmill
chmod 755 opt/dropmill/bin/dropmill
printf '%s' {target} >etc/systemd/system/bed.target
printf %s {machine} >etc/machine-id
# Where Python is not the system's, its library is known by a path that the sandbox hides.
echo /opt/python/lib >etc/ld.so.conf.d/000-python.conf
ldconfig -r .
# With bpf(2) the manager can enforce IPAddressDeny, which it leaves out without a word otherwise.
exec systemd-nspawn -q -b -D {folder}/m --register=no --keep-unit --link-journal=no --console=pipe \\
  --private-network --capability=CAP_BPF --system-call-filter=bpf systemd.unit=bed.target
"""


class Bed:
    """A booted systemd; ``close`` ends it with all that runs in it."""

    def __init__(self) -> None:
        need_root()
        need_programs(
            **{
                "systemd-nspawn": "systemd-container",
                "nsenter": "util-linux",
                "setpriv": "util-linux",
                "ip": "iproute2",
            }
        )
        groups = _cgroups()
        name = f"dropmill-bed-{os.getpid()}-{secrets.token_hex(4)}"
        self._folder = Path("/run") / name
        self._cgroup = groups / name
        self._folder.mkdir()
        self._cgroup.mkdir()
        self._log = self._folder.with_suffix(".log")
        self._leader = 0
        script = _BOOT.format(
            folder=self._folder,
            base=shlex.quote(sys.base_prefix),
            packages=shlex.quote(sysconfig.get_path("purelib")),
            sources=shlex.quote(str(Path(dropmill.__file__).parent)),
            version=f"python{sys.version_info[0]}.{sys.version_info[1]}",
            python=os.path.basename(os.path.realpath(sys.executable)),
            target=shlex.quote(_TARGET),
            machine=secrets.token_hex(16),
        )
        into = f"echo $$ >{self._cgroup}/cgroup.procs"
        # Whatever ends this process ends the outermost of those, and with it the rest.
        command = f'{into}; exec setpriv --pdeathsig KILL unshare -m -C -p -f --kill-child --mount-proc sh -c "$1"'
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                ["sh", "-c", command, "sh", script], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            self._boot()
        except BaseException:
            self.close()
            raise

    def _boot(self) -> None:
        def up() -> bool:
            if self._process.poll() is not None:
                raise AssertionError(f"the bed did not boot:\n{self._log.read_text(errors='replace')[-3000:]}")
            inner = [pid for nspawn in _children(self._process.pid) for pid in _children(nspawn)]
            self._leader = next((pid for pid in inner if _name(pid) == "systemd"), 0)
            return bool(self._leader) and self.run("systemctl", "is-system-running", check=False).stdout.strip() in {
                "running",
                "degraded",
            }

        wait_for(up, lambda: self._log.read_text(errors="replace"))

    def close(self) -> None:
        self._process.kill()
        self._process.wait(timeout=30)
        wait_for(lambda: not _processes(self._cgroup))
        for folder, _, _ in os.walk(self._cgroup, topdown=False):
            os.rmdir(folder)
        self._folder.rmdir()
        self._log.unlink(missing_ok=True)

    def path(self, inside: str) -> Path:
        """A path of the bed as this process reaches it."""
        return Path(f"/proc/{self._leader}/root{inside}")

    def run(self, *command: str, check: bool = True, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """A command inside, as root."""
        enter = [
            "nsenter",
            "-t",
            str(self._leader),
            "-a",
            "env",
            "-i",
            f"PATH={_PATH}",
            "LANG=C.UTF-8",
            "COLUMNS=240",
            "SYSTEMD_PAGER=",
        ]
        done = subprocess.run(
            [*enter, *command], input=stdin, capture_output=True, text=True, timeout=2 * SECONDS, check=False
        )
        if check and done.returncode:
            raise AssertionError(f"{shlex.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def write(self, inside: str, text: str, mode: int = 0o644) -> None:
        path = self.path(inside)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        path.chmod(mode)

    def systemctl(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run("systemctl", *arguments, check=check)

    def show(self, unit: str, *properties: str) -> dict[str, str]:
        told = self.systemctl("show", unit, *(f"--property={name}" for name in properties)).stdout
        return dict(line.split("=", 1) for line in told.splitlines())

    def journal(self, unit: str, after: str) -> list[dict[str, Any]]:
        """What the journal has of a unit behind a cursor, oldest first: by the manager as well as by the unit itself."""
        self.run("journalctl", "--sync")
        told = self.run("journalctl", "-u", unit, f"--after-cursor={after}", "-o", "json", "--all").stdout
        return [json.loads(line) for line in told.splitlines()]

    def connect(self, port: int) -> socket.socket:
        """A connection to loopback inside."""
        return _inside(
            f"/proc/{self._leader}/ns/net", lambda: socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
        )

    def wait_for(self, fact: Callable[[], Any], story: Callable[[], str]) -> None:
        wait_for(fact, story)


def _inside(network: str, act: Callable[[], socket.socket]) -> socket.socket:
    """The result of ``act`` in a thread that has entered the network: what it opens stays there, this process does not."""

    def enter() -> socket.socket:
        libc = ctypes.CDLL(None, use_errno=True)
        with open(network, "rb") as namespace:
            if libc.setns(namespace.fileno(), _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
        return act()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(enter).result()


def wait_for(fact: Callable[[], Any], story: Callable[[], str] = str) -> None:
    deadline = time.monotonic() + SECONDS
    while not fact():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {SECONDS} s in vain\n{story()}")
        time.sleep(0.05)


def _cgroups() -> Path:
    """Where a group of its own can be made for the bed."""
    mounts = [line.partition(" - ") for line in Path("/proc/self/mountinfo").read_text("utf-8").splitlines()]
    places = [Path(before.split()[4]) for before, _, after in mounts if after.startswith("cgroup2 ")]
    if not any(os.access(place, os.W_OK) for place in places):
        missing("no cgroup2 hierarchy can be written here")
    return next(place for place in places if os.access(place, os.W_OK))


def _children(pid: int) -> Sequence[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()]
    except OSError:
        return ()


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text("utf-8").strip()
    except OSError:
        return ""


def _processes(cgroup: Path) -> bool:
    return any((Path(here) / "cgroup.procs").read_text("ascii").strip() for here, _, _ in os.walk(cgroup))
