"""How a job ends: outcomes of what was decided, reasons of what was refused."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Outcome(StrEnum):
    PUBLISHED = "published"
    DUPLICATE = "duplicate"
    UNCHANGED = "unchanged"
    MOVED = "moved"
    SUPERSEDED = "superseded"


class Reason(StrEnum):
    """Stable codes; docs/reasons.md lists each with cause and remedy, and a test holds that list against this one."""

    # Discarded: an image by name or by content that cannot become renditions.
    EMPTY = "empty"
    NOT_AN_IMAGE = "not-an-image"
    TRUNCATED = "truncated"
    CORRUPT = "corrupt"
    TOO_LARGE = "too-large"
    TOO_SMALL = "too-small"
    TOO_MANY_FRAMES = "too-many-frames"
    UNSUPPORTED_FORMAT = "unsupported-format"
    TIMEOUT = "timeout"
    WORKER_CRASHED = "worker-crashed"
    MEMORY_LIMIT = "memory-limit"
    INTERRUPTED = "interrupted"
    UNREADABLE = "unreadable"
    # Retried: passing trouble of the machine.
    IO_ERROR = "io-error"
    DISK_FULL = "disk-full"
    OUTPUT_UNAVAILABLE = "output-unavailable"
    INDEX_UNAVAILABLE = "index-unavailable"
    PUBLISH_FAILED = "publish-failed"
    UNEXPECTED = "unexpected"
    # Lines of a drop-file, and URLs that are refused before anything is sent.
    BAD_LINE = "bad-line"
    BAD_URL = "bad-url"
    BLOCKED_SCHEME = "blocked-scheme"
    BLOCKED_HOST = "blocked-host"
    BLOCKED_PORT = "blocked-port"
    BLOCKED_ADDRESS = "blocked-address"
    ROBOTS_DISALLOWED = "robots-disallowed"
    NO_AI = "no-ai"
    # Downloads that failed.
    DNS_FAILURE = "dns-failure"
    CONNECT_FAILED = "connect-failed"
    CONNECTION_LOST = "connection-lost"
    TLS_FAILURE = "tls-failure"
    PROTOCOL_ERROR = "protocol-error"
    DOWNLOAD_TIMEOUT = "download-timeout"
    TOO_SLOW = "too-slow"
    TOO_MANY_REDIRECTS = "too-many-redirects"
    UNSUPPORTED_ENCODING = "unsupported-encoding"
    HOST_UNAVAILABLE = "host-unavailable"
    SIZE_MISMATCH = "size-mismatch"
    TYPE_MISMATCH = "type-mismatch"
    DIGEST_MISMATCH = "digest-mismatch"
    HTTP_400 = "http-400"
    HTTP_401 = "http-401"
    HTTP_403 = "http-403"
    HTTP_404 = "http-404"
    HTTP_408 = "http-408"
    HTTP_410 = "http-410"
    HTTP_429 = "http-429"
    HTTP_451 = "http-451"
    HTTP_500 = "http-500"
    HTTP_502 = "http-502"
    HTTP_503 = "http-503"
    HTTP_504 = "http-504"
    HTTP_ERROR = "http-error"
    # Ignored: not ours, left in place, never a job.
    JUNK_NAME = "junk-name"
    COMPANION = "companion"
    DONE_FILE = "done-file"
    URL_LIST = "url-list"
    SYMLINK = "symlink"
    NOT_A_FILE = "not-a-file"
    FOREIGN_HARD_LINK = "foreign-hard-link"
    CODEC_MISSING = "codec-missing"


def _from(first: Reason, last: Reason) -> tuple[Reason, ...]:
    every = list(Reason)
    return tuple(every[every.index(first) : every.index(last) + 1])


DISCARDING: Final = _from(Reason.EMPTY, Reason.UNREADABLE)
"""What a job of a file is discarded for, as a rule."""
DISCARDING_URLS: Final = (*DISCARDING, *_from(Reason.BAD_URL, Reason.HTTP_ERROR))
LOSING_WORKERS: Final = (Reason.TIMEOUT, Reason.WORKER_CRASHED, Reason.MEMORY_LIMIT)
"""How a worker ends during a job."""
REPEATING: Final = (Reason.UNREADABLE, *_from(Reason.IO_ERROR, Reason.UNEXPECTED), *LOSING_WORKERS)
"""What an attempt at a file is repeated for, as a rule."""
IGNORING: Final = (Reason.NOT_AN_IMAGE, *_from(Reason.JUNK_NAME, Reason.CODEC_MISSING))
"""What a file is left in its place for, as a rule."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a reason means to a user, in one line each."""

    cause: str
    remedy: str
    retryable: bool = False


