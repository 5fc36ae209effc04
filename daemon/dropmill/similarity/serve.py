"""The process of the index. Started by the client as ``python -m dropmill.similarity.serve``.

It says ``hello`` once the catalog has been read, and answers one question after another until the daemon closes the socket.
"""

from __future__ import annotations

import argparse
import faulthandler
import socket
import sys
from collections.abc import Sequence

from dropmill.errors import StateError
from dropmill.model.fingerprint import Looks
from dropmill.model.resemblance import Neighbour
from dropmill.model.wire import Wire
from dropmill.similarity import wire
from dropmill.similarity.asking import neighbours
from dropmill.similarity.following import Follower
from dropmill.workers import hardening
from dropmill.workers.frames import BlockingChannel, Closed, Frame


def main(arguments: Sequence[str]) -> int:
    args = _parser().parse_args(arguments)
    hardening.ignore_signals()
    hardening.die_with_parent(args.parent_pid)
    hardening.own_session()
    hardening.gain_no_privileges()
    hardening.give_back_freed_memory()
    faulthandler.enable()
    sock = socket.socket(fileno=args.socket_fd)
    sock.set_inheritable(False)
    try:
        _serve(BlockingChannel(sock), args.catalog, turned=args.turned)
    except Closed:
        return 0
    except StateError as error:
        raise SystemExit(str(error)) from error  # Its last words are what the daemon tells.
    return 0


def _serve(channel: BlockingChannel, catalog: str, *, turned: bool) -> None:
    follower = Follower(catalog, parts=turned)
    channel.send(Frame(0, 0, _state(follower)))
    while True:
        frame = channel.receive()
        channel.send(Frame(frame.job_id, frame.epoch, _answer(follower, wire.question_from_wire(frame.body), turned)))


def _answer(follower: Follower, asked: Sequence[Looks], turned: bool) -> Wire:
    follower.catch_up()
    found: list[Sequence[Neighbour]] = [neighbours(follower, looks, turned=turned) for looks in asked]
    return _state(follower) | wire.answer_to_wire(found)


def _state(follower: Follower) -> Wire:
    return {
        "upto": follower.upto,
        "images": len(follower.index),
        "memory_bytes": follower.memory_bytes,
        "window_bytes": follower.windows.size_bytes if follower.windows is not None else 0,
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dropmill-index")
    parser.add_argument("--socket-fd", required=True, type=int)
    parser.add_argument("--parent-pid", required=True, type=int)
    parser.add_argument("--turned", action="store_true")
    parser.add_argument("catalog")
    return parser


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
