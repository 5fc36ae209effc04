"""Whose the files and folders are that a service is to read and write."""

from __future__ import annotations

import grp
import os
import stat
from collections.abc import Iterable

from dropmill.files import lease


def of_others(inbox: str, uid: int | None) -> bool:
    """Whether others than that user put files there, and leases would be believed there.

    ``uid``: of the service's user, or None where there is no such user yet.
    """
    try:
        found = os.stat(inbox)
        return (found.st_uid != uid or bool(found.st_mode & 0o022)) and lease.believed(os.fsencode(inbox))
    except OSError:
        return False  # It is not there yet, or not for us to look at.


def groups(folders: Iterable[str], output_group: str, user: str, uid: int | None) -> list[str]:
    """The groups that the service's user needs beside its own, by name or number, in order."""
    wanted = [output_group] if output_group else []
    for folder in folders:
        try:
            found = os.stat(folder)
        except OSError:
            continue
        by_group = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) == stat.S_IWGRP
        if by_group and found.st_uid != uid and found.st_gid != 0:
            wanted.append(_name(found.st_gid))
    return sorted({one for one in wanted if one != user})


def _name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
