"""What the review of duplicates may do to files, and how long that can be taken back."""

from __future__ import annotations

from pydantic import Field

from dropmill.settings.sections import Number, PathText, Section, Whole


class Review(Section):
    """What the review of duplicates may do to files. Whatever it does can be undone, but for what is deleted for good."""

    trash_days: Number = Field(
        default=30.0,
        ge=0,
        le=36500,
        description="Files that were deleted, or replaced by a hard link, are kept that long in .dropmill-trash beside "
        "them and can be taken back; then they are removed. 0: they are kept for ever.",
    )
    default_move: PathText = Field(
        default="",
        description="Folder to which files are moved where none is named; any other has to lie below library_roots. It "
        "may not lie in an inbox or an output. Can be changed while the daemon runs.",
    )
    allow_permanent: bool = Field(
        default=True,
        description="Whether files may be deleted for good at all, instead of into the trash, when somebody asks for that.",
    )
    confirm_permanent: bool = Field(
        default=True,
        description="Whether the page and the command line ask once more before files are deleted for good. Can be changed "
        "while the daemon runs.",
    )
    confirm_above_files: Whole = Field(
        default=1,
        ge=0,
        le=1_000_000,
        description="Of more files than these in one go the page first shows an overview of what would become of them, to "
        "be confirmed. For the page alone: the command line asks with --all, and the API never does. Can be changed while "
        "the daemon runs.",
    )
