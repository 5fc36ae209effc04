"""Deciding about duplicates on the command line, looking at what was done, and taking it back."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from dropmill.cli import common, completing
from dropmill.cli.changing import number_of
from dropmill.cli.common import ConfigOption, JsonOption, guarded
from dropmill.cli.duplicates import Tier
from dropmill.errors import Conflict, NotFound

if TYPE_CHECKING:
    from dropmill.settings import Settings

Json = dict[str, Any]
POLL_SECONDS: Final = 0.3


class Action(StrEnum):
    """As ``dropmill.model.batch.Action``, here for help and completion."""

    KEEP = "keep"
    MOVE = "move"
    DELETE = "delete"
    LINK = "link"
    DISMISS = "dismiss"


BatchArgument = Annotated[
    int,
    typer.Argument(help="The batch's id, as `dropmill batches` tells it.", metavar="BATCH", parser=number_of("batch")),
]


def install(app: typer.Typer) -> None:
    app.command(
        epilog=common.example(
            "dropmill resolve 17 --action delete",
            "dropmill resolve 17 --action delete --tier exact",
            "dropmill resolve --all --tier exact --action link --dry-run",
        )
    )(resolve)
    app.command(epilog=common.example("dropmill undo 4"))(undo)
    app.command(epilog=common.example("dropmill batches", "dropmill batches 4 --json"))(batches)


@guarded
def resolve(
    action: Annotated[
        Action,
        typer.Option(
            "--action",
            help="delete: all but the keeper go to the trash; move: to a folder; link: they become hard links to the "
            "keeper, where their bytes are the same; keep: all stay; dismiss: these are no duplicates.",
        ),
    ],
    group: Annotated[
        int | None,
        typer.Argument(help="A group, as `dropmill duplicates` tells it.", metavar="GROUP", parser=number_of("group")),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All open groups, or those that fit the filters.")] = False,
    keeper: Annotated[
        str | None, typer.Option("--keeper", help="Another file to keep than the suggested one: path or member id.")
    ] = None,
    member: Annotated[
        list[str] | None, typer.Option("--member", help="Only this file, by path or member id; can be repeated.")
    ] = None,
    folder: Annotated[
        str | None, typer.Option("--folder", help="With move: where to; else review.default_move.")
    ] = None,
    permanent: Annotated[
        bool,
        typer.Option(
            "--permanent", help="With delete, of one GROUP: for good, without the trash. It cannot be undone."
        ),
    ] = False,
    tier: Annotated[
        Tier | None,
        typer.Option(
            "--tier",
            help="Only files that resemble the one to keep that closely. exact: only the copies, also in groups with files "
            "that are less alike, which stay.",
        ),
    ] = None,
    inbox: Annotated[
        str | None,
        typer.Option("--inbox", help="With --all: only with a file of this inbox.", autocompletion=completing.inboxes),
    ] = None,
    below: Annotated[
        str | None, typer.Option("--below", help="With --all: only with a file below this folder.")
    ] = None,
    relation: Annotated[
        str | None,
        typer.Option(
            "--relation",
            help="With --all: only groups whose least alike file is of this relation. All files of a group are meant.",
            autocompletion=completing.relations,
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be done.")] = False,
    as_of: Annotated[
        int | None,
        typer.Option(
            "--as-of", min=0, help="Leave out groups that have changed since the --dry-run that told this number."
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Decide about one group of duplicates, or about all that fit.

    Before anything is touched, the bytes of each file and of its keeper are compared again. What is done is one batch:
    `dropmill undo` takes the whole of it back, but for what was deleted for good.
    """
    chosen = {"tier": tier.value if tier else None, "inbox": inbox, "relation": relation}
    chosen["folder"] = None if below is None else common.absolute(below).decode("utf-8", "surrogateescape")
    filters = {name: value for name, value in chosen.items() if value is not None}
    by_suggestion = dry_run or bool(filters) or as_of is not None
    if (group is None) != everything:
        raise typer.BadParameter("give one group, or --all")
    _refuse_nonsense(action, permanent, folder)
    if group is None:
        _refuse_of_all(keeper, member, permanent)
    else:
        _refuse_of_one(filters, keeper or member, permanent, as_of, by_suggestion)
    from dropmill.cli.reach import below_roots

    _hear_leases()
    settings = common.known_settings(config).settings
    to = None if folder is None else below_roots(settings, common.absolute(folder))
    if group is None or by_suggestion:
        groups = None if group is None else [group]
        sure = yes or group is not None
        told = _many(settings, groups, filters, action, to, as_of, dry_run=dry_run, yes=sure, as_json=as_json)
    else:
        told = _one(settings, group, action, keeper, member, to, permanent=permanent, yes=yes)
    _tell(told, as_json, _what(settings, action, to, filters) if dry_run else "", dry_run=dry_run)


