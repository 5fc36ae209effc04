"""Where the page and the API listen, who has that address, and the token that guards them. Nothing is sent anywhere."""

from __future__ import annotations

import errno
import os
import shlex
import shutil
import socket
import stat
from collections.abc import Iterator
from typing import Final

from dropmill.control.doctor import folders
from dropmill.control.doctor.finding import Finding, Ground, Severity, as_root, user_name
from dropmill.control.doctor.folders import Place
from dropmill.errors import DropmillError
from dropmill.files.socket_file import obstacle
from dropmill.settings import TcpAddress, UnixAddress

# The state of a socket that listens, in /proc/net/tcp (TCP_LISTEN of the kernel's tcp_states.h).
_LISTENS: Final = "0A"
SHORT_TOKEN: Final = 16
_SYSTEMD: Final = "systemd (pid 1)"


def look(ground: Ground) -> Iterator[Finding]:
    yield from _token(ground)
    if ground.holder is not None:
        return  # Our own daemon has the address, or says itself why not.
    address = ground.settings.http.address
    if isinstance(address, UnixAddress):
        yield from _socket_file(address)
    else:
        yield from _tcp(ground, address)


def _token(ground: Ground) -> Iterator[Finding]:
    http = ground.settings.http
    if not http.token_file:
        return
    key, quoted = "http.token_file", shlex.quote(http.token_file)
    try:
        token = http.read_token()
        mode = os.stat(http.token_file).st_mode
    except DropmillError as error:
        yield Finding("http", "error", error.public_message, key, http.token_file, "", error.hint)
        return
    except OSError as error:
        text = f"{http.token_file} cannot be looked at: {error.strerror}"
        yield Finding("http", "error", text, key, http.token_file)
        return
    well = True
    if mode & stat.S_IRWXO:
        well = False
        text = f"{http.token_file} can be read by everybody on this machine"
        yield Finding(
            "http", "warning", text, key, http.token_file, "whoever has the token may delete pictures", "",
            f"chmod o= {quoted}",
        )  # fmt: skip
    if len(token) < SHORT_TOKEN:
        well = False
        text = f"the token in {http.token_file} is short ({len(token)} characters)"
        # `dropmill reload` would send the new one, which the daemon does not know yet.
        told = f"kill -HUP {ground.holder}" if ground.holder else as_root("systemctl reload dropmill")
        remedy = "write a longer one, and have the daemon read it:"
        fix = f"openssl rand -hex 32 > {quoted} && {told}"
        yield Finding("http", "warning", text, key, http.token_file, "it can be guessed", remedy, fix)
    if well:
        yield Finding("http", "ok", f"token {http.token_file}: can be read, not by everybody", key, http.token_file)


def _socket_file(address: UnixAddress) -> Iterator[Finding]:
    path, folder = address.path, os.path.dirname(address.path)
    place = Place("http", "http.bind", "the folder of the socket", folder, "nobody could ask the daemon anything")
    bad = [one for one in folders.look(place) if one.severity == "error" or one.check != "space"]
    yield from (one for one in bad if one.severity != "note")
    if any(one.severity == "error" for one in bad):
        return
    text, remedy = obstacle(path)
    if text:
        yield Finding("http", "error", text, "http.bind", path, "the daemon would not start", remedy)
    if os.path.isdir(folder) and os.stat(folder).st_mode & stat.S_IWOTH:
        text = f"everybody may write to {folder}, where the socket is"
        why = "another user could put a socket of their own there first, and be asked instead"
        yield Finding("http", "warning", text, "http.bind", path, why, "name a folder such as /run/dropmill")


def _tcp(ground: Ground, address: TcpAddress) -> Iterator[Finding]:
    bind = ground.settings.http.bind
    key = "http.bind"
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, _, _, where = found[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
            probe.listen()
    except OSError as error:
        text = f"{bind} cannot be listened on: {error.strerror or error}"
        why, remedy, fix = "the daemon would not start", "", ""
        severity: Severity = "error"
        if error.errno == errno.EADDRINUSE:
            who = who_listens(address.port)
            if who == _SYSTEMD:
                text = f"{bind} is held by systemd, which passes it on to the daemon"
                yield Finding(
                    "http", "note", text, key, bind, "dropmill.socket, or another .socket unit, listens there"
                )
                return
            if ground.veiled:
                severity, why = "warning", "the daemon would not start, unless that is the daemon of this configuration"
            text += f", by {who}" if who else ""
            remedy = (
                'stop that program, or choose another address, as in bind = "127.0.0.1:8687"; this tells who has it:'
            )
            fix = as_root(f"ss -ltnp 'sport = :{address.port}'") if shutil.which("ss") else ""
        elif error.errno in {errno.EACCES, errno.EPERM}:
            remedy = "choose a port above 1023, or allow this one: AmbientCapabilities=CAP_NET_BIND_SERVICE in the unit"
        elif error.errno == errno.EADDRNOTAVAIL:
            remedy, fix = "no interface of this machine has that address; 127.0.0.1 always works", "ip -br address"
        else:
            remedy = "choose another, as in 127.0.0.1:8686"
        yield Finding("http", severity, text, key, bind, why, remedy, fix)
        return
    yield Finding("http", "ok", f"page {bind}: can be listened on", key, bind)


def who_listens(port: int, proc: str = "/proc") -> str:
    """``nginx (pid 7)``, or the user's name where the process is not ours to look into; empty where nothing is told."""
    inodes: dict[str, int] = {}
    for name in ("tcp", "tcp6"):
        try:
            with open(f"{proc}/net/{name}", encoding="ascii", errors="replace") as lines:
                rows = [line.split() for line in lines]
        except OSError:
            continue
        for row in rows[1:]:
            if len(row) > 9 and row[3] == _LISTENS and int(row[1].rpartition(":")[2], 16) == port:
                inodes[f"socket:[{row[9]}]"] = int(row[7])
    if not inodes:
        return ""
    for pid in filter(str.isdecimal, os.listdir(proc)):
        try:
            if any(os.readlink(f"{proc}/{pid}/fd/{fd}") in inodes for fd in os.listdir(f"{proc}/{pid}/fd")):
                with open(f"{proc}/{pid}/comm", encoding="utf-8", errors="replace") as name_file:
                    return f"{name_file.read().strip()} (pid {pid})"
        except OSError:
            continue  # Not ours to look into, or ended.
    return f"a program of {user_name(next(iter(inodes.values())))}"
