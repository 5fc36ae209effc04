"""An inbox as the stages see it: settings resolved to folders, their ids in the catalog, and what becomes of files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from dropmill.model.duplicates import Policies
from dropmill.model.image import Limits, Recipe

# What is added to an inbox's name for the inbox of the URLs that are added to it.
URLS_SUFFIX: Final = ".urls"


@dataclass(frozen=True, slots=True)
class Root:
    """A named folder: its id in the catalog and where it is at present.

    ``standing``: which directory on which mount it was when it was last met; empty where that is not to be held to.
    """

    id: int
    path: bytes
    standing: str = ""


@dataclass(frozen=True, slots=True)
class Inbox:
    name: str
    root: Root
    output: Root
    output_uuid: str
    recipe: Recipe
    recipe_digest: str
    limits: Limits
    names: str
    on_success: Literal["archive", "keep", "delete"]
    archive: Root | None
    on_duplicate: Literal["keep", "move", "delete"]
    duplicates: Root | None
    quarantine: Root | None
    on_source_changed: Literal["replace", "version"]
    on_source_deleted: Literal["keep", "remove"]
    on_unsupported: Literal["ignore", "quarantine"]
    dedupe_scope: Literal["output", "inbox", "global"]
    policies: Policies
    settle_seconds: float
    settle_max_seconds: float
    incomplete_timeout_seconds: float
    done_suffix: str
    recursive: bool
    watch: Literal["auto", "events", "poll"]
    poll_seconds: float
    reconcile_seconds: float
    ignore: tuple[str, ...]
    companions: tuple[str, ...]
    hard_links: Literal["own", "any"]
    receipts: bool
    priority: int
    label: str
    mode: int
    dir_mode: int
    gid: int
    takes_lists: bool = False
    """Files named ``*.urls`` are lists of URLs."""
    urls: bool = False
    """Its pictures are downloads: the root is a private folder, and a path in it stands for a URL."""

    @property
    def takes_unsupported(self) -> bool:
        """Whether files of known kinds outside the allow-list become jobs, to be refused and quarantined."""
        return self.on_unsupported == "quarantine" and self.quarantine is not None

    @property
    def keeps_originals(self) -> bool:
        return self.on_success == "keep"
