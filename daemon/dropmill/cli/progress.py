"""What ``run --once`` shows: bars on a terminal, plain lines elsewhere, and a table at the end."""

from __future__ import annotations

import signal
import sys
from collections import Counter
from collections.abc import Collection, Mapping
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from dropmill.cli import tables
from dropmill.control.describe import counted
from dropmill.model.file import shown
from dropmill.model.outcome import EXPLANATIONS, Outcome, Reason, explained, explained_as_ignored, with_detail
from dropmill.model.url import is_url
from dropmill.observe import facts
from dropmill.observe.facts import Fact
from dropmill.ports import ALL_INBOXES, Clock
from dropmill.store import owed, queries, views
from dropmill.store.catalog import Catalog

# Discarded files that the summary names one by one.
MOST_NAMED: Final = 20
_LIKE: Final = {"near": ", near-duplicate of", "similar": ", similar to", "loose": ", like"}
_WIDE_COLUMNS: Final = 120
_BAR_COLUMNS: Final = 40
_SHORT_BAR_COLUMNS: Final = 10


class Tally:
    """A subscriber that counts what became of the files of this run."""

    def __init__(self, clock: Clock, url_inboxes: Collection[str] = ()) -> None:
        self._url_inboxes = frozenset(url_inboxes)
        self._clock = clock
        self._started = clock.monotonic()
        self.queued = 0
        self.outcomes: Counter[str] = Counter()
        self.discarded: list[facts.Discarded] = []
        self.ignored = 0
        self.size_bytes = 0
        self.renditions = 0
        self.urls = 0
        """Queued jobs that are fetched first."""
        self.fetched = 0
        """URLs that were downloaded, or found to be what they were before."""
        self.received_bytes = 0
        self.refused = 0
        """Lines of drop-files that ask for nothing that could be done."""
        self.left = 0
        """URLs that stay for another run, because their hosts are to be left in peace."""
        self.interrupted_by = ""
        """The signal that ended it before everything was done."""
        self.unfinished = 0
        """Jobs that an interruption leaves in the queue."""
        self.out_of_reach: set[bytes] = set()
        """Drop-files that cannot be read, and results files that cannot be written."""
        self.held: set[str] = set()
        self.undone = 0
        """What is still owed to the file systems, or was given up, at the end."""

    def __call__(self, fact: Fact) -> None:
        match fact:
            case facts.Enqueued(inbox=inbox):
                self.queued += 1
                self.urls += inbox in self._url_inboxes
            case facts.Downloaded(received_bytes=received_bytes):
                self.fetched += 1
                self.received_bytes += received_bytes
            case facts.DownloadFailed(received_bytes=received_bytes):
                self.received_bytes += received_bytes
            case facts.LineRefused():
                self.refused += 1
            case facts.LeftResting(urls=urls):
                self.left = urls
            case facts.Stopping(cause=cause) if cause in signal.Signals.__members__:
                self.interrupted_by = cause
            case facts.Completed(outcome=outcome, size_bytes=size_bytes):
                self.outcomes[outcome] += 1
                self.size_bytes += size_bytes
            case facts.Discarded():
                self.discarded.append(fact)
            case facts.Interrupted(discarded=True):
                self.outcomes["discarded after interruptions"] += 1
            case facts.FileIgnored():
                self.ignored += 1
            case facts.RenditionVisible():
                self.renditions += 1
            case facts.PublicationFailed():
                self.undone += 1
            case facts.DropfileTrouble(path=path):
                self.out_of_reach.add(path)
            case facts.DropfileWell(path=path):
                self.out_of_reach.discard(path)
            case facts.Held(inbox=inbox):
                self.held.add(inbox)
            case facts.Unheld(inbox=inbox):
                self.held.discard(inbox)

    @property
    def done(self) -> int:
        return self.outcomes.total() + len(self.discarded)

    @property
    def seconds(self) -> float:
        return self._clock.monotonic() - self._started

    async def settle_up(self, catalog: Catalog) -> None:
        """Count what is still owed or queued; to be called once the work is over."""
        queued = await catalog.read(views.counts)
        self.unfinished = sum(queued.all(state) for state in ("scheduled", "available", "executing"))
        self.undone += (await catalog.read(owed.counts)).tried_in_vain
        self.undone += await catalog.read(queries.waiting_in_vain)
        self.undone += await catalog.read(lambda session: queries.held_back(session, self.held))
        if ALL_INBOXES in self.held:
            self.undone += 1  # What was dropped and found no room in the queue is still in its inbox.

    @property
    def exit_code(self) -> int:
        """128 and the signal where one ended it, as shells have it; 1 where something could not be done or put into
        place, 3 where files were discarded or lines refused. What waits for its hosts is as it should be."""
        if self.interrupted_by:
            return 128 + signal.Signals[self.interrupted_by]
        if self.undone or self.out_of_reach:
            return 1
        return 3 if self.discarded or self.refused or self.outcomes["discarded after interruptions"] else 0


