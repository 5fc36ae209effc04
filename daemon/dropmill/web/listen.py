"""The socket that the page listens on: taken before anything is promised, or passed on by the service manager."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Mapping
from typing import Final, Self

from dropmill.errors import ConfigurationError
from dropmill.files.socket_file import obstacle
from dropmill.settings import Http, TcpAddress, UnixAddress

FIRST_PASSED_FD: Final = 3
# What the unit calls the socket of the page where it passes on several (FileDescriptorName= in systemd.socket(5)).
PASSED_NAME: Final = "http"
# Connections that wait for a daemon that they have had started.
MOST_HELD: Final = 64
_ON_SOCKETS: Final = "dropmill takes one listening stream socket, at an address or a path: see systemd/dropmill.socket"


class Listener:
    """A listening socket that outlives the servers on it: who connects in between waits in its queue."""

    def __init__(self, address: TcpAddress | UnixAddress, mode: int) -> None:
        """``mode``: permission bits of a socket file. Raises ``ConfigurationError`` naming an address that cannot be had."""
        self.address = address
        self._mode = mode
        self.is_passed = False
        self._held: list[socket.socket] = []
        self._sock = _bind_tcp(address) if isinstance(address, TcpAddress) else _bind_unix(address.path, mode)
        self._file = _identity(address.path) if isinstance(address, UnixAddress) else None

    @classmethod
    def passed(cls, environ: Mapping[str, str], pid: int) -> Self | None:
        """The one that the service manager holds and has passed on to this process (sd_listen_fds(3)), if it has.

        Its file, where it has one, is the manager's. Raises ``ConfigurationError`` for anything that cannot be served on.
        """
        sock = _passed_socket(environ, pid)
        if sock is None:
            return None
        self = cls.__new__(cls)
        self.address, self._sock, self._file, self._mode = _address_of(sock), sock, None, 0
        self.is_passed, self._held = True, []
        sock.setblocking(False)
        return self

    @property
    def bind(self) -> str:
        """The address as ``http.bind`` has it."""
        if isinstance(self.address, UnixAddress):
            return f"unix:{self.address.path}"
        return _shown(self.address)

    def share(self) -> socket.socket:
        """The same socket under another descriptor, for a server to close."""
        return self._sock.dup()

    def hold(self, connection: socket.socket) -> bool:
        """Keep an accepted connection for the next server; False where so many are kept already."""
        if len(self._held) >= MOST_HELD:
            return False
        self._held.append(connection)
        return True

    def let_go(self) -> list[socket.socket]:
        """Those that were kept, in the order in which they came. They are the caller's."""
        held, self._held = self._held, []
        return held

    def settle(self, settings: Http) -> Http:
        """Give a socket file that was made here the mode in ``settings``; returns these with the address that is really
        listened on, since it decides who may ask for what."""
        mode = settings.socket_mode_bits
        if isinstance(self.address, UnixAddress) and self._is_ours(self.address.path) and mode != self._mode:
            os.chmod(self.address.path, mode)
            self._mode = mode
        return settings.model_copy(update={"bind": self.bind})

    def close(self) -> None:
        """Listen no more. A socket file goes where it is still the one that was made here."""
        for connection in self.let_go():
            connection.close()
        if isinstance(self.address, UnixAddress) and self._is_ours(self.address.path):
            os.unlink(self.address.path)
        self._sock.close()

    def _is_ours(self, path: str) -> bool:
        return self._file is not None and self._file == _identity(path)


class Listeners:
    """Those of one process, by address: while another configuration is tried, the earlier address is listened on too."""

    def __init__(self, passed: Listener | None) -> None:
        """``passed``: the one that the service manager has passed on, which is used in place of any other."""
        self._passed = passed
        self._bound: dict[TcpAddress | UnixAddress, Listener] = {}

    def of(self, settings: Http) -> Listener:
        """The one to serve on, bound where it is new. Raises ``ConfigurationError`` where that cannot be."""
        if self._passed is not None:
            require_token(self._passed.address, settings)
            return self._passed
        address = settings.address
        if address not in self._bound:
            try:
                self._bound[address] = Listener(address, settings.socket_mode_bits)
            except ConfigurationError as error:
                raise self._in_our_own_way(address, error) from None
        return self._bound[address]

    def _in_our_own_way(self, address: TcpAddress | UnixAddress, error: ConfigurationError) -> ConfigurationError:
        """The same error, or one that says that it is ourselves who have the port, at an address that is part of this one."""
        taken = isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EADDRINUSE
        for ours in self._bound:
            if taken and isinstance(address, TcpAddress) and isinstance(ours, TcpAddress) and ours.port == address.port:
                return ConfigurationError(
                    f"http.bind: {_shown(address)} cannot be taken while this dropmill itself listens on {_shown(ours)}",
                    hint="restart dropmill to listen there; a reload keeps the earlier address until the new one is taken",
                )
        return error

    def keep(self, address: TcpAddress | UnixAddress) -> None:
        """Close all but this one."""
        for other in self._bound.keys() - {address}:
            self._bound.pop(other).close()

    def close(self) -> None:
        for listener in [*self._bound.values(), *([] if self._passed is None else [self._passed])]:
            listener.close()


