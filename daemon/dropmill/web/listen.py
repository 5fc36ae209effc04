"""The socket that the page listens on: taken before anything is promised, TCP or a socket file."""

from __future__ import annotations

import errno
import os
import socket
import stat

from dropmill.errors import ConfigurationError
from dropmill.settings import TcpAddress, UnixAddress

SOCKET_MODE = 0o660


class Listener:
    """A listening socket that outlives the servers on it: who connects in between waits in its queue."""

    def __init__(self, address: TcpAddress | UnixAddress) -> None:
        """Raises ``ConfigurationError`` naming an address that cannot be had."""
        self._address = address
        self._sock = bind(address)

    def share(self) -> socket.socket:
        """The same socket under another descriptor, for a server to close."""
        return self._sock.dup()

    def close(self) -> None:
        self._sock.close()
        if isinstance(self._address, UnixAddress):
            try:
                os.unlink(self._address.path)
            except FileNotFoundError:
                pass  # Somebody tidied up.


def bind(address: TcpAddress | UnixAddress) -> socket.socket:
    """A socket that listens. Raises ``ConfigurationError`` naming an address that cannot be had."""
    return _bind_tcp(address) if isinstance(address, TcpAddress) else _bind_unix(address.path)


def url_of(sock: socket.socket, base_path: str) -> str:
    """``http://127.0.0.1:8686/`` with the port that was really given, or ``unix:/run/…``."""
    name = sock.getsockname()
    if isinstance(name, str):
        return f"unix:{name}"
    host, port = name[0], name[1]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}{base_path}/"


def _bind_tcp(address: TcpAddress) -> socket.socket:
    shown = f"{address.host}:{address.port}"
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
        raise ConfigurationError(f"http.bind: {shown} cannot be taken: {error.strerror}", hint=_hint(error)) from None
    sock.setblocking(False)
    return sock


def _hint(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "another program, perhaps another dropmill, listens there; stop it or set http.bind to another port"
    if error.errno == errno.EADDRNOTAVAIL:
        return "no interface of this machine has that address; 127.0.0.1 always works"
    return "choose a port above 1023, or allow this one (CAP_NET_BIND_SERVICE)"


def _bind_unix(path: str) -> socket.socket:
    _remove_stale(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # The mode of an unbound socket becomes that of its file, so that it is never open to more than it should.
        os.fchmod(sock.fileno(), SOCKET_MODE)
        sock.bind(path)
        os.chmod(path, SOCKET_MODE)  # The umask may have taken some of it.
        sock.listen()
    except OSError as error:
        sock.close()
        raise ConfigurationError(
            f"http.bind: the socket {path} cannot be made: {error.strerror}",
            hint="make its folder, and let the daemon's user write there",
        ) from None
    sock.setblocking(False)
    return sock


def _remove_stale(path: str) -> None:
    """A socket file that a killed daemon left behind goes; one that somebody answers on, or another file, stays."""
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return
    if not stat.S_ISSOCK(mode):
        raise ConfigurationError(f"http.bind: {path} is there and is no socket", hint="move it away, or name another")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except OSError:
            pass
    raise ConfigurationError(
        f"http.bind: another program listens on {path}",
        hint="stop it, perhaps another dropmill, or name another socket",
    )
