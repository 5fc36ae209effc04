"""``dropmill index``: catalogue libraries where they are, through the daemon or, where none runs, by this process itself."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from dropmill.cli import common
from dropmill.cli.changing import number_of
from dropmill.cli.common import ConfigOption, JsonOption, guarded
from dropmill.errors import Conflict, NotReachable

if TYPE_CHECKING:
    from dropmill.settings import Settings

Json = dict[str, Any]
POLL_SECONDS: Final = 0.5
PATIENCE_SECONDS: Final = 60.0
MOST_NAMED: Final = 20
# Where nobody sees a line change, one is written this often.
TELL_SECONDS: Final = 30.0


def install(app: typer.Typer) -> None:
    app.command(epilog=common.example("dropmill index /srv/photos", "dropmill index --rehash"))(index)
    app.command(epilog=common.example("dropmill forget /srv/photos/IMG_1.jpg", "dropmill forget 9f86d081"))(forget)


@guarded
def index(
    folders: Annotated[list[str] | None, typer.Argument(help="Libraries to catalogue.", metavar="DIR…")] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", help="Read so many pictures at a time; 0: as workers.processes says.")
    ] = None,
    rehash: Annotated[
        bool,
        typer.Option(
            "--rehash",
            help="Read only what an earlier version has hashed, or what lacks hashes for loose, below DIR or everywhere.",
        ),
    ] = False,
    show: Annotated[bool, typer.Option("--list", help="List the latest runs.")] = False,
    cancel: Annotated[
        int | None,
        typer.Option(
            "--cancel", help="End a run; what it has catalogued stays.", metavar="ID", parser=number_of("scan")
        ),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Catalogue existing libraries in place, so that duplicates are found in them and of them.

    Nothing is rendered, moved or written beside the files. What is known and has not changed is not read again, so a run
    that was cut off is simply started again. With a daemon the work is done by it, in folders below library_roots;
    `dropmill status` tells how far it is. Exit code 3 where files were refused.
    """
    if sum((bool(folders) or rehash, show, cancel is not None)) != 1:
        raise typer.BadParameter(
            "give one of these: folders (with or without --rehash), --rehash alone, --list, --cancel ID"
        )
    settings = common.known_settings(config).settings
    if show or cancel is not None:
        _show(settings, cancel, as_json)
        return
    from dropmill.cli.reach import runs
    from dropmill.control.indexing import check

    wanted = [common.absolute(folder) for folder in folders or ()]
    check(len(wanted), workers, rehash)
    for folder in wanted:
        if not os.path.isdir(folder):
            raise _no_folder(folder)
    through = _through_daemon if runs(settings) else _alone
    told = through(settings, wanted, workers, rehash)
    if as_json:
        common.print_json(told)
    else:
        sys.stdout.write(common.printable(summary(told)) + "\n")
    if told["state"] != "done":
        raise typer.Exit(130 if told["state"] == "cancelled" else 1)
    if told["refused"]:
        raise typer.Exit(3)


def _no_folder(path: bytes) -> Conflict:
    from dropmill.model.file import shown

    if not os.path.lexists(path):
        return Conflict(f"{shown(path)}: there is no such folder", hint="name folders that are there")
    if os.path.islink(path) and not os.path.exists(path):
        return Conflict(f"{shown(path)} is a link that leads nowhere", hint="name folders that are there")
    above = shlex.quote(shown(os.path.dirname(path)))
    return Conflict(
        f"{shown(path)} is a file, and libraries are folders",
        hint=f"name the folder that it is in: dropmill index {above}; what has not changed there is not read again",
    )


