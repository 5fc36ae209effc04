"""How a command reaches what it asks: the running daemon by HTTP, or the catalog where none runs."""

from __future__ import annotations

import base64
import importlib.util
import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final
from urllib.parse import quote

from dropmill import __version__
from dropmill.cli import common
from dropmill.errors import (
    Conflict,
    DropmillError,
    Forbidden,
    NotFound,
    NotReachable,
    Refused,
    StateError,
    Unavailable,
)
from dropmill.files.library import within
from dropmill.files.roots import directory_holder, state_held_by, state_holder
from dropmill.settings import Settings

BEACON: Final = "daemon.json"
TIMEOUT_SECONDS: Final = 30.0
# Adding copies files and retrying puts them back, which may take as long as the disks do.
SLOW_SECONDS: Final = 3600.0
# Running jobs finish before a configuration is applied, and what is owed is tried before the daemon is ready again.
RELOAD_SECONDS: Final = 300.0
POLL_SECONDS: Final = 0.1
_AT_THE_GATE: Final = frozenset({"host-not-allowed", "cross-site"})


@dataclass(frozen=True, slots=True)
class Beacon:
    """What a running daemon tells of itself in its state directory. ``address``: ``http://…/`` or ``unix:/…``."""

    pid: int
    boot: str
    address: str
    started_at: str


def write_beacon(state_dir: str, beacon: Beacon) -> None:
    path = os.path.join(state_dir, BEACON)
    passing = f"{path}.{beacon.pid}"
    with open(passing, "w", encoding="utf-8") as file:
        json.dump(asdict(beacon), file)
    os.chmod(passing, 0o644)
    os.replace(passing, path)


def remove_beacon(state_dir: str) -> None:
    try:
        os.unlink(os.path.join(state_dir, BEACON))
    except FileNotFoundError:
        pass  # Somebody tidied up; the lock is what counts.


