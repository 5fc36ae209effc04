"""One look at a file in an inbox: what it is now, and, once it seems finished, whether it is ours."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from dropmill.files import lease, sniff
from dropmill.files.access import (
    NotRegularFile,
    closing,
    kind_of,
    look,
    open_regular,
    owner_allowed,
    parent_of,
)
from dropmill.files.byte_source import ByteSource
from dropmill.files.completeness import completeness, unknown_so_far
from dropmill.model.extensions import IMAGE_EXTENSIONS
from dropmill.model.file import Signature
from dropmill.model.inbox import Inbox
from dropmill.model.names import LIST_SUFFIX, is_companion_name, owner_names, split_extension
from dropmill.model.outcome import Ignored, Reason
from dropmill.model.settling import UNKNOWN, Completeness


@dataclass(frozen=True, slots=True)
class Policy:
    """What an inbox takes in. ``take_unsupported``: recognised kinds outside the allow-list become jobs too."""

    companions: tuple[str, ...]
    hard_links: Literal["own", "any"]
    heif: bool
    take_unsupported: bool
    done_suffix: str = ""
    """Ends the name of the done-file that releases a picture, as ``.done``; empty where none is asked for."""
    takes_lists: bool = False
    """Files named ``*.urls`` are lists of URLs, and said to be so by what they are ignored for."""

    @classmethod
    def of(cls, inbox: Inbox, heif: bool) -> Policy:
        """``heif``: whether there is a codec for HEIC files."""
        return cls(
            inbox.companions, inbox.hard_links, heif, inbox.takes_unsupported, inbox.done_suffix, inbox.takes_lists
        )


@dataclass(frozen=True, slots=True)
class Inspection:
    """``signature`` is None where nothing is (or a directory, or behind a symlink). ``trouble``: it could not be seen."""

    rel: bytes
    signature: Signature | None
    writer: bool = False
    ignored: Ignored | None = None
    trouble: str = ""
    complete: Completeness = UNKNOWN
    released: bool = True
    """Whether the done-file is there, or none is asked for."""


def inspect_many(root: bytes, looks: Sequence[tuple[bytes, bool]], policy: Policy) -> list[Inspection]:
    """Look at paths below ``root``; the flag of each says whether it is to be judged too, because it seems finished."""
    return [_inspect(root, rel, judge, policy) for rel, judge in looks]


def _inspect(root: bytes, rel: bytes, judge: bool, policy: Policy) -> Inspection:
    try:
        with parent_of(root, rel) as (dir_fd, name):
            seen = look(dir_fd, name)
            if seen is None:
                return Inspection(rel, None)
            kind = kind_of(seen.st_mode)
            if kind == "directory":
                return Inspection(rel, None)
            signature = Signature.of(seen)
            if not judge:
                return Inspection(rel, signature)
            if kind != "file":
                reason = Reason.SYMLINK if kind == "symlink" else Reason.NOT_A_FILE
                return Inspection(rel, signature, ignored=Ignored(reason, kind))
            if not owner_allowed(seen, os.stat(root), os.geteuid(), policy.hard_links):
                return Inspection(rel, signature, ignored=Ignored(Reason.FOREIGN_HARD_LINK, f"owner uid {seen.st_uid}"))
            return _judge(dir_fd, name, rel, signature, policy)
    except (FileNotFoundError, NotADirectoryError, NotRegularFile):
        return Inspection(rel, None)  # Gone, or behind a symlink, which is not followed (S01).
    except OSError as error:
        return Inspection(rel, None, trouble=error.strerror or str(error))
    except Exception as error:  # noqa: BLE001  # What one file is made of must not keep the others waiting (W30).
        return Inspection(rel, None, trouble=f"{type(error).__name__}: {error}")


def _judge(dir_fd: int, name: bytes, rel: bytes, signature: Signature, policy: Policy) -> Inspection:
    if policy.done_suffix and is_companion_name(name, (policy.done_suffix,)):
        return Inspection(rel, signature, ignored=Ignored(Reason.DONE_FILE))
    if is_companion_name(name, policy.companions) and any(
        look(dir_fd, owner) is not None for owner in owner_names(name)
    ):
        return Inspection(rel, signature, ignored=Ignored(Reason.COMPANION))
    released = _released(dir_fd, name, policy.done_suffix)
    try:
        descriptor = open_regular(dir_fd, name)
    except PermissionError:
        # By its name it may be a picture: as a job it is retried, and says who may not read it (W38).
        ours = sniff.extension_of(name) in IMAGE_EXTENSIONS
        ignored = None if ours else Ignored(Reason.UNREADABLE)
        return Inspection(rel, signature, ignored=ignored, released=released)
    with closing(descriptor):
        head = os.read(descriptor, sniff.HEAD_BYTES)
        seen = os.fstat(descriptor)
        if seen.st_size != signature.size_bytes:  # It changes at this moment, or is another file by now.
            return Inspection(rel, Signature.of(seen))
        writer = lease.hold(descriptor) is lease.Lease.BUSY
        lease.release(descriptor)
        if policy.takes_lists and sniff.extension_of(name) == LIST_SUFFIX:
            return Inspection(rel, signature, writer, Ignored(Reason.URL_LIST), released=released)
        ignored = sniff.judge(name, head, signature.size_bytes, policy.heif)
        if ignored and ignored.reason is Reason.NOT_AN_IMAGE:
            ignored = Ignored(ignored.reason, ignored.detail or _maybe_list(name, head, policy.takes_lists))
        if ignored and ignored.reason is Reason.UNSUPPORTED_FORMAT and policy.take_unsupported:
            ignored = None
        complete = UNKNOWN
        if ignored is None and released and not writer:
            complete = _completeness(descriptor, name, head, signature.size_bytes)
    return Inspection(rel, signature, writer=writer, ignored=ignored, complete=complete, released=released)


def _maybe_list(name: bytes, head: bytes, takes_lists: bool) -> str:
    """What a file that is no picture may have been meant for; empty for nothing that is known."""
    if sniff.extension_of(name) == LIST_SUFFIX:
        return "to have it read as a list of URLs, set urls = true for the inbox"
    if not head.removeprefix(b"\xef\xbb\xbf").startswith((b"http://", b"https://")):
        return ""
    also = "" if takes_lists else ", with urls = true for the inbox,"
    return f"to have it read as a list of URLs, name it *{os.fsdecode(LIST_SUFFIX)}{also} or name it in [[dropfiles]]"


def _released(dir_fd: int, name: bytes, done_suffix: str) -> bool:
    """Both ways to name a done-file are in use: after the whole name and after the stem."""
    suffix = os.fsencode(done_suffix)
    return not suffix or any(
        look(dir_fd, owner + suffix) is not None for owner in dict.fromkeys((name, split_extension(name)[0]))
    )


def _completeness(descriptor: int, name: bytes, head: bytes, size_bytes: int) -> Completeness:
    kind = sniff.kind_of(name, head)
    if kind is sniff.Kind.UNKNOWN:
        return unknown_so_far(head)
    return completeness(kind, ByteSource(descriptor, size_bytes, head))
