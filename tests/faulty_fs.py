"""A real file system whose operations can be made to fail or to hang while it is in use.

``FaultyFs(folder)`` mounts a pass-through of ``folder/backing`` at ``folder/mount`` (FUSE, in a child process):

    with FaultyFs(tmp_path) as disk:
        disk.fail("fsync", errno.EIO)            # every fsync, until ``heal``
        disk.fail("write", errno.ENOSPC, "big")  # only below paths that contain this text
        disk.fail("read", errno.EIO, times=1)    # once, then well again
        disk.hang(); disk.go_on()                # as a dead share: every call waits (it stays killable)
        disk.heal()

Operations are named as in ``Passthrough``. Run as a program it is the child.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from parts import missing, need_programs, need_root

_SECONDS = 20.0


class FaultyFs:
    def __init__(self, folder: Path, *options: str) -> None:
        self.backing = folder / "backing"
        self.mount = folder / "mount"
        self._control = folder / "faults.json"
        self._log = folder / "faulty_fs.log"
        self._options = options
        self._faults: list[dict[str, Any]] = []
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> FaultyFs:
        need_root()
        need_programs(fusermount="fuse3")
        _need_fusepy()
        for path in (self.backing, self.mount):
            path.mkdir(parents=True, exist_ok=True)
        self.heal()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(self.backing), str(self.mount), str(self._control), *self._options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + _SECONDS
        while not os.path.ismount(self.mount):
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise AssertionError(f"the file system was not mounted:\n{self._log.read_text(errors='replace')}")
            time.sleep(0.02)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self.heal()
        self.go_on()
        # Lazily, so that a process which still has something open there holds nothing up.
        subprocess.run(["umount", "-l", str(self.mount)], check=False, capture_output=True)
        try:
            self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def fail(self, operation: str, errno: int, under: str = "", *, times: int | None = None) -> None:
        """From now on ``operation`` gives this error, everywhere or on paths that contain ``under``."""
        self._faults.append({"operation": operation, "errno": errno, "under": under, "times": times})
        self._tell()

    def slow(self, operation: str, seconds: float, under: str = "") -> None:
        self._faults.append({"operation": operation, "seconds": seconds, "under": under})
        self._tell()

    def heal(self) -> None:
        self._faults = []
        self._tell()

    def hang(self) -> None:
        """No call is answered any more. Those that wait can be killed, as on a hard-mounted share."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _tell(self) -> None:
        """One rename, so that the child never reads half of it."""
        aside = self._control.with_suffix(".new")
        aside.write_text(json.dumps({"stamp": time.monotonic_ns(), "faults": self._faults}))
        aside.rename(self._control)


def _need_fusepy() -> None:
    try:
        import fuse  # noqa: F401  # Only whether it is there.
    except (ImportError, OSError) as error:
        missing(f"fusepy cannot be used ({error})", "pip install fusepy, apt-get install libfuse2")