def read_beacon(state_dir: str) -> Beacon | None:
    """None where there is none that can be understood; it may be one that a killed daemon left (W19)."""
    try:
        with open(os.path.join(state_dir, BEACON), encoding="utf-8") as file:
            told = json.load(file)
        return Beacon(int(told["pid"]), str(told["boot"]), str(told["address"]), str(told["started_at"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def ask(settings: Settings, method: str, *arguments: Any, change: bool = False) -> Any:
    """Call a method of the desk, wherever it is. Raises what the desk raises, and ``NotReachable``."""
    holder = _holder(settings)
    if holder is not None:
        return _by_http(settings, holder, method, arguments)
    return _offline(settings, method, arguments, change)


def ask_many(settings: Settings, method: str, calls: Iterable[Sequence[Any]], heard: Callable[[Any], None]) -> None:
    """Call a changing method of the desk once for each set of arguments, as ``ask``, and hand on each answer. Without a
    daemon the catalog is opened once, and none can start meanwhile. Raises as ``ask``; what was called before is done."""
    holder = _holder(settings)
    if holder is not None:
        for arguments in calls:
            heard(_by_http(settings, holder, method, arguments))
        return
    import anyio

    from dropmill.control import offline
    from dropmill.observe.clock import SystemClock

    async def call() -> None:
        async with offline.changing(settings, SystemClock(), heif=heif_installed()) as desk:
            for arguments in calls:
                heard(await getattr(desk, method)(*arguments))

    anyio.run(call)


def require_daemon(settings: Settings, method: str, *arguments: Any) -> Any:
    """As ``ask``, but only a running daemon will do, also one that has another state directory than the file says by
    now. Raises ``NotReachable``."""
    holder = _holder(settings)
    if holder is None:
        settings = _of_inbox_holder(settings)
        holder = _holder(settings)
    if holder is None:
        raise NotReachable("no daemon runs", hint=f"start one: {common.run_command()}")
    return _by_http(settings, holder, method, arguments)


def _of_inbox_holder(settings: Settings) -> Settings:
    """The settings with the state directory of the daemon that has one of the inboxes, if there is such a daemon.

    Raises ``NotReachable`` where there is one and it cannot be told which directory that is.
    """
    for inbox in settings.inboxes:
        try:
            pid = directory_holder(os.fsencode(inbox.path))
        except OSError:
            continue  # Of one that is not there nobody has the lock.
        if pid:
            state = state_held_by(pid)
            if state is None:
                raise NotReachable(
                    f"no daemon has {settings.state_dir}, but the one with pid {pid} has the inbox {inbox.path}",
                    hint="if the configuration names another state_dir than that daemon was started with, name the "
                    "earlier one; otherwise ask as root, or as its user",
                )
            return settings.model_copy(update={"state_dir": os.fsdecode(state)})
    return settings


def reload(settings: Settings) -> Any:
    """Have the daemon apply its configuration, and wait until it is in force; returns what ``status`` says of it then.

    Raises ``Refused`` with the findings, ``NotReachable``.
    """
    import anyio

    from dropmill.observe.clock import SystemClock

    clock = SystemClock()
    number = require_daemon(settings, "reload")["number"]
    deadline = clock.monotonic() + RELOAD_SECONDS
    while True:
        try:
            told = require_daemon(settings, "status")["configuration"]
        except NotReachable:
            # Between two sets of parts. A daemon that has ended is not waited for.
            if _holder(settings) is None or clock.monotonic() > deadline:
                raise
        else:
            if told["reloads"] >= number and not told["reloading"]:
                break
        anyio.run(clock.sleep, POLL_SECONDS)
    if told["refused"]:
        raise Refused("the configuration cannot be applied", told["refused"])
    return told


def runs(settings: Settings) -> bool:
    """Whether a daemon has the state directory; False where that cannot be told."""
    try:
        return _holder(settings) is not None
    except StateError:
        return False


def _holder(settings: Settings) -> str | None:
    try:
        return state_holder(os.fsencode(settings.state_dir))
    except OSError as error:
        raise StateError(
            f"{settings.state_dir}: the state directory cannot be looked at: {error.strerror}",
            hint="run this as the daemon's user, or as a member of its group",
        ) from error


def _offline(settings: Settings, method: str, arguments: Sequence[Any], change: bool) -> Any:
    import anyio

    from dropmill.control import offline
    from dropmill.observe.clock import SystemClock

    async def call() -> Any:
        opened = offline.changing if change else offline.reading
        async with opened(settings, SystemClock(), heif=heif_installed()) as desk:
            return await getattr(desk, method)(*arguments)

    return anyio.run(call)


def heif_installed() -> bool:
    """Whether the extra is there, without loading it."""
    return importlib.util.find_spec("pillow_heif") is not None


def _by_http(settings: Settings, holder: str, method: str, arguments: Sequence[Any]) -> Any:
    import httpx

    beacon = read_beacon(settings.state_dir)
    if beacon is None or (holder and beacon.pid != int(holder)):
        # The lock of another container shows no pid that could be compared.
        raise NotReachable(
            f"the daemon with pid {holder or '?'} does not serve HTTP",
            hint="it is starting or stopping, or it is a `dropmill run --once`; ask again in a moment",
        )
    verb, path, parameters, body = route(method, arguments)
    try:
        with _client(settings, beacon.address) as client:
            slow = method in {
                "add",
                "add_urls",
                "test_webhook",
                "retry",
                "retry_all",
                "reprocess",
                "resolve",
                "resolve_many",
                "undo",
            }
            answer = client.request(
                verb, path, params=parameters, json=body, timeout=SLOW_SECONDS if slow else TIMEOUT_SECONDS
            )
    except httpx.HTTPError as error:
        raise NotReachable(
            f"the daemon with pid {beacon.pid} does not answer at {beacon.address}: {error}",
            hint="look at its log; `dropmill health` may say more later",
        ) from error
    if answer.is_success:
        return answer.json()
    if answer.status_code == 401:
        raise _not_its_token(settings, beacon)
    raise _error_of(answer)


def _not_its_token(settings: Settings, beacon: Beacon) -> NotReachable:
    """What the API says to programs would lead nowhere: the command has sent what the configuration names."""
    file = settings.http.token_file
    known = f"takes another token than {file} has" if file else "needs a token, and the configuration names none"
    return NotReachable(
        f"the daemon with pid {beacon.pid} {known}",
        hint="it has changed since the daemon read it: systemctl reload dropmill, or kill -HUP "
        f"{beacon.pid}, has it read again",
        reason="unauthorised",
    )


def below_roots(settings: Settings, folder: bytes) -> bytes:
    """The name by which ``library_roots`` allow a folder, where links of one's own lead there; else as it was given. A daemon looks
    at nothing outside of them, not even at a link."""
    roots = [os.path.normpath(os.fsencode(root)) for root in settings.library_roots]
    if any(within(folder, root) for root in roots):
        return folder
    real = os.path.realpath(folder)
    for root in roots:
        if within(real, os.path.realpath(root)):
            return os.path.normpath(os.path.join(root, os.path.relpath(real, os.path.realpath(root))))
    return folder


def _client(settings: Settings, address: str) -> Any:
    import httpx

    token = settings.http.read_token()
    headers = {"User-Agent": f"dropmill/{__version__}"} | ({"Authorization": f"Bearer {token}"} if token else {})
    if address.startswith("unix:"):
        transport = httpx.HTTPTransport(uds=address.removeprefix("unix:"))
        return httpx.Client(transport=transport, base_url="http://localhost", headers=headers, trust_env=False)
    return httpx.Client(base_url=_dialable(address), headers=headers, trust_env=False)


def _dialable(address: str) -> str:
    """An address that listens everywhere is asked for on loopback."""
    for everywhere, here in (("//0.0.0.0:", "//127.0.0.1:"), ("//[::]:", "//[::1]:")):
        address = address.replace(everywhere, here)
    return address


def route(method: str, arguments: Sequence[Any]) -> tuple[str, str, dict[str, Any] | None, dict[str, Any] | None]:
    """``(verb, path, query, JSON body)`` of the API for a method of the desk. Paths travel as their bytes, encoded."""
    api = "/api/v1"
    match method, *arguments:
        case "jobs", state, inbox, limit, before:
            query = {"state": state, "inbox": inbox, "limit": limit, "before": before}
            return "GET", f"{api}/jobs", {name: value for name, value in query.items() if value is not None}, None
        case "job", job_id:
            return "GET", f"{api}/jobs/{job_id}", None, None
        case "why", target:
            return "GET", f"{api}/why", {"target_b64": encoded(target)}, None
        case ("retry_all",):
            return "POST", f"{api}/jobs/retry", None, None
        case (("retry" | "cancel"), job_id):
            return "POST", f"{api}/jobs/{job_id}/{method}", None, None
        case (("pause" | "resume"), inbox):
            return "POST", f"{api}/{method}", None, {"inbox": inbox}
        case "reprocess", target:
            return "POST", f"{api}/reprocess", None, {"target_b64": encoded(target)}
        case "add", paths, inbox, priority, label:
            body = {
                "paths_b64": [encoded(path) for path in paths],
                "inbox": inbox,
                "priority": priority,
                "label": label,
            }
            return "POST", f"{api}/add", None, body
        case "add_urls", urls, inbox, priority, label:
            body = {"urls": urls, "inbox": inbox, "priority": priority, "label": label}
            return "POST", f"{api}/add/urls", None, body
        case ("reload",):
            return "POST", f"{api}/reload", None, None
        case "duplicates", tier, inbox, folder, after, limit:
            query = {
                "tier": tier,
                "inbox": inbox,
                "folder_b64": folder and encoded(folder),
                "after": after,
                "limit": limit,
            }
            return "GET", f"{api}/duplicates", {name: value for name, value in query.items() if value is not None}, None
        case "index", folders, workers, rehash:
            body = {"folders_b64": [encoded(folder) for folder in folders], "workers": workers, "rehash": rehash}
            return "POST", f"{api}/index", None, body
        case "scan", scan_id:
            return "GET", f"{api}/index/{scan_id}", None, None
        case "cancel_scan", scan_id:
            return "POST", f"{api}/index/{scan_id}/cancel", None, None
        case ("scans",):
            return "GET", f"{api}/index", None, None
        case "forget", target:
            return "POST", f"{api}/forget", None, {"target_b64": encoded(target)}
        case "group", group_id:
            return "GET", f"{api}/groups/{group_id}", None, None
        case "resolve", group_id, action, keeper, members, folder, permanent:
            body = {"action": action, "keeper": keeper, "members": members, "permanent": permanent}
            body["folder_b64"] = folder and encoded(folder)
            return "POST", f"{api}/groups/{group_id}/resolve", None, body
        case "resolve_many", groups, filters, action, folder, dry_run, as_of:
            body = {"groups": groups, "filter": filters, "action": action, "dry_run": dry_run, "as_of": as_of}
            body["folder_b64"] = folder and encoded(folder)
            return "POST", f"{api}/groups/resolve", None, body
        case "batches", limit, before:
            query = {"limit": limit, "before": before}
            return "GET", f"{api}/batches", {name: value for name, value in query.items() if value is not None}, None
        case "batch", batch_id:
            return "GET", f"{api}/batches/{batch_id}", None, None
        case "undo", batch_id:
            return "POST", f"{api}/batches/{batch_id}/undo", None, None
        case ("set_preferences", changes):
            return "PUT", f"{api}/settings", None, {"preferences": changes}
        case ("webhooks",):
            return "GET", f"{api}/webhooks", None, None
        case (("enable_webhook" | "forget_webhook" | "retry_webhook" | "test_webhook"), name):
            return "POST", f"{api}/webhooks/{quote(name, safe='')}/{method.removesuffix('_webhook')}", None, None
        case (("status" | "health" | "settings"),):
            return "GET", f"{api}/{method}", None, None
    raise AssertionError(f"no route for {method}")


def encoded(target: str | bytes) -> str:
    return base64.urlsafe_b64encode(target if isinstance(target, bytes) else os.fsencode(target)).decode("ascii")


def _error_of(answer: Any) -> DropmillError:
    """A problem+json as the error that the daemon raised."""
    try:
        told = answer.json()
        detail, hint, reason = str(told["detail"]), str(told.get("hint", "")), str(told.get("reason", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        return NotReachable(f"the daemon answered {answer.status_code}", hint="look at its log")
    if "findings" in told:
        return Refused(detail, [str(finding) for finding in told["findings"]])
    if answer.status_code == 403 and reason not in _AT_THE_GATE:
        return Forbidden(detail, hint=hint, reason=reason)
    known = {404: NotFound, 409: Conflict, 401: NotReachable, 403: NotReachable, 503: Unavailable}
    make = known.get(answer.status_code, DropmillError)
    return make(detail, hint=hint, reason=reason)