def require_token(address: TcpAddress | UnixAddress, settings: Http) -> None:
    """Raise ``ConfigurationError`` where other machines reach an address and no token is needed."""
    if isinstance(address, TcpAddress) and not address.is_loopback and not settings.token_file:
        raise ConfigurationError(
            f"the socket that was passed on, {address.host}:{address.port}, can be reached from other machines, and no "
            "token_file is set",
            hint="write a token with `openssl rand -hex 32` into a file and name it in http.token_file, or have the "
            ".socket unit listen on 127.0.0.1",
        )


def url_of(sock: socket.socket, base_path: str) -> str:
    """``http://127.0.0.1:8686/`` with the port that was really given, or ``unix:/run/…``."""
    name = sock.getsockname()
    if isinstance(name, str):
        return f"unix:{name}"
    host, port = name[0], name[1]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}{base_path}/"


def _passed_socket(environ: Mapping[str, str], pid: int) -> socket.socket | None:
    if environ.get("LISTEN_PID") != str(pid) or not environ.get("LISTEN_FDS", "").isdecimal():
        return None
    fds = range(FIRST_PASSED_FD, FIRST_PASSED_FD + int(environ["LISTEN_FDS"]))
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    try:
        for fd in fds:
            os.set_inheritable(fd, False)
    except OSError as error:
        raise ConfigurationError(
            f"LISTEN_FDS tells of {len(fds)} sockets, and descriptor {fd} is not open: {error.strerror}",
            hint="whatever starts dropmill has to pass them on, or leave LISTEN_FDS out",
        ) from None
    meant = [fd for fd, name in zip(fds, names, strict=False) if name == PASSED_NAME] if len(fds) > 1 else list(fds)
    if not fds:
        return None
    if len(meant) != 1:
        raise ConfigurationError(
            f"{len(fds)} sockets were passed on, {len(meant)} of them named {PASSED_NAME}", hint=_ON_SOCKETS
        )
    return socket.socket(fileno=meant[0])


def _address_of(sock: socket.socket) -> TcpAddress | UnixAddress:
    """Raises ``ConfigurationError`` where it does not listen, or nobody could say who may connect."""
    name = sock.getsockname()
    streams = sock.type == socket.SOCK_STREAM and sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    if not streams:
        why = "it does not listen; a .socket unit must not have Accept=yes"
    elif sock.family in {socket.AF_INET, socket.AF_INET6}:
        return TcpAddress(name[0].partition("%")[0], name[1])
    elif sock.family == socket.AF_UNIX and isinstance(name, str) and name.startswith("/"):
        return UnixAddress(name)
    else:
        why = "it has no path, so no permissions say who may connect"
    raise ConfigurationError(f"the socket that was passed on cannot be used: {why}", hint=_ON_SOCKETS)


def _bind_tcp(address: TcpAddress) -> socket.socket:
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ConfigurationError(
            f"http.bind: {address.host} is no address of this machine: {error.strerror}",
            hint="write an address such as 127.0.0.1:8686",
        ) from None
    family, kind, protocol, _, target = found[0]
    sock = socket.socket(family, kind, protocol)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind(target)
        sock.listen()  # Another listener is met here, not later.
    except OSError as error:
        sock.close()
        raise ConfigurationError(
            f"http.bind: {_shown(address)} cannot be taken: {error.strerror}", hint=_hint(error)
        ) from error
    sock.setblocking(False)
    return sock


def _shown(address: TcpAddress) -> str:
    return f"{f'[{address.host}]' if ':' in address.host else address.host}:{address.port}"


def _hint(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "another program, perhaps another dropmill, listens there; stop it or set http.bind to another port"
    if error.errno == errno.EADDRNOTAVAIL:
        return "no interface of this machine has that address; 127.0.0.1 always works"
    return "choose a port above 1023, or allow this one (CAP_NET_BIND_SERVICE)"


def _bind_unix(path: str, mode: int) -> socket.socket:
    why, remedy = obstacle(path)
    if why:
        raise ConfigurationError(f"http.bind: {why}", hint=remedy)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _forget_stale(path)
        # The mode of an unbound socket becomes that of its file, so that it is never open to more than it should.
        os.fchmod(sock.fileno(), mode)
        sock.bind(path)
        os.chmod(path, mode)  # The umask may have taken some of it.
        sock.listen()
    except OSError as error:
        sock.close()
        raise ConfigurationError(
            f"http.bind: the socket {path} cannot be made: {error.strerror}",
            hint="make its folder, and let the daemon's user write there",
        ) from None
    sock.setblocking(False)
    return sock


def _forget_stale(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return  # As a rule there is none.


def _identity(path: str) -> tuple[int, int] | None:
    try:
        seen = os.lstat(path)
    except OSError:
        return None
    return seen.st_dev, seen.st_ino
