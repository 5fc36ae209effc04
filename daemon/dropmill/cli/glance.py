"""``dropmill status``: how everything stands, on one screen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from dropmill.cli.indexing import line
from dropmill.cli.tables import BLANK, Shortened, duration, moment, shortened, size, table, word
from dropmill.control.describe import counted

Json = Mapping[str, Any]

# What is shown of lists that may be long, where the height of a terminal says nothing else.
MOST_HOSTS: Final = 8
LEAST_DOWNLOADS: Final = 3
# Job, size and rate beside a URL, with the blanks between them.
_BESIDE_URL_COLUMNS: Final = 42
_NO_URLS: Final[Json] = {"queue": {}, "completed": 0, "discarded": 0, "refused_lines": 0}
# A drop-file that is read as it should be needs no word.
_WORTH_SAYING: Final = ("missing", "stopped", "starting")


def status(told: Json, watching: Console | None = None) -> RenderableType:
    """``watching``: the terminal on which it is drawn again and again, running downloads one by one."""
    head = Text.assemble(("dropmill ", "bold"), told["version"], "  ", word(told["state"]))
    if told["pid"]:
        head.append(f"  pid {told['pid']}, up {duration(told['uptime_seconds'])}")
    if told["paused"]:
        head.append("  everything is paused", style="yellow")
    parts: list[RenderableType] = []
    if told["inboxes"]:
        parts += [BLANK, _inboxes(told["inboxes"])]
    if told["dropfiles"]:
        parts += [BLANK, _dropfiles(told["dropfiles"])]
    unwell = list(_unwell(told["health"]))
    parts += [BLANK, _sums(told), *unwell]
    if told["downloads"]["resting_hosts"]:
        parts += [BLANK, *_resting(told["downloads"])]
    if watching is not None and told["downloads"]["progress"]:
        # On a narrow terminal an inbox takes two lines.
        taken = 14 + 2 * len(told["inboxes"]) + len(told["dropfiles"]) + len(unwell)
        taken += min(MOST_HOSTS, len(told["downloads"]["resting_hosts"]))
        most = max(LEAST_DOWNLOADS, watching.height - taken)
        parts += [BLANK, *_downloads(told["downloads"], most, watching.width)]
    return Group(head, *parts)


def _inboxes(inboxes: Sequence[Json]) -> Table:
    made = table(
        "inbox", "folder", "watch", "settling", "waiting", "running", "done", "discarded",
        right=("settling", "waiting", "running", "done", "discarded"),
    )  # fmt: skip
    for inbox in inboxes:
        # URLs that were added to it wait, run and end like its files.
        urls = inbox["urls"] or _NO_URLS
        queue = {state: count + urls["queue"].get(state, 0) for state, count in inbox["queue"].items()}
        made.add_row(
            Text(inbox["name"]),
            Shortened(inbox["path"], f"→ {inbox['output']}"),
            _state(inbox, inbox["watch"]),
            str(inbox["settling"]),
            str(queue["available"] + queue["scheduled"]),
            str(queue["executing"]),
            str(inbox["completed"] + urls["completed"]),
            str(inbox["discarded"] + urls["discarded"]),
        )
    return made


def _dropfiles(dropfiles: Sequence[Json]) -> Table:
    made = table(
        "drop-file", "file", "at line", "to fetch", "in work", "done", "discarded", "refused",
        right=("at line", "to fetch", "in work", "done", "discarded", "refused"),
    )  # fmt: skip
    for one in dropfiles:
        state = _state(one, one["watch"] if one["watch"] in _WORTH_SAYING else "")
        made.add_row(
            Text(one["name"]),
            Group(Shortened(one["path"]), *([state] if state else [])),
            str(one["line"]),
            str(one["waiting_to_fetch"]),
            str(sum(one["queue"].values()) - one["waiting_to_fetch"]),
            str(one["completed"]),
            str(one["discarded"]),
            str(one["refused_lines"]),
        )
    return made


def _state(one: Json, watch: str) -> Text:
    return Text("paused" if one["paused"] else watch, style="yellow" if one["paused"] or one["trouble"] else "")


def _sums(told: Json) -> Text:
    queue, workers, owed, urls = told["queue"], told["workers"], told["owed"], told["downloads"]
    outcomes = ", ".join(f"{count} {name}" for name, count in sorted(queue["completed"].items())) or "none yet"
    oldest = queue["oldest_available_seconds"]
    waits = f", the oldest for {duration(oldest)}" if oldest is not None else ""
    lines = [
        f"queue    {queue['available']} available{waits}, {queue['scheduled']} scheduled, {queue['executing']} executing",
        f"done     {outcomes}; {queue['discarded']} discarded{_refused(told)}",
        f"workers  {workers['busy']} of {workers['size']} busy, {workers['lost_total']} lost",
    ]
    waiting = urls["waiting"]
    if told["dropfiles"] or waiting or urls["running"]:
        rate = f" at {size(urls['bytes_per_second'])}/s" if urls["running"] else ""
        resting, asleep = urls["resting"], ""
        if resting["hosts"]:
            asleep = f", {resting['urls']} of them of {counted(resting['hosts'], 'host')} at rest"
        lines.append(f"URLs     {counted(urls['running'], 'download')} running{rate}, {waiting} to fetch{asleep}")
    alike = told["duplicates"]
    if alike["groups"] or alike["uncompared"] or alike["to_group"]:
        waiting = (("uncompared", "compared"), ("to_group", "grouped"))
        left = [f"{counted(alike[name], 'picture')} still to be {done}" for name, done in waiting if alike[name]]
        gain = f"{counted(alike['groups'], 'group')} of duplicates to look at, {size(alike['reclaimable_bytes'])} to give back"
        lines.append("review   " + "; ".join([gain, *left]))
    lines += [f"scan     {', '.join(scan['folders']) or 'all pictures'}: {line(scan)}" for scan in told["scans"]]
    hooks = told["webhooks"]
    if hooks:
        waiting, dead = (sum(one[key] for one in hooks) for key in ("waiting", "dead_letters"))
        lost = f", {counted(dead, 'dead letter')}" if dead else ""
        delivered = sum(one["delivered"] for one in hooks)
        latest = max((one["delivered_at"] for one in hooks if one["delivered_at"]), default=None)
        last = f"; told last at {moment(latest)}" if latest else ""
        lines.append(f"webhooks {delivered} delivered, {waiting} waiting{lost}{_disabled(hooks)}{last}")
    owing = {name: count for name, count in owed.items() if count}
    if owing:
        lines.append("owed     " + ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in owing.items()))
    return Text("\n".join(lines))


def _disabled(hooks: list[Json]) -> str:
    names = [one["name"] for one in hooks if one["state"] == "disabled"]
    return f"; disabled: {', '.join(names)}" if names else ""


def _refused(told: Json) -> str:
    """Lines that asked for nothing that could be done; they became no jobs, and are counted apart."""
    lists = [*told["dropfiles"], *(inbox["urls"] for inbox in told["inboxes"] if inbox["urls"])]
    refused = sum(one["refused_lines"] for one in lists)
    return f"; {counted(refused, 'line')} refused" if refused else ""


def _resting(urls: Json) -> Iterator[RenderableType]:
    """Hosts that are left in peace, with when they are asked again and why."""
    made = table("host at rest", "URLs", "asked in", "why", right=("URLs", "asked in"))
    for host in urls["resting_hosts"][:MOST_HOSTS]:
        made.add_row(
            Text(host["origin"]), str(host["waiting"]), duration(max(0.0, host["rest_seconds"])), Text(host["detail"])
        )
    yield made
    yield from _more(urls["resting"]["hosts"] - MOST_HOSTS)


def _downloads(urls: Json, most: int, columns: int) -> Iterator[RenderableType]:
    made = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    made.add_column("job", justify="right", no_wrap=True)
    made.add_column("download", no_wrap=True)
    # As wide as they may become, so that nothing moves while the numbers change.
    made.add_column("fetched", justify="right", no_wrap=True, min_width=20)
    made.add_column("rate", justify="right", no_wrap=True, min_width=10)
    for one in urls["progress"][:most]:
        made.add_row(
            str(one["job"]),
            Text(shortened(one["url"], max(20, columns - _BESIDE_URL_COLUMNS))),
            fetched(one["bytes"], one["total_bytes"]),
            f"{size(one['bytes_per_second'])}/s",
        )
    yield made
    yield from _more(urls["running"] - most)


def _more(number: int) -> Iterator[RenderableType]:
    if number > 0:
        yield Text(f"and {number} more", style="dim")


def fetched(size_bytes: int, total_bytes: int | None) -> str:
    """``1.2 MB of 3.4 MB``, or as much as is known."""
    return size(size_bytes) if total_bytes is None else f"{size(size_bytes)} of {size(total_bytes)}"


def _unwell(told: Json) -> Iterable[RenderableType]:
    for part in told["parts"]:
        if part["status"] != "ok":
            line = Text.assemble(word(part["status"]), f" {part['name']}: {part['detail']}")
            yield line.append(f"; {part['remedy']}" if part["remedy"] else "")
