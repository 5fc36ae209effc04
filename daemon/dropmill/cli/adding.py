"""``dropmill add``: files, URLs, and lists of URLs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from dropmill.cli import common, completing
from dropmill.cli.common import ConfigOption, JsonOption, guarded

if TYPE_CHECKING:
    from dropmill.control.lists import Listed, Read
    from dropmill.settings import Settings

Json = dict[str, Any]
# What goes to the daemon at a time; it reads no more than 2 MiB of a request.
LOT_ROWS: Final = 1000
LOT_CHARS: Final = 300_000
# Refused rows that are told one by one.
MOST_TOLD: Final = 20
MOST_TOLD_AS_JSON: Final = 1000


def install(app: typer.Typer) -> None:
    app.command(
        epilog=common.example(
            "dropmill add ~/scan.png",
            "dropmill add *.jpg --inbox camera --priority 5",
            "dropmill add https://example.org/a.jpg",
            "dropmill add --from list.parquet --url-column URL --label-column TEXT",
        )
    )(add)


@guarded
def add(
    targets: Annotated[
        list[str] | None, typer.Argument(help="Files, inside an inbox or from elsewhere, and URLs.", metavar="PATH|URL")
    ] = None,
    inbox: Annotated[
        str | None,
        typer.Option(
            "--inbox",
            help="Which inbox takes files from elsewhere, or which drop-file or inbox URLs.",
            autocompletion=completing.inboxes_and_dropfiles,
        ),
    ] = None,
    priority: Annotated[int | None, typer.Option("--priority", min=1, max=5, help="5 is most urgent.")] = None,
    label: Annotated[str | None, typer.Option("--label", help="Kept in the catalog and in receipts.")] = None,
    source: Annotated[
        str | None, typer.Option("--from", help="A list of URLs: .csv, .tsv, .jsonl, .parquet, or plain lines in .txt.")
    ] = None,
    url_column: Annotated[str | None, typer.Option("--url-column", help='Of a list; "url" where left out.')] = None,
    label_column: Annotated[str | None, typer.Option("--label-column", help="Of a list: a label for each.")] = None,
    sha256_column: Annotated[
        str | None, typer.Option("--sha256-column", help="Of a list: what each download has to be.")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take files and URLs in now.

    Files from elsewhere are copied into an inbox, and stay where they are. URLs go to the only drop-file, else to the only
    inbox, else to the one that --inbox names. The same list may be added again: what is known is not fetched again.
    """
    if bool(targets) == (source is not None):
        raise typer.BadParameter("give files and URLs, or a list with --from")
    columns = [name for name in (url_column, label_column, sha256_column) if name is not None]
    if source is None:
        if columns:
            raise typer.BadParameter("columns are those of a list: --from FILE")
        _add(common.known_settings(config).settings, targets or [], inbox, priority, label, as_json)
        return
    from dropmill.control import lists

    path = common.absolute(source)
    if columns and lists.is_plain(path):
        raise typer.BadParameter("a list of plain lines has no columns")
    rows = lists.read(path, lists.Columns(url_column or "url", label_column, sha256_column))
    _add_list(common.known_settings(config).settings, rows, inbox, priority, label, as_json)


def _add(
    settings: Settings, named: list[str], inbox: str | None, priority: int | None, label: str | None, as_json: bool
) -> None:
    from dropmill.cli.reach import ask
    from dropmill.control.add_urls import is_url

    targets = [raw if is_url(raw := os.fsencode(one)) else common.absolute(one) for one in named]
    told = ask(settings, "add", targets, inbox, priority, label, change=True)
    if as_json:
        common.print_json(told)
    else:
        for one in told["added"]:
            sys.stdout.write(f"{one['path']}: {one['note']}\n")
    for one in told["refused"]:
        common.say_error(one["detail"])
        sys.stderr.write(f"hint: {common.printable(one['hint'])}\n")
    if told["refused"]:
        raise typer.Exit(1)


class _Tally:
    """What became of a list so far, and its progress on a terminal."""

    def __init__(self, as_json: bool) -> None:
        self.inbox = ""
        self.new = self.known = self.blocked = self.refused = 0
        self.first_refused: list[Json] = []
        self._as_json = as_json
        self._shows = sys.stderr.isatty()

    def hear(self, told: Json) -> None:
        """The answer to one lot."""
        self.inbox = told["inbox"]
        self.new += told["new"]
        self.known += told["known"]
        self.blocked += told["blocked"]
        for refusal in told["refused"]:
            self.refuse(refusal)
        if self._shows:
            sys.stderr.write(f"\r\x1b[K{self.text()}")
            sys.stderr.flush()

    def refuse(self, refusal: Json) -> None:
        self.refused += 1
        if len(self.first_refused) < MOST_TOLD_AS_JSON:
            self.first_refused.append(refusal)
        if self.refused <= MOST_TOLD:
            self.clear()
            url = f"{refusal['url']}: " if refusal["url"] else ""
            common.say_error(f"line {refusal['line']}: {url}{refusal['detail']}")

    def clear(self) -> None:
        if self._shows:
            sys.stderr.write("\r\x1b[K")

    def text(self) -> str:
        read = self.new + self.known + self.refused
        blocked = f" ({self.blocked:,} of them blocked)" if self.blocked else ""
        return f"{read:,} read: {self.new:,} new{blocked}, {self.known:,} known, {self.refused:,} refused"

    def tell(self) -> None:
        self.clear()
        if self.refused > MOST_TOLD:
            sys.stderr.write(f"… and {self.refused - MOST_TOLD:,} more refused; --json tells of the first thousand\n")
        if self._as_json:
            names = ("inbox", "new", "known", "blocked", "refused", "first_refused")
            read = self.new + self.known + self.refused
            common.print_json({"read": read} | {name: getattr(self, name) for name in names})
            return
        sys.stdout.write(f"{self.text()}\n")
        if self.blocked:
            sys.stdout.write("what is blocked is discarded without a request: dropmill jobs --state discarded\n")


def _add_list(
    settings: Settings, rows: Read, inbox: str | None, priority: int | None, label: str | None, as_json: bool
) -> None:
    from dropmill.cli.reach import ask_many

    tally = _Tally(as_json)

    def calls() -> Iterator[tuple[Any, ...]]:
        for urls in _lots(rows, tally):
            yield urls, inbox, priority, label

    try:
        ask_many(settings, "add_urls", calls(), tally.hear)
    except BaseException:
        tally.clear()
        if tally.new + tally.known:
            # What was taken in stays so; adding the list again goes on behind it.
            sys.stderr.write(f"{tally.text()}, before it broke off; add the list again to go on\n")
        raise
    tally.tell()
    if tally.refused:
        raise typer.Exit(1)


def _lots(rows: Read, tally: _Tally) -> Iterator[list[Json]]:
    """What can be sent, in lots; what cannot is told at once."""
    from dropmill.control.add_urls import hint_of
    from dropmill.control.lists import Unusable, lots

    for lot in lots(rows, LOT_ROWS, LOT_CHARS):
        good: list[Listed] = []
        for row in lot:
            if isinstance(row, Unusable):
                told = {"line": row.line, "url": row.url, "reason": row.reason, "detail": row.detail}
                tally.refuse(told | {"hint": hint_of(row.reason)})
            else:
                good.append(row)
        if good:
            yield [{"url": row.url, "line": row.line, "fields": dict(row.fields)} for row in good]