EXPLANATIONS: Final[dict[Reason, Explanation]] = {
    Reason.EMPTY: Explanation("the file has no bytes", "copy it again; dropmill takes it as a new version"),
    Reason.NOT_AN_IMAGE: Explanation(
        "the name says image, the content does not", "check what the file is; rename it if it is no picture"
    ),
    Reason.TRUNCATED: Explanation("the picture ends too early", "copy it again from the source; the tail is missing"),
    Reason.CORRUPT: Explanation("the decoder found damaged data", "open it in a picture program and save it again"),
    Reason.TOO_LARGE: Explanation(
        "more pixels or bytes than the limits allow",
        "raise workers.max_pixels or workers.max_bytes if the picture is wanted",
    ),
    Reason.TOO_SMALL: Explanation("fewer bytes than workers.min_bytes", "lower workers.min_bytes if it is wanted"),
    Reason.TOO_MANY_FRAMES: Explanation(
        "an animation or page count beyond the limits", "raise workers.max_frames if it is wanted"
    ),
    Reason.UNSUPPORTED_FORMAT: Explanation(
        "a known kind of file that is outside the allow-list (camera RAW, PSD, SVG, PDF, video, …)",
        "export it as JPEG, PNG, WebP, GIF, TIFF, BMP, AVIF or HEIC",
    ),
    Reason.TIMEOUT: Explanation(
        "decoding ran past the job's deadline", "raise workers.job_timeout_seconds, or look at the file"
    ),
    Reason.WORKER_CRASHED: Explanation(
        "the decoder crashed each time it was tried",
        "keep the file away; report it with `dropmill version --components`",
    ),
    Reason.MEMORY_LIMIT: Explanation(
        "decoding needs more memory than a worker may use", "raise workers.memory_limit_mb"
    ),
    Reason.INTERRUPTED: Explanation(
        "the daemon, or all its workers, went down 20 times while this job ran",
        "look at why the machine stops, then `dropmill retry ID`",
    ),
    Reason.UNREADABLE: Explanation(
        "the daemon's user may not read the file, or a folder where another copy of it was",
        "give the daemon's user read access to it; work resumes by itself",
        retryable=True,
    ),
    Reason.IO_ERROR: Explanation("the disk or share gave an error", "check the disk or mount", retryable=True),
    Reason.DISK_FULL: Explanation("no space left", "free space; work resumes by itself", retryable=True),
    Reason.OUTPUT_UNAVAILABLE: Explanation(
        "the output folder is missing or cannot be written",
        "mount it or give the daemon's user the right to write; work resumes by itself",
        retryable=True,
    ),
    Reason.INDEX_UNAVAILABLE: Explanation(
        "the index of similar pictures is not there, and what becomes of this one hangs on its answer",
        "`dropmill health` says why; work resumes by itself once it is back. A policy of flag or off waits for nothing",
        retryable=True,
    ),
    Reason.PUBLISH_FAILED: Explanation(
        "renditions could not be moved into place",
        "check the output folder, then `dropmill reprocess ID`",
        retryable=True,
    ),
    Reason.UNEXPECTED: Explanation("a defect in dropmill", "report it with the log line", retryable=True),
    Reason.BAD_LINE: Explanation(
        "a line of a drop-file that is no URL with fields",
        "write it anew as one whole line: URL, then tab-separated key=value fields",
    ),
    Reason.BAD_URL: Explanation("no URL that could be asked for", "correct it and add it again"),
    Reason.BLOCKED_SCHEME: Explanation(
        "a URL, or the target of a redirect, that is neither http nor https", "put the file into an inbox instead"
    ),
    Reason.BLOCKED_HOST: Explanation(
        "net.deny_hosts names the host, or net.allow_hosts does not", "change the list if the host is trusted"
    ),
    Reason.BLOCKED_PORT: Explanation(
        "a port outside net.ports", "add the port to net.ports if a web server is meant to be there"
    ),
    Reason.BLOCKED_ADDRESS: Explanation(
        "the host has an address that is not of the public internet (loopback, private, link-local, reserved, …)",
        'if it is meant to be reached, name its network, as in [net] allow_networks = ["127.0.0.0/8"]',
    ),
    Reason.ROBOTS_DISALLOWED: Explanation(
        "the host's robots.txt disallows it", 'ask its owner, or set downloads.robots = "off" if you may'
    ),
    Reason.NO_AI: Explanation(
        "the answer's X-Robots-Tag says noai, noimageai or noindex",
        'ask its owner, or set downloads.robots_tag = "off" if you may',
    ),
    Reason.DNS_FAILURE: Explanation(
        "the host's name has no address", "check its spelling, and the resolver of the machine", retryable=True
    ),
    Reason.CONNECT_FAILED: Explanation(
        "no connection to the host",
        "check that it is up and can be reached from here (the systemd unit lets nothing out until IPAddressAllow does)",
        retryable=True,
    ),
    Reason.CONNECTION_LOST: Explanation(
        "the connection broke off", "nothing to do; it is taken up again", retryable=True
    ),
    Reason.TLS_FAILURE: Explanation(
        "no secure connection: the certificate is not valid for the host, or the two sides found no common protocol",
        "open the URL in a browser and look at its certificate",
    ),
    Reason.PROTOCOL_ERROR: Explanation(
        "the host's answer is not HTTP, or its headers are too large", "open the URL in a browser", retryable=True
    ),
    Reason.DOWNLOAD_TIMEOUT: Explanation(
        "the host did not answer in time, or the download took longer than downloads.timeout_seconds",
        "raise downloads.timeout_seconds if the file is large and wanted",
        retryable=True,
    ),
    Reason.TOO_SLOW: Explanation(
        "less than downloads.min_bytes_per_second arrived",
        "lower downloads.min_bytes_per_second if the host is known to be slow",
        retryable=True,
    ),
    Reason.TOO_MANY_REDIRECTS: Explanation(
        "the redirects run in a circle, or are more than downloads.max_redirects", "use the URL that they lead to"
    ),
    Reason.UNSUPPORTED_ENCODING: Explanation(
        "the answer is compressed in a way that was not asked for", "ask the host's owner to send the plain file"
    ),
    Reason.HOST_UNAVAILABLE: Explanation(
        "the host went on failing (for downloads.give_up_seconds; with --once, three probes), and was given up",
        "once the host is back: `dropmill retry --all`",
        retryable=True,
    ),
    Reason.SIZE_MISMATCH: Explanation(
        "the file has another size than the line, or the answer's Content-Length, says", "check the line, or the host"
    ),
    Reason.TYPE_MISMATCH: Explanation(
        "the file's content is of another format than the line says", "correct type= in the line"
    ),
    Reason.DIGEST_MISMATCH: Explanation(
        "the file has another SHA-256 than the line, or the answer's digest, says",
        "the file at the URL is not the one that was meant",
    ),
    Reason.HTTP_400: Explanation("the host calls the request wrong (400)", "check the URL"),
    Reason.HTTP_401: Explanation(
        "the host asks for a login (401)",
        "name a netrc file that has user and password for the host in downloads.netrc, or write them into the URL",
    ),
    Reason.HTTP_403: Explanation(
        "the host refuses the file (403)", "check whether it needs a login or a header (downloads.headers)"
    ),
    Reason.HTTP_404: Explanation("there is no such file at the host (404)", "check the URL"),
    Reason.HTTP_408: Explanation("the host waited too long for the request (408)", "nothing to do", retryable=True),
    Reason.HTTP_410: Explanation("the file was taken away for good (410)", "take the URL out of the list"),
    Reason.HTTP_429: Explanation(
        "the host asks for fewer requests (429)",
        "lower downloads.per_host or set downloads.requests_per_second_per_host",
        retryable=True,
    ),
    Reason.HTTP_451: Explanation("the host may not give the file for legal reasons (451)", "take the URL out"),
    Reason.HTTP_500: Explanation("the host failed (500)", "try again later", retryable=True),
    Reason.HTTP_502: Explanation("the host's gateway failed (502)", "try again later", retryable=True),
    Reason.HTTP_503: Explanation("the host is overloaded or down (503)", "try again later", retryable=True),
    Reason.HTTP_504: Explanation("the host's gateway got no answer (504)", "try again later", retryable=True),
    Reason.HTTP_ERROR: Explanation(
        "the host answered with another status than 200; the detail tells which", "open the URL in a browser"
    ),
    Reason.JUNK_NAME: Explanation(
        "a dotfile, a partial upload or a system file by its name", "rename it if it is a picture"
    ),
    Reason.COMPANION: Explanation("travels with the image of the same name", "nothing to do"),
    Reason.URL_LIST: Explanation(
        "a list of URLs, whose lines are taken as those of a drop-file", "nothing to do; its results are told beside it"
    ),
    Reason.DONE_FILE: Explanation("says that the picture of the same name is complete", "nothing to do"),
    Reason.SYMLINK: Explanation("symbolic links are not followed", "drop the file itself"),
    Reason.NOT_A_FILE: Explanation("a directory, pipe, socket or device", "drop a regular file"),
    Reason.FOREIGN_HARD_LINK: Explanation(
        "a hard link to a file of another owner", 'copy the file, or set hard_links = "any" for the inbox'
    ),
    Reason.CODEC_MISSING: Explanation(
        "a known format whose codec is not installed", "install the extra (HEIC: `pip install 'dropmill[heif]'`)"
    ),
}

