"""Downloads as values: what a line asks for, the host it is asked of, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit

from dropmill.model.file import Signature
from dropmill.model.job import Job
from dropmill.model.names import split_extension
from dropmill.model.outcome import Reason


@dataclass(frozen=True, slots=True)
class Wanted:
    """One URL that is asked for. ``url`` is as it was given and may hold credentials: only ``canonical`` is ever shown."""

    url: str
    canonical: str
    origin: str
    """``scheme://host:port``, lower case, the port always said: what politeness is owed to."""
    label: str = ""
    priority: int | None = None
    hint: str = ""
    """Name for the file, without a folder; empty takes the last part of the URL's path."""
    directory: str = ""
    """Folder below the output, relative; empty for none."""
    expected_size_bytes: int | None = None
    expected_type: str = ""
    """Format by content (jpeg, png, webp, …), or empty."""
    expected_sha256: str = ""


@dataclass(frozen=True, slots=True)
class Host:
    """What is remembered of an origin, so that a restart does not hammer one that asked for rest."""

    id: int
    origin: str
    ready_at_ms: int = 0
    """Nothing is asked of it before."""
    failures: int = 0
    """Failed requests in a row that are its own doing."""
    opened_at_ms: int | None = None
    """Since when its circuit is open, or None."""
    probes: int = 0
    """Failed half-open probes since then."""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Fetch:
    """A claimed download. ``etag`` and ``last_modified`` are of the version that was fetched before, where it is to be
    asked whether that changed; else empty."""

    job: Job
    wanted: Wanted
    host: Host
    etag: str = ""
    last_modified: str = ""


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a download came from. ``chain`` holds the URLs that redirected, credentials taken out."""

    final_url: str
    chain: tuple[str, ...] = ()
    address: str = ""
    status: int = 0
    etag: str = ""
    last_modified: str = ""
    content_type: str = ""
    http_version: str = ""
    size_bytes: int = 0
    sha256: str = ""
    started_at_ms: int = 0
    ended_at_ms: int = 0


@dataclass(frozen=True, slots=True)
class Fetched:
    """The bytes are complete, verified, fsynced and stand under the job's name."""

    signature: Signature
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class NotModified:
    """The server says that what was fetched before is still what it has."""

    provenance: Provenance


@dataclass(frozen=True, slots=True)
class Failed:
    """``permanent``: trying again would not help. ``blames_host``: counts against the host, not the URL alone."""

    reason: Reason
    detail: str
    permanent: bool
    retry_after_seconds: float | None = None
    blames_host: bool = False
    elsewhere: bool = False
    """Another origin said so, to which the host had redirected: what that asks for is no wish of the host."""
    provenance: Provenance | None = None


FetchResult = Fetched | NotModified | Failed


@dataclass(frozen=True, slots=True)
class Asked:
    """What names of a URL's renditions are made from: ``name`` is a file name, ``directory`` a relative path or empty."""

    canonical: str
    name: bytes
    directory: bytes
    line: int

    @property
    def stem(self) -> bytes:
        return split_extension(self.name)[0]


def stored_name(job_id: int) -> bytes:
    """The file of a job's download, in the private folder of its inbox. The job's own path is its URL."""
    return b"%d" % job_id


_LONGEST_NAME: Final = 120


def file_name(canonical: str, hint: str = "") -> str:
    """A harmless file name for a URL: the hint, or the last part of the URL's path; never a path, never hidden (U13).

    >>> file_name("https://example.com/a/b%20c.jpg?x=1")
    'b c.jpg'
    """
    last = hint or unquote(urlsplit(canonical).path.rstrip("/").rpartition("/")[2], errors="replace")
    flat = "".join("_" if char in "/\\" or not char.isprintable() else char for char in last).strip(". ")
    if len(flat.encode()) > _LONGEST_NAME:
        stem, dot, extension = flat.rpartition(".")
        if not dot or len(extension.encode()) > 10:
            stem, extension = flat, ""
        keep = dot + extension if extension else ""
        flat = stem.encode()[: _LONGEST_NAME - len(keep.encode())].decode(errors="ignore") + keep
    return flat or "image"