class Display:
    """A subscriber that shows the tally as it grows. ``is_live``: bars that are redrawn, on a terminal."""

    def __init__(self, tally: Tally, roots: Mapping[str, bytes]) -> None:
        self._tally = tally
        self._roots = roots
        self._console: Console = tables.console()
        self.is_live = self._console.is_terminal and sys.stdout.isatty()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(_BAR_COLUMNS if self._console.width >= _WIDE_COLUMNS else _SHORT_BAR_COLUMNS),
            MofNCompleteColumn(table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(table_column=Column(no_wrap=True)),
            TextColumn("ETA"),
            TimeRemainingColumn(table_column=Column(no_wrap=True)),
            # On a narrow terminal this one is folded, and nothing else.
            TextColumn("{task.fields[counts]}", table_column=Column(overflow="fold")),
            console=self._console,
            disable=not self.is_live,
            refresh_per_second=5,
        )
        self._fetching: TaskID | None = None
        self._task = self._progress.add_task("looking", total=None, rate="", counts="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def __call__(self, fact: Fact) -> None:
        line = self._line(fact)
        if line and (not self.is_live or isinstance(fact, _TROUBLE)):
            tables.say(line, self._console)
        if self.is_live and isinstance(fact, _MOVES):
            self._redraw()

    def _redraw(self) -> None:
        tally = self._tally
        if tally.urls or tally.fetched:
            self._redraw_fetched()
        rate = tally.done / tally.seconds if tally.seconds > 0 else 0.0
        counts = ", ".join(f"{count} {name}" for name, count in sorted(tally.outcomes.items()))
        if tally.discarded:
            counts += f"{', ' if counts else ''}{len(tally.discarded)} discarded"
        self._progress.update(
            self._task,
            description="files",
            completed=tally.done,
            total=max(tally.queued, tally.done),
            rate=f"{rate:.1f}/s",
            counts=counts,
        )

    def _redraw_fetched(self) -> None:
        """A bar of its own above the other one."""
        tally = self._tally
        if self._fetching is None:
            self._progress.remove_task(self._task)
            self._fetching = self._progress.add_task("fetched", total=None, rate="", counts="")
            self._task = self._progress.add_task("files", total=None, rate="", counts="")
        self._progress.update(
            self._fetching,
            completed=tally.fetched,
            total=max(tally.urls, tally.fetched),
            rate=f"{tables.size(tally.received_bytes / max(tally.seconds, 0.001))}/s",
        )

    def _line(self, fact: Fact) -> str:
        match fact:
            case facts.LineRefused(path=path, line=line, url=url, reason=reason, detail=detail):
                of = f" ({shown(url)})" if url else ""
                return f"refused line {line} of {shown(path)}{of}: {reason}: {detail or EXPLANATIONS[reason].cause}"
            case facts.DropfileTrouble(path=path, detail=detail, remedy=remedy):
                return f"{shown(path)} has to wait: {detail}; {remedy}"
            case facts.HostResting(origin=origin, seconds=seconds, detail=detail):
                return f"{origin} is left alone for {tables.duration(seconds)}: {detail}"
            case facts.LeftResting(hosts=hosts, urls=urls, seconds=seconds):
                stay = f"{counted(urls, 'URL')} of {counted(hosts, 'host')} at rest stay in the queue"
                return f"{stay}; run again in {tables.duration(seconds)}"
            case facts.Completed(inbox=inbox, path=path, outcome=outcome, seconds=seconds, anchor=anchor, tier=tier):
                same = " of" if outcome is Outcome.DUPLICATE else ", same as"
                of = f"{_LIKE.get(tier or '', same)} {shown(anchor)}" if anchor is not None else ""
                return f"{outcome} {self._path(inbox, path)}{of} ({seconds:.2f} s)"
            case facts.Discarded(inbox=inbox, path=path, reason=reason, detail=detail):
                why = explained(reason, of_url=is_url(path))
                said = with_detail(reason, why.cause, shown(detail) if is_url(path) else "")
                return f"discarded {self._path(inbox, path)}: {reason}: {said}; {why.remedy}"
            case facts.FileIgnored(inbox=inbox, path=path, reason=Reason.URL_LIST):
                return f"list of URLs {self._path(inbox, path)}"
            case facts.FileIgnored(inbox=inbox, path=path, reason=reason, detail=detail):
                said = with_detail(reason, explained_as_ignored(reason).cause, shown(detail))
                return f"ignored {self._path(inbox, path)}: {reason}: {said}"
            case facts.OwedLater(what=what, path=path, detail=detail):
                return f"{what} {shown(path)} could not be done yet: {detail}"
            case facts.PublicationFailed(path=path, detail=detail):
                return f"publication {shown(path)} failed: {detail}"
            case facts.Held(inbox=inbox, place=place, detail=detail, remedy=remedy):
                return f"inbox {inbox} waits for its {place}: {detail}; {remedy}"
            case facts.StateTrouble(what=what, detail=detail):
                return f"trouble with the catalog ({what}): {detail}"
            case _:
                return ""

    def _path(self, inbox: str, rel: bytes) -> str:
        root = self._roots.get(inbox)
        return shown(root + b"/" + rel if root is not None else rel)  # A URL is whole.

    def summary(self) -> None:
        tally = self._tally
        made = tables.table("outcome", "files", right=("files",))
        for name, count in sorted(tally.outcomes.items()):
            made.add_row(tables.word(name), str(count))
        for reason, count in sorted(Counter(fact.reason.value for fact in tally.discarded).items()):
            made.add_row(Text(f"discarded: {reason}", style="red"), str(count))
        if tally.ignored:
            made.add_row(Text("ignored"), str(tally.ignored))
        if tally.refused:
            made.add_row(Text("refused lines", style="red"), str(tally.refused))
        if tally.left:
            made.add_row(Text("waiting for their hosts", style="yellow"), str(tally.left))
        if not made.row_count and not tally.interrupted_by:
            made.add_row(Text("nothing to do"), "0")
        rate = tally.done / tally.seconds if tally.seconds > 0 else 0.0
        if made.row_count:
            tables.show(made, self._console)
        self._console.print(
            f"{counted(tally.done, 'file')}, {tables.size(tally.size_bytes)} in {tally.seconds:.1f} s ({rate:.1f} files/s), "
            f"{counted(tally.renditions, 'rendition')}"
        )
        if tally.urls or tally.fetched:
            self._console.print(
                f"{counted(tally.fetched, 'URL')} fetched, {tables.size(tally.received_bytes)} received"
            )
        if self.is_live:
            self._name_discarded()
        if tally.undone:
            self._console.print(
                f"{counted(tally.undone, 'thing')} could not be put into place; dropmill status says more"
            )
        if tally.interrupted_by:
            stay = f"{counted(tally.unfinished, 'job')} {'stays' if tally.unfinished == 1 else 'stay'} in the queue"
            self._console.print(
                f"interrupted by {tally.interrupted_by}: {stay}, and what had not been taken in yet waits where it is; "
                "run again to go on"
            )

    def _name_discarded(self) -> None:
        for fact in self._tally.discarded[:MOST_NAMED]:
            self._console.print(Text(f"{fact.reason}: {self._path(fact.inbox, fact.path)}"))
        more = len(self._tally.discarded) - MOST_NAMED
        if more > 0:
            self._console.print(f"and {more} more: dropmill jobs --state discarded")


_TROUBLE: Final = (
    facts.Discarded,
    facts.DropfileTrouble,
    facts.Held,
    facts.HostResting,
    facts.LeftResting,
    facts.LineRefused,
    facts.OwedLater,
    facts.PublicationFailed,
    facts.StateTrouble,
)
_MOVES: Final = (facts.Enqueued, facts.Completed, facts.Discarded, facts.Downloaded, facts.DownloadFailed)
