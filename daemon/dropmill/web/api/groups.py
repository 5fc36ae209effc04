"""Groups of pictures that resemble each other, what a person decides about them, and taking that back."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import ConfigDict, Field
from starlette.responses import Response

from dropmill.control.desk import Desk
from dropmill.model.resemblance import WIDEST_PHASH, Relation, Tier
from dropmill.web.api.common import (
    LARGEST_ID,
    NUMBER,
    Base64,
    Body,
    Flag,
    Id,
    Invalid,
    Json,
    Text,
    at_once,
    bytes_of,
    given,
    path_of,
)
from dropmill.web.api.shapes import (
    Action,
    Batch,
    Duplicate,
    Group,
    GroupPage,
    GroupState,
    Overview,
    Resolved,
    Undone,
    WholeBatch,
)

SomeId = Annotated[int, Field(ge=1, le=LARGEST_ID), NUMBER]
Folder = Annotated[Text | None, Query(description="Only groups with a file below this folder.")]
FolderBytes = Annotated[Base64 | None, Query(description="The same as URL-safe base64 of its bytes.")]


class _Acting(Body):
    action: Action = Field(
        description="keep: all are wanted; dismiss: these are no duplicates; delete: the members but the keeper go to the "
        "trash; move: they go to a folder; link: they become hard links of the keeper."
    )
    folder: Text | None = Field(default=None, description="To move to; below one of `library_roots`.")
    folder_b64: Base64 | None = Field(default=None, description="The same as URL-safe base64 of its bytes.")

    def to(self) -> str | bytes | None:
        """Raises ``NotFound`` for what can be no path."""
        if self.folder_b64 is not None:
            return bytes_of(self.folder_b64)
        return None if self.folder is None else path_of(self.folder)


class Resolution(_Acting):
    keeper: SomeId | None = Field(default=None, description="Another member to keep than the suggested one.")
    members: list[SomeId] | None = Field(
        default=None, max_length=10_000, description="Only these; all but the keeper where left out."
    )
    permanent: Flag = Field(default=False, description="With delete: without the trash. It cannot be undone.")


class Chosen(Body):
    tier: Tier | None = Field(
        default=None,
        description="Only members of this tier, of whatever group: exact means just the copies, also where the group has a "
        "file that is less alike, which stays.",
    )
    inbox: str | None = Field(default=None, description="Groups with a file in it.")
    folder: Text | None = Field(default=None, description="Groups with a file below it.")
    relation: Relation | None = Field(default=None, description="Groups of this relation.")


class BulkResolution(_Acting):
    model_config = ConfigDict(json_schema_extra={"anyOf": [given("groups"), given("filter")]})

    groups: list[SomeId] | None = Field(default=None, max_length=100_000, description="Ids of these alone.")
    filter: Chosen | None = Field(default=None, description="All open groups that fit, or those of `groups` that do.")
    dry_run: Flag = Field(default=False, description="Only tell what would be done.")
    as_of: Annotated[int, Field(ge=0, le=LARGEST_ID), NUMBER] | None = Field(
        default=None,
        description="`as_of` of the dry run that was looked at: groups that have changed since are left out, and counted as "
        "`skipped`.",
    )


def install(api: APIRouter, desk: Desk) -> None:
    _reads(api, desk)
    _resolving(api, desk)
    _batches(api, desk)


def _reads(api: APIRouter, desk: Desk) -> None:
    @api.get("/groups", summary="Groups of pictures that resemble each other", response_model=GroupPage)
    async def groups(
        tier: Tier | None = None,
        inbox: str | None = None,
        folder: Folder = None,
        folder_b64: FolderBytes = None,
        relation: Relation | None = None,
        state: GroupState = "open",
        sort: Literal["reclaimable", "similarity", "newest"] = "reclaimable",
        threshold: Annotated[
            int | None, Query(ge=0, le=WIDEST_PHASH, description="Only groups within so many bits of phash.")
        ] = None,
        cursor: Annotated[str | None, Query(description="`next` of the page before.")] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> Response:
        below = _below(folder, folder_b64)
        return at_once(await desk.groups(tier, inbox, below, relation, state, sort, cursor, limit, threshold))

    @api.get("/groups/{group_id:id}", summary="One group", response_model=Group)
    async def group(group_id: Id) -> Json:
        return await desk.group(group_id)

    @api.get("/duplicates", summary="All open groups, shortly, by their ids", response_model=list[Duplicate])
    async def duplicates(
        tier: Tier | None = None,
        inbox: str | None = None,
        folder: Folder = None,
        folder_b64: FolderBytes = None,
        after: Annotated[int, Query(ge=0, le=LARGEST_ID, description="Only groups with a larger id, to page on.")] = 0,
        limit: Annotated[int, Query(ge=1, le=1000)] = 1000,
    ) -> Response:
        return at_once(await desk.duplicates(tier, inbox, _below(folder, folder_b64), after, limit))


def _below(folder: str | None, folder_b64: str | None) -> str | bytes | None:
    """Raises ``NotFound`` for what can be no path."""
    if folder_b64 is not None:
        return bytes_of(folder_b64)
    return None if folder is None else path_of(folder)


def _resolving(api: APIRouter, desk: Desk) -> None:
    @api.post("/groups/resolve", summary="Act on many groups, or tell what that would do", response_model=Overview)
    async def resolve_many(body: BulkResolution) -> Json:
        if body.groups is None and body.filter is None:
            raise Invalid("which groups are meant is not clear", hint="give groups, or a filter")
        filters = None if body.filter is None else body.filter.model_dump(exclude_none=True)
        return await desk.resolve_many(body.groups, filters, body.action, body.to(), body.dry_run, body.as_of)

    @api.post("/groups/{group_id:id}/resolve", summary="Act on one group", response_model=Resolved)
    async def resolve(group_id: Id, body: Resolution) -> Json:
        return await desk.resolve(group_id, body.action, body.keeper, body.members, body.to(), body.permanent)


def _batches(api: APIRouter, desk: Desk) -> None:
    @api.get("/batches", summary="What was done in one go, newest first", response_model=list[Batch])
    async def batches(
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        before: Annotated[
            int | None, Query(ge=1, le=LARGEST_ID, description="Only batches with a smaller id, to page on.")
        ] = None,
    ) -> list[Json]:
        return await desk.batches(limit, before)

    @api.get("/batches/{batch_id:id}", summary="One batch", response_model=WholeBatch)
    async def batch(batch_id: Id) -> Json:
        return await desk.batch(batch_id)

    @api.post("/batches/{batch_id:id}/undo", summary="Take a whole batch back", response_model=Undone)
    async def undo(batch_id: Id) -> Json:
        return await desk.undo(batch_id)
