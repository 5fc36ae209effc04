"""Builds the Dockerfile and runs it, where there is neither a container engine's daemon nor a registry of images.

The base image is made of Debian's packages (debootstrap) under the name that the Dockerfile asks for: a stand-in with the
same Python. It and the image that was built last are kept in ``/var/tmp/dropmill-container-bed`` between runs, which may
be deleted at any time. What runs does so in a mount namespace of its own, so no mount outlives it.
"""

from __future__ import annotations

import ast
import fcntl
import hashlib
import json
import os
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import parts

ROOT: Final = Path(__file__).parents[1]
BED: Final = Path("/var/tmp/dropmill-container-bed")
# Of this checkout: others may be testing at the same time.
NAME: Final = f"localhost/dropmill-test-{hashlib.sha256(bytes(ROOT)).hexdigest()[:8]}"
SECONDS: Final = 240.0
PROGRAMS: Final = {name: name for name in ("debootstrap", "buildah", "podman", "crun")}
SUITE: Final = "trixie"
PACKAGES: Final = "python3,python3-pip,ca-certificates"
# What pip has to know here to reach its packages; it may name folders, which are then lent to the build.
_OF_PIP: Final = frozenset(
    {"cert", "client-cert", "default-timeout", "find-links", "no-index", "proxy", "timeout", "trusted-host"}
)
# crun wants to see nothing but version 2 of control groups; and what the tools keep for every store is not to stay here.
_KEEPER: Final = (
    "mount -t cgroup2 none /sys/fs/cgroup && mkdir -p /var/lib/containers && mount -t tmpfs none /var/lib/containers"
    " && echo ready && exec cat"
)


