"""The desk: everything that the page, the API and the command line can ask for or do, in one place.

Every method returns plain values that JSON can carry. Names of files are shown with their unprintable characters
escaped (W18); paths are absolute. What cannot be done raises a :class:`DropmillError` that carries its remedy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dropmill.control import add, health, jobs, pause, reprocess, retry, status, why
from dropmill.control.add_urls import Asked, Wish, add_urls
from dropmill.control.house import House
from dropmill.errors import Conflict
from dropmill.model.job import JobState

Json = dict[str, Any]


class Desk:
    """Works on a running daemon's parts, or on the catalog alone where none runs (``house.live`` is None then)."""

    def __init__(self, house: House) -> None:
        self.house = house

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


JOB_STATES = tuple(state.value for state in JobState)