def _refuse_nonsense(action: Action, permanent: bool, folder: str | None) -> None:
    """Raises ``typer.BadParameter``, as those below."""
    if permanent and action is not Action.DELETE:
        raise typer.BadParameter(
            f"--permanent is for --action delete; {action.value} deletes nothing: leave out --permanent"
        )
    if folder is not None and action is not Action.MOVE:
        raise typer.BadParameter(
            f"--folder is for --action move; to act only on groups with a file below {folder}: --all --below {folder}"
        )


def _refuse_of_all(keeper: str | None, members: Sequence[str] | None, permanent: bool) -> None:
    if keeper is not None or members or permanent:
        raise typer.BadParameter("--keeper, --member and --permanent are for one GROUP: name it instead of --all")


def _refuse_of_one(filters: Json, named: object, permanent: bool, as_of: int | None, by_suggestion: bool) -> None:
    if filters.keys() - {"tier"}:
        raise typer.BadParameter("--inbox, --below and --relation choose among --all groups: leave them out")
    if by_suggestion and named:
        raise typer.BadParameter(
            "--dry-run, --tier and --as-of go by the suggested keeper: leave out --keeper and --member"
        )
    if permanent and (filters or as_of is not None):
        raise typer.BadParameter("with --tier and --as-of files go to the trash: leave out --permanent")


def _hear_leases() -> None:
    """Where no daemon runs, the files are dealt with here, and a lease that is broken must not end this process."""
    from dropmill.files.lease import ignore_sigio

    ignore_sigio()


def _ask(settings: Settings, method: str, *arguments: Any, change: bool = True) -> Any:
    from dropmill.cli.reach import ask

    return ask(settings, method, *arguments, change=change)


def _one(
    settings: Settings,
    group: int,
    action: Action,
    keeper: str | None,
    members: Sequence[str] | None,
    to: bytes | None,
    *,
    permanent: bool,
    yes: bool,
) -> Json:
    known = _ask(settings, "group", group, change=False)["members"] if keeper is not None or members else []
    keeper_id = None if keeper is None else _member(known, keeper)
    ids = [_member(known, name) for name in members] if members else None
    if permanent and not yes and _asks(settings):
        _confirm(
            f"Delete files of group {group} for good? This cannot be undone.",
            "look at it with --dry-run, then give --yes; or leave out --permanent: the trash keeps its files",
        )
    told = _ask(settings, "resolve", group, action.value, keeper_id, ids, to, permanent)
    return _ended(settings, told)


def _asks(settings: Settings) -> bool:
    """Whether somebody is asked once more before anything is deleted for good; where that cannot be told, he is."""
    from dropmill.cli.configuring import changed_at_runtime

    changes, unknown = changed_at_runtime(settings)
    change = changes.get("review.confirm_permanent")
    return bool(unknown) or bool(settings.review.confirm_permanent if change is None else change.value)


def _member(members: Sequence[Json], name: str) -> int:
    """By id or by path."""
    from dropmill.model.file import shown

    path = shown(common.absolute(name))
    for member in members:
        if name == str(member["id"]) or member["path"] == path:
            found: int = member["id"]
            return found
    raise NotFound(
        f"{name} is no member of the group", hint="members: " + ", ".join(one["path"] for one in members[:5])
    )