@dataclass(frozen=True)
class Container:
    """One that runs, or did."""

    bed: Bed
    name: str

    def exec(self, *command: str) -> subprocess.CompletedProcess[str]:
        return self.bed.podman("exec", self.name, *command, check=False)

    def ask(self, *command: str) -> Any:
        """What a command of dropmill inside answers as JSON."""
        answer = self.exec("dropmill", *command, "--json")
        assert answer.returncode == 0, answer.stdout + answer.stderr
        return json.loads(answer.stdout)

    def log(self) -> str:
        told = self.bed.podman("logs", self.name)
        return told.stdout + told.stderr

    def wait_for(self, fact: Callable[[], object], seconds: float = SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not fact():
            assert time.monotonic() < deadline, f"it did not come about:\n{self.log()}"
            time.sleep(0.2)

    def is_ready(self) -> bool:
        return self.exec("dropmill", "health", "--ready").returncode == 0

    def is_healthy(self) -> bool:
        """What the image's own HEALTHCHECK says."""
        return self.bed.podman("healthcheck", "run", self.name, check=False).returncode == 0

    def start(self) -> None:
        self.bed.podman("start", self.name)

    def stop(self, seconds: int = 60) -> int:
        """Its exit status; 137 where it had to be killed."""
        self.bed.podman("stop", "--time", str(seconds), self.name)
        return self.exit_code()

    def signal(self, name: str) -> None:
        """To its process 1."""
        self.bed.podman("kill", "--signal", name, self.name)

    def ended(self) -> int:
        """Its exit status, once it has ended by itself."""
        return int(self.bed.podman("wait", self.name).stdout)

    def exit_code(self) -> int:
        return int(self.bed.podman("inspect", "--format", "{{.State.ExitCode}}", self.name).stdout)


class Bed:
    """A store of images and containers, and the namespaces that they are used in. To be closed."""

    def __init__(self, folder: Path = BED) -> None:
        self.folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        store = f'[storage]\ndriver = "overlay"\ngraphroot = "{folder}/graph"\nrunroot = "{folder}/run"\n'
        (folder / "storage.conf").write_text(store)
        engine = f'[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\nruntime = "crun"\ntmp_dir = "{folder}/tmp"\n'
        engine += 'lock_type = "file"\n'
        (folder / "containers.conf").write_text(engine)
        self._environment = os.environ | {
            "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
            "CONTAINERS_CONF": str(folder / "containers.conf"),
            "XDG_RUNTIME_DIR": str(folder / "tmp"),
        }
        self._image = ""
        self._keeper = subprocess.Popen(
            ["unshare", "--mount", "--cgroup", "sh", "-c", _KEEPER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._keeper.stdout is not None
        assert self._keeper.stdout.readline() == b"ready\n", "control groups of version 2 cannot be mounted"

    def close(self) -> None:
        self._keeper.kill()
        self._keeper.communicate()
        try:
            os.rmdir("/run/crun")
        except OSError:
            pass  # It was never made, or somebody else's containers are in it.

    def call(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """A program within the namespaces; what it said is in the failure where it must not fail."""
        entered = ["nsenter", "--target", str(self._keeper.pid), "--mount", "--cgroup", *command]
        ended = subprocess.run(
            entered,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=4 * SECONDS,
            check=False,
        )
        said = (ended.stdout + ended.stderr)[-6000:]
        assert not check or ended.returncode == 0, f"{' '.join(command)} ended with {ended.returncode}:\n{said}"
        return ended

    def podman(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.call("podman", *arguments, check=check)

    def image(self) -> str:
        """The name of the image of this tree, which is built unless the last one was of the same files."""
        if not self._image:
            with (self.folder / "lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                self._image = f"{NAME}:{_digest()[:16]}"
                if self.call("buildah", "inspect", "--type", "image", self._image, check=False).returncode != 0:
                    self._make_base()
                    self._build(self._image)
        return self._image

    def _make_base(self) -> None:
        name = "docker.io/library/" + base_name()
        if self.call("buildah", "inspect", "--type", "image", name, check=False).returncode == 0:
            return
        # In memory, since every package that is unpacked would else be synced to the disk.
        root = self.folder / "base"
        root.mkdir(exist_ok=True)
        self.call("mount", "-t", "tmpfs", "-o", "size=1g", "base", str(root))
        try:
            command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(root)]
            made = self.call(*command, check=False)
            if made.returncode:
                parts.missing(
                    f"no base image can be made: {made.stdout[-300:]}", "the network has to reach Debian's packages"
                )
            container = self.call("buildah", "from", "scratch").stdout.strip()
            as_in_the_image = (
                "ln -s python3 usr/bin/python && rm -f usr/lib/python3*/EXTERNALLY-MANAGED && rm -rf var/cache/apt"
            )
            self.call("sh", "-c", f"cd {root} && {as_in_the_image}")
            self.call("buildah", "add", "--quiet", container, str(root), "/")
            self.call("buildah", "commit", "--quiet", "--rm", container, name)
        finally:
            self.call("umount", str(root), check=False)

    def _build(self, name: str) -> None:
        for line in self.call("buildah", "images", "--format", "{{.Name}}:{{.Tag}}").stdout.split():
            if line.startswith(f"{NAME}:"):
                self.call("buildah", "rmi", line, check=False)
        told, lent = pip_configuration()
        configuration = self.folder / "pip.conf"
        configuration.write_text(told)
        mounts = [f"{configuration}:/etc/pip.conf:ro", *(f"{path}:{path}:ro" for path in lent)]
        volumes = [part for mount in mounts for part in ("--volume", mount)]
        arguments = ["--isolation", "chroot", "--pull-never", "--format", "docker", *volumes, "--tag", name]
        self.call("buildah", "bud", *arguments, "--build-arg", "REVISION=0123abc", str(ROOT))

    @contextmanager
    def container(self, *options: str, command: Sequence[str] = ()) -> Iterator[Container]:
        """Started as tightly as the README says, and removed in the end: a read-only root and not even ``/tmp``."""
        name = f"dropmill-test-{uuid.uuid4().hex[:12]}"
        tight = ["--read-only", "--read-only-tmpfs=false", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
        # Limits and networks would need more of the machine than a test may ask for.
        here = ["--cgroups=disabled", "--network=none", "--ulimit=nofile=1024:20000", "--ulimit=nproc=1024:1024"]
        try:
            self.podman("run", "--detach", "--name", name, *tight, *here, *options, self.image(), *command)
            yield Container(self, name)
        finally:
            self.podman("rm", "--force", "--volumes", "--time", "0", name, check=False)


def base_name() -> str:
    """The base image that the Dockerfile asks for."""
    found = re.search(r"^ARG BASE=(\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def pip_configuration() -> tuple[str, list[str]]:
    """A pip.conf that says what this machine's pip is told, and the files and folders here that it names."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, encoding="utf-8", check=True
    ).stdout
    found: dict[str, list[str]] = {}
    for line in listed.splitlines():
        key, _, value = line.partition("=")
        option = key.rpartition(".")[2]
        if option in _OF_PIP or option.endswith("-url"):
            found[option] = list(dict.fromkeys(found.get(option, []) + str(ast.literal_eval(value)).split()))
    several = ("extra-", "find-links", "trusted-host")
    lines = [f"{name} = {' '.join(given) if name.startswith(several) else given[-1]}" for name, given in found.items()]
    words = [word for given in found.values() for word in given]
    # An index that lies in a folder may tell of packages beside that folder.
    paths = [os.path.dirname(word.removeprefix("file://")) if word.startswith("file://") else word for word in words]
    paths = list(dict.fromkeys(paths))
    return "\n".join(["[global]", *lines, ""]), [path for path in paths if path[:1] == "/" and os.path.exists(path)]


def _digest() -> str:
    """Of all that goes into the image."""
    found = hashlib.sha256()
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    named = [ROOT / "Dockerfile", ROOT / ".dockerignore", *(ROOT / line[1:] for line in ignored if line[:1] == "!")]
    below = [inner for path in named for inner in sorted(path.rglob("*"))]
    files = [path for path in named + below if path.is_file() and "__pycache__" not in path.parts]
    for path in files:
        found.update(f"{path.relative_to(ROOT)} {path.stat().st_mode & 0o777:o}\0".encode())
        found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()
