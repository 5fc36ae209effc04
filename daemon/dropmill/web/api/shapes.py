"""What is told of groups and batches, field by field: the OpenAPI document is made from it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from dropmill.model.resemblance import Tier
from dropmill.web.api.common import Told

GroupState = Literal["open", "settled"]
Action = Literal["keep", "move", "delete", "link", "dismiss"]

Bits = Annotated[int, Field(ge=0, description="Bits in which the hashes differ from the keeper's.")]
Bytes = Annotated[int, Field(description="Size in bytes.")]
Digest = Annotated[str, Field(description="SHA-256 of the bytes, in hexadecimal.")]
Format = Annotated[str, Field(description="jpeg, png, webp, …, by content.")]
Hash = Annotated[str, Field(description="Perceptual hash in hexadecimal, as imagehash writes it.")]
Hint = Annotated[str, Field(description="What can be done about it; empty where there is nothing.")]
Instant = Annotated[str, Field(description="UTC, as in 2026-03-04T05:06:07.089Z.")]
Pixels = Annotated[int, Field(description="In pixels, as the picture is meant to be seen.")]
Place = Annotated[str, Field(description="Name of the inbox, archive or library that the file is in.")]
PlaceKind = Annotated[str, Field(description="What that is: inbox, archive, duplicates, library or move.")]
RelationWord = Annotated[str, Field(description="How it came from the keeper; empty until pixels were compared.")]
Shown = Annotated[str, Field(description="A path, its unprintable characters escaped.")]


class Member(Told):
    """One file of a group, told with how it resembles the keeper."""

    id: int = Field(description="Stays while the file is where it is.")
    image: int = Field(description="Id of its content: `/images/{id}`.")
    path: Shown
    inbox: Place
    kind: PlaceKind
    folder: Shown
    sha256: Digest
    width: Pixels
    height: Pixels
    phash: Hash
    size_bytes: Bytes
    format: Format
    captured_at: str | None = Field(default=None, description="When it was taken, as the camera wrote it: local time.")
    modified_at: Instant
    tier: Tier = Field(description="How sure it is that it shows what the keeper shows; surest is exact.")
    phash_distance: Bits
    dhash_distance: Bits
    phash256_distance: Bits
    relation: RelationWord
    keeper: bool = Field(description="Whether it is the one that is kept.")


class Group(Told):
    """A keeper and what resembles it."""

    id: int = Field(description="Stays while its keeper does.")
    tier: Tier = Field(description="That of the member that resembles the keeper least.")
    relation: str = Field(
        description="That of the member that resembles the keeper least; empty until its pixels were compared."
    )
    state: GroupState = Field(description="settled: a person decided to keep all of it.")
    members_count: int = Field(description="The keeper included.")
    reclaimable_bytes: int = Field(description="What all members but the keeper take.")
    phash_distance: Bits
    expected_false_pairs: float = Field(
        description="So many pairs in a library of this size would be as close as these by chance."
    )
    keeper: int = Field(description="Id of the member that is kept.")
    keeper_chosen: bool = Field(description="Whether a person named the keeper.")
    reasons: list[str] = Field(description="Why it is the keeper.")
    members: list[Member] = Field(description="The keeper first; at most 50 on a page of groups, 1000 of a single one.")
    members_truncated: bool = Field(description="Whether there are more.")
    changed_at: Instant


class GroupPage(Told):
    groups: list[Group] = Field(description="In the order that was asked for.")
    next: str | None = Field(description="`cursor` of the following page; null on the last one.")
    total: int = Field(description="Groups that fit the filters, on all pages.")
    reclaimable_bytes: int = Field(description="Of all of them.")


class DuplicateMember(Told):
    path: Shown
    sha256: Digest
    phash: Hash
    distance: int = Field(description="Bits of phash from the keeper.")
    relation: RelationWord
    keeper: bool = Field(description="Whether it is the one that is kept.")


class Duplicate(Told):
    id: int = Field(description="Of the group.")
    tier: Tier = Field(description="Of the member that resembles the keeper least, or the one that was asked for.")
    relation: RelationWord
    keeper: Shown
    members: list[DuplicateMember] = Field(description="All of them, the keeper first.")


class Skipped(Told):
    """What was left as it was, and what can be done about it."""

    member: int | None = Field(default=None, description="Id of the file, as in its group.")
    path: Shown
    detail: str = Field(description="Why.")
    hint: Hint = ""


class Resolved(Told):
    batch: int = Field(description="Undo takes the whole batch back: `/batches/{id}/undo`.")
    action: Action = Field(description="What was asked for.")
    state: str = Field(description="done, or doing where it goes on.")
    done: list[int] = Field(description="Ids of the members that it was done to.")
    skipped: list[Skipped] = Field(description="What was left as it was.")


class Left(Told):
    """Files that an action on many groups leaves as they are."""

    groups: int = Field(description="In which it leaves all of them, so that nothing comes of it.")
    members: int = Field(description="Files.")
    detail: str = Field(description="Why.")
    hint: Hint


class Overview(Told):
    """What an action on many groups comes to, and with `batch` that it is under way."""

    batch: int | None = Field(default=None, description="Null where nothing is done.")
    groups: int = Field(description="In which it comes to anything.")
    members: int = Field(description="Files that the action is for.")
    bytes: int = Field(description="What these take; a file of several names counts once.")
    left: list[Left] = Field(description="What it would leave, by the reason.")
    as_of: int = Field(description="When the latest change of a group was that this has seen, in milliseconds of UTC.")
    skipped: int = Field(description="Groups that fit, but have changed after the `as_of` that was asked for.")
    by_tier: dict[str, Any] = Field(description="`groups`, `members` and `bytes` of each tier.")
    examples: list[dict[str, Any]] = Field(
        description="Where it comes to most: `group`, `tier`, `relation`, `members`, `bytes`, and paths of `keeper` and of "
        "one of the others."
    )


class Item(Told):
    """One file of a batch."""

    member: int = Field(description="Its id when it was in a group.")
    group: int | None = Field(default=None, description="Of which it was a member.")
    path: str = Field(description="Where it was, unprintable characters escaped.")
    kept_at: str | None = Field(description="Where it is now, while it can be put back.")
    size_bytes: Bytes
    state: str = Field(description="owed, begun, done, skipped, undone or purged.")
    detail: str = Field(description="Why it was left as it was, or could not be put back.")
    hint: Hint
    purged_at: str | None = Field(description="When it leaves the trash for good.")


class Batch(Told):
    """What a person had done to files in one go."""

    id: int = Field(description="Larger than those of earlier ones.")
    action: str = Field(description="keep, dismiss, delete, move or link.")
    state: Literal["doing", "done", "undoing", "undone"] = Field(
        description="An undo that left something in its place ends as done."
    )
    permanent: bool = Field(description="Whether files were deleted for good.")
    groups: int = Field(description="That were dealt with.")
    files: int = Field(description="All of its files, in whatever state.")
    done: int = Field(description="Files that it was done to.")
    skipped: int = Field(description="Files that were left as they were.")
    undone: int = Field(description="Files that were put back.")
    bytes: int = Field(description="What those take that it was done to.")
    undoable: bool = Field(description="Whether anything of it can be taken back.")
    created_at: Instant
    ended_at: str | None = Field(description="Null while it is under way.")
    detail: str = Field(description="What keeps it from ending, or why it came to nothing, where something does.")


class WholeBatch(Batch):
    """With its files."""

    items: list[Item] = Field(description="At most 1000.")


class Undone(WholeBatch):
    """A batch that was taken back as far as it could be."""

    refused: list[Skipped] = Field(description="What could not be put back, and why.")
