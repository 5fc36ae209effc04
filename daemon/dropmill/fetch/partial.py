"""A download on its way to the disk: ``<rel>.part``, and ``<rel>.part.json`` beside it that says what its bytes are of.

The order of calls is what keeps two versions apart, whenever the process is killed: the part is emptied before its
sidecar is written, the sidecar is written before the first byte, and the sidecar goes first when a part is dropped.
What a kill leaves in the page cache is whole. What a power cut leaves is not: bytes that were never written back may
be zeros, so a part of another boot is not taken up.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

from dropmill.fetch.ranges import can_be_sent
from dropmill.files.access import closing
from dropmill.files.durable import COPY_CHUNK_BYTES, make_dirs, sync, sync_file, write_all
from dropmill.files.sniff import HEAD_BYTES
from dropmill.model.download import Provenance
from dropmill.model.file import Signature

PART_SUFFIX: Final = b".part"
SIDECAR_SUFFIX: Final = b".part.json"
_SIDECAR_MOST_BYTES: Final = 1 << 20
_FLAGS: Final = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
_MODE, _DIR_MODE = 0o600, 0o700


def boot_id() -> str:
    """Changes with each start of the machine (random(4))."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a download is to stand: ``rel`` below ``folder``, which is a folder of the daemon's own."""

    folder: bytes
    rel: bytes

    @property
    def final(self) -> bytes:
        return os.path.join(self.folder, self.rel)

    @property
    def part(self) -> bytes:
        return self.final + PART_SUFFIX

    @property
    def sidecar(self) -> bytes:
        return self.final + SIDECAR_SUFFIX

    def forget(self) -> None:
        """Remove the sidecar: what stands beside it is no longer of any known version."""
        _unlink(self.sidecar)

    def drop(self) -> None:
        """Remove the part and its sidecar; what is complete stays."""
        _unlink(self.sidecar)
        _unlink(self.part)


@dataclass(frozen=True, slots=True)
class Sidecar:
    """What the bytes of a part are of. ``validator`` is what If-Range names that version by."""

    canonical: str
    validator: str
    total_bytes: int
    boot: str
    job_id: int
    provenance: Provenance

    def write(self, place: Place) -> None:
        data = json.dumps(asdict(self)).encode()
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        with closing(os.open(place.sidecar, flags, _MODE)) as fd:
            write_all(fd, data)

    @classmethod
    def read(cls, place: Place) -> Sidecar | None:
        """None where there is none, or none that makes sense (its write was cut short). Raises OSError."""
        try:
            with open(place.sidecar, "rb") as file:
                told: dict[str, Any] = json.loads(file.read(_SIDECAR_MOST_BYTES))
            provenance = told.pop("provenance")
            provenance["chain"] = tuple(provenance["chain"])
            sidecar = cls(**told, provenance=Provenance(**provenance))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None
        sound = isinstance(sidecar.total_bytes, int) and isinstance(sidecar.validator, str)
        return sidecar if sound and can_be_sent(sidecar.validator) else None


class Part:
    """An open part: written at its end, hashed as it grows. ``close`` it whatever happens.

    ``head`` holds its first ``HEAD_BYTES``, by which its kind is told.
    """

    def __init__(self, place: Place, fd: int, sidecar: Sidecar | None) -> None:
        self.place = place
        self.sidecar = sidecar
        self.size_bytes = 0
        self.head = b""
        self._digest = hashlib.sha256()
        self._fd = fd

    @classmethod
    def begin(cls, place: Place, sidecar: Sidecar | None) -> Self:
        """An empty one, in place of any that was there. Raises OSError."""
        place.forget()
        directory, _, name = place.rel.rpartition(b"/")
        with closing(make_dirs(place.folder, directory, _DIR_MODE)) as dir_fd:
            fd = os.open(name + PART_SUFFIX, _FLAGS | os.O_CREAT | os.O_TRUNC, _MODE, dir_fd=dir_fd)
        part = cls(place, fd, sidecar)
        if sidecar is not None:
            try:
                sidecar.write(place)
            except BaseException:
                part.close()
                raise
        return part

    @classmethod
    def reopen(cls, place: Place, sidecar: Sidecar) -> Self | None:
        """The one that an earlier attempt left, all of it read once more for its digest; blocks for that long.

        None where there is none, or more of it than there should be. Raises OSError.
        """
        try:
            fd = os.open(place.part, _FLAGS)
        except FileNotFoundError:
            return None
        part = cls(place, fd, sidecar)
        if os.fstat(fd).st_size > sidecar.total_bytes:
            part.close()
            return None
        part._read_back()
        return part

    @classmethod
    def of_complete(cls, place: Place, sidecar: Sidecar) -> Self | None:
        """A file that had got its name already when the process was killed; None where it is not that one."""
        try:
            fd = os.open(place.final, _FLAGS)
        except FileNotFoundError:
            return None
        part = cls(place, fd, sidecar)
        if os.fstat(fd).st_size != sidecar.total_bytes:
            part.close()
            return None
        part._read_back()
        return part

    @property
    def fd(self) -> int:
        return self._fd

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    @property
    def complete(self) -> bool:
        return self.sidecar is not None and self.size_bytes == self.sidecar.total_bytes

    def write(self, data: bytes) -> None:
        """Raises OSError."""
        self._digest.update(data)
        if len(self.head) < HEAD_BYTES:
            self.head += data[: HEAD_BYTES - len(self.head)]
        write_all(self._fd, data)
        self.size_bytes += len(data)

    def finish(self) -> Signature:
        """Make it durable under its own name; blocks as long as the disk needs for it. Raises OSError."""
        sync_file(self._fd)
        os.rename(self.place.part, self.place.final)
        return self.settle()

    def settle(self) -> Signature:
        """Make the name durable, and say what it stands for."""
        with closing(os.open(os.path.dirname(self.place.final), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as dir_fd:
            sync(dir_fd)
        return Signature.of(os.fstat(self._fd))

    def close(self) -> None:
        """Idempotent. What cannot be taken up again is removed."""
        if self._fd < 0:
            return
        fd, self._fd = self._fd, -1  # It is closed even where close(2) tells of trouble.
        os.close(fd)
        if self.sidecar is None:
            _unlink(self.place.part)

    def _read_back(self) -> None:
        try:
            while chunk := os.pread(self._fd, COPY_CHUNK_BYTES, self.size_bytes):
                self._digest.update(chunk)
                if len(self.head) < HEAD_BYTES:
                    self.head += chunk[: HEAD_BYTES - len(self.head)]
                self.size_bytes += len(chunk)
            os.lseek(self._fd, 0, os.SEEK_END)
        except BaseException:
            self.close()
            raise


def _unlink(path: bytes) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass  # That it is gone is what was wanted.