# What helps differs where nobody can copy the file again: it is at a host.
_OF_URL: Final[dict[Reason, Explanation]] = {
    Reason.EMPTY: Explanation("the answer has no bytes", "open the URL in a browser; `dropmill retry ID` asks again"),
    Reason.NOT_AN_IMAGE: Explanation(
        "what the host sent is no image, often a page about a login or an error",
        "open the URL in a browser; take it out of the list if it leads to no picture",
    ),
    Reason.TRUNCATED: Explanation(
        "the picture ends too early", "open the URL in a browser: it ends so at the host, or `dropmill retry ID` helps"
    ),
    Reason.CORRUPT: Explanation(
        "the decoder found damaged data", "open the URL in a browser; it is damaged at the host"
    ),
    Reason.TOO_LARGE: Explanation(
        "more bytes or pixels than the limits allow",
        "if the picture is wanted, raise downloads.max_bytes, or workers.max_pixels for pixels; then `dropmill retry ID`",
    ),
    Reason.UNSUPPORTED_FORMAT: Explanation(
        "a known kind of file that is outside the allow-list (camera RAW, PSD, SVG, PDF, video, …)",
        "list the URL of a JPEG, PNG, WebP, GIF, TIFF, BMP, AVIF or HEIC instead",
    ),
    Reason.WORKER_CRASHED: Explanation(
        "the decoder crashed each time it was tried",
        "take the URL out of the list; report it with `dropmill version --components`",
    ),
}

