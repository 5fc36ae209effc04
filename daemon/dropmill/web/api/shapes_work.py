"""What is told of jobs, of the whole, and of what was taken in."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from dropmill.web.api.common import Told
from dropmill.web.api.shapes import Bytes, Format, Hint, Pixels, Shown

Seconds = float


class Rendition(Told):
    id: int = Field(description="`/renditions/{id}` is the picture.")
    name: str = Field(description="As the profile calls it.")
    page: int = Field(description="Of a document, counted from 0.")
    path: Shown
    format: Format
    width: Pixels
    height: Pixels
    size_bytes: Bytes


class Job(Told):
    """One file version, or one URL, and what became of it."""

    id: int = Field(description="Larger than those of earlier ones.")
    inbox: str = Field(description="Name of the inbox or drop-file.")
    source: str = Field(description="The file's path, unprintable characters escaped, or the URL without credentials.")
    state: Literal["scheduled", "available", "executing", "completed", "discarded", "cancelled"] = Field(
        description="discarded: it cannot be processed, and `reason` says why."
    )
    outcome: str | None = Field(description="Of a completed one: published, duplicate, unchanged, moved or superseded.")
    reason: str | None = Field(description="Stable code of what went wrong last.")
    detail: str = Field(description="The same in the words of whoever met it.")
    remedy: str | None = Field(description="What can be done about it.")
    attempts: int = Field(description="How many times it was begun.")
    found_by: str = Field(description="What found the file: event, startup, reconcile, manual, …")
    priority: int = Field(description="1 to 5, most urgent.")
    label: str = Field(description="As it was given; may be empty.")
    sha256: str | None = Field(description="Of its bytes, once they were read.")
    outputs: list[Shown] = Field(description="Paths of its renditions.")
    renditions: list[Rendition] = Field(description="Those that show its picture, its own first.")
    original: str | None = Field(description="Where the original is now, as far as that is known.")
    duplicate_of: dict[str, Any] | None = Field(
        description="Of a duplicate: `job` and `source` of the earlier one, `tier`."
    )
    moved_from: str | None = Field(description="Of a file that was moved: its earlier path.")
    enqueued_at: str | None = Field(description="UTC.")
    scheduled_at: str | None = Field(description="When it is tried again.")
    started_at: str | None = Field(description="UTC, of the latest attempt.")
    finished_at: str | None = Field(description="UTC.")


class Part(Told):
    name: str = Field(description="Which part.")
    status: Literal["ok", "degraded", "failing"] = Field(description="failing: nothing works without it.")
    detail: str = Field(description="What is the matter; names no path.")
    remedy: str = Field(description="What can be done about it.")


class Health(Told):
    status: Literal["ok", "degraded", "failing"] = Field(description="The worst of its parts.")
    live: bool = Field(description="Whether the parts that do the work answer.")
    ready: bool = Field(description="Whether it takes work now.")
    parts: list[Part] = Field(description="Each with a remedy where it is not well.")


class Status(Told):
    """The state of the whole at a glance."""

    state: str = Field(description="starting, running, reloading, draining or stopped.")
    version: str = Field(description="Of dropmill.")
    uptime_seconds: Seconds = Field(description="Since the process started.")
    configuration: dict[str, Any] | None = Field(
        description="When it was applied, and what became of the latest reload."
    )
    paused: bool = Field(description="Whether nothing at all is begun.")
    inboxes: list[dict[str, Any]] = Field(description="Each with its folders, how it is watched, and its numbers.")
    dropfiles: list[dict[str, Any]] = Field(description="Each with how far it was read, and its numbers.")
    downloads: dict[str, Any] = Field(description="What is being fetched, what waits, and which hosts rest.")
    queue: dict[str, Any] = Field(description="Jobs by state, completed ones by outcome.")
    owed: dict[str, int] = Field(description="What is decided and not yet done in the file system.")
    webhooks: list[dict[str, Any]] = Field(description="As `/webhooks`, without the dead letters themselves.")
    workers: dict[str, Any] = Field(description="The processes that decode and render.")
    catalog: dict[str, int] = Field(description="Size of its files in bytes.")
    folders: list[dict[str, Any]] = Field(
        description="Outputs, archives and the like, and the state directory: whether they are well, and what is free there."
    )
    min_free_bytes: int = Field(description="What is to stay free there.")
    duplicates: dict[str, Any] = Field(description="Open groups by tier, and what is still to be looked at.")
    scans: list[dict[str, Any]] = Field(
        description="Scans of libraries that are under way, as `/index/{id}` tells them."
    )
    index: dict[str, Any] = Field(description="The process that finds what resembles what.")
    health: Health = Field(description="As `/health` tells it.")


class Entry(Told):
    at: str | None = Field(description="UTC; null for what is still to come.")
    text: str = Field(description="What happened.")


class Story(Told):
    """The whole life of one file."""

    target: str = Field(description="What was asked about.")
    verdict: str = Field(description="In one sentence.")
    story: list[Entry] = Field(description="In the order of time.")
    now: Any = Field(description="Where everything is now.")
    jobs: list[Any] = Field(description="Of all of its versions.")


class NotRetried(Told):
    id: int = Field(description="Of the job.")
    detail: str = Field(description="Why.")
    hint: Hint


class Retried(Told):
    retried: list[int] = Field(description="Ids of jobs that are tried again.")
    skipped: list[NotRetried] = Field(description="Jobs that cannot be.")


class Paused(Told):
    paused: list[str] = Field(description="Names of inboxes; * stands for all.")


class Reload(Told):
    number: int = Field(description="`configuration.reloads` of the status is this one once it is applied or given up.")


class NotQueued(Told):
    target: str = Field(description="What was asked for.")
    detail: str = Field(description="Why.")
    hint: Hint


class Queued(Told):
    queued: list[int] = Field(description="Ids of the new jobs.")
    skipped: list[NotQueued] = Field(description="What cannot be rendered again.")


class Taken(Told):
    path: Shown
    inbox: str = Field(description="That took it in.")
    note: str = Field(description="What becomes of it.")


class NotTaken(Told):
    path: Shown
    detail: str = Field(description="Why.")
    hint: Hint


class Added(Told):
    added: list[Taken] = Field(description="What was taken in.")
    refused: list[NotTaken] = Field(description="What was not.")


class BadUrl(Told):
    line: int = Field(description="Its number in the list.")
    url: str = Field(description="Without credentials.")
    reason: str = Field(description="Stable code.")
    detail: str = Field(description="Why.")
    hint: Hint


class UrlsAdded(Told):
    inbox: str = Field(description="That took them in.")
    new: int = Field(description="URLs that are to be fetched.")
    known: int = Field(description="URLs that another job answers for.")
    blocked: int = Field(description="How many of the new ones the network policy forbids.")
    refused: list[BadUrl] = Field(description="What is no URL that could be fetched.")
