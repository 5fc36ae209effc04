"""``dropmill try``: what would happen to a file, with its renditions really made, into a folder that is thrown away."""

from __future__ import annotations

import os
import sys
import tempfile
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dropmill.cli import common, completing
from dropmill.cli.common import ConfigOption, JsonOption, guarded
from dropmill.errors import Conflict, NotFound

if TYPE_CHECKING:
    from dropmill.control.desk import Desk
    from dropmill.control.dry import Judged, Trial
    from dropmill.files.inspect import Inspection
    from dropmill.model.file import Signature
    from dropmill.model.work import Processed, WorkResult
    from dropmill.settings import Settings

Json = dict[str, Any]


def install(app: typer.Typer) -> None:
    app.command("try", epilog=common.example("dropmill try IMG_0001.jpg", "dropmill try scan.tif --inbox scanner"))(
        try_file
    )


@guarded
def try_file(
    file: Annotated[str, typer.Argument(help="A file, in an inbox or anywhere.", metavar="FILE")],
    inbox: Annotated[
        str | None,
        typer.Option("--inbox", help="As if it were dropped into this inbox.", autocompletion=completing.inboxes),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """What would become of a file; changes nothing.

    Under which names its renditions would appear, and what would become of the original.
    """
    from dropmill.control.add_urls import is_url

    if is_url(os.fsencode(file)):
        raise Conflict(f"{file} is a URL, and nothing is downloaded to be tried", hint=f"dropmill check --url {file}")
    settings = common.settings_of(config, need_inboxes=True).settings
    import anyio

    from dropmill.files.lease import ignore_sigio

    ignore_sigio()
    told = anyio.run(_try, settings, common.absolute(file), inbox)
    if as_json:
        common.print_json(told)
        return
    for name, value in told.items():
        for text in value if isinstance(value, list) else [value]:
            sys.stdout.write(f"{name:<9} {_line(text)}\n")


def _line(value: Any) -> str:
    if not isinstance(value, dict):
        return str(value)
    return f"{value['path']}  ({value['format']}, {value['width']}x{value['height']}, {value['size_bytes']} bytes)"


async def _try(settings: Settings, path: bytes, inbox: str | None) -> Json:
    from dropmill.cli.reach import heif_installed
    from dropmill.control import offline
    from dropmill.observe.clock import SystemClock

    async with offline.reading(settings, SystemClock(), heif=heif_installed()) as desk:
        return await _told(desk, path, inbox)


async def _told(desk: Desk, path: bytes, inbox: str | None) -> Json:
    from dropmill.control import dry, places
    from dropmill.model.file import shown

    seen = places.look(path)
    if seen.kind == "nothing":
        raise NotFound(f"{shown(path)} does not exist", hint="check the path")
    if seen.signature is None:
        raise Conflict(f"{shown(path)} is no plain file but a {seen.kind}", hint="such are ignored in an inbox")
    tried = await dry.trial(desk.house, path, inbox, seen.signature)
    told: Json = {"file": shown(path), "inbox": tried.inbox.name}
    found = _inspect(tried, desk.house.heif)
    told["settle"] = _settling(found, tried)
    ignored = _ignored(tried, found)
    if ignored:
        return told | {"verdict": ignored, "original": "stays where it is"}
    with tempfile.TemporaryDirectory(prefix="dropmill-try-") as staging:
        result = _process(tried, seen.signature, os.fsencode(staging))
    from dropmill.model.work import Processed

    if not isinstance(result, Processed):
        return told | _refused(tried, result)
    from dropmill.control.describe import counted

    picture = result.picture
    told["picture"] = (
        f"{picture.format} {picture.width}x{picture.height}, {counted(picture.frames, 'frame')}, ICC {picture.icc}"
    )
    return told | _decided(tried, result, await dry.judge(desk.house, tried, result))


def _inspect(tried: Trial, heif: bool) -> Inspection:
    from dropmill.files.inspect import Policy, inspect_many

    return inspect_many(tried.root, [(tried.rel, True)], Policy.of(tried.inbox, heif))[0]


def _settling(found: Inspection, tried: Trial) -> str:
    if found.trouble:
        return f"could not be looked at: {found.trouble}"
    if found.writer:
        return "would wait: somebody has it open for writing"
    if not found.released:
        return f"would wait for its done-file ({tried.inbox.done_suffix})"
    if found.complete.state == "incomplete":
        seconds = tried.inbox.incomplete_timeout_seconds
        return f"would wait up to {seconds:g} s, for it is not complete yet: {found.complete.detail}"
    if found.ignored is not None:
        return f"would be looked at after {tried.inbox.settle_seconds:g} s without a change"
    return f"would be taken in after {tried.inbox.settle_seconds:g} s without a change"


def _ignored(tried: Trial, found: Inspection) -> str:
    from dropmill.control.places import junk_rule
    from dropmill.model.outcome import explained_as_ignored

    rule = junk_rule(tried.job.rel, tried.inbox.ignore)
    if rule:
        return f"ignored: {'' if rule.startswith('it ') else 'its '}{rule}"
    if found.ignored is None:
        return ""
    why = explained_as_ignored(found.ignored.reason)
    detail = f" ({found.ignored.detail})" if found.ignored.detail else ""
    return f"ignored: {found.ignored.reason}{detail}: {why.cause}; {why.remedy}"


def _process(tried: Trial, signature: Signature, staging: bytes) -> WorkResult:
    from dropmill.imaging.recipe import process
    from dropmill.model.work import WorkRequest

    request = WorkRequest(
        job_id=0,
        epoch=0,
        root=tried.root,
        rel=tried.rel,
        signature=signature,
        staging=staging,
        recipe=tried.inbox.recipe,
        limits=tried.inbox.limits,
    )
    return process(request, lambda _preview: True)


def _refused(tried: Trial, result: WorkResult) -> Json:
    from dropmill.model.file import shown
    from dropmill.model.outcome import EXPLANATIONS
    from dropmill.model.work import NotOurs, Rejected, Troubled

    if not isinstance(result, (NotOurs, Rejected, Troubled)):
        return {"verdict": "superseded: it changed while it was read", "original": "stays where it is"}
    why = EXPLANATIONS[result.reason]
    detail = f" ({result.detail})" if result.detail else ""
    text = f"{result.reason}: {why.cause}{detail}; {why.remedy}"
    if isinstance(result, Troubled):
        return {"verdict": f"tried again later: {text}", "original": "stays where it is"}
    moves = tried.inbox.quarantine if isinstance(result, Rejected) else None
    original = f"quarantine: {shown(moves.path + b'/' + tried.job.rel)}" if moves else "stays where it is"
    return {"verdict": f"discarded: {text}", "original": original}


def _decided(tried: Trial, result: Processed, judged: Judged) -> Json:
    from dropmill.control import likeness
    from dropmill.model.file import shown
    from dropmill.model.verdict import Duplicate, Moved, Publish, Unchanged

    inbox, rel = tried.inbox, tried.job.rel
    other = shown(judged.other) if judged.other is not None else "an earlier picture"
    match judged.verdict:
        case Unchanged():
            return {"verdict": "unchanged: published before, byte for byte", "original": "stays where it is"}
        case Moved():
            return {"verdict": f"moved: these bytes were at {other}", "original": "stays where it is"}
        case Duplicate(tier=tier):
            about = likeness.sentence(judged.likeness)
            same = "the same bytes" if tier == "bytes" else "the same picture under other metadata"
            target = inbox.duplicates.path + b"/" + rel if inbox.duplicates else b""
            what = {"move": f"duplicates: {shown(target)}", "delete": "deleted"}.get(inbox.on_duplicate)
            if tier not in {"bytes", "coded"}:
                what = None if inbox.on_duplicate == "delete" else what
                return {"verdict": f"duplicate: {about}", "original": what or "stays where it is"}
            return {"verdict": f"duplicate: {same} as {other}", "original": what or "stays where it is"}
        case Publish():
            target = inbox.archive.path + b"/" + rel if inbox.archive else b""
            what = {"archive": f"archive: {shown(target)}", "delete": "deleted"}.get(inbox.on_success)
            outputs = [
                {
                    "path": shown(inbox.output.path + b"/" + name),
                    "format": rendered.format,
                    "width": rendered.width,
                    "height": rendered.height,
                    "size_bytes": rendered.size_bytes,
                }
                for name, rendered in zip(judged.names, result.renditions, strict=True)
            ]
            about = likeness.sentence(judged.likeness)
            verdict = f"published; {about}" if about else "published"
            return {"verdict": verdict, "output": outputs, "original": what or "stays where it is"}
        case _:
            return {"verdict": "not to be told: another path of these bytes cannot be looked at", "original": "stays"}
