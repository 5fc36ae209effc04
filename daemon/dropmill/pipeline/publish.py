"""Staged renditions become visible, by PROTOCOL 7 to 9. What is owed is in the catalog, so a crash changes nothing."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence

from dropmill.files import publish as files
from dropmill.files.access import Missing, signature
from dropmill.files.lane import Lane
from dropmill.files.roots import read_identity
from dropmill.model.backoff import owed_wait_seconds
from dropmill.model.file import Signature
from dropmill.model.inbox import Inbox
from dropmill.model.names import with_suffix
from dropmill.model.publication import Publication, Retirement, suffixes
from dropmill.observe.facts import Emit, Fact, OwedLater, PublicationFailed, RenditionLost, RenditionVisible
from dropmill.observe.flight import Flight
from dropmill.ports import Clock
from dropmill.store import owed
from dropmill.store.catalog import Catalog

Attempted = tuple[Publication, files.PublishResult | OSError]


class Publisher:
    """Drains what is owed to one output at a time; ``drain`` may be called for several at once."""

    def __init__(
        self,
        catalog: Catalog,
        inboxes: Mapping[int, Inbox],
        lanes: Mapping[bytes, Lane],
        clock: Clock,
        chance: random.Random,
        emit: Emit,
        flight: Flight,
        reopened: Callable[[], None],
    ) -> None:
        """``inboxes``: one inbox per output, by the output's id. ``lanes``: by the output's path. ``reopened``: a job
        is in the queue again."""
        self._catalog = catalog
        self._inboxes = inboxes
        self._lanes = lanes
        self._clock = clock
        self._chance = chance
        self._emit = emit
        self._flight = flight
        self._reopened = reopened

    async def drain(self, output_id: int) -> bool:
        """Do what is due to an output once over; True if anything was done, so that more may be due."""
        now_ms = self._clock.now_ms()
        due, retirements = await self._catalog.read(
            lambda session: (
                owed.due_publications(session, [output_id], now_ms),
                owed.due_retirements(session, [output_id], now_ms),
            )
        )
        if due:
            with self._flight.stage("publish"):
                await self._publish(due)
        if retirements:
            with self._flight.stage("publish"):
                await self._retire(retirements)
        return bool(due or retirements)

    async def _publish(self, publications: list[Publication]) -> None:
        """All of one output, in its lane, then one transaction."""
        inbox = self._inboxes[publications[0].output_id]
        attempted = await self._lanes[inbox.output.path].call(move_into_place, inbox, publications)
        facts = await self._catalog.write(lambda session: self._record(session, attempted), patient=True)
        for fact in facts:
            self._emit(fact)
        if any(isinstance(fact, RenditionLost | PublicationFailed) for fact in facts):
            self._reopened()

    def _record(self, session: owed.Session, attempted: Sequence[Attempted]) -> list[Fact]:
        facts: list[Fact] = []
        now_ms = self._clock.now_ms()
        renamed: set[int] = set()
        lost: dict[int, list[Publication]] = {}
        for publication, result in attempted:
            path = publication.output + b"/" + publication.final_name
            match result:
                case files.Published(ino=ino) | files.Adopted(ino=ino):
                    adopted = isinstance(result, files.Adopted)
                    owed.visible(session, publication, ino, adopted=adopted, now_ms=now_ms)
                    facts.append(
                        RenditionVisible(publication.job_id, publication.inbox, path, publication.size_bytes, adopted)
                    )
                case files.NameTaken():
                    if publication.job_id not in renamed:
                        renamed.add(publication.job_id)
                        self._rename(
                            session, [p for p, r in attempted if p.job_id == publication.job_id and not _done(r)]
                        )
                case files.Lost():
                    lost.setdefault(publication.job_id, []).append(publication)
                case error:
                    wait = self._wait(publication.attempts)
                    detail = error.strerror or str(error)
                    owed.publication_later(session, publication.id, now_ms + int(wait * 1000), detail)
                    facts.append(OwedLater("publication", publication.job_id, path, detail, wait))
        for job_id, publications in lost.items():
            facts += self._lose(session, job_id, publications)
        return facts

    def _lose(self, session: owed.Session, job_id: int, publications: Sequence[Publication]) -> Iterator[Fact]:
        """What is nowhere any more is rendered again, a few times; then a person has to look."""
        detail = "its staged file is gone, and what has its final name is not it"
        again = owed.render_again(session, job_id, {publication.id for publication in publications}, detail)
        for publication in publications:
            path = publication.output + b"/" + publication.final_name
            if again:
                yield RenditionLost(job_id, publication.inbox, path)
            else:
                owed.failed(session, publication, detail)
                yield PublicationFailed(job_id, path, detail)

    def _rename(self, session: owed.Session, publications: Sequence[Publication]) -> None:
        """One further suffix for all renditions of the job that are not visible yet; committed before the next try."""
        sha256 = owed.source_sha256(session, publications[0].job_id)
        for suffix in filter(None, suffixes(sha256, publications[0].job_id)):
            names = [(p.id, with_suffix(p.final_name, suffix, _tail(p))) for p in publications]
            if owed.rename(session, names):
                return

    async def _retire(self, retirements: Sequence[Retirement]) -> None:
        answers = [(retirement, await self._take_away(retirement)) for retirement in retirements]

        def record(session: owed.Session) -> None:
            for retirement, error in answers:
                if error is None:
                    owed.retired(session, retirement.id)
                else:
                    at_ms = self._clock.now_ms() + int(self._wait(retirement.attempts) * 1000)
                    owed.publication_later(session, retirement.id, at_ms, error.strerror or str(error))

        await self._catalog.write(record)

    async def _take_away(self, retirement: Retirement) -> OSError | None:
        lane = self._lanes.get(retirement.output)
        if lane is None:
            return OSError(0, "its output is not configured any more")
        try:
            if retirement.removable:
                await lane.call(
                    files.retire, retirement.output, retirement.final_name, retirement.ino, retirement.sha256
                )
        except OSError as error:
            return error
        return None

    def _wait(self, attempts: int) -> float:
        return owed_wait_seconds(attempts, self._chance)


def move_into_place(inbox: Inbox, publications: Sequence[Publication]) -> list[Attempted]:
    """Blocking. Only on the recorded mount does a missing staged file mean anything (PROTOCOL 8)."""
    try:
        if read_identity(inbox.output.path) != inbox.output_uuid:
            raise OSError(0, "this is not the recorded output, whose disk may not be mounted")
    except OSError as error:
        return [(publication, error) for publication in publications]
    # All renditions of an image get the same new name, so none of them moves where one finds its name taken.
    taken = {publication.job_id for publication in publications if _foreign(publication)}
    # One that has moved already, in a run that died before it could say so, stays where it is (PROTOCOL 8).
    free = [p for p in publications if p.job_id not in taken or _in_place(p)]
    wanted = [
        files.Wanted(p.staged_name, p.ino, p.sha256, p.size_bytes, p.final_name, p.replaces_ino, p.replaces_sha256)
        for p in free
    ]
    results: Sequence[files.PublishResult | OSError]
    try:
        results = files.publish_all(inbox.output.path, wanted, dir_mode=inbox.dir_mode, gid=inbox.gid)
    except OSError as error:
        results = [error] * len(free)
    attempted: list[Attempted] = list(zip(free, results, strict=True))
    tried = {p.id for p in free}
    return attempted + [(p, files.NameTaken()) for p in publications if p.id not in tried]


def _foreign(publication: Publication) -> bool:
    """Whether a file of somebody else has the name. One of the same size may have the same bytes: ``publish`` compares."""
    try:
        seen = signature(publication.output, publication.final_name)
    except OSError:
        return False  # ``publish`` meets the same error and reports it.
    if isinstance(seen, Missing):
        return False
    if not isinstance(seen, Signature):
        return True
    return seen.ino not in {publication.ino, publication.replaces_ino} and seen.size_bytes != publication.size_bytes


def _in_place(publication: Publication) -> bool:
    """Whether the file at the final name is ours. By its inode and size: a look is all that this costs."""
    try:
        seen = signature(publication.output, publication.final_name)
    except OSError:
        return False
    return isinstance(seen, Signature) and (seen.ino, seen.size_bytes) == (publication.ino, publication.size_bytes)


def _done(result: files.PublishResult | OSError) -> bool:
    return isinstance(result, files.Published | files.Adopted | files.Lost)


def _tail(publication: Publication) -> bytes:
    """What follows the source's stem in the default names, so that the suffix stands between the two."""
    name = publication.final_name.rpartition(b"/")[2]
    marker = b"-" + publication.rendition.encode()
    at = name.rfind(marker)
    return name[at:] if at > 0 else b""
