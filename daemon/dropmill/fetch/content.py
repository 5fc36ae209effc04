"""Whether the bytes that came are what was asked for: judged by themselves and by the line, never by a header (U12)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Final

from dropmill.fetch.failing import failed
from dropmill.files.byte_source import ByteSource
from dropmill.files.completeness import completeness
from dropmill.files.sniff import Kind, judge, sniff
from dropmill.model.download import Wanted
from dropmill.model.outcome import Reason

# Header and trailer of gzip; incompressible bytes take another 5 for each 16 KiB at most (RFC 1951, 3.2.4).
_FRAME_BYTES: Final = 1024

_REPR_DIGEST = re.compile(r"(?:^|[,\s])sha-256=:([A-Za-z0-9+/=]{44}):")
_DIGEST = re.compile(r"(?:^|[,\s])sha-256=([A-Za-z0-9+/=]{44})(?:$|[,\s])", re.IGNORECASE)


def check_announced(wanted: Wanted, size_bytes: int | None, max_bytes: int) -> None:
    """The size that an answer promises, before a byte of it is taken; None: it promises none. Raises ``Stopped``."""
    if size_bytes is None:
        return
    if size_bytes > max_bytes:
        raise failed(Reason.TOO_LARGE, f"{size_bytes} bytes, and downloads.max_bytes is {max_bytes}", permanent=True)
    if wanted.expected_size_bytes not in {None, size_bytes}:
        told = f"{size_bytes} bytes, and the line says {wanted.expected_size_bytes}"
        raise failed(Reason.SIZE_MISMATCH, told, permanent=True)


def check_growing(wanted: Wanted, size_bytes: int, max_bytes: int) -> None:
    """As soon as it is too much. Raises ``Stopped``."""
    if size_bytes > max_bytes:
        raise failed(Reason.TOO_LARGE, f"more than the {max_bytes} bytes of downloads.max_bytes", permanent=True)
    if wanted.expected_size_bytes is not None and size_bytes > wanted.expected_size_bytes:
        told = f"more than the {wanted.expected_size_bytes} bytes that the line says"
        raise failed(Reason.SIZE_MISMATCH, told, permanent=True)


def check_compressed(size_bytes: int, max_bytes: int) -> None:
    """What came of a compressed body, which is not longer than what it stands for by more than a little. Raises ``Stopped``."""
    if size_bytes > max_bytes + max_bytes // 1000 + _FRAME_BYTES:
        raise failed(
            Reason.TOO_LARGE, f"more than the {max_bytes} bytes of downloads.max_bytes came, compressed", permanent=True
        )


def check_kind(wanted: Wanted, name: bytes, head: bytes, size_bytes: int, allow_heif: bool) -> None:
    """By the first 64 KiB, or all there is. ``name`` is believed only where it says of a TIFF that it is camera RAW.

    Raises ``Stopped`` for what the pipeline would not take, and for another format than the line says.
    """
    if not size_bytes:
        raise failed(Reason.EMPTY, "the answer has no bytes", permanent=True)
    kind = sniff(head)
    refused = judge(name if kind is Kind.TIFF else b"", head, size_bytes, allow_heif)
    if refused is not None:
        shown = refused.detail or "by its first bytes it is no picture"
        raise failed(refused.reason, shown, permanent=True)
    if wanted.expected_type not in {"", kind.value}:
        told = f"it is {kind.value}, and the line says {wanted.expected_type}"
        raise failed(Reason.TYPE_MISMATCH, told, permanent=True)


def check_whole(wanted: Wanted, size_bytes: int, sha256: str, headers: Mapping[str, str], plain: bool) -> None:
    """Length and digest of all of it. ``plain``: it was not compressed, so the answer's digest is of the same bytes.

    The answer's own digest is of the file, whatever part of it was sent (RFC 9530, 3; RFC 3230). Raises ``Stopped``.
    """
    if wanted.expected_size_bytes not in {None, size_bytes}:
        told = f"{size_bytes} bytes, and the line says {wanted.expected_size_bytes}"
        raise failed(Reason.SIZE_MISMATCH, told, permanent=True)
    if wanted.expected_sha256 not in {"", sha256}:
        raise failed(Reason.DIGEST_MISMATCH, f"its SHA-256 is {sha256}, and the line says another", permanent=True)
    told_sha256 = digest_of(headers) if plain else ""
    if told_sha256 not in {"", sha256}:
        # It was damaged on its way, or changed while it was sent, so another attempt may do better.
        raise failed(Reason.DIGEST_MISMATCH, f"its SHA-256 is {sha256}, and the answer says {told_sha256}")


def check_end(fd: int, head: bytes, size_bytes: int) -> None:
    """For an answer whose end was only that the connection closed: the picture's own format has to say that it is whole.

    Raises ``Stopped`` where it says otherwise, OSError.
    """
    found = completeness(sniff(head), ByteSource(fd, size_bytes, head))
    if found.state == "incomplete":
        raise failed(Reason.CONNECTION_LOST, f"the answer gave no length, and {found.detail}")


def digest_of(headers: Mapping[str, str]) -> str:
    """SHA-256 (hex) that an answer gives of its file (Repr-Digest, RFC 9530; Digest, RFC 3230), or empty."""
    match = _REPR_DIGEST.search(headers.get("repr-digest", "")) or _DIGEST.search(headers.get("digest", ""))
    if match is None:
        return ""
    try:
        digest = base64.b64decode(match[1], validate=True)
    except binascii.Error:
        return ""
    return digest.hex() if len(digest) == 32 else ""
