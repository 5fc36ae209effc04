"""The socket of the page: a socket file of our own, or one that the service manager has passed on."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dropmill.errors import ConfigurationError
from dropmill.files.socket_file import obstacle
from dropmill.settings import Http, TcpAddress, UnixAddress
from dropmill.settings.findings import Wrong
from dropmill.web import listen
from dropmill.web.listen import Listener, Listeners, require_token

Pass = Callable[..., dict[str, str]]


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_socket_file_has_the_mode_it_is_to_have_whatever_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "s"
    before = os.umask(0o077)
    try:
        listener = Listener(UnixAddress(str(path)), 0o666)
    finally:
        os.umask(before)
    assert mode_of(path) == 0o666 and listener.bind == f"unix:{path}"
    listener.settle(Http(socket_mode="0600"))
    assert mode_of(path) == 0o600
    listener.close()
    assert not path.exists()


def test_only_our_own_socket_file_is_removed_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "s"
    first = Listener(UnixAddress(str(path)), 0o660)
    path.rename(tmp_path / "aside")
    second = Listener(UnixAddress(str(path)), 0o660)
    first.settle(Http(socket_mode="0600"))
    first.close()
    assert mode_of(path) == 0o660
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    second.close()
    assert not path.exists()


def test_a_stale_socket_file_is_taken_over_and_one_in_use_is_not(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    first = Listener(UnixAddress(str(path)), 0o660)
    with pytest.raises(ConfigurationError, match="another program listens on") as caught:
        Listener(UnixAddress(str(path)), 0o660)
    assert caught.value.exit_code == 2 and caught.value.hint
    first.close()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(str(path))
        assert "another program listens" in obstacle(str(path))[0], "of another kind"
        path.unlink()
    path.write_text("somebody's")
    with pytest.raises(ConfigurationError, match="is no socket"):
        Listener(UnixAddress(str(path)), 0o660)
    assert path.read_text() == "somebody's"
    assert "cannot be looked at" in obstacle(f"{path}/below")[0]
    with pytest.raises(ConfigurationError, match="cannot be made"):
        Listener(UnixAddress(f"{tmp_path}/none/s"), 0o660)


@pytest.mark.parametrize(
    ("bind", "said"),
    [
        ("unix:run/s", "no absolute path"),
        (f"unix:/{'a' * 107}", "longer than 107 bytes"),
        (f"unix:/{'ä' * 54}", "longer than 107 bytes"),
        ("unix:/run/a\nb", "control character"),
        ("unix:@name", "no absolute path"),
    ],
)
def test_a_path_that_cannot_be_is_refused_with_the_reason(bind: str, said: str) -> None:
    with pytest.raises(Wrong, match=said):
        listen_on(bind)


def listen_on(bind: str) -> object:
    from dropmill.settings.http import parse_bind

    return parse_bind(bind)


@pytest.mark.parametrize(("mode", "well"), [("0660", True), ("0666", True), ("0440", False), ("1660", False)])
def test_a_mode_lets_at_least_the_daemon_itself_in(mode: str, well: bool) -> None:
    if well:
        assert Http(socket_mode=mode).socket_mode_bits == int(mode, 8)
    else:
        with pytest.raises(ValueError, match="does not suit a socket"):
            Http(socket_mode=mode)


# What a service manager passes on.


@pytest.fixture
def passed_on(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pass]:
    """Puts sockets where a service manager has them, one after the other, and says what the environment tells."""
    base, used = 200, []
    monkeypatch.setattr(listen, "FIRST_PASSED_FD", base)

    def put(*socks: socket.socket, names: str = "", pid: int | None = None) -> dict[str, str]:
        for number, sock in enumerate(socks):
            os.dup2(sock.fileno(), base + number, inheritable=True)
            used.append(base + number)
            sock.close()
        own = os.getpid() if pid is None else pid
        return {"LISTEN_PID": str(own), "LISTEN_FDS": str(len(socks)), "LISTEN_FDNAMES": names}

    yield put
    for fd in used:
        try:
            os.close(fd)
        except OSError:
            continue  # It was taken, and closed with what took it.


def test_a_passed_socket_is_listened_on_and_its_file_is_left_alone(passed_on: Pass, tmp_path: Path) -> None:
    path = tmp_path / "s"
    held = socket.socket(socket.AF_UNIX)
    held.bind(str(path))
    held.listen()
    path.chmod(0o606)
    listener = Listener.passed(passed_on(held), os.getpid())
    assert listener is not None and listener.bind == f"unix:{path}"
    assert listener.settle(Http(socket_mode="0600")).address == UnixAddress(str(path))
    with listener.share() as shared, socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        assert not shared.getblocking() and not shared.get_inheritable()
    listener.close()
    assert mode_of(path) == 0o606


def test_the_real_address_of_a_passed_socket_decides_whether_a_token_is_needed(passed_on: Pass, tmp_path: Path) -> None:
    everywhere, here = socket.create_server(("0.0.0.0", 0)), socket.create_server(("127.0.0.1", 0))
    port = everywhere.getsockname()[1]
    wide = Listener.passed(passed_on(everywhere), os.getpid())
    assert wide is not None and wide.address == TcpAddress("0.0.0.0", port)
    with pytest.raises(ConfigurationError, match=f"0.0.0.0:{port}, can be reached from other machines") as caught:
        require_token(wide.address, Http())
    assert caught.value.exit_code == 2 and "token" in caught.value.hint
    require_token(wide.address, Http(token_file=str(tmp_path / "token")))
    wide.close()
    narrow = Listener.passed(passed_on(here), os.getpid())
    assert narrow is not None
    require_token(narrow.address, Http())
    narrow.close()


def test_of_several_sockets_the_one_named_http_is_meant(passed_on: Pass) -> None:
    first, second = socket.create_server(("127.0.0.1", 0)), socket.create_server(("127.0.0.1", 0))
    port = second.getsockname()[1]
    listener = Listener.passed(passed_on(first, second, names="other:http"), os.getpid())
    assert listener is not None and listener.bind == f"127.0.0.1:{port}"
    assert not os.get_inheritable(200)
    listener.close()


def test_what_is_passed_to_another_process_or_by_nobody_is_not_ours(passed_on: Pass) -> None:
    environ = passed_on(socket.create_server(("127.0.0.1", 0)), pid=os.getpid() + 1)
    assert Listener.passed(environ, os.getpid()) is None
    assert Listener.passed({}, os.getpid()) is None
    own = str(os.getpid())
    assert Listener.passed({"LISTEN_PID": own, "LISTEN_FDS": "0"}, os.getpid()) is None
    assert Listener.passed({"LISTEN_PID": own, "LISTEN_FDS": "x"}, os.getpid()) is None


def abstract() -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(f"\0dropmill-test-{os.getpid()}")
    sock.listen()
    return sock


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: [socket.socket(socket.AF_INET)], "does not listen"),
        (lambda: [socket.socket(socket.AF_INET, socket.SOCK_DGRAM)], "does not listen"),
        (lambda: [abstract()], "it has no path"),
        (lambda: [socket.create_server(("127.0.0.1", 0)) for _ in range(2)], "2 sockets were passed on, 0 of them"),
    ],
)
def test_what_cannot_be_served_on_is_refused_with_the_reason(
    passed_on: Pass, make: Callable[[], list[socket.socket]], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        Listener.passed(passed_on(*make()), os.getpid())
    assert caught.value.exit_code == 2 and "dropmill.socket" in caught.value.hint


def test_a_descriptor_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listen, "FIRST_PASSED_FD", 900)
    with pytest.raises(ConfigurationError, match="descriptor 900 is not open"):
        Listener.passed({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}, os.getpid())


@pytest.mark.parametrize("host", ["0.0.0.0", "localhost"])
def test_of_a_port_that_is_our_own_already_we_accuse_nobody_else(host: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    listeners = Listeners(None)
    try:
        listeners.of(Http(bind=f"127.0.0.1:{port}"))
        with pytest.raises(ConfigurationError, match=f"this dropmill itself listens on 127.0.0.1:{port}") as caught:
            listeners.of(Http(bind=f"{host}:{port}", token_file="/dev/null"))
        assert "restart" in caught.value.hint and "another" not in str(caught.value)
    finally:
        listeners.close()