def _many(
    settings: Settings,
    groups: Sequence[int] | None,
    filters: Json,
    action: Action,
    to: bytes | None,
    as_of: int | None,
    *,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> Json:
    if groups is not None:
        _ask(settings, "group", groups[0], change=False)  # Raises where there is none.
    wanted = filters if filters or groups is None else None
    plan: Json = _ask(settings, "resolve_many", groups, wanted, action.value, to, True, as_of, change=not dry_run)
    if dry_run:
        return plan
    if plan["members"] and not yes:
        if not as_json:
            from dropmill.cli import done

            sys.stdout.write(done.overview(plan, _what(settings, action, to, filters)))
        _confirm(
            f"{action.value.capitalize()} {plan['members']} files of {plan['groups']} groups?",
            "look at it with --dry-run, then give --yes",
        )
    told = _ask(settings, "resolve_many", groups, wanted, action.value, to, False, plan["as_of"])
    if told["skipped"]:
        common.say_error(f"groups that have changed meanwhile, left as they are: {told['skipped']}; look at them again")
    batch = _ended(settings, {**told, "state": "doing"})
    if batch["state"] == "undone" and batch["detail"]:
        raise Conflict(f"batch {batch['id']} came to nothing: {batch['detail']}", hint="ask for it again")
    return {**batch, "skipped_groups": told["skipped"]}


def _what(settings: Settings, action: Action, to: bytes | None, filters: Json) -> str:
    """What would become of the files, and of which, in half a sentence."""
    from dropmill.cli.configuring import changed_at_runtime
    from dropmill.model.file import shown

    told = {
        Action.DELETE: "delete: to the trash",
        Action.LINK: "link: each becomes a hard link to the one that stays",
        Action.KEEP: "keep: all stay",
        Action.DISMISS: "dismiss: they are no duplicates",
    }
    if action in told:
        what = told[action]
    elif to is not None:
        what = f"move: to {shown(to)}"
    else:
        change = changed_at_runtime(settings)[0].get("review.default_move")
        default = settings.review.default_move if change is None else change.value
        what = f"move: to {default}"
    return what + (f"; below {shown(common.absolute(filters['folder']))}" if "folder" in filters else "")


def _confirm(question: str, hint: str) -> None:
    """Raises ``Conflict`` where nobody can be asked."""
    if not sys.stdin.isatty():
        raise Conflict("this needs to be confirmed", hint=hint)
    typer.confirm(question, abort=True, err=True)


def _ended(settings: Settings, told: Json) -> Json:
    """The whole batch, once it has ended."""
    from dropmill.observe.clock import SystemClock

    clock, said = SystemClock(), ""
    while True:
        batch: Json = _ask(settings, "batch", told["batch"], change=False)
        if batch["state"] not in {"doing", "undoing"}:
            return batch
        if batch["detail"] not in {"", said}:
            said = batch["detail"]
            common.say_error(f"batch {batch['id']} is held up, and is tried again by itself: {said}")
        _wait(clock)


def _wait(clock: Any) -> None:
    import anyio

    anyio.run(clock.sleep, POLL_SECONDS)


def _tell(told: Json, as_json: bool, what: str, *, dry_run: bool) -> None:
    from dropmill.cli import done

    if as_json:
        common.print_json(told)
    elif dry_run:
        sys.stdout.write(done.overview(told, what))
        return
    else:
        sys.stdout.write(done.sentence(told) + "\n")
    _left([item for item in told.get("items", []) if item["state"] == "skipped"], as_json)


def _left(items: Sequence[Json], as_json: bool) -> None:
    """What could not be done is an error of the command, however much else was done."""
    if not items:
        return
    if not as_json:
        for item in items:
            common.say_error(f"{item['path']}: {item['detail']}" + (f"; {item['hint']}" if item["hint"] else ""))
    raise typer.Exit(1)


@guarded
def undo(batch: BatchArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Take a whole batch back: its files get their names again, and its decisions are forgotten.

    What is in the way, such as a new file of the same name, stays and is told; the rest is taken back, and the same
    command can be given again. Exit code 1 then.
    """
    from dropmill.control.describe import counted

    _hear_leases()
    settings = common.known_settings(config).settings
    told = _ask(settings, "undo", batch)
    if told["state"] == "undoing":
        told = {"refused": [], **_ended(settings, {"batch": batch})}
        told["refused"] = [one for one in told["items"] if one["state"] in {"done", "purged"}]
    if as_json:
        common.print_json(told)
    elif told["state"] == "undone":
        what = counted(told["undone"], "file") if told["files"] else "what it said is forgotten"
        sys.stdout.write(f"batch {batch} is taken back: {what}\n")
    elif not told["undone"]:
        sys.stdout.write(f"no file of batch {batch} could be taken back\n")
    else:
        sys.stdout.write(f"batch {batch} is taken back in part: {counted(told['undone'], 'file')}\n")
    _left(told["refused"], as_json)


@guarded
def batches(
    batch: Annotated[
        int | None, typer.Argument(help="Only this one, with its files.", metavar="BATCH", parser=number_of("batch"))
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=200, help="Show so many.")] = 50,
    before: Annotated[
        int | None, typer.Option("--before", help="Only those before this id, to page on.", metavar="ID")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """What was done about duplicates, newest first, and whether it can be taken back."""
    settings = common.known_settings(config).settings
    if batch is not None:
        found = [_ask(settings, "batch", batch, change=False)]
    else:
        found = _ask(settings, "batches", limit, before, change=False)
    if as_json:
        common.print_json(found if batch is None else found[0])
        return
    from dropmill.cli import done, tables

    tables.show(done.batches(found))
    if batch is not None:
        tables.show(done.files(found[0]["items"]))
