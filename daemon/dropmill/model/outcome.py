"""How a job ends: outcomes of what was decided, reasons of what was refused."""

from __future__ import annotations

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
    PUBLISH_FAILED = "publish-failed"
    UNEXPECTED = "unexpected"
    # Ignored: not ours, left in place, never a job.
    JUNK_NAME = "junk-name"
    COMPANION = "companion"
    DONE_FILE = "done-file"
    SYMLINK = "symlink"
    NOT_A_FILE = "not-a-file"
    FOREIGN_HARD_LINK = "foreign-hard-link"
    CODEC_MISSING = "codec-missing"


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
        "more pixels or bytes than the limits allow", "raise workers.max_pixels if the picture is wanted"
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
    Reason.PUBLISH_FAILED: Explanation(
        "renditions could not be moved into place",
        "check the output folder, then `dropmill reprocess ID`",
        retryable=True,
    ),
    Reason.UNEXPECTED: Explanation("a defect in dropmill", "report it with the log line", retryable=True),
    Reason.JUNK_NAME: Explanation(
        "a dotfile, a partial upload or a system file by its name", "rename it if it is a picture"
    ),
    Reason.COMPANION: Explanation("travels with the image of the same name", "nothing to do"),
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

# Discarded files of these reasons have an image's name or content; ignored ones have neither.
_AS_IGNORED: Final[dict[Reason, Explanation]] = {
    Reason.NOT_AN_IMAGE: Explanation("no image by name or content", "nothing to do; it stays where it is"),
}


def explained_as_ignored(reason: Reason) -> Explanation:
    """What a reason means of a file that was ignored, which for some reasons differs from a discarded one."""
    return _AS_IGNORED.get(reason, EXPLANATIONS[reason])


@dataclass(frozen=True, slots=True)
class Ignored:
    """A file that is not ours: it stays where it is and is journalled once."""

    reason: Reason
    detail: str = ""