# What ``fetch/failing.py`` says of an answer that is no file.
_STATUS: Final = re.compile(r"the host answered with (\d{3})")
# Where the detail names the rule that decided, which is what the cause tells in general.
_DETAIL_SAYS_ALL: Final = frozenset(
    {Reason.BLOCKED_SCHEME, Reason.BLOCKED_HOST, Reason.BLOCKED_PORT, Reason.BLOCKED_ADDRESS}
)

# Discarded files of these reasons have an image's name or content; ignored ones have neither.
_AS_IGNORED: Final[dict[Reason, Explanation]] = {
    Reason.NOT_AN_IMAGE: Explanation("no image by name or content", "nothing to do; it stays where it is"),
}

REPEATING_URLS: Final = (
    *REPEATING,
    *(reason for reason in _from(Reason.DNS_FAILURE, Reason.HTTP_ERROR) if EXPLANATIONS[reason].retryable),
)
"""As ``REPEATING``, of what is downloaded."""


def explained(reason: Reason, *, of_url: bool) -> Explanation:
    """What a reason means of a job, which for some reasons differs between a file and a URL."""
    return (_OF_URL.get(reason) if of_url else None) or EXPLANATIONS[reason]


def with_detail(reason: str, cause: str, detail: str) -> str:
    """Cause and detail of a reason as one phrase; one of them alone where it says what the other does."""
    status = _STATUS.fullmatch(detail)
    if not detail or detail == cause or (status and f"({status[1]})" in cause):
        return cause
    if not cause or reason in _DETAIL_SAYS_ALL:
        return detail
    return f"{cause} ({detail})"


def explained_as_ignored(reason: Reason) -> Explanation:
    """What a reason means of a file that was ignored, which for some reasons differs from a discarded one."""
    return _AS_IGNORED.get(reason, EXPLANATIONS[reason])


@dataclass(frozen=True, slots=True)
class Ignored:
    """A file that is not ours: it stays where it is and is journalled once."""

    reason: Reason
    detail: str = ""
