"""The note beside a quarantined original that says why it is there."""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any, Final

from dropmill.files.access import closing, look, open_regular
from dropmill.files.durable import sync, write_all
from dropmill.files.moving import Goal, Target, goal_of
from dropmill.files.rename import rename_noreplace
from dropmill.model.names import shorten_component, with_suffix

_ENDING: Final = b".reason.json"
_MOST_BYTES: Final = 1 << 20


def write_reason(target: Target, payload: bytes) -> bytes:
    """Write the JSON object ``payload`` as ``<name>.reason.json`` beside the target, and return the name it got.

    It appears complete at once. An earlier note (a JSON object with a ``reason``) is replaced; a file of anyone else's
    stays, and the note gets a suffix of its own SHA-256. May be repeated after a crash. Raises OSError.
    """
    with goal_of(target) as goal:
        assert goal is not None  # noqa: S101  # goal_of gives None only for None.
        name = shorten_component(goal.name + _ENDING, _ENDING)
        digest = hashlib.sha256(payload).hexdigest()
        passing = _passing(goal)
        _write(goal.dir_fd, passing, payload)
        for candidate in (name, with_suffix(name, digest[:8], _ENDING), with_suffix(name, digest, _ENDING)):
            if _place(goal, passing, candidate):
                sync(goal.dir_fd)
                parent, slash, _ = target.name.rpartition(b"/")
                return parent + slash + candidate
        os.unlink(passing, dir_fd=goal.dir_fd)
        raise FileExistsError(f"no free name for {name!r}")


def forget_reason(target: Target) -> None:
    """Remove the unfinished note of an earlier call, where its original has left the target since. Raises OSError."""
    with goal_of(target) as goal:
        assert goal is not None  # noqa: S101  # goal_of gives None only for None.
        try:
            os.unlink(_passing(goal), dir_fd=goal.dir_fd)
        except FileNotFoundError:
            pass  # The usual case.


def remove_reason(target: Target, job_id: int) -> bool:
    """Remove the note of job ``job_id`` beside the target, whichever name it got; False where there is none.

    Anything else of such a name, another job's note included, stays. Raises OSError.
    """
    with goal_of(target) as goal:
        assert goal is not None  # noqa: S101  # goal_of gives None only for None.
        start = shorten_component(goal.name + _ENDING, _ENDING).removesuffix(_ENDING)
        names = [os.fsencode(name) for name in os.listdir(goal.dir_fd)]
        for name in names:
            if name.startswith(start) and name.endswith(_ENDING) and _note(goal.dir_fd, name).get("job") == job_id:
                os.unlink(name, dir_fd=goal.dir_fd)
                sync(goal.dir_fd)
                return True
    return False


def _passing(goal: Goal) -> bytes:
    return b".dropmill-reason-" + hashlib.sha256(goal.name).hexdigest()[:24].encode()


def _write(dir_fd: int, passing: bytes, payload: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with closing(os.open(passing, flags, 0o644, dir_fd=dir_fd)) as fd:
        write_all(fd, payload)
        os.fsync(fd)


def _place(goal: Goal, passing: bytes, name: bytes) -> bool:
    if look(goal.dir_fd, name) is not None and _is_note(goal.dir_fd, name):
        os.rename(passing, name, src_dir_fd=goal.dir_fd, dst_dir_fd=goal.dir_fd)
        return True
    try:
        rename_noreplace(goal.dir_fd, passing, goal.dir_fd, name)
    except FileExistsError:
        return False
    return True


def _is_note(dir_fd: int, name: bytes) -> bool:
    return "reason" in _note(dir_fd, name)


def _note(dir_fd: int, name: bytes) -> dict[str, Any]:
    """The JSON object that a file holds; empty where it holds none."""
    try:
        with closing(open_regular(dir_fd, name)) as fd:
            found = json.loads(os.read(fd, _MOST_BYTES))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