def _child(backing: str, mount: str, control: str, *options: str) -> None:
    import fuse

    class Passthrough(fuse.Operations):  # type: ignore[misc]  # fusepy has no types.
        stamp, faults, used = 0, [], {}

        def __call__(self, operation: str, path: str, *arguments: Any) -> Any:
            self._meet(operation, path)
            try:
                return getattr(self, operation)(os.fsencode(backing) + os.fsencode(path), *arguments)
            except OSError as error:
                raise fuse.FuseOSError(error.errno) from error

        def _meet(self, operation: str, path: str) -> None:
            document = json.loads(Path(control).read_text())
            if document["stamp"] != Passthrough.stamp:
                Passthrough.stamp, Passthrough.faults, Passthrough.used = document["stamp"], document["faults"], {}
            for number, fault in enumerate(Passthrough.faults):
                if fault["operation"] not in {operation, "*"} or fault["under"] not in path:
                    continue
                if fault.get("times") is not None:
                    if Passthrough.used.get(number, 0) >= fault["times"]:
                        continue
                    Passthrough.used[number] = Passthrough.used.get(number, 0) + 1
                if "seconds" in fault:
                    time.sleep(fault["seconds"])
                else:
                    raise fuse.FuseOSError(fault["errno"])

        def access(self, path: bytes, mode: int) -> int:
            if not os.access(path, mode):
                raise PermissionError(13, "denied")
            return 0

        def chmod(self, path: bytes, mode: int) -> None:
            os.chmod(path, mode)

        def chown(self, path: bytes, uid: int, gid: int) -> None:
            os.chown(path, uid if uid < 2**32 - 1 else -1, gid if gid < 2**32 - 1 else -1, follow_symlinks=False)

        def create(self, path: bytes, mode: int, info: Any = None) -> int:
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)

        def getattr(self, path: bytes, handle: int | None = None) -> dict[str, Any]:
            seen = os.lstat(path)
            names = ["st_ino", "st_mode", "st_nlink", "st_uid", "st_gid", "st_size", "st_blocks"]
            told = {name: getattr(seen, name) for name in names}
            # In nanoseconds: a float of seconds would lose the last digits.
            return told | {f"st_{kind}time": getattr(seen, f"st_{kind}time_ns") for kind in "amc"}

        def readdir(self, path: bytes, handle: int) -> list[str]:
            return [".", "..", *map(os.fsdecode, os.listdir(path))]

        def readlink(self, path: bytes) -> str:
            return os.fsdecode(os.readlink(path))

        def mkdir(self, path: bytes, mode: int) -> None:
            os.mkdir(path, mode)

        def rmdir(self, path: bytes) -> None:
            os.rmdir(path)

        def unlink(self, path: bytes) -> None:
            os.unlink(path)

        def rename(self, path: bytes, new: str) -> None:
            os.rename(path, os.fsencode(backing) + os.fsencode(new))

        def link(self, path: bytes, source: str) -> None:
            os.link(os.fsencode(backing) + os.fsencode(source), path, follow_symlinks=False)

        def symlink(self, path: bytes, source: str) -> None:
            os.symlink(os.fsencode(source), path)

        def statfs(self, path: bytes) -> dict[str, int]:
            seen = os.statvfs(path)
            names = [
                "f_bavail",
                "f_bfree",
                "f_blocks",
                "f_bsize",
                "f_favail",
                "f_ffree",
                "f_files",
                "f_flag",
                "f_frsize",
                "f_namemax",
            ]
            return {name: getattr(seen, name) for name in names}

        def utimens(self, path: bytes, times: Any = None) -> None:
            os.utime(path, ns=times)

        def open(self, path: bytes, flags: int) -> int:
            return os.open(path, flags & ~os.O_CREAT & ~os.O_EXCL)

        def read(self, path: bytes, size: int, offset: int, handle: int) -> bytes:
            return os.pread(handle, size, offset)

        def write(self, path: bytes, data: bytes, offset: int, handle: int) -> int:
            return os.pwrite(handle, data, offset)

        def truncate(self, path: bytes, length: int, handle: int | None = None) -> None:
            os.truncate(path, length)

        def flush(self, path: bytes, handle: int) -> None:
            pass

        def release(self, path: bytes, handle: int) -> None:
            os.close(handle)

        def fsync(self, path: bytes, data_only: bool, handle: int) -> None:
            os.fsync(handle)

        def fsyncdir(self, path: bytes, data_only: bool, handle: int) -> None:
            pass

    Passthrough.use_ns = True
    own = {"attr_timeout": 0, "entry_timeout": 0, "negative_timeout": 0, "use_ino": True}
    fuse.FUSE(
        Passthrough(), mount, foreground=True, nothreads=False, fsname="faulty", **own, **dict.fromkeys(options, True)
    )


if __name__ == "__main__":
    _child(*sys.argv[1:])
