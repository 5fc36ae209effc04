"""What no single key can tell: how the settings fit together. Touches the disk for ``realpath`` and the token only."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Final

from dropmill.errors import ConfigurationError
from dropmill.model.duplicates import Policy
from dropmill.model.inbox import URLS_SUFFIX
from dropmill.settings.dedupe import Dedupe, TierPolicies
from dropmill.settings.dropfiles import Dropfile
from dropmill.settings.findings import Finding, suggestion
from dropmill.settings.http import TcpAddress
from dropmill.settings.inboxes import Inbox
from dropmill.settings.locate import Key
from dropmill.settings.sources import dotted
from dropmill.settings.top import Settings

REAL_SECONDS: Final = 2.0


@dataclass
class Report:
    """Collects findings; what rests on a key that is broken already is left out."""

    where: Callable[[Key], str]
    broken: list[Key]
    errors: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)

    def error(self, key: Key, message: str, hint: str, *also: Key) -> None:
        if not any(self._is_broken(one) for one in (key, *also)):
            self.errors.append(Finding(self.where(key), dotted(key), message, hint))

    def warning(self, key: Key, message: str, hint: str) -> None:
        if not self._is_broken(key):
            self.warnings.append(Finding(self.where(key), dotted(key), message, hint))

    def _is_broken(self, key: Key) -> bool:
        return any(key[: len(broken)] == broken or broken[: len(key)] == key for broken in self.broken)


def check(settings: Settings, report: Report, *, profile_names: set[str], need_inboxes: bool) -> None:
    """Everything that does not fit together, as findings in ``report``."""
    if need_inboxes and not settings.inboxes and not settings.dropfiles:
        report.error(
            ("inboxes",),
            "neither an inbox nor a drop-file is configured",
            "name one in the file under [[inboxes]] or [[dropfiles]], or set DROPMILL_INBOX and DROPMILL_OUTPUT",
        )
    _http(settings, report)
    if settings.queue.retry_cap_seconds < settings.queue.retry_base_seconds:
        report.error(
            ("queue", "retry_cap_seconds"),
            "is less than retry_base_seconds",
            "the cap is the longest wait",
            ("queue", "retry_base_seconds"),
        )
    if settings.workers.min_bytes > settings.workers.max_bytes:
        report.error(
            ("workers", "min_bytes"), "is more than max_bytes", "nothing would be taken", ("workers", "max_bytes")
        )
    _unique_names(settings, report)
    for index, inbox in enumerate(settings.inboxes):
        _folders_named(("inboxes", index), inbox, report)
        _profile(("inboxes", index), inbox, settings, report, profile_names)
        _policies(("inboxes", index), inbox, settings, report)
    for index, dropfile in enumerate(settings.dropfiles):
        _profile(("dropfiles", index), dropfile, settings, report, profile_names)
        _policies(("dropfiles", index), dropfile, settings, report)
    _webhooks(settings, report)
    _text_files(settings, report)
    _places(settings, report)


def _http(settings: Settings, report: Report) -> None:
    address = settings.http.address
    if isinstance(address, TcpAddress) and not address.is_loopback and not settings.http.token_file:
        report.error(
            ("http", "bind"),
            f"{settings.http.bind} can be reached from other machines, and no token_file is set",
            "write a token with `openssl rand -hex 32` into a file and name it, or bind to 127.0.0.1",
            ("http", "token_file"),
        )
    try:
        settings.http.read_token()
    except ConfigurationError as error:
        report.error(("http", "token_file"), error.public_message, error.hint)


def _unique_names(settings: Settings, report: Report) -> None:
    first: dict[str, str] = {}
    for index, inbox in enumerate(settings.inboxes):
        key: Key = ("inboxes", index, "name")
        if inbox.name in first:
            report.error(key, f"two inboxes are named {inbox.name!r}", f"the other one is at {first[inbox.name]}")
        else:
            first[inbox.name] = report.where(key)
    beside = {inbox.name + URLS_SUFFIX: inbox.name for inbox in settings.inboxes}
    for index, dropfile in enumerate(settings.dropfiles):
        key = ("dropfiles", index, "name")
        if dropfile.name in first:
            hint = f"the other one is at {first[dropfile.name]}"
            report.error(key, f"another inbox or drop-file is named {dropfile.name!r}", hint)
        else:
            first[dropfile.name] = report.where(key)
    names = [(("inboxes", index, "name"), inbox.name) for index, inbox in enumerate(settings.inboxes)]
    names += [(("dropfiles", index, "name"), item.name) for index, item in enumerate(settings.dropfiles)]
    for key, name in names:
        if name in beside:
            taken = f"{name!r} is the name of what URLs that are added to inbox {beside[name]!r} go by"
            report.error(key, taken, f"choose another that does not end in {URLS_SUFFIX}")


def _webhooks(settings: Settings, report: Report) -> None:
    first: dict[str, str] = {}
    known = {inbox.name for inbox in settings.inboxes} | {item.name for item in settings.dropfiles}
    for index, webhook in enumerate(settings.webhooks):
        key: Key = ("webhooks", index, "name")
        if webhook.name in first:
            report.error(key, f"two webhooks are named {webhook.name!r}", f"the other one is at {first[webhook.name]}")
        first.setdefault(webhook.name, report.where(key))
        for name in webhook.inboxes:
            if name not in known:
                hint = suggestion(name, known)
                report.error(("webhooks", index, "inboxes"), f"there is no inbox or drop-file {name!r}", hint)
        if webhook.retry_cap_seconds < webhook.retry_base_seconds:
            cap, base = ("webhooks", index, "retry_cap_seconds"), ("webhooks", index, "retry_base_seconds")
            report.error(cap, "is less than retry_base_seconds", "the cap is the longest wait", base)


def _folders_named(key: Key, inbox: Inbox, report: Report) -> None:
    for choice, word, folder in (
        ("on_success", "archive", "archive"),
        ("on_duplicate", "move", "duplicates"),
        ("on_unsupported", "quarantine", "quarantine"),
    ):
        if getattr(inbox, choice) == word and not getattr(inbox, folder):
            hint = f'name the folder, as in {folder} = "/srv/{folder}": a file is moved only to a folder that is named'
            report.error((*key, choice), f'is "{word}", and no {folder} folder is named', hint, (*key, folder))
    for choice, word, folder in (("on_success", "archive", "archive"), ("on_duplicate", "move", "duplicates")):
        if getattr(inbox, folder) and getattr(inbox, choice) != word:
            report.warning(
                (*key, folder), f'is never used: {choice} is "{getattr(inbox, choice)}"', "take one of the two out"
            )


def _profile(key: Key, inbox: Inbox | Dropfile, settings: Settings, report: Report, profile_names: set[str]) -> None:
    if inbox.profile not in profile_names:
        report.error(
            (*key, "profile"), f"there is no profile {inbox.profile!r}", suggestion(inbox.profile, profile_names)
        )
        return
    renditions = settings.profiles[inbox.profile].renditions
    formats = [rendition.format for rendition in renditions]
    told_apart = len(set(formats)) == len(formats) and "auto" not in formats
    if len(renditions) > 1 and "rendition" not in inbox.template.fields and not told_apart:
        report.error(
            (*key, "names"),
            f"gives the {len(renditions)} renditions of profile {inbox.profile!r} one name",
            "add {rendition} to it",
            (*key, "profile"),
            ("profiles", inbox.profile),
        )


def _policies(key: Key, inbox: Inbox | Dropfile, settings: Settings, report: Report) -> None:
    """What resembles less is not left out where what resembles more is published."""
    profile = settings.profiles.get(inbox.profile)
    if profile is None:
        return
    by_tier = settings.dedupe.policies(inbox.dedupe, profile.dedupe).by_tier
    instead = {Policy.UNIQUIFY: "changed copies", Policy.HARDLINK: "renditions of another picture"}
    for policy, what in instead.items():
        if policy in by_tier.values() and _leaves_nothing(inbox):
            report.warning(
                (*key, "dedupe"),
                f"{policy} puts out {what}, and the originals are not kept",
                'name a folder for them, as in originals = "/srv/originals"'
                if isinstance(inbox, Dropfile)
                else 'such originals stay in the inbox; name an archive, or set on_success = "keep"',
            )
    tiers = list(by_tier)
    for surer, tier in itertools.pairwise(tiers):
        if by_tier[tier] is Policy.SKIP and by_tier[surer] not in {Policy.SKIP, Policy.HARDLINK}:
            holders: tuple[tuple[Key, TierPolicies | Dedupe], ...] = (
                ((*key, "dedupe"), inbox.dedupe),
                (("profiles", inbox.profile, "dedupe"), profile.dedupe),
                (("dedupe",), settings.dedupe),
            )
            said = {one: next((*at, one) for at, holder in holders if getattr(holder, one)) for one in (tier, surer)}
            report.error(
                said[tier],
                f"{tier} pictures are skipped in {inbox.name!r}, and {surer} ones, which resemble more, are not: "
                f'{surer} is "{by_tier[surer]}"',
                f'set {surer} = "skip" too, or let {tier} be flagged',
                said[surer],
            )


def _leaves_nothing(inbox: Inbox | Dropfile) -> bool:
    return not inbox.originals_folder if isinstance(inbox, Dropfile) else inbox.on_success == "delete"


def _places(settings: Settings, report: Report) -> None:
    """W28: nothing that we write may lie inside what we watch, nor the other way round."""
    inboxes = [(("inboxes", index, "path"), inbox) for index, inbox in enumerate(settings.inboxes)]
    reals = _real_paths([inbox.path for _, inbox in inboxes] + [shown for _, _, shown in _written(settings)])
    watched: list[tuple[Key, str, str]] = [(key, inbox.path, reals[inbox.path]) for key, inbox in inboxes]
    for number, (key, shown, real) in enumerate(watched):
        for other_key, other_shown, other_real in watched[:number]:
            if real == other_real:
                report.error(key, f"{shown} and {other_shown} are the same folder", "one folder, one inbox", other_key)
            elif _inside(real, other_real) or _inside(other_real, real):
                inner, outer = (shown, other_shown) if _inside(real, other_real) else (other_shown, shown)
                report.error(
                    key,
                    f"inbox {inner} is inside inbox {outer}",
                    "files would be taken twice; move one away",
                    other_key,
                )
    for place_key, word, shown in _written(settings):
        real = reals[shown]
        for key, inbox_shown, inbox_real in watched:
            if real == inbox_real:
                report.error(
                    place_key, f"{word} {shown} is the inbox {inbox_shown} itself", "give it a folder of its own", key
                )
            elif _inside(real, inbox_real):
                hint = "move it beside the inbox, not into it"
                report.error(place_key, f"{word} {shown} is inside inbox {inbox_shown}", hint, key)
            elif _inside(inbox_real, real):
                hint = "what is written there would be watched; move one away"
                report.error(key, f"inbox {inbox_shown} is inside {word} {shown}", hint, place_key)


def _text_files(settings: Settings, report: Report) -> None:
    """Drop-files and results files are as many files as they are named."""
    files = [
        (("dropfiles", index, name), word, path)
        for index, item in enumerate(settings.dropfiles)
        for name, word, path in (("path", "drop-file", item.path), ("results", "results file", item.results_path))
    ]
    reals = _real_paths([path for _, _, path in files])
    first: dict[str, tuple[Key, str]] = {}
    for key, word, path in files:
        met = first.setdefault(reals[path], (key, word))
        if met != (key, word):
            report.error(key, f"{word} {path} is a {met[1]} already", "one file, one use", met[0])


def _real_paths(paths: Collection[str]) -> dict[str, str]:
    """Every path without links on the way; as it is written where its disk does not answer in time (W40)."""
    found: dict[str, str] = {}
    threads = [
        threading.Thread(target=lambda path=path: found.setdefault(path, os.path.realpath(path)), daemon=True)
        for path in dict.fromkeys(paths)
    ]
    for thread in threads:
        thread.start()
    patience = REAL_SECONDS
    for thread in threads:
        thread.join(patience)
        if thread.is_alive():
            patience = 0.0
    return {path: found.get(path, os.path.abspath(path)) for path in paths}


def _written(settings: Settings) -> Iterator[tuple[Key, str, str]]:
    yield ("state_dir",), "state_dir", settings.state_dir
    for index, inbox in enumerate(settings.inboxes):
        for name in ("output", "archive", "duplicates", "quarantine"):
            if getattr(inbox, name):
                yield ("inboxes", index, name), name, getattr(inbox, name)
    for index, dropfile in enumerate(settings.dropfiles):
        for name, word, path in (
            ("path", "drop-file", dropfile.path),
            ("results", "results file", dropfile.results_path),
            ("output", "output", dropfile.output),
            ("originals", "originals", dropfile.originals_folder),
            ("quarantine", "quarantine", dropfile.quarantine),
        ):
            if path:
                yield ("dropfiles", index, name), word, path
    if settings.review.default_move:
        yield ("review", "default_move"), "default_move", settings.review.default_move
    if settings.log.file:
        yield ("log", "file"), "the log file", settings.log.file
    if settings.http.audit_file:
        yield ("http", "audit_file"), "the audit file", settings.http.audit_file


def _inside(inner: str, outer: str) -> bool:
    return inner != outer and inner.startswith(outer.rstrip("/") + "/")
