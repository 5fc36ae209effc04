"""Passes listening sockets on as a service manager does (sd_listen_fds(3)), then becomes the program.

``python tests/passing_on.py NAME=ADDRESS… -- PROGRAM…``; an address is ``host:port`` or the path of a socket file.
"""

from __future__ import annotations

import os
import socket
import sys


def main() -> None:
    split = sys.argv.index("--")
    given = [one.partition("=") for one in sys.argv[1:split]]
    held = []
    for _, _, address in given:
        sock = socket.socket(socket.AF_UNIX if address.startswith("/") else socket.AF_INET)
        host, _, port = address.rpartition(":")
        sock.bind(address if address.startswith("/") else (host, int(port)))
        sock.listen()
        held.append(os.dup(sock.fileno()))
        os.dup2(sock.fileno(), 100 + len(held))
    for number in range(len(held)):
        os.dup2(101 + number, 3 + number, inheritable=True)
    told = {
        "LISTEN_PID": str(os.getpid()),
        "LISTEN_FDS": str(len(held)),
        "LISTEN_FDNAMES": ":".join(name for name, _, _ in given),
    }
    os.closerange(3 + len(held), 200)
    os.execvpe(sys.argv[split + 1], sys.argv[split + 1 :], {**os.environ, **told})


if __name__ == "__main__":
    main()