@guarded
def forget(
    target: Annotated[
        str, typer.Argument(help="A file's path, or a SHA-256 or its first 8 digits at least.", metavar="PATH|SHA")
    ],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a picture and its hashes out of the catalog.

    No file is touched: originals and renditions stay where they are, but dropmill does not know them any more. Dropped
    again, the picture is new. All files with the same bytes are meant. There is no undo.
    """
    from dropmill.cli.reach import ask

    digest = re.fullmatch(r"[0-9A-Fa-f]{8,64}", target) and not os.path.lexists(os.fsencode(target))
    wanted = target if digest else common.absolute(target)
    told = ask(common.known_settings(config).settings, "forget", wanted, change=True)
    if as_json:
        common.print_json(told)
        return
    lines = [f"forgotten: SHA-256 {told['sha256']}"]
    lines += [f"  file: {path} (it stays)" for path in told["files"]]
    lines += [f"  rendition: {path} (it stays)" for path in told["renditions"]]
    lines += [f"note: {note}" for note in told["notes"]]
    sys.stdout.write("\n".join(map(common.printable, lines)) + "\n")


def summary(told: Json) -> str:
    """What a run did, in a few lines."""
    from dropmill.control.describe import counted

    if told["rehash"]:
        return _rehash_summary(told)
    words = [f"{told['indexed']} indexed", f"{told['unchanged']} unchanged"]
    if told["ignored"]:
        words.append(f"{told['ignored']} passed over")
    if told["vanished"]:
        words.append(f"{told['vanished']} vanished")
    if told["refused"]:
        why = ", ".join(f"{number} {reason}" for reason, number in sorted(told["reasons"].items()))
        words.append(f"{told['refused']} refused ({why})")
    lines = [f"{counted(told['files'], 'file')} looked at{_how_far(told)}: {', '.join(words)}"]
    for one in told["refused_files"][:MOST_NAMED]:
        detail = f" ({one['detail']})" if one["detail"] else ""
        lines.append(f"  {one['path']}: {one['reason']}{detail}")
    if told["refused"] > MOST_NAMED:
        lines.append(f"  … and {told['refused'] - MOST_NAMED} more")
    lines += [f"note: {note}" for note in told["notes"]]
    if told["detail"]:
        lines.append(told["detail"])
    if told["state"] == "cancelled":
        lines.append("what was catalogued stays; run it again to go on")
    return "\n".join(lines)


def _rehash_summary(told: Json) -> str:
    from dropmill.control.describe import counted

    if not told["files"]:
        return "no picture has to be hashed anew"
    words = [f"{told['indexed']} hashed anew"]
    if told["ignored"]:
        words.append(f"{told['ignored']} elsewhere")
    if told["refused"]:
        words.append(f"{told['refused']} could not be read")
    which = counted(told["files"], "picture")
    lines = [f"{which} with older hashes, or without those of parts, looked at{_how_far(told)}: {', '.join(words)}"]
    return "\n".join([*lines, *(f"note: {note}" for note in told["notes"])])


def _how_far(told: Json) -> str:
    return {"cancelled": " before it was cancelled", "failed": " before it failed"}.get(told["state"], "")


def line(told: Json) -> str:
    """How far a run is, in one line."""
    total = f" of {told['total_files']}" if told["total_files"] else ""
    words = [f"{told['files']}{total} files", f"{told['indexed']} indexed"]
    if told["unchanged"]:
        words.append(f"{told['unchanged']} unchanged")
    if told["refused"]:
        words.append(f"{told['refused']} refused")
    if told["files_per_second"]:
        words.append(f"{told['files_per_second']:g} files/s")
    if told["eta_seconds"] is not None:
        words.append(f"{_duration(told['eta_seconds'])} left")
    if told["detail"]:
        words.append(told["detail"])
    return ", ".join(words)


def _duration(seconds: int) -> str:
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _show(settings: Settings, cancel: int | None, as_json: bool) -> None:
    from dropmill.cli.reach import ask

    if cancel is not None:
        told = ask(settings, "cancel_scan", cancel, change=True)
        shown = [told]
    else:
        told = ask(settings, "scans")
        shown = told
    if as_json:
        common.print_json(told)
        return
    for one in shown:
        what = ", ".join(one["folders"]) or "all that is catalogued"
        lines = f"{one['id']}  {one['state']}  {one['started_at']}  {what}{' (rehash)' if one['rehash'] else ''}\n    "
        sys.stdout.write(common.printable(lines.rstrip("\n ")) + "\n    " + common.printable(line(one)) + "\n")
    if not shown:
        sys.stdout.write("nothing was indexed yet: dropmill index DIR\n")


class _Shown:
    """One line on standard error that changes on a terminal, and comes now and then elsewhere."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._live = sys.stderr.isatty()
        self._latest = monotonic()

    def __call__(self, told: Json) -> None:
        if told["state"] == "running":
            self.say(common.printable(line(told)))

    def say(self, text: str) -> None:
        if self._live:
            sys.stderr.write(f"\r\x1b[K{text}")
        elif self._monotonic() - self._latest >= TELL_SECONDS:
            self._latest = self._monotonic()
            sys.stderr.write(text + "\n")
        sys.stderr.flush()

    def end(self) -> None:
        if self._live:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def _through_daemon(settings: Settings, folders: list[bytes], workers: int | None, rehash: bool) -> Json:
    import anyio

    from dropmill.cli.reach import ask, below_roots, runs
    from dropmill.observe.clock import SystemClock

    clock = SystemClock()
    named = [below_roots(settings, folder) for folder in folders]
    scan_id = ask(settings, "index", named, workers, rehash)["id"]
    shown = _Shown(clock.monotonic)
    heard_at = clock.monotonic()
    try:
        while True:
            if not runs(settings):
                raise NotReachable("the daemon has ended", hint="its next start goes on with it: dropmill index --list")
            try:
                told: Json = ask(settings, "scan", scan_id)
            except NotReachable:  # As while it applies another configuration.
                if clock.monotonic() - heard_at > PATIENCE_SECONDS:
                    raise
            else:
                heard_at = clock.monotonic()
                if told["state"] != "running":
                    return told
                shown(told)
            anyio.run(clock.sleep, POLL_SECONDS)
    except KeyboardInterrupt:
        shown.end()
        sys.stderr.write(
            f"the daemon goes on with it: dropmill index --list shows how far, dropmill index --cancel {scan_id} ends it\n"
        )
        raise
    finally:
        shown.end()


def _alone(settings: Settings, folders: list[bytes], workers: int | None, rehash: bool) -> Json:
    import anyio

    os.umask(0o022)  # As for the daemon: others may read the catalog.
    return anyio.run(_carry_out, settings, folders, workers, rehash)


async def _carry_out(settings: Settings, folders: list[bytes], workers: int | None, rehash: bool) -> Json:
    import signal

    import anyio

    from dropmill.assembly.libraries import alone
    from dropmill.cli.reach import heif_installed
    from dropmill.control.indexing import describe
    from dropmill.files.lease import ignore_sigio
    from dropmill.model.resemblance import Tier
    from dropmill.observe.clock import SystemClock
    from dropmill.store import scans

    ignore_sigio()
    clock = SystemClock()
    shown = _Shown(clock.monotonic)
    async with alone(settings, clock, _unheard, heif=heif_installed()) as bench:
        scan_id = await bench.indexer.begin(folders, workers or 0, rehash)

        async def told() -> Json:
            row = await bench.catalog.read(lambda session: scans.get(session, scan_id))
            if row is None:
                raise AssertionError("scans are never removed")
            return describe(row, bench.indexer.counts(scan_id))

        async def show() -> None:
            while True:
                shown(await told())
                await clock.sleep(POLL_SECONDS)

        async def hear() -> None:
            with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
                async for _ in signals:
                    if not await bench.indexer.cancel(scan_id):
                        group.cancel_scope.cancel()  # It compares; the rest is compared by the next daemon or run.

        async with anyio.create_task_group() as group:
            group.start_soon(show)
            group.start_soon(hear)
            await bench.carry_out(scan_id)
            done = await told()
            if done["state"] == "done":
                shown.say("comparing what is catalogued")
                await bench.compare()
                if bench.indexer.older:
                    done["notes"].append(_older(bench.indexer.older, parts=Tier.LOOSE in settings.tiers))
            group.cancel_scope.cancel()
        shown.end()
        return done


def _older(pictures: int, *, parts: bool) -> str:
    from dropmill.control.describe import counted

    which = ", or none of parts, which loose goes by" if parts else ""
    return f"{counted(pictures, 'picture')} with hashes of an earlier version{which}: dropmill index --rehash"


def _unheard(_fact: object) -> None:
    """The catalog and the summary tell what was done; no log runs that could."""
