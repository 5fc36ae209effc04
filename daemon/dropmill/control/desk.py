"""The desk: everything that the page, the API and the command line can ask for or do, in one place.

Every method returns plain values that JSON can carry. Names of files are shown with their unprintable characters
escaped (W18); paths are absolute. What cannot be done raises a :class:`DropmillError` that carries its remedy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dropmill.control import (
    add,
    duplicates,
    forget,
    groups,
    health,
    images,
    indexing,
    jobs,
    pause,
    preferences,
    reprocess,
    resolve,
    retry,
    settings,
    status,
    undo,
    webhooks,
    why,
)
from dropmill.control import keeper as keeper_rules
from dropmill.control.add_urls import Asked, Wish, add_urls
from dropmill.control.house import House, running
from dropmill.control.previews import PreviewFile, Previews
from dropmill.errors import Conflict
from dropmill.model.job import JobState

Json = dict[str, Any]


class Desk:
    """Works on a running daemon's parts, or on the catalog alone where none runs (``house.live`` is None then)."""

    def __init__(self, house: House) -> None:
        self.house = house
        self._previews = Previews(house)

    def close(self) -> None:
        """Give back threads."""
        self._previews.close()
        self.house.close()

    async def status(self) -> Json:
        """State, inboxes, queue, workers, what is owed, and health: what ``dropmill status --json`` prints."""
        return await status.status(self.house)

    async def health(self) -> Json:
        """``{status: ok|degraded|failing, live, ready, parts: [{name, status, detail, remedy}]}``; never shows paths
        of pictures, and answers within two seconds even where a folder does not (W40)."""
        return await health.health(self.house)

    async def jobs(
        self, state: str | None = None, inbox: str | None = None, limit: int = 100, before: int | None = None
    ) -> list[Json]:
        """Newest first. ``before``: only jobs with a smaller id, to page on; ``limit``: 1 to 1000.

        Raises ``NotFound`` for an unknown state or inbox.
        """
        return await jobs.page(self.house, state, inbox, limit, before)

    async def job(self, job_id: int) -> Json:
        """Raises ``NotFound``."""
        return await jobs.one(self.house, job_id)

    async def rendition_file(self, rendition_id: int) -> tuple[bytes, bytes, str]:
        """Output folder, path below it, and format (jpeg, png, webp, avif) of a visible rendition, by the ``id`` that
        ``jobs`` tells. Raises ``NotFound``."""
        return await jobs.rendition_file(self.house, rendition_id)

    async def why(self, target: str | bytes) -> Json:
        """The whole life of one file, by path (bytes where it is no text), job id or SHA-256.

        Returns ``{target, verdict, story: [{at, text}], now: {...}, jobs: [...]}``.
        """
        return await why.why(self.house, target)

    async def reload(self) -> Json:
        """Apply the configuration as it is in its file now: ``{number}``, that of this reload. Once it is applied, or
        given up, ``status`` says so by ``configuration`` (``reloads`` is that number, ``reloading`` is false).

        Raises ``Refused`` with every finding, and then the earlier one stays in force; ``Conflict`` where no daemon runs.
        """
        if self.house.live is None:
            raise Conflict("no daemon runs", hint="the next start reads the configuration anew", reason="not-running")
        return {"number": await self.house.live.configuration.reload("dropmill reload")}

    async def retry(self, job_id: int) -> Json:
        """Give a discarded job another try, its original put back first; returns the job.

        Raises ``NotFound``, and ``Conflict`` where the job is not discarded, a newer job has the same version in the
        queue (Q13), or the original cannot be put back.
        """
        return await retry.retry(self.house, job_id)

    async def retry_all(self) -> Json:
        """Every discarded job: ``{retried: [id], skipped: [{id, detail, hint}]}``."""
        return await retry.retry_all(self.house)

    async def cancel(self, job_id: int) -> Json:
        """Raises ``NotFound``, and ``Conflict`` for a job that has ended."""
        return await jobs.cancel(self.house, job_id)

    async def pause(self, inbox: str | None = None) -> Json:
        """Start no further jobs of one inbox, or of all; kept across restarts. Returns ``{paused: [names or *]}``."""
        return await pause.pause(self.house, inbox)

    async def resume(self, inbox: str | None = None) -> Json:
        """The opposite. Without an inbox everything runs again, single inboxes that were paused included."""
        return await pause.resume(self.house, inbox)

    async def reprocess(self, target: str | bytes) -> Json:
        """Render again, by path, job id or inbox name: ``{queued: [job id], skipped: [{target, detail, hint}]}``.

        Raises ``NotFound`` and ``Conflict`` where a single target cannot be.
        """
        return await reprocess.reprocess(self.house, target)

    async def add(
        self,
        paths: Sequence[str | bytes],
        inbox: str | None = None,
        priority: int | None = None,
        label: str | None = None,
    ) -> Json:
        """Take files and URLs in now: ``{added: [{path, inbox, note}], refused: [{path, detail, hint}]}``.

        A file inside an inbox stays where it is; one from elsewhere is copied into ``inbox``, which may be left out
        where there is only one. For URLs it may be a drop-file too, and each tells its ``job``.
        """
        return await add.add(self.house, paths, inbox, priority, label)

    async def add_urls(
        self, urls: Sequence[Json], inbox: str | None = None, priority: int | None = None, label: str | None = None
    ) -> Json:
        """Queue a lot of a list: ``{inbox, new, known, blocked, refused: [{line, url, reason, detail, hint}]}``.

        ``urls``: ``{url, line, fields}`` each, with the fields of a drop-file's line, which go before what is said for
        all. ``known``: another job answers for it; ``blocked``: how many of the new ones the network policy forbids.
        Raises ``NotFound``, and ``Conflict`` where an inbox or drop-file has to be named.
        """
        asked = [Asked(str(one["url"]), dict(one.get("fields", {})), int(one.get("line", 0))) for one in urls]
        return await add_urls(self.house, asked, Wish(inbox, priority, label))

    # Who resembles whom.

    async def groups(
        self,
        tier: str | None = None,
        inbox: str | None = None,
        folder: str | bytes | None = None,
        relation: str | None = None,
        state: str = "open",
        sort: str = "reclaimable",
        cursor: str | None = None,
        limit: int = 50,
        threshold: int | None = None,
    ) -> Json:
        """``{groups, next, total, reclaimable_bytes}``; ``next`` is the ``cursor`` of the following page, or None.

        ``threshold``: only groups whose members are all within so many bits of phash of their keeper.
        Raises ``NotFound`` for an unknown inbox, tier, relation, state or sort, and for a cursor that is none.
        """
        return await groups.page(self.house, tier, inbox, folder, relation, state, sort, cursor, limit, threshold)

    async def group(self, group_id: int) -> Json:
        """Raises ``NotFound``."""
        return await groups.one(self.house, group_id)

    async def duplicates(
        self,
        tier: str | None = None,
        inbox: str | None = None,
        folder: str | bytes | None = None,
        after: int = 0,
        limit: int = 1000,
    ) -> list[Json]:
        """What ``dropmill duplicates --json`` prints: ``{id, tier, keeper, members: [{path, sha256, phash, distance,
        relation}]}`` of each open group, by id; ``after`` is the id of the last one before. With ``tier`` the keepers
        and the members of that tier. Raises ``NotFound`` for an unknown tier or inbox."""
        return await duplicates.duplicates(self.house, tier, inbox, folder, after, limit)

    async def image(self, image_id: int) -> Json:
        """What a content is, and which files hold it. Raises ``NotFound``."""
        return await images.one(self.house, image_id)

    async def images(self, source: str | bytes, cursor: str | None = None, limit: int = 50) -> Json:
        """``{images, next}``: the contents that a path holds or held, or that came of a URL, the newest first, each as
        ``image``; ``next`` is the ``cursor`` of the following page, or None. Raises ``NotFound`` for what is neither, and
        for a cursor that is none."""
        return await images.of_source(self.house, source, cursor, limit)

    async def image_metadata(self, image_id: int) -> Json:
        """What the picture says of itself, and what was measured on it. Raises ``NotFound``."""
        return await images.metadata(self.house, image_id)

    async def keeper_preview(self, rules: Json) -> Json:
        """What other rules would keep in the open groups, as they are drawn now: ``{groups, of, changed, chosen, examples:
        [{group, tier, keeper, keeper_path, instead, instead_path, reasons}]}``. Changes nothing.

        ``rules``: as in the table [keeper]; what is left out is as configured. ``chosen``: groups whose keeper a person
        named, which no rule changes. Of very many, the oldest ``groups`` are looked at. Raises ``Conflict`` for rules that
        the configuration could not have.
        """
        return await keeper_rules.preview(self.house, rules)

    async def preview_file(self, image_id: int, size: int) -> PreviewFile:
        """A JPEG of at most ``size`` (320 or 1280) pixels, made where it is not there yet. Raises ``NotFound``, and
        ``Unavailable`` where that may pass."""
        return await self._previews.file(image_id, size)

    # What a person decides.

    async def resolve(
        self,
        group_id: int,
        action: str,
        keeper: int | None = None,
        members: Sequence[int] | None = None,
        folder: str | bytes | None = None,
        permanent: bool = False,
    ) -> Json:
        """``{batch, action, state, done: [member id], skipped: [{member, path, detail, hint}]}``. A large batch may go on in
        the background: ``state`` is doing then. ``keep`` with no ``members`` chosen only names the ``keeper``.

        Raises ``NotFound``, ``Conflict`` where nothing would come of it, and ``Forbidden`` for a folder that nothing may be
        moved to, or where nothing may be deleted for good.
        """
        return await resolve.resolve(self.house, group_id, action, keeper, members, folder, permanent)

    async def resolve_many(
        self,
        groups: Sequence[int] | None,
        filter: Json | None,  # noqa: A002  # As the API calls it.
        action: str,
        folder: str | bytes | None = None,
        dry_run: bool = False,
        as_of: int | None = None,
    ) -> Json:
        """``{groups, members, bytes, by_tier: {tier: {groups, members, bytes}}, left: [{groups, members, detail, hint}],
        examples, as_of, skipped}``: groups in which it comes to anything, and what it leaves; with ``batch`` unless it is a
        ``dry_run``: the batch goes on in the background. ``filter``: all groups that fit, or those of ``groups`` that do, by
        inbox, folder, relation and threshold; ``tier`` chooses members instead, in whatever group. ``as_of``, in milliseconds of UTC: what the dry run has told; groups that changed
        later are ``skipped``, so that nothing is done that nobody has seen. Raises as ``resolve``."""
        return await resolve.resolve_many(self.house, groups, filter, action, folder, dry_run, as_of)

    async def batches(self, limit: int = 50, before: int | None = None) -> list[Json]:
        """Newest first: ``{id, action, state, permanent, groups, files, done, skipped, undone, bytes, undoable, …}``."""
        return await undo.page(self.house, limit, before)

    async def batch(self, batch_id: int) -> Json:
        """With ``items``, its files: ``{member, group, path, kept_at, state, detail, hint, …}``. Raises ``NotFound``."""
        return await undo.one(self.house, batch_id)

    async def undo(self, batch_id: int) -> Json:
        """Take a whole batch back, or as much of it as can be: the batch with ``refused: [{member, path, detail, hint}]``.

        It can be asked for again once nothing is in the way any more. Raises ``NotFound``, and ``Conflict`` where nothing
        is left to be taken back.
        """
        return await undo.undo(self.house, batch_id)

    async def preferences(self) -> list[Json]:
        """What can be changed at runtime: ``{name, value, configured, changed, type, description}`` of each."""
        return await preferences.all_of(self.house)

    async def set_preferences(self, changes: Json) -> list[Json]:
        """None takes a preference back to the configured value. Returns ``preferences``.

        Raises ``NotFound``, ``Conflict`` for a value that cannot be, ``Forbidden`` for a folder that nothing may be moved to.
        """
        return await preferences.change(self.house, changes)

    async def preview_preferences(self, changes: Json) -> Json:
        """What would change: ``{groups_now, groups_then, by_tier: {tier: {now, then}}, …}``. Changes nothing."""
        return await preferences.preview(self.house, changes)

    # Libraries.

    async def index(self, folders: Sequence[str | bytes], workers: int | None = None, rehash: bool = False) -> Json:
        """Catalogue libraries in place: ``{id}``; ``rehash``: read only what an earlier version hashed, of all where no
        folder is named. Raises ``Forbidden`` for a folder outside ``library_roots``, ``NotFound`` for one that is none,
        ``Conflict`` where no daemon runs."""
        return await indexing.index(self.house, folders, workers, rehash)

    async def scans(self) -> list[Json]:
        """Newest first, each as ``scan``."""
        return await indexing.all_scans(self.house)

    async def scan(self, scan_id: int) -> Json:
        """``{id, folders, rehash, workers, state: running|done|cancelled|failed, files, total_files, unchanged, indexed,
        ignored, refused, vanished, read_bytes, total_bytes, files_per_second, eta_seconds, reasons: {reason: files},
        refused_files: [{path, reason, detail}] (the first 50), notes: [text], started_at, ended_at, detail}``. Raises ``NotFound``."""
        return await indexing.one(self.house, scan_id)

    async def cancel_scan(self, scan_id: int) -> Json:
        """What was catalogued stays. Raises ``NotFound``, and ``Conflict`` for one that has ended."""
        return await indexing.cancel(self.house, scan_id)

    async def refused(self, cursor: str | None = None, limit: int = 100) -> Json:
        """Files of libraries that should be pictures and are not catalogued: ``{files: [{path, size_bytes, reason, detail,
        remedy, seen_at}], next, total}``; ``next`` is the ``cursor`` of the following page, or None. Raises ``NotFound`` for
        a cursor that is none."""
        return await indexing.refused(self.house, cursor, limit)

    async def forget(self, target: str | bytes) -> Json:
        """Take an image and its hashes from the catalog, by path or SHA-256 (or its first 8 digits at least); no file is
        touched, and there is no undo: ``{image, sha256, files: [path], renditions: [path], notes: [text]}``.

        Raises ``NotFound``, and ``Conflict`` for a folder and while anything of the image is still to be done.
        """
        return await forget.forget(self.house, target)

    # How it is set up, and how it went.

    async def settings(self) -> Json:
        """``{file, applied_at, settings: [{key, value, origin, secret, description}], preferences}``; secrets and
        headers are withheld. Raises ``Conflict`` where no daemon runs."""
        return settings.told(self.house) | {"preferences": await self.preferences()}

    # Who is told.

    async def webhooks(self) -> list[Json]:
        """``{name, url, events, inboxes, configured, state: ok|failing|disabled|not configured, waiting, dead_letters,
        delivered, …, letters: [{id, type, job, at, attempts, status, reason, detail}]}`` of each; never a secret."""
        return await webhooks.all_of(self.house)

    async def enable_webhook(self, name: str) -> Json:
        """Take up one that was disabled; returns it as ``webhooks`` does. Raises ``NotFound``."""
        return await webhooks.enable(self.house, name)

    async def retry_webhook(self, name: str) -> Json:
        """Its dead letters are sent again: ``{webhook, retried}``. Raises ``NotFound``."""
        return await webhooks.retry(self.house, name)

    async def forget_webhook(self, name: str) -> Json:
        """Let its dead letters go; of one that is not configured any more, all that it was to be told:
        ``{webhook, forgotten}``. Raises ``NotFound``."""
        return await webhooks.forget(self.house, name)

    async def test_webhook(self, name: str) -> Json:
        """Send a signed test event: ``{webhook, id, delivered, status, reason, detail, remedy, seconds}``. Raises ``NotFound``,
        and ``ConfigurationError`` for a secret that cannot be read."""
        return await webhooks.trial(self.house, name)

    async def history(self) -> Json:
        """``{started_at, step_seconds, minutes}``: the last day of the running daemon."""
        return running(self.house).history.told()


JOB_STATES = tuple(state.value for state in JobState)
